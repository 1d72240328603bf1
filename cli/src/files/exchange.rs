//! One exchange with a script of ours on the workspace: its input, its output, and how both end.
//!
//! What the login shell prints before the script runs is skipped: our own lines bear a random mark. Input is written by a
//! thread that is not waited for when the workspace has given up, since what it reads from may never come to an end. Once
//! the script has said that all is done, nobody waits for its shell to end.

use std::cell::Cell;
use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Read};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::files::failure::{FailureKind, ScriptFailure};
use crate::files::notes::Notes;
use crate::files::script::Script;
use crate::files::watchdog::{self, RemoteEnd, Watchdog};
use crate::output::foreign;
use crate::sys::env::Env;
use crate::sys::random;
use crate::transport::{Ended, Limits, RemoteCommand, Running, Stream, Streams, remote_end};

/// What starts a command on the workspace: once, on a connection that stands or is made to.
pub type Start<'a> = &'a dyn Fn(&RemoteCommand, &Streams) -> Result<Running>;

/// How much is moved at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// The longest line that is looked at, and the most that a login shell may print before our script's first line.
const LINE: u64 = 64 * 1024;
const NOISE: u64 = 64 * 1024 * 1024;

/// How many lines of ours a script may say, and how many notes: one for each file.
const RECORDS: u32 = 1000;
const NOTES: u32 = 10_000_000;

/// How long the rest may take once the command is over and nothing but our own work is left.
const REST: Duration = Duration::from_secs(2);

/// How long the command may take to end once there is nothing left to say; one that was interrupted is ended in that time.
const END: Duration = remote_end::PATIENCE.saturating_add(REST);

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// The output ended before what had to come.
    Cut,
    /// What came is not what the workspace has now.
    Differs(Error),
    /// The script says what went wrong.
    Script(ScriptFailure),
    /// Anything that can be told as it is.
    Told(Error),
}

impl ExchangeError {
    /// Whether something else arrived than what was sent.
    pub(super) fn is_about_content(&self) -> bool {
        matches!(self, ExchangeError::Script(failure) if failure.kind == FailureKind::Differs)
    }
}

impl From<Error> for ExchangeError {
    fn from(error: Error) -> ExchangeError {
        ExchangeError::Told(error)
    }
}

/// Why an exchange did not do what it was for.
#[derive(Debug)]
pub(super) enum TransferError {
    /// The script says why.
    Script(ScriptFailure),
    /// Anything else.
    Failed(Error),
}

impl From<Error> for TransferError {
    fn from(error: Error) -> TransferError {
        TransferError::Failed(error)
    }
}

impl From<TransferError> for Error {
    fn from(undone: TransferError) -> Error {
        match undone {
            TransferError::Script(failure) => failure.into(),
            TransferError::Failed(error) => error,
        }
    }
}

/// What an exchange goes over.
pub(super) struct Exchange {
    /// The script's input; dropping it ends it.
    pub(super) input: Option<RemoteEnd<PipeWriter>>,
    /// The script's output.
    pub(super) output: BufReader<RemoteEnd<PipeReader>>,
    /// What our own lines begin with.
    pub(super) mark: String,
    /// What the script noted until now.
    pub(super) notes: Notes,
    path: String,
    records: u32,
}

impl Exchange {
    /// The next line of ours; a failure that the script tells of is an error.
    pub(super) fn record(&mut self) -> Result<String, ExchangeError> {
        let mut skipped = 0;
        loop {
            let mut line = Vec::new();
            let read =
                (&mut self.output).take(LINE).read_until(b'\n', &mut line).map_err(|_| ExchangeError::Cut)?;
            skipped += read as u64;
            if read == 0 || skipped > NOISE {
                return Err(ExchangeError::Cut);
            }
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            let Some((_, record)) = line.split_once(&format!("{} ", self.mark)) else { continue };
            self.records += 1;
            if let Some(note) = record.strip_prefix("N ").filter(|_| self.records < NOTES) {
                self.notes.read(note);
                skipped = 0;
                continue;
            }
            if self.records > RECORDS + NOTES {
                return Err(ExchangeError::Cut);
            }
            return match record.strip_prefix("E ") {
                Some(failed) => Err(ExchangeError::Script(ScriptFailure::parse(failed, &self.path))),
                None => Ok(record.to_owned()),
            };
        }
    }

