//! Approvals: the request that people sign, their signatures, and that each serves once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use runcode_policy::approval::{MAX_REQUEST, Request, Wanted, Why, is_id};

use crate::error::{Code, Error, Result};
use crate::openssh::keygen::Keygen;
use crate::output::foreign::FileName as _;
use crate::output::sanitize::is_steering;
use crate::session::Sessions;
use crate::session::policy::Permit;
use crate::sys::trusted_file::{self, Owner};
use crate::sys::{atomic_file, clock, random};

/// How many signatures of one request are looked at.
const MAX_SIGNATURES: usize = 32;

/// How long what is over is kept, in seconds: longer than any request lasts.
const KEPT: u64 = 48 * 3600;

/// Whether what is about to run is approved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Nobody has to.
    #[default]
    None,
    /// Somebody has to, and nothing was named.
    Missing,
    /// These people have.
    Valid {
        /// Who, as the allowed_signers file names them.
        approvers: Vec<String>,
        /// The request that they signed.
        id: String,
    },
    /// A word was named, which nobody can check: the server has no `approvers`.
    Unverified(String),
    /// What was named is none.
    Invalid(Why),
}

impl State {
    /// Its word in reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            State::None => "none",
            State::Missing => "missing",
            State::Valid { .. } => "valid",
            State::Unverified(_) => "unverified",
            State::Invalid(_) => "invalid",
        }
    }

    /// Whether it lets the command run.
    pub fn permits(&self) -> bool {
        matches!(self, State::None | State::Valid { .. } | State::Unverified(_))
    }
}

/// Judges the approval that was named for what is about to run. Nothing is spent.
pub fn consider(sessions: &Sessions<'_>, permit: &mut Permit, reference: Option<&str>) -> Result<()> {
    if !permit.needs_approval() {
        return Ok(());
    }
    permit.approval = match (reference, permit.terms.server.policy.approvers.clone()) {
        (None, _) => State::Missing,
        (Some(word), None) => {
            if !(1..=128).contains(&word.chars().count()) || word.chars().any(is_steering) {
                return Err(Error::new(
                    Code::Usage,
                    "--approval is not 1 to 128 characters that show themselves",
                ));
            }
            State::Unverified(word.to_owned())
        }
        (Some(reference), Some((allowed, owner))) => {
            match verified(sessions, permit, reference, &allowed, owner)? {
                Ok((approvers, id)) => State::Valid { approvers, id },
                Err(why) => State::Invalid(why),
            }
        }
    };
    Ok(())
}

type Verified = std::result::Result<(Vec<String>, String), Why>;

fn verified(
    sessions: &Sessions<'_>,
    permit: &Permit,
    reference: &str,
    allowed: &Path,
    owner: Owner,
) -> Result<Verified> {
    let folder = sessions.paths().approvals();
    let file =
        if is_id(reference) { folder.join(format!("{reference}.request")) } else { PathBuf::from(reference) };
    let Some((request, text)) = read(&file) else { return Ok(Err(Why::Malformed)) };
    let approvers = trusted_file::read(allowed, owner, 1024 * 1024).map_err(|why| {
        Error::new(Code::BadConfig, format!("the file of approvers {} {why}", allowed.named()))
    })?;
    // What is verified is what was read, whatever has those names by now.
    let private = atomic_file::temporary_dir("runcode-approval-")?;
    let allowed = private.path().join("allowed");
    atomic_file::write_unsynced(&allowed, &approvers.bytes, 0o600)?;
    let keygen = Keygen::find(sessions.env())?;
    let (mut people, mut worst) = (BTreeSet::new(), None::<Why>);
    for (number, signature) in signatures(&file).into_iter().enumerate() {
        let found = trusted_file::read(&signature, Owner::User, 64 * 1024);
        let Ok(found) = found else {
            worst = worst.max(Some(Why::BadSignature));
            continue;
        };
        let copy = private.path().join(format!("signature-{number}"));
        atomic_file::write_unsynced(&copy, &found.bytes, 0o600)?;
        let mut known = keygen.principals(&allowed, &copy)?.into_iter().peekable();
        if known.peek().is_none() {
            worst = worst.map_or(Some(Why::UnknownApprover), |why| Some(why.min(Why::UnknownApprover)));
            continue;
        }
        // One signature is one person's, whatever else its key stands for.
        match known
            .next()
            .filter(|who| keygen.verifies(&allowed, who, &copy, text.as_bytes()).is_ok_and(|is| is))
        {
            Some(who) => {
                people.insert(who);
            }
            None => worst = worst.or(Some(Why::BadSignature)),
        }
    }
    let needed = permit.terms.server.policy.approvals_needed;
    let is_enough = people.len() >= needed;
    if let Some(why) = worst.filter(|_| !is_enough) {
        return Ok(Err(why));
    }
    let target = permit.terms.target();
    if let Err(why) = request.fits(&wanted(permit, &target), clock::now()) {
        return Ok(Err(why));
    }
    if std::fs::symlink_metadata(spent(&folder, request.id())).is_ok() {
        return Ok(Err(Why::Used));
    }
    Ok(if is_enough { Ok((people.into_iter().collect(), request.id().to_owned())) } else { Err(Why::TooFew) })
}

