# shellcheck shell=sh
# Starts the job $3, once: making its folder is the claim, and making `whole` in it is a second one, once the whole command has
# arrived. $4 is its name, $5 its command as people read it, $6 the script that
# supervises it, $7 the one that becomes the command. What the login shell gets comes on stdin, and our mark after it.
user_umask=$(umask)
login_folder=$PWD
umask 077
enter_jobs make
mkdir "./$3" 2>/dev/null || give_up "not-made $PWD"
cd "./$3" || give_up "not-made $PWD"

drop_claim() {
  cd .. && rm -rf "./$job_id"
  give_up "$1"
}

job_id=$3
find_boot
date +%s >started && cat >text || drop_claim "not-made $PWD"
[ "$(tail -n 1 text)" = "$our_mark" ] && mkdir whole 2>/dev/null || drop_claim cut
{
  printf '%s\n' "$found_boot" >boot && printf '%s\n' "$5" >command && : >out.whole && : >err.whole &&
    : >out.live && : >err.live && : >pending && mkfifo out.fifo err.fifo
} 2>/dev/null || drop_claim "not-made $PWD"
if [ -n "$4" ]; then
  ! grep -qxF -e "$4" ../*/name || tell_fact reused
  printf '%s\n' "$4" >name
fi
if command -v setsid >/dev/null 2>&1; then
  apart_means=setsid
elif command -v perl >/dev/null 2>&1; then
  apart_means=perl
else
  apart_means=none
fi

# Whether systemd ends what a session of this user leaves behind. A job belongs to that session.
if command -v loginctl >/dev/null 2>&1; then
  user_name=$(id -un)
  login_rules=$(loginctl show-user --property=KillUserProcesses --property=KillExcludeUsers 2>/dev/null)
  case " ${login_rules##*KillExcludeUsers=} " in *" $user_name "*) login_rules= ;; esac
  case $login_rules in
    *KillUserProcesses=yes*) tell_fact "killed-at-logout $(loginctl show-user "$user_name" --property=Linger 2>/dev/null)" ;;
  esac
fi

# The supervisor is no background process, which would not hear interrupts. It ends us when it has begun.
(become_apart $apart_means sh -c "$6" runcode-job "$$" "$our_mark" "$3" "$user_umask" "$login_folder" $apart_means "$7")
drop_claim not-begun
