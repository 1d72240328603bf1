//! Ending a remote command's process group from the side, by a second short command over the same connection.

use std::io::Read as _;
use std::time::Duration;

use crate::error::Result;
use crate::transport::Transport;
use crate::transport::command::RemoteCommand;
use crate::transport::outcome::{Ended, Failure, Limits};
use crate::transport::stream::{Stream, Streams};

/// How long ending takes at most: the grace on the workspace, and the way there and back.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is known afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The process group is gone.
    Ended,
    /// No process bears the token (any more).
    NotFound,
    /// It may still be running.
    Unknown,
}

/// Finds the process whose arguments bear the token `$1` (a pattern that does not match itself), sends the signal `$2` to
/// its group, and kills what is left after 2 s. A process that leads no group is signalled alone, so that a server's own
/// group is never hit. One that is dead and not yet waited for (`Z`) does not count as left, and an `ssh` that bears the
/// token is no more than its messenger (where the workspace is this machine). A command that was asked for just now may take
/// a moment to appear.
const SCRIPT: &str = r#"
holders() {
  if [ -r /proc/self/stat ]; then
    grep -l "$1" /proc/[0-9]*/cmdline 2>/dev/null | while IFS=/ read -r _ _ pid _; do echo "$pid"; done
  else
    ps -axww -o pid= -o command= | grep "$1" | while read -r pid _; do echo "$pid"; done
  fi
}
processes() {
  if [ -r /proc/self/stat ]; then
    for stat in /proc/[0-9]*/stat; do
      read -r line 2>/dev/null <"$stat" || continue
      pid=${stat#/proc/}
      set -- ${line##*) }
      case $line in *"(ssh) "*) ;; *) echo "${pid%/stat} $3 $1";; esac
    done
  else
    ps -ax -o pid= -o pgid= -o state= -o comm= | while read -r pid group state name; do
      case $name in ssh|*/ssh) ;; *) echo "$pid $group $state";; esac
    done
  fi
}
pause() { sleep 0.1 2>/dev/null || { sleep 1; tries=$((tries + 9)); }; }
find() {
  holders=$(echo $(holders "$1"))
  processes | while read -r pid group state; do
    case " $holders " in *" $pid "*) if [ "$pid" = "$group" ]; then echo "-$pid"; else echo "$pid"; fi;; esac
  done
}
tries=0
found=$(find "$1")
while [ -z "$found" ]; do
  tries=$((tries + 1))
  [ $tries -ge 20 ] && { echo none; exit; }
  pause
  found=$(find "$1")
done
groups=$(for one in $found; do case $one in -*) echo "$one";; esac; done)
[ -n "$groups" ] && found=$groups
send() { for one in $found; do kill -s "$1" -- "$one" 2>/dev/null; done; }
left() {
  for one in $found; do
    kill -s 0 -- "$one" 2>/dev/null || continue
    [ -z "$(processes | while read -r pid group state; do
      case $state in Z*) continue;; esac
      [ "$pid" = "$one" ] || [ "-$group" = "$one" ] && { echo yes; break; }
    done)" ] || return 0
  done
  return 1
}
send "$2"
tries=0
while left; do
  tries=$((tries + 1))
  [ $tries -eq 20 ] && send KILL
  [ $tries -ge 30 ] && { echo left; exit; }
  pause
done
echo gone
"#;

/// Sends `signal` to the process group of the command that bears `token`.
pub fn end(transport: &Transport, token: &str, signal: i32) -> Fate {
    ask(transport, token, signal).unwrap_or(Fate::Unknown)
}

fn ask(transport: &Transport, token: &str, signal: i32) -> Result<Fate> {
    let (first, rest) = token.split_at(token.len().min(1));
    let pattern = format!("[{first}]{rest}");
    let command = RemoteCommand::script(SCRIPT, &[pattern.as_bytes(), name(signal).as_bytes()])?;
    let (mut answer, writer) = std::io::pipe()?;
    let streams = Streams { stdin: Stream::Null, stdout: writer.into(), stderr: Stream::Null };
    let running = transport.start_beside(&command, &streams).map_err(Failure::into_error)?;
    drop(streams);
    let ended = running.wait(&Limits { timeout: None, interruptible: false })?;
    let mut text = Vec::new();
    answer.by_ref().take(64 * 1024).read_to_end(&mut text)?;
    // Whatever the login shell says on its way comes before.
    let last = text.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(match last {
        b"gone" if ended == Ended::Status(0) => Fate::Ended,
        b"none" if ended == Ended::Status(0) => Fate::NotFound,
        _ => Fate::Unknown,
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