    /// Waits for the script to say that all is done.
    pub(super) fn done(&mut self) -> Result<(), ExchangeError> {
        loop {
            if self.record()? == "ok" {
                return Ok(());
            }
        }
    }
}

/// What happens in an exchange.
enum Event<T> {
    /// All is said.
    Told(Result<T, ExchangeError>),
    /// The script has ended, and everything it wrote is delivered.
    Ended(Result<Ended>),
}

/// A script, what every user of the workspace may see of it, and what nobody else may; `path` is what failures name.
pub(super) struct Task<'a> {
    pub(super) script: Script,
    pub(super) arguments: &'a [Vec<u8>],
    pub(super) private: Option<&'a str>,
    pub(super) path: &'a str,
}

/// The exchanges of one command, one after the other.
pub struct Exchanges<'a> {
    start: Start<'a>,
    patience: Duration,
    /// Waits for the end of the one before, which signals go to until then; whether one came.
    earlier: Cell<Option<Box<dyn FnOnce() -> bool>>>,
}

impl<'a> Exchanges<'a> {
    /// Each is started by `start`. `env` says how long the workspace may be silent.
    pub fn new(start: Start<'a>, env: &Env) -> Exchanges<'a> {
        Exchanges { start, patience: watchdog::patience(env), earlier: Cell::default() }
    }

    /// Runs the task's script and has `body` hold the conversation with it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        task: &Task<'_>,
        body: impl FnOnce(&mut Exchange) -> Result<T, ExchangeError> + Send + 'static,
    ) -> Result<T, TransferError> {
        if self.earlier.take().is_some_and(|was_interrupted| was_interrupted()) {
            return Err(Error::interrupted().into());
        }
        let mark = random::word();
        let command = task.script.command(&mark, task.arguments, task.private)?;
        let pipe = || io::pipe().map_err(|error| Error::io("make a pipe", error));
        let ((stdin, input), (output, stdout), (errors, stderr)) = (pipe()?, pipe()?, pipe()?);
        widen(&input);
        widen(&stdout);
        let streams = Streams { stdin: stdin.into(), stdout: stdout.into(), stderr: Stream::from(stderr) };
        // The threads are there before the command: without them nothing runs.
        let thread = |error| Error::io("start a thread", error);
        let (sender, events) = mpsc::channel();
        let (talk, begun) = mpsc::channel::<Exchange>();
        let told = sender.clone();
        std::thread::Builder::new()
            .spawn(move || {
                let Ok(mut exchange) = begun.recv() else { return };
                let done = body(&mut exchange);
                drop(exchange);
                let _ = told.send(Event::Told(done));
            })
            .map_err(thread)?;
        let (wait, started) = mpsc::channel::<(Running, Watchdog)>();
        std::thread::Builder::new()
            .spawn(move || {
                let Ok((running, watching)) = started.recv() else { return };
                let limits = Limits { timeout: None, interruptible: true };
                let ended = running.wait_while(&limits, || !watching.has_expired());
                let _ = sender.send(Event::Ended(ended));
            })
            .map_err(thread)?;
        let last_words = collect(errors).map_err(thread)?;
        let running = (self.start)(&command, &streams)?;
        let hold = running.hold();
        drop(streams);
        let watchdog = Watchdog::new(self.patience);
        let exchange = Exchange {
            input: Some(watchdog.remote(input)),
            output: BufReader::with_capacity(CHUNK, watchdog.remote(output)),
            mark,
            notes: Notes::default(),
            path: task.path.to_owned(),
            records: 0,
        };
        let _ = wait.send((running, watchdog.clone())); // it hears signals, before anything is written
        let _ = talk.send(exchange);
        let (done, ended) = match events.recv() {
            Ok(Event::Told(Ok(value))) => {
                watchdog.expect_answer();
                hold.release(); // this process may end before the script's shell, which has nothing left to do
                let was_interrupted = |event| matches!(event, Event::Ended(Ok(Ended::Interrupted { .. })));
                self.earlier.set(Some(Box::new(move || events.iter().any(was_interrupted))));
                return Ok(value);
            }
            Ok(Event::Told(failed)) => (failed, the_end(&events)),
            Ok(Event::Ended(ended)) => {
                let is_cut = matches!(ended, Ok(Ended::Interrupted { .. } | Ended::TimedOut { .. }));
                match events.recv_timeout(if is_cut { REST } else { Duration::MAX }) {
                    Ok(Event::Told(done)) => (done, ended),
                    _ => (Err(ExchangeError::Cut), ended),
                }
            }
            Err(_) => (Err(ExchangeError::Cut), Ok(Ended::NoStatus)),
        };
        conclude(done, ended, &last_words, watchdog.patience())
    }
}

