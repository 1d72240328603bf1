//! Whether something may be done on a workspace: what its owner allows, asked before anything is done there.
//!
//! On a server with profiles nothing else runs. Every remote command passes [`refuse_unless_free`] in `Sessions::start`, and the
//! verbs that do not use that call it themselves; a profile passes [`judge`], and what that returns alone can be run.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use runcode_audit::{Approval, CertificateId, Entry, Outcome, Phase, REDACTED, is_secret_name, redact};
use runcode_policy::approval::What;
use runcode_policy::{Call, Profile, Refusal, Rules, Words};
use runcode_sshcert::Certificate;

use crate::error::{Code, Error, Result};
use crate::origin::names::few;
use crate::origin::{OriginId, Origins, SessionKey, Terms};
use crate::output::{foreign, sanitize};
use crate::session::approval::{self, State, Subject};
use crate::session::audit::{self, Pending};
use crate::session::input::Input;
use crate::session::{Sessions, approved};
use crate::signer::Spec;
use crate::sys::random;

/// What running a profile is called in the audit log.
const RUN: &str = "run_execute";

/// What a caller asks for.
#[derive(Debug)]
pub struct Request {
    /// The profile's name.
    pub profile: String,
    /// Values by name, in the order in which they were given.
    pub values: Vec<(String, String)>,
    /// How long the caller lets it take.
    pub timeout: Option<Duration>,
    /// What the caller gives it to read.
    pub feed: Feed,
    /// The approval that the caller names.
    pub approval: Option<String>,
}

/// What a caller gives a command to read.
#[derive(Debug, Clone)]
pub enum Feed {
    /// Nothing.
    Nothing,
    /// The stdin of this process.
    Own,
    /// This, which whoever runs the command writes to it.
    Text(String),
}

/// What may run: a profile that the server allows, with values that fit.
#[derive(Debug)]
pub struct Permit {
    /// The server.
    pub key: SessionKey,
    /// What its owner allows.
    pub terms: Terms,
    /// The profile's name.
    pub profile: String,
    /// The command.
    pub call: Call,
    /// How long it may take: the shorter of what the owner and the caller say.
    pub timeout: Option<Duration>,
    /// Whether it gets what the caller gives it to read.
    pub reads_stdin: bool,
    /// What was read of that beforehand, for an approval that names it.
    pub input: Input,
    /// Whether somebody has to approve it, and has.
    pub approval: State,
    /// Whether it runs in an approved session.
    pub in_session: bool,
    /// Names this run, here and in the host's own log.
    pub event_id: String,
    /// The certificate that it runs by, once there is one.
    certificate: OnceCell<CertificateId>,
}

/// Refuses whatever is no profile where only profiles may run.
pub fn refuse_unless_free(sessions: &Sessions<'_>, key: &SessionKey) -> Result<()> {
    match settle(sessions, key)? {
        Some(terms) if approved::standing(sessions, key)?.is_none() => Err(terms.only_profiles()),
        _ => Ok(()),
    }
}

/// As [`restricted`]; where only profiles may run now, what was made before that ends.
pub fn settle(sessions: &Sessions<'_>, key: &SessionKey) -> Result<Option<Terms>> {
    let found = restricted(sessions.origins(), key);
    let is_over = match &found {
        Ok(terms) => terms.is_some(),
        Err(error) => error.code() == Code::PolicyDenied,
    };
    if is_over {
        sessions.end_unrestricted(key)?;
    }
    found
}

/// What the owner allows where only profiles may run; none where any command may. That it cannot be told is an error, and so is
/// another name for a server on which only profiles may run.
pub fn restricted(origins: &dyn Origins, key: &SessionKey) -> Result<Option<Terms>> {
    if !matches!(key.origin(), OriginId::Plane(_)) {
        origins.origin(&OriginId::Server)?.refuse_other_name(key)?;
    }
    Ok(terms(origins, key)?.filter(Terms::is_restricted))
}

/// Decides whether the request may run. Nothing has been connected to, and nothing is spent.
pub fn judge(sessions: &Sessions<'_>, key: &SessionKey, request: Request) -> Result<Permit> {
    let profile = Some(sanitize::short(&request.profile));
    let judged = consider(sessions, key, request);
    judged.inspect_err(|error| {
        let entry = Entry { profile, ..Entry::new(Phase::Event, RUN, Outcome::Denied) };
        audit::refusal(sessions, key, entry, error);
    })
}

