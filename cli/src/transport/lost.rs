//! Commands that outlived their client. A client that was killed could not end its command, so the next one does.
//!
//! Each client whose command takes a moment holds a locked file for it in the session's folder, named by the command's token, the
//! client's process id and its machine. The kernel frees the lock when the client is gone, however that came about. Where several
//! machines share a folder, a lock of one may be free on another, so each looks after its own clients alone.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::sys::{atomic_file, digest, platform};
use crate::transport::Transport;
use crate::transport::remote_end::{self, Fate};

/// The folder of these files.
const FOLDER: &str = "commands";

/// What the name of a file begins with that has no lock yet.
const NEW: &str = "new-";

/// How many lost commands one client ends.
const MOST: usize = 32;

/// How long a client waits for the end of commands that others lost. What takes longer is left to the next one.
const PATIENCE: Duration = Duration::from_secs(3);

/// For how long a command that was requested may not have started yet.
const YOUNG: Duration = Duration::from_secs(20);

/// That a command has a client. Dropping it says that nobody has to end the command any more.
#[derive(Debug)]
pub(super) struct Claim {
    path: Option<PathBuf>,
    _file: File,
}

impl Claim {
    /// Claims the command that bears `token`; `None` where this machine keeps no such file, which is no reason not to run it.
    pub(super) fn of(session: &Path, token: &str) -> Option<Claim> {
        let folder = session.join(FOLDER);
        let name = format!("{token}.{}.{}", std::process::id(), machine());
        let (path, new) = (folder.join(name), folder.join(format!("{NEW}{token}")));
        let file = platform::open_private(&new)
            .or_else(|_| platform::create_private_dir(&folder).and_then(|()| platform::open_private(&new)))
            .ok()?;
        // Nobody may see it under its name before it is locked.
        if file.try_lock().is_err() || std::fs::rename(&new, &path).is_err() {
            let _ = atomic_file::remove(&new);
            return None;
        }
        Some(Claim { path: Some(path), _file: file })
    }

    /// Leaves the command to the next client.
    pub(super) fn leave(mut self) {
        self.path = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(path) = &self.path else { return };
        let _ = atomic_file::remove(path);
        let _ = path.parent().map(std::fs::remove_dir); // the last one takes the folder along
    }
}

/// The claim of a command while somebody waits for it. Clones share it: whoever learns that the command has done its work releases
/// it, even if this process ends before the command's shell does.
#[derive(Debug, Clone, Default)]
pub struct Hold(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
enum Held {
    #[default]
    Unclaimed,
    Claimed(Option<Claim>),
    Unneeded,
}

impl Hold {
    fn put(&self, held: Held) -> Held {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), held)
    }

    /// Whether the command has yet to be claimed.
    pub(super) fn is_open(&self) -> bool {
        matches!(*self.0.lock().unwrap_or_else(PoisonError::into_inner), Held::Unclaimed)
    }

    /// Claims the command, unless that was already done or is no longer needed.
    pub(super) fn claim(&self, session: &Path, token: &str) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*held, Held::Unclaimed) {
            *held = Held::Claimed(Claim::of(session, token));
        }
    }

    /// Leaves the command to the next client.
    pub(super) fn leave(&self) {
        if let Held::Claimed(Some(claim)) = self.put(Held::Unneeded) {
            claim.leave();
        }
    }

    /// Nobody needs to end the command any more.
    pub fn release(&self) {
        drop(self.put(Held::Unneeded));
    }
}

/// The end of lost commands, which goes on beside whatever this client does. Dropping it waits, as long as an end takes: what
/// is left is for the next client.
pub(super) struct Ending(Receiver<()>);

impl Ending {
    /// Ends the commands that other clients of this session lost; `None` if there are none.
    pub(super) fn begin(transport: &Transport) -> Option<Ending> {
        let folder = transport.route.folder.join(FOLDER);
        if !folder.exists() {
            return None; // this costs less than opening it
        }
        let lost = lost(&folder);
        if lost.is_empty() {
            return None;
        }
        let (transport, (sender, done)) = (transport.clone(), mpsc::channel());
        let ending = move || {
            for Lost { token, claim, is_young } in lost {
                match remote_end::end_lost(&transport, &token, is_young) {
                    // What outlives SIGKILL ends by itself or never: nobody waits for it again.
                    Fate::Ended | Fate::NotFound | Fate::Left => drop(claim),
                    Fate::Sent | Fate::Unknown => claim.leave(),
                }
            }
            sender.send(())
        };
        std::thread::Builder::new().spawn(ending).ok()?;
        Some(Ending(done))
    }

    /// Leaves what is not ended yet to the next client.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.recv_timeout(PATIENCE);
    }
}

/// A command without a client.
struct Lost {
    token: String,
    claim: Claim,
    is_young: bool,
}

/// This machine, in the names of claims.
fn machine() -> String {
    format!("{:.8}", digest::sha256(&platform::machine_name()))
}

