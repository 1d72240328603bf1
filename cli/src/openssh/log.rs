//! What `ssh -vv -E file` writes about a connection, as far as it tells whether a command was started.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;

use tempfile::NamedTempFile;

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

/// A log file that is deleted when this is dropped.
pub struct Log {
    file: NamedTempFile,
    reader: File,
    /// What was read and is no whole line yet.
    rest: Vec<u8>,
    phase: Phase,
    has_status: bool,
    words: String,
}

impl Log {
    /// A new empty log in `folder`, which is the owner's alone.
    pub fn create(folder: &Path) -> io::Result<Log> {
        let file = tempfile::Builder::new().prefix(".ssh-").suffix(".log").tempfile_in(folder)?;
        let reader = file.reopen()?;
        let (phase, has_status) = (Phase::Connecting, false);
        Ok(Log { file, reader, rest: Vec::new(), phase, has_status, words: String::new() })
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

    /// What ssh says to its user, without what it says to its developers.
    pub fn words(&self) -> String {
        self.words.clone()
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
        if self.phase == Phase::Connecting {
            self.phase = phase(&line);
        }
        self.has_status |= has_status(&line);
        if self.words.len() < MAX && !words(&line).is_empty() {
            self.words.push_str(if self.words.is_empty() { "" } else { "\n" });
            self.words.push_str(&words(&line));
        }
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

/// The lines that ssh writes of itself, without those that quote the server: what we advise must not be the server's idea.
pub fn own_lines(log: &str) -> impl Iterator<Item = &str> {
    const QUOTING: [&str; 6] = [
        "Received disconnect from",
        "Remote: ",
        "banner line ",
        "Bad remote protocol version identification",
        "remote software version",
        "Remote protocol version",
    ];
    log.lines().filter(|line| !QUOTING.iter().any(|quoting| line.contains(quoting)))
}

/// Whether this machine does not let ssh connect (a sandbox).
pub fn is_forbidden(log: &str) -> bool {
    own_lines(log).any(|line| {
        let is_own = ["ssh: connect to host ", "socket"].iter().any(|start| line.starts_with(start));
        is_own && line.trim_end().ends_with("Operation not permitted")
    })
}

/// The lines of an ssh log that are meant for people.
pub fn words(log: &str) -> String {
    let for_people = |line: &&str| {
        !["debug1:", "debug2:", "debug3:", "OpenSSH_"].iter().any(|start| line.starts_with(start))
    };
    let lines: Vec<&str> =
        log.lines().map(str::trim).filter(for_people).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    /// A workspace that has ssh write without end: neither the disk nor the memory grows with it, and what counts is still
    /// seen.
    #[test]
    fn a_log_without_end_is_cut() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(folder.path()).unwrap();
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
        assert!(log.words().len() <= 2 * MAX && log.rest.len() <= MAX && log.words().starts_with("odd\nodd"));
    }

    #[test]
    fn the_first_decisive_line_tells_the_phase() {
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
