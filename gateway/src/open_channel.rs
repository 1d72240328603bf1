//! A channel as its connection keeps it, and on a session channel what the client prepared and runs there.

use std::io;
use std::sync::Arc;

use portable_pty::PtySize;

use crate::channel::Line;
use crate::run;
use crate::workspace::{self, Invocation, Login, ProcessSession, Processes, Terminal, TerminalRequest};

/// How many variables a client may set for one command.
const MAX_VARIABLES: usize = 64;

pub(crate) struct OpenChannel {
    pub(crate) line: Line,
    variables: Vec<(String, String)>,
    terminal: Option<TerminalRequest>,
    running: Option<RunningProcess>,
}

struct RunningProcess {
    session: ProcessSession,
    terminal: Option<Arc<Terminal>>,
}

impl OpenChannel {
    pub(crate) fn new(line: Line) -> Self {
        OpenChannel { line, variables: Vec::new(), terminal: None, running: None }
    }

    /// Whether nothing runs here yet.
    pub(crate) fn is_free(&self) -> bool {
        self.running.is_none()
    }

    /// Whether what runs here, or will, has a terminal.
    pub(crate) fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Takes a variable for the command to come; false when it may not be set.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) -> bool {
        let accepted = self.variables.len() < MAX_VARIABLES && workspace::accepts_variable(name, value);
        if accepted {
            self.variables.push((name.to_owned(), value.to_owned()));
        }
        accepted
    }

    /// Takes the terminal for the command to come; false when one runs already.
    pub(crate) fn set_terminal(&mut self, terminal: TerminalRequest) -> bool {
        let free = self.is_free();
        if free {
            self.terminal = Some(terminal);
        }
        free
    }

    /// Gives the terminal another size; false when there is none.
    pub(crate) fn resize(&self, size: PtySize) -> bool {
        let terminal = self.running.as_ref().and_then(|running| running.terminal.as_ref());
        terminal.map(|terminal| terminal.resize(size)).is_some()
    }

    /// Sends the command a signal by its SSH name.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(running) = &self.running {
            running.session.signal(name);
        }
    }

    /// Starts a command for the login shell, or the shell itself.
    ///
    /// # Errors
    /// When something runs here already, or the system cannot start it.
    pub(crate) fn start(
        &mut self,
        login: Login,
        command: Option<Vec<u8>>,
        workspace: u64,
        processes: &Processes,
    ) -> io::Result<()> {
        if !self.is_free() || command.as_ref().is_some_and(|command| command.contains(&0)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let invocation = Invocation { login, variables: std::mem::take(&mut self.variables), command };
        let line = self.line.clone();
        let running = match &self.terminal {
            None => {
                let child = workspace::spawn(&invocation)?;
                let session = processes.started(child.id().unwrap_or_default(), workspace);
                tokio::spawn(run::piped(line, child, session, processes.clone()));
                RunningProcess { session, terminal: None }
            }
            Some(request) => {
                let (terminal, ends) = workspace::spawn_in_terminal(&invocation, request)?;
                let session = processes.started(terminal.leader, workspace);
                let terminal = Arc::new(terminal);
                tokio::spawn(run::in_terminal(line, terminal.clone(), ends, session, processes.clone()));
                RunningProcess { session, terminal: Some(terminal) }
            }
        };
        self.running = Some(running);
        Ok(())
    }
}
