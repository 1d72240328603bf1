//! Opening an approved session: the approval is judged, used up, and announced; then a key is certified, a keeper watches, and
//! a connection is made.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runcode_audit::{CertificateId, Entry, Outcome, Phase};
use runcode_policy::approval::What;
use runcode_sshcert::Certificate;

use crate::error::{Code, Error, Result};
use crate::grant::{Access, Certified, Credential, Expiry, Lifetime, Workdir};
use crate::openssh::config::{HostKeys, Login, SessionConfig};
use crate::origin::servers::AuthMethod;
use crate::origin::{Request, SessionKey, Terms};
use crate::session::approval::{self, State, Subject};
use crate::session::approved::{Approved, over};
use crate::session::hops::Hops;
use crate::session::keypair::Keypair;
use crate::session::locked::LockedSession;
use crate::session::store::{self, Files};
use crate::session::{Meta, Session, Sessions, audit, mint, once, policy};
use crate::sys::{clock, random};

/// How long a session lasts, and how long it stands unused, in seconds, unless somebody says otherwise.
const TTL: u64 = 300;
const IDLE: u64 = 60;

/// What the extensions of a session's certificate are called (OpenSSH PROTOCOL.certkeys).
const TERMINAL: &str = "permit-pty";
const FORWARDING: &str = "permit-port-forwarding";

/// What the user asks for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// How long it lasts, in seconds.
    pub ttl: Option<u64>,
    /// How long it stands without a command, in seconds.
    pub idle: Option<u64>,
    /// The approval.
    pub approval: Option<String>,
    /// Where commands run; `None` means as servers.toml says.
    pub workdir: Option<Workdir>,
}

/// A session that was asked for and is allowed.
#[derive(Debug)]
pub struct Asked {
    key: SessionKey,
    terms: Terms,
    ttl: u64,
    idle: u64,
    is_idle_given: bool,
    approval: State,
    workdir: Option<Workdir>,
    session_id: String,
}

impl Asked {
    /// Decides whether such a session may be opened. Spends nothing, and does not connect.
    pub fn judge(sessions: &Sessions<'_>, key: &SessionKey, terms: &Terms, wish: Wish) -> Result<Asked> {
        let judged = Asked::consider(sessions, key, terms, wish);
        judged.inspect_err(|error| {
            audit::refusal(sessions, key, Entry::new(Phase::Event, OPEN, Outcome::Denied), error);
        })
    }

    fn consider(sessions: &Sessions<'_>, key: &SessionKey, terms: &Terms, wish: Wish) -> Result<Asked> {
        let policy = &terms.server.policy;
        if !(policy.unrestricted_sessions && terms.is_restricted()) {
            let what = format!("`{}` has no approved sessions", terms.server.name);
            return Err(Error::new(Code::PolicyDenied, what).hint(terms.said()));
        }
        terms.refuse()?;
        let within = |option: &str, asked: Option<u64>, usual: u64, most: u64| match asked {
            Some(asked) if asked == 0 || asked > most => {
                let what = format!(
                    "{option} must be between 1 and {most}, the most that `{}` allows",
                    terms.server.name
                );
                Err(Error::new(Code::Usage, what))
            }
            asked => Ok(asked.unwrap_or(usual.min(most))),
        };
        let mut asked = Asked {
            key: key.clone(),
            terms: terms.clone(),
            ttl: within("--ttl", wish.ttl, TTL, policy.max_ttl)?,
            idle: within("--idle", wish.idle, IDLE, policy.max_idle)?,
            is_idle_given: wish.idle.is_some(),
            approval: State::Missing,
            workdir: wish.workdir.or_else(|| terms.server.workdir.clone()),
            session_id: random::word(),
        };
        asked.approval = approval::judged(sessions, &asked.subject(), wish.approval.as_deref())?;
        Ok(asked)
    }

    /// A request for its approval: the file that was written, and its text.
    pub fn request(&self, sessions: &Sessions<'_>) -> Result<(PathBuf, String)> {
        approval::request(sessions, &self.subject())
    }

    /// The command line that asks for it again.
    pub fn asked_by(&self) -> String {
        let idle = if self.is_idle_given { format!(" --idle {}", self.idle) } else { String::new() };
        format!("runcode connect {} --ttl {}{idle}", self.key.words(), self.ttl)
    }

    fn subject(&self) -> Subject<'_> {
        Subject { terms: &self.terms, what: What::Session, ttl: self.ttl, asked_by: self.asked_by() }
    }

    fn entry(&self) -> Entry {
        let entry = Entry {
            requires_approval: Some(true),
            session_id: Some(self.session_id.clone()),
            message: Some(format!("for {} s, or {} s without a command", self.ttl, self.idle)),
            ..Entry::new(Phase::Intent, OPEN, Outcome::Started)
        };
        policy::with_approval(entry, &self.approval)
    }
}

