# shellcheck shell=sh
# Leaves of PATH what is absolute: in a folder of the user's project, an empty or relative part would run the programs of a
# checkout, and so would an empty PATH. An empty or relative folder of libraries would load its libraries.
keep_absolute() {
  kept_parts=
  left_parts=$1:
  while [ -n "$left_parts" ]; do
    case $left_parts in /*) kept_parts=$kept_parts:${left_parts%%[;:]*} ;; esac
    left_parts=${left_parts#*[;:]}
  done
  kept_parts=${kept_parts#:}
}
keep_absolute "${PATH-}"
PATH=${kept_parts:-/usr/bin:/bin}
export PATH
if [ -n "${LD_LIBRARY_PATH-}" ]; then
  keep_absolute "$LD_LIBRARY_PATH"
  LD_LIBRARY_PATH=$kept_parts
  [ -n "$kept_parts" ] || unset LD_LIBRARY_PATH
fi
