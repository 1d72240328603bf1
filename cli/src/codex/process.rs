//! `process/…`: commands on the workspace.

use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::codex::command::Start;
use crate::codex::environment::Environment;
use crate::codex::message::{self, INTERNAL, INVALID_PARAMS, Params, Refusal};
use crate::error::{Code, Error, Result};
use crate::mcp::Outbox;
use crate::origin::OriginId;
use crate::session::execution::{self, Execution};
use crate::session::{Session, Sessions};
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Cancel;
use crate::transport::{Ended, Limits, Running, Signaller, Stream, Streams};

/// How many may run at once.
const MOST: usize = 128;

/// How much is sent in one message, in bytes.
const CHUNK: usize = 64 << 10;

/// How much input may wait for a command that does not read it, in bytes.
const INPUT: usize = 16 << 20;

/// How long the rest of the output may take to arrive after a command was ended.
const REST: Duration = Duration::from_secs(1);

/// The status of a command that has none, as in ssh(1).
const NO_STATUS: i32 = 255;

/// The status of a command that Ctrl-C ended, as shells report it.
const INTERRUPTED: i32 = 130;

/// The commands of one client, by the names that it gave them. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Processes(Arc<Mutex<HashMap<String, Arc<Process>>>>);

/// A command that runs, or is about to.
struct Process {
    id: String,
    is_on_terminal: bool,
    cancel: Cancel,
    input: Mutex<Option<Input>>,
    signaller: OnceLock<Signaller>,
    /// The number of the last message about it; locked while that is sent.
    last: Mutex<u64>,
    /// Whether its last message was sent.
    is_closed: AtomicBool,
}

