# shellcheck shell=sh
# Sends the signal $4 to the process group of the job $3, and gives it 2 s to end.
enter_jobs '' || give_up none
find_job "$3"
find_boot
judge_job "$job_id"
waited_looks=0
while [ -z "$main_id" ] && [ $waited_looks -lt 10 ]; do
  case $job_state in running | starting) ;; *) break ;; esac
  waited_looks=$((waited_looks + 1))
  pause_once
  judge_job "$job_id"
done
if [ $job_state = running ] && is_alive "$main_id" "$main_start"; then
  group_id=$main_id
  # The supervisor is in the same group and cannot note the status of a job that is killed.
  [ "$apart_means" != none ] || group_id=$owner_group
  if ! kill -s "$4" -- "-$group_id" 2>/dev/null && ! kill -s "$4" "$main_id" 2>/dev/null; then
    ! is_alive "$main_id" "$main_start" || tell_fact unsent
  fi
  [ "$apart_means$4" != noneKILL ] || mv "./$job_id/pending" "./$job_id/status.137.$(date +%s)" 2>/dev/null
fi
waited_looks=0
while [ $job_state = running ] && [ $waited_looks -lt 7 ]; do
  waited_looks=$((waited_looks + 1))
  pause_once
  judge_job "$job_id"
done
tell_job "$job_id"
tell_files "$job_id"
tell_fact end
