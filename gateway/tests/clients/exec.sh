# Statuses, streams, arguments, end of input, output after the end.
s="ssh -F $CONFIG box"
for status in 0 1 42 127 254 255; do $s "exit $status" || echo "status $?"; done
$s 'echo out; echo err >&2' 2>&1 >/dev/null
printf 'a\0b\377' | $s cat | od -c
$s "printf '%s|' 'one two' three" && echo
$s '(sleep 0.3; echo late) & exit 3' || echo "status $?"
$s 'sleep 20 >/dev/null 2>&1 </dev/null & echo detached'
$s 'cat; echo end' </dev/null
$s 'exec 0<&-; sleep 0.2; echo deaf' </dev/zero
$s 'head -c 3000000 /dev/zero' | cksum
head -c 3000000 /dev/zero | $s cksum
$s 'kill -TERM $$' || echo "status $?"
$s -v 'kill -USR2 $$' 2>&1 | grep -o 'rtype exit-signal' || echo "status $?"
$s "nosuchcommand" 2>&1 || echo "status $?"
