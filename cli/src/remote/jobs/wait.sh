# shellcheck shell=sh
# Waits for the end of the job $3, for $4 seconds at most if that is not empty.
enter_jobs '' || give_up none
find_job "$3"
find_boot
[ -z "$4" ] || last_second=$(($(date +%s) + $4))
while :; do
  judge_job "$job_id"
  case $job_state in running | starting) ;; *) break ;; esac
  [ -z "$4" ] || [ "$(date +%s)" -lt "$last_second" ] || break
  pause_once
done
tell_job "$job_id"
tell_files "$job_id"
tell_fact end
