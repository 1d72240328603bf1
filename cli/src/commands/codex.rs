//! `runcode codex`.

use std::ffi::OsString;

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;

/// Start Codex with its tools on the attached workspace.
///
/// Runs the installed `codex` with ARGS. Codex then runs commands, applies patches and reads files on the workspace attached to this
/// folder. This affects only this one process and writes no configuration file. If the workspace cannot be reached, Codex does not start.
/// If the workspace is lost later, Codex's tools fail; nothing runs on this machine instead. Codex's sandbox mode is not enforced on the
/// workspace. MCP servers, hooks and Codex's own settings stay on this machine.
#[derive(clap::Args)]
#[command(
    override_usage = "runcode codex [OPTIONS] [--] [ARGS]...",
    after_help = "\
Examples:
  runcode codex                             the terminal interface
  runcode codex exec 'fix the tests'        with nobody at the terminal
  runcode codex -- --model gpt-5 resume     Codex's own options come after `--`"
)]
pub struct Args {
    /// Start Codex even if it is newer than the versions that were checked
    #[arg(long)]
    any_version: bool,
    /// The arguments for `codex`
    #[arg(value_name = "ARGS", trailing_var_arg = true)]
    arguments: Vec<OsString>,
}

/// Starts Codex and serves it until it ends; its status.
#[cfg(unix)]
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    use crate::codex::{Clients, Codex, Environment, Listener, refuse_arguments};
    use crate::error::{Code, Error};
    use crate::integrations::codex_environments;
    use crate::integrations::user_file::UserFile;
    use crate::output::foreign::FileName as _;
    use crate::output::progress::note;

    refuse_arguments(&args.arguments)?;
    let settings = codex_environments::file(app.env())?;
    let file = UserFile::look(&settings)?;
    if file.content().is_some_and(|content| !codex_environments::leads_to_us(content)) {
        let what =
            format!("{} already says where Codex runs its tools, and Codex obeys it first", settings.named());
        return Err(Error::new(Code::Conflict, what).hint("move it away and start Codex again"));
    }
    let environment = Environment::open(app)?;
    let codex = Codex::find(app.env(), args.any_version)?;
    let listener = Listener::open()?;
    let address = listener.address()?;
    note(format!("runcode: Codex works on {}; its sandbox mode is not enforced there", environment.shown()));
    let clients = Clients::default();
    listener.serve(environment, clients.clone())?;
    let status = codex.run(&args.arguments, &address)?;
    clients.close();
    Ok(Outcome::Status(status))
}

/// Not on this system.
#[cfg(windows)]
pub fn run(args: Args, _: &App) -> Result<Outcome> {
    let Args { any_version: _, arguments: _ } = args;
    Err(super::codex_environment::unavailable())
}
