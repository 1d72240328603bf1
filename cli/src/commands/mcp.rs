//! `runcode mcp`.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use crate::app::App;
use crate::commands::args::Which;
use crate::error::{Code, Error, Result};
use crate::mcp::serve_process;
use crate::mcp::workspace::{Options, Workspace};
use crate::output::foreign::FileName as _;
use crate::output::report::Outcome;

/// Give an agent the workspace as tools (MCP).
///
/// An agent's client starts this and speaks the Model Context Protocol with it on stdin and stdout. The tools do what the
/// commands of the same names do, on the workspace attached to the agent's project. Of this machine's files, `put` and `get`
/// use those below the project alone, and what is below a `--local-root`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claude mcp add runcode -- runcode mcp      for Claude Code, without the plugin
  codex mcp add runcode -- runcode mcp       for Codex
  runcode mcp --read-only                    to look around, and change nothing")]
pub struct Args {
    /// Offer no tool that runs commands, changes files or forwards ports, and boot nothing
    #[arg(long)]
    read_only: bool,
    /// Also let `put` and `get` use files below this folder of this machine; may be given several times
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    local_root: Vec<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Serves until the client is gone.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if io::stdin().is_terminal() {
        return Err(Error::new(
            Code::Usage,
            "mcp speaks a protocol on stdin, and an agent's client starts it",
        )
        .hint("add it to your agent, for instance: claude mcp add runcode -- runcode mcp"));
    }
    let local_roots = args.local_root.iter().map(|root| local_root(root)).collect::<Result<_>>()?;
    let options =
        Options { workspace: args.which.words().map(str::to_owned), read_only: args.read_only, local_roots };
    serve_process(Workspace::new(app.globals().clone(), app.env().clone(), options))?;
    Ok(Outcome::Status(0))
}

/// A folder that `put` and `get` may use, by its real path.
fn local_root(given: &Path) -> Result<PathBuf> {
    let real = given
        .canonicalize()
        .map_err(|error| Error::io(format_args!("use --local-root {}", given.named()), error))?;
    if !real.is_dir() {
        return Err(Error::new(Code::Usage, format!("--local-root {} is not a folder", given.named()))
            .hint("name a folder of this machine"));
    }
    Ok(real)
}