/// A request, and its exact text.
pub fn read(file: &Path) -> Option<(Request, String)> {
    let found = trusted_file::read(file, Owner::User, MAX_REQUEST).ok()?;
    let text = String::from_utf8(found.bytes).ok()?;
    Some((Request::parse(&text)?, text))
}

/// The signatures of a request: `FILE.sig`, `FILE.*.sig`.
fn signatures(file: &Path) -> Vec<PathBuf> {
    let Some(name) = file.file_name().and_then(OsStr::to_str) else { return Vec::new() };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_its = |path: &Path| {
        let rest = path.file_name().and_then(OsStr::to_str).and_then(|other| other.strip_prefix(name));
        rest.is_some_and(|rest| rest == ".sig" || (rest.starts_with('.') && rest.ends_with(".sig")))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = entries.filter(|path| is_its(path)).take(MAX_SIGNATURES).collect::<Vec<_>>();
    found.sort();
    found
}

/// Where a further signature of a request goes.
pub fn next_signature(file: &Path) -> PathBuf {
    let with = |suffix: String| {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let mut names =
        [".sig".to_owned()].into_iter().chain((2..).map(|number| format!(".{number}.sig"))).map(with);
    names.find(|path| std::fs::symlink_metadata(path).is_err()).unwrap_or_else(|| with(".sig".to_owned()))
}

fn wanted<'a>(permit: &'a Permit, target: &'a str) -> Wanted<'a> {
    Wanted {
        server: &permit.terms.server.name,
        target,
        profile: &permit.profile,
        call: &permit.call,
        ttl: permit.terms.certificate_ttl,
    }
}

fn spent(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.spent"))
}

/// A request for what is about to run, written where an approver finds it: its file and text.
pub fn request(sessions: &Sessions<'_>, permit: &Permit) -> Result<(PathBuf, String)> {
    let id = random::word().get(..22).unwrap_or_default().to_owned();
    let target = permit.terms.target();
    let request = Request::new(&wanted(permit, &target), &id, &sessions.client(), clock::now());
    let folder = sessions.paths().approvals();
    atomic_file::private_dir(&folder)?;
    sweep(&folder);
    let (file, text) = (folder.join(format!("{id}.request")), request.text());
    atomic_file::write(&file, text.as_bytes(), 0o600)?;
    Ok((file, text))
}

/// Removes what is long over.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(10_000) {
        let age = entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() > KEPT) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Uses up the approval, so that it serves nobody else. An error where there is none that permits the command.
pub(super) fn spend(sessions: &Sessions<'_>, permit: &Permit) -> Result<()> {
    match &permit.approval {
        State::None | State::Unverified(_) => Ok(()),
        State::Missing => Err(required(sessions, permit)),
        State::Invalid(why) => Err(invalid(permit, *why)),
        State::Valid { id, .. } => {
            let folder = sessions.paths().approvals();
            atomic_file::private_dir(&folder)?;
            match atomic_file::create_new(&spent(&folder, id), b"", 0o600) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(invalid(permit, Why::Used)),
                Err(error) => Err(Error::io("mark the approval as used", error)),
            }
        }
    }
}

/// As the beginning of a run does, for what only shows.
pub fn refuse(sessions: &Sessions<'_>, permit: &Permit) -> Result<()> {
    match &permit.approval {
        State::Missing => Err(required(sessions, permit)),
        State::Invalid(why) => Err(invalid(permit, *why)),
        State::None | State::Unverified(_) | State::Valid { .. } => Ok(()),
    }
}

/// That an approval is missing, with the request for one.
fn required(sessions: &Sessions<'_>, permit: &Permit) -> Error {
    let (server, profile) = (&permit.terms.server.name, &permit.profile);
    let error = Error::new(Code::ApprovalRequired, format!("`{profile}` on `{server}` needs an approval"));
    if permit.terms.server.policy.approvers.is_none() {
        return error.hint("ask the user for one, such as a ticket's number, and give it with --approval");
    }
    match request(sessions, permit) {
        Ok((file, text)) => {
            let shown = file.display().to_string();
            error
                .hint(format!(
                    "an approver runs `runcode servers approve {shown}`; then run it again with --approval {}",
                    file.file_stem().and_then(OsStr::to_str).unwrap_or_default()
                ))
                .detail("request", shown)
                .detail("request_text", text)
        }
        Err(why) => error.hint(format!("and the request for it cannot be written: {}", why.message())),
    }
}

fn invalid(permit: &Permit, why: Why) -> Error {
    let what = format!("the approval for `{}` {}", permit.profile, why.meaning());
    Error::new(Code::ApprovalInvalid, what)
        .hint("make a new request with --request, and have it approved")
        .detail("why", why.as_str())
}
