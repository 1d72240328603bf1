//! `runcode jobs`, and a job as it is reported.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::args::Which;
use crate::error::Result;
use crate::output::foreign;
use crate::output::progress::note;
use crate::output::report::{Outcome, Report, Text};
use crate::output::table::table;
use crate::remote::jobs::{self, Job, State};

/// How much of a command fits into the table.
const COMMAND: usize = 40;

struct Jobs {
    jobs: Vec<Job>,
    workspace: String,
}

/// Lists the jobs.
pub(super) fn run(which: &Which, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let session = app.session(&sessions, which.words())?;
    let (jobs, more) = jobs::list(&sessions, &session)?;
    if more > 0 {
        note(format!("note: jobs not listed: {more}; `runcode jobs clean` removes those that have ended"));
    }
    Ok(Jobs { jobs, workspace: session.shown().to_string() }.into())
}

/// A job as an element of a JSON document.
pub fn json(job: &Job) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "id": job.id.as_str(),
        "name": job.name.as_ref().map(|name| name.json()),
        "command": job.command,
        "started_at": time(job.started_at),
        "ended_at": time(job.ended_at),
        "state": job.state.word(),
        "exit_code": job.state.code(),
        "bytes": job.stdout.bytes,
        "stderr_bytes": job.stderr.bytes,
    })
}

/// What became of it, for people.
pub(super) fn state(state: State) -> String {
    match state {
        State::Exited(code) => format!("exited {code}"),
        state => state.word().to_owned(),
    }
}

impl Report for Jobs {
    fn json(&self) -> Value {
        self.jobs.iter().map(json).collect()
    }

    fn text(&self, text: &mut Text) {
        if self.jobs.is_empty() {
            text.line(format!("no jobs on {} (`runcode exec --detach` starts one)", self.workspace));
            return;
        }
        let row = |job: &Job| {
            let mut command = job.command.chars().take(COMMAND).collect::<String>();
            if job.command.chars().count() > COMMAND {
                command.push('…');
            }
            let command = if command.is_empty() { command } else { foreign::message(&command).to_string() };
            vec![
                job.id.as_str().to_owned(),
                job.name.as_ref().map(ToString::to_string).unwrap_or_default(),
                state(job.state),
                job.started_at.map(|time| time.to_string()).unwrap_or_default(),
                job.stdout.bytes.to_string(),
                job.stderr.bytes.to_string(),
                command,
            ]
        };
        let rows = self.jobs.iter().map(row).collect::<Vec<_>>();
        table(text, &["ID", "NAME", "STATE", "STARTED", "STDOUT", "STDERR", "COMMAND"], &rows);
    }
}
