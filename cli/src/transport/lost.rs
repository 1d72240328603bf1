//! Commands that outlived their client. A client that was killed could not end its command, so the next one does.
//!
//! Each client whose command takes a moment holds a locked file for it in the session's folder, named by the command's token and
//! the client's process id. The kernel frees the lock when the client is gone, however that came about.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime};

use crate::sys::{atomic_file, platform};
use crate::transport::Transport;
use crate::transport::remote_end::{self, Fate};

/// The folder of these files.
const FOLDER: &str = "commands";

/// How many lost commands one client ends.
const MOST: usize = 32;

/// How long a client waits for the end of commands that others lost: a busy workspace takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

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
        let (path, new) =
            (folder.join(format!("{token}.{}", std::process::id())), folder.join(format!("new-{token}")));
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
    fn leave(mut self) {
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
                    Fate::Ended | Fate::NotFound => drop(claim),
                    Fate::Unknown => claim.leave(),
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

/// The lost commands of a session. This process claims them, so that no other one ends them meanwhile.
fn lost(folder: &Path) -> Vec<Lost> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Lost::of(&entry.path())).take(MOST).collect()
}

impl Lost {
    fn of(path: &Path) -> Option<Lost> {
        let (token, pid) = path.file_name()?.to_str()?.split_once('.')?;
        if !remote_end::is_token(token) || pid.parse() == Ok(std::process::id()) {
            return None;
        }
        let token = token.to_owned();
        let file = File::options().read(true).write(true).open(path).ok()?;
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
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
        let other = folder.join(format!("{token}.1"));
        std::fs::rename(claim.path.as_ref().unwrap(), &other).unwrap(); // as another process names its own
        for name in ["runcode-0.1", "new-runcode-0", &format!("{token}.{}", std::process::id())] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(tokens(), [""; 0], "its client lives");
        claim.leave();
        let first = lost(&folder);
        assert_eq!((first.len(), &first[0].token, first[0].is_young), (1, &token, true));
        assert_eq!(tokens(), [""; 0], "somebody is at it");
        drop(first);
        assert_eq!((tokens(), other.exists()), (vec![], false), "it is done");
    }
}
