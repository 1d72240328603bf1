# shellcheck shell=sh
# Becomes the command of a job, with the umask $1, from the folder $2, in a session of its own by the means $3.
find_start $$
printf '%s\n' "$$ $found_start" >main.new && mv main.new main
rm -f out.fifo err.fifo
job_text=$(sed '$'d text)
{ [ -f "${SHELL-}" ] && [ -x "$SHELL" ]; } || SHELL=/bin/sh
umask "$1"
cd "$2" 2>/dev/null || cd /
unset OLDPWD
# As deep as a login shell is: bash reads ~/.bashrc by that. ksh93 crashes without the variable.
[ -z "${SHLVL-}" ] || SHLVL=0
become_apart "$3" "$SHELL" -c "$job_text"
