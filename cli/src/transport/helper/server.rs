//! The helper outside the sandbox: one slot, and the commands that come through it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use zeroize::Zeroizing;

use super::{
    Answer, END, ERRORS, INPUT, LOCK, Line, MAX_REQUEST, OUTPUT, REQUEST, Request, VERSION, open, wait_on,
};
use crate::error::{Code, Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Cancel;
use crate::sys::{atomic_file, platform};
use crate::transport::command::RemoteCommand;
use crate::transport::outcome::Ended;
use crate::transport::stream::{Stream, Streams};

/// How long a client may take to write its request.
const ASK: Duration = Duration::from_secs(10);

/// How often to check whether the client still waits.
const LOOK: Duration = Duration::from_millis(100);

/// How long to wait after an unexpected failure.
const PAUSE: Duration = Duration::from_secs(1);

/// A command that a client asked for.
pub struct Exchange {
    /// Which workspace, as the client says.
    pub session: serde_json::Value,
    /// The command.
    pub command: RemoteCommand,
    /// Its streams.
    pub streams: Streams,
    /// Cancelled once the client has gone.
    pub cancel: Cancel,
    answers: Answers,
}

/// Where the answers go.
struct Answers {
    to: File,
    token: String,
}

impl Answers {
    /// Sends an answer. A client that has gone gets none.
    fn say(&mut self, answer: Answer) {
        if let Ok(mut line) = serde_json::to_vec(&Line { token: self.token.clone(), answer }) {
            line.push(b'\n');
            let _ = self.to.write_all(&line);
        }
    }
}

impl Exchange {
    /// Tells the client that the command was started.
    pub fn started(&mut self) {
        self.answers.say(Answer::Started);
    }
}

/// Serves a slot for good: `run` runs each command and says how it ended. `is_busy` is set while a command runs.
pub fn serve(folder: &Path, is_busy: &AtomicBool, run: impl Fn(&mut Exchange) -> Result<Ended>) {
    loop {
        if serve_one(folder, is_busy, &run).is_err() {
            std::thread::sleep(PAUSE);
        }
        is_busy.store(false, Ordering::SeqCst);
    }
}

fn serve_one(
    folder: &Path,
    is_busy: &AtomicBool,
    run: &impl Fn(&mut Exchange) -> Result<Ended>,
) -> io::Result<()> {
    let (request, input) = prepare(folder)?;
    let heard = hear(request)?;
    // A client that takes the slot before the new FIFOs are there finds it closed.
    atomic_file::remove(&folder.join(REQUEST)).map_err(|error| io::Error::other(error.to_string()))?;
    let Some((request, asked)) = heard else { return Ok(()) };
    is_busy.store(true, Ordering::SeqCst);
    // A client that has gone reads none of them.
    let opened = [OUTPUT, ERRORS, END].map(|name| open(&folder.join(name), true));
    let [Ok(output), Ok(errors), Ok(answers)] = opened else { return Ok(()) };
    for stream in [&input, &output, &errors, &answers] {
        wait_on(stream)?;
    }
    let mut answers = Answers { to: answers, token: String::new() };
    let Some(mut asked) = asked else {
        answers.say(Answer::NoStatus); // for nobody: two clients have written
        return Ok(());
    };
    answers.token.clone_from(&asked.token);
    let stdin = if asked.reads { Stream::from(input) } else { Stream::Null };
    let streams = Streams { stdin, stdout: output.into(), stderr: errors.into() };
    let cancel = Cancel::default();
    let command = read(&mut asked);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                if let Some(signal) = let_go(&request) {
                    return cancel.cancel_by(signal);
                }
            }
        });
        match command {
            Ok(command) => {
                let cancel = cancel.clone();
                let mut exchange = Exchange { session: asked.session, command, streams, cancel, answers };
                let answer = match run(&mut exchange) {
                    Ok(ended) => Answer::of_end(ended),
                    Err(error) => Answer::of_error(&error),
                };
                // The outputs end before the answer: the client waits for both.
                exchange.streams = Streams::null();
                exchange.answers.say(answer);
            }
            Err(error) => {
                drop(streams);
                answers.say(Answer::of_error(&error));
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    Ok(())
}

/// Makes new FIFOs for the slot while no client holds it.
fn prepare(folder: &Path) -> io::Result<(File, File)> {
    let lock = platform::open_private(&folder.join(LOCK))?;
    lock.lock()?;
    for name in [REQUEST, INPUT, OUTPUT, ERRORS, END] {
        let path = folder.join(name);
        atomic_file::remove(&path).map_err(|error| io::Error::other(error.to_string()))?;
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    }
    Ok((open(&folder.join(REQUEST), false)?, open(&folder.join(INPUT), false)?))
}

/// Waits for a request. `None`: the client went away before it had written one. The inner `None`: the line is not a request.
fn hear(mut request: File) -> io::Result<Option<(File, Option<Request>)>> {
    let (mut line, mut bytes) = (Zeroizing::new(Vec::new()), Zeroizing::new([0; 16 * 1024]));
    let mut deadline = None;
    loop {
        let patience = deadline.map(Deadline::remaining).and_then(|rest| Timespec::try_from(rest).ok());
        rustix::event::poll(&mut [PollFd::new(&request, PollFlags::IN)], patience.as_ref())?;
        match request.read(&mut *bytes) {
            Ok(0) => return Ok(None),
            Ok(count) => line.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        // Whatever follows comes from another client, which will ask again.
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let asked = serde_json::from_slice(line.get(..end).unwrap_or_default()).ok();
            return Ok(Some((request, asked)));
        }
        let deadline = *deadline.get_or_insert_with(|| Deadline::after(ASK));
        if line.len() > MAX_REQUEST || deadline.is_past() {
            return Ok(None);
        }
    }
}

/// The command, if it is one that runcode could have made.
fn read(asked: &mut Request) -> Result<RemoteCommand> {
    let refused = |why: &str| Error::new(Code::Usage, format!("runcode's helper cannot run this: {why}"));
    if asked.version != VERSION {
        let other = refused("it comes from another version of runcode");
        return Err(other
            .hint("for the user: run `runcode route on --sandboxes` in the project, outside the sandbox"));
    }
    let text = Base64::decode_vec(&asked.text).map_err(|_| refused("the command is not base64"))?;
    RemoteCommand::received(text, std::mem::take(&mut asked.token), asked.private.take().map(Zeroizing::new))
        .ok_or_else(|| refused("the command is incomplete"))
}

/// Waits a moment; returns the signal to end the command with if nobody waits for it any more.
fn let_go(mut request: &File) -> Option<u8> {
    const TERM: u8 = 15;
    let patience = Timespec::try_from(LOOK).ok();
    let mut polled = [PollFd::new(request, PollFlags::IN)];
    let _ = rustix::event::poll(&mut polled, patience.as_ref());
    if polled.iter().all(|fd| fd.revents().is_empty()) {
        return None;
    }
    let mut byte = [0];
    match request.read(&mut byte) {
        Ok(1) => byte.first().copied().filter(|signal| matches!(signal, 1..=31)).or(Some(TERM)),
        Ok(_) => Some(TERM),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
        Err(_) => Some(TERM),
    }
}
