# shellcheck shell=sh disable=SC2154
# Looks around below a folder. $1 the path; $2 what is looked for: entries (of the folder), names (of the files below it, each
# with its time) or lines (that match). Of lines: $3 the pattern, $4 the files to look in (none: all), $5 how they are shown
# (lines, files, count), $6 -i or nothing, $7 how many lines around each, $8 how many lines at most.

in_git() {
  command -v git >/dev/null 2>&1 &&
    [ "$(git -c core.fsmonitor=false rev-parse --is-inside-work-tree 2>/dev/null)" = true ]
}

# Of git's tree what git does not ignore, else everything but what is git's own.
all_names() {
  if [ "$used_tool" = git ]; then
    git -c core.fsmonitor=false ls-files -coz --exclude-standard
  else
    find . -name .git -prune -o ! -type d -print0
  fi
}

# Runs the tool with the options given.
run_search() {
  if [ "$used_tool" = rg ]; then
    [ -z "$only_in" ] || set -- "$@" -g "$only_in"
    rg --no-config --no-heading --color=never -H "$@" -- "$start_at"
  elif [ "$used_tool" = git ]; then
    case $only_in in "") ;; */*) start_at=":(glob)$only_in" ;; *) start_at=":(glob)**/$only_in" ;; esac
    git -c core.fsmonitor=false grep --untracked --no-color -IE "$@" -- "$start_at"
  else
    case $only_in in */*) name_test=-path; only_in=./$only_in ;; *) name_test=-name ;; esac
    find "$start_at" -name .git -prune -o -type f "$name_test" "${only_in:-*}" -exec grep -EH "$@" /dev/null {} +
  fi
}

decode_path "$1"
from_path=$plain_text
[ -e "$from_path" ] || fail_with missing
start_at=.
if [ ! -d "$from_path" ]; then
  [ "$2" = lines ] || fail_with file
  start_at=./${from_path##*/}
  from_path=${from_path%/*}/
fi
cd "$from_path" 2>/dev/null || fail_with denied
if [ "$2" = entries ]; then
  say_line "T ls"
  ls -1Ap 2>/dev/null | head -n 2001
elif [ "$2" = names ]; then
  used_tool=find
  ! in_git || used_tool=git
  say_line "T $used_tool"
  stat_flag=-c
  time_form="%Y %n"
  stat -c %Y . >/dev/null 2>&1 || { stat_flag=-f; time_form="%m %N"; }
  all_names 2>/dev/null | xargs -0 stat "$stat_flag" "$time_form" 2>/dev/null
else
  decode_text "$3"
  look_for=$plain_text
  decode_text "$4"
  only_in=$plain_text
  case_flag=$6
  most_lines=$8
  around_it=$7
  case $5 in files) set -- -l ;; count) set -- -c ;; *) set -- -n ;; esac
  [ "$around_it" = 0 ] || set -- "$@" -C "$around_it"
  [ -z "$case_flag" ] || set -- "$@" -i
  set -- "$@" -e "$look_for"
  used_tool=grep
  ! in_git || used_tool=git
  ! command -v rg >/dev/null 2>&1 || used_tool=rg
  say_line "T $used_tool"
  exec 4>&1
  {
    { run_search "$@" 2>&1 >&3 3>&-; echo "status $?"; } | sed "s/^/$our_mark W /" >&4
  } 3>&1 | cut -c 1-2000 | head -n "$most_lines"
fi
say_line ok
