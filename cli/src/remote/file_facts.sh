# shellcheck shell=sh
# What Codex asks of files, one thing a call: $2 says which, the paths follow. It answers with fields that end in a NUL, after a first
# field that is the mark $1, and with the same mark at the end.
say_fields() {
  for said_field in "$@"; do printf '%s\000' "$said_field"; done
}

# Ends with what a program said, as one field.
fail_with() {
  say_fields failed "$(printf %s "$1" | head -c 400)" "$said_mark"
  exit
}

# Whether there is something at the path.
is_there() {
  [ -e "$1" ] || [ -L "$1" ]
}

require_path() {
  is_there "$1" || { say_fields missing "$said_mark"; exit; }
}

# Prints d, f or o.
kind_of() {
  if [ -d "$1" ]; then echo d; elif [ -f "$1" ]; then echo f; else echo o; fi
}

tell_info() {
  case $1 in "~") work_folder=$HOME ;; "~/"*) work_folder=$HOME/${1#??} ;; *) work_folder=$1 ;; esac
  CDPATH='' cd -- "${work_folder:-$HOME}" 2>/dev/null || { say_fields missing "$said_mark"; exit; }
  login_shell=${SHELL-}
  case ${login_shell##*/} in bash|zsh|sh) ;; *) login_shell=none ;; esac
  for next_shell in "$login_shell" /bin/bash /usr/bin/bash /usr/local/bin/bash /bin/sh; do
    [ -x "$next_shell" ] && break
  done
  say_fields ok "$next_shell" "$HOME" "$(pwd)" "$(pwd -P)" "$(uname -s)" "$(uname -n)"
}

tell_metadata() {
  [ -e "$1" ] || { say_fields missing "$said_mark"; exit; }
  is_link=n
  [ -L "$1" ] && is_link=y
  found_facts=$(stat -L -c '%s %Y' -- "$1" 2>/dev/null || stat -L -f '%z %m' -- "$1" 2>/dev/null) || found_facts='0 0'
  say_fields ok "$(kind_of "$1")" $is_link "$found_facts"
}

find_real() {
  [ -e "$1" ] || { say_fields missing "$said_mark"; exit; }
  real_path=$(readlink -f -- "$1" 2>/dev/null && echo .) || real_path=$(realpath -- "$1" && echo .) || fail_with "no readlink -f"
  real_path=${real_path%.}
  say_fields ok "${real_path%?}"
}

list_folder() {
  require_path "$1"
  CDPATH='' cd -- "$1" 2>/dev/null || fail_with "not a folder, or it cannot be entered"
  say_fields ok
  for found_entry in * .[!.]* ..?*; do
    is_there "$found_entry" && say_fields "$(kind_of "$found_entry")$found_entry"
  done
}

create_folder() {
  command_output=$(mkdir ${2:+-p} -- "$1" 2>&1) || { require_path "${1%/*}/"; fail_with "$command_output"; }
  say_fields ok
}

remove_path() {
  if is_there "$1"; then
    if [ -n "$2" ]; then
      command_output=$(rm -rf -- "$1" 2>&1) || fail_with "$command_output"
    elif [ -d "$1" ] && [ ! -L "$1" ]; then
      command_output=$(rmdir -- "$1" 2>&1) || fail_with "$command_output"
    else
      command_output=$(rm -f -- "$1" 2>&1) || fail_with "$command_output"
    fi
  elif [ -z "$3" ]; then
    require_path "$1"
  fi
  say_fields ok
}

copy_path() {
  require_path "$1"
  if [ -d "$1" ]; then
    [ -n "$3" ] || fail_with "it is a folder"
    command_output=$( { [ -d "$2" ] || mkdir -- "$2"; } 2>&1 && cp -R -- "$1/." "$2/" 2>&1) || fail_with "$command_output"
  else
    [ ! -d "$2" ] || fail_with "the destination is a folder"
    command_output=$(cp -- "$1" "$2" 2>&1) || fail_with "$command_output"
  fi
  say_fields ok
}

said_mark=$1
asked_for=$2
shift 2
printf '\000'
say_fields "$said_mark"
case $asked_for in
  info) tell_info "$@" ;;
  metadata) tell_metadata "$@" ;;
  canonicalize) find_real "$@" ;;
  list) list_folder "$@" ;;
  create) create_folder "$@" ;;
  remove) remove_path "$@" ;;
  copy) copy_path "$@" ;;
esac
say_fields "$said_mark"
