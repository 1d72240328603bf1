# shellcheck shell=sh disable=SC2034
# What every transfer begins with. `transport/script.rs` says how our scripts are written, and shortens them for the wire.

# Our own lines begin with the mark. It is given in two halves, so that a shell that echoes its command does not show it.
our_mark=$1$2
shift 2
LC_ALL=C
export LC_ALL
# What a login sets for its own use of tar: patterns that are left out, other formats.
unset TAR_OPTIONS TAR_READER_OPTIONS TAR_WRITER_OPTIONS POSIXLY_CORRECT

# What clears up must not be ended in its middle by a signal, and a connection that goes sends more than one.
ignore_signals() { trap "" HUP INT TERM PIPE; }

# What a signal does.
at_signal="ignore_signals; exit 1"

say_line() { printf "%s %s\n" "$our_mark" "$*"; }

# Gives up: $1 is the word that `failure.rs` knows, the rest what a tool said.
fail_with() {
  ignore_signals
  case $* in *"No space left"*) set -- io "No space left on device" ;; esac
  say_line "E $*"
  exit 1
}

# Sets private_text to what is private to this command, or else to the mark. It comes in a variable, where sshd takes that:
# arguments are for every user to read.
take_private() {
  private_text=${LC_RUNCODE-}
  unset LC_RUNCODE
  case $private_text in
    "$our_mark "*) private_text=${private_text#* } ;;
    *) private_text=$our_mark ;;
  esac
}

# Sets plain_text to the text of an argument: after `=` as it is, after `%` with its odd bytes as octal numbers.
decode_text() {
  case $1 in
    %*) plain_text=$(printf %bx "${1#%}"); plain_text=${plain_text%x} ;;
    *) plain_text=${1#?} ;;
  esac
}

# Sets plain_text to a path: after `~` it starts at the home folder.
decode_path() {
  case $1 in
    "~"*) decode_text "${1#?}"; plain_text=$HOME/$plain_text ;;
    *) decode_text "$1" ;;
  esac
}

# Sets sha_hex to the first word that a command says of the file $1, its stdin; whether that is a SHA-256.
hash_with() {
  hashed_file=$1
  shift
  sha_hex=$("$@" <"$hashed_file" 2>/dev/null)
  sha_hex=${sha_hex%% *}
  [ ${#sha_hex} -eq 64 ]
}

# Sets sha_hex to the SHA-256 of the file $2, which has $1 bytes; whether there is a tool for it. openssl starts slowly and
# hashes fast.
hash_file() {
  sha_hex=
  if [ "$1" -gt 1048576 ] && command -v openssl >/dev/null 2>&1; then
    hash_with "$2" openssl dgst -sha256 -r
  fi
  [ ${#sha_hex} -eq 64 ] || hash_with "$2" sha256sum || hash_with "$2" shasum -a 256 ||
    hash_with "$2" openssl dgst -sha256 -r
}

# Where there is no /dev/stderr, a tee that is told to write to it makes a file of that name; where pipes are sockets, as those
# of ksh93 are, it cannot open it.
need_stderr() {
  case ${KSH_VERSION-} in Version*) fail_with nostderr ;; esac
  [ -e /dev/stderr ] || fail_with nostderr
} 2>/dev/null
