//! `runcode`: low-friction, safe SSH access to a remote workspace.
//!
//! Data flows one way: arguments → command → session → transport → output. The layers import downwards only:
//! `lib → commands → session → {control_plane, integrations} → transport → grant → sys → output`; `error` is
//! a leaf. This file is the only one that prints a result.

pub mod app;
pub mod args;
pub mod commands;
pub mod control_plane;
pub mod error;
pub mod grant;
pub mod integrations;
pub mod output;
pub mod session;
pub mod sys;
pub mod transport;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::json;

use crate::app::App;
use crate::args::Cli;
use crate::error::{Code, Error, Result};
use crate::output::report::{Outcome, Text};
use crate::output::{progress, sanitize};
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
        return ExitCode::from(
            print(concat!("runcode ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()).map_or(1, |()| 0),
        );
    }
    if let Some(answer) = commands::completions::answer(&Env::of_process(), args.clone()) {
        return ExitCode::from(print(&answer).map_or(1, |()| 0));
    }
    let cli = match Cli::parse_process(&args) {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error, &args),
    };
    let (is_json, passes_status) = (cli.globals.json, cli.command.passes_status());
    let app = App::new(cli.globals, Env::of_process());
    let status = match cli.command.run(&app).and_then(|outcome| render(outcome, is_json)) {
        Ok(status) => status,
        Err(error) => failed(&error, is_json, passes_status),
    };
    ExitCode::from(status)
}

fn render(outcome: Outcome, is_json: bool) -> Result<u8> {
    match outcome {
        Outcome::Status(status) => Ok(status),
        Outcome::Raw(bytes) => print(&bytes).map(|()| 0),
        Outcome::Report(report) if is_json => {
            print(format!("{}\n", report.json()).as_bytes()).map(|()| report.exit_status())
        }
        Outcome::Report(report) => {
            let mut text = Text::default();
            report.text(&mut text);
            print(text.as_str().as_bytes()).map(|()| report.exit_status())
        }
    }
}

/// Writes to stdout. A reader that has gone is a quiet end.
fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write to stdout", error)),
        _ => Ok(()),
    }
}

fn failed(error: &Error, is_json: bool, passes_status: bool) -> u8 {
    if is_json {
        let mut document =
            json!({ "error": error.code().as_str(), "message": sanitize::lines(error.message()) });
        if let Some(hint) = error.next_step() {
            document["hint"] = sanitize::lines(hint).into();
        }
        let _ = print(format!("{document}\n").as_bytes());
    } else {
        progress::note(format!("runcode: {}", error.message()));
        if let Some(hint) = error.next_step() {
            progress::note(format!("  hint: {hint}"));
        }
    }
    match error.code() {
        Code::Interrupted => Code::Interrupted.exit_status(),
        _ if passes_status => OWN_FAILURE,
        code => code.exit_status(),
    }
}

/// A command line that is a question (`--help`, `--version`) or not understood.
fn unparsed(error: &clap::Error, args: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        return ExitCode::from(print(error.render().to_string().as_bytes()).map_or(1, |()| 0));
    }
    let own = args.iter().take_while(|arg| *arg != "--").collect::<Vec<_>>();
    let passes_status = own.iter().any(|arg| *arg == "exec" || *arg == "run" || *arg == "shell");
    let text = error.render().to_string();
    let text = text.trim_end();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    if own.iter().any(|arg| *arg == "--json") {
        let message =
            text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
        let usage = Error::new(Code::Usage, message).hint("run `runcode --help`");
        return ExitCode::from(failed(&usage, true, passes_status));
    }
    let help = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let prefix = if help { "" } else { "runcode: " };
    let _ = writeln!(io::stderr().lock(), "{prefix}{}", sanitize::lines(text));
    ExitCode::from(if passes_status { OWN_FAILURE } else { Code::Usage.exit_status() })
}
