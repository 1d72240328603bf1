//! `runcode jobs wait`, `kill` and `clean`.

use std::time::Duration;

use serde_json::{Value, json};

use super::list;
use crate::app::App;
use crate::commands::args::Which;
use crate::error::{Code, Error, Result};
use crate::output::report::{Outcome, Report, Text};
use crate::remote::jobs::{self, Job, JobId, State};
use crate::session::audit::Action;
use crate::session::{Session, Sessions};

/// Wait until a job ends, and end with its status.
///
/// It waits over a new connection if this one is lost. If it fails itself, or the time is up, it ends with 255, as `exec`
/// does, and the job goes on.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode jobs wait build
  runcode jobs wait build --timeout 10m")]
pub(super) struct WaitArgs {
    /// The job: its id, or its name
    #[arg(value_name = "ID")]
    job: String,
    /// Wait no longer than this: seconds, or with a unit, such as 90s, 10m or 2h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    timeout: Option<u64>,
    #[command(flatten)]
    pub(super) which: Which,
}

/// Send a signal to a job's process group.
///
/// TERM asks its processes to end, which they may ignore; --signal KILL ends them for certain. A process that left the group
/// gets no signal.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode jobs kill build
  runcode jobs kill build --signal KILL")]
pub(super) struct KillArgs {
    /// The job: its id, or its name
    #[arg(value_name = "ID")]
    job: String,
    /// The signal
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", value_parser = signal)]
    signal: &'static str,
    #[command(flatten)]
    pub(super) which: Which,
}

/// Remove the jobs that have ended, with their output.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode jobs clean           all that have ended
  runcode jobs clean build     only this one")]
pub(super) struct CleanArgs {
    /// Only this job: its id, or its name
    #[arg(value_name = "ID")]
    job: Option<String>,
    #[command(flatten)]
    pub(super) which: Which,
}

/// Seconds, or a number with a unit.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse::<u64>().ok().filter(|_| is_number).and_then(|it| it.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=31_536_000).contains(seconds))
        .ok_or_else(|| "write it as 90, 90s, 10m or 2h, up to a year".to_owned())
}

/// The signal's name, with or without `SIG`.
fn signal(text: &str) -> Result<&'static str, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = jobs::SIGNALS.into_iter().find(|known| *known == name);
    known.ok_or_else(|| format!("use one of {}", jobs::SIGNALS.join(", ")))
}

/// Waits; the job's status.
pub(super) fn wait(args: &WaitArgs, app: &App) -> Result<Outcome> {
    super::named(&args.job)?;
    let sessions = app.sessions()?;
    let session = app.session(&sessions, args.which.words())?;
    let timeout = args.timeout.map(Duration::from_secs);
    let job = jobs::wait(&sessions, &session, &args.job, timeout)?;
    let what = |why: String| format!("the job {} {why}", job.id.as_str());
    let wrote = || format!("`runcode jobs output {}` prints what it wrote", job.id.as_str());
    match job.state {
        State::Exited(_) => Ok(Waited { job }.into()),
        State::Starting | State::Running => {
            let seconds = args.timeout.unwrap_or_default();
            Err(Error::new(Code::TimedOut, what(format!("still runs after {seconds} s")))
                .hint(format!("it goes on; `runcode jobs wait {}` waits again", job.id.as_str())))
        }
        State::Lost => Err(Error::new(Code::Killed, what("is gone and left no status".to_owned())).hint(
            format!("it was killed together with its supervisor, often because memory ran out; {}", wrote()),
        )),
        State::Rebooted => {
            Err(Error::new(Code::Killed, what("is gone: the workspace has restarted since".to_owned()))
                .hint(format!("start it again if it is still needed; {}", wrote())))
        }
    }
}

/// Sends the signal.
pub(super) fn kill(args: &KillArgs, app: &App) -> Result<Outcome> {
    super::named(&args.job)?;
    let sessions = app.sessions()?;
    let session = app.session(&sessions, args.which.words())?;
    let job = signalled(&sessions, &session, &args.job, args.signal)?;
    Ok(Signalled { job, signal: args.signal }.into())
}

/// The job with this id or name, once it has been sent the signal.
pub fn signalled(sessions: &Sessions<'_>, session: &Session, job: &str, signal: &str) -> Result<Job> {
    sessions.audited(
        &session.meta.key,
        || Action::of("job_kill", [job, "--signal", signal]),
        || jobs::kill(sessions, session, job, signal),
    )
}

/// Removes what has ended.
pub(super) fn clean(args: &CleanArgs, app: &App) -> Result<Outcome> {
    args.job.as_deref().map_or(Ok(()), super::named)?;
    let sessions = app.sessions()?;
    let session = app.session(&sessions, args.which.words())?;
    let (removed, left) = sessions.audited(
        &session.meta.key,
        || Action::of("job_clean", &args.job),
        || jobs::clean(&sessions, &session, args.job.as_deref()),
    )?;
    if let Some(job) = left {
        let what = format!("the job {} still runs, and was not removed", job.id.as_str());
        let hint = format!("`runcode jobs kill {}` ends it", job.id.as_str());
        return Err(Error::new(Code::Conflict, what).hint(hint));
    }
    Ok(Cleaned { removed }.into())
}

/// A job that has ended: nothing to say for people, who have its status.
struct Waited {
    job: Job,
}

impl Report for Waited {
    fn json(&self) -> Value {
        list::json(&self.job)
    }

    fn text(&self, _: &mut Text) {}

    fn exit_status(&self) -> u8 {
        self.job.state.code().unwrap_or_default()
    }
}

struct Signalled {
    job: Job,
    signal: &'static str,
}

impl Report for Signalled {
    fn json(&self) -> Value {
        list::json(&self.job)
    }

    fn text(&self, text: &mut Text) {
        let id = self.job.id.as_str();
        if self.job.state.is_over() {
            text.line(format!("{id}: {}", list::state(self.job.state)));
        } else if matches!(self.signal, "TERM" | "INT" | "HUP" | "QUIT") {
            text.line(format!("{id} got {} and still runs (--signal KILL ends it for certain)", self.signal));
        } else {
            text.line(format!("{id} got {} and still runs", self.signal));
        }
    }
}

struct Cleaned {
    removed: Vec<JobId>,
}

impl Report for Cleaned {
    fn json(&self) -> Value {
        json!({ "removed": self.removed.iter().map(JobId::as_str).collect::<Vec<_>>() })
    }

    fn text(&self, text: &mut Text) {
        match self.removed.len() {
            0 => text.line("no job has ended"),
            1 => text.line("removed 1 job"),
            count => text.line(format!("removed {count} jobs")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_signals_are_read() {
        for (text, read) in [("30", 30), ("30s", 30), ("2m", 120), ("1h", 3600)] {
            assert_eq!(seconds(text), Ok(read), "{text}");
        }
        for text in ["", "0", "s", "-1", "+1", "1.5", "1d", "99999999h", "1 s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        for (text, read) in [("TERM", "TERM"), ("sigkill", "KILL"), ("int", "INT")] {
            assert_eq!(signal(text), Ok(read), "{text}");
        }
        assert!(signal("WINCH").is_err() && signal("").is_err() && signal("9").is_err());
    }
}
