//! Approved sessions: any command may run on a restricted server for as long as people have agreed to, and no longer.
//!
//! Such a session is opened once for one approval, and never renewed. A keeper ([`super::keeper`]) ends it when its time is up, or
//! when nothing has run for a while; whoever uses it also checks that it is not over ([`standing`]).

mod open;
mod over;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::origin::{OriginId, SessionKey};
use crate::session::{Session, Sessions, policy};
use crate::sys::{atomic_file, clock};

pub use open::{Asked, Wish, open};
pub use over::forget_all;
pub(super) use over::{Why, close, end};

/// What a session remembers about its approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Names it, here and in the audit log.
    pub session_id: String,
    /// How long it stands without a command, in seconds.
    pub idle_seconds: u32,
    /// Whether it may forward ports.
    pub forwards: bool,
    /// A digest of what servers.toml said about the server when the session was opened.
    pub definition: String,
}

/// The state of an approved session.
#[derive(Debug)]
pub enum Found {
    /// None, and none that ended within a day.
    None,
    /// One that can be used.
    Standing(Box<Session>),
    /// One that is over, as the error says.
    Over(Error),
}

/// Looks for an approved session; one that is over is ended.
pub fn look(sessions: &Sessions<'_>, key: &SessionKey) -> Result<Found> {
    if *key.origin() != OriginId::Server {
        return Ok(Found::None);
    }
    let Some(session) = sessions.store().read(key)?.filter(|session| session.meta.approved.is_some()) else {
        return Ok(over::lately(sessions, key).map_or(Found::None, Found::Over));
    };
    match settled(sessions, &session)? {
        None => Ok(Found::Standing(Box::new(session))),
        Some(why) => {
            end(sessions, &session, why)?;
            Ok(Found::Over(over::error(&session, why)))
        }
    }
}

/// The approved session that stands; an error if one has recently ended.
pub fn standing(sessions: &Sessions<'_>, key: &SessionKey) -> Result<Option<Session>> {
    match look(sessions, key)? {
        Found::None => Ok(None),
        Found::Standing(session) => Ok(Some(*session)),
        Found::Over(error) => Err(error),
    }
}

/// Refuses a session that is over, and notes the use of one that is not. Does neither for a session that needs no approval.
pub(super) fn use_once(sessions: &Sessions<'_>, session: &Session) -> Result<()> {
    if session.meta.approved.is_none() {
        return Ok(());
    }
    if let Some(why) = settled(sessions, session)? {
        end(sessions, session, why)?;
        return Err(over::error(session, why));
    }
    // The keeper sees that the file is another one.
    atomic_file::write_unsynced(&session.folder.join(USED), b"", 0o600)
}

/// The session with its connection up. It is never renewed.
pub(super) fn revive(sessions: &Sessions<'_>, session: &Session) -> Result<Session> {
    use_once(sessions, session)?;
    let is_it = |other: &Session| other.meta.approved == session.meta.approved;
    {
        let locked = sessions.store().lock(&session.meta.key)?;
        let current = locked.read()?.filter(|current| is_it(current) && current.is_intact());
        if let Some(current) = current.filter(|current| current.meta.access.is_current()) {
            sessions.start_master(&current)?;
            if why_over(sessions, &current)?.is_none() {
                return Ok(current);
            }
        }
    }
    let why = why_over(sessions, session)?.unwrap_or(Why::Changed);
    end(sessions, session, why)?;
    Err(over::error(session, why))
}

/// What happened to a command: if its session ended, that is the reason, whatever else it looks like.
pub fn explained(session: &Session, ended: Result<u8>) -> Result<u8> {
    /// The statuses of commands that a signal ended are above this one.
    const SIGNALS: u8 = 128;
    let is_cut = ended.as_ref().map_or(true, |status| *status > SIGNALS);
    let is_late = session.meta.approved.is_some() && is_late(session);
    match over::buried(session).or(is_late.then_some(Why::Time)).filter(|_| is_cut) {
        Some(why) => Err(over::error(session, why)),
        None => ended,
    }
}

