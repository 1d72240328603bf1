# shellcheck shell=sh
# What became of a job.
LC_ALL=C
export LC_ALL
pause_tenths=0 idle_tenths=0

# Waits a tenth of a second, then two, three and four; a second where sleep takes no fraction. Says now and then that we are
# still there, which also ends us when nobody listens any more.
pause_once() {
  [ $pause_tenths -ge 4 ] || pause_tenths=$((pause_tenths + 1))
  sleep 0.$pause_tenths 2>/dev/null || sleep 1
  idle_tenths=$((idle_tenths + pause_tenths))
  [ $idle_tenths -lt 200 ] || { idle_tenths=0; tell_fact idle; }
}

# The first line of the file $1, as `file_line`.
read_line() {
  file_line=
  [ -f "$1" ] && read -r file_line <"$1"
}

# Finds the job that $1 names: its id, or a name that no other job has.
# shellcheck disable=SC2086 # split into words
find_job() {
  job_id=$1
  [ ! -d "./$1" ] || return 0
  matching_ids=
  for each_job in ??????????; do
    read_line "./$each_job/name"
    [ "$file_line" != "$1" ] || matching_ids="$matching_ids $each_job"
  done
  set -- $matching_ids
  case $# in
    0) give_up none ;;
    1) job_id=$1 ;;
    *) give_up "several $*" ;;
  esac
}

# Whether the process $1 runs that started at $2.
is_alive() {
  [ -n "$1" ] || return 1
  find_start "$1"
  [ -n "$found_start" ] && [ "$found_start" = "$2" ]
}

# Whether the job $1 has ended with a status.
find_end() {
  for end_file in "./$1"/status.*; do
    [ -e "$end_file" ] || continue
    end_file=${end_file##*/status.}
    job_state=exited job_code=${end_file%%.*} job_ended=${end_file#*.}
    return 0
  done
  return 1
}

# What became of the job $1. Its status is looked for again at the end, since it may have come meanwhile.
judge_job() {
  job_state=lost job_code=- job_ended=- main_id='' main_start='' owner_id='' owner_start='' owner_group='' apart_means=''
  read_line "./$1/started"
  job_started=${file_line:--}
  find_end "$1" && return
  if [ -e "./$1/void" ]; then
    job_state=void
    return
  fi
  [ ! -f "./$1/owner" ] || read -r owner_id owner_start owner_group apart_means <"./$1/owner"
  [ ! -f "./$1/main" ] || read -r main_id main_start <"./$1/main"
  read_line "./$1/boot"
  if [ -z "$owner_id" ]; then
    [ "$job_started" = - ] || [ "$((job_started + 60))" -lt "$(date +%s)" ] || job_state=starting
  elif [ "$file_line" != "$found_boot" ]; then
    job_state=rebooted
  elif is_alive "$main_id" "$main_start" || is_alive "$owner_id" "$owner_start"; then
    job_state=running
  fi
  [ $job_state = running ] || find_end "$1" || :
}

# Tells what became of the job $1, and what it is.
tell_job() {
  judge_job "$1"
  [ $job_state != void ] || return 0
  tell_fact "job $1 $job_state $job_code $job_started $job_ended"
  read_line "./$1/name"
  [ -z "$file_line" ] || tell_fact "name $1 $file_line"
  read_line "./$1/command"
  tell_fact "command $1 $file_line"
}

# Tells the files of the job $1, or of every job, with their sizes.
tell_files() {
  each_job=$1
  ls -lnR "./$1" 2>/dev/null | while read -r file_mode _ _ _ file_size file_rest; do
    case $file_mode$file_rest in
      *:) each_job=${file_mode%:} each_job=${each_job##*/} ;;
      -*" out."* | -*" err."*) tell_fact "file $each_job ${file_rest##* } $file_size" ;;
    esac
  done
}