/// The name of opening one in the audit log.
const OPEN: &str = "session_open";

/// Uses up the approval and opens the session, replacing whatever was open there.
pub fn open(sessions: &Sessions<'_>, asked: &Asked) -> Result<Session> {
    let event_id = random::word();
    let approved = policy::Approved { subject: asked.subject(), state: &asked.approval, event_id: &event_id };
    let pending = policy::begin(sessions, &asked.key, &approved, asked.entry())?;
    let mut certificate = None;
    let opened = sessions.covering(|| establish(sessions, asked, &event_id, &mut certificate));
    if let Some(mut pending) = pending {
        pending.by(certificate.as_ref());
        pending.end(&opened, |_| None);
    }
    opened.map_err(|error| approval::used_up(error, &asked.approval))
}

fn establish(
    sessions: &Sessions<'_>,
    asked: &Asked,
    event_id: &str,
    named: &mut Option<CertificateId>,
) -> Result<Session> {
    let pair = Keypair::generate()?;
    let certificate = match asked.terms.server.method {
        AuthMethod::Certificate(_) => Some(certify(sessions, asked, event_id, &pair)?),
        AuthMethod::Ssh(_) | AuthMethod::LegacyPassword(_) => None,
    };
    *named = certificate.as_ref().map(policy::certificate_id);
    let hops = Hops::of(&asked.terms, &sessions.store().folder(&asked.key), sessions.env())?;
    let on_the_way = hops.certified(sessions, event_id, asked.ttl)?;
    let session = {
        let locked = sessions.store().lock(&asked.key)?;
        clear(sessions, &locked)?;
        let made = Made { pair: &pair, certificate: certificate.as_ref(), hops: &hops, on_the_way };
        let session = commit(sessions, asked, &locked, made)?;
        if let Err(error) = come_up(sessions, asked, &session) {
            undo(sessions, &session);
            locked.remove()?;
            return Err(error);
        }
        session
    };
    let probed = sessions.probe_in(&session, session.meta.workdir.as_ref(), &|| false);
    if let Err(error) = probed {
        over::end(sessions, &session, over::Why::Ended)?; // that one: by now there may be another
        return Err(error);
    }
    Ok(session)
}

fn certify(sessions: &Sessions<'_>, asked: &Asked, event_id: &str, pair: &Keypair) -> Result<Certificate> {
    let extensions = match asked.terms.server.policy.forwarding {
        true => &[TERMINAL, FORWARDING][..],
        false => &[TERMINAL],
    };
    once::certified(
        sessions,
        &asked.terms.server,
        asked.terms.signer.as_ref(),
        pair,
        &once::Purpose { name: "session", event_id, ttl: asked.ttl, force_command: "", extensions },
    )
}

/// Ends what is open: one session has no more than one connection.
fn clear(sessions: &Sessions<'_>, locked: &LockedSession<'_>) -> Result<()> {
    if let Some(old) = locked.read()? {
        over::close(sessions, &old)?;
        sessions.end_with_forwards(&old)?;
    }
    over::forget(locked.folder())
}

/// What a login needs.
struct Made<'a> {
    pair: &'a Keypair,
    certificate: Option<&'a Certificate>,
    hops: &'a Hops,
    /// The files for the hops.
    on_the_way: Files,
}

fn commit(
    sessions: &Sessions<'_>,
    asked: &Asked,
    locked: &LockedSession<'_>,
    made: Made<'_>,
) -> Result<Session> {
    let (terms, now) = (&asked.terms, clock::now());
    let ttl = Duration::from_secs(asked.ttl);
    let access = access(sessions, asked, &made)?;
    let end = match made.certificate {
        Some(certificate) => Expiry::from_unix(certificate.valid_before(), now, ttl),
        None => Expiry::from_unix(seconds(now, asked.ttl), now, ttl),
    };
    let end = end.map_err(|why| Error::new(Code::SignerFailed, format!("the end of the session {why}")))?;
    let socket = format!("master-{:.8}", asked.session_id);
    let control_path = mint::control_path(locked, sessions.env(), &socket)?;
    if control_path.is_none() && cfg!(unix) {
        let what = "no folder here can hold a socket, so nothing could end what an approved session runs";
        return Err(Error::new(Code::Unavailable, what));
    }
    let alias = match &access {
        Access::External(external) => external.destination.to_string(),
        Access::Gateway(_) | Access::Certified(_) => terms.server.alias(),
    };
    let approved = Approved {
        session_id: asked.session_id.clone(),
        idle_seconds: u32::try_from(asked.idle).unwrap_or(u32::MAX),
        forwards: terms.server.policy.forwarding,
        definition: terms.definition.clone(),
    };
    let meta = Meta {
        key: asked.key.clone(),
        title: terms.server.name.as_str().into(),
        custom_title: None,
        shared: Some(false),
        alias,
        access,
        lifetime: Lifetime::Until(end),
        workdir: asked.workdir.clone(),
        web_url: None,
        control_path,
        ttl_seconds: asked.ttl,
        key_created_at: now,
        granted_at: Some(now),
        personal_keep: None,
        approved: Some(approved),
        files: std::collections::BTreeMap::new(),
    };
    let files = match &meta.access {
        Access::Certified(_) => files(locked, &meta, made)?,
        Access::Gateway(_) | Access::External(_) => mint::external_files(&meta.access)?,
    };
    locked.commit(meta, &files)
}

