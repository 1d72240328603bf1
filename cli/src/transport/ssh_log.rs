//! What `ssh -vv -E file` writes about a connection, as far as it tells whether a command was started.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// How much of a log is read; what follows is of no interest.
const MAX: usize = 256 * 1024;

/// How far ssh has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not far enough to tell.
    Connecting,
    /// There is no master behind the socket.
    NoMaster,
    /// The master has as many sessions as the server allows.
    Full,
    /// The box has been asked to run the command.
    Started,
}

/// A log file that is deleted when this is dropped.
pub(super) struct Log {
    file: NamedTempFile,
    reader: File,
    text: Vec<u8>,
}

impl Log {
    /// A new empty log in `folder`, which is the owner's alone.
    pub(super) fn create(folder: &Path) -> io::Result<Log> {
        let file = tempfile::Builder::new().prefix(".ssh-").suffix(".log").tempfile_in(folder)?;
        let reader = file.reopen()?;
        Ok(Log { file, reader, text: Vec::new() })
    }

    /// Where ssh writes it.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// How far ssh has come.
    pub(super) fn phase(&mut self) -> io::Result<Phase> {
        self.read()?;
        Ok(phase(&String::from_utf8_lossy(&self.text)))
    }

    /// Whether the box told the command's exit status.
    pub(super) fn has_status(&mut self) -> io::Result<bool> {
        self.read()?;
        Ok(has_status(&String::from_utf8_lossy(&self.text)))
    }

    /// What ssh says to its user, without what it says to its developers.
    pub(super) fn words(&self) -> String {
        words(&String::from_utf8_lossy(&self.text))
    }

    fn read(&mut self) -> io::Result<()> {
        let room = MAX.saturating_sub(self.text.len());
        (&mut self.reader).take(room as u64).read_to_end(&mut self.text)?;
        Ok(())
    }
}

fn phase(log: &str) -> Phase {
    for line in log.lines() {
        let line = line.trim_end_matches('\r');
        if line.starts_with("debug1: mux_client_request_session: master session id:")
            || line.starts_with("debug1: Sending command:")
        {
            return Phase::Started;
        }
        if line.starts_with("debug1: Control socket \"") || line.starts_with("Control socket connect(") {
            return Phase::NoMaster;
        }
        if line.contains("session request failed: Session open refused by peer") {
            return Phase::Full;
        }
    }
    Phase::Connecting
}

fn has_status(log: &str) -> bool {
    log.lines().any(|line| {
        let told = line
            .strip_prefix("debug2: Received exit status from master ")
            .or_else(|| line.strip_prefix("debug1: Exit status "));
        told.is_some_and(|status| status.trim().parse::<u8>().is_ok())
    })
}

/// The lines of an ssh log that are meant for people.
pub(super) fn words(log: &str) -> String {
    let for_people = |line: &&str| {
        !["debug1:", "debug2:", "debug3:", "OpenSSH_"].iter().any(|start| line.starts_with(start))
    };
    let lines: Vec<&str> =
        log.lines().map(str::trim).filter(for_people).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_is_told_by_the_first_line_that_decides() {
        let opened = "debug1: mux_client_request_session: master session id: 2\n";
        for (log, expected) in [
            ("", Phase::Connecting),
            ("debug2: mux_client_hello_exchange: master version 4\n", Phase::Connecting),
            (opened, Phase::Started),
            ("debug1: Control socket \"/a b/c\" does not exist\r\n", Phase::NoMaster),
            ("Control socket connect(/a): Connection refused\n", Phase::NoMaster),
            (
                "mux_client_request_session: session request failed: Session open refused by peer\n",
                Phase::Full,
            ),
            ("debug1: Sending command: echo 1\n", Phase::Started),
        ] {
            assert_eq!(phase(log), expected, "{log}");
        }
        // A command of several lines cannot undo that it was sent.
        assert_eq!(phase("debug1: Sending command: a\ndebug1: Control socket \"x\"\n"), Phase::Started);
    }

    #[test]
    fn a_status_is_told_by_the_box_alone() {
        assert!(has_status("debug2: Received exit status from master 255\n"));
        assert!(has_status("debug1: Exit status 255\r\n"));
        assert!(!has_status("debug1: Exit status -1\n"));
        assert!(!has_status("debug2: Control master terminated unexpectedly\n"));
    }

    #[test]
    fn people_get_the_words_meant_for_them() {
        let log = "OpenSSH_9.2p1\ndebug1: x\r\nssh: connect to host a port 1: Connection refused\r\n\n";
        assert_eq!(words(log), "ssh: connect to host a port 1: Connection refused");
    }
}
