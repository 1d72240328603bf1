//! Answers ssh's question for a password, once, without the password in an argument, a variable or a file.
//!
//! ssh asks a program (ssh(1), `SSH_ASKPASS`), which is this very program. A variable leads it to a socket in a folder that only
//! the user can enter. The listener there gives the password to the first `ssh` of its own that asks for one.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::sys::env::{Env, Var};

/// The end of ssh's question for a user's password, after the user and the host (`userauth_passwd` in sshconnect2.c).
const QUESTION: &str = "'s password: ";

/// The longest question, and the longest answer, in bytes.
const MAX: usize = 2048;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// A password that waits to be asked for. When this is dropped, nobody gets it any more.
#[derive(Debug)]
pub struct Askpass {
    socket: PathBuf,
    /// The process id of the ssh that may ask; 0 until it has started.
    asker: Arc<AtomicU32>,
}

impl Askpass {
    /// Waits at `socket`, which does not exist yet, in a folder that only this user can enter.
    pub fn at(socket: PathBuf, password: Zeroizing<Vec<u8>>) -> Result<Askpass> {
        let io = |error| Error::io("wait for ssh to ask for the password", error);
        let listener = UnixListener::bind(&socket).map_err(io)?;
        let asker = Arc::new(AtomicU32::new(0));
        let may_ask = Arc::clone(&asker);
        let waiting = move || {
            // The first to come uses up the only chance; ssh asks once.
            if let Ok((stream, _)) = listener.accept() {
                let _ = answer(&stream, &password, may_ask.load(Ordering::Acquire));
            }
        };
        std::thread::Builder::new().spawn(waiting).map_err(io)?;
        Ok(Askpass { socket, asker })
    }

    /// Makes this `ssh`, which has not started yet, ask here.
    pub fn prepare(&self, ssh: &mut Command) -> Result<()> {
        let own = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
        ssh.env("SSH_ASKPASS", own)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env(Var::RuncodeAskpass.name(), &self.socket);
        Ok(())
    }

    /// Allows the `ssh` with this process id to ask.
    pub fn expect(&self, ssh: u32) {
        self.asker.store(ssh, Ordering::Release);
    }
}

impl Drop for Askpass {
    fn drop(&mut self) {
        self.asker.store(0, Ordering::Release);
        let _ = UnixStream::connect(&self.socket); // ends the wait
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Gives the password if an ssh of ours asks for one.
fn answer(mut stream: &UnixStream, password: &[u8], asker: u32) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut question = Vec::new();
    stream.take(MAX as u64).read_to_end(&mut question)?;
    if asker != 0 && is_from(stream, asker) && question.ends_with(QUESTION.as_bytes()) {
        stream.write_all(password)?;
    }
    Ok(())
}

/// Whether this process started whoever connected. Except on Linux, only the folder shows whose it is.
fn is_from(stream: &UnixStream, parent: u32) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| {
        crate::sys::parent::of(peer.pid.as_raw_nonzero().get().unsigned_abs()) == Some(parent)
    });
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (stream, parent);
        true
    }
}

/// Answers if it is ssh that asks: with one argument, the question, and the variable that says where the password is.
pub fn answered(env: &Env, args: &[OsString]) -> Option<ExitCode> {
    let [_, question] = args else { return None };
    let is_question = question.as_encoded_bytes().contains(&b' ');
    let socket = env.var(Var::RuncodeAskpass).filter(|_| is_question)?;
    Some(match ask(Path::new(&socket), question) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // ssh reports that the host denied permission
    })
}

fn ask(socket: &Path, question: &OsStr) -> io::Result<()> {
    let question = question.as_encoded_bytes();
    if question.len() > MAX || !question.ends_with(QUESTION.as_bytes()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut password = Zeroizing::new(Vec::with_capacity(MAX));
    (&stream).take(MAX as u64 - 1).read_to_end(&mut password)?;
    if password.is_empty() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    password.push(b'\n');
    crate::output::stdout::write(&password).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    /// What somebody gets who asks like this, if `asker` is their parent.
    fn asked(question: &str, asker: u32) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("ask");
        let askpass = Askpass::at(socket.clone(), Zeroizing::new(b"hunter2".to_vec())).unwrap();
        askpass.expect(asker);
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(question.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        // It answers once.
        let again = UnixStream::connect(&socket).and_then(|mut stream| stream.read(&mut [0; 1]));
        assert!(!matches!(again, Ok(1..)), "{again:?}");
        answer
    }

    #[test]
    fn a_password_goes_to_its_own_ssh_alone() {
        let parent = std::os::unix::process::parent_id();
        assert_eq!(asked("me@box's password: ", parent), b"hunter2");
        for question in
            ["", "me@box's password", "Enter passphrase for key '/k': ", "me@box's old password: "]
        {
            assert_eq!(asked(question, parent), b"", "{question}");
        }
        assert_eq!(asked("me@box's password: ", 0), b"", "no ssh was started");
        #[cfg(target_os = "linux")]
        assert_eq!(asked("me@box's password: ", std::process::id()), b"", "another program's child");
    }

    #[test]
    fn only_a_question_makes_it_answer() {
        let env = Env::fixed([(Var::RuncodeAskpass, "/nowhere")]);
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(answered(&env, &args(&["runcode", "list"])).is_none());
        assert!(answered(&env, &args(&["runcode", "exec", "me@box's password: "])).is_none());
        assert!(answered(&Env::fixed::<&str>([]), &args(&["runcode", "me@box's password: "])).is_none());
        assert!(answered(&env, &args(&["runcode", "Enter passphrase: "])).is_some());
    }
}
