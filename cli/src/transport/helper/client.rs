//! The client inside the sandbox.

use std::fs::File;
use std::io::{self, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use rustix::event::{PollFd, PollFlags, Timespec};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    Answer, END, ERRORS, INPUT, LOCK, Line, MAX_REQUEST, OUTPUT, REQUEST, Request, SLOTS, VERSION, error_of,
    is_running, open, slot, wait_on,
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

/// How long the helper may take to start a command: it may first have to renew the session, or wait for others that do.
const START: Duration = Duration::from_secs(300);

/// The longest wait at a time.
const LOOK: Duration = Duration::from_millis(500);

/// How long output may still come after the command was ended.
const LATE_OUTPUT: Duration = Duration::from_millis(500);

/// How many bytes are copied at a time.
const ROOM: usize = 64 * 1024;

/// Makes the helper in `folder` run the command on the workspace of `session`.
pub fn start(
    transport: &Transport,
    folder: &Path,
    session: serde_json::Value,
    command: &RemoteCommand,
    streams: &Streams,
) -> Result<Running> {
    let interrupt = Interrupt::of_command(&transport.cancel)?;
    match ask(folder, session, command, streams, &interrupt) {
        Ok((process, request)) => Ok(Running {
            process: Box::new(process),
            transport: transport.clone(),
            token: command.token().to_owned(),
            interrupt: Some(interrupt),
            ending: None,
            hold: Hold::default(),
            stop: Stop::Helper(Some(request)),
            told: None,
            visit: None,
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
    let mut request = Request {
        version: VERSION,
        session,
        text: Base64::encode_string(command.text()),
        token: command.token().to_owned(),
        private: command.private().map(str::to_owned),
        reads: !matches!(streams.stdin, Stream::Null),
    };
    let line = serde_json::to_vec(&request).map(Zeroizing::new);
    request.private.zeroize();
    let mut line =
        line.map_err(|error| Failure::NotStarted(Error::io("ask runcode's helper", error.into())))?;
    line.push(b'\n');
    let deadline = Deadline::after(QUEUE);
    loop {
        for number in 0..SLOTS {
            if let Some(slot) = Slot::take(&slot(folder, number), command.token())
                && let Some(slot) = slot.ask(&line, interrupt)?
            {
                return slot.pass_on(streams);
            }
        }
        if !is_running(folder) {
            return Err(Failure::NotStarted(gone()));
        }
        if deadline.is_past() {
            let what = format!("{SLOTS} commands already run for agents' sandboxes");
            let error = Error::new(Code::Transport, what).hint("wait until one of them has ended");
            return Err(Failure::NotStarted(error));
        }
        if interrupt.comes_within(Duration::from_millis(20)) {
            return Err(Failure::Interrupted(Error::interrupted()));
        }
    }
}

/// A slot that this client holds.
struct Slot {
    request: File,
    input: File,
    output: File,
    errors: File,
    relayed: Relayed,
    delivered: Sender<()>,
}

impl Slot {
    /// The slot in this folder, if it is free and ready.
    fn take(folder: &Path, token: &str) -> Option<Slot> {
        let lock = File::open(folder.join(LOCK)).ok()?;
        lock.try_lock().ok()?;
        let reader = |name: &str| open(&folder.join(name), false).ok();
        let (output, errors, answers) = (reader(OUTPUT)?, reader(ERRORS)?, reader(END)?);
        let input = open(&folder.join(INPUT), true).ok()?;
        let request = open(&folder.join(REQUEST), true).ok()?;
        let (delivered, receiver) = mpsc::channel();
        let relayed = Relayed {
            answers,
            token: token.to_owned(),
            heard: Vec::new(),
            delivered: receiver,
            outputs: 2,
            ended: None,
            late: None,
            _lock: lock,
        };
        Some(Slot { request, input, output, errors, relayed, delivered })
    }

    /// Writes the request and waits until the command starts. `None`: nothing of the request was written, so another slot may be tried.
    /// After that, the command may run, whatever the answer is: any process of the user can read requests and give answers.
    fn ask(mut self, line: &[u8], interrupt: &Interrupt) -> Result<Option<Slot>, Failure> {
        if wait_on(&self.request).is_err() {
            return Ok(None);
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.request.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if rest.len() == line.len() => return Ok(None),
                Err(_) => return Err(Failure::MayHaveStarted(unknown())),
            }
        }
        let mut heard = self.relayed.hear(Some(&self.request), Some(interrupt), Deadline::after(START));
        if matches!(heard, Ok(Heard::Nothing)) {
            // If the command was started, it must be ended.
            heard = self.relayed.hear(Some(&self.request), None, Deadline::after(AFTER_SIGNAL));
        }
        match heard.map_err(Failure::MayHaveStarted)? {
            Heard::Answer(Line { answer: Answer::Started, .. }) => Ok(Some(self)),
            Heard::Answer(Line {
                answer: Answer::Failed { code, message, hint, may_have_begun }, ..
            }) => Err(Failure::MayHaveStarted(error_of(&code, message, hint, may_have_begun))),
            Heard::Answer(_) => Err(Failure::MayHaveStarted(nonsense())),
            Heard::Nothing if interrupt.has_any() => Err(Failure::MayHaveStarted(Error::interrupted())),
            Heard::Nothing | Heard::Gone | Heard::Unread => Err(Failure::MayHaveStarted(unknown())),
        }
    }

    /// Starts to copy the streams.
    fn pass_on(self, streams: &Streams) -> Result<(Relayed, PipeWriter), Failure> {
        let copied = |stream: &Stream, own: BorrowedFd<'_>| match stream {
            Stream::Inherit => own.try_clone_to_owned().map(Some),
            Stream::Given(handle) => handle.try_clone().map(Some),
            Stream::Null => Ok(None),
        };
        let begun = |error| Failure::MayHaveStarted(Error::io("pass on the command's streams", error));
        if let Some(from) = copied(&streams.stdin, rustix::stdio::stdin()).map_err(begun)? {
            let input = self.input;
            wait_on(&input).map_err(begun)?;
            std::thread::spawn(move || pass_on(from.into(), Some(input)));
        }
        for (from, stream, own) in [
            (self.output, &streams.stdout, rustix::stdio::stdout()),
            (self.errors, &streams.stderr, rustix::stdio::stderr()),
        ] {
            let to = copied(stream, own).map_err(begun)?.map(File::from);
            wait_on(&from).map_err(begun)?;
            let delivered = self.delivered.clone();
            std::thread::spawn(move || {
                pass_on(from, to);
                delivered.send(())
            });
        }
        Ok((self.relayed, PipeWriter::from(OwnedFd::from(self.request))))
    }
}

fn gone() -> Error {
    Error::new(
        Code::Transport,
        "this sandbox forbids sockets, and runcode's helper outside it is not running",
    )
    .hint("for the user: run `runcode route on --sandboxes` in the project, outside the sandbox; it starts the helper")
}

fn unknown() -> Error {
    Error::new(Code::Transport, "runcode's helper does not say whether the command started")
        .hint("it may have run, and was not run again")
}

/// A command that the helper runs for us.
struct Relayed {
    answers: File,
    /// What the answers to this client carry.
    token: String,
    heard: Vec<u8>,
    delivered: Receiver<()>,
    /// How many outputs are not complete yet.
    outputs: usize,
    ended: Option<Ended>,
    /// After the command was given up: until when its remains may hold the outputs open.
    late: Option<Deadline>,
    _lock: File,
}

/// What the client can learn from the helper.
enum Heard {
    Answer(Line),
    Nothing,
    /// The helper has gone. It may have started the command.
    Gone,
    /// The helper does not read this client's request.
    Unread,
}

impl Relayed {
    /// The next answer, if it comes before the deadline and before a signal. `request`: the FIFO that the helper has to read.
    fn hear(
        &mut self,
        request: Option<&File>,
        interrupt: Option<&Interrupt>,
        deadline: Deadline,
    ) -> Result<Heard> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line = self.heard.drain(..=end).collect::<Vec<_>>();
                let line = serde_json::from_slice::<Line>(&line).map_err(|_| nonsense())?;
                return if line.token == self.token { Ok(Heard::Answer(line)) } else { Err(foreign()) };
            }
            if self.heard.len() > MAX_REQUEST {
                return Err(nonsense());
            }
            let mut polled = [PollFd::new(&self.answers, PollFlags::IN)].to_vec();
            polled.extend(request.map(|request| PollFd::new(request, PollFlags::empty())));
            polled.extend(interrupt.map(|interrupt| PollFd::new(interrupt, PollFlags::IN)));
            let pause = Timespec::try_from(LOOK.min(deadline.remaining())).ok();
            let _ = rustix::event::poll(&mut polled, pause.as_ref());
            let mut news = polled.iter().map(|fd| !fd.revents().is_empty());
            let has_answer = news.next().unwrap_or_default();
            let is_unread = request.is_some() && news.next().unwrap_or_default();
            let mut bytes = [0; 4096];
            if has_answer {
                match self.answers.read(&mut bytes) {
                    Ok(0) => return Ok(Heard::Gone),
                    Ok(count) => self.heard.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Err(Error::io("hear from runcode's helper", error)),
                }
            } else if is_unread {
                // It may have answered meanwhile, before it closed the request.
                let mut again = [PollFd::new(&self.answers, PollFlags::IN)];
                let _ = rustix::event::poll(&mut again, Some(&Timespec::default()));
                if again.iter().all(|fd| fd.revents().is_empty()) {
                    return Ok(Heard::Unread);
                }
            } else if deadline.is_past() || interrupt.is_some_and(Interrupt::has_any) {
                return Ok(Heard::Nothing);
            }
        }
    }
}

