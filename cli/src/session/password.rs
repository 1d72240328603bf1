//! Logs in with a password from the system's keychain: once, by an ssh that asks only us.

use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::error::{Code, Error, Result};
use crate::openssh::askpass::Askpass;
use crate::origin::servers::Server;
use crate::session::execution::pass_through;
use crate::session::policy::Permit;
use crate::session::profile::{TIME_IS_UP, feed};
use crate::session::{Sessions, approval, mint, once};
use crate::sys::lock::Lock;
use crate::sys::{atomic_file, socket_place};
use crate::transport::{Cause, RemoteCommand, Running, Streams, Transport};

/// How long a server that has refused a password is left alone: another try could lock the account.
const REST: Duration = Duration::from_secs(60);

/// How long to wait for others that log in to the same server.
const PATIENCE: Duration = Duration::from_secs(90);

/// The start of these files' names; the server's name follows.
const REFUSED: &str = "password-refused-";
const LOCK: &str = "password-lock-";

/// Runs what was permitted over a connection of its own, which ends with it.
pub(super) fn run(sessions: &Sessions<'_>, permit: &Permit) -> Result<u8> {
    let sockets = socket_folder(sessions)?;
    let control_path = sockets.path().join("m");
    let opened = once::Opened::by_password(sessions, permit, control_path)?;
    let transport = opened.transport();
    log_in(sessions, &permit.terms.server, transport)?;
    let ended = over(transport, permit);
    let closed = transport.end_master();
    let status = ended?;
    closed.map_err(Error::from).map(|()| status)
}

fn over(transport: &Transport, permit: &Permit) -> Result<u8> {
    let call = &permit.call;
    let command = RemoteCommand::supervised(call.rendered(), call.reads_stdin())?;
    let mut streams = Streams::inherit();
    let lifeline: Option<PipeWriter> = feed(permit, &mut streams)?;
    let start = |streams: &Streams| -> Result<Running> {
        transport.start(&command, streams).map_err(|failure| failure.into_error())
    };
    let ended = pass_through(streams, permit.timeout, TIME_IS_UP, start, || transport.is_warm(), true);
    drop(lifeline);
    ended
}

/// Has a master of `transport` log in to the server with its password.
///
/// # Errors
///
/// `unavailable` if the keychain does not give the password, and `transport` if the server has just refused it.
pub(super) fn log_in(sessions: &Sessions<'_>, server: &Server, transport: &Transport) -> Result<()> {
    let Some(password) = &server.policy.password else {
        return Err(Error::new(Code::BadConfig, format!("`{}` names no password", server.name)));
    };
    let kept = folder()?;
    atomic_file::private_dir(&kept)?;
    let refused = kept.join(format!("{REFUSED}{}", server.name));
    // One try at a time: the others learn from it.
    let one = Lock::acquire(&kept.join(format!("{LOCK}{}", server.name)), PATIENCE)?;
    if let Some(left) = left(&refused) {
        let what = format!(
            "`{}` has just refused the password; runcode does not try again for {} s",
            server.name,
            left.as_secs() + 1
        );
        return Err(Error::new(Code::Transport, what).hint(
            "for the user: put the right password into the keychain; each wrong one may lock the account",
        ));
    }
    let entry = password.entry(sessions.env())?;
    let secret = entry.read().map_err(|missing| {
        Error::new(Code::Unavailable, format!("{} {missing}", entry.shown())).hint(format!(
            "for the user: store the password of `{}` there, or unlock the keychain",
            server.name
        ))
    })?;
    if secret.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r')) {
        return Err(Error::new(Code::Unavailable, format!("{} is not one line", entry.shown())));
    }
    let folder = socket_folder(sessions)?;
    let askpass = Askpass::at(folder.path().join("ask"), secret)?;
    let started = transport.clone().with_password(askpass).start_master();
    if started.as_ref().is_err_and(|failure| failure.cause == Cause::AuthRejected) {
        atomic_file::write(&refused, b"", 0o600)?;
    }
    one.remove()?;
    Ok(started?)
}

/// How much longer a server is left alone.
fn left(refused: &Path) -> Option<Duration> {
    let at = std::fs::metadata(refused).and_then(|found| found.modified()).ok()?;
    // A time in the future is from another clock.
    let ago = SystemTime::now().duration_since(at).unwrap_or_default();
    REST.checked_sub(ago).filter(|left| !left.is_zero())
}

/// Where that is recorded.
fn folder() -> Result<PathBuf> {
    Ok(approval::steady_paths("that a server refuses a password")?.passwords())
}

/// Removes the files of servers that may be tried again.
pub fn sweep() {
    if let Ok(folder) = folder() {
        sweep_in(&folder);
    }
}

fn sweep_in(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_ours =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(REFUSED));
        if is_ours && left(&path).is_none() {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A fresh folder that only this user can enter, with a path that is short enough for a socket in it.
fn socket_folder(sessions: &Sessions<'_>) -> Result<TempDir> {
    // ssh appends 17 characters while it binds, and `sun_path` holds 104.
    const LONGEST: usize = 60;
    let cache = sessions.store().cache().to_owned();
    let takes = |folder: &PathBuf| {
        folder.as_os_str().len() <= LONGEST
            && atomic_file::private_dir(folder).is_ok()
            && socket_place::try_out(folder).is_ok()
    };
    let found = std::iter::once(cache).chain(mint::short_folders(sessions.env())).find(takes);
    let found = found.ok_or_else(|| {
        Error::new(Code::Unavailable, "no folder here can hold a socket, which a login with a password needs")
            .hint("set XDG_RUNTIME_DIR to a folder of yours with a short path")
    })?;
    atomic_file::temporary_dir_in(&found, "password-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_server_rests_for_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password-refused-a");
        assert_eq!(left(&file), None);
        std::fs::write(&file, b"").unwrap();
        assert!(left(&file).unwrap() > Duration::from_secs(50));
        sweep_in(folder.path());
        assert!(file.exists(), "clean does not end the rest");
        let past = SystemTime::now() - Duration::from_secs(61);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
        assert_eq!(left(&file), None);
        sweep_in(folder.path());
        assert!(!file.exists());
    }
}
