# shellcheck shell=sh
# Says, in lines that begin with the mark $1: that `sh` runs, whether there is room to write, and the time. $2 is the workdir, if
# there is one; after `~/` it starts at the home folder. $3 is a word that nobody can guess: what others have put into a shared
# folder must not be written to, removed or waited for.
echo "$1 sh"
case $2 in "~"*) work_folder=$HOME${2#?} ;; *) work_folder=$2 ;; esac
for tried_folder in "$HOME" "${TMPDIR:-/tmp}" ${work_folder:+"$work_folder"}; do
  tried_file=$tried_folder/.runcode-doctor-$3
  if (umask 077; set -C; echo "$1" >"$tried_file") 2>/dev/null && [ -s "$tried_file" ]; then
    echo "$1 room"
    rm -f "$tried_file"
  else
    echo "$1 full $tried_folder"
  fi
done
echo "$1 clock $(date +%s)"
