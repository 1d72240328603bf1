# shellcheck shell=sh
# Supervises a job in its folder: keeps its output, waits for it, and notes its status. $1 is the process that waits for us to
# begin, $2 the mark of its lines, $3 the job, $4 to $6 what the script $7 needs that becomes the command.
# Where there are no sessions for the asking, a signal for the job reaches us too.
trap : HUP INT QUIT PIPE ALRM TERM USR1 USR2
find_start $$
{ printf '%s\n' "$$ $found_start $found_group $6" >owner.new && mv owner.new owner; } || exit 1
printf '%s started %s\n%s end\n' "$2" "$3" "$2"
exec </dev/null >/dev/null 2>&1
[ "$1" = $$ ] || kill -9 "$1"

# Copies stdin into parts of the stream $1, named by the first byte in them: two of 8 MiB at most, of which the older one goes
# when a new one begins.
# shellcheck disable=SC2046 # split into fields
copy_stream() {
  trap '' HUP INT QUIT ALRM TERM USR1 USR2
  part_start=0 part_size=0 older_part=
  while :; do
    if ! dd bs=65536 count=32 2>/dev/null >>"$1.$part_start"; then
      # The disk is full, or the job was cleaned away. The job goes on, and its output is known not to be whole.
      rm -f "$1.whole"
      cat >/dev/null
      break
    fi
    set -- "$1" $(ls -ln "$1.$part_start")
    [ "${6:-0}" -gt $part_size ] || break
    part_size=$6
    if [ "$part_size" -ge 6291456 ]; then
      [ -z "$older_part" ] || rm -f "$1.$older_part"
      older_part=$part_start part_start=$((part_start + part_size)) part_size=0
    fi
  done
  rm -f "$1.live"
}

{ copy_stream out; } <out.fifo &
{ copy_stream err; } <err.fifo &
sh -c "$7" runcode-job "$4" "$5" "$6" </dev/null >out.fifo 2>err.fifo
job_code=$?
# As ksh93 and yash count a signal.
if [ $job_code -ge 384 ]; then
  job_code=$((job_code - 256))
elif [ $job_code -ge 256 ]; then
  job_code=$((job_code - 128))
fi
# A process that the job leaves behind may hold its streams. What comes of it later is kept too, but does not hold up the end.
quiet_looks=0 all_looks=0 last_look=
while [ -e out.live ] || [ -e err.live ]; do
  next_look=$(ls -ln .)
  if [ "$next_look" = "$last_look" ]; then quiet_looks=$((quiet_looks + 1)); else quiet_looks=0; fi
  last_look=$next_look all_looks=$((all_looks + 1))
  if [ $quiet_looks -ge 4 ] || [ $all_looks -ge 30 ]; then break; fi
  if [ $all_looks -le 5 ]; then sleep 0.02 2>/dev/null || sleep 1; else sleep 0.1 2>/dev/null || sleep 1; fi
done
# Renaming needs no room on the disk, and only one process can do it.
mv pending "status.$job_code.$(date +%s)"
