//! The command line.

use clap::{Args, Parser, Subcommand};
use zeroize::Zeroizing;

use crate::commands::{
    clean, connect, current, demo, dev, disconnect, exec, list, login, logout, run, shell, status, stop,
};

/// Safe, low-friction SSH access to your remote workspace.
#[derive(Parser)]
#[command(
    name = "runcode",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true
)]
#[command(after_help = "\
Start here:
  runcode demo                        see all of it work on this machine, no account needed
  runcode login                       log in, once
  runcode list                        see your workspaces
  runcode connect my-ws --start       attach one, booting it if it is stopped
  runcode exec -- make test           run a command on it")]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Args, Clone, Default)]
pub struct Globals {
    /// Print one JSON document on stdout, also on failure
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// The control plane [env: RUNCODE_API_BASE] [default: https://app.runcode.io]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub api_base: Option<String>,
    /// Read the API token from stdin
    #[arg(long, global = true, conflicts_with = "token", help_heading = "Global options")]
    pub token_stdin: bool,
    /// The API token; other users see it in `ps`, so prefer --token-stdin or RUNCODE_TOKEN
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret, help_heading = "Global options")]
    pub token: Option<Zeroizing<String>>,
}

fn secret(text: &str) -> Result<Zeroizing<String>, std::convert::Infallible> {
    Ok(Zeroizing::new(text.to_owned()))
}

/// The verbs. What each is for stands with its `Args`, where its help comes from.
#[derive(Subcommand)]
#[expect(missing_docs, reason = "a doc comment here would hide that help")]
pub enum Command {
    Login(login::Args),
    Logout(logout::Args),
    List(list::Args),
    Connect(connect::Args),
    Exec(exec::Args),
    Run(run::Args),
    Shell(shell::Args),
    Current(current::Args),
    Status(status::Args),
    Disconnect(disconnect::Args),
    Stop(stop::Args),
    Clean(clean::Args),
    Dev(dev::Args),
    Demo(demo::Args),
}

impl Command {
    /// Whether the exit status is the remote command's, so that our own failures must be 255, as with ssh.
    pub fn passes_status(&self) -> bool {
        matches!(self, Command::Exec(_) | Command::Run(_) | Command::Shell(_))
    }
}
