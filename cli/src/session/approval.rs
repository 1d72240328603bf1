//! Approvals: the request that people sign, their signatures, and that each serves once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use runcode_policy::approval::{MAX_REQUEST, Request, Stdin, Wanted, What, Why, is_id};

use crate::error::{Code, Error, Result};
use crate::openssh::keygen::Keygen;
use crate::origin::{SessionKey, Terms};
use crate::output::foreign::{self, FileName as _};
use crate::output::sanitize::is_steering;
use crate::session::Sessions;
use crate::session::input::Input;
use crate::session::policy::{self, Feed, Permit};
use crate::sys::digest::sha256;
use crate::sys::env::Env;
use crate::sys::paths::Paths;
use crate::sys::trusted_file::{self, Owner};
use crate::sys::{atomic_file, clock, project, random};

/// How many signatures of one request are looked at.
const MAX_SIGNATURES: usize = 32;

/// How many names of their folder are read.
const MAX_ENTRIES: usize = 10_000;

/// How long what is over is kept, in seconds: longer than any request lasts.
const KEPT: u64 = 48 * 3600;

/// What needs an approval.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// What the server's owner allows.
    pub terms: &'a Terms,
    /// What is about to be done there.
    pub what: What<'a>,
    /// How long the certificate of a profile's run is valid, or the session lasts, in seconds.
    pub ttl: u64,
    /// The command line that asks for a session, without the approval; empty for a profile.
    pub asked_by: String,
}

impl Subject<'_> {
    fn wanted<'t>(&'t self, target: &'t str) -> Wanted<'t> {
        Wanted { server: &self.terms.server.name, target, what: self.what.clone(), ttl: self.ttl }
    }

    fn named(&self) -> String {
        match &self.what {
            What::Profile { name, .. } => format!("`{name}`"),
            What::Session => "a session".to_owned(),
        }
    }
}

/// How a request differs from what is about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    /// The names of the lines that differ.
    pub lines: String,
    /// The same in words, with the values in the request.
    pub said: String,
}

impl Differs {
    fn of(request: &Request, wanted: &Wanted<'_>) -> Option<Differs> {
        let found = request.differences(wanted);
        let said = |(name, value): &(&str, &str)| format!("its `{name}` is {}", foreign::word(value));
        let lines = found.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
        let said = found.iter().map(said).collect::<Vec<_>>().join(", ");
        (!found.is_empty()).then_some(Differs { lines, said })
    }
}

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
        /// The digest of its text.
        sha256: String,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A word was named, which nobody can check: the server has no `approvers`.
    Unverified(String),
    /// The named approval is not valid. If it is for something else, says how it differs.
    Invalid(Why, Option<Differs>),
}

impl State {
    /// Its word in reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            State::None => "none",
            State::Missing => "missing",
            State::Valid { .. } => "valid",
            State::Unverified(_) => "unverified",
            State::Invalid(..) => "invalid",
        }
    }

    /// Whether it lets the command run.
    pub fn permits(&self) -> bool {
        matches!(self, State::None | State::Valid { .. } | State::Unverified(_))
    }
}

/// Judges the approval that was named for what is about to run. Nothing is spent. What the command would read is read first,
/// unless the approvers agreed to any input.
pub fn consider(
    sessions: &Sessions<'_>,
    permit: &mut Permit,
    reference: Option<&str>,
    feed: &Feed,
) -> Result<()> {
    if !permit.needs_approval() {
        return Ok(());
    }
    let has_approvers = permit.terms.server.policy.approvers.is_some();
    if permit.reads_stdin && has_approvers && !reference.is_some_and(|it| takes_any_input(sessions, it)) {
        permit.input = Input::read(feed)?;
    }
    permit.approval = judged(sessions, &permit.subject(), reference)?;
    Ok(())
}

