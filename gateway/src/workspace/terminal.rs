//! Commands in a terminal: a pty, its size and its modes.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::account;
use super::command::Invocation;

/// What a client says about its terminal.
#[derive(Debug, Clone)]
pub(crate) struct TerminalRequest {
    /// The value of `TERM`.
    pub(crate) term: String,
    pub(crate) size: PtySize,
    /// Terminal modes by their opcode (RFC 4254, section 8).
    pub(crate) modes: Vec<(u8, u32)>,
}

/// A running command's terminal.
pub(crate) struct Terminal {
    master: Mutex<Box<dyn MasterPty + Send>>,
    /// The process that leads the terminal's session.
    pub(crate) leader: u32,
}

/// The blocking ends of a terminal: one thread each.
pub(crate) struct Ends {
    pub(crate) output: Box<dyn Read + Send>,
    pub(crate) input: Box<dyn Write + Send>,
    pub(crate) child: Leader,
}

/// The process in the terminal.
pub(crate) struct Leader(Box<dyn Child + Send + Sync>);

impl Leader {
    /// Waits for the process. `None` when the system does not say how it ended.
    pub(crate) fn wait(self) -> Option<ExitStatus> {
        let child: Box<dyn Child> = self.0;
        // portable-pty names a signal in the language of the system; the status itself has its number.
        match child.downcast::<std::process::Child>() {
            Ok(mut child) => child.wait().ok(),
            Err(mut child) => child.wait().ok().and_then(plain_status),
        }
    }
}

#[cfg(unix)]
fn plain_status(status: portable_pty::ExitStatus) -> Option<ExitStatus> {
    use std::os::unix::process::ExitStatusExt;
    i32::try_from(status.exit_code()).ok().map(|code| ExitStatus::from_raw(code << 8))
}

#[cfg(windows)]
fn plain_status(status: portable_pty::ExitStatus) -> Option<ExitStatus> {
    use std::os::windows::process::ExitStatusExt;
    Some(ExitStatus::from_raw(status.exit_code()))
}

impl Terminal {
    /// Tells the processes that the window has another size.
    pub(crate) fn resize(&self, size: PtySize) {
        let _ = self.master.lock().unwrap_or_else(PoisonError::into_inner).resize(size);
    }
}

/// Starts a command, or a login shell, in a terminal of its own.
pub(crate) fn spawn_in_terminal(
    invocation: &Invocation,
    request: &TerminalRequest,
) -> io::Result<(Terminal, Ends)> {
    let pair = native_pty_system().openpty(request.size).map_err(io::Error::other)?;
    #[cfg(unix)]
    let name = pair.master.tty_name();
    #[cfg(not(unix))]
    let name: Option<std::path::PathBuf> = None;
    if let Some(name) = &name {
        modes::apply(name, &request.modes)?;
    }
    let shell = &account::current().shell;
    let mut command = match &invocation.command {
        Some(_) => CommandBuilder::new(shell),
        None => CommandBuilder::new_default_prog(),
    };
    if invocation.command.is_some() {
        command.args(invocation.arguments());
    }
    command.env_clear();
    for (variable, value) in invocation.login.environment(&invocation.variables) {
        command.env(variable, value);
    }
    if !request.term.is_empty() && !request.term.contains('\0') {
        command.env("TERM", &request.term);
    }
    command.env("SSH_TTY", name.as_deref().unwrap_or(Path::new("")));
    command.cwd(&invocation.login.dir);
    let output = pair.master.try_clone_reader().map_err(io::Error::other)?;
    let input = pair.master.take_writer().map_err(io::Error::other)?;
    let child = pair.slave.spawn_command(command).map_err(io::Error::other)?;
    let leader = child.process_id().unwrap_or_default();
    Ok((Terminal { master: pair.master.into(), leader }, Ends { output, input, child: Leader(child) }))
}

#[cfg(not(unix))]
mod modes {
    pub(super) fn apply(_terminal: &std::path::Path, _modes: &[(u8, u32)]) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
#[path = "terminal_modes.rs"]
mod modes;
