//! `exec` with `background: "auto"`: a job from the start, which is answered like any command if it ends in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::commands::exec::detached;
use crate::error::{Error, Result};
use crate::mcp::workspace::answer::Answer;
use crate::mcp::workspace::capture::State;
use crate::mcp::workspace::exec::{End, keep};
use crate::mcp::workspace::shelf::Side;
use crate::mcp::workspace::{Context, jobs as tool};
use crate::remote::jobs::{self, Job, Piece, Want};
use crate::session::execution::Execution;
use crate::session::{Session, Sessions};
use crate::sys::interrupt::Cancel;

/// Runs a command for at most this many seconds, and then leaves it to the workspace.
pub(super) fn run(
    context: &Context<'_>,
    sessions: &Sessions<'_>,
    execution: Execution,
    seconds: u64,
) -> Result<Answer> {
    if context.arguments.has("stdin") {
        return Err(tool::is_not_for("stdin"));
    }
    let session = context.session(sessions)?;
    let began = Instant::now();
    let started = detached::begin(None, sessions, &session, &Execution { timeout: None, ..execution })?;
    let id = started.id();
    let waited = jobs::wait(sessions, &session, id, Some(Duration::from_secs(seconds)));
    if context.call.cancel.is_cancelled() {
        // Like any command of the call, but with another handle, since this one would cancel it, too.
        let sessions = context.app.sessions()?.cancelled_by(Cancel::default());
        let _ = jobs::kill(&sessions, &session, id, "TERM");
        return Err(Error::interrupted());
    }
    let job = waited.map_err(|error| {
        let hint = format!("the command continues as job {id}: `output` reads it, and `kill` ends it");
        Error::new(error.code(), error.message()).hint(hint)
    })?;
    let Some(status) = job.state.code().filter(|_| job.stdout.is_whole && job.stderr.is_whole) else {
        return Ok(going_on(&job, seconds));
    };
    let place = context.service.shelf.place(context.app.paths()?);
    let fetched = |side| {
        let mut state = State::new(side, place.clone());
        fetch(sessions, &session, &job, &mut state).map(|()| state)
    };
    let (mut out, mut err) = (fetched(Side::Out)?, fetched(Side::Err)?);
    let end = End::Status(status);
    let kept = keep(context, &place, &mut out, &mut err, &end);
    // We have its output now. If the job cannot be removed there, it just stays in the list.
    let _ = jobs::clean(sessions, &session, Some(id));
    Ok(end.answer(&out, &err, kept, began.elapsed()))
}

/// Reads all that the job wrote to a stream.
fn fetch(sessions: &Sessions<'_>, session: &Session, job: &Job, state: &mut State) -> Result<()> {
    let is_stderr = state.side == Side::Err;
    let kept = if is_stderr { job.stderr } else { job.stdout };
    if kept.bytes == 0 {
        return Ok(());
    }
    let want = Want { words: job.id.as_str(), is_stderr, since: kept.first, follow: false };
    jobs::output(sessions, session, &want, &mut |piece| {
        if let Piece::Bytes(bytes) = piece {
            state.push(bytes);
        }
        Ok(())
    })?;
    Ok(())
}

/// The answer for a job that continues, or whose output cannot all be shown.
fn going_on(job: &Job, seconds: u64) -> Answer {
    let id = job.id.as_str();
    let state = match job.state.is_over() {
        true => format!("{} after less than {seconds} s", job.state.word()),
        false => format!("still running after {seconds} s"),
    };
    let (out, err) = (job.stdout.bytes, job.stderr.bytes);
    let text = format!(
        "[{state}: it is now job {id} \u{b7} {out} bytes of stdout, {err} of stderr; read them: output {}; end it: kill {}]",
        json!({ "id": id, "wait": 60 }),
        json!({ "id": id }),
    );
    Answer::text(text).with(json!({
        "exit_code": job.state.code(),
        "signal": Value::Null,
        "timed_out": false,
        "stdout_bytes": out,
        "stderr_bytes": err,
        "id": Value::Null,
        "job": id,
    }))
}
