# shellcheck shell=sh disable=SC2154
# Takes one file. $1 the path, $2 the umask to create with (- the login's own), $3 the mode to set (empty: none, - as the old
# file has it), $4 the time, $5 the name under which it goes into a folder (- does not), $6 the SHA-256 that the old file must have
# (empty: there is none, - any), $7 how it comes on stdin. Private: the name to write to, and of a small file the SHA-256 and the
# content. Where sshd does not take that, a small file comes on stdin: "line", just as it is private. Every other comes there
# as it is.
decode_path "$1"
to_path=$plain_text
new_mode=$3
if [ "$5" != - ] && [ -d "$to_path" ]; then
  decode_text "$5"
  to_path=${to_path%/}/$plain_text
  say_line into
fi
refuse_way "$to_path"
# Where links lead, as it was judged.
case $to_path in */) to_path=$way_path/ ;; *) to_path=$way_path ;; esac
[ ! -L "$to_path" ] || fail_with taken
[ ! -d "$to_path" ] || fail_with folder
[ ! -e "$to_path" ] || [ -f "$to_path" ] || fail_with special
to_folder=${to_path%/*}
[ -d "$to_folder/" ] || tool_says=$(mkdir -p "$to_folder/" 2>&1) || fail_with io "$tool_says"
# What was there already has been looked at.
[ -z "$way_left" ] || { refuse_way "$to_folder/"; [ -z "$way_missing" ] || fail_with taken; to_folder=${way_path%/}; }
to_shared=
! is_shared "$to_folder" || to_shared=yes
is_beside=yes
stage_place=$to_folder/
if [ ! -w "$to_folder/" ]; then
  [ -f "$to_path" ] && [ -w "$to_path" ] || fail_with closed
  is_beside=
  stage_place=${TMPDIR:-/tmp}
fi

# Leaves of new_mode what a new file may have under the umask $1: digit by digit, since not every shell counts in octal. Of a file
# with an access list, which `ls` shows in $2, the mode says nothing of the group.
mask_mode() {
  mode_left=00$new_mode
  mask_left=000$1
  new_mode=
  while [ ${#mode_left} -gt 3 ]; do mode_left=${mode_left#?}; done
  while [ ${#mask_left} -gt 3 ]; do mask_left=${mask_left#?}; done
  case $2 in ??????????+*) mode_left=${mode_left%??}0${mode_left#??} ;; esac
  while [ -n "$mode_left" ]; do
    new_mode=$new_mode$((${mode_left%"${mode_left#?}"} & (7 - ${mask_left%"${mask_left#?}"})))
    mode_left=${mode_left#?}
    mask_left=${mask_left#?}
  done
}

take_private
if [ "$7" = line ] && [ "$private_text" = "$our_mark" ]; then
  IFS= read -r private_text || fail_with cut
  case $private_text in "$our_mark "*) private_text=${private_text#* } ;; *) fail_with cut ;; esac
fi
temp_file=
clean_up() {
  ignore_signals
  [ -z "$temp_file" ] || rm -f "$temp_file" "$temp_file.old"
  [ -z "$stage_name" ] || { [ ! -f "./$file_name" ] || rm -f "./$file_name"; leave_stage; }
}
old_mode=
file_name=${to_path##*/}
is_small=${private_text#"${private_text%% *}"}
if [ -n "$is_beside" ] && [ -n "$is_small" ] && enter_own "$to_folder/" "./$file_name"; then
  there_now=./
  stage_made=.runcode-${private_text%% *}
  temp_file=./$stage_made
else
  enter_stage "$stage_place"
  there_now=../
  [ -n "$is_beside" ] || there_now=$to_folder/
  temp_file=./$stage_name
fi
to_path=$there_now$file_name
if [ "$new_mode" = - ]; then
  new_mode=
  if [ -e "$to_path" ]; then
    new_mode=${old_mode:-$(stat -c %a "$to_path" 2>/dev/null || stat -f %Lp "$to_path" 2>/dev/null)}
    [ -z "$to_shared" ] || mask_mode "$(umask)" "$(ls -ld "$to_path" 2>/dev/null)"
    umask 077
  fi
  case $new_mode in ????) new_mode=${new_mode#?} ;; esac
fi
[ "$2" = - ] || umask "$2"
set -C
# By the shell itself, which has no printf of its own where it has print: the arguments of a program are for every user to read.
print_small() {
  case ${KSH_VERSION-}${SH_VERSION-} in *"PD KSH"*|*MIRBSD*|*LEGACY*) print -n -- "$private_text" ;; *) printf %b "$private_text" ;; esac
}
if [ -n "$is_small" ]; then
  private_text=${private_text#* }
  sent_hash=${private_text%% *}
  private_text=${private_text#* }
  # Once more for its words when it fails: that costs a process only then.
  { print_small >"$temp_file"; } 2>/dev/null || {
    rm -f "$temp_file"
    tool_says=$({ print_small >"$temp_file"; } 2>&1) || fail_with io "$tool_says"
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
  # One that cannot be read is there all the same.
  [ ! -e "$to_path" ] || hash_file 0 "$to_path" || sha_hex=unread
  [ "$sha_hex" = "$6" ] || fail_with changed
fi
[ -e "$to_path" ] || say_line new
if [ -n "$is_beside" ] && [ -f "$to_path" ]; then
  keep_owner "$to_path" "$temp_file"
  if [ -z "$to_shared" ] && command -v getfacl >/dev/null 2>&1; then
    access_list=$(getfacl -cps "$to_path" 2>/dev/null)
    [ -z "$access_list" ] || printf "%s\n" "$access_list" | setfacl --set-file=- "$temp_file" 2>/dev/null ||
      say_note acl "$to_path"
  fi
fi
[ -z "$new_mode" ] || chmod "$new_mode" "$temp_file" 2>/dev/null
[ ! -d "$to_path" ] || fail_with folder
# A folder that others put there meanwhile must not be entered. If mv has no -T, the file goes under its own name into the folder
# above, which is a rename.
move_file() {
  mv -fT "$temp_file" "$to_path" 2>/dev/null && return
  [ ! -d "$to_path" ] || return 1
  if [ "$there_now" = ../ ]; then
    mv -f "$temp_file" "./$file_name" || return 1
    mv -f "./$file_name" ../ || { mv -f "./$file_name" "$temp_file"; false; }
  else
    mv -f "$temp_file" "$to_path"
  fi
}
# Makes a file where there is none: neither a link nor noclobber takes the place of one that has come in between.
make_file() {
  ln -T "$temp_file" "$to_path" 2>/dev/null && return
  {
    {
      [ -z "$new_mode" ] || chmod "$new_mode" /dev/fd/1 2>/dev/null
      cat "$temp_file" || { rm -f "$to_path"; false; }
    } >"$to_path"
  } 2>&1
}
if [ -z "$6" ]; then
  ! is_there "$to_path" || fail_with changed
  tool_says=$(make_file) || { ! is_there "$to_path" || fail_with changed; fail_with io "$tool_says"; }
  rm -f "$temp_file"
elif [ -z "$is_beside" ] || ! tool_says=$(move_file 2>&1); then
  write_in_place "$temp_file" "$to_path" "$new_mode" || fail_with io "$tool_says"
  rm -f "$temp_file"
fi
ignore_signals
temp_file=
[ -z "$stage_name" ] || leave_stage
say_line ok
