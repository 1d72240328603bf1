//! The server's process on the workspace: what it says, what it is told, and its end.

use std::io::{Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::mcp::framing::{Line, Lines};
use crate::session::{Session, Sessions};
use crate::sys::interrupt::{Cancel, Interrupt};
use crate::transport::{Ended, Limits, RemoteCommand, Streams};

/// The longest message, in bytes.
pub(super) const MAX: usize = 64 << 20;

/// How many messages to the server may wait until it reads.
const UNREAD: usize = 256;

/// How long the last output may take once the process has ended.
const REST: Duration = Duration::from_secs(2);

/// How long the last errors may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long ending the process group takes at most.
const SLOWEST_END: Duration = Duration::from_secs(15);

/// What happened.
pub(super) enum Event {
    /// A line.
    Line(Vec<u8>),
    /// A line without an end.
    TooLong,
    /// Nothing more will come.
    Closed,
    /// A signal came here.
    Signal(i32),
    /// Nothing, in the time that was given.
    Late,
    /// The process has ended.
    Ended(Result<Ended>),
}

/// The server's process.
pub(super) struct Link {
    events: Receiver<Event>,
    to: Option<SyncSender<Vec<u8>>>,
    ended: Option<Result<Ended>>,
    is_over: bool,
    is_given_up: Arc<AtomicBool>,
    watch: Cancel,
    errors: Receiver<()>,
}

impl Link {
    /// Starts it. `cancel` interrupts it, as a signal does.
    pub(super) fn start(
        sessions: &Sessions<'_>,
        session: &Session,
        command: &RemoteCommand,
        cancel: &Cancel,
    ) -> Result<Link> {
        let pipe = || std::io::pipe().map_err(|error| Error::io("make a pipe", error));
        let ((stdin, mut writer), (output, stdout), (errors, stderr)) = (pipe()?, pipe()?, pipe()?);
        let watch = Cancel::default();
        // Before the start, so that no signal is missed.
        let interrupt = Interrupt::of_command(cancel)?.heard_with(&watch);
        let streams = Streams { stdin: stdin.into(), stdout: stdout.into(), stderr: stderr.into() };
        let running = sessions.start(session, command, &streams)?;
        drop(streams);
        // Without room: nothing is read ahead.
        let (sender, events) = mpsc::sync_channel(0);
        let (to, messages) = mpsc::sync_channel::<Vec<u8>>(UNREAD);
        let (done, errors_done) = mpsc::channel();
        let is_given_up = Arc::new(AtomicBool::new(false));
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().spawn(work).map_err(|error| Error::io("start a thread", error))
        };
        let (reading, signals, gone) = (sender.clone(), sender.clone(), Arc::clone(&is_given_up));
        spawn(Box::new(move || {
            let goes_on = || !gone.load(Ordering::SeqCst);
            let ended = running.wait_while(&Limits { timeout: None, interruptible: false }, goes_on);
            let _ = sender.send(Event::Ended(ended));
        }))?;
        spawn(Box::new(move || read(output, &reading)))?;
        spawn(Box::new(move || {
            // A server that is gone shows elsewhere.
            messages.into_iter().try_for_each(|bytes| writer.write_all(&bytes)).unwrap_or_default();
        }))?;
        spawn(Box::new(move || {
            pass_on(errors);
            let _ = done.send(());
        }))?;
        spawn(Box::new(move || {
            loop {
                interrupt.wait();
                let signal = interrupt.take();
                if signal.is_none_or(|signal| signals.send(Event::Signal(signal)).is_err()) {
                    return;
                }
            }
        }))?;
        Ok(Link {
            events,
            to: Some(to),
            ended: None,
            is_over: false,
            is_given_up,
            watch,
            errors: errors_done,
        })
    }

    /// Sends lines, all at once. Nobody waits for them to be read; `false` if too many wait already.
    pub(super) fn send(&self, bytes: Vec<u8>) -> bool {
        !self.to.as_ref().is_some_and(|to| matches!(to.try_send(bytes), Err(TrySendError::Full(_))))
    }

    /// What happens next, until `deadline`.
    pub(super) fn next(&mut self, deadline: Instant) -> Event {
        let mut deadline = deadline;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended(ended)) => {
                    self.ended = Some(ended);
                    deadline = deadline.min(Instant::now() + REST);
                }
                Ok(event) => return event,
                Err(RecvTimeoutError::Timeout) if self.ended.is_none() => return Event::Late,
                Err(_) => return Event::Closed,
            }
        }
    }

    /// Closes the server's stdin, and ends what is left of it after `grace`: how it ended, if that is known. A signal meanwhile
    /// gives up at once.
    pub(super) fn end(&mut self, grace: Duration) -> Option<&Ended> {
        self.to = None;
        if !std::mem::replace(&mut self.is_over, true) {
            let goes_on = self.wait(grace);
            if self.ended.is_none() {
                self.is_given_up.store(true, Ordering::SeqCst);
                self.wait(if goes_on { SLOWEST_END } else { Duration::ZERO });
            }
            let _ = self.errors.recv_timeout(LAST_WORDS);
        }
        self.ended.as_ref()?.as_ref().ok()
    }

    /// Waits for the end; `false` if a signal came first.
    fn wait(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.ended.is_none() {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended(ended)) => self.ended = Some(ended),
                Ok(Event::Signal(_)) => return false,
                Err(_) => return true,
                Ok(_) => {} // whatever it still says, somebody has to take it
            }
        }
        true
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.watch.cancel();
    }
}

/// Reads lines to the end, or to the first one that is too long.
fn read(from: impl Read, to: &SyncSender<Event>) {
    let mut lines = Lines::new(from, MAX).not_skipping();
    loop {
        let event = match lines.next() {
            Ok(Line::Text(text)) => Event::Line(text),
            Ok(Line::TooLong) => Event::TooLong,
            Ok(Line::End) | Err(_) => Event::Closed,
        };
        let is_last = !matches!(event, Event::Line(_));
        if to.send(event).is_err() || is_last {
            return;
        }
    }
}

/// Writes what the server says on stderr to ours, as it comes.
fn pass_on(mut from: impl Read) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let piece = buffer.get(..count).unwrap_or_default();
                let mut stderr = std::io::stderr().lock();
                let _ = stderr.write_all(piece).and_then(|()| stderr.flush()); // nobody reads it any more
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
