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

# Goes into the folder $1 if nobody else can exchange what is in it: it is ours, and closed to the writing of others. Where there
# are access lists, Linux shows in the mode the most that they allow. Sets old_mode to the mode of the file $2 in it.
enter_own() {
  [ -e /proc/self/mountinfo ] && cd -P "$1" && [ -O . ] && [ . -ef "$1" ] || return 1
  set -- $(stat -c %a . "$2")
  old_mode=$2
  case $1 in *[0145][0145]) ;; *) return 1 ;; esac
  trap clean_up EXIT
  trap "$at_signal" HUP INT TERM PIPE
} 2>/dev/null

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

# Gives up if $1, whose owner $2 says where that is known, is what another user has put into a sticky folder where a group or
# everybody may, as fs.protected_regular of Linux does: they would read what is written.
refuse_planted() {
  [ -k "${1%/*}/" ] || return 0
  # The mode and owner of the folder, then those of what is in it: two lines, or one if that is gone.
  both_facts=$(stat -c "%A %u" "${1%/*}/" "$1" 2>/dev/null) || [ -n "$both_facts" ] ||
    both_facts=$(stat -f "%Sp %u" "${1%/*}/" "$1" 2>/dev/null)
  case $both_facts in ?????w*|????????w*|"") ;; *) return 0 ;; esac
  case $both_facts in *" "*" "*) file_owner=${both_facts##* } ;; *) file_owner= ;; esac
  file_owner=${2-$file_owner}
  folder_owner=${both_facts#* }
  case ${file_owner%:*} in 0|"${folder_owner%%[!0-9]*}"|"${own_id:=$(id -u)}") ;; *) fail_with planted ;; esac
}

# Whether the folder $1 is sticky and others may make files in it, under names that a login of ours may have in mind.
is_shared() {
  [ -k "$1/" ] && case $(ls -ld "$1/") in ?????w*|????????w*) ;; *) false ;; esac
}

# Gives up if $1 has a second name, and is in such a folder: others can give one to a file that is ours or root's, and that they
# may read.
refuse_twin() {
  if [ -d "$1" ] && [ ! -L "$1" ] || ! is_shared "${1%/*}"; then return 0; fi
  set -- $(ls -ld "$1" 2>/dev/null)
  [ "${2-1}" = 1 ] || fail_with planted
}

# The same for every existing part of the path $1: folders, links, and what links lead to. Leaves in way_path where it leads,
# without the links that were judged: another look at the path itself might find others. Leaves in way_missing the first name
# on it that is not there, and in way_left what is below that.
refuse_way() {
  way_left=$1/
  way_here=./
  case $1 in /*) way_here=/ ;; esac
  way_links=
  way_missing=
  while [ -n "$way_left" ]; do
    way_name=${way_left%%/*}
    way_left=${way_left#*/}
    case $way_name in "") continue ;; .|..) way_here=$way_here$way_name/; continue ;; esac
    is_there "$way_here$way_name" || { way_missing=$way_name; way_here=$way_here$way_name/$way_left; break; }
    refuse_planted "$way_here$way_name"
    refuse_twin "$way_here$way_name"
    if [ -L "$way_here$way_name" ]; then
      way_links=x$way_links
      [ ${#way_links} -le 40 ] || fail_with io "too many levels of symbolic links"
      way_lead=$(readlink "$way_here$way_name" && echo x)
      way_left=${way_lead%?x}/$way_left
      case $way_left in /*) way_here=/ ;; esac
    else
      way_here=$way_here$way_name/
    fi
  done
  way_path=${way_here%/}
  way_path=${way_path:-/}
}

# Gives the file $2 the owner and group of $1, whose place it takes. In a shared folder it takes nothing over: to_shared.
keep_owner() {
  [ -z "$to_shared" ] || refuse_twin "$1"
  if ! { [ -O "$1" ] && [ -G "$1" ] && [ -G "$2" ]; }; then
    old_owner=$(show_owner "$1")
    refuse_planted "$1" "$old_owner"
    [ -n "$to_shared" ] || chown -h "$old_owner" "$2" 2>/dev/null || chgrp -h "${old_owner#*:}" "$2" 2>/dev/null
    [ "$(show_owner "$2")" = "$old_owner" ] || say_note "owner $old_owner" "$1"
  fi
}

# Writes the content of the file $1 into $2, which cannot be replaced: a mount point, or a file in a folder of others. When
# that fails it gets back what it had. Its mode becomes $3, if any: that of the very file that is written to.
write_in_place() {
  [ -f "$1" ] && [ ! -L "$1" ] && [ -f "$2" ] && [ ! -L "$2" ] && [ -w "$2" ] || return 1
  refuse_planted "$2"
  # What is root's there may have been given that name by others, who may read it.
  if is_shared "${2%/*}"; then
    refuse_twin "$2"
    [ -O "$2" ] || fail_with planted
  fi
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
