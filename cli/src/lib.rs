//! `runcode`: low-friction, safe SSH access to a remote workspace.
//!
//! Data flows one way: arguments → command → session → transport → output. The layers import downwards only:
//! `lib → commands → {files, remote} → session → {origin, integrations} → signer → transport → {openssh, http} → grant → sys → output`;
//! `error` is a leaf. This file is the only one that prints a result.

pub mod app;
pub mod args;
#[cfg(unix)]
pub mod codex;
pub mod commands;
pub mod error;
pub mod files;
pub mod grant;
pub mod hooks;
pub mod http;
pub mod integrations;
pub mod mcp;
pub mod openssh;
pub mod origin;
pub mod output;
pub mod remote;
pub mod session;
pub mod signer;
pub mod sys;
pub mod transport;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::json;

use crate::app::App;
use crate::args::{Cli, Globals, usage};
use crate::error::{Code, Error, Result};
use crate::output::report::{self, Outcome, Text};
use crate::output::{progress, sanitize, stdout};
use crate::sys::env::Env;

/// The exit status of `exec`, `run` and `shell` for a failure of our own, as ssh has it.
const OWN_FAILURE: u8 = 255;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    sys::platform::forbid_core_dumps();
    let args = std::env::args_os().collect::<Vec<_>>();
    if let [_, only] = &args[..]
        && (only == "--version" || only == "-V")
    {
        return answer(concat!("runcode ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    }
    #[cfg(unix)]
    if let Some(status) = openssh::askpass::answered(&Env::of_process(), &args) {
        return status;
    }
    if let Some(candidates) = commands::completions::answer(&Env::of_process(), args.clone()) {
        return answer(&candidates);
    }
    let cli = match Cli::parse_process(&args) {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error, &args),
    };
    let (is_json, passes_status) = (cli.globals.json, cli.command.passes_status());
    if cli.globals.token_stdin && cli.command.passes_stdin() {
        let error = Error::new(
            Code::Usage,
            "--token-stdin cannot be combined with a command that forwards stdin",
        )
        .hint("set RUNCODE_TOKEN or run `runcode login`; a command that needs no stdin takes --no-stdin");
        return ExitCode::from(failed(&error, is_json, passes_status));
    }
    let mut globals = Globals { verb: Some(cli.command.name()), ..cli.globals };
    cli.command.name_base(&mut globals);
    let app = App::new(globals, Env::of_process());
    let status = match cli.command.run(&app).and_then(|outcome| render(outcome, is_json)) {
        Ok(status) => status,
        Err(error) => failed(&error, is_json, passes_status),
    };
    ExitCode::from(status)
}

/// Answers a question that is no command.
fn answer(bytes: &[u8]) -> ExitCode {
    ExitCode::from(stdout::write(bytes).map_or_else(|error| failed(&error, false, false), |()| 0))
}

fn render(outcome: Outcome, is_json: bool) -> Result<u8> {
    match outcome {
        Outcome::Status(status) => Ok(status),
        Outcome::Raw(_) if is_json => {
            Err(Error::new(Code::Usage, "--json is not supported here: another program reads this output")
                .hint("leave --json out"))
        }
        Outcome::Raw(bytes) => stdout::write(&bytes).map(|()| 0),
        Outcome::Report(report) if is_json => {
            stdout::write(format!("{}\n", report.json()).as_bytes()).map(|()| report.exit_status())
        }
        Outcome::Report(report) => {
            let mut text = Text::default();
            report.text(&mut text);
            stdout::write(text.as_str().as_bytes()).map(|()| report.exit_status())
        }
    }
}

fn failed(error: &Error, is_json: bool, passes_status: bool) -> u8 {
    if stdout::is_reader_gone(error) {
        return stdout::READER_GONE;
    }
    if is_json {
        let mut document =
            json!({ "error": error.code().as_str(), "message": sanitize::lines(error.message()) });
        if let Some(hint) = error.next_step() {
            document["hint"] = sanitize::lines(hint).into();
        }
        for (name, value) in error.details() {
            document[*name] = sanitize::lines(value).into();
        }
        if let issues @ [_, ..] = error.each_issue() {
            document["issues"] = issues.iter().map(report::issue).collect();
        }
        let _ = stdout::write(format!("{document}\n").as_bytes());
    } else {
        progress::note_wrapped(&format!("runcode: {}", error.message()));
        error
            .each_issue()
            .iter()
            .for_each(|issue| progress::note_wrapped(&format!("  {}", report::issue_line(issue))));
        if let Some(hint) = error.next_step() {
            progress::note_wrapped(&format!("  hint: {hint}"));
        }
    }
    match (error.own_status(), error.code()) {
        (Some(status), _) => status,
        (None, Code::Interrupted) => Code::Interrupted.exit_status(),
        (None, _) if passes_status => OWN_FAILURE,
        (None, code) => code.exit_status(),
    }
}

/// A command line that is a question (`--help`, or nothing at all), or not understood.
fn unparsed(error: &clap::Error, args: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        return answer(error.render().to_string().as_bytes());
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = writeln!(io::stderr().lock(), "{}", error.render().to_string().trim_end());
        return ExitCode::from(Code::Usage.exit_status());
    }
    let line = usage::Line::of(args);
    ExitCode::from(failed(&line.explain(error), line.is_json, line.passes_status()))
}
