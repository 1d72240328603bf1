//! The text that a person signs to approve one request, and whether it fits what is about to run. No I/O.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

/// The first line.
const HEADING: &str = "runcode-approval-v1";

/// The mode of a request for a session.
const SESSION: &str = "session";

/// The longest that a request can be approved, from when it was made.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// The largest text, in bytes: a request has its arguments in it.
pub const MAX_REQUEST: usize = 512 * 1024;

/// The names of the lines behind the first, in their order.
const NAMES: [&str; 14] = [
    "id",
    "server",
    "target",
    "mode",
    "profile",
    "args",
    "command",
    "command-sha256",
    "stdin",
    "ttl",
    "uses",
    "requested-by",
    "requested-at",
    "expires-at",
];

/// Why an approval is none for what is about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// There is no such request, or it is not one.
    Malformed,
    /// Somebody signed it who may not.
    UnknownApprover,
    /// A signature is not one over this text.
    BadSignature,
    /// It is for something else.
    OtherRequest,
    /// Its time has not come.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// It has been used.
    Used,
    /// Too few people have signed it.
    TooFew,
}

impl Why {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Malformed => "malformed",
            Why::UnknownApprover => "unknown_approver",
            Why::BadSignature => "bad_signature",
            Why::OtherRequest => "other_request",
            Why::NotYetValid => "not_yet_valid",
            Why::Expired => "expired",
            Why::Used => "used",
            Why::TooFew => "too_few",
        }
    }

    /// The same as the end of a sentence about the approval.
    pub fn meaning(self) -> &'static str {
        match self {
            Why::Malformed => "is no request that runcode wrote, or is not there",
            Why::UnknownApprover => "is signed by somebody who is not among the approvers",
            Why::BadSignature => "has a signature that is not over this text",
            Why::OtherRequest => "is for something else than what would run",
            Why::NotYetValid => "is not valid yet: is a clock wrong?",
            Why::Expired => "is no longer valid",
            Why::Used => "has been used already",
            Why::TooFew => "is signed by too few of the approvers",
        }
    }
}

/// What is about to be done, as an approval names it.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The server's name.
    pub server: &'a str,
    /// Where it is: `user@host:port`.
    pub target: &'a str,
    /// What is done there.
    pub what: What<'a>,
    /// How long the certificate of a profile's run is valid, or the session lasts, in seconds.
    pub ttl: u64,
}

/// What an approval is for.
#[derive(Debug, Clone)]
pub enum What<'a> {
    /// One run of a profile.
    Profile {
        /// Its name.
        name: &'a str,
        /// Its values.
        call: &'a crate::Call,
        /// What it reads.
        stdin: Stdin,
    },
    /// A session, in which any command may run.
    Session,
}

/// What a command reads from the caller's stdin, as an approval names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    None,
    /// Whatever the caller feeds it.
    Any,
    /// Exactly the bytes with this SHA-256, in hexadecimal.
    Exactly(String),
}

impl Stdin {
    /// These bytes; no bytes are none.
    pub fn of(bytes: &[u8]) -> Stdin {
        if bytes.is_empty() { Stdin::None } else { Stdin::Exactly(hex(bytes)) }
    }