fn consider(sessions: &Sessions<'_>, key: &SessionKey, request: Request) -> Result<Permit> {
    let Some(terms) = terms(sessions.origins(), key)? else {
        let what = format!("`{}` is no server of servers.toml, and only those have profiles", key.words());
        return Err(Error::new(Code::Usage, what).hint("give a command instead of --profile"));
    };
    settle(sessions, key)?;
    let Some(profile) = terms.profiles.get(&request.profile) else {
        let name = foreign::word(&request.profile);
        let what = format!("`{}` does not allow the profile {name}", terms.server.name);
        return Err(Error::new(Code::PolicyDenied, what).hint(terms.said()));
    };
    let call = profile.call(request.values);
    let call = call.map_err(|refusal| misfit(&refusal, &request.profile, profile, &terms))?;
    let owners = profile.rules().timeout;
    let timeout = [owners, request.timeout].into_iter().flatten().min();
    let reads_stdin = profile.rules().stdin && !matches!(request.feed, Feed::Nothing);
    // A session that is over is no reason to refuse what needs no session.
    let in_session = approved::standing(sessions, key).is_ok_and(|session| session.is_some());
    let mut permit = Permit {
        in_session,
        key: key.clone(),
        profile: request.profile,
        call,
        timeout,
        reads_stdin,
        input: Input::default(),
        approval: State::default(),
        event_id: random::word(),
        certificate: OnceCell::new(),
        terms,
    };
    approval::consider(sessions, &mut permit, request.approval.as_deref(), &request.feed)?;
    Ok(permit)
}

/// What `servers check NAME` runs: nothing, by a certificate of its own.
pub fn probe(origins: &dyn Origins, server: &str) -> Result<Permit> {
    let failed = |why: String| Error::new(Code::Error, why);
    let key = SessionKey::server(server).ok_or_else(|| failed(format!("no server is called `{server}`")))?;
    let terms = terms(origins, &key)?.ok_or_else(|| failed(format!("`{server}` has no owner")))?;
    let words = Words::argv(["true"]).map_err(failed)?;
    let profile = Profile::new(words, Rules::default()).map_err(|mistake| failed(mistake.why.to_owned()))?;
    let call = profile.call([]).map_err(|_| failed("`true` takes no arguments".to_owned()))?;
    let (profile, timeout) = ("check".to_owned(), Some(Duration::from_secs(60)));
    Ok(Permit {
        key,
        terms,
        profile,
        call,
        timeout,
        reads_stdin: false,
        input: Input::default(),
        approval: State::None,
        in_session: false,
        event_id: random::word(),
        certificate: OnceCell::new(),
    })
}

impl Permit {
    /// Whether somebody has to approve it.
    pub fn needs_approval(&self) -> bool {
        let profile = self.terms.profiles.get(&self.profile);
        let of_server = self.terms.server.policy.requires_approval && !self.in_session;
        of_server || profile.is_some_and(|it| it.rules().requires_approval)
    }

    /// What an approval of it is for.
    pub fn subject(&self) -> Subject<'_> {
        let stdin = self.input.named(self.reads_stdin);
        let what = What::Profile { name: &self.profile, call: &self.call, stdin };
        Subject { terms: &self.terms, what, ttl: self.terms.certificate_ttl, asked_by: String::new() }
    }

    /// Refuses what the server's owner forbids, and what no certificate can be had for.
    pub fn refuse(&self) -> Result<()> {
        self.terms.refuse()?;
        let is_fixed = !self.in_session && self.terms.signer.as_ref().is_some_and(Spec::fixes_commands);
        let Some(profile) = self.terms.profiles.get(&self.profile).filter(|_| is_fixed) else {
            return Ok(());
        };
        let value = |name: &str| self.call.values().find(|(own, _)| *own == name).map(|(_, value)| value);
        let changed = profile.arguments().find(|(name, it)| value(name) != it.default.as_deref());
        let Some((argument, _)) = changed else { return Ok(()) };
        let what = format!(
            "the signer's role certifies one command only for `{}`, and the argument `{argument}` would change it",
            self.profile
        );
        Err(Error::new(Code::Unavailable, what).hint(
            "with options = \"expect\", each argument needs a default in servers.toml, and a run cannot give it another value",
        ))
    }

    /// Uses up the approval, and says that this is about to be done. Where that cannot be said, nothing is done.
    ///
    /// The one place where a log of actions learns of an intent: everything that runs a profile calls it once, directly before it
    /// asks a signer or a host for anything.
    pub fn begin(&self, sessions: &Sessions<'_>) -> Result<Begun<'_>> {
        self.refuse().inspect_err(|error| audit::refusal(sessions, &self.key, self.entry(), error))?;
        let approved = Approved { subject: self.subject(), state: &self.approval, event_id: &self.event_id };
        Ok(Begun { permit: self, pending: begin(sessions, &self.key, &approved, self.entry())? })
    }

    /// Remembers the certificate that it runs by, for the audit log.
    pub(super) fn certified(&self, certificate: &Certificate) {
        let _ = self.certificate.set(certificate_id(certificate));
    }

    /// Records that this was only shown; in which log.
    pub fn planned(&self, sessions: &Sessions<'_>) -> Result<Option<PathBuf>> {
        let entry = Entry { action: "run_plan".to_owned(), outcome: Outcome::Planned, ..self.entry() };
        audit::event(sessions, &self.key, entry)
    }

    /// What the audit log says of it.
    fn entry(&self) -> Entry {
        let (call, is_check) = (&self.call, !self.terms.profiles.contains_key(&self.profile));
        let command = audit::Command::new(redact(call.shown()).text, call.rendered());
        let args = call.shown_values().map(|(name, value)| {
            let shown = if is_secret_name(name) { REDACTED.to_owned() } else { redact(value).text };
            (name.to_owned(), shown)
        });
        let is_certified = self.terms.server.logs_in_per_run() && !self.in_session;
        Entry {
            profile: Some(self.profile.clone()),
            args: Some(args.collect()),
            rendered_command: Some(command.shown),
            command_sha256: command.sha256,
            requires_approval: Some(self.needs_approval()),
            transport: is_certified.then(|| "openssh".to_owned()),
            ..with_approval(
                Entry::new(Phase::Intent, if is_check { "config_check" } else { RUN }, Outcome::Started),
                &self.approval,
            )
        }
    }
}

