//! One exchange with a script of ours on the workspace: its input, its output, and how both end.
//!
//! What the login shell prints before the script runs is skipped: our own lines bear a random mark. Input is written by a
//! thread that is not waited for when the workspace has given up, since what it reads from may never come to an end. Once
//! the script has said that all is done, nobody waits for its shell to end.

use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Read};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::files::failure::ScriptFailure;
use crate::files::pulse::{Pulse, There};
use crate::files::script::Script;
use crate::output::foreign;
use crate::sys::random;
use crate::transport::{Ended, Limits, RemoteCommand, Running, Stream, Streams, remote_end};

/// What starts a command on the workspace: once, on a connection that stands or is made to.
pub type Start<'a> = &'a dyn Fn(&RemoteCommand, &Streams) -> Result<Running>;

/// How much is moved at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// The longest line that is looked at, and the most that a login shell may print before our script's first line.
const LINE: u64 = 64 * 1024;
const NOISE: u64 = 64 * 1024 * 1024;

/// How many lines of ours a script may say.
const RECORDS: u32 = 1000;

/// How long the rest may take once the command is over and nothing but our own work is left.
const REST: Duration = Duration::from_secs(2);

/// How long the command may take to end once there is nothing left to say; one that was interrupted is ended in that time.
const END: Duration = remote_end::PATIENCE.saturating_add(REST);

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// The output ended before what had to come.
    Cut,
    /// What came is not what the workspace has now.
    Differs(Error),
    /// The script says what went wrong.
    Script(ScriptFailure),
    /// Anything that can be told as it is.
    Told(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Told(error)
    }
}

/// Why an exchange did not do what it was for.
#[derive(Debug)]
pub(super) enum Undone {
    /// The script says why.
    Script(ScriptFailure),
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Undone {
    fn from(error: Error) -> Undone {
        Undone::Failed(error)
    }
}

impl From<Undone> for Error {
    fn from(undone: Undone) -> Error {
        match undone {
            Undone::Script(failure) => failure.into(),
            Undone::Failed(error) => error,
        }
    }
}

/// What an exchange goes over.
pub(super) struct Talk {
    /// The script's input; dropping it ends it.
    pub(super) input: Option<There<PipeWriter>>,
    /// The script's output.
    pub(super) output: BufReader<There<PipeReader>>,
    /// What our own lines begin with.
    pub(super) mark: String,
    path: String,
    records: u32,
}

impl Talk {
    /// The next line of ours; a failure that the script tells of is an error.
    pub(super) fn record(&mut self) -> Result<String, Fault> {
        let mut skipped = 0;
        loop {
            let mut line = Vec::new();
            let read = (&mut self.output).take(LINE).read_until(b'\n', &mut line).map_err(|_| Fault::Cut)?;
            skipped += read as u64;
            if read == 0 || skipped > NOISE {
                return Err(Fault::Cut);
            }
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            let Some((_, record)) = line.split_once(&format!("{} ", self.mark)) else { continue };
            self.records += 1;
            if self.records > RECORDS {
                return Err(Fault::Cut);
            }
            return match record.strip_prefix("E ") {
                Some(failed) => Err(Fault::Script(ScriptFailure::parse(failed, &self.path))),
                None => Ok(record.to_owned()),
            };
        }
    }

