//! What ssh writes about a connection: whether a command was started, and what of it are ssh's own words.
//!
//! ssh passes on what the server says with its line breaks (log.c), so a line after such words may be the server's. How far
//! a log is believed therefore depends on what the server can have said before: see [`before_host`] and [`own_lines`].

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::output::foreign;

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
    /// What tells why ssh ends: all up to the line that ssh ends with.
    reasons: String,
    has_ended: bool,
}

impl Log {
    /// A new empty log in `folder`, which is the owner's alone.
    pub fn create(folder: &Path) -> io::Result<Log> {
        let file = tempfile::Builder::new().prefix(".ssh-").suffix(".log").tempfile_in(folder)?;
        let reader = file.reopen()?;
        let (phase, has_status) = (Phase::Connecting, false);
        let (reasons, has_ended) = (String::new(), false);
        Ok(Log { file, reader, rest: Vec::new(), phase, has_status, reasons, has_ended })
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
        if self.phase == Phase::Connecting {
            self.phase = phase(&line);
        }
        self.has_status |= has_status(&line);
        if !self.has_ended && self.reasons.len() < MAX {
            self.reasons.push_str(&line);
            self.reasons.push('\n');
            self.has_ended = is_last(&line);
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

/// Whether ssh ends with this line, which passes on words of the server's: they may go on in the next lines.
fn is_last(line: &str) -> bool {
    const LAST: [&str; 3] = ["Received disconnect from", "Their offer: ", "Permission denied ("];
    LAST.iter().any(|last| line.contains(last))
}

/// Whether the server may have a say in the lines after this one: once the keys are exchanged, a banner stands in the log as
/// it came.
fn is_open(line: &str) -> bool {
    line.contains("Remote: ") || line.starts_with("debug1: SSH2_MSG_NEWKEYS received")
}

/// The lines up to the one that ssh ends with: what comes after that may be the server's.
pub fn heard(log: &str) -> impl Iterator<Item = &str> {
    let mut has_ended = false;
    log.lines().take_while(move |line| {
        let is_heard = !has_ended;
        has_ended |= is_last(line);
        is_heard
    })
}

/// The lines that ssh writes of itself, without those that quote the server and all that come after: what we advise must not
/// be the server's idea.
pub fn own_lines(log: &str) -> impl Iterator<Item = &str> {
    /// These quote one line, and no more.
    const ONE_LINE: [&str; 4] = [
        "banner line ",
        "Bad remote protocol version identification",
        "remote software version",
        "Remote protocol version",
    ];
    heard(log)
        .take_while(|line| !is_last(line) && !is_open(line))
        .filter(|line| !ONE_LINE.iter().any(|quoting| line.contains(quoting)))
}

/// The lines that ssh writes before it hears anything of the server.
pub fn before_host(log: &str) -> impl Iterator<Item = &str> {
    own_lines(log).take_while(|line| !line.starts_with("debug1: Local version string"))
}

/// Whether this machine does not let ssh connect (a sandbox).
pub fn is_forbidden(log: &str) -> bool {
    before_host(log).any(|line| {
        let is_own = ["ssh: connect to host ", "socket"].iter().any(|start| line.starts_with(start));
        is_own && line.trim_end().ends_with("Operation not permitted")
    })
}

/// The last line for people that says why ssh has ended, as it may be shown: with whose words it is.
pub fn telling(log: &str) -> String {
    const NOISE: [&str; 3] =
        ["Connection closed by UNKNOWN", "banner exchange: Connection to UNKNOWN", "@@@"];
    let is_telling = |line: &&str| is_for_people(line) && !NOISE.iter().any(|noise| line.contains(noise));
    let last = heard(log).filter(is_telling).last();
    let Some(last) = last else { return "ssh ended without a message".to_owned() };
    let is_own = !heard(log).any(is_open);
    foreign::said(if is_own { "ssh" } else { "ssh, or the host through it," }, last.trim())
}

fn is_for_people(line: &str) -> bool {
    !line.trim().is_empty()
        && !["debug1:", "debug2:", "debug3:", "OpenSSH_"].iter().any(|start| line.starts_with(start))
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
        assert!(
            log.reasons().len() <= 2 * MAX
                && log.rest.len() <= MAX
                && log.reasons().starts_with("debug1: Sending")
        );
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
        assert_eq!(telling(log), "ssh says: \"ssh: connect to host a port 1: Connection refused\"");
        assert_eq!(telling("debug1: x\n\n"), "ssh ended without a message");
    }

    /// Whatever quotes the server, the lines after it are nobody's.
    #[test]
    fn nothing_counts_after_the_servers_words() {
        let forged = "ssh: connect to host h port 1: Operation not permitted";
        for quoting in [
            "Received disconnect from h port 1:2: bye",
            "Unable to negotiate with h port 1: no matching cipher found. Their offer: bye",
            "me@h: Permission denied (publickey",
        ] {
            let log = format!("debug1: own\r\n{quoting}\n{forged}\r\ndebug1: x\r\n");
            assert_eq!(own_lines(&log).collect::<Vec<_>>(), ["debug1: own"], "{quoting}");
            assert_eq!(heard(&log).collect::<Vec<_>>(), ["debug1: own", quoting]);
            assert!(!is_forbidden(&log) && !telling(&log).contains("permitted"), "{}", telling(&log));
        }
        for said in [
            "debug1: Remote: bye",
            "debug1: SSH2_MSG_NEWKEYS received",
            "debug1: Local version string SSH-2.0-x",
        ] {
            let log = format!("{said}\r\n{forged}\r\n");
            assert!(!is_forbidden(&log), "{said}");
        }
        let banner =
            format!("debug1: SSH2_MSG_NEWKEYS received\r\n{forged}\nConnection closed by UNKNOWN port 1\r\n");
        assert!(telling(&banner).starts_with("ssh, or the host through it, says: \""));
        assert!(is_forbidden(forged));
    }
}