/// Something that may need an approval, with the approval that it has.
pub(super) struct Approved<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) state: &'a State,
    /// Names it.
    pub(super) event_id: &'a str,
}

/// Uses up the approval, and records the intent.
pub(super) fn begin(
    sessions: &Sessions<'_>,
    key: &SessionKey,
    approved: &Approved<'_>,
    entry: Entry,
) -> Result<Option<Pending>> {
    let refused = |error: &Error| audit::refusal(sessions, key, entry.clone(), error);
    approved.subject.terms.refuse().inspect_err(refused)?;
    let trail = sessions.origins().trail(key)?;
    // An approval works once, so it is not spent on what cannot be recorded.
    if let (Some(trail), State::Valid { .. }) = (&trail, approved.state) {
        audit::open(sessions, trail)?.check().map_err(audit::failed)?;
    }
    approval::spend(sessions, &approved.subject, approved.state).inspect_err(refused)?;
    let Some(trail) = trail else { return Ok(None) };
    let entry = audit::about(sessions, key, entry)?;
    audit::begin(sessions, &trail, approved.event_id, entry).map(Some)
}

/// Says which approval something had.
pub(super) fn with_approval(entry: Entry, state: &State) -> Entry {
    let (approval_reference, approval) = match state {
        State::None | State::Missing | State::Invalid(..) => (None, None),
        State::Unverified(word) => (Some(redact(word).text), Some(Approval::default())),
        State::Valid { approvers, id, sha256, expires_at } => {
            let approval = Approval {
                id: Some(id.clone()),
                verified: true,
                approvers: approvers.clone(),
                sha256: Some(sha256.clone()),
                expires_at: Some(expires_at.to_string()),
            };
            (Some(id.clone()), Some(approval))
        }
    };
    Entry { approval_reference, approval, ..entry }
}

/// A certificate as the audit log names it.
pub(super) fn certificate_id(certificate: &Certificate) -> CertificateId {
    let ends = i64::try_from(certificate.valid_before()).ok();
    let ends = ends.and_then(|second| jiff::Timestamp::from_second(second).ok());
    CertificateId {
        serial: Some(certificate.serial().to_string()),
        key_id: Some(redact(certificate.key_id()).text),
        ca: Some(certificate.authority()),
        valid_before: ends.map(|time| time.to_string()),
    }
}

/// Something that was permitted and has begun.
#[derive(Debug)]
pub struct Begun<'a> {
    /// What.
    pub permit: &'a Permit,
    pending: Option<Pending>,
}

impl Begun<'_> {
    /// Says what became of it, and passes that on. The one place where a log of actions learns of an outcome.
    pub fn end(self, outcome: Result<u8>) -> Result<u8> {
        if let Some(mut pending) = self.pending {
            pending.by(self.permit.certificate.get());
            pending.end(&outcome, |status| Some(*status));
        }
        outcome.map_err(|error| approval::used_up(error, &self.permit.approval))
    }

    /// As [`Begun::end`], for what did not even start.
    pub fn failed(self, error: Error) -> Error {
        if let Some(pending) = self.pending {
            pending.failed(&error);
        }
        approval::used_up(error, &self.permit.approval)
    }
}

pub(super) fn terms(origins: &dyn Origins, key: &SessionKey) -> Result<Option<Terms>> {
    if *key.origin() != OriginId::Server {
        return Ok(None);
    }
    Ok(origins.origin(key.origin())?.terms(key)?)
}

fn misfit(refusal: &Refusal, name: &str, profile: &Profile, terms: &Terms) -> Error {
    let what = match refusal {
        Refusal::Unknown(argument) => {
            format!("the profile `{name}` has no argument {}", foreign::word(argument))
        }
        Refusal::Repeated(argument) => format!("the argument {} is given twice", foreign::word(argument)),
        Refusal::Missing(argument) => format!("the profile `{name}` needs a value for `{argument}`"),
        Refusal::Value(argument, why) => format!("the value of `{argument}` {why}"),
        Refusal::TooLong => "the command is too long with these values".to_owned(),
    };
    let takes = |written: fn(&str) -> String| {
        let each = profile.arguments().map(|(name, _)| written(name)).collect::<Vec<_>>();
        let takes = if each.is_empty() { "no arguments".to_owned() } else { few(each.into_iter()) };
        format!(
            "`{name}` takes {takes}; `runcode servers profiles {}` says what each may be",
            terms.server.name
        )
    };
    Error::new(Code::Usage, what)
        .hint(takes(|name| format!("--arg {name}=…")))
        .for_tools(takes(|name| format!("`{name}`")))
}
