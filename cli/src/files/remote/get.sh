# shellcheck shell=sh disable=SC2154
# Sends a file or a folder. $1 the path, $2 whether a folder may come (yes, no), $3 whether a small file is looked at twice
# (yes, no), $4 the part that is sent of a file: - all, c bytes, n lines; $5 the first of them, from 1 or after - from the end; $6 how
# many (- all).

# Ends the content: $1 whether that is whole (ok, er), $2 its SHA-256 if there is one.
say_trailer() {
  [ ${#2} -eq 64 ] || set -- "$1" ----------------------------------------------------------------
  printf "%s %s %s\n" "$our_mark" "$1" "$2"
}

# Sends the archive, then tar's status and messages, and hashes all of it. The substitution captures the hash. The data goes
# out through descriptor 5, which tee gets as its stderr: unlike a named pipe, it can never leave tee waiting forever. Only this
# shell and the cat hold our streams, so nobody waits for leftover processes when the two are killed. If tee fails, the hash
# comes out different.
send_archive() {
  (
    exec </dev/null 5>&1 2>/dev/null
    sha_hex=$(
      { { tar_says=$(tar -cf - . 2>&1 >&4); printf "\n%s\n%s" "$?" "$tar_says"; } 4>&1 |
        { tee /dev/stderr 2>&5 || echo; } |
        { hash_file 0 /dev/stdin; echo "$sha_hex"; cat >/dev/null; }; }
    )
    say_trailer ok "$sha_hex"
  ) | cat 2>/dev/null
}

# Sends the content of the file and hashes it at the same time.
send_file() {
  is_whole=ok
  # An interrupt does not reach what runs in the background.
  trap "kill \$! 2>/dev/null; $at_signal" HUP INT TERM PIPE
  cat "$from_path" &
  hash_file "$file_size" "$from_path"
  wait "$!" || is_whole=er
  # A file that grows is taken as long as it was.
  if [ "$file_size" -gt 1048576 ] || [ "$1" = yes ]; then
    size_now=$(stat -L -c %s "$from_path" 2>/dev/null || stat -L -f %z "$from_path" 2>/dev/null)
    [ "$size_now" = "$file_size" ] ||
      sha_hex=$(head -c "$file_size" "$from_path" | { hash_file 0 /dev/stdin; echo "$sha_hex"; })
  fi
  say_trailer "$is_whole" "$sha_hex"
}

# The bytes or lines that are asked for.
read_part() {
  if [ "$part_count" = - ]; then
    tail "-$part_unit" "$part_start" "$from_path"
  else
    tail "-$part_unit" "$part_start" "$from_path" | head "-$part_unit" "$part_count"
  fi
}

# Sends them, and reads them once more for the hash.
send_part() {
  is_whole=ok
  trap "kill \$! 2>/dev/null; $at_signal" HUP INT TERM PIPE
  read_part &
  sha_hex=$(read_part | { hash_file 0 /dev/stdin; echo "$sha_hex"; })
  wait "$!" || is_whole=er
  say_trailer "$is_whole" "$sha_hex"
}

decode_path "$1"
part_unit=$4
part_start=$5
part_count=$6
from_path=$plain_text
[ ! -e "$from_path" ] || [ -r "$from_path" ] || fail_with denied
if [ -d "$from_path" ]; then
  [ "$2" = yes ] || fail_with folder
  command -v tar >/dev/null 2>&1 || fail_with notar
  need_stderr
  cd "$from_path" || fail_with denied
  say_line D
  send_archive
else
  [ -e "$from_path" ] || fail_with missing
  [ -f "$from_path" ] || fail_with special
  file_facts=$(stat -L -c "%s %a %.9Y" "$from_path" 2>/dev/null || stat -L -f "%z %Lp %Fm" "$from_path" 2>/dev/null) ||
    fail_with missing
  say_line "F $file_facts"
  file_size=${file_facts%% *}
  if [ "$part_unit" = - ]; then
    send_file "$3"
  else
    # From the end: of what there is now, since more may come.
    case $part_start in
      -*) part_start=$((file_size + part_start + 1)); [ "$part_start" -gt 0 ] || part_start=1 ;;
    esac
    part_start=+$part_start
    send_part
  fi
fi