fn nonsense() -> Error {
    Error::new(Code::Transport, "runcode's helper gave an answer that this version of runcode does not know")
        .hint("the command may have run, and was not run again")
        .maybe_begun()
}

fn foreign() -> Error {
    Error::new(Code::Transport, "an answer from runcode's helper is not for this command")
        .hint("the command may have run, and was not run again")
        .maybe_begun()
}

impl Process for Relayed {
    fn listener(&self) -> Option<Listener> {
        None
    }

    fn wait(&mut self, interrupt: Option<&Interrupt>, deadline: Deadline) -> Result<Option<Ended>> {
        while self.ended.is_none() {
            self.ended = Some(match self.hear(None, interrupt, deadline)? {
                Heard::Nothing => return Ok(None),
                Heard::Gone | Heard::Unread => Ended::NoStatus,
                Heard::Answer(line) => match line.answer {
                    Answer::Started => continue,
                    Answer::Status(status) => Ended::Status(status),
                    Answer::NoStatus => Ended::NoStatus,
                    Answer::GivenUp(remote_ended) => {
                        self.late = Some(Deadline::after(LATE_OUTPUT));
                        Ended::Interrupted { signal: 15, remote_ended }
                    }
                    Answer::Failed { code, message, hint, may_have_begun } => {
                        return Err(error_of(&code, message, hint, may_have_begun).maybe_begun());
                    }
                },
            });
        }
        while self.outputs > 0 && self.late.is_none_or(|late| !late.is_past()) {
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

/// Copies to the end, or until nobody reads any more.
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

/// Whether to try again: another process may have made a shared descriptor non-blocking.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn ready(fd: BorrowedFd<'_>, events: PollFlags) {
    let _ = rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, events)], None);
}
