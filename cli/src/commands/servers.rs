//! `runcode servers`.

mod approve;
mod ca;
mod check;
mod init;
mod list;
mod pin;
mod profiles;

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;

/// Name machines of your own in servers.toml, and look at what it says.
///
/// A named server is a workspace: `runcode connect NAME`, then every command. The file is read from /etc/runcode, where an
/// operator writes it, and from ~/.config/runcode; never from the current folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode servers init               write an example that explains itself
  runcode servers check              is it right? every mistake, with its line
  runcode servers check gpu          also log in to this server once
  runcode servers list               what it names
  runcode servers profiles prod      what may run on this server
  runcode servers pin gpu            its host keys, to compare and paste")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Write a servers.toml that explains itself, unless there is one
    Init(init::Args),
    /// Check servers.toml, and show every mistake in it
    Check(check::Args),
    /// List the servers that servers.toml names
    List,
    /// Show the commands that a server's owner allows, and their arguments
    Profiles(profiles::Args),
    /// Sign a request for an approval, and show it. It asks nothing: read the file first
    Approve(approve::Args),
    /// Show a signer's public key, and what a host's sshd needs to trust it; change nothing
    Ca(ca::Args),
    /// Show a server's host keys, ready to paste as host_keys; write nothing
    Pin(pin::Args),
}

/// The commands that a server's owner allows, and their arguments.
pub fn profiles(server: String, app: &App) -> Result<Outcome> {
    profiles::run(&profiles::Args { server }, app)
}

/// Does what the action says.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    match args.action {
        Action::Init(args) => init::run(args, app),
        Action::Check(args) => check::run(args, app),
        Action::List => list::run(app),
        Action::Approve(args) => approve::run(&args, app),
        Action::Ca(args) => ca::run(args, app),
        Action::Profiles(args) => profiles::run(&args, app),
        Action::Pin(args) => pin::run(args, app),
    }
}
