//! The side inside of the sandbox.

use std::fs::{File, TryLockError};
use std::io::{self, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use rustix::event::{PollFd, PollFlags, Timespec};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    Answer, END, ERRORS, INPUT, LOCK, OUTPUT, REQUEST, Request, SLOTS, VERSION, error_of, is_running, open,
    slot, wait_on,
};
use crate::error::{Code, Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Interrupt;
use crate::transport::Transport;
use crate::transport::command::RemoteCommand;
use crate::transport::lost::Hold;
use crate::transport::mux_socket::Listener;
use crate::transport::outcome::{Ended, Failure};
use crate::transport::running::{Process, Running, Stop};
use crate::transport::start::AFTER_SIGNAL;
use crate::transport::stream::{Stream, Streams};

/// How long a command waits for a slot.
const QUEUE: Duration = Duration::from_secs(60);

/// The longest that the helper may take to start a command: it may have to renew the session first, and wait for others that do.
const START: Duration = Duration::from_secs(300);

/// How often to check that the helper lives, where the system does not tell.
const LOOK: Duration = Duration::from_millis(500);

/// How much is passed on at a time, in bytes.
const ROOM: usize = 64 * 1024;

/// Has the helper in `folder` run the command on the workspace of `session`.
pub fn start(
    transport: &Transport,
    folder: &Path,
    session: serde_json::Value,
    command: &RemoteCommand,
    streams: &Streams,
) -> Result<Running> {
    let interrupt = Interrupt::of_command(&transport.cancel)?;
    let asked = ask(folder, session, command, streams, &interrupt);
    match asked {
        Ok((process, request)) => Ok(Running {
            process: Box::new(process),
            transport: transport.clone(),
            token: command.token().to_owned(),
            interrupt: Some(interrupt),
            ending: None,
            hold: Hold::default(),
            stop: Stop::ByStdin(Some(request)),
            told: None,
        }),
        Err(failure) => {
            interrupt.let_pass();
            Err(failure.into_error())
        }
    }
}

fn ask(
    folder: &Path,
    session: serde_json::Value,
    command: &RemoteCommand,
    streams: &Streams,
    interrupt: &Interrupt,
) -> Result<(Relayed, PipeWriter), Failure> {
    let io = |error| Failure::NotStarted(Error::io("ask runcode's helper", error));
    let mut request = Request {
        version: VERSION,
        session,
        text: Base64::encode_string(command.text()),
        token: command.token().to_owned(),
        private: command.private().map(str::to_owned),
        reads: !matches!(streams.stdin, Stream::Null),
    };
    let line = serde_json::to_vec(&request).map(Zeroizing::new).map_err(|error| io(error.into()))?;
    request.private.zeroize();
    let slot = Slot::take(folder, interrupt)?;
    let answers = open(&slot.folder.join(END), false).map_err(io)?;
    let [output, errors] = [OUTPUT, ERRORS].map(|name| open(&slot.folder.join(name), false));
    let (output, errors) = (output.map_err(io)?, errors.map_err(io)?);
    let input = open(&slot.folder.join(INPUT), true).map_err(|_| Failure::NotStarted(gone()))?;
    let mut to = slot.request.try_clone().map_err(io)?;
    wait_on(&to).map_err(io)?;
    to.write_all(&line).and_then(|()| to.write_all(b"\n")).map_err(|_| Failure::NotStarted(gone()))?;
    drop(to);
    let Slot { folder: _, request, lock } = slot;
    let (sender, delivered) = mpsc::channel();
    let mut relayed = Relayed {
        helper: folder.to_owned(),
        answers,
        heard: Vec::new(),
        delivered,
        outputs: 2,
        ended: None,
        _lock: lock,
    };
    relayed.is_started(interrupt)?;
    let copied = |stream: &Stream, own: BorrowedFd<'_>| match stream {
        Stream::Inherit => own.try_clone_to_owned().map(Some),
        Stream::Given(handle) => handle.try_clone().map(Some),
        Stream::Null => Ok(None),
    };
    let begun = |error| Failure::MayHaveStarted(Error::io("pass on the command's streams", error));
    if let Some(from) = copied(&streams.stdin, rustix::stdio::stdin()).map_err(begun)? {
        wait_on(&input).map_err(begun)?;
        std::thread::spawn(move || pass_on(from.into(), Some(input)));
    }
    for (from, stream, own) in [
        (output, &streams.stdout, rustix::stdio::stdout()),
        (errors, &streams.stderr, rustix::stdio::stderr()),
    ] {
        let to = copied(stream, own).map_err(begun)?.map(File::from);
        wait_on(&from).map_err(begun)?;
        let sender = sender.clone();
        std::thread::spawn(move || {
            pass_on(from, to);
            sender.send(())
        });
    }
    Ok((relayed, PipeWriter::from(OwnedFd::from(request))))
}

/// A slot that is ours.
struct Slot {
    folder: std::path::PathBuf,
    request: File,
    lock: File,
}

impl Slot {
    fn take(folder: &Path, interrupt: &Interrupt) -> Result<Slot, Failure> {
        let deadline = Deadline::after(QUEUE);
        loop {
            for number in 0..SLOTS {
                let folder = slot(folder, number);
                let Ok(lock) = File::open(folder.join(LOCK)) else { continue };
                match lock.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => continue,
                    Err(TryLockError::Error(error)) => {
                        return Err(Failure::NotStarted(Error::io("lock a slot of runcode's helper", error)));
                    }
                }
                // Without a reader, the helper has gone.
                if let Ok(request) = open(&folder.join(REQUEST), true) {
                    return Ok(Slot { folder, request, lock });
                }
            }
            if !is_running(folder) {
                return Err(Failure::NotStarted(gone()));
            }
            if deadline.is_past() {
                let what = format!("{SLOTS} commands are running for this sandbox already");
                return Err(Failure::NotStarted(
                    Error::new(Code::Transport, what).hint("wait until one of them has ended"),
                ));
            }
            if interrupt.comes_within(Duration::from_millis(20)) {
                return Err(Failure::Interrupted(Error::interrupted()));
            }
        }
    }
}

