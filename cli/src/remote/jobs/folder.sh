# shellcheck shell=sh
# What the scripts that the client asks share: the folder of jobs, and our lines. $1$2 begins each of them.
our_mark=$1$2

tell_fact() { printf '%s %.600s\n' "$our_mark" "$1" || exit 1; }

give_up() {
  tell_fact "failed $1"
  tell_fact end
  exit 1
}

# Enters the folder of jobs, and makes it first where $1 says so. Nobody else may be able to plant or change anything in it:
# it is looked at from inside, where no link can be put in its place any more. False where there is none.
enter_jobs() {
  case ${XDG_STATE_HOME-} in /*) state_home=$XDG_STATE_HOME ;; *) state_home=$HOME/.local/state ;; esac
  [ -z "$1" ] || mkdir -p "$state_home/runcode/jobs" 2>/dev/null
  if ! cd -P "$state_home/runcode/jobs" 2>/dev/null; then
    [ -z "$1" ] && [ ! -e "$state_home/runcode/jobs" ] && return 1
    give_up "no-folder $state_home/runcode/jobs"
  fi
  case $(pwd -P) in */runcode/jobs) ;; *) give_up "foreign $state_home/runcode/jobs" ;; esac
  own_user=$(id -u)
  ls -ldn . .. | {
    good_folders=0
    while read -r folder_mode _ folder_owner _; do
      case $folder_mode in d????-??-*) [ "$folder_owner" != "$own_user" ] || good_folders=$((good_folders + 1)) ;; esac
    done
    [ "$good_folders" = 2 ]
  } || give_up "foreign $state_home/runcode/jobs"
  [ -z "$1" ] || chmod 700 .
}

# Names this boot of the machine, or of its container: what runs now did not run before it.
find_boot() {
  found_boot=
  read -r found_boot 2>/dev/null </proc/sys/kernel/random/boot""_id
  [ -n "$found_boot" ] || found_boot=$(sysctl -n kern.boottime 2>/dev/null || who -b 2>/dev/null)
  find_start 1
  found_boot=$(printf '%s' "${found_boot%%,*}-$found_start" | tr -cs 'A-Za-z0-9' -)
}
