# $1 the path, $2 whether a folder may come (yes, no), $3 whether a small file is looked at twice (yes, no).
place "$1";
p=$v;
if [ -d "$p" ]; then
  [ "$2" = yes ] || fail folder;
  command -v tar >/dev/null 2>&1 || fail notar;
  # Removed whenever this shell ends, and no signal comes between its being made and that being arranged.
  deaf;
  q=$(mktemp -d "${TMPDIR:-/tmp}/runcode-XXXXXXXX") || fail io "no folder for temporary files";
  trap "deaf; rm -rf \"\$q\"" EXIT;
  trap "$quit" HUP INT TERM PIPE;
  e=$(mkfifo "$q/pipe" 2>&1) || fail io "$e";
  cd "$p" || fail denied;
  say D;
  # Opened here, and with none of our streams below: whenever this shell is killed, what reads the pipe sees its end.
  exec 3<>"$q/pipe" 4<"$q/pipe";
  ( exec <&4 3>&- 4<&- >/dev/null 2>&1; cat | { digest 0 /dev/stdin; echo "$h" >"$q/hash"; cat >/dev/null; } ) &
  exec 4<&-;
  ( exec 3>&-; { tar -cf - . 2>"$q/said"; echo "$?" >"$q/status"; } | tee "$q/pipe" );
  exec 3>&-;
  wait;
  read -r h <"$q/hash";
  read -r c <"$q/status";
  k=er;
  # 1 is, of GNU tar alone, that something changed while it was read; not that it became shorter, which gives zeros.
  case $c in
    0) k=ok;;
    1) case $(tar --version 2>/dev/null; cat "$q/said") in *shrank*|*padding*) ;; *"GNU tar"*) k=ok;; esac;;
  esac;
  cat "$q/said" >&2;
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
fi;
[ ${#h} -eq 64 ] || h=----------------------------------------------------------------;
printf "%s %s %s\n" "$n" "$k" "$h";
