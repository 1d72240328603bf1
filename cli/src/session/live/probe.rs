//! Checks that a workspace runs commands: sends one that does nothing, and waits as long as the caller does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::session::Session;
use crate::session::live::Sessions;
use crate::sys::clock::Deadline;
use crate::transport::{Ended, Limits, RemoteCommand, Running, Streams, Variables};

/// How long a command that does nothing takes on a healthy workspace. A slower one may be waiting for slow start-up files, or
/// may hang because it arrived during the boot; in that case the next one will not.
pub(super) const PROBE_DEADLINE: Duration = Duration::from_secs(15);

/// How many commands may be waiting for an answer at once.
const MOST: usize = 4;

/// How often to check that the caller still waits.
const LOOK: Duration = Duration::from_millis(100);

impl Sessions<'_> {
    /// Waits until a command has been answered, as long as `goes_on`.
    pub fn probe(&self, session: &Session, goes_on: &dyn Fn() -> bool) -> Result<()> {
        {
            let _locked = self.store().lock(&session.meta.key)?;
            self.start_master(session)?;
        }
        let unanswered = || Error::new(Code::Transport, "SSH answers, but does not run commands yet");
        let is_over = AtomicBool::new(false);
        let (sender, answers) = mpsc::channel();
        std::thread::scope(|scope| {
            let mut next = Deadline::after(Duration::ZERO);
            let (mut asked, mut answered) = (0, 0);
            let found = loop {
                if next.is_past() && asked < MOST && goes_on() {
                    let running = match self.ask_for_nothing(session) {
                        Ok(running) => running,
                        Err(error) if asked == answered => break Err(error),
                        Err(_) => break Err(unanswered()),
                    };
                    let (sender, is_over) = (sender.clone(), &is_over);
                    scope.spawn(move || {
                        let limits = Limits { timeout: None, interruptible: false };
                        let ended = running.wait_while(&limits, || !is_over.load(Ordering::SeqCst));
                        sender.send(ended)
                    });
                    (asked, next) = (asked + 1, Deadline::after(PROBE_DEADLINE));
                }
                match answers.recv_timeout(LOOK) {
                    Ok(Ok(Ended::Status(0))) => break Ok(()),
                    Ok(Err(error)) => break Err(error),
                    Ok(Ok(_)) => {
                        answered += 1;
                        if asked == answered {
                            break Err(unanswered());
                        }
                    }
                    Err(RecvTimeoutError::Timeout) if goes_on() => {}
                    Err(_) => break Err(unanswered()),
                }
            };
            is_over.store(true, Ordering::SeqCst);
            found
        })
    }

    /// Fails if the connection only seemed to be up, and no other could be made.
    pub(super) fn answers(&self, session: &Session) -> Result<()> {
        self.ask_for_nothing(session).map(Running::let_go)
    }

    fn ask_for_nothing(&self, session: &Session) -> Result<Running> {
        let nothing = RemoteCommand::snippet(None, &Variables::default(), "exit 0")?;
        self.start_permitted(session, &nothing, &Streams::null())
    }
}
