# $1 the folder to be, then the names in it that are going to come, each as a path below it.
private;
place "$1";
r=$v;
shift;
command -v tar >/dev/null 2>&1 || fail notar;
needs_stderr;
[ "$r" = / ] || r=${r%/};
if [ -d "$r" ]; then
  cd "$r" || fail denied;
  i=0;
  for a do text "$a"; set -- "$@" "./$v"; i=$((i + 1)); done;
  shift "$i";
  if find . -prune -printf x >/dev/null 2>&1; then
    say "T 0";
    find "$@" -printf "%y %m %s %T@ %p\0%l\0" 2>/dev/null;
    printf "%s\0" "$n";
  else
    say "T 1";
    find "$@" -exec stat -c "%f %s %Y %n" {} + 2>/dev/null;
    printf "%s\n" "$n";
  fi;
  isnew=;
  s=$r/.runcode-$x;
else
  [ ! -e "$r" ] && [ ! -L "$r" ] || fail file;
  say "T -";
  isnew=yes;
  d=${r%/*}/;
  s=$d.runcode-$x;
fi;
# After the mark comes how much of the archive its SHA-256 is of.
read -r a z || exit 1;
[ "$a" = "$n" ] || { [ "$a" != none ] || say ok; exit 0; };
[ -z "$isnew" ] || [ -d "$d" ] || e=$(mkdir -p "$d" 2>&1) || fail io "$e";
clean() {
  deaf;
  [ -z "$s" ] || rm -rf "$s" || { chmod -R u+rwX "$s"; rm -rf "$s"; };
} 2>/dev/null;
umask 077;
# What is removed in the end is ours: a folder that was there already is not, and no signal comes in between.
deaf;
e=$(mkdir "$s" 2>&1) || fail io "$e";
trap clean EXIT;
trap "$quit" HUP INT TERM PIPE;
# What tar says and its status come through 4; what is hashed goes through 5 as well, which tee is given as its stderr. Pipes
# alone have no name that a tee could wait at for good.
e=$(
  exec 2>/dev/null;
  { {
    tee /dev/stderr 2>&5 | { tar -xpof - -C "$s" >&4 2>&4; printf "\n%s" "$?" >&4; };
  } 5>&1 | { head -c "$z"; cat >/dev/null; } | { digest "$z" /dev/stdin; echo "$h" >"$s/hash"; }; } 4>&1
);
[ "${e##*[!0-9]}" = 0 ] || fail io "$e";
h=;
w=;
[ -f "$s/end" ] || fail cut;
read -r h <"$s/hash";
[ -n "$h" ] || fail nohash;
read -r w <"$s/end" || [ -n "$w" ] || fail cut;
[ "$h" = "$w" ] || fail differs;
cd "$s/t" || fail cut;
# A folder, $1, becomes $2. Its own mode must let it be moved; what is in its place by now is not gone into: -T, where mv has it.
move() {
  m=;
  if [ ! -w "$1" ]; then
    m=$(stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1" 2>/dev/null);
    chmod u+w "$1";
  fi;
  mv -fT "$1" "$2" 2>/dev/null || { [ ! -e "$2" ] && mv -f "$1" "$2"; } || return 1;
  [ -z "$m" ] || chmod "$m" "$2";
};
# Moves what $1 has into place: a folder that is not there yet whole, else one by one; each by a rename.
flush() {
  [ $# -gt 1 ] || return 0;
  k=$1;
  shift;
  mv -f "$@" "$r/$k/" 2>/dev/null && return 0;
  # What cannot be moved has its words, or another put has made its folder since.
  for f do
    [ -e "$f" ] || [ -L "$f" ] || continue;
    if [ -d "$f" ] && [ ! -L "$f" ] && [ -d "$r/$f" ]; then
      ( merge "$f" ) || exit 1;
    else
      e=$(mv -f "$f" "$r/$k/" 2>&1) || fail io "$e";
    fi;
  done;
};
merge() {
  set -- "$1";
  [ -w "$1" ] || chmod u+w "$1";
  for f in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ -e "$f" ] || [ -L "$f" ] || continue;
    if [ -d "$f" ] && [ ! -L "$f" ] && [ -d "$r/$f" ]; then
      ( merge "$f" ) || exit 1;
    else
      [ -d "$f" ] || [ ! -d "$r/$f" ] || [ -L "$r/$f" ] || fail folder "$f";
      if [ -d "$f" ] && [ ! -L "$f" ] && [ ! -w "$f" ]; then
        e=$(move "$f" "$r/$f" 2>&1) || fail io "$e";
        continue;
      fi;
      set -- "$@" "$f";
      [ $# -le 200 ] || { flush "$@"; set -- "$1"; };
    fi;
  done;
  flush "$@";
};
# Another put may have made it since, or make it in this moment.
if [ -n "$isnew" ] && [ ! -d "$r" ]; then
  [ ! -e "$r" ] && [ ! -L "$r" ] || fail file;
  e=$(move "$s/t" "$r" 2>&1) || [ -d "$r" ] || fail io "$e";
fi;
[ ! -d "$s/t" ] || merge .;
clean;
s=;
say ok;
