# Trees with strange names and modes, there and back, in both protocols; errors too.
mkdir -p "$WORK/tree/a b"
printf 'x' > "$WORK/tree/a b/quote'd \$name"
printf 'y' > "$WORK/tree/$(printf 'latin\351')"
head -c 1000000 /dev/zero > "$WORK/tree/big"
chmod 750 "$WORK/tree/a b"; chmod 640 "$WORK/tree/big"
touch -d '2001-02-03 04:05:06' "$WORK/tree/big"
for flag in -s -O; do
    scp -q -F "$CONFIG" $flag -rp "$WORK/tree" box:"$BOX/copy$flag"
    scp -q -F "$CONFIG" $flag -rp box:"$BOX/copy$flag" "$WORK/back$flag"
    (cd "$WORK/back$flag" && find . -printf '%P %m %s %y\n' | LC_ALL=C sort && find big -printf '%TY-%Tm-%Td %TH:%TM:%.2TS\n')
    scp -q -F "$CONFIG" $flag box:"$BOX/none" "$WORK/none" 2>/dev/null || echo "status $?"
    scp -q -F "$CONFIG" $flag "$WORK/tree/big" box:"$BOX/none/big" 2>/dev/null || echo "status $?"
done
