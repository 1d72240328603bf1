# $1 the path, $2 the umask to create with (- the login's own), $3 the mode to set (empty: none, - as the old file has
# it), $4 the time, $5 the name under which it goes into a folder (- does not). Private: the name to write to, and of a small
# file the SHA-256 and the content; the content of every other comes on stdin.
place "$1";
p=$v;
m=$3;
if [ "$5" != - ] && [ -d "$p" ]; then text "$5"; p=${p%/}/$v; say into; fi;
if [ -L "$p" ]; then r=$(readlink -f "$p" && echo x); r=${r%?x}; [ -z "$r" ] || p=$r; fi;
[ ! -d "$p" ] || fail folder;
[ ! -e "$p" ] || [ -f "$p" ] || fail special;
d=${p%/*}/;
[ -d "$d" ] || e=$(mkdir -p "$d" 2>&1) || fail io "$e";
if [ "$m" = - ]; then
  m=;
  if [ -e "$p" ]; then m=$(stat -c %a "$p" 2>/dev/null || stat -f %Lp "$p" 2>/dev/null); umask 077; fi;
  case $m in ????) m=${m#?};; esac;
fi;
[ "$2" = - ] || umask "$2";
private;
t=$d.runcode-${x%% *};
clean() { deaf; [ -z "$t" ] || rm -f "$t"; };
trap clean EXIT;
trap "$quit" HUP INT TERM PIPE;
set -C;
if [ "$x" != "${x#* }" ]; then
  x=${x#* };
  w=${x%% *};
  x=${x#* };
  # Once more for its words when it fails: that costs a process only then. Never into what somebody else put there.
  { printf %b "$x" >"$t"; } 2>/dev/null || { rm -f "$t"; e=$({ printf %b "$x" >"$t"; } 2>&1) || fail io "$e"; };
  s=0;
else
  e=$({ cat >"$t"; } 2>&1) || fail io "$e";
  # The last 119 bytes are the mark, the length and the SHA-256 of what came before them.
  x=$(tail -c 119 "$t" 2>/dev/null);
  case $x in "$n "*) ;; *) fail cut;; esac;
  x=${x#* };
  s=${x% *};
  w=${x#* };
  s=${s#"${s%%[1-9]*}"};
  s=${s:-0};
  e=$(dd if=/dev/null of="$t" bs=1 seek="$s" 2>&1) || fail io "$e";
fi;
# While it is hashed; -c, so that it makes no file when this one has been given up.
if [ "$4" != - ]; then
  { touch -c -d "@$4" "$t" || touch -c -d "@${4%.*}" "$t"; } 2>/dev/null &
fi;
digest "$s" "$t" || fail nohash;
wait;
[ "$h" = "$w" ] || fail differs;
[ -z "$m" ] || chmod "$m" "$t" 2>/dev/null;
[ ! -d "$p" ] || fail folder;
e=$(mv -f "$t" "$p" 2>&1) || fail io "$e";
t=;
say ok;
