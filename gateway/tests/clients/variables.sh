# Which variables a command has, what a client may set and what not, and where it starts.
export LC_TEST='a b=c$d' COLORTERM=truecolor EVIL=1 LD_PRELOAD_X=1
s="ssh -F $CONFIG -o SendEnv=LC_TEST -o SendEnv=COLORTERM -o SendEnv=EVIL -o SendEnv=LD_*"
show='env | sed -n "s/=.*//p" | grep -v -x -e MAIL -e _ -e OLDPWD -e XDG_.* -e DBUS_.* | LC_ALL=C sort'
$s box "$show"
$s -tt box "$show" </dev/null
$s box 'echo "$LC_TEST|$COLORTERM|$EVIL|$LC_ALL|$HOME|$PATH|$0|$-|$(umask)"; cd && pwd -P'
$s -o SetEnv='LC_X=1 EVIL=2' box 'echo "$LC_X|$EVIL"'
$s box 'set -- $SSH_CLIENT; echo $# $1; set -- $SSH_CONNECTION; echo $# $1 $3'
