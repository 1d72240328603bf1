# shellcheck shell=sh disable=SC2154
# Looks around below a folder. $1 the path; $2 what is looked for: entries (of the folder), names (of the files below it, each
# with its time) or lines (that match). Of lines: $3 the pattern, $4 the files to look in (none: all), $5 how they are shown
# (lines, files, count), $6 -i or nothing, $7 how many lines around each, $8 how many lines at most.
#
# A name may have a line feed in it. So what ends an entry is a slash, and what ends a name with its time is two of them: neither
# can be a part of it.

# Hits are lines that begin with a name, so a name with a line feed could pass for several of them.
line_feed=$(printf "\nx")
line_feed=${line_feed%x}

# Git, without what the files of a checkout could have it run: a bare repository among them has a config of its own.
run_git() {
  GIT_NO_LAZY_FETCH=1 GIT_ALLOW_PROTOCOL=none git -c safe.bareRepository=explicit -c core.fsmonitor=false -c core.quotePath=false "$@"
}

in_git() {
  command -v git >/dev/null 2>&1 && [ "$(run_git rev-parse --is-inside-work-tree 2>/dev/null)" = true ]
}

# Of git's tree what git does not ignore, else everything but what is git's own.
all_names() {
  if [ "$used_tool" = git ]; then
    run_git ls-files -coz --exclude-standard
  else
    find . -name .git -prune -o ! -type d -print0
  fi
}

# For a shell of its own: says how many arguments it has, which are names that are left out. Some shells give others no fd
# above 2 but as a redirection: 4>&4.
tell_odd="echo \"\$0 odd \$#\" >&4"

# Says how many names the tool is going to leave out; find says that by itself.
count_odd() {
  if [ "$used_tool" = rg ]; then
    rg --no-config --files --null --hidden -g "*$line_feed*" -g "**/*$line_feed*/**" -g "!.git" -- "$start_at"
  elif [ "$used_tool" = git ]; then
    run_git ls-files -coz --exclude-standard -- "*$line_feed*"
  fi
}

# Whether a NUL gets through what shows the lines.
is_nul_kept() {
  [ "$(printf "a\000b\n" | each_hit | head -n 1 | wc -c)" -eq 4 ]
}

# The option of the tool that puts a NUL between a name and what follows, if it has one: no name has a NUL, and a name may look
# like a name with the number of a line.
end_names() {
  [ "$shown_as" != files ] && is_nul_kept || return 0
  if [ "$used_tool" = rg ]; then
    echo --null
  elif [ "$used_tool" = git ]; then
    # It then does not tell the lines around a hit from the hit.
    [ "$around_it" != 0 ] || echo -z
  elif printf "x\n" | grep --null x >/dev/null 2>&1; then
    echo --null
  fi
}

# Runs the tool with the options given.
run_search() {
  if [ "$used_tool" = rg ]; then
    [ -z "$only_in" ] || set -- "$@" -g "$only_in"
    rg --no-config --no-heading --color=never -H --hidden "$@" -g "!*$line_feed*" -g "!.git" -- "$start_at"
  elif [ "$used_tool" = git ]; then
    case $only_in in "") ;; */*) start_at=":(glob)$only_in" ;; *) start_at=":(glob)**/$only_in" ;; esac
    run_git grep --untracked --no-color -IE "$@" -- "$start_at" ":(exclude)*$line_feed*"
  else
    case $only_in in */*) name_test=-path; only_in=./$only_in ;; *) name_test=-name ;; esac
    find "$start_at" -name .git -prune -o -name "*$line_feed*" -prune -exec sh -c "$tell_odd" "$our_mark" {} + -o \
      -type f "$name_test" "${only_in:-*}" -exec grep -EH "$@" /dev/null {} + 4>&4
  fi
}

# The entries of this folder; folders end in two slashes. One that comes too many says that there are more.
each_entry() {
  most_lines=2001
  for entry_path in .[!.]* ..?* *; do
    [ -e "$entry_path" ] || [ -L "$entry_path" ] || continue
    [ "$most_lines" -gt 0 ] || break
    most_lines=$((most_lines - 1))
    if [ -d "$entry_path" ] && [ ! -L "$entry_path" ]; then entry_path=$entry_path/; fi
    printf "%s/\n" "$entry_path"
  done
}

# What is shown of the lines that come. Some tools also count the files without any, which would take the place of others.
each_hit() {
  if [ "$shown_as" = count ]; then
    sed "/[^0-9]0\$/d"
  else
    cut -c 1-2000
  fi
}

decode_path "$1"
from_path=$plain_text
[ -e "$from_path" ] || fail_with missing
start_at=.
found_in=folder
if [ ! -d "$from_path" ]; then
  [ "$2" = lines ] || fail_with file
  found_in=file
  start_at=./${from_path##*/}
  from_path=${from_path%/*}/
fi
cd "$from_path" 2>/dev/null || fail_with denied
if [ "$2" = entries ]; then
  say_line "T sh folder"
  each_entry
elif [ "$2" = names ]; then
  used_tool=find
  ! in_git || used_tool=git
  say_line "T $used_tool folder"
  stat_flag=-c
  time_form="%Y %n//"
  stat -c %Y . >/dev/null 2>&1 || { stat_flag=-f; time_form="%m %N//"; }
  all_names 2>/dev/null | xargs -0 stat "$stat_flag" "$time_form" -- 2>/dev/null
else
  decode_text "$3"
  look_for=$plain_text
  decode_text "$4"
  only_in=$plain_text
  case_flag=$6
  most_lines=$8
  around_it=$7
  shown_as=$5
  case $5 in files) set -- -l ;; count) set -- -c ;; *) set -- -n ;; esac
  [ "$around_it" = 0 ] || set -- "$@" -C "$around_it"
  [ -z "$case_flag" ] || set -- "$@" -i
  set -- "$@" -e "$look_for"
  used_tool=grep
  ! in_git || used_tool=git
  ! command -v rg >/dev/null 2>&1 || used_tool=rg
  say_line "T $used_tool $found_in"
  name_end=$(end_names)
  [ -z "$name_end" ] || set -- "$@" "$name_end"
  # What is no text is no line; of one file it is told.
  if [ "$used_tool$found_in" = grepfolder ] && printf "x\n" | grep -I x >/dev/null 2>&1; then set -- "$@" -I; fi
  exec 4>&1
  [ "$found_in" = file ] || count_odd 2>/dev/null | xargs -0 sh -c "$tell_odd" "$our_mark" 4>&4
  {
    { run_search "$@" 2>&1 >&3 3>&-; echo "status $?"; } | sed "s/^/$our_mark W /" >&4
  } 3>&1 | each_hit | head -n "$most_lines"
fi
say_line ok
