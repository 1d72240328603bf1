# Terminals: size, resizing, modes, names, hanging up, tmux, top.
python3 "$CASES/terminal.py"
