//! Follows ssh's log while a command runs: whether the command was started, and whether its status arrived.
//!
//! ssh logs the server's words with their line breaks (log.c), so any line after them may be the server's. Only lines that no
//! unverified server can write count here. [`super::told`] works out why ssh ended.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::told::is_last;

/// How large a log may become: a workspace can have ssh write without end (SSH_MSG_DEBUG). More is read, and then cut off.
const MAX_FILE: u64 = 1024 * 1024;

/// How many bytes of what is meant for people are kept, and of one line.
const MAX: usize = 64 * 1024;

/// How far ssh has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not far enough to tell.
    Connecting,
    /// There is no master behind the socket.
    NoMaster,
    /// The master has as many sessions as the server allows.
    Full,
    /// The workspace has been asked to run the command.
    Started,
}

/// What ssh connects to, which decides what its log says once ssh has requested the command.
#[derive(Debug, Clone, Copy)]
pub enum Through<'a> {
    /// A master, whose words are ssh's own.
    Master,
    /// A server. Until ssh has verified it, it may write anything, but it does not know the random word that the command
    /// begins with.
    Server(&'a str),
}

/// A log file that is deleted when this is dropped.
pub struct Log {
    file: NamedTempFile,
    reader: File,
    /// What was read and is no whole line yet.
    rest: Vec<u8>,
    /// The command's random word; none where ssh goes through a master.
    word: Option<String>,
    phase: Phase,
    has_status: bool,
    /// What tells why ssh ends: all up to the line that ssh ends with.
    reasons: String,
    has_ended: bool,
}

impl Log {
    /// A new empty log in `folder`, which is the owner's alone.
    pub fn create(folder: &Path, through: Through<'_>) -> io::Result<Log> {
        let file = tempfile::Builder::new().prefix(".ssh-").suffix(".log").tempfile_in(folder)?;
        let reader = file.reopen()?;
        let (phase, has_status) = (Phase::Connecting, false);
        let (reasons, has_ended) = (String::new(), false);
        let word = match through {
            Through::Master => None,
            Through::Server(word) => Some(word.to_owned()),
        };
        Ok(Log { file, reader, rest: Vec::new(), word, phase, has_status, reasons, has_ended })
    }

    /// Where ssh writes it.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How far ssh has come.
    pub fn phase(&mut self) -> io::Result<Phase> {
        self.read()?;
        Ok(self.phase)
    }

    /// Whether the workspace told the command's exit status.
    pub fn has_status(&mut self) -> io::Result<bool> {
        self.read()?;
        Ok(self.has_status)
    }

    /// What tells why ssh has ended.
    pub fn reasons(&self) -> &str {
        &self.reasons
    }

    /// Takes in what ssh has written since, and cuts a log that has become too large.
    pub fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        loop {
            let count = self.reader.read(&mut piece)?;
            if count == 0 {
                break;
            }
            for byte in piece.iter().take(count) {
                match byte {
                    b'\n' => self.take_line(),
                    _ if self.rest.len() < MAX => self.rest.push(*byte),
                    _ => {}
                }
            }
        }
        // ssh appends (log.c), so it goes on at the new end; a line that it writes in this very moment is lost.
        if self.reader.stream_position()? > MAX_FILE && self.reader.set_len(0).is_ok() {
            self.reader.rewind()?;
        }
        Ok(())
    }

    fn take_line(&mut self) {
        let line = std::mem::take(&mut self.rest);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        let word = self.word.as_deref();
        match self.phase {
            Phase::Connecting => self.phase = phase(line, word),
            // ssh sends the command only to a verified server, so this status is real.
            Phase::Started => self.has_status |= has_status(line, word),
            Phase::NoMaster | Phase::Full => {}
        }
        if !self.has_ended && self.reasons.len() < MAX {
            self.reasons.push_str(line);
            self.reasons.push('\n');
            self.has_ended = is_last(line);
        }
    }
}

/// `word`: the command's, on a connection of its own.
fn phase(line: &str, word: Option<&str>) -> Phase {
    if let Some(word) = word {
        let sent = line.strip_prefix("debug1: Sending command: ");
        return if sent.is_some_and(|sent| sent.contains(word)) { Phase::Started } else { Phase::Connecting };
    }
    if line.starts_with("debug1: mux_client_request_session: master session id:") {
        Phase::Started
    } else if line.starts_with("debug1: Control socket \"") || line.starts_with("Control socket connect(") {
        Phase::NoMaster
    } else if line
        .starts_with("mux_client_request_session: session request failed: Session open refused by peer")
    {
        Phase::Full
    } else {
        Phase::Connecting
    }
}

