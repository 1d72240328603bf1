# What a command finds open, with a terminal and without: its three, and the folder that `ls` reads.
s="ssh -F $CONFIG"
$s box 'ls -m /proc/self/fd'
$s -tt box 'ls -m /proc/self/fd' </dev/null
$s -tt box 'exec </dev/null; ls -m /proc/self/fd; exit 4' </dev/null || echo "status $?"
