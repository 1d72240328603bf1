# A connection through the box with -W, -D, -L and -R, half-closed.
python3 "$CASES/forwards.py"
