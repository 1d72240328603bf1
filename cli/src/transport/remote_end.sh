# shellcheck shell=sh
# Ends a command. Finds the process whose arguments contain the token $1 (a pattern that does not match itself), sends the
# signal $2 to its whole family, and kills what is left after 2 s. Looks for it for $3
# tenths of a second. Prints `gone`, `left` or `none`. With a fourth argument it only sends the signal,
# prints `sent`, and spares our own shell around the command, which has to say how that ends.
#
# The family: the process, its descendants, and whatever is in a group or session that one of them leads. Each such group gets
# the signal once; a group that none of them leads does not, since it may belong to a server. A zombie (`Z`) does not count as
# left. An `ssh` with the token in its arguments only carries the command (if the workspace is this machine). A command that
# was requested just now may take a moment to appear.

# The ids of the processes with the token $1 in their arguments.
list_holders() {
  if [ -r /proc/self/stat ]; then
    grep -l "$1" /proc/[0-9]*/cmdline 2>/dev/null | while IFS=/ read -r _ _ process_id _; do echo "$process_id"; done
  else
    ps -axww -o pid= -o command= | grep "$1" | while read -r process_id _; do echo "$process_id"; done
  fi
}

# Prints a process, five words: id $1, group $2, state $3, parent $4, session $5. Nothing if one of them cannot be right.
list_one() {
  case $1$2$4$5 in *[!0-9]*) return ;; esac
  case $3$5 in [A-Za-z][0-9]*) echo "$1 $2 $3 $4 $5" ;; esac
}

# Every process except ssh, as `list_one` prints them; the session is 0 where it is unknown. A process chooses its own name: it
# may hold line feeds, brackets and patterns.
list_processes() {
  if [ -r /proc/self/stat ]; then
    for stat_file in /proc/[0-9]*/stat; do
      set -f
      stat_line=
      while IFS= read -r stat_part; do stat_line="$stat_line$stat_part "; done 2>/dev/null <"$stat_file" || continue
      process_id=${stat_file#/proc/}
      case $stat_line in *"(ssh) "*) continue ;; esac
      # shellcheck disable=SC2086 # split into fields
      set -- ${stat_line##*\) }
      list_one "${process_id%/stat}" "$3" "$1" "$2" "$4"
    done
  else
    ps -ax -o pid= -o pgid= -o state= -o ppid= -o comm= | \
      while read -r process_id group_id process_state parent_id program_name; do
      case $program_name in ssh|*/ssh) continue ;; esac
      list_one "$process_id" "$group_id" "${process_state%"${process_state#?}"}" "$parent_id" 0
    done
  fi
}

# Waits a tenth of a second, then two, three and four, since each look at the processes costs a busy workspace time. Where sleep
# takes no fraction it waits a second. Adds to `tenths_waited`.
pause_once() {
  [ $pause_tenths -ge 4 ] || pause_tenths=$((pause_tenths + 1))
  tenths_waited=$((tenths_waited + pause_tenths))
  sleep 0.$pause_tenths 2>/dev/null || { sleep 1; tenths_waited=$((tenths_waited + 10 - pause_tenths)); }
}

# From the list of all processes, adds those with the token to the family.
pick_holders() {
  while [ $# -ge 5 ]; do
    case $holder_ids in *" $1 "*) family_ids="$family_ids$1 " ;; esac
    shift 5
  done
}

# From the list of all processes, adds those that belong to the family so far.
take_in() {
  while [ $# -ge 5 ]; do
    case $family_ids in *" $1 "*) ;; *" $2 "*|*" $4 "*|*" $5 "*) family_ids="$family_ids$1 " ;; esac
    shift 5
  done
}

# shellcheck disable=SC2046 # split into fields, here and below
grow_family() {
  known_ids=
  while [ "$known_ids" != "$family_ids" ]; do
    known_ids=$family_ids
    take_in $(list_processes)
  done
}

# From the list of all processes, collects the family as targets of a signal: groups are negative numbers.
aim_at() {
  found_targets=" "
  while [ $# -ge 5 ]; do
    case $family_ids in *" $1 "*) ;; *) shift 5; continue ;; esac
    next_target=$1
    case $family_ids in *" $2 "*) next_target=-$2 ;; esac
    case $found_targets in *" $next_target "*) ;; *) found_targets="$found_targets$next_target " ;; esac
    shift 5
  done
}

send_signal() {
  aim_at $(list_processes)
  for target_id in $found_targets; do kill -s "$1" -- "$target_id" 2>/dev/null; done
}

# Whether any process in the list belongs to the family and still runs.
is_one_left() {
  while [ $# -ge 5 ]; do
    case $3 in Z*) ;; *) case $family_ids in *" $1 "*) return 0 ;; esac ;; esac
    shift 5
  done
  return 1
}

tenths_waited=0 pause_tenths=0
family_ids=" "
while :; do
  holder_ids=" $(echo $(list_holders "$1")) "
  pick_holders $(list_processes)
  [ "$family_ids" = " " ] || break
  [ $tenths_waited -ge "$3" ] && { echo none; exit; }
  pause_once
done
grow_family
if [ -n "$4" ]; then
  for target_id in $family_ids; do
    case $holder_ids in *" $target_id "*) ;; *) kill -s "$2" -- "$target_id" 2>/dev/null ;; esac
  done
  echo sent
  exit
fi
send_signal "$2"
tenths_waited=0 pause_tenths=0 was_killed=
while grow_family; is_one_left $(list_processes); do
  [ $tenths_waited -ge 30 ] && { echo left; exit; }
  [ $tenths_waited -ge 20 ] && [ -z "$was_killed" ] && { was_killed=yes; send_signal STOP; grow_family; send_signal KILL; }
  pause_once
done
echo gone
