# There, unchanged, changed, back, with deletion.
command -v rsync >/dev/null || { echo 'no rsync' >&2; exit 77; }
mkdir -p "$WORK/tree/sub"; head -c 2000000 /dev/zero > "$WORK/tree/big"; echo x > "$WORK/tree/sub/small"; ln -s big "$WORK/tree/link"
touch -h -d '2001-02-03 04:05:06' "$WORK/tree/big" "$WORK/tree/sub/small" "$WORK/tree/link" "$WORK/tree/sub" "$WORK/tree"
r="rsync -a --itemize-changes -e"
$r "ssh -F $CONFIG" "$WORK/tree/" box:"$BOX/rs/"
$r "ssh -F $CONFIG" "$WORK/tree/" box:"$BOX/rs/"
echo more >> "$WORK/tree/big"; rm "$WORK/tree/sub/small"
touch -d '2002-02-03 04:05:06' "$WORK/tree/big" "$WORK/tree/sub"
$r "ssh -F $CONFIG" --delete "$WORK/tree/" box:"$BOX/rs/"
$r "ssh -F $CONFIG" box:"$BOX/rs/" "$WORK/back/"
cksum < "$WORK/back/big"
