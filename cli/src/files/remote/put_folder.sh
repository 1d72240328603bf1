# shellcheck shell=sh disable=SC2154
# Takes a folder, or several things for one. $1 the folder to be, $2 whether what is there is hashed (yes, no), then the names
# in it that are going to come, each as a path below it.

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

# Gives the folder $2 at the target the mode $1, unless links lead there: the kernel's own word for where we are is the only
# one that nobody can change in between.
set_mode() {
  if [ -z "$real_base" ]; then
    real_base=$(cd -P "$base_now" && env pwd -P)
    real_base=${real_base%/}
  fi
  ( cd -P "$base_now/$2" && [ "$(env pwd -P)" = "$real_base${2:+/}$2" ] && chmod "$1" . )
} 2>/dev/null

# Makes the folder $1 at the target one that can be written to, until close_folder.
open_folder() {
  open_mode=
  [ -w "$base_now/$1" ] || {
    open_path=$1
    open_mode=$(stat -c %a "$base_now/$1" 2>/dev/null || stat -f %Lp "$base_now/$1" 2>/dev/null)
    set_mode u+w "$1" || open_mode=
  }
}

close_folder() {
  [ -z "$open_mode" ] || set_mode "$open_mode" "$open_path"
  open_mode=
}

clean_up() {
  ignore_signals
  if [ -n "$stage_name" ]; then
    rm -rf ./t ./n ./end ./hash || { chmod -R u+rwX ./t ./n; rm -rf ./t ./n; }
    leave_stage
    base_now=.
  fi
  close_folder
} 2>/dev/null

# Like `mv -T`, for a mv without it: under its own name into the folder above, which is a rename. A folder that others put there
# meanwhile is not entered.
move_named() {
  case $1 in */"${2##*/}") mv -f "$1" "${2%/*}/"; return ;; esac
  mkdir ./n && mv "$1" "./n/${2##*/}" || return 1
  mv -f "./n/${2##*/}" "${2%/*}/" || { mv "./n/${2##*/}" "$1"; false; }
}

