# shellcheck shell=sh
# Tells all jobs.
if enter_jobs ''; then
  find_boot
  for each_job in *; do
    [ ! -d "./$each_job" ] || tell_job "$each_job"
  done
  tell_files .
fi
tell_fact end
