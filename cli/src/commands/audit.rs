//! `runcode audit`.

mod export;
mod list;
mod seal;
mod verify;

use std::path::PathBuf;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::Trail;
use crate::output::foreign::FileName as _;
use crate::output::report::Outcome;
use crate::sys::paths::Paths;

/// Look at the log of what was done on servers, verify it, export it, seal it.
///
/// Whatever runs on a server of servers.toml is recorded before it starts, and again when it has ended. Nothing runs that cannot
/// be recorded. With `audit_all = true` below `[broker]`, other workspaces are recorded, too.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode audit list                        the last 50 records
  runcode audit list --server prod --since 2h
  runcode audit verify                      is anything changed, missing or cut?
  runcode audit seal                        a key protects what is recorded
  runcode audit verify --key-stdin < key    check the seals, too
  runcode audit export > audit.jsonl        every record, and the head")]
pub struct Args {
    /// Look at this log instead of the one that servers.toml names
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, global = true)]
    log: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List records, the latest last
    List(list::Args),
    /// Check that no record was changed, removed, swapped or cut off
    Verify(verify::Args),
    /// Write every record to stdout, and a last line with the head
    Export(export::Args),
    /// Seal what follows with a new key, and show the key that verifies it, once
    Seal(seal::Args),
}

/// Does what the action says.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let look = |log: Option<PathBuf>| match log {
        Some(log) if runcode_audit::is_there(&log) => Ok(log),
        Some(log) => {
            let what = format!("there is no audit log {}", log.named());
            Err(Error::new(Code::NotFound, what).hint("leave --log out to use the default log"))
        }
        None => written(app, &app.server_trail()?),
    };
    match args.action {
        Action::List(it) => list::run(&it, &look(args.log)?),
        Action::Verify(it) => verify::run(&it, &look(args.log)?),
        Action::Export(it) => export::run(&it, &look(args.log)?),
        Action::Seal(it) => seal::run(&it, args.log, app),
    }
}

/// Where what is done on servers is written.
fn written(app: &App, trail: &Trail) -> Result<PathBuf> {
    trail.log.clone().map_or_else(|| app.paths().map(Paths::audit_log), Ok)
}
