//! `runcode codex-environment`.

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;

/// Serve the attached workspace to Codex, on stdin and stdout, as the place where its tools run. `install-codex` has Codex start it.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {}

/// Serves until Codex is gone.
#[cfg(unix)]
pub fn run(_args: Args, app: &App) -> Result<Outcome> {
    use std::io::IsTerminal as _;

    use crate::codex::{Environment, serve_process};
    use crate::error::{Code, Error};

    if std::io::stdin().is_terminal() {
        return Err(Error::new(Code::Usage, "codex-environment is started by Codex, not from a terminal")
            .hint("start Codex with its tools on the workspace: runcode codex"));
    }
    serve_process(Environment::open(app))?;
    Ok(Outcome::Status(0))
}

/// Not on this system.
#[cfg(windows)]
pub fn run(_args: Args, _app: &App) -> Result<Outcome> {
    Err(unavailable())
}

/// Why Codex's tools stay on this machine.
#[cfg(windows)]
pub(super) fn unavailable() -> crate::error::Error {
    use crate::error::{Code, Error};
    Error::new(Code::Unavailable, "on Windows, Codex's tools cannot run on a workspace")
        .hint("use the tools of `runcode mcp`, or use runcode in WSL")
}
