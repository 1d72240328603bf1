# Joined into one line by `script.rs`: every line ends where a blank may follow it. $1$2 is the mark of our own lines; it
# is given in two halves so that a shell that echoes its command does not show it.
n=$1$2;
shift 2;
LC_ALL=C;
export LC_ALL;
# What a login has set for its own use of tar: patterns that are left out, other formats.
unset TAR_OPTIONS TAR_READER_OPTIONS TAR_WRITER_OPTIONS POSIXLY_CORRECT;
# What clears up must not be ended in its middle by a signal, and a connection that goes sends more than one.
deaf() { trap "" HUP INT TERM PIPE; };
say() { printf "%s %s\n" "$n" "$*"; };
fail() {
  deaf;
  case $* in *"No space left"*) set -- io "No space left on device";; esac;
  say "E $*";
  exit 1;
};
# What a signal does.
quit="deaf; exit 1";
# What is private to this command, into x; without it, the mark. It comes in a variable, where sshd takes that: arguments are
# for every user to read.
private() {
  x=${LC_RUNCODE-};
  unset LC_RUNCODE;
  case $x in "$n "*) x=${x#* };; *) x=$n;; esac;
};
# The text of an argument, into v: after `=` as it is, after `%` with its odd bytes as octal numbers.
text() { case $1 in
  %*) v=$(printf %bx "${1#%}"); v=${v%x};;
  *) v=${1#?};;
esac; };
# A path, into v: after `~` it starts at the home folder.
place() { case $1 in
  "~"*) text "${1#?}"; v=$HOME/$v;;
  *) text "$1";;
esac; };
# The SHA-256 of the file $2, which has $1 bytes, into h: openssl starts slowly and hashes fast.
digest() {
  h=;
  if [ "$1" -gt 1048576 ] && command -v openssl >/dev/null 2>&1; then
    h=$(openssl dgst -sha256 -r <"$2" 2>/dev/null); h=${h%% *};
  fi;
  [ ${#h} -eq 64 ] || { h=$(sha256sum <"$2" 2>/dev/null); h=${h%% *}; };
  [ ${#h} -eq 64 ] || { h=$(shasum -a 256 <"$2" 2>/dev/null); h=${h%% *}; };
  [ ${#h} -eq 64 ] || { h=$(openssl dgst -sha256 -r <"$2" 2>/dev/null); h=${h%% *}; };
  [ ${#h} -eq 64 ];
};
# Where there is no /dev/stderr, a tee that is told to write to it makes a file of that name; where pipes are sockets, as those
# of ksh93 are, it cannot open it.
needs_stderr() {
  case ${KSH_VERSION-} in Version*) fail nostderr;; esac;
  [ -e /dev/stderr ] || fail nostderr;
} 2>/dev/null;
