# shellcheck shell=sh
# Ends a command. Finds the process whose arguments bear the token $1 (a pattern that does not match itself), sends the
# signal $2 to its group, and kills what is left after 2 s. Says `gone`, `left` or `none`.
#
# A process that leads no group is signalled alone, so that a server's own group is never hit. One that is dead and not yet
# waited for (`Z`) does not count as left, and an `ssh` that bears the token is no more than its messenger (where the
# workspace is this machine). A command that was asked for just now may take a moment to appear.

# The process ids of those that bear the token $1.
list_holders() {
  if [ -r /proc/self/stat ]; then
    grep -l "$1" /proc/[0-9]*/cmdline 2>/dev/null | while IFS=/ read -r _ _ process_id _; do echo "$process_id"; done
  else
    ps -axww -o pid= -o command= | grep "$1" | while read -r process_id _; do echo "$process_id"; done
  fi
}

# Every process that is no ssh: its id, its group, its state.
list_processes() {
  if [ -r /proc/self/stat ]; then
    for stat_file in /proc/[0-9]*/stat; do
      read -r stat_line 2>/dev/null <"$stat_file" || continue
      process_id=${stat_file#/proc/}
      # shellcheck disable=SC2086 # split into fields
      set -- ${stat_line##*) }
      case $stat_line in *"(ssh) "*) ;; *) echo "${process_id%/stat} $3 $1" ;; esac
    done
  else
    ps -ax -o pid= -o pgid= -o state= -o comm= | while read -r process_id group_id process_state program_name; do
      case $program_name in ssh|*/ssh) ;; *) echo "$process_id $group_id $process_state" ;; esac
    done
  fi
}

# A tenth of a second, or a second where sleep takes no fraction.
pause_once() { sleep 0.1 2>/dev/null || { sleep 1; try_count=$((try_count + 9)); }; }

# What to signal: groups as negative numbers.
find_targets() {
  # shellcheck disable=SC2046 # joined into one line
  holder_ids=$(echo $(list_holders "$1"))
  list_processes | while read -r process_id group_id process_state; do
    case " $holder_ids " in
      *" $process_id "*) if [ "$process_id" = "$group_id" ]; then echo "-$process_id"; else echo "$process_id"; fi ;;
    esac
  done
}

send_signal() { for target_id in $found_targets; do kill -s "$1" -- "$target_id" 2>/dev/null; done; }

# Whether any of them runs.
is_any_left() {
  for target_id in $found_targets; do
    kill -s 0 -- "$target_id" 2>/dev/null || continue
    live_one=$(list_processes | while read -r process_id group_id process_state; do
      case $process_state in Z*) continue ;; esac
      [ "$process_id" = "$target_id" ] || [ "-$group_id" = "$target_id" ] && { echo yes; break; }
    done)
    [ -z "$live_one" ] || return 0
  done
  return 1
}

try_count=0
found_targets=$(find_targets "$1")
while [ -z "$found_targets" ]; do
  try_count=$((try_count + 1))
  [ $try_count -ge 20 ] && { echo none; exit; }
  pause_once
  found_targets=$(find_targets "$1")
done
group_targets=$(for target_id in $found_targets; do case $target_id in -*) echo "$target_id" ;; esac; done)
[ -n "$group_targets" ] && found_targets=$group_targets
send_signal "$2"
try_count=0
while is_any_left; do
  try_count=$((try_count + 1))
  [ $try_count -eq 20 ] && send_signal KILL
  [ $try_count -ge 30 ] && { echo left; exit; }
  pause_once
done
echo gone