/// What a command reads.
struct Input {
    sender: Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Write {
    process_id: String,
    chunk: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    process_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signal {
    process_id: String,
    signal: String,
}

/// What a command is started with, and our ends of its streams.
struct Ends {
    streams: Streams,
    stdin: Option<PipeWriter>,
    stdout: PipeReader,
    stderr: Option<PipeReader>,
}

impl Processes {
    /// Starts a command on a thread of its own, which also answers the request `id`.
    pub(super) fn start(
        &self,
        environment: &Arc<Environment>,
        outbox: &Outbox,
        id: &Value,
        params: Params,
    ) -> Result<(), Refusal> {
        let start = params.read::<Start>()?;
        start.check()?;
        let process = Arc::new(Process {
            id: start.process_id.clone(),
            is_on_terminal: start.tty,
            cancel: Cancel::default(),
            input: Mutex::default(),
            signaller: OnceLock::new(),
            last: Mutex::default(),
            is_closed: AtomicBool::new(false),
        });
        {
            let mut all = lock(&self.0);
            if all.contains_key(&process.id) {
                return Err(Refusal::new(INVALID_PARAMS, "runcode: this `processId` is already in use"));
            }
            if all.len() >= MOST {
                return Err(Refusal::new(
                    INTERNAL,
                    format!("runcode: {MOST} commands are already running; nothing was run"),
                ));
            }
            all.insert(process.id.clone(), Arc::clone(&process));
        }
        let run =
            Run { all: self.clone(), environment: Arc::clone(environment), outbox: outbox.clone(), process };
        let (id, gone) = (id.clone(), (self.clone(), start.process_id.clone()));
        let thread = std::thread::Builder::new().spawn(move || run.run(&id, start));
        thread.map(drop).map_err(|error| {
            lock(&gone.0.0).remove(&gone.1);
            Error::io("start a thread", error).into()
        })
    }

    /// Sends input to a command.
    pub(super) fn write(&self, params: Params) -> Result<Value, Refusal> {
        let Write { process_id, chunk } = params.read()?;
        let chunk = Base64::decode_vec(&chunk)
            .map_err(|_| Refusal::new(INVALID_PARAMS, "runcode: `chunk` is not Base64"))?;
        let Some(process) = self.find(&process_id) else { return Ok(json!({ "status": "unknownProcess" })) };
        if process.signaller.get().is_none() {
            return Ok(json!({ "status": "starting" }));
        }
        Ok(json!({ "status": if process.feed(chunk)? { "accepted" } else { "stdinClosed" } }))
    }

    /// Ends a command and everything that it started.
    pub(super) fn terminate(&self, params: Params) -> Result<Value, Refusal> {
        let One { process_id } = params.read()?;
        let process = self.find(&process_id);
        if let Some(process) = &process {
            process.cancel.cancel();
        }
        Ok(json!({ "running": process.is_some() }))
    }

    /// Interrupts a command as Ctrl-C would; it may continue.
    pub(super) fn signal(&self, params: Params) -> Result<Value, Refusal> {
        let Signal { process_id, signal } = params.read()?;
        if signal != "interrupt" {
            return Err(Refusal::new(INVALID_PARAMS, "runcode: the only signal is `interrupt`"));
        }
        let unknown = || Refusal::new(INVALID_PARAMS, "runcode: there is no such process");
        let process = self.find(&process_id).ok_or_else(unknown)?;
        let signaller = process.signaller.get().ok_or_else(unknown)?;
        let is_told = if process.is_on_terminal { process.feed(vec![3])? } else { signaller.interrupt() };
        match is_told {
            true => Ok(json!({})),
            false => Err(Refusal::new(INTERNAL, "runcode: the signal did not reach the command")),
        }
    }

    /// Ends all commands, and waits until they are gone.
    pub(super) fn close(&self, patience: Duration) {
        let deadline = Deadline::after(patience);
        lock(&self.0).values().for_each(|process| process.cancel.cancel());
        while !lock(&self.0).is_empty() && !deadline.is_past() {
            deadline.pause(Duration::from_millis(10));
        }
    }

    fn find(&self, id: &str) -> Option<Arc<Process>> {
        lock(&self.0).get(id).cloned()
    }
}

impl Process {
    /// Whether it takes input at all. Refuses more than may wait.
    fn feed(&self, chunk: Vec<u8>) -> Result<bool, Refusal> {
        let input = lock(&self.input);
        let Some(input) = &*input else { return Ok(false) };
        let count = chunk.len();
        if input.waiting.fetch_add(count, Ordering::SeqCst) + count > INPUT {
            input.waiting.fetch_sub(count, Ordering::SeqCst);
            return Err(Refusal::new(
                INTERNAL,
                "runcode: the command is not reading its input, so this was not sent",
            ));
        }
        Ok(input.sender.send(chunk).is_ok())
    }

    /// Sends a message about it, in order.
    fn say(&self, outbox: &Outbox, method: &str, mut params: Value) {
        let mut last = lock(&self.last);
        if self.is_closed.load(Ordering::SeqCst) {
            return;
        }
        *last += 1;
        params["processId"] = self.id.as_str().into();
        params["seq"] = (*last).into();
        outbox.send(&json!({ "method": method, "params": params }));
    }

    fn output(&self, outbox: &Outbox, stream: &str, bytes: &[u8]) {
        self.say(
            outbox,
            "process/output",
            json!({ "stream": stream, "chunk": Base64::encode_string(bytes) }),
        );
    }
}

/// One command from its start to its end.
struct Run {
    all: Processes,
    environment: Arc<Environment>,
    outbox: Outbox,
    process: Arc<Process>,
}

impl Run {
    fn run(self, id: &Value, start: Start) {
        let environment = Arc::clone(&self.environment);
        let (id, mut is_answered) = (id.clone(), false);
        let done = environment.with(&self.process.cancel, |sessions, session| {
            self.in_session(
                sessions,
                session,
                start,
                || {
                    is_answered = true;
                    json!({ "processId": self.process.id, "sandboxType": "none" })
                },
                &id,
            )
        });
        lock(&self.all.0).remove(&self.process.id);
        if let Err(refusal) = done
            && !is_answered
        {
            self.outbox.send(&refusal.answer(&id));
        }
    }

    fn in_session(
        &self,
        sessions: &Sessions<'_>,
        session: &Session,
        start: Start,
        started: impl FnOnce() -> Value,
        id: &Value,
    ) -> Result<(), Refusal> {
        let is_shared = !matches!(session.meta.key.origin(), OriginId::Plane(_));
        let terminal = start.terminal();
        let mut ends = Ends::new(terminal.is_some(), start.pipe_stdin)?;
        let execution = start.execution(&self.environment.paths, is_shared)?;
        let running = begin(sessions, session, &execution, terminal.as_deref(), &ends.streams)?;
        ends.streams = Streams::null(); // a pipe ends when nobody holds its other end
        // All of its streams are served before anybody learns about it.
        let input = ends.stdin.take().map(write_to).transpose()?;
        *lock(&self.process.input) = input;
        let _ = self.process.signaller.set(running.signaller());
        self.outbox.send(&message::answer(id, started()));
        let stdout = if terminal.is_some() { "pty" } else { "stdout" };
        let readers = [Some((ends.stdout, stdout)), ends.stderr.map(|stderr| (stderr, "stderr"))];
        let readers = readers.into_iter().flatten().map(|(from, stream)| self.read(from, stream));
        let readers = readers.collect::<std::io::Result<Vec<_>>>();
        if readers.is_err() {
            self.process.cancel.cancel(); // its output cannot be read
        }
        let ended = running.wait(&Limits { timeout: None, interruptible: true });
        *lock(&self.process.input) = None;
        let is_cut = !matches!(ended, Ok(Ended::Status(_)));
        for reader in readers.unwrap_or_default() {
            // Wait for a slow reader: all of the output must arrive.
            let _ = if is_cut { reader.recv_timeout(REST).ok() } else { reader.recv().ok() };
        }
        let (status, why) = match end(ended, || execution::unknown_end(sessions, Some(session))) {
            // Ctrl-C on its terminal ends its outermost shell as well, which then cannot say how.
            (_, Some(error)) if error.code() == Code::Killed && terminal.is_some() => (INTERRUPTED, None),
            other => other,
        };
        if let Some(error) = why {
            let stream = if terminal.is_some() { "pty" } else { "stderr" };
            self.process.output(&self.outbox, stream, format!("{}\n", message::words(&error)).as_bytes());
        }
        lock(&self.all.0).remove(&self.process.id); // what arrives after its end finds no process
        self.process.say(
            &self.outbox,
            "process/exited",
            json!({ "exitCode": status, "sandboxDenied": false }),
        );
        self.process.say(&self.outbox, "process/closed", json!({}));
        self.process.is_closed.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Forwards what arrives, on a thread of its own; the receiver is told when it ends.
    fn read(&self, mut from: PipeReader, stream: &'static str) -> std::io::Result<Receiver<()>> {
        let (process, outbox) = (Arc::clone(&self.process), self.outbox.clone());
        let (sender, ended) = mpsc::channel();
        std::thread::Builder::new().spawn(move || {
            let mut buffer = vec![0; CHUNK];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => process.output(&outbox, stream, buffer.get(..count).unwrap_or_default()),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            let _ = sender.send(());
        })?;
        Ok(ended)
    }
}

impl Ends {
    fn new(is_on_terminal: bool, pipe_stdin: bool) -> Result<Ends> {
        let pipe = || std::io::pipe().map_err(|error| Error::io("make a pipe", error));
        let (stdout, to_stdout) = pipe()?;
        let (stdin, to_stdin) = match is_on_terminal || pipe_stdin {
            true => pipe().map(|(reader, writer)| (Stream::from(reader), Some(writer)))?,
            false => (Stream::Null, None),
        };
        let (stderr, to_stderr) = match is_on_terminal {
            true => (None, Stream::Null),
            false => pipe().map(|(reader, writer)| (Some(reader), Stream::from(writer)))?,
        };
        let streams = Streams { stdin, stdout: to_stdout.into(), stderr: to_stderr };
        Ok(Ends { streams, stdin: to_stdin, stdout, stderr })
    }
}

fn begin(
    sessions: &Sessions<'_>,
    session: &Session,
    execution: &Execution,
    terminal: Option<&str>,
    streams: &Streams,
) -> Result<Running> {
    match terminal {
        Some(kind) => execution::begin_on_terminal(sessions, session, execution, kind, streams),
        None => execution::begin(sessions, session, execution, streams),
    }
}

/// Writes the input to a command, on a thread of its own, which ends with the command or with the last sender.
fn write_to(mut stdin: PipeWriter) -> Result<Input> {
    let (sender, chunks) = mpsc::channel::<Vec<u8>>();
    let waiting = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&waiting);
    let write = move || {
        while let Ok(chunk) = chunks.recv() {
            if stdin.write_all(&chunk).is_err() {
                break;
            }
            written.fetch_sub(chunk.len(), Ordering::SeqCst);
        }
    };
    std::thread::Builder::new().spawn(write).map_err(|error| Error::io("start a thread", error))?;
    Ok(Input { sender, waiting })
}

/// The status to report, and what else the user is told.
fn end(ended: Result<Ended>, unknown: impl FnOnce() -> Error) -> (i32, Option<Error>) {
    match ended {
        Ok(Ended::Status(status)) => (status.into(), None),
        Ok(Ended::NoStatus) => (NO_STATUS, Some(unknown())),
        Ok(Ended::Interrupted { signal, remote_ended: true }) => (128 + signal, None),
        Ok(Ended::Interrupted { .. } | Ended::TimedOut { .. }) => {
            let what = "the command was told to end, but may still be running on the workspace";
            (NO_STATUS, Some(Error::new(Code::Interrupted, what)))
        }
        Err(error) => (NO_STATUS, Some(error)),
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