fn gone() -> Error {
    Error::new(
        Code::Transport,
        "runcode's helper outside of this sandbox is not running, and sockets are forbidden here",
    )
    .hint("for the user: run `runcode route on` in the project, outside of the sandbox; it starts the helper")
}

/// A command that the helper runs for us.
struct Relayed {
    helper: std::path::PathBuf,
    answers: File,
    heard: Vec<u8>,
    delivered: Receiver<()>,
    /// How many outputs have not come whole.
    outputs: usize,
    ended: Option<Ended>,
    _lock: File,
}

/// What can be heard of the helper.
enum Heard {
    Answer(Answer),
    Nothing,
    /// It has gone.
    Gone,
}

impl Relayed {
    /// The next answer, if it comes before the deadline and before a signal.
    fn hear(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Heard> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line = self.heard.drain(..=end).collect::<Vec<_>>();
                let answer = serde_json::from_slice(&line);
                return answer.map(Heard::Answer).map_err(|_| nonsense());
            }
            let mut bytes = [0; 4096];
            let mut polled = [PollFd::new(&self.answers, PollFlags::IN)].to_vec();
            if let Some(interrupt) = interrupt {
                polled.push(PollFd::new(interrupt, PollFlags::IN));
            }
            let pause = Timespec::try_from(LOOK.min(deadline.remaining())).ok();
            let _ = rustix::event::poll(&mut polled, pause.as_ref());
            let has_news = polled.first().is_some_and(|fd| !fd.revents().is_empty());
            if has_news {
                match self.answers.read(&mut bytes) {
                    Ok(0) => return Ok(Heard::Gone),
                    Ok(count) => self.heard.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Err(Error::io("hear of runcode's helper", error)),
                }
            } else if deadline.is_past() || interrupt.is_some_and(Interrupt::has_any) {
                return Ok(Heard::Nothing);
            } else if !is_running(&self.helper) {
                return Ok(Heard::Gone); // before it opened its end, the system does not tell
            }
        }
    }

    /// Waits until the command was started.
    fn is_started(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        let mut heard = self.hear(Some(interrupt), Deadline::after(START));
        if matches!(heard, Ok(Heard::Nothing)) {
            heard = self.hear(None, Deadline::after(AFTER_SIGNAL)); // if it was started, it must be ended
        }
        match heard.map_err(Failure::MayHaveStarted)? {
            Heard::Answer(Answer::Started) => Ok(()),
            Heard::Answer(Answer::Failed { code, message, hint, may_have_begun }) => {
                let error = error_of(&code, message, hint, may_have_begun);
                Err(if may_have_begun { Failure::MayHaveStarted(error) } else { Failure::NotStarted(error) })
            }
            Heard::Answer(_) => Err(Failure::MayHaveStarted(nonsense())),
            Heard::Nothing if interrupt.has_any() => Err(Failure::MayHaveStarted(Error::interrupted())),
            Heard::Nothing | Heard::Gone => Err(Failure::MayHaveStarted(
                Error::new(Code::Transport, "runcode's helper does not say whether the command started")
                    .hint("it may have run, and was not run again"),
            )),
        }
    }
}

fn nonsense() -> Error {
    Error::new(Code::Transport, "runcode's helper does not answer as this version of runcode expects")
        .hint("for the user: run `runcode route on` in the project, outside of the sandbox")
}

impl Process for Relayed {
    fn listener(&self) -> Option<Listener> {
        None
    }

    fn wait(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Option<Ended>> {
        while self.ended.is_none() {
            self.ended = Some(match self.hear(interrupt, deadline)? {
                Heard::Nothing => return Ok(None),
                Heard::Gone | Heard::Answer(Answer::NoStatus) => Ended::NoStatus,
                Heard::Answer(Answer::Started) => continue,
                Heard::Answer(Answer::Status(status)) => Ended::Status(status),
                Heard::Answer(Answer::GivenUp(remote_ended)) => {
                    Ended::Interrupted { signal: 15, remote_ended }
                }
                Heard::Answer(Answer::Failed { code, message, hint, may_have_begun }) => {
                    return Err(error_of(&code, message, hint, may_have_begun));
                }
            });
        }
        while self.outputs > 0 {
            match self.delivered.recv_timeout(Duration::from_millis(10).min(deadline.remaining())) {
                Ok(()) => self.outputs -= 1,
                Err(RecvTimeoutError::Disconnected) => self.outputs = 0,
                Err(RecvTimeoutError::Timeout)
                    if deadline.is_past() || interrupt.is_some_and(Interrupt::has_any) =>
                {
                    return Ok(None);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(self.ended)
    }
}

/// Copies to the end, or until nobody takes what is written.
fn pass_on(mut from: File, mut to: Option<File>) {
    let mut buffer = vec![0; ROOM];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if is_passing(&error) => {
                ready(from.as_fd(), PollFlags::IN);
                continue;
            }
            Err(_) => return,
        };
        let mut rest = buffer.get(..count).unwrap_or_default();
        while let (Some(to), false) = (&mut to, rest.is_empty()) {
            match to.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_passing(&error) => ready(to.as_fd(), PollFlags::OUT),
                Err(_) => return,
            }
        }
    }
}

/// Whether to try again: a descriptor that others share may not wait.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn ready(fd: BorrowedFd<'_>, events: PollFlags) {
    let _ = rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, events)], None);
}