/// What the named approval is worth for this. Spends nothing.
pub(super) fn judged(
    sessions: &Sessions<'_>,
    subject: &Subject<'_>,
    reference: Option<&str>,
) -> Result<State> {
    Ok(match (reference, &subject.terms.server.policy.approvers) {
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
            match verified(sessions, subject, reference, allowed, *owner)? {
                Ok(valid) => valid,
                Err(why) => State::Invalid(why, None),
            }
        }
    })
}

/// The file of the request that was named.
fn file_of(sessions: &Sessions<'_>, reference: &str) -> PathBuf {
    match is_id(reference) {
        true => sessions.paths().approvals().join(format!("{reference}.request")),
        false => PathBuf::from(reference),
    }
}

/// Whether the request is for any input. Whether it is valid is judged later, and then it has to say the same.
fn takes_any_input(sessions: &Sessions<'_>, reference: &str) -> bool {
    read(&file_of(sessions, reference)).is_ok_and(|(request, _)| *request.stdin() == Stdin::Any)
}

type Verified = std::result::Result<State, Why>;

fn verified(
    sessions: &Sessions<'_>,
    subject: &Subject<'_>,
    reference: &str,
    allowed: &Path,
    owner: Owner,
) -> Result<Verified> {
    let file = file_of(sessions, reference);
    let Ok((request, text)) = read(&file) else { return Ok(Err(Why::Malformed)) };
    let approvers = trusted_file::read(allowed, owner, 1024 * 1024).map_err(|why| {
        Error::new(Code::BadConfig, format!("the file of approvers {} {why}", allowed.named()))
    })?;
    // What is verified is what was read, whatever has those names by now.
    let private = atomic_file::temporary_dir("runcode-approval-")?;
    let allowed = private.path().join("allowed");
    atomic_file::write_unsynced(&allowed, &approvers.bytes, 0o600)?;
    let keygen = Keygen::find(sessions.env())?;
    let (mut people, mut why) = (BTreeSet::new(), None::<Why>);
    // Of several reasons, the one that comes first in their order is told.
    let mut refuse = |reason: Why| why = Some(why.map_or(reason, |before| before.min(reason)));
    for (number, signature) in signatures(&file).into_iter().enumerate() {
        let found = trusted_file::read(&signature, Owner::User, 64 * 1024);
        let Ok(found) = found else {
            refuse(Why::BadSignature);
            continue;
        };
        let copy = private.path().join(format!("signature-{number}"));
        atomic_file::write_unsynced(&copy, &found.bytes, 0o600)?;
        let mut known = keygen.principals(&allowed, &copy)?.into_iter().peekable();
        if known.peek().is_none() {
            refuse(Why::UnknownApprover);
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
            None => refuse(Why::BadSignature),
        }
    }
    let needed = subject.terms.server.policy.approvals_needed;
    let is_enough = people.len() >= needed;
    if let Some(why) = why.filter(|_| !is_enough) {
        return Ok(Err(why));
    }
    let target = subject.terms.target();
    let wanted = subject.wanted(&target);
    if let Err(why) = request.fits(&wanted, clock::now()) {
        return Ok(Ok(State::Invalid(why, Differs::of(&request, &wanted))));
    }
    if std::fs::symlink_metadata(spent(request.id())?).is_ok() {
        return Ok(Err(Why::Used));
    }
    if !is_enough {
        return Ok(Err(Why::TooFew));
    }
    Ok(Ok(State::Valid {
        approvers: people.into_iter().collect(),
        id: request.id().to_owned(),
        sha256: sha256(text.as_bytes()),
        expires_at: request.expires_at(),
    }))
}

/// A request, and its exact text; else why it is none, as the rest of a sentence about the file.
pub fn read(file: &Path) -> std::result::Result<(Request, String), String> {
    let found = trusted_file::read(file, Owner::User, MAX_REQUEST).map_err(|why| why.to_string())?;
    let request = String::from_utf8(found.bytes).ok().and_then(|text| Some((Request::parse(&text)?, text)));
    request.ok_or_else(|| "is malformed".to_owned())
}

