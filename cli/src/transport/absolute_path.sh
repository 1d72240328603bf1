# shellcheck shell=sh
# Keeps only the absolute entries of PATH: in a folder of the user's project, an empty or relative one would run programs of the
# checkout, and so would an empty PATH. In LD_LIBRARY_PATH, it would load libraries of the checkout.
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
