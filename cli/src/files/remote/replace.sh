# shellcheck shell=sh disable=SC2154
# Where things are written before they go into place, and what becomes of a file that is replaced. Notes for the user are
# lines of `N`, a word that `notes.rs` knows, and the file.

# Makes a folder of our own in the folder $1 and goes into it. Whoever else may write to $1 can put another in its place,
# or a link: it has to be in $1, ours, closed to others and empty. From then on, `.` and `..` are what nobody can exchange.
enter_stage() {
  ignore_signals
  stage_made=.runcode-${private_text%% *}
  tool_says=$(umask 077; mkdir "${1%/}/$stage_made" 2>&1) || fail_with io "$tool_says"
  { cd -P "${1%/}/$stage_made" && [ .. -ef "$1" ]; } 2>/dev/null || fail_with taken
  if [ -O . ]; then
    chmod go-rwx . 2>/dev/null
  else
    # Some file systems keep no owners. On any other, what we create belongs to us.
    ( set -C; { [ -e /dev/fd/3 ] && [ ! -O /dev/fd/3 ]; } 3>"./$stage_made" ) 2>/dev/null || fail_with taken
    rm -f "./$stage_made"
  fi
  for entry_path in * .[!.]* ..?*; do
    ! is_there "$entry_path" || fail_with taken
  done
  stage_name=$stage_made
  trap clean_up EXIT
  trap "$at_signal" HUP INT TERM PIPE
}

# Goes back out of it and removes it, which must be empty by then.
leave_stage() {
  cd -P .. && rmdir "./$stage_name"
  stage_name=
} 2>/dev/null

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

# What the user is told of the path $1 at the target.
say_note() {
  noted_path=${2#"$there_now"}
  say_line "N $1 $to_folder/${noted_path#./}"
}

show_owner() { stat -c %u:%g "$1" 2>/dev/null || stat -f %u:%g "$1" 2>/dev/null; }

# Gives the file $2 the owner and group of $1, whose place it takes.
keep_owner() {
  if ! { [ -O "$1" ] && [ -G "$1" ] && [ -G "$2" ]; }; then
    old_owner=$(show_owner "$1")
    chown -h "$old_owner" "$2" 2>/dev/null || chgrp -h "${old_owner#*:}" "$2" 2>/dev/null
    [ "$(show_owner "$2")" = "$old_owner" ] || say_note "owner $old_owner" "$1"
  fi
}

# Writes the content of the file $1 into $2, which cannot be replaced: a mount point, or a file in a folder of others. When
# that fails it gets back what it had. Its mode becomes $3, if any: that of the very file that is written to.
write_in_place() {
  [ -f "$1" ] && [ ! -L "$1" ] && [ -f "$2" ] && [ ! -L "$2" ] && [ -w "$2" ] || return 1
  ignore_signals
  is_written=
  # noclobber: the copy never goes where somebody else's link leads.
  tool_says=$(set -C; { cat "$2" >"$1.old"; } 2>&1) && {
    tool_says=$(
      {
        {
          cat "$1" && {
            touch -r "$1" /dev/fd/1
            [ -z "$3" ] || chmod "$3" /dev/fd/1
            :
          } 2>/dev/null
        } >|"$2"
      } 2>&1
    ) && is_written=yes || cat "$1.old" >|"$2"
  }
  rm -f "$1.old"
  [ -n "$is_written" ] || return 1
  say_note place "$2"
}