fn seconds(now: Timestamp, ttl: u64) -> u64 {
    let end = now.checked_add(SignedDuration::from_secs(i64::try_from(ttl).unwrap_or(i64::MAX)));
    end.ok().and_then(|end| u64::try_from(end.as_second()).ok()).unwrap_or_default()
}

/// How the session gets in.
fn access(sessions: &Sessions<'_>, asked: &Asked, made: &Made<'_>) -> Result<Access> {
    let server = &asked.terms.server;
    match (&server.method, server.endpoint()) {
        (AuthMethod::Certificate(_) | AuthMethod::LegacyPassword(_), Some(endpoint)) => {
            let (server, hops) = (asked.terms.named(&asked.key), made.hops.remembered());
            Ok(Access::Certified(Certified { endpoint, server, hops }))
        }
        (AuthMethod::Ssh(_), _) => {
            let request = Request {
                key: made.pair.public(),
                ttl: Duration::from_secs(asked.ttl),
                client: &sessions.client(),
            };
            let grant = sessions.origins().origin(asked.key.origin())?.grant(&asked.key, &request);
            match grant.map_err(Error::from)?.credential {
                Credential::External(external) => Ok(Access::External(external)),
                Credential::Key { .. } => {
                    Err(Error::new(Code::Error, "the server is not one of the user's own hosts"))
                }
            }
        }
        _ => Err(Error::new(Code::Unavailable, format!("`{}` cannot be logged in to", server.name))),
    }
}

/// The files of a session whose key is certified, or that a password opens.
fn files(locked: &LockedSession<'_>, meta: &Meta, made: Made<'_>) -> Result<Files> {
    let Made { pair, certificate, hops, on_the_way } = made;
    let Access::Certified(Certified { endpoint, server, .. }) = &meta.access else {
        return Err(Error::new(Code::Error, "the session has no certificate"));
    };
    let at = |name: &str| locked.folder().join(name);
    let (known_hosts, identity, certificate_file) =
        (at(store::KNOWN_HOSTS), at(store::IDENTITY), at(store::CERTIFICATE));
    let control_path = meta.control_path.as_ref().map(PathBuf::from);
    let through = hops.command()?;
    let mut files = on_the_way;
    let mut add = |name, content: Vec<u8>| files.insert(name, zeroize::Zeroizing::new(content));
    let host_keys = match &server.host_keys {
        // A host certificate must bear this name.
        Some(pins) => {
            add(store::KNOWN_HOSTS, pins.known_hosts(endpoint.host.as_str()).into_bytes());
            HostKeys::Pinned { known_hosts: &known_hosts, alias: endpoint.host.as_str() }
        }
        None => HostKeys::User,
    };
    let config = SessionConfig {
        alias: &meta.alias,
        endpoint,
        login: match certificate {
            Some(_) => Login::Key { identity: &identity, certificate: Some(&certificate_file) },
            None => Login::Password,
        },
        host_keys,
        control_path: control_path.as_deref(),
        through: through.as_deref(),
        hop: None,
    };
    add(store::CONFIG, config.render()?);
    if let Some(certificate) = certificate {
        add(store::IDENTITY, pair.private_pem()?.as_bytes().to_vec());
        add(store::PUBLIC, format!("{}\n", pair.public_line()?).into_bytes());
        add(store::CERTIFICATE, format!("{}\n", certificate.as_str()).into_bytes());
    }
    Ok(files)
}

/// Brings the connection up, once something makes sure that it ends.
fn come_up(sessions: &Sessions<'_>, asked: &Asked, session: &Session) -> Result<()> {
    #[cfg(unix)]
    crate::session::keeper::start(sessions, session)?;
    let server = &asked.terms.server;
    #[cfg(unix)]
    if matches!(server.method, AuthMethod::LegacyPassword(_)) {
        return crate::session::password::log_in(sessions, server, &sessions.transport(session));
    }
    #[cfg(windows)]
    let _ = server;
    sessions.start_master(session).map_err(Error::from)
}

/// Undoes what was begun.
fn undo(sessions: &Sessions<'_>, session: &Session) {
    #[cfg(unix)]
    crate::session::keeper::end(&session.folder);
    let _ = sessions.transport(session).end_master();
}
