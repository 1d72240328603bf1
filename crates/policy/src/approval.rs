//! The text that a person signs to approve one request, and whether it fits what is about to run. No I/O.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

/// The first line.
const HEADING: &str = "runcode-approval-v1";

/// The longest that a request can be approved, from when it was made.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// The largest text, in bytes: a request has its arguments in it.
pub const MAX_REQUEST: usize = 512 * 1024;

/// The names of the lines behind the first, in their order.
const NAMES: [&str; 12] = [
    "id",
    "server",
    "target",
    "mode",
    "profile",
    "args",
    "command-sha256",
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

/// What is about to run, as an approval names it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The server's name.
    pub server: &'a str,
    /// Where it is: `user@host:port`.
    pub target: &'a str,
    /// The profile.
    pub profile: &'a str,
    /// Its values.
    pub call: &'a crate::Call,
    /// How long its certificate serves, in seconds.
    pub ttl: u64,
}

/// A request for an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    lines: BTreeMap<&'static str, String>,
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
        Request { lines, requested_at, expires_at }
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
        let span = expires_at.duration_since(requested_at);
        let is_right = rest.next().is_none()
            && is_id(lines.get("id")?)
            && lines.get("uses")? == "1"
            && !span.is_negative()
            && span <= LONGEST;
        let request = Request { lines, requested_at, expires_at };
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

    /// Until when it can be used.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether it is for exactly this, now.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn fits(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<(), Why> {
        let bound = bound(wanted, self.id());
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
    [
        ("server", wanted.server.to_owned()),
        ("target", wanted.target.to_owned()),
        ("mode", "profile".to_owned()),
        ("profile", wanted.profile.to_owned()),
        ("args", canonical(wanted.call, id)),
        ("command-sha256", hex(wanted.call.rendered().as_bytes())),
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::{Argument, Call, Profile, Rules, Words};

    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    fn call(unit: &str, key: &str) -> Call {
        let secret = Argument { secret: true, ..Argument::default() };
        let rules = Rules { arguments: [("key".to_owned(), secret)].into(), ..Rules::default() };
        let profile = Profile::new(Words::argv(["p", "{{unit}}", "{{key}}"]).unwrap(), rules).unwrap();
        profile.call([("unit".to_owned(), unit.to_owned()), ("key".to_owned(), key.to_owned())]).unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-31T10:00:00Z".parse().unwrap()
    }

    fn wanted(call: &Call) -> Wanted<'_> {
        Wanted { server: "prod", target: "deploy@10.0.0.1:22", profile: "logs", call, ttl: 120 }
    }

    #[test]
    fn the_text_is_exact() {
        let call = call("ä\"\\🦀", "hunter2");
        let text = Request::new(&wanted(&call), ID, "claude-code (me)", now()).text();
        let (args, command) = (hex(format!("{ID}hunter2").as_bytes()), hex(call.rendered().as_bytes()));
        let expected = format!(
            "runcode-approval-v1\nid: {ID}\nserver: prod\ntarget: deploy@10.0.0.1:22\nmode: profile\nprofile: logs\n\
             args: {{\"key\":{{\"sha256\":\"{args}\"}},\"unit\":\"\\u00e4\\\"\\\\\\ud83e\\udd80\"}}\n\
             command-sha256: {command}\nttl: 120\nuses: 1\nrequested-by: claude-code (me)\n\
             requested-at: 2026-01-31T10:00:00Z\nexpires-at: 2026-02-01T10:00:00Z\n"
        );
        assert_eq!(text, expected);
        assert_eq!(Request::parse(&text).unwrap().text(), text);
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn it_fits_one_thing_alone() {
        let (one, other, secret) = (call("a", "k"), call("b", "k"), call("a", "l"));
        let request = Request::new(&wanted(&one), ID, "me", now());
        let later = |hours: i64| now().checked_add(SignedDuration::from_hours(hours)).unwrap();
        assert_eq!(request.fits(&wanted(&one), now()), Ok(()));
        for (why, wanted) in [
            ("args", wanted(&other)),
            ("secret", wanted(&secret)),
            ("server", Wanted { server: "prod2", ..wanted(&one) }),
            ("target", Wanted { target: "deploy@10.0.0.2:22", ..wanted(&one) }),
            ("profile", Wanted { profile: "disk", ..wanted(&one) }),
            ("ttl", Wanted { ttl: 121, ..wanted(&one) }),
        ] {
            assert_eq!(request.fits(&wanted, now()), Err(Why::OtherRequest), "{why}");
        }
        assert_eq!(request.fits(&wanted(&one), later(24)), Err(Why::Expired));
        assert_eq!(request.fits(&wanted(&one), later(-1)), Err(Why::NotYetValid));
    }

    #[test]
    fn anything_else_is_no_request() {
        let text = Request::new(&wanted(&call("a", "k")), ID, "me", now()).text();
        let mut wrong =
            vec![String::new(), text.replace('\n', "\r\n"), format!("{text}\n"), text.trim_end().to_owned()];
        for (from, to) in [
            ("-v1", "-v2"),
            ("uses: 1", "uses: 2"),
            ("uses: 1", "uses: 1 "),
            ("mode: profile", "mode: profile\nmode: session"),
            ("mode: profile\n", ""),
            ("requested-by: me", "requested-by: me\u{202e}"),
            ("requested-by: me", "requested-by: "),
            ("requested-by: me", "requested-by: me\nx: y"),
            ("2026-02-01T10:00:00Z", "2026-02-01T10:00:01Z"),
            ("2026-02-01T10:00:00Z", "2026-01-30T10:00:00Z"),
            ("2026-02-01T10:00:00Z", "soon"),
            (ID, "../../../../etc/passwd"),
            (ID, "A"),
        ] {
            assert!(text.contains(from));
            wrong.push(text.replacen(from, to, 1));
        }
        for text in wrong {
            assert_eq!(Request::parse(&text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(runcode-approval-v1|id|server|: |\n|[a-zA-Z0-9]{1,3}){0,40}") {
            if let Some(request) = Request::parse(&text) {
                assert_eq!(request.text(), text);
            }
        }
    }
}
