# A connection through the workspace with -W, -D, -L and -R, half-closed.
python3 "$CASES/forwards.py"
