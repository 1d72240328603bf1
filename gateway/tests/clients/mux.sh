# A master, many channels on it, and forwards that come and go.
s="ssh -F $CONFIG -S $WORK/control"
$s -N -M box & master=$!
trap 'kill $master 2>/dev/null || true' EXIT
n=0; until [ -S "$WORK/control" ]; do n=$((n + 1)); [ $n -lt 500 ]; sleep 0.02; done
for i in 1 2 3 4 5 6 7 8; do ($s box "echo $i; exit $i" || echo "$i: $?") > "$WORK/$i" & done
for i in 1 2 3 4 5 6 7 8; do n=0; until [ "$(wc -l < "$WORK/$i")" = 2 ]; do n=$((n + 1)); [ $n -lt 500 ]; sleep 0.02; done; cat "$WORK/$i"; done
$s -O check box 2>&1 | sed 's/pid=[0-9]*/pid/'
# One channel that does not read its input holds no other up.
$s box 'sleep 30' < /dev/zero & stuck=$!
sleep 1
$s box 'echo free'
head -c 5000000 /dev/zero | $s box cat | cksum
kill $stuck
$s -O exit box 2>&1