/// What becomes of an exchange that did not end as it should have.
fn conclude<T>(
    done: Result<T, ExchangeError>,
    ended: Result<Ended>,
    last_words: &mpsc::Receiver<String>,
    patience: Duration,
) -> Result<T, TransferError> {
    match (done, ended) {
        (Ok(value), _) => Ok(value),
        (Err(_), Ok(Ended::Interrupted { .. })) => Err(Error::interrupted()
            .hint("what was there before is unchanged, unless the last step had begun")
            .into()),
        (Err(_), Ok(Ended::TimedOut { .. })) => Err(Error::new(
            Code::TimedOut,
            format!("the workspace has been silent for {} s; the transfer was given up", patience.as_secs()),
        )
        .hint("what was there before is unchanged, unless the last step had begun; RUNCODE_PATIENCE sets the seconds")
        .into()),
        (Err(ExchangeError::Script(failure)), _) => Err(TransferError::Script(failure)),
        (Err(ExchangeError::Told(error) | ExchangeError::Differs(error)), _) => Err(error.into()),
        (Err(ExchangeError::Cut), Ok(Ended::Status(status))) => {
            let words = last_words.recv_timeout(REST).unwrap_or_default();
            let said = words.lines().rev().find(|line| !line.trim().is_empty());
            let said = said.map_or("it said nothing".to_owned(), |line| foreign::said("it", line));
            let what = format!("the workspace's shell gave up with status {status}: {said}");
            Err(Error::new(Code::Error, what).into())
        }
        (Err(ExchangeError::Cut), _) => {
            Err(Error::new(Code::Transport, "the connection was lost before the transfer was complete")
                .hint("what was there before is unchanged; run the command again")
                .into())
        }
    }
}

/// How the script ended, when all is said already.
fn the_end<T>(events: &mpsc::Receiver<Event<T>>) -> Result<Ended> {
    match events.recv_timeout(END) {
        Ok(Event::Ended(ended)) => ended,
        _ => Ok(Ended::NoStatus),
    }
}

/// Reads what is said on stderr to its end; the last of it comes through the channel.
fn collect(mut errors: PipeReader) -> io::Result<mpsc::Receiver<String>> {
    const KEPT: usize = 4096;
    let (sender, words) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        let (mut kept, mut chunk) = (Vec::new(), [0; KEPT]);
        while let Ok(read @ 1..) = errors.read(&mut chunk) {
            kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
            kept.drain(..kept.len().saturating_sub(KEPT));
        }
        let _ = sender.send(String::from_utf8_lossy(&kept).into_owned());
    })?;
    Ok(words)
}

/// Lets a pipe hold more, so that both its ends change turns less often. Refused is fine.
fn widen(pipe: &PipeWriter) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = pipe;
}
