//! Ends a remote command and its descendants with a second, short command over the same connection.

use std::io::Read as _;
use std::time::Duration;

use crate::error::Result;
use crate::transport::Transport;
use crate::transport::command::RemoteCommand;
use crate::transport::outcome::{Ended, Failure, Limits};
use crate::transport::script::ABSOLUTE_PATH;
use crate::transport::stream::{Stream, Streams};

/// How long ending takes at most: the grace on the workspace, and the way there and back.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is known afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All of it is gone.
    Ended,
    /// No process bears the token (any more).
    NotFound,
    /// Some of it is still there, although all of it was killed.
    Left,
    /// It was only sent a signal.
    Sent,
    /// It may still be running.
    Unknown,
}

/// Finds the process, signals it and its descendants, and kills whatever is left.
const SCRIPT: &str = include_str!("remote_end.sh");

/// How long to look for a command that may not have started yet, in tenths of a second.
const TENTHS: &str = "20";

/// Sends `signal` to the command that bears `token` and to its descendants.
pub fn end(transport: &Transport, token: &str, signal: i32) -> Fate {
    ask(transport, token, signal, TENTHS, "").unwrap_or(Fate::Unknown)
}

/// Sends `signal` to the command with this `token` and to its descendants, which may outlive it. Returns whether that is certain.
pub(super) fn signal(transport: &Transport, token: &str, signal: i32) -> bool {
    matches!(ask(transport, token, signal, TENTHS, "only"), Ok(Fate::Sent))
}

/// Ends a command that has no client any more. `is_young`: it may not have started yet.
pub(super) fn end_lost(transport: &Transport, token: &str, is_young: bool) -> Fate {
    const TERM: i32 = 15;
    ask(transport, token, TERM, if is_young { TENTHS } else { "2" }, "").unwrap_or(Fate::Unknown)
}

/// Whether `word` is a command's token: it goes into a pattern.
pub(super) fn is_token(word: &str) -> bool {
    let random = word.strip_prefix("runcode-").unwrap_or_default();
    random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn ask(transport: &Transport, token: &str, signal: i32, tenths: &str, only: &str) -> Result<Fate> {
    let (first, rest) = token.split_at(token.len().min(1));
    let pattern = format!("[{first}]{rest}");
    let arguments = [pattern.as_bytes(), name(signal).as_bytes(), tenths.as_bytes(), only.as_bytes()];
    let command = RemoteCommand::script(&[ABSOLUTE_PATH, SCRIPT].concat(), &arguments)?;
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
        b"left" if ended == Ended::Status(0) => Fate::Left,
        b"sent" if ended == Ended::Status(0) => Fate::Sent,
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

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn the_short_script_is_short() {
        crate::transport::script::check(super::SCRIPT, 2350);
    }

    /// A process chooses its own name (prctl(2), `PR_SET_NAME`): it may look like fields, lines and patterns.
    #[cfg(target_os = "linux")]
    #[test]
    fn no_process_forges_another() {
        let functions = super::SCRIPT.split("\ntenths_waited=0").next().unwrap_or_default();
        for name in [r"1 c\n4711 1 S 1 1", "a) S 1 2 3\\n4711", r"x\n4711 1 S\n", ") * /*/* \\c"] {
            for shell in ["sh", "busybox", "bash", "ksh93", "yash"] {
                let list = format!(
                    "printf '{}' >/proc/$$/comm; {functions}\nlist_processes; echo end $$",
                    name.replace('\n', "\\n")
                );
                let mut command = std::process::Command::new(shell);
                let arguments = if shell == "busybox" { &["sh", "-c"][..] } else { &["-c"] };
                let Ok(output) = command.args(arguments).arg(list).output() else { continue };
                let text = String::from_utf8_lossy(&output.stdout);
                let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>()).collect::<Vec<_>>();
                let Some((end, listed)) = lines.split_last() else { panic!("{shell} {name}: {output:?}") };
                let own = listed.iter().find(|fields| fields.first() == end.get(1));
                assert!(
                    own.is_some_and(|own| own.get(3) == Some(&&*std::process::id().to_string())),
                    "{shell} {name}: {own:?}"
                );
                for fields in listed {
                    let is_number = |field: &&str| field.parse::<u32>().is_ok();
                    assert!(
                        fields.len() == 5
                            && [0, 1, 3, 4].iter().all(|&at| fields.get(at).is_some_and(is_number)),
                        "{shell} {name}: {fields:?}"
                    );
                    assert_ne!(fields.first(), Some(&"4711"), "{shell} {name}");
                }
            }
        }
    }
}