/// Refuses to forward ports in a session that may not do so.
pub fn refuse_forward(sessions: &Sessions<'_>, key: &SessionKey) -> Result<()> {
    let may =
        standing(sessions, key)?.and_then(|it| it.meta.approved).is_none_or(|approved| approved.forwards);
    if may {
        return Ok(());
    }
    let what = format!("sessions on `{}` may not forward ports", key.words());
    Err(Error::new(Code::PolicyDenied, what).hint("its owner can set allow_forwarding in servers.toml"))
}

/// Refuses what would outlive a session with an end.
pub fn refuse_job(session: &Session) -> Result<()> {
    if session.meta.approved.is_none() {
        return Ok(());
    }
    let what = format!("a job would outlive the approved session on `{}`", session.meta.key.words());
    Err(Error::new(Code::PolicyDenied, what)
        .hint("run it without --detach, within the session's time")
        .for_tools("call exec without `background`, within the session's time"))
}

/// The file whose time shows when the session was last used.
pub(super) const USED: &str = "used";

/// Why the session is over, if it is. Whoever opens one holds its lock until its keeper runs.
fn settled(sessions: &Sessions<'_>, session: &Session) -> Result<Option<Why>> {
    let why = why_over(sessions, session)?;
    if why != Some(Why::Lost) {
        return Ok(why);
    }
    let _locked = sessions.store().lock(&session.meta.key)?;
    why_over(sessions, session)
}

/// As [`settled`], for a caller that holds the lock.
fn why_over(sessions: &Sessions<'_>, session: &Session) -> Result<Option<Why>> {
    let Some(approved) = &session.meta.approved else { return Ok(None) };
    if let Some(why) = over::buried(session) {
        return Ok(Some(why));
    }
    // After a long time, another session may be in its place.
    if !is_there(sessions, session)? {
        return Ok(Some(Why::Ended));
    }
    if is_late(session) {
        return Ok(Some(Why::Time));
    }
    #[cfg(unix)]
    if !super::keeper::is_there(&session.folder) {
        return Ok(Some(Why::Lost));
    }
    if is_idle(sessions, session, approved) {
        return Ok(Some(Why::Idle));
    }
    let is_so = match policy::terms(sessions.origins(), &session.meta.key) {
        Ok(terms) => {
            terms.is_some_and(|terms| terms.definition == approved.definition && terms.refuse().is_ok())
        }
        Err(error) if error.code() == Code::NotFound => false,
        Err(error) => return Err(error),
    };
    Ok((!is_so).then_some(Why::Changed))
}

/// Whether this very session exists, and not another one in its place.
pub(super) fn is_there(sessions: &Sessions<'_>, session: &Session) -> Result<bool> {
    let current = sessions.store().read(&session.meta.key)?;
    Ok(current.is_some_and(|current| current.meta.approved == session.meta.approved))
}

/// Whether its time is up. A clock that was set back to before its beginning can no longer tell.
pub(super) fn is_late(session: &Session) -> bool {
    let now = clock::now();
    session.meta.lifetime.is_over(now) || session.meta.granted_at.is_none_or(|begin| now < begin)
}

/// Whether nothing has run for too long. The keeper, which sees to that earlier, may be stopped; on Windows there is none, nor anything
/// that says how long a command runs.
fn is_idle(sessions: &Sessions<'_>, session: &Session, approved: &Approved) -> bool {
    let used = std::fs::metadata(session.folder.join(USED)).and_then(|file| file.modified());
    let idle = used.ok().and_then(|time| time.elapsed().ok());
    if idle.is_none_or(|idle| idle.as_secs() <= approved.idle_seconds.into()) {
        return false;
    }
    #[cfg(unix)]
    return !sessions.transport(session).is_used();
    #[cfg(windows)]
    {
        let _ = sessions;
        true
    }
}
