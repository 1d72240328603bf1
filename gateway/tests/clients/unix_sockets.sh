# Unix sockets forwarded both ways, to and from ports, half-closed; taken names, cancelling, what is left behind.
python3 "$CASES/unix_sockets.py"
