# shellcheck shell=sh disable=SC2154
# What becomes of a file that is replaced. Notes for the user are lines of `N`, a word that `notes.rs` knows, and the file.

show_owner() { stat -c %u:%g "$1" 2>/dev/null || stat -f %u:%g "$1" 2>/dev/null; }

# Gives the file $2 the owner and group of $1, whose place it takes.
keep_owner() {
  if ! { [ -O "$1" ] && [ -G "$1" ] && [ -G "$2" ]; }; then
    old_owner=$(show_owner "$1")
    chown "$old_owner" "$2" 2>/dev/null || chgrp "${old_owner#*:}" "$2" 2>/dev/null
    [ "$(show_owner "$2")" = "$old_owner" ] || say_line "N owner $old_owner $1"
  fi
}

# Writes the content of the file $1 into $2, which cannot be replaced: a mount point, or a file in a folder of others. When
# that fails it gets back what it had.
write_in_place() {
  [ -f "$1" ] && [ ! -L "$1" ] && [ -f "$2" ] && [ ! -L "$2" ] && [ -w "$2" ] || return 1
  ignore_signals
  is_written=
  # noclobber: the copy never goes where somebody else's link leads.
  tool_says=$(set -C; { cat "$2" >"$1.old"; } 2>&1) && {
    tool_says=$({ cat "$1" >|"$2"; } 2>&1) && is_written=yes || cat "$1.old" >|"$2"
  }
  rm -f "$1.old"
  [ -n "$is_written" ] || return 1
  say_line "N place $2"
}
