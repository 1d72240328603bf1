//! `runcode doctor`.

mod connection;
mod machine;
mod own_host;

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Error, Result};
use crate::output::report::{Outcome, Report, Text};
use crate::output::sanitize;

/// Check this machine, your login and the attached workspace, and say how to fix what is wrong.
///
/// Exit status 1 when a check fails. It never prints a token.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode doctor                           when something does not work
  runcode doctor --editors                 also connect as editors do
  runcode doctor ssh:buildhost             why a host of your own cannot be used
  runcode doctor gpu                       the same for a server of servers.toml")]
pub struct Args {
    /// Check only this host or server of your own
    workspace: Option<String>,
    /// Also connect to the attached workspace the way editors do
    #[arg(long)]
    editors: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        }
    }
}

/// One check: what it found, and how to fix it.
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    /// More of the detail than fits a line: for JSON alone.
    more: Option<String>,
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Check {
        Check { name, status: Status::Ok, detail: detail.into(), more: None, mend: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Check {
        Check { name, status: Status::Warn, detail: detail.into(), more: None, mend: Some(mend.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Check {
        Check { name, status: Status::Fail, detail: detail.into(), more: None, mend: Some(mend.into()) }
    }

    /// A failure, with the error's own advice.
    fn failed(name: &'static str, error: &Error) -> Check {
        let mend = error.next_step().map(str::to_owned);
        Check { name, status: Status::Fail, detail: error.message().to_owned(), more: None, mend }
    }
}

struct Findings(Vec<Check>);

impl Findings {
    fn has_failed(&self) -> bool {
        self.0.iter().any(|check| check.status == Status::Fail)
    }
}

impl Report for Findings {
    fn json(&self) -> Value {
        let check = |check: &Check| {
            let detail = [Some(&check.detail), check.more.as_ref(), check.mend.as_ref()];
            let detail = detail.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ");
            json!({
                "name": check.name,
                "status": check.status.word(),
                "detail": sanitize::lines(&detail),
                "fix": check.mend.as_deref().map(sanitize::lines),
            })
        };
        json!({ "ok": !self.has_failed(), "checks": self.0.iter().map(check).collect::<Value>() })
    }

    /// What is wrong comes first.
    fn text(&self, text: &mut Text) {
        let width = self.0.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let ranked = [Status::Fail, Status::Warn, Status::Ok]
            .into_iter()
            .flat_map(|status| self.0.iter().filter(move |check| check.status == status));
        for check in ranked {
            let sign = match check.status {
                Status::Ok => "✓",
                Status::Warn => "!",
                Status::Fail => "✗",
            };
            text.line(format!("{sign} {:width$}  {}", check.name, check.detail));
            if let Some(mend) = &check.mend {
                text.line(format!("  {:width$}  → {mend}", ""));
            }
        }
    }

    fn exit_status(&self) -> u8 {
        u8::from(self.has_failed())
    }
}

/// Runs every check; none stops another.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if let Some(words) = &args.workspace {
        let mut checks = vec![machine::ssh(app)];
        checks.extend(own_host::checks(app, words)?);
        return Ok(Findings(checks).into());
    }
    let mut checks = vec![
        machine::ssh(app),
        machine::platform(),
        connection::api_base(app),
        connection::token(app),
        connection::auth(app),
        machine::cache(app),
        machine::servers(app),
        machine::status_line(app),
        machine::ssh_config(app),
        connection::attached(app),
    ];
    checks.extend(connection::proxy(app));
    if args.editors {
        checks.extend(connection::editors(app));
    }
    Ok(Findings(checks).into())
}
