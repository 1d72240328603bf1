//! Port forwards that were asked for: kept beside the session, so that they come back when the connection does.
//!
//! They live in the master. The protocol has no way to ask for them, so the list remembers which master has them: when
//! another one answers, they are made anew.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::session::{Session, Sessions};
use crate::sys::atomic_file;

#[cfg(unix)]
use crate::{
    error::{Code, Error},
    output::progress::note,
    session::audit::Action,
    transport::{Forward, Open, Side, Transport, Unforwarded},
};

#[cfg(unix)]
const FILE: &str = crate::transport::forward::KEPT;
#[cfg(windows)]
const FILE: &str = "forwards.json";
const MAX_FILE: usize = 64 * 1024;

/// A forward that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whether the workspace listens, and not this machine.
    pub reverse: bool,
    /// The port that is listened on.
    pub port: u16,
    /// Where connections go, as the other side sees it.
    pub to_host: String,
    /// The port there.
    pub to_port: u16,
    /// The process id of the master that has it.
    pub master: u32,
    /// The one address of this machine that it listens on, where it is not both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<IpAddr>,
}

impl Kept {
    /// What to open in a browser. `localhost` may lead to an address that another user of this machine listens on.
    pub fn url(&self) -> String {
        match self.only {
            Some(IpAddr::V6(address)) => format!("http://[{address}]:{}", self.port),
            Some(address) => format!("http://{address}:{}", self.port),
            None => format!("http://localhost:{}", self.port),
        }
    }

    #[cfg(unix)]
    fn record(&mut self, open: &Open) {
        (self.port, self.master) = (open.port, open.master);
        self.only = open.only.and_then(|address| address.parse().ok());
    }
}