/// Whether any command is claimed, by any machine: its client waits for it, or was killed.
#[cfg(unix)]
pub(super) fn has_any(session: &Path) -> bool {
    let mut entries = std::fs::read_dir(session.join(FOLDER)).into_iter().flatten().flatten();
    entries.any(|entry| !entry.file_name().as_encoded_bytes().starts_with(NEW.as_bytes()))
}

/// Whether the command with this token is claimed.
#[cfg(unix)]
pub(super) fn is_claimed(session: &Path, token: &str) -> bool {
    claims(session).any(|(_, its)| its == token)
}

/// Whether a client on this machine has a command.
#[cfg(unix)]
pub(super) fn is_used(session: &Path) -> bool {
    claims(session).any(|(path, _)| {
        let file = File::options().read(true).write(true).open(path);
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    })
}

/// Ends every command of this machine's clients, dead or alive, for as long as `patience` lasts.
#[cfg(unix)]
pub(super) fn end_all(transport: &Transport, patience: Duration) {
    let (sender, done) = mpsc::channel();
    let tokens = claims(&transport.route.folder).map(|(_, token)| token).collect::<Vec<_>>();
    for token in tokens {
        let (transport, sender) = (transport.clone(), sender.clone());
        std::thread::spawn(move || sender.send(remote_end::end_lost(&transport, &token, false)));
    }
    drop(sender);
    let deadline = crate::sys::clock::Deadline::after(patience);
    while done.recv_timeout(deadline.remaining()).is_ok() {}
}

/// The claims of this machine's clients, and the tokens in them.
#[cfg(unix)]
fn claims(session: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let (entries, machine) = (std::fs::read_dir(session.join(FOLDER)), machine());
    entries.into_iter().flatten().flatten().filter_map(move |entry| {
        let name = entry.file_name().into_string().ok()?;
        let (token, rest) = name.split_once('.')?;
        let is_here = rest.rsplit_once('.').is_some_and(|(_, its)| its == machine);
        (is_here && remote_end::is_token(token)).then(|| (entry.path(), token.to_owned()))
    })
}

/// The lost commands of a session. This process claims them, so that no other one ends them meanwhile.
fn lost(folder: &Path) -> Vec<Lost> {
    let (entries, machine) = (std::fs::read_dir(folder).into_iter().flatten().flatten(), machine());
    entries.filter_map(|entry| Lost::of(&entry.path(), &machine)).take(MOST).collect()
}

/// How old a file is; a time in the future counts as now.
fn age(file: &File) -> Option<Duration> {
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
    Some(SystemTime::now().duration_since(modified).unwrap_or_default())
}

impl Lost {
    fn of(path: &Path, machine: &str) -> Option<Lost> {
        let name = path.file_name()?.to_str()?;
        if name.starts_with(NEW) {
            if age(&File::open(path).ok()?)? > YOUNG {
                let _ = atomic_file::remove(path); // its client was killed before it had its name
            }
            return None;
        }
        let mut parts = name.split('.');
        let (token, pid) = (parts.next()?, parts.next()?);
        let is_here = parts.next() == Some(machine) && parts.next().is_none();
        if !is_here || !remote_end::is_token(token) || pid.parse() == Ok(std::process::id()) {
            return None;
        }
        let token = token.to_owned();
        let file = File::options().read(true).write(true).open(path).ok()?;
        let age = age(&file)?;
        match file.try_lock() {
            Ok(()) if platform::is_same_file(&file, path).ok()? => {}
            Ok(()) | Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
        Some(Lost { token, claim: Claim { path: Some(path.to_owned()), _file: file }, is_young: age < YOUNG })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_command_is_lost_once_its_client_is_gone() {
        let session = tempfile::tempdir().unwrap();
        let folder = session.path().join(FOLDER);
        let tokens = || lost(&folder).into_iter().map(|lost| lost.token.clone()).collect::<Vec<_>>();
        let token = crate::transport::RemoteCommand::script("exit", &[]).unwrap().token().to_owned();
        let claim = Claim::of(session.path(), &token).unwrap();
        let machine = machine();
        let other = folder.join(format!("{token}.1.{machine}"));
        std::fs::rename(claim.path.as_ref().unwrap(), &other).unwrap(); // as another process names its own
        let own = format!("{token}.{}.{machine}", std::process::id());
        let elsewhere = format!("{token}.1.{}", "0".repeat(8));
        for name in [&format!("runcode-0.1.{machine}"), "new-runcode-0", "new-runcode-1", &own, &elsewhere] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let long_ago = SystemTime::now() - 2 * YOUNG;
        let leftover = folder.join("new-runcode-1");
        File::options().write(true).open(&leftover).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(tokens(), [""; 0], "its client lives");
        claim.leave();
        let first = lost(&folder);
        assert_eq!((first.len(), &first[0].token, first[0].is_young), (1, &token, true));
        assert_eq!(tokens(), [""; 0], "somebody is at it");
        drop(first);
        assert_eq!((tokens(), other.exists()), (vec![], false), "it is done");
        assert!(folder.join(elsewhere).exists(), "another machine looks after its own clients");
        assert!(!leftover.exists() && folder.join("new-runcode-0").exists());
    }
}
