//! Running the user's own command on a box: once, with its streams and its status as they are.

use std::ffi::OsString;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::output::progress::note;
use crate::output::stdout;
use crate::session::{Session, Sessions};
use crate::transport::{Ended, EnvName, Limits, RemoteCommand, Stream, Streams};

/// A remote command and how to run it: what `exec` and `run` share.
#[derive(clap::Args)]
pub struct Remote {
    /// Start in the home folder instead of the project folder
    #[arg(long)]
    pub home: bool,
    /// Set an environment variable for the command; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Leave stdin alone; needed inside `while read` loops
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// End the command so many seconds after it was started
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// The command: one argument is a piece of shell, several are a program and its exact arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

/// Runs `remote` in the session and returns the status to end with.
pub fn execute(sessions: &Sessions<'_>, session: &Session, remote: &Remote) -> Result<u8> {
    let command = command(session, remote)?;
    let mut streams = Streams::inherit();
    if remote.no_stdin {
        streams.stdin = Stream::Null;
    }
    let timeout = remote.timeout.map(Duration::from_secs);
    let running = sessions.start(session, &command, &streams)?;
    match running.wait(&Limits { timeout, interruptible: true })? {
        Ended::Status(status) => Ok(status),
        // What it wrote to had no reader any more: the signal that ended it was SIGPIPE.
        Ended::NoStatus if stdout::has_no_reader() => Err(stdout::reader_gone()),
        Ended::NoStatus => Err(without_status(sessions.transport(session).is_warm())),
        Ended::Interrupted { signal, remote_ended } => {
            if !remote_ended {
                note("runcode: interrupted; the command may still be running on the workspace");
            }
            Ok(u8::try_from(128 + signal).unwrap_or(Code::Interrupted.exit_status()))
        }
        Ended::TimedOut { remote_ended } => {
            let fate = if remote_ended { "it was ended" } else { "it may still be running" };
            let seconds = remote.timeout.unwrap_or_default();
            let error = format!("the command took longer than {seconds} s, and {fate}");
            Err(Error::new(Code::TimedOut, error)
                .hint("it was not run again; raise --timeout, or leave it out"))
        }
    }
}

/// A command whose status never came: on a connection that still stands, a signal took the whole shell.
fn without_status(is_warm: bool) -> Error {
    if is_warm {
        return Error::new(Code::Killed, "the command was killed by a signal on the workspace")
            .hint("it ran in part, and was not run again; too little memory is a common reason");
    }
    Error::new(Code::Transport, "the connection was lost before the command's status came")
        .hint("it may have run in part, and may still be running; it was not run again")
}

fn command(session: &Session, remote: &Remote) -> Result<RemoteCommand> {
    let workdir = (!remote.home).then_some(&session.meta.workdir);
    let env = remote.env.iter().map(|pair| variable(pair)).collect::<Result<Vec<_>>>()?;
    match &remote.command[..] {
        [snippet] => RemoteCommand::snippet(workdir, &env, snippet),
        arguments => RemoteCommand::arguments(workdir, &env, arguments),
    }
}

fn variable(pair: &str) -> Result<(EnvName, String)> {
    let usage =
        |why: &str| Error::new(Code::Usage, format!("--env {why}")).hint("write it as --env NAME=VALUE");
    let (name, value) = pair.split_once('=').ok_or_else(|| usage("has no `=`"))?;
    let name = EnvName::parse(name).map_err(|why| usage(&format!("name `{name}` {why}")))?;
    Ok((name, value.to_owned()))
}
