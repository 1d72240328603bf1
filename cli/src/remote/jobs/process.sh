# shellcheck shell=sh
# What all scripts about jobs share: processes, told apart by when they started, since ids are used again.

# Finds the start of the process $1, and its group; both are empty where it does not run any more. A process chooses its own
# name: it may hold line feeds and brackets.
# shellcheck disable=SC2086,SC2046 # split into fields
find_start() {
  found_start='' found_group=''
  if [ -r /proc/self/stat ]; then
    stat_line=
    while IFS= read -r stat_part; do stat_line="$stat_line$stat_part "; done 2>/dev/null <"/proc/$1/stat" || return 0
    set -f
    set -- ${stat_line##*\) }
    set +f
    case ${1-} in [!XZ]*) found_start=${20-} found_group=$3 ;; esac
  else
    set -- $(LC_ALL=C TZ=UTC0 ps -o stat= -o pgid= -o lstart= -p "$1" 2>/dev/null)
    case ${1-} in [!XZ]*) found_group=$2 found_start=$3-$4-$5-$6-${7-} ;; esac
  fi
}

# Becomes the program $2 in a session of its own, by the means $1.
become_apart() {
  apart_means=$1
  shift
  case $apart_means in
    setsid) exec setsid "$@" ;;
    perl) exec perl -e 'use POSIX; POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@" ;;
    *) exec "$@" ;;
  esac
}
