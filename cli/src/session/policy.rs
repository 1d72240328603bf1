//! Whether something may be done on a workspace: what its owner allows, asked before anything is done there.
//!
//! On a server with profiles nothing else runs. Every remote command passes [`refuse_unless_free`] in `Sessions::start`, and the
//! verbs that do not use that call it themselves; a profile passes [`judge`], and what that returns alone can be run.

use std::time::Duration;

use runcode_policy::{Call, Profile, Refusal, Rules, Words};

use crate::error::{Code, Error, Result};
use crate::origin::names::few;
use crate::origin::{OriginId, Origins, SessionKey, Terms};
use crate::output::foreign;
use crate::session::Sessions;
use crate::session::approval::{self, State};
use crate::sys::random;

/// What a caller asks for.
#[derive(Debug)]
pub struct Request {
    /// The profile's name.
    pub profile: String,
    /// Values by name, in the order in which they were given.
    pub values: Vec<(String, String)>,
    /// How long the caller lets it take.
    pub timeout: Option<Duration>,
    /// Whether the caller gives it no stdin.
    pub no_stdin: bool,
    /// The approval that the caller names.
    pub approval: Option<String>,
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
    /// Whether it gets the caller's stdin.
    pub reads_stdin: bool,
    /// Whether somebody has to approve it, and has.
    pub approval: State,
    /// Names this run, here and in the host's own log.
    pub event_id: String,
}

/// Refuses whatever is no profile where only profiles may run.
pub fn refuse_unless_free(origins: &dyn Origins, key: &SessionKey) -> Result<()> {
    match terms(origins, key)?.filter(Terms::is_restricted) {
        None => Ok(()),
        Some(terms) => Err(terms.profiles_alone()),
    }
}

/// Whether only profiles may run there. What cannot be told is not.
pub fn restricted(origins: &dyn Origins, key: &SessionKey) -> Result<Option<Terms>> {
    Ok(terms(origins, key)?.filter(Terms::is_restricted))
}

/// Decides whether the request may run. Nothing has been connected to, and nothing is spent.
pub fn judge(sessions: &Sessions<'_>, key: &SessionKey, request: Request) -> Result<Permit> {
    let Some(terms) = terms(sessions.origins(), key)? else {
        let what = format!("`{}` is no server of servers.toml, and only those have profiles", key.words());
        return Err(Error::new(Code::Usage, what).hint("give a command instead of --profile"));
    };
    let Some(profile) = terms.profiles.get(&request.profile) else {
        let name = foreign::word(&request.profile);
        let what = format!("`{}` does not allow the profile {name}", terms.server.name);
        return Err(Error::new(Code::PolicyDenied, what).hint(terms.said()));
    };
    let call = profile.call(request.values);
    let call = call.map_err(|refusal| misfit(&refusal, &request.profile, profile, &terms))?;
    let owners = profile.rules().timeout;
    let timeout = [owners, request.timeout].into_iter().flatten().min();
    let reads_stdin = profile.rules().stdin && !request.no_stdin;
    let mut permit = Permit {
        key: key.clone(),
        profile: request.profile,
        call,
        timeout,
        reads_stdin,
        approval: State::default(),
        event_id: random::word(),
        terms,
    };
    approval::consider(sessions, &mut permit, request.approval.as_deref())?;
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
        approval: State::None,
        event_id: random::word(),
    })
}

impl Permit {
    /// Whether somebody has to approve it.
    pub fn needs_approval(&self) -> bool {
        let profile = self.terms.profiles.get(&self.profile);
        self.terms.server.policy.requires_approval || profile.is_some_and(|it| it.rules().requires_approval)
    }

    /// Uses up the approval, and says that this is about to be done. Where that cannot be said, nothing is done.
    ///
    /// The one place where a log of actions learns of an intent: everything that runs a profile calls it once, directly before it
    /// asks a signer or a host for anything.
    pub fn begin(&self, sessions: &Sessions<'_>) -> Result<Begun<'_>> {
        self.terms.refuse()?;
        approval::spend(sessions, self)?;
        Ok(Begun { permit: self })
    }
}

/// Something that was permitted and has begun.
#[derive(Debug)]
pub struct Begun<'a> {
    /// What.
    pub permit: &'a Permit,
}

impl Begun<'_> {
    /// Says what became of it, and passes that on. The one place where a log of actions learns of an outcome.
    pub fn end(self, outcome: Result<u8>) -> Result<u8> {
        outcome
    }
}

fn terms(origins: &dyn Origins, key: &SessionKey) -> Result<Option<Terms>> {
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
    let takes = profile.arguments().map(|(name, _)| format!("--arg {name}=…")).collect::<Vec<_>>();
    let takes = if takes.is_empty() { "no arguments".to_owned() } else { few(takes.into_iter()) };
    Error::new(Code::Usage, what).hint(format!(
        "`{name}` takes {takes}; `runcode servers profiles {}` says what each may be",
        terms.server.name
    ))
}
