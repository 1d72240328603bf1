# asyncssh and paramiko: exec, signals, terminals, sftp, forwards.
[ -n "$PYTHON" ] || { echo 'no asyncssh and paramiko' >&2; exit 77; }
"$PYTHON" "$CASES/libraries.py"
