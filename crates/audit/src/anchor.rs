//! Heads, and where else they are kept.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use crate::chain::is_digest;
use crate::failure::Failure;

/// The prefix of the user's number in an anchor's line: several users can share one anchor.
const USER: &str = "uid=";

/// A record's number and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number.
    pub seq: u64,
    /// The hash.
    pub hash: String,
}

impl Head {
    /// Reads `SEQ:HASH`.
    pub fn parse(text: &str) -> Option<Head> {
        let (seq, hash) = text.split_once(':')?;
        let is_number = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = seq.parse().ok().filter(|seq| is_number && *seq > 0)?;
        is_digest(hash).then(|| Head { seq, hash: hash.to_owned() })
    }

    /// The heads in a file of anchors, or in a system log, that are of this user's log: every word that is one, but for lines
    /// that name another user.
    pub fn find(text: &str, user: Option<u32>) -> impl Iterator<Item = Head> {
        let is_ours = move |line: &&str| {
            let said = line.split_ascii_whitespace().find_map(|word| word.strip_prefix(USER));
            user.is_none() || said.is_none_or(|said| said.parse().ok() == user)
        };
        text.lines().filter(is_ours).flat_map(str::split_ascii_whitespace).filter_map(Head::parse)
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// Where each head goes, besides the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// The system's log.
    Syslog,
    /// A file, which is only appended to.
    File(PathBuf),
}

/// The system's log: `authpriv.notice` (RFC 3164).
#[cfg(unix)]
const PRIORITY: &str = "<85>";

impl Anchor {
    pub(crate) fn send(&self, head: &Head, user: Option<u32>) -> Result<(), Failure> {
        let said = user.map_or_else(|| head.to_string(), |user| format!("{USER}{user} {head}"));
        match self {
            Anchor::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                let written = file.and_then(|mut file| {
                    file.write_all(format!("{said}\n").as_bytes())?;
                    file.sync_data()
                });
                written.map_err(|error| Failure::io("write", path, error))
            }
            #[cfg(unix)]
            Anchor::Syslog => {
                let path = std::path::Path::new("/dev/log");
                let line = format!("{PRIORITY}runcode-audit[{}]: {said}", std::process::id());
                let socket = std::os::unix::net::UnixDatagram::unbound();
                let sent = socket.and_then(|socket| socket.send_to(line.as_bytes(), path));
                sent.map(|_| ()).map_err(|error| Failure::io("write to", path, error))
            }
            #[cfg(not(unix))]
            Anchor::Syslog => Err(Failure::io(
                "write to",
                std::path::Path::new("syslog"),
                std::io::ErrorKind::Unsupported.into(),
            )),
        }
    }
}
