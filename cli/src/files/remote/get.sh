# $1 the path, $2 whether a folder may come (yes, no), $3 whether a small file is looked at twice (yes, no).
# What comes after the content: whether that is whole, and its SHA-256 if there is one.
last() {
  [ ${#2} -eq 64 ] || set -- "$1" ----------------------------------------------------------------;
  printf "%s %s %s\n" "$n" "$1" "$2";
};
place "$1";
p=$v;
if [ -d "$p" ]; then
  [ "$2" = yes ] || fail folder;
  command -v tar >/dev/null 2>&1 || fail notar;
  needs_stderr;
  cd "$p" || fail denied;
  say D;
  # What tar says, its status and the hash come through 4; the archive goes through 5, which tee is given as its stderr: a
  # pipe without a name, that no tee waits at for good. Nothing but this shell and the cat has our streams, so that nobody
  # waits for what else is left when they are killed. A tee that fails makes the hash another one.
  (
    exec </dev/null 5>&1 2>/dev/null;
    r=$(
      { { tar -cf - . 2>&4; printf " %s" "$?" >&4; } | { tee /dev/stderr 2>&5 || echo; } | { digest 0 /dev/stdin; printf " %s" "$h" >&4; cat >/dev/null; }; } 4>&1
    );
    h=${r##* };
    k=er;
    # 1 is, of GNU tar alone, that something changed while it was read; not that it became shorter, which gives zeros.
    case $r in
      *" 0 $h") k=ok;;
      *" 1 $h") case $(tar --version)$r in *shrank*|*padding*) ;; *"GNU tar"*) k=ok;; esac;;
    esac;
    last "$k" "$h";
  ) | cat 2>/dev/null;
else
  [ -e "$p" ] || fail missing;
  [ -f "$p" ] || fail special;
  [ -r "$p" ] || fail denied;
  s=$(stat -L -c "%s %a %.9Y" "$p" 2>/dev/null || stat -L -f "%z %Lp %Fm" "$p" 2>/dev/null) || fail missing;
  say "F $s";
  z=${s%% *};
  c=0;
  # An interrupt does not reach what runs in the background.
  trap "kill \$! 2>/dev/null; $quit" HUP INT TERM PIPE;
  cat "$p" &
  digest "$z" "$p";
  wait "$!" || c=1;
  # A file that grows is taken as long as it was.
  if [ "$z" -gt 1048576 ] || [ "$3" = yes ]; then
    y=$(stat -L -c %s "$p" 2>/dev/null || stat -L -f %z "$p" 2>/dev/null);
    [ "$y" = "$z" ] || h=$(head -c "$z" "$p" | { digest 0 /dev/stdin; echo "$h"; });
  fi;
  k=ok;
  [ "$c" -eq 0 ] || k=er;
  last "$k" "$h";
fi;