/// Whether a signature of the request would count by this machine's servers.toml: `Some(Some(…))` is the approver who made it,
/// `Some(None)` means that no approver did. `None` if the server is unknown here, or has no approvers.
pub fn counts(
    sessions: &Sessions<'_>,
    request: &Request,
    signature: &[u8],
) -> Result<Option<Option<String>>> {
    let Some(key) = SessionKey::server(request.server()) else { return Ok(None) };
    let terms = match policy::terms(sessions.origins(), &key) {
        Ok(terms) => terms,
        Err(error) if matches!(error.code(), Code::NotFound | Code::BadConfig) => None,
        Err(error) => return Err(error),
    };
    let Some((allowed, owner)) = terms.and_then(|terms| terms.server.policy.approvers) else {
        return Ok(None);
    };
    let approvers = trusted_file::read(&allowed, owner, 1024 * 1024).map_err(|why| {
        Error::new(Code::BadConfig, format!("the file of approvers {} {why}", allowed.named()))
    })?;
    let private = atomic_file::temporary_dir("runcode-approval-")?;
    let (allowed, copy) = (private.path().join("allowed"), private.path().join("signature"));
    atomic_file::write_unsynced(&allowed, &approvers.bytes, 0o600)?;
    atomic_file::write_unsynced(&copy, signature, 0o600)?;
    let keygen = Keygen::find(sessions.env())?;
    let known = keygen.principals(&allowed, &copy)?.into_iter().next();
    let verifies =
        |who: &String| keygen.verifies(&allowed, who, &copy, request.text().as_bytes()).is_ok_and(|is| is);
    Ok(Some(known.filter(verifies)))
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
    let mut found = entries.take(MAX_ENTRIES).filter(|path| is_its(path)).collect::<Vec<_>>();
    found.sort();
    found.truncate(MAX_SIGNATURES);
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

/// What no variable leads elsewhere, below the home folder of the password database: whoever runs a command chooses its `HOME` and
/// `XDG_STATE_HOME`. `what` cannot be recorded where there is none.
pub(super) fn steady_paths(what: &str) -> Result<Paths> {
    let home = Env::test_home().map(PathBuf::from).or_else(project::home).ok_or_else(|| {
        let what = format!("cannot record {what}: the system knows no home folder for you");
        Error::new(Code::Unavailable, what).hint("add this user to the password database, with a home folder")
    })?;
    Ok(Paths::below(&home))
}

/// The record that an approval has been used. In a place that can be chosen, nothing would have been used.
fn spent(id: &str) -> Result<PathBuf> {
    let paths = steady_paths("that the approval has been used")?;
    Ok(paths.approvals().join(format!("{id}.spent")))
}

/// A request for what is about to run, written where an approver finds it: its file and text.
pub fn request(sessions: &Sessions<'_>, subject: &Subject<'_>) -> Result<(PathBuf, String)> {
    let id = random::word().get(..22).unwrap_or_default().to_owned();
    let target = subject.terms.target();
    let request = Request::new(&subject.wanted(&target), &id, &sessions.client(), clock::now());
    let folder = sessions.paths().approvals();
    atomic_file::private_dir(&folder)?;
    sweep(&folder);
    let (file, text) = (folder.join(format!("{id}.request")), request.text());
    atomic_file::write(&file, text.as_bytes(), 0o600)?;
    Ok((file, text))
}

/// Removes what is long over.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES) {
        let age = entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() > KEPT) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Uses up the approval, so that it serves nobody else. An error where there is none that permits the command.
