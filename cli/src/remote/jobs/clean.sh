# shellcheck shell=sh
# Removes the job $3, or without it every job that has ended.

# A job that is being removed is none for anybody else.
remove_job() {
  judge_job "$1"
  case $job_state in
    running | starting) return 1 ;;
    void) [ "$job_started" = - ] || [ "$((job_started + 86400))" -gt "$(date +%s)" ] && return 0 ;;
  esac
  mv "./$1" "./.gone-$1" 2>/dev/null && rm -rf "./.gone-$1"
  if [ -e "./$1" ] || [ -e "./.gone-$1" ]; then
    tell_fact "kept $1"
  else
    [ $job_state = void ] || tell_fact "removed $1"
  fi
}

if enter_jobs ''; then
  find_boot
  if [ -n "$3" ]; then
    find_job "$3"
    remove_job "$job_id" || tell_job "$job_id"
  else
    rm -rf ./.gone-*
    for each_job in *; do
      [ ! -d "./$each_job" ] || remove_job "$each_job"
    done
  fi
elif [ -n "$3" ]; then
  give_up none
fi
tell_fact end
