//! What kind of machine a workspace is and what is in it, asked in one round trip.
//!
//! The workspace answers in lines that begin with a random mark. What a program there prints is the value of the fact that
//! it was run for, cut at its first line, and can name no other (hostile output: CWE-93).

mod facts;

use std::time::Duration;

pub use facts::{Context, Git, ListeningPort, Space, Unseen};

use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::remote::answer::answer;
use crate::session::{Session, Sessions};
use crate::sys::random;
use crate::transport::RemoteCommand;
use crate::transport::script::ABSOLUTE_PATH;

const PROBE: &str = include_str!("probe.sh");

/// How long the workspace may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn probe() -> String {
    [ABSOLUTE_PATH, PROBE].concat()
}

/// Looks around on the session's box.
pub fn look(sessions: &Sessions<'_>, session: &Session) -> Result<Context> {
    let mark = random::word();
    let (first, second) = mark.split_at(mark.len() / 2);
    let workdir = session.meta.workdir.as_ref();
    // It starts in the login folder, and a path in it may begin with `-`.
    let below = |workdir: &Workdir| workdir.below_home().map(|below| format!("./{below}"));
    let workdir =
        workdir.map_or_else(|| ".".to_owned(), |it| below(it).unwrap_or_else(|| it.as_str().to_owned()));
    let command =
        RemoteCommand::script(&probe(), &[first.as_bytes(), second.as_bytes(), workdir.as_bytes()])?;
    let text = answer(sessions, session, &command, PATIENCE)?;
    let lost = || Error::new(Code::Transport, "the workspace did not say what it is: its shell gave up");
    Context::parse(&text, &mark).ok_or_else(lost)
}
