# shellcheck shell=sh
# Says, in lines that begin with the mark $1: that `sh` runs, whether there is room to write, and the time. $2 is the workdir, if
# there is one; after `~/` it starts at the home folder.
echo "$1 sh"
case $2 in "~"*) work_folder=$HOME${2#?} ;; *) work_folder=$2 ;; esac
for tried_folder in "$HOME" "${TMPDIR:-/tmp}" ${work_folder:+"$work_folder"}; do
  tried_file=$tried_folder/.runcode-doctor-$$
  if (umask 077; echo "$1" >"$tried_file") 2>/dev/null && [ -s "$tried_file" ]; then
    echo "$1 room"
  else
    echo "$1 full $tried_folder"
  fi
  rm -f "$tried_file"
done
echo "$1 clock $(date +%s)"