fn has_status(line: &str, word: Option<&str>) -> bool {
    let told = match word {
        Some(_) => "debug1: Exit status ",
        None => "debug2: Received exit status from master ",
    };
    line.strip_prefix(told).is_some_and(|status| status.trim().parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use std::io::Write as _;

    use super::*;

    /// A workspace that has ssh write without end: neither the disk nor the memory grows with it, and what counts is still
    /// seen.
    #[test]
    fn a_log_without_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(folder.path(), Through::Server("echo")).unwrap();
        let mut ssh = File::options().append(true).open(log.path()).unwrap();
        ssh.write_all(b"debug1: Sending command: echo\n").unwrap();
        let noise = format!("debug1: Remote: {}\nodd \n", "x".repeat(900)).repeat(500);
        for _ in 0..40 {
            ssh.write_all(noise.as_bytes()).unwrap();
            assert_eq!(log.phase().unwrap(), Phase::Started);
            assert!(std::fs::metadata(log.path()).unwrap().len() <= MAX_FILE + noise.len() as u64);
        }
        ssh.write_all(&vec![b'y'; 200_000]).unwrap();
        assert!(!log.has_status().unwrap());
        ssh.write_all(b"\ndebug1: Exit status 7\n").unwrap();
        assert!(log.has_status().unwrap());
        assert!(
            log.reasons().len() <= 2 * MAX
                && log.rest.len() <= MAX
                && log.reasons().starts_with("debug1: Sending")
        );
    }

    const WORD: &str = "runcode-0123";

    #[test]
    fn the_first_decisive_line_tells_the_phase() {
        for (line, expected) in [
            ("", Phase::Connecting),
            ("debug2: mux_client_hello_exchange: master version 4", Phase::Connecting),
            ("debug1: mux_client_request_session: master session id: 2", Phase::Started),
            ("debug1: Control socket \"/a b/c\" does not exist", Phase::NoMaster),
            ("Control socket connect(/a): Connection refused", Phase::NoMaster),
            ("mux_client_request_session: session request failed: Session open refused by peer", Phase::Full),
        ] {
            assert_eq!(phase(line, None), expected, "{line}");
            assert_eq!(phase(line, Some(WORD)), Phase::Connecting, "{line}");
        }
        assert_eq!(phase("debug1: Sending command: : runcode-0123; date", Some(WORD)), Phase::Started);
    }

    /// An unverified server can write whole lines (`debug1: Remote: …`, a certificate's ID), but has not seen the command.
    #[test]
    fn no_server_forges_that_a_command_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(folder.path(), Through::Server(WORD)).unwrap();
        let mut ssh = File::options().append(true).open(log.path()).unwrap();
        for forged in [
            "debug1: Sending command: : runcode-4567; date",
            "debug1: mux_client_request_session: master session id: 2",
            "debug1: Control socket \"x\" does not exist",
            "mux_client_request_session: session request failed: Session open refused by peer",
            "debug1: Exit status 255",
            "debug2: Received exit status from master 255",
        ] {
            ssh.write_all(format!("debug1: Remote: x\n{forged}\r\n").as_bytes()).unwrap();
            assert_eq!(log.phase().unwrap(), Phase::Connecting, "{forged}");
            assert!(!log.has_status().unwrap(), "{forged}");
        }
        ssh.write_all(b"debug1: Sending command: : runcode-0123; a\ndebug1: Control socket \"x\"\n").unwrap();
        assert_eq!(log.phase().unwrap(), Phase::Started);
        ssh.write_all(b"debug1: Exit status 7\r\n").unwrap();
        assert!(log.has_status().unwrap());
    }

    #[test]
    fn a_status_is_told_by_the_box_alone() {
        assert!(has_status("debug2: Received exit status from master 255", None));
        assert!(has_status("debug1: Exit status 255", Some(WORD)));
        assert!(!has_status("debug1: Exit status -1", Some(WORD)));
        assert!(!has_status("debug2: Control master terminated unexpectedly", None));
    }
}