# The folder $1 becomes $2. Its own mode must let it be moved.
move_folder() {
  old_mode=
  if [ ! -w "$1" ]; then
    old_mode=$(stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1" 2>/dev/null)
    chmod u+w "$1"
  fi
  mv -fT "$1" "$2" 2>/dev/null || move_named "$1" "$2" || return 1
  [ -z "$old_mode" ] || set_mode "$old_mode" "${2#"$base_now/"}"
}

# Moves the other arguments, which are in the folder $1, into place: each by a rename.
move_entries() {
  [ $# -gt 1 ] || return 0
  below_target=$1
  shift
  # Without the owner and the special bits, which it would restore as well.
  if [ -z "$to_shared" ] && command -v getfacl >/dev/null 2>&1; then
    ( cd -P "$there_now" && exec getfacl -psP "$@" ) 2>/dev/null | sed "/^# [ogf][wrl][a-z]*: /d" | setfacl --restore=- 2>/dev/null
  fi
  mv -f "$@" "$there_now$below_target/" 2>/dev/null && return 0
  # What cannot be moved has its words, or another put has made its folder since.
  for entry_path do
    is_there "$entry_path" || continue
    if is_folder "$entry_path" && [ -d "$there_now$entry_path" ]; then
      merge_below "$entry_path"
    else
      tool_says=$(mv -f "$entry_path" "$there_now$below_target/" 2>&1) ||
        write_in_place "$entry_path" "$there_now$entry_path" "" || fail_with io "$tool_says"
    fi
  done
}

merge_below() {
  (
    trap close_folder EXIT
    trap "$at_signal" HUP INT TERM PIPE
    refuse_planted "$there_now${1#./}"
    open_folder "${there_now#"$base_now/"}${1#./}"
    merge_folder "$1"
  ) || exit 1
}

# Moves what the folder $1 has into place: a folder that is not there yet whole, else one by one.
merge_folder() {
  set -- "$1"
  to_shared=
  ! is_shared "$there_now${1#./}" || to_shared=yes
  [ -w "$1" ] || chmod u+w "$1"
  for entry_path in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    is_there "$entry_path" || continue
    if is_folder "$entry_path" && [ -d "$there_now$entry_path" ]; then
      merge_below "$entry_path"
      continue
    fi
    old_entry=$there_now${entry_path#./}
    [ -d "$entry_path" ] || [ ! -d "$old_entry" ] || [ -L "$old_entry" ] || fail_with folder "$entry_path"
    if is_folder "$entry_path" && [ ! -w "$entry_path" ]; then
      tool_says=$(move_folder "$entry_path" "$old_entry" 2>&1) || fail_with io "$tool_says"
      continue
    fi
    [ -L "$entry_path" ] || [ -L "$old_entry" ] || [ ! -f "$old_entry" ] || keep_owner "$old_entry" "$entry_path"
    set -- "$@" "$entry_path"
    [ $# -le 200 ] || { move_entries "$@"; set -- "$1"; }
  done
  move_entries "$@"
}

# Somebody has made the folder new_name since. What we have moves into that, stage and all: from there, `..` is the folder that was
# judged, and stays it.
join_folder() {
  refuse_planted "..$new_name"
  is_folder "..$new_name" || fail_with file
  real_parent=$(cd -P .. && env pwd -P)
  real_parent=${real_parent%/}
  tool_says=$(mv "../$stage_name" "..$new_name/" 2>&1) || fail_with io "$tool_says"
  # Some shells keep their path, not their folder.
  {
    cd -P "$real_parent$new_name/$stage_name" && read -r sent_hash <hash && [ "$sent_hash" = "$sha_hex" ] &&
      [ "$(env pwd -P)" = "$real_parent$new_name/$stage_name" ]
  } 2>/dev/null || fail_with taken
  refuse_planted ../../ "$(show_owner ..)"
  new_name=
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
real_base=
base_now=.
shift 2
command -v tar >/dev/null 2>&1 || fail_with notar
need_stderr
[ "$to_folder" = / ] || to_folder=${to_folder%/}
new_name=
refuse_way "$to_folder"

if [ -z "$way_missing" ] && [ -d "$way_path" ]; then
  parent_folder=$way_path
  cd -P "$way_path" || fail_with denied
  name_count=0
  for encoded_name do
    decode_text "$encoded_name"
    set -- "$@" "./$plain_text"
    name_count=$((name_count + 1))
  done
  shift "$name_count"
  list_present "$@"
else
  ! is_there "$to_folder" || fail_with file
  say_line "T -"
  parent_folder=${to_folder%/*}/
  new_name=/${to_folder##*/}
fi

# After the mark comes how much of the archive its SHA-256 is of, and whether names in it differ in case alone.
read -r sent_mark sent_size has_twins || exit 1
[ "$sent_mark" = "$our_mark" ] || { [ "$sent_mark" != none ] || say_line ok; exit 0; }
[ -d "$parent_folder" ] || tool_says=$(mkdir -p "$parent_folder" 2>&1) || fail_with io "$tool_says"
refuse_way "$parent_folder"
[ -z "$way_missing" ] || fail_with taken
parent_folder=$way_path
umask 077
[ -n "$new_name" ] || open_folder ""
trap close_folder EXIT
[ -w "$parent_folder" ] || fail_with closed
enter_stage "$parent_folder"
base_now=..
[ -z "$has_twins" ] || { mkdir ./t && [ ! -e ./T ]; } || fail_with twins

# What tar says and its status come through 4; what is hashed goes through 5 as well, which tee is given as its stderr. Pipes
# alone have no name that a tee could wait at for good.
tool_says=$(
  exec 2>/dev/null
  { { tee /dev/stderr 2>&5 | { tar -xpof - >&4 2>&4; printf "\n%s" "$?" >&4; }; } 5>&1 |
    { head -c "$sent_size"; cat >/dev/null; } |
    { hash_file "$sent_size" /dev/stdin; echo "$sha_hex" >hash; }; } 4>&1
)
[ "${tool_says##*[!0-9]}" = 0 ] || printf "%s\n" "$tool_says" | is_odd_only || fail_with io "$tool_says"
sha_hex=
{ [ -f end ] && is_folder t; } || fail_with cut
read -r sha_hex <hash
[ -n "$sha_hex" ] || fail_with nohash
{
  read -r sent_hash
  [ "$sha_hex" = "$sent_hash" ] || fail_with differs
  # A line with `-` names a file that the sender could not read, and that holds zeros here. Any other line gives a folder's mode.
  while IFS= read -r end_line; do
    decode_text "${end_line#* }"
    case /$plain_text/ in *//?*|*/./*|*/../*) fail_with cut ;; esac
    if [ "${end_line%% *}" = - ]; then
      tool_says=$(rm -f "t/$plain_text" 2>&1) || fail_with io "$tool_says"
    elif [ -n "$plain_text" ]; then
      set_mode "${end_line%% *}" "$plain_text" || say_line "N mode" "$to_folder/$plain_text"
    else
      # The target itself: its mode is set when nothing is left to do in it.
      open_path=
      open_mode=${end_line%% *}
    fi
  done
} <end

# Another put may have made it since, or make it in this moment.
if [ -n "$new_name" ]; then
  is_there "..$new_name" || tool_says=$(move_folder t "..$new_name" 2>&1) || is_there "..$new_name" || fail_with io "$tool_says"
  case $new_name in /.|/..) ;; *) [ ! -d t ] || join_folder ;; esac
fi
# What is left is moved from within it: this shell itself stays where it clears up.
[ ! -d t ] || (
  # Some shells go where the path of the stage leads by now. What it holds, only we know.
  { cd -P t && read -r sent_hash <../hash && [ "$sent_hash" = "$sha_hex" ]; } || fail_with taken
  base_now=../..
  there_now=$base_now$new_name/
  merge_folder .
) || exit 1
clean_up
say_line ok
