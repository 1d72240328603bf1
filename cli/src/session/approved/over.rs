//! The end of an approved session, and how long it is remembered.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use runcode_audit::{Entry, Outcome, Phase};
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::origin::SessionKey;
use crate::session::{Session, Sessions, approved, audit};
use crate::sys::{atomic_file, clock};

/// How long we report that a session is over.
const TOLD: SignedDuration = SignedDuration::from_hours(24);

/// How long the commands of a session have to end.
#[cfg(unix)]
const LAST: std::time::Duration = std::time::Duration::from_secs(4);

/// The end of the name of the file that says so, after the session's folder.
const SUFFIX: &str = ".ended";

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::session) enum Why {
    /// Its time is up.
    Time,
    /// Nothing ran for too long.
    Idle,
    /// Somebody ended it.
    Ended,
    /// servers.toml, or the ssh config, now says something else about its server.
    Changed,
    /// Its keeper is gone.
    Lost,
}

impl Why {
    /// The rest of a sentence about the session.
    fn meaning(self) -> &'static str {
        match self {
            Why::Time => "its time is up",
            Why::Idle => "no command ran in it for too long",
            Why::Ended => "it was ended",
            Why::Changed => "the definition of its server has changed",
            Why::Lost => "the process that would have ended it in time is gone",
        }
    }
}

/// What is remembered about a session that is over.
#[derive(Serialize, Deserialize)]
struct Ended {
    session_id: String,
    why: Why,
    at: Timestamp,
}

fn place(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(SUFFIX);
    PathBuf::from(path)
}

fn read(folder: &Path) -> Option<Ended> {
    let bytes = atomic_file::read(&place(folder), 4096).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// Why this very session is over, if that was recorded.
pub(super) fn buried(session: &Session) -> Option<Why> {
    let approved = session.meta.approved.as_ref()?;
    read(&session.folder).filter(|ended| ended.session_id == approved.session_id).map(|ended| ended.why)
}

/// Records that the session is over: from now on nothing starts in it. The first reason stands.
pub(in crate::session) fn bury(session: &Session, why: Why) -> Result<()> {
    let Some(approved) = session.meta.approved.as_ref().filter(|_| buried(session).is_none()) else {
        return Ok(());
    };
    let ended = Ended { session_id: approved.session_id.clone(), why, at: clock::now() };
    let bytes = serde_json::to_vec(&ended).map_err(|error| Error::from(std::io::Error::other(error)))?;
    atomic_file::write(&place(&session.folder), &bytes, 0o600)
}

/// That the last session of this server is over, if it ended within a day.
pub(super) fn lately(sessions: &Sessions<'_>, key: &SessionKey) -> Option<Error> {
    let folder = sessions.store().folder(key);
    let ended = read(&folder)?;
    if clock::now().duration_since(ended.at) > TOLD {
        let _ = atomic_file::remove(&place(&folder));
        return None;
    }
    Some(told(&key.words(), ended.why))
}

/// Forgets an end, before the next session.
pub(super) fn forget(folder: &Path) -> Result<()> {
    atomic_file::remove(&place(folder)).map(|_| ())
}

/// Forgets the ends of all sessions.
pub fn forget_all(cache: &Path) {
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let is_end =
            entry.file_name().to_str().is_some_and(|name| name.starts_with("srv-") && name.ends_with(SUFFIX));
        if is_end {
            let _ = atomic_file::remove(&entry.path());
        }
    }
}

/// The error for whoever tries to use it.
pub(super) fn error(session: &Session, why: Why) -> Error {
    told(&session.meta.key.words(), buried(session).unwrap_or(why))
}

fn told(words: &str, why: Why) -> Error {
    let what = format!("the approved session on `{words}` is over: {}", why.meaning());
    let hint =
        format!("`runcode connect {words} --request` asks for another one; it needs an approval of its own");
    Error::new(Code::SessionExpired, what).hint(hint)
}

/// Ends the session, with everything that runs in it. Starts doing so before it waits for anybody's lock.
pub(in crate::session) fn end(sessions: &Sessions<'_>, session: &Session, why: Why) -> Result<()> {
    // What runs in another session is not ours to end.
    if !approved::is_there(sessions, session)? {
        return Ok(());
    }
    // Even if the disk is full.
    let buried = bury(session, why);
    cut(sessions, session)?;
    let locked = sessions.store().lock(&session.meta.key)?;
    let current = locked.read()?.filter(|current| current.meta.approved == session.meta.approved);
    if let Some(current) = current {
        close(sessions, &current)?;
        locked.remove()?;
    }
    buried
}

/// Ends what runs in the session, and its connection.
fn cut(sessions: &Sessions<'_>, session: &Session) -> Result<()> {
    let transport = sessions.transport(session);
    #[cfg(unix)]
    if transport.is_warm() {
        transport.end_commands(LAST);
    }
    transport.end_master().map_err(Error::from)
}

/// Ends the keeper and what runs, and records the end. The caller holds the lock, and removes the files.
pub(in crate::session) fn close(sessions: &Sessions<'_>, session: &Session) -> Result<()> {
    let Some(approved) = &session.meta.approved else { return Ok(()) };
    let _ = bury(session, Why::Ended); // its files are removed anyway, and nothing starts without them
    let why = buried(session).unwrap_or(Why::Ended);
    #[cfg(unix)]
    crate::session::keeper::end(&session.folder);
    cut(sessions, session)?;
    let (action, outcome) = match why {
        Why::Ended => ("session_close", Outcome::Succeeded),
        Why::Time | Why::Idle | Why::Changed | Why::Lost => ("session_expire", Outcome::Expired),
    };
    let entry = Entry {
        session_id: Some(approved.session_id.clone()),
        message: (why != Why::Ended).then(|| why.meaning().to_owned()),
        ..Entry::new(Phase::Event, action, outcome)
    };
    audit::ended(sessions, &session.meta.key, entry);
    Ok(())
}
