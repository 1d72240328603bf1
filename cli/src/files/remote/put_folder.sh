# shellcheck shell=sh disable=SC2154
# Takes a folder, or several things for one. $1 the folder to be, $2 whether what is there is hashed (yes, no), then the names
# in it that are going to come, each as a path below it.

is_there() { [ -e "$1" ] || [ -L "$1" ]; }
is_folder() { [ -d "$1" ] && [ ! -L "$1" ]; }

# Says what is there under the names that are going to come.
list_present() {
  if find . -prune -printf x >/dev/null 2>&1; then
    say_line "T 0"
    find "$@" -printf "%y %m %s %T@ %p\0%l\0" 2>/dev/null
    printf "%s\0" "$our_mark"
  else
    say_line "T 1"
    find "$@" -exec stat -c "%f %s %Y %n" {} + 2>/dev/null
    printf "%s\n" "$our_mark"
  fi
  if [ "$want_hashes" = yes ]; then
    find "$@" -type f -exec sha256sum {} + 2>/dev/null
    printf "%s\n" "$our_mark"
  fi
}

# Makes the folder $1 one that can be written to, until close_folder.
open_folder() {
  open_mode=
  [ -w "$1" ] || {
    open_path=$1
    open_mode=$(stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1" 2>/dev/null)
    chmod u+w "$1" 2>/dev/null || open_mode=
  }
}

close_folder() {
  [ -z "$open_mode" ] || chmod "$open_mode" "$open_path"
  open_mode=
}

clean_up() {
  ignore_signals
  [ -z "$temp_folder" ] || rm -rf "$temp_folder" || { chmod -R u+rwX "$temp_folder"; rm -rf "$temp_folder"; }
  close_folder
} 2>/dev/null

# The folder $1 becomes $2. Its own mode must let it be moved; what is in its place by now is not gone into: -T, where mv has
# it.
move_folder() {
  old_mode=
  if [ ! -w "$1" ]; then
    old_mode=$(stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1" 2>/dev/null)
    chmod u+w "$1"
  fi
  mv -fT "$1" "$2" 2>/dev/null || { [ ! -e "$2" ] && mv -f "$1" "$2"; } || return 1
  [ -z "$old_mode" ] || chmod "$old_mode" "$2"
}

# Moves the other arguments, which are in the folder $1, into place: each by a rename.
move_entries() {
  [ $# -gt 1 ] || return 0
  below_target=$1
  shift
  if command -v getfacl >/dev/null 2>&1; then
    ( cd "$to_folder" && exec getfacl -ps "$@" ) 2>/dev/null | setfacl --restore=- 2>/dev/null
  fi
  mv -f "$@" "$to_folder/$below_target/" 2>/dev/null && return 0
  # What cannot be moved has its words, or another put has made its folder since.
  for entry_path do
    is_there "$entry_path" || continue
    if is_folder "$entry_path" && [ -d "$to_folder/$entry_path" ]; then
      merge_below "$entry_path"
    else
      tool_says=$(mv -f "$entry_path" "$to_folder/$below_target/" 2>&1) ||
        write_in_place "$entry_path" "$to_folder/$entry_path" || fail_with io "$tool_says"
    fi
  done
}

merge_below() {
  (
    trap close_folder EXIT
    trap "$at_signal" HUP INT TERM PIPE
    open_folder "$to_folder/$1"
    merge_folder "$1"
  ) || exit 1
}

# Moves what the folder $1 has into place: a folder that is not there yet whole, else one by one.
merge_folder() {
  set -- "$1"
  [ -w "$1" ] || chmod u+w "$1"
  for entry_path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    is_there "$entry_path" || continue
    if is_folder "$entry_path" && [ -d "$to_folder/$entry_path" ]; then
      merge_below "$entry_path"
      continue
    fi
    [ -d "$entry_path" ] || [ ! -d "$to_folder/$entry_path" ] || [ -L "$to_folder/$entry_path" ] ||
      fail_with folder "$entry_path"
    if is_folder "$entry_path" && [ ! -w "$entry_path" ]; then
      tool_says=$(move_folder "$entry_path" "$to_folder/$entry_path" 2>&1) || fail_with io "$tool_says"
      continue
    fi
    [ -L "$entry_path" ] || [ -L "$to_folder/$entry_path" ] || [ ! -f "$to_folder/$entry_path" ] ||
      keep_owner "$to_folder/$entry_path" "$entry_path"
    set -- "$@" "$entry_path"
    [ $# -le 200 ] || { move_entries "$@"; set -- "$1"; }
  done
  move_entries "$@"
}

# Whether tar failed at nothing but what the file system has not: modes, times, links. Says what.
is_odd_only() {
  odd_thing=
  while read -r tar_line; do
    case $tar_line in
      *": Cannot change mode"*|*": Cannot utime"*) [ -n "$odd_thing" ] || say_line "N mode" "$to_folder"; odd_thing=mode ;;
      *": Cannot create symlink"*) odd_thing=${tar_line#*t/}; say_line "N link" "${odd_thing%%: Cannot*}" ;;
      *"previous errors"*|[0-9]*|"") ;;
      *) return 1 ;;
    esac
  done
  [ -n "$odd_thing" ]
}

take_private
decode_path "$1"
to_folder=$plain_text
want_hashes=$2
open_mode=
shift 2
command -v tar >/dev/null 2>&1 || fail_with notar
need_stderr
[ "$to_folder" = / ] || to_folder=${to_folder%/}

if [ -d "$to_folder" ]; then
  cd "$to_folder" || fail_with denied
  name_count=0
  for encoded_name do
    decode_text "$encoded_name"
    set -- "$@" "./$plain_text"
    name_count=$((name_count + 1))
  done
  shift "$name_count"
  list_present "$@"
  is_new=
  temp_folder=$to_folder/.runcode-$private_text
else
  ! is_there "$to_folder" || fail_with file
  say_line "T -"
  is_new=yes
  parent_folder=${to_folder%/*}/
  temp_folder=$parent_folder.runcode-$private_text
fi

# After the mark comes how much of the archive its SHA-256 is of, and whether names in it differ in case alone.
read -r sent_mark sent_size has_twins || exit 1
[ "$sent_mark" = "$our_mark" ] || { [ "$sent_mark" != none ] || say_line ok; exit 0; }
[ -z "$is_new" ] || [ -d "$parent_folder" ] || tool_says=$(mkdir -p "$parent_folder" 2>&1) || fail_with io "$tool_says"
umask 077
if [ -z "$is_new" ]; then
  open_folder "$to_folder"
  parent_folder=$to_folder
fi
trap close_folder EXIT
[ -w "$parent_folder" ] || fail_with closed
# What is removed in the end is ours: a folder that was there already is not, and no signal comes in between.
ignore_signals
tool_says=$(mkdir "$temp_folder" 2>&1) || fail_with io "$tool_says"
trap clean_up EXIT
trap "$at_signal" HUP INT TERM PIPE
[ -z "$has_twins" ] || { mkdir "$temp_folder/t" && [ ! -e "$temp_folder/T" ]; } || fail_with twins

# What tar says and its status come through 4; what is hashed goes through 5 as well, which tee is given as its stderr. Pipes
# alone have no name that a tee could wait at for good.
tool_says=$(
  exec 2>/dev/null
  { { tee /dev/stderr 2>&5 | { tar -xpof - -C "$temp_folder" >&4 2>&4; printf "\n%s" "$?" >&4; }; } 5>&1 |
    { head -c "$sent_size"; cat >/dev/null; } |
    { hash_file "$sent_size" /dev/stdin; echo "$sha_hex" >"$temp_folder/hash"; }; } 4>&1
)
[ "${tool_says##*[!0-9]}" = 0 ] || printf "%s\n" "$tool_says" | is_odd_only || fail_with io "$tool_says"
sha_hex=
[ -f "$temp_folder/end" ] || fail_with cut
read -r sha_hex <"$temp_folder/hash"
[ -n "$sha_hex" ] || fail_with nohash
cd "$temp_folder/t" || fail_with cut
{
  read -r sent_hash
  [ "$sha_hex" = "$sent_hash" ] || fail_with differs
  # A line with `-` names a file that the sender could not read, and that holds zeros here. Any other line gives a folder's mode.
  while IFS= read -r end_line; do
    decode_text "${end_line#* }"
    if [ "${end_line%% *}" = - ]; then
      tool_says=$(rm -f "./$plain_text" 2>&1) || fail_with io "$tool_says"
    elif [ -n "$plain_text" ]; then
      chmod "${end_line%% *}" "$to_folder/$plain_text" 2>/dev/null || say_line "N mode" "$to_folder/$plain_text"
    else
      # The target itself: its mode is set when nothing is left to do in it.
      open_path=$to_folder
      open_mode=${end_line%% *}
    fi
  done
} <../end

# Another put may have made it since, or make it in this moment.
if [ -n "$is_new" ] && [ ! -d "$to_folder" ]; then
  ! is_there "$to_folder" || fail_with file
  tool_says=$(move_folder "$temp_folder/t" "$to_folder" 2>&1) || [ -d "$to_folder" ] || fail_with io "$tool_says"
fi
[ ! -d "$temp_folder/t" ] || merge_folder .
clean_up
temp_folder=
say_line ok
