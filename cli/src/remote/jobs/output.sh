# shellcheck shell=sh
# Sends the stream $4 of the job $3 from the byte $5 on, as lines of ours that say which bytes follow; to the job's end with $6.
stream_name=$4 next_byte=$5

# The parts of the stream: where each starts, and its size.
list_parts() {
  ls -ln "./$job_id" 2>/dev/null | while read -r file_mode _ _ _ file_size file_rest; do
    file_name=${file_rest##* }
    case $file_name in
      *.*[!0-9]*) ;;
      "$stream_name".*) [ "$file_mode" = "${file_mode#-}" ] || echo "${file_name#*.} $file_size" ;;
    esac
  done
}

# The first part that has more.
pick_part() {
  best_start='' best_size=0
  while [ $# -ge 2 ]; do
    if [ $(($1 + $2)) -gt "$next_byte" ] && { [ -z "$best_start" ] || [ "$1" -lt "$best_start" ]; }; then
      best_start=$1 best_size=$2
    fi
    shift 2
  done
  [ -n "$best_start" ]
}

# A part may be removed before it is opened; the next look finds the others. `dd` leaves stdin where the next one reads on.
# shellcheck disable=SC2046 # split into words
send_parts() {
  while pick_part $(list_parts); do
    first_byte=$next_byte
    [ "$best_start" -le "$next_byte" ] || first_byte=$best_start
    chunk_size=$((best_start + best_size - first_byte))
    [ $chunk_size -le 262144 ] || chunk_size=262144
    {
      tell_fact "bytes $first_byte $chunk_size"
      dd bs=1 skip=$((first_byte - best_start)) count=0 2>/dev/null
      dd bs=$chunk_size count=1 2>/dev/null || exit 1
      next_byte=$((first_byte + chunk_size))
    } 2>/dev/null <"./$job_id/$stream_name.$best_start" || [ ! -d "./$job_id" ] || sleep 0.1 2>/dev/null || sleep 1
    pause_tenths=0
  done
}

enter_jobs '' || give_up none
find_job "$3"
find_boot
while :; do
  judge_job "$job_id"
  send_parts
  case $job_state in running | starting) ;; *) break ;; esac
  [ -n "$6" ] || break
  pause_once
done
tell_job "$job_id"
tell_files "$job_id"
tell_fact "next $next_byte"
tell_fact end