pub(super) fn spend(sessions: &Sessions<'_>, subject: &Subject<'_>, approval: &State) -> Result<()> {
    match approval {
        State::None | State::Unverified(_) => Ok(()),
        State::Missing => Err(required(sessions, subject)),
        State::Invalid(why, differs) => Err(invalid(subject, *why, differs.as_ref())),
        State::Valid { id, .. } => {
            let record = spent(id)?;
            if let Some(folder) = record.parent() {
                atomic_file::private_dir(folder)?;
                sweep(folder);
            }
            match atomic_file::create_new(&record, b"", 0o600) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    Err(invalid(subject, Why::Used, None))
                }
                Err(error) => Err(Error::io(format_args!("write {}", record.named()), error)
                    .hint("make room there, or allow writing: it records the approval's use")),
            }
        }
    }
}

/// As the beginning of a run does, for what only shows.
pub fn refuse(sessions: &Sessions<'_>, subject: &Subject<'_>, approval: &State) -> Result<()> {
    match approval {
        State::Missing => Err(required(sessions, subject)),
        State::Invalid(why, differs) => Err(invalid(subject, *why, differs.as_ref())),
        State::None | State::Unverified(_) | State::Valid { .. } => Ok(()),
    }
}

/// Adds to `error` that the approval was used up, and that another try needs a new one.
pub(super) fn used_up(error: Error, approval: &State) -> Error {
    let State::Valid { .. } = approval else { return error };
    const USED: &str = "the approval is used up: another try needs a new one (--request)";
    let with = |hint: Option<&str>| hint.map_or_else(|| USED.to_owned(), |hint| format!("{hint}; {USED}"));
    let (hint, of_tools) = (with(error.next_step()), with(error.next_step_with_tools()));
    error.hint(hint).for_tools(of_tools)
}

/// That an approval is missing, with the request for one.
fn required(sessions: &Sessions<'_>, subject: &Subject<'_>) -> Error {
    let what = format!("{} on `{}` needs an approval", subject.named(), subject.terms.server.name);
    let error = Error::new(Code::ApprovalRequired, what);
    let asked_by = &subject.asked_by;
    if subject.terms.server.policy.approvers.is_none() {
        let ask = "ask the user for one, such as a ticket number, and pass it";
        return match subject.what {
            What::Profile { .. } => {
                error.hint(format!("{ask} with --approval")).for_tools(format!("{ask} as `approval`"))
            }
            What::Session => error.hint(format!("{ask}: `{asked_by} --approval …`")),
        };
    }
    match request(sessions, subject) {
        Ok((file, text)) => {
            let shown = file.display().to_string();
            let id = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let approve = format!("an approver runs `runcode servers approve {shown}`");
            let error = match subject.what {
                What::Profile { .. } => error
                    .hint(format!("{approve}; then run it again with --approval {id}"))
                    .for_tools(format!(
                        "{approve}; then call exec again with the same `args`, and {id} as `approval`"
                    )),
                What::Session => error.hint(format!("{approve}; then run `{asked_by} --approval {id}`")),
            };
            error.detail("request", shown).detail("request_text", text)
        }
        Err(why) => error.hint(format!("and the request for it cannot be written: {}", why.message())),
    }
}

fn invalid(subject: &Subject<'_>, why: Why, differs: Option<&Differs>) -> Error {
    let said = differs.map(|it| format!(": {}", it.said)).unwrap_or_default();
    let what = format!("the approval for {} {}{said}", subject.named(), why.meaning());
    let error = Error::new(Code::ApprovalInvalid, what).detail("why", why.as_str());
    let error = differs.into_iter().fold(error, |error, it| error.detail("differs", it.lines.clone()));
    match subject.what {
        // Nothing is spent: whoever is missing can still sign it.
        _ if matches!(why, Why::TooFew | Why::UnknownApprover) => error
            .hint("an approver of the server signs it with `runcode servers approve REQUEST`; then run it again")
            .for_tools("ask the user to have an approver of the server sign it; then call exec again"),
        What::Profile { .. } => error
            .hint("make a new request with --request, and have it approved")
            .for_tools("call exec again without `approval`: that makes a new request; have it approved"),
        What::Session => {
            error.hint(format!("`{} --request` makes a new request; have it approved", subject.asked_by))
        }
    }
}
