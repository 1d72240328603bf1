//! A control plane that a team runs itself. It signs short certificates for machines with a stock sshd, and steps aside: no byte
//! of a session passes through it.

mod args;
mod clock;
mod config;
mod core;
mod failure;
mod http;
mod krl;
mod log;
mod random;
mod site;
mod store;
mod verbs;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::json;

use args::Args;
use failure::Failure;

/// Runs the command line.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let is_json = args.json;
    match verbs::run(args) {
        Ok(report) => {
            let text = if is_json { format!("{}\n", report.json) } else { report.text };
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::from(report.exit)
        }
        Err(failure) => {
            say(&failure, is_json);
            ExitCode::from(failure.exit())
        }
    }
}

fn say(failure: &Failure, is_json: bool) {
    if is_json {
        let body = json!({ "error": { "code": failure.kind.code(), "message": failure.message } });
        let _ = writeln!(std::io::stdout().lock(), "{body}");
    }
    let _ = writeln!(std::io::stderr().lock(), "runcode-server: {}", failure.message);
}