    /// Waits for the script to say that all is done.
    pub(super) fn done(&mut self) -> Result<(), Fault> {
        loop {
            if self.record()? == "ok" {
                return Ok(());
            }
        }
    }
}

/// What waits for the end of the exchange before: until then that one watches for signals.
static EARLIER: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// What happens in an exchange.
enum Event<T> {
    /// The talk is over.
    Told(Result<T, Fault>),
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

/// Runs the task's script and has `body` talk to it.
pub(super) fn talk<T: Send + 'static>(
    start: Start<'_>,
    task: &Task<'_>,
    body: impl FnOnce(&mut Talk) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Undone> {
    let earlier = EARLIER.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(wait) = earlier {
        wait();
    }
    let mark = random::word();
    let command = task.script.command(&mark, task.arguments, task.private)?;
    let pipe = || io::pipe().map_err(|error| Error::io("make a pipe", error));
    let ((stdin, input), (output, stdout), (errors, stderr)) = (pipe()?, pipe()?, pipe()?);
    widen(&input);
    widen(&stdout);
    let streams = Streams { stdin: stdin.into(), stdout: stdout.into(), stderr: Stream::from(stderr) };
    let running = start(&command, &streams)?;
    drop(streams);
    let (sender, events) = mpsc::channel();
    let pulse = Pulse::new();
    let mut talk = Talk {
        input: Some(pulse.there(input)),
        output: BufReader::with_capacity(CHUNK, pulse.there(output)),
        mark,
        path: task.path.to_owned(),
        records: 0,
    };
    let told = sender.clone();
    std::thread::spawn(move || {
        let done = body(&mut talk);
        drop(talk);
        let _ = told.send(Event::Told(done));
    });
    let heart = pulse.clone();
    std::thread::spawn(move || {
        let limits = Limits { timeout: None, interruptible: true };
        let ended = running.wait_while(&limits, || !heart.is_lost());
        let _ = sender.send(Event::Ended(ended));
    });
    let last_words = collect(errors);
    let (done, ended) = match events.recv() {
        Ok(Event::Told(Ok(value))) => {
            pulse.listen();
            let wait = Box::new(move || while events.recv().is_ok() {});
            *EARLIER.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait);
            return Ok(value);
        }
        Ok(Event::Told(failed)) => (failed, the_end(&events)),
        Ok(Event::Ended(ended)) => {
            let is_cut = matches!(ended, Ok(Ended::Interrupted { .. } | Ended::TimedOut { .. }));
            match events.recv_timeout(if is_cut { REST } else { Duration::MAX }) {
                Ok(Event::Told(done)) => (done, ended),
                _ => (Err(Fault::Cut), ended),
            }
        }
        Err(_) => (Err(Fault::Cut), Ok(Ended::NoStatus)),
    };
    match (done, ended) {
        (Ok(value), _) => Ok(value),
        (Err(_), Ok(Ended::Interrupted { .. })) => Err(Error::new(Code::Interrupted, "interrupted")
            .hint("what was there before is unchanged, unless the last step was being taken")
            .into()),
        (Err(_), Ok(Ended::TimedOut { .. })) => Err(Error::new(
            Code::TimedOut,
            format!("the workspace has said nothing for {} s; the transfer was given up", pulse.patience().as_secs()),
        )
        .hint("what was there before is unchanged, unless the last step was being taken; RUNCODE_PATIENCE sets the seconds")
        .into()),
        (Err(Fault::Script(failure)), _) => Err(Undone::Script(failure)),
        (Err(Fault::Told(error) | Fault::Differs(error)), _) => Err(error.into()),
        (Err(Fault::Cut), Ok(Ended::Status(status))) => {
            let words = last_words.recv_timeout(REST).unwrap_or_default();
            let said = words.lines().rev().find(|line| !line.trim().is_empty());
            let said = said.map_or("it said nothing".to_owned(), |line| foreign::said("it", line));
            let what = format!("the workspace's shell gave up with status {status}: {said}");
            Err(Error::new(Code::Error, what).into())
        }
        (Err(Fault::Cut), _) => {
            Err(Error::new(Code::Transport, "the connection was lost before the transfer was complete")
                .hint("what was there before is unchanged; run the command again")
                .into())
        }
    }
}

/// How the script ended, when the talk is over already.
fn the_end<T>(events: &mpsc::Receiver<Event<T>>) -> Result<Ended> {
    match events.recv_timeout(END) {
        Ok(Event::Ended(ended)) => ended,
        _ => Ok(Ended::NoStatus),
    }
}

/// Reads what is said on stderr to its end; the last of it comes through the channel.
fn collect(mut errors: PipeReader) -> mpsc::Receiver<String> {
    const KEPT: usize = 4096;
    let (sender, words) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut kept, mut chunk) = (Vec::new(), [0; KEPT]);
        while let Ok(read @ 1..) = errors.read(&mut chunk) {
            kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
            kept.drain(..kept.len().saturating_sub(KEPT));
        }
        let _ = sender.send(String::from_utf8_lossy(&kept).into_owned());
    });
    words
}

/// Lets a pipe hold more, so that both its ends change turns less often. Refused is fine.
fn widen(pipe: &PipeWriter) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = pipe;
}
