# shellcheck shell=sh disable=SC2154
# Takes one file. $1 the path, $2 the umask to create with (- the login's own), $3 the mode to set (empty: none, - as the old
# file has it), $4 the time, $5 the name under which it goes into a folder (- does not). Private: the name to write to, and
# of a small file the SHA-256 and the content; the content of every other comes on stdin.
decode_path "$1"
to_path=$plain_text
new_mode=$3
if [ "$5" != - ] && [ -d "$to_path" ]; then
  decode_text "$5"
  to_path=${to_path%/}/$plain_text
  say_line into
fi
# Where a link leads.
if [ -L "$to_path" ]; then
  link_end=$(readlink -f "$to_path" && echo x)
  link_end=${link_end%?x}
  [ -z "$link_end" ] || to_path=$link_end
fi
[ ! -d "$to_path" ] || fail_with folder
[ ! -e "$to_path" ] || [ -f "$to_path" ] || fail_with special
to_folder=${to_path%/*}
[ -d "$to_folder/" ] || tool_says=$(mkdir -p "$to_folder/" 2>&1) || fail_with io "$tool_says"
there_now=../
stage_place=$to_folder/
if [ ! -w "$to_folder/" ]; then
  [ -f "$to_path" ] && [ -w "$to_path" ] || fail_with closed
  there_now=$to_folder/
  stage_place=${TMPDIR:-/tmp}
fi

take_private
clean_up() {
  ignore_signals
  [ -z "$stage_name" ] || { rm -f "$temp_file" "$temp_file.old"; leave_stage; }
}
enter_stage "$stage_place"
temp_file=./$stage_name
to_path=$there_now${to_path##*/}
if [ "$new_mode" = - ]; then
  new_mode=
  if [ -e "$to_path" ]; then
    new_mode=$(stat -c %a "$to_path" 2>/dev/null || stat -f %Lp "$to_path" 2>/dev/null)
    umask 077
  fi
  case $new_mode in ????) new_mode=${new_mode#?} ;; esac
fi
[ "$2" = - ] || umask "$2"
set -C
if [ "$private_text" != "${private_text#* }" ]; then
  private_text=${private_text#* }
  sent_hash=${private_text%% *}
  private_text=${private_text#* }
  # Once more for its words when it fails: that costs a process only then.
  { printf %b "$private_text" >"$temp_file"; } 2>/dev/null || {
    rm -f "$temp_file"
    tool_says=$({ printf %b "$private_text" >"$temp_file"; } 2>&1) || fail_with io "$tool_says"
  }
  sent_size=0
else
  tool_says=$({ cat >"$temp_file"; } 2>&1) || fail_with io "$tool_says"
  # The last 119 bytes are the mark, the length and the SHA-256 of what came before them.
  sent_trailer=$(tail -c 119 "$temp_file" 2>/dev/null)
  case $sent_trailer in "$our_mark "*) ;; *) fail_with cut ;; esac
  sent_trailer=${sent_trailer#* }
  sent_size=${sent_trailer% *}
  sent_hash=${sent_trailer#* }
  # Without its leading zeros.
  sent_size=${sent_size#"${sent_size%%[1-9]*}"}
  sent_size=${sent_size:-0}
  tool_says=$(dd if=/dev/null of="$temp_file" bs=1 seek="$sent_size" 2>&1) || fail_with io "$tool_says"
fi
# While it is hashed; -c, so that it makes no file when this one has been given up.
if [ "$4" != - ]; then
  { touch -c -d "@$4" "$temp_file" || touch -c -d "@${4%.*}" "$temp_file"; } 2>/dev/null &
fi
hash_file "$sent_size" "$temp_file" || fail_with nohash
wait
[ "$sha_hex" = "$sent_hash" ] || fail_with differs
if [ "$6" != - ]; then
  sha_hex=
  [ ! -f "$to_path" ] || hash_file 0 "$to_path"
  [ "$sha_hex" = "$6" ] || fail_with changed
fi
[ -e "$to_path" ] || say_line new
if [ "$there_now" = ../ ] && [ -f "$to_path" ]; then
  keep_owner "$to_path" "$temp_file"
  if command -v getfacl >/dev/null 2>&1; then
    access_list=$(getfacl -cps "$to_path" 2>/dev/null)
    [ -z "$access_list" ] || printf "%s\n" "$access_list" | setfacl --set-file=- "$temp_file" 2>/dev/null ||
      say_note acl "$to_path"
  fi
fi
[ -z "$new_mode" ] || chmod "$new_mode" "$temp_file" 2>/dev/null
[ ! -d "$to_path" ] || fail_with folder
# -T, where mv has it, goes into no folder that has come in between.
move_file() { mv -fT "$temp_file" "$to_path" 2>/dev/null || { [ ! -d "$to_path" ] && mv -f "$temp_file" "$to_path"; }; }
if [ "$there_now" != ../ ] || ! tool_says=$(move_file 2>&1); then
  write_in_place "$temp_file" "$to_path" "$new_mode" || fail_with io "$tool_says"
  rm -f "$temp_file"
fi
ignore_signals
leave_stage
say_line ok
