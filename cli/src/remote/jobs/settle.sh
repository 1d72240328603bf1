# shellcheck shell=sh
# Says whether the job $3 was started. If not, it never will be: this script takes the claim that is left, its folder or `whole` in it. A start
# that fails in between removes its folder.
umask 077
enter_jobs make
if mkdir "./$3" 2>/dev/null || mkdir "./$3/whole" 2>/dev/null || mkdir "./$3" 2>/dev/null; then
  date +%s >"./$3/started" && : >"./$3/void"
  tell_fact void
else
  find_boot
  waited_looks=0
  judge_job "$3"
  while [ $job_state = starting ] && [ $waited_looks -lt 30 ]; do
    waited_looks=$((waited_looks + 1))
    pause_once
    judge_job "$3"
  done
  [ $job_state != void ] || tell_fact void
  tell_job "$3"
  tell_files "$3"
fi
tell_fact end
