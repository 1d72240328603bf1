//! Ending a remote command's process group from the side, by a second short command over the same connection.

use std::io::Read as _;
use std::time::Duration;

use crate::error::Result;
use crate::transport::Transport;
use crate::transport::command::RemoteCommand;
use crate::transport::outcome::{Ended, Limits};
use crate::transport::stream::{Stream, Streams};

/// How long ending takes at most: the grace on the box, and the way there and back.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What is known afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The process group is gone.
    Ended,
    /// No process bears the token (any more).
    NotFound,
    /// It may still be running.
    Unknown,
}

/// Finds the process whose arguments bear the token `$1` (a pattern that does not match itself), sends the signal `$2` to
/// its group, and kills what is left after 2 s. A process that leads no group is signalled alone, so that a server's own
/// group is never hit.
const SCRIPT: &str = r#"
leaders() {
  if [ -r /proc/self/stat ]; then
    grep -l "$1" /proc/[0-9]*/cmdline 2>/dev/null | while IFS=/ read -r _ _ pid _; do
      read -r stat 2>/dev/null <"/proc/$pid/stat" || continue
      set -- ${stat##*) }
      if [ "$3" = "$pid" ]; then echo "-$pid"; else echo "$pid"; fi
    done
  else
    ps -axww -o pid= -o pgid= -o command= | grep "$1" | while read -r pid group _; do
      if [ "$group" = "$pid" ]; then echo "-$pid"; else echo "$pid"; fi
    done
  fi
}
all=$(leaders "$1")
groups=$(for one in $all; do case $one in -*) echo "$one";; esac; done)
[ -n "$groups" ] && all=$groups
[ -n "$all" ] || { echo none; exit; }
send() { for one in $all; do kill -s "$1" -- "$one" 2>/dev/null; done; }
left() { for one in $all; do kill -s 0 -- "$one" 2>/dev/null && return 0; done; return 1; }
send "$2"
tries=0
while left; do
  tries=$((tries + 1))
  [ $tries -eq 20 ] && send KILL
  [ $tries -ge 30 ] && { echo left; exit; }
  sleep 0.1 2>/dev/null || { sleep 1; tries=$((tries + 9)); }
done
echo gone
"#;

/// Sends `signal` to the process group of the command that bears `token`.
pub(super) fn end(transport: &Transport, token: &str, signal: i32) -> Outcome {
    ask(transport, token, signal).unwrap_or(Outcome::Unknown)
}

fn ask(transport: &Transport, token: &str, signal: i32) -> Result<Outcome> {
    let (first, rest) = token.split_at(token.len().min(1));
    let pattern = format!("[{first}]{rest}");
    let command = RemoteCommand::script(SCRIPT, &[pattern.as_bytes(), name(signal).as_bytes()])?;
    let (mut answer, writer) = std::io::pipe()?;
    let streams = Streams { stdin: Stream::Null, stdout: writer.into(), stderr: Stream::Null };
    let running = transport.start_once(&command, &streams).map_err(|failure| failure.into_error())?;
    drop(streams);
    let ended = running.wait(&Limits { timeout: None, interruptible: false })?;
    let mut text = Vec::new();
    answer.by_ref().take(256).read_to_end(&mut text)?;
    Ok(match text.trim_ascii() {
        b"gone" if ended == Ended::Status(0) => Outcome::Ended,
        b"none" if ended == Ended::Status(0) => Outcome::NotFound,
        _ => Outcome::Unknown,
    })
}

/// The name that every `kill` knows the signal by.
fn name(signal: i32) -> &'static str {
    match signal {
        1 => "HUP",
        2 => "INT",
        _ => "TERM",
    }
}
