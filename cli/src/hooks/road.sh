# shellcheck shell=sh
# Runs the command $1 in the folder where the last command with the name $2 ended, and keeps the folder that it ends in. Without a
# name it starts in the workdir, and keeps nothing. A folder $3 is relative to the workdir, and comes before the last one.

# shellcheck disable=SC2016 # the shell that runs the command expands it
keep_folder='
keep_folder() {
  runcode_now=$(pwd -P) || return 0
  [ "$runcode_now" != "$runcode_last" ] || return 0
  if [ "$runcode_now" = "$runcode_workdir" ]; then rm -f "$runcode_file"; return 0; fi
  mkdir -p "${runcode_file%/*}" && printf "%s\n" "$runcode_now" >"$runcode_file"
}
runcode_command=$1 runcode_file=$2 runcode_last=$3 runcode_workdir=$4
set --
[ -z "$runcode_file" ] || trap "keep_folder 2>/dev/null || :" EXIT
eval "$runcode_command"'

workdir=$(pwd -P) kept_file='' last_folder=''
if [ -n "$2" ]; then
  kept_file=${XDG_CACHE_HOME:-$HOME/.cache}/runcode/folders/$2
  last_folder=$workdir
  [ ! -f "$kept_file" ] || IFS= read -r last_folder <"$kept_file"
fi
if [ -n "$3" ]; then
  cd -- "$3" || exit 1
elif [ -n "$last_folder" ] && [ "$last_folder" != "$workdir" ]; then
  cd -- "$last_folder" 2>/dev/null || echo "runcode: the folder of the last command is gone; this one runs in $workdir" >&2
fi
shell='sh'
! command -v bash >/dev/null 2>&1 || shell='bash'
exec "$shell" -c "$keep_folder" "$shell" "$1" "$kept_file" "$last_folder" "$workdir"