    fn parse(text: &str) -> Option<Stdin> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match (text, text.strip_prefix("sha256:")) {
            ("none", _) => Some(Stdin::None),
            ("any", _) => Some(Stdin::Any),
            (_, Some(digest)) if digest.len() == 64 && digest.bytes().all(is_hex) => {
                Some(Stdin::Exactly(digest.to_owned()))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Stdin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stdin::None => f.write_str("none"),
            Stdin::Any => f.write_str("any"),
            Stdin::Exactly(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

/// A request for an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    lines: BTreeMap<&'static str, String>,
    stdin: Stdin,
    requested_at: Timestamp,
    expires_at: Timestamp,
}

impl Request {
    /// A request for what is about to run. `id`: 22 random characters of base64url; `by`: who asks, on one line.
    pub fn new(wanted: &Wanted<'_>, id: &str, by: &str, now: Timestamp) -> Request {
        let requested_at = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let expires_at = requested_at.checked_add(LONGEST).unwrap_or(requested_at);
        let by = by.chars().filter(|c| !runcode_text::is_steering(*c)).take(128).collect::<String>();
        let mut lines = bound(wanted, id);
        lines.insert("id", id.to_owned());
        lines.insert("uses", "1".to_owned());
        lines
            .insert("requested-by", if by.trim().is_empty() { "-".to_owned() } else { by.trim().to_owned() });
        lines.insert("requested-at", requested_at.to_string());
        lines.insert("expires-at", expires_at.to_string());
        let stdin = match &wanted.what {
            What::Profile { stdin, .. } => stdin.clone(),
            What::Session => Stdin::Any,
        };
        Request { lines, stdin, requested_at, expires_at }
    }

    /// Reads a request: these lines, in this order, and nothing else.
    pub fn parse(text: &str) -> Option<Request> {
        if text.len() > MAX_REQUEST {
            return None;
        }
        let mut rest = text.strip_suffix('\n')?.split('\n');
        if rest.next() != Some(HEADING) {
            return None;
        }
        let mut lines = BTreeMap::new();
        for name in NAMES {
            let value = rest.next()?.strip_prefix(name)?.strip_prefix(": ")?;
            let is_line =
                !value.is_empty() && value.trim() == value && !value.chars().any(runcode_text::is_steering);
            if !is_line {
                return None;
            }
            lines.insert(name, value.to_owned());
        }
        let time = |name: &str| lines.get(name)?.parse::<Timestamp>().ok();
        let (requested_at, expires_at) = (time("requested-at")?, time("expires-at")?);
        let stdin = Stdin::parse(lines.get("stdin")?)?;
        let span = expires_at.duration_since(requested_at);
        let is_right = rest.next().is_none()
            && is_id(lines.get("id")?)
            && lines.get("uses")? == "1"
            && !span.is_negative()
            && span <= LONGEST;
        let request = Request { lines, stdin, requested_at, expires_at };
        (is_right && request.text() == text).then_some(request)
    }

    /// The text to sign.
    pub fn text(&self) -> String {
        let mut text = format!("{HEADING}\n");
        for name in NAMES {
            let _ = writeln!(text, "{name}: {}", self.lines.get(name).map_or("-", String::as_str));
        }
        text
    }

    /// Its name.
    pub fn id(&self) -> &str {
        self.lines.get("id").map_or("", String::as_str)
    }

    /// The server's name.
    pub fn server(&self) -> &str {
        self.lines.get("server").map_or("", String::as_str)
    }

    /// Whether it is for a session, in which any command may run.
    pub fn is_for_session(&self) -> bool {
        self.lines.get("mode").is_some_and(|mode| mode == SESSION)
    }

    /// What its command may read.
    pub fn stdin(&self) -> &Stdin {
        &self.stdin
    }

    /// Until when it can be used.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// What it names that is not as wanted, by the names of its lines. What follows from another one is left out: another profile
    /// has another command.
    pub fn differences(&self, wanted: &Wanted<'_>) -> Vec<(&'static str, &str)> {
        let bound = bound(wanted, self.id());
        let is_other = |name: &str| {
            let agrees_to_any = name == "stdin" && self.stdin == Stdin::Any;
            !agrees_to_any && self.lines.get(name) != bound.get(name)
        };
        let follows = |name: &str| match name {
            "profile" => is_other("mode"),
            "args" | "stdin" => is_other("mode") || is_other("profile"),
            "command" => is_other("mode") || is_other("profile") || is_other("args"),
            _ => false,
        };
        let mut found = Vec::new();
        for name in ["server", "target", "mode", "profile", "args", "command", "stdin", "ttl"] {
            let is_it = is_other(name) || (name == "command" && is_other("command-sha256"));
            if is_it && !follows(name) {
                found.push((name, self.lines.get(name).map_or("-", String::as_str)));
            }
        }
        found
    }

    /// Whether it is for exactly this, now.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn fits(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<(), Why> {
        let mut bound = bound(wanted, self.id());
        // Who agreed to any input agreed to this one.
        if self.stdin == Stdin::Any {
            bound.insert("stdin", Stdin::Any.to_string());
        }
        if bound.iter().any(|(name, value)| self.lines.get(name) != Some(value)) {
            return Err(Why::OtherRequest);
        }
        // A minute of patience with another machine's clock.
        if self.requested_at > now.checked_add(SignedDuration::from_secs(60)).unwrap_or(now) {
            return Err(Why::NotYetValid);
        }
        if self.expires_at <= now { Err(Why::Expired) } else { Ok(()) }
    }
}

/// Whether a word is the id of a request.
pub fn is_id(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// What an approval is bound to.
fn bound(wanted: &Wanted<'_>, id: &str) -> BTreeMap<&'static str, String> {
    let none = || "-".to_owned();
    let (mode, profile, args, command, sha256, stdin) = match &wanted.what {
        What::Profile { name, call, stdin } => {
            let (command, sha256) = (quoted(call.shown()), hex(call.rendered().as_bytes()));
            ("profile", (*name).to_owned(), canonical(call, id), command, sha256, stdin.to_string())
        }
        What::Session => (SESSION, none(), "{}".to_owned(), none(), none(), Stdin::Any.to_string()),
    };
    [
        ("server", wanted.server.to_owned()),
        ("target", wanted.target.to_owned()),
        ("mode", mode.to_owned()),
        ("profile", profile),
        ("args", args),
        ("command", command),
        ("command-sha256", sha256),
        ("stdin", stdin),
        ("ttl", wanted.ttl.to_string()),
    ]
    .into()
}

/// The values as canonical JSON: sorted by name, without blanks, in ASCII. A secret stands as a digest over id and value.
fn canonical(call: &crate::Call, id: &str) -> String {
    let mut text = "{".to_owned();
    for (number, (name, value)) in call.values().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        let value = match call.is_secret(name) {
            true => format!("{{\"sha256\":\"{}\"}}", hex(format!("{id}{value}").as_bytes())),
            false => quoted(value),
        };
        let _ = write!(text, "{comma}{}:{value}", quoted(name));
    }
    text + "}"
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b'"' | b'\\')) => quoted.extend(['\\', char::from(byte)]),
            Ok(byte) if byte == b' ' || byte.is_ascii_graphic() => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\u{unit:04x}");
            }
        }
    }
    quoted + "\""
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;