fn read(folder: &Path) -> Result<Vec<Kept>> {
    let bytes = atomic_file::read(&folder.join(FILE), MAX_FILE)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

#[cfg(unix)]
fn save(folder: &Path, kept: &[Kept]) -> Result<()> {
    let path = folder.join(FILE);
    if kept.is_empty() {
        return atomic_file::remove(&path).map(|_| ());
    }
    let bytes = serde_json::to_vec(kept).map_err(|error| Error::from(std::io::Error::other(error)))?;
    atomic_file::write_unsynced(&path, &bytes, 0o600)
}

/// Whether any forward was asked for.
#[cfg(unix)]
pub(super) fn are_kept(folder: &Path) -> bool {
    folder.join(FILE).exists() // without any there is no file
}

/// Forgets all forwards that were asked for.
#[cfg(unix)]
pub(super) fn forget(folder: &Path) -> Result<()> {
    save(folder, &[])
}

/// The forwards of the session, and for each whether it stands now: a connection that is gone is made anew for them.
#[cfg(unix)]
pub fn bring_back(sessions: &Sessions<'_>, session: &Session) -> Result<Vec<(Kept, bool)>> {
    let kept = list(sessions, session)?;
    if kept.iter().all(|(_, is_active)| *is_active) {
        return Ok(kept);
    }
    match sessions.revive(session) {
        Ok(session) => list(sessions, &session),
        Err(error) => {
            note(format!("note: the connection is gone, and no other could be made: {}", error.message()));
            Ok(kept)
        }
    }
}

/// The forwards of the session, and for each whether the connection that is up has it.
pub fn list(sessions: &Sessions<'_>, session: &Session) -> Result<Vec<(Kept, bool)>> {
    let kept = read(&session.folder)?;
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let master = sessions.transport(session).master_pid();
    Ok(kept.into_iter().map(|kept| (kept.clone(), Some(kept.master) == master)).collect())
}

#[cfg(unix)]
impl Kept {
    fn listens_like(&self, other: &Kept) -> bool {
        (self.reverse, self.port) == (other.reverse, other.port)
    }

    /// As ssh's options say it.
    fn words(&self) -> [String; 2] {
        let side = if self.reverse { "-R" } else { "-L" };
        [side.to_owned(), format!("{}:{}:{}", self.port, self.to_host, self.to_port)]
    }

    fn forward(&self) -> Forward {
        Forward {
            listen: if self.reverse { Side::Workspace } else { Side::Here },
            listen_port: self.port,
            connect_host: self.to_host.clone(),
            connect_port: self.to_port,
        }
    }
}

/// Makes the forwards that a connection of before had, on the one that is up now. What cannot be had is noted, and stays
/// on the list. The caller holds the session's lock.
#[cfg(unix)]
pub(super) fn restore(transport: &Transport, folder: &Path) {
    let Ok(mut all) = read(folder) else { return };
    if all.is_empty() {
        return;
    }
    let Some(master) = transport.master_pid().filter(|pid| all.iter().any(|kept| kept.master != *pid)) else {
        return;
    };
    for kept in &mut all {
        if kept.master == master {
            continue;
        }
        match transport.add_forward(&kept.forward()) {
            Ok(open) => kept.record(&open),
            Err(failure) => {
                let error = Error::from(failure);
                note(format!("note: port {} is no longer forwarded: {}", kept.port, error.message()))
            }
        }
    }
    if let Err(error) = save(folder, &all) {
        note(format!("note: {}", error.message()));
    }
}

/// Ends what listens for the connection's forwards, which stay on the list: one that is retired may last for long, and the
/// next one needs the ports. What is connected through them stays so. The caller holds the session's lock.
#[cfg(unix)]
pub(super) fn release(transport: &Transport, folder: &Path) {
    let Ok(mut all) = read(folder) else { return };
    let Some(master) = transport.master_pid().filter(|pid| all.iter().any(|kept| kept.master == *pid)) else {
        return;
    };
    for kept in all.iter_mut().filter(|kept| kept.master == master) {
        if transport.cancel_forward(&kept.forward()).is_ok() {
            kept.master = 0;
        }
    }
    let _ = save(folder, &all); // what it says of an old master counts for nothing
}

/// Makes `wanted` and remembers it. Port 0 is any free one. What is there already is fine.
#[cfg(unix)]
pub fn add(sessions: &Sessions<'_>, session: &Session, wanted: Kept) -> Result<Kept> {
    sessions.refuse_forward(&session.meta.key)?;
    let words = wanted.words();
    sessions.audited(&session.meta.key, || Action::of("forward", words), || open(sessions, session, wanted))
}

#[cfg(unix)]
fn open(sessions: &Sessions<'_>, session: &Session, wanted: Kept) -> Result<Kept> {
    let session = sessions.revive(session)?;
    let _locked = sessions.store().lock(&session.meta.key)?;
    let transport = sessions.transport(&session);
    // A person has said how long a connection stays that only this person can bring up.
    if !session.meta.is_bounded()
        && let Err(error) = let_last(&transport, &session.folder)
    {
        note(format!(
            "note: this forward may end after five minutes without use, because no other connection could be made: {}",
            error.message()
        ));
    }
    let added = add_now(sessions, &session, &transport, wanted);
    if added.is_err() && !session.meta.is_bounded() && !are_kept(&session.folder) {
        let _ = transport.retire_master(); // nothing is forwarded that it would stay for
    }
    added
}

/// As [`open`], on the connection that is up. The caller holds the session's lock.
#[cfg(unix)]
fn add_now(
    sessions: &Sessions<'_>,
    session: &Session,
    transport: &Transport,
    mut wanted: Kept,
) -> Result<Kept> {
    const TRIES: u32 = 5; // a port that is free may be taken before the master gets to it
    let is_any = wanted.port == 0 && !wanted.reverse;
    let mut tries = 0;
    loop {
        if is_any {
            wanted.port = free_port()?;
        }
        tries += 1;
        match transport.add_forward(&wanted.forward()) {
            Ok(open) => wanted.record(&open),
            Err(Unforwarded::NoListener(_)) if is_any && tries < TRIES => continue,
            Err(Unforwarded::NoListener(error)) if !wanted.reverse => {
                return Err(holder(sessions, session, wanted.port)?.unwrap_or(error));
            }
            Err(failure) => return Err(failure.into()),
        }
        break;
    }
    let mut all = read(&session.folder)?;
    all.retain(|kept| !kept.listens_like(&wanted));
    all.push(wanted.clone());
    save(&session.folder, &all)?;
    Ok(wanted)
}

/// Has the connection stay as long as its forwards do, which ones that are there survive.
#[cfg(unix)]
fn let_last(transport: &Transport, folder: &Path) -> Result<()> {
    if transport.lasts() {
        return Ok(());
    }
    let replaced = transport.let_last(|| release(transport, folder));
    restore(transport, folder);
    replaced
}

/// The error for a port of this machine that a forward of ours has already, of this session or of another one.
#[cfg(unix)]
fn holder(sessions: &Sessions<'_>, session: &Session, port: u16) -> Result<Option<Error>> {
    for other in sessions.store().sessions()? {
        let kept = list(sessions, &other)?
            .into_iter()
            .find(|(kept, is_active)| *is_active && !kept.reverse && kept.port == port);
        let Some((kept, _)) = kept else { continue };
        let leads = format!("{}:{} of {}", kept.to_host, kept.to_port, other.shown());
        let error = Error::new(Code::Conflict, format!("port {port} already leads to {leads}"));
        let end = format!("runcode forward {port}:{} --cancel", kept.to_port);
        let error = error.hint(if other.meta.key == session.meta.key {
            format!("choose another one with --local, or end that: {end}")
        } else {
            format!("choose another one with --local, or end that: {end} -w {}", other.meta.key.words())
        });
        return Ok(Some(error.for_tools("choose another one as `local`: 0 takes any that is free")));
    }
    Ok(None)
}

/// Ends those that `chosen` picks, and forgets them; what was ended.
#[cfg(unix)]
pub fn cancel(
    sessions: &Sessions<'_>,
    session: &Session,
    chosen: impl Fn(&Kept) -> bool,
) -> Result<Vec<Kept>> {
    let _locked = sessions.store().lock(&session.meta.key)?;
    let transport = sessions.transport(session);
    let (ended, left) = read(&session.folder)?.into_iter().partition::<Vec<_>, _>(chosen);
    if ended.is_empty() {
        return Ok(ended);
    }
    let action = Action::of("forward_cancel", ended.iter().flat_map(Kept::words));
    sessions.recorded(&session.meta.key, action, || {
        if let Some(master) = transport.master_pid() {
            for kept in ended.iter().filter(|kept| kept.master == master) {
                transport.cancel_forward(&kept.forward())?;
            }
        }
        save(&session.folder, &left)?;
        if left.is_empty() && !session.meta.is_bounded() {
            transport.retire_master()?; // it would stay without use
        }
        Ok(())
    })?;
    Ok(ended)
}

/// A port that is free on both loopback addresses.
#[cfg(unix)]
fn free_port() -> Result<u16> {
    let failed = |error| Error::io("find a free port", error);
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.port())
}
