# Signals on request, from asyncssh and paramiko.
[ -n "$PYTHON" ] || { echo 'no asyncssh and paramiko' >&2; exit 77; }
"$PYTHON" "$CASES/signals.py"
