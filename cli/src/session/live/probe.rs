//! Whether a workspace runs commands: a command that does nothing, waited for as long as somebody waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::session::Session;
use crate::session::live::Sessions;
use crate::sys::clock::Deadline;
use crate::transport::{Ended, Limits, RemoteCommand, Running, Streams, Variables};

/// How long a command that does nothing takes where all is well. One that takes longer may wait for slow start-up files; or it
/// hangs, because it came while the workspace was booting, and the next one does not.
pub(super) const PROBE_DEADLINE: Duration = Duration::from_secs(15);

/// How many commands wait for an answer at once.
const MOST: usize = 4;

/// How often it is asked whether anybody still waits.
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

    /// An error where the connection that seems to be up is not, and no other could be made.
    pub(super) fn answers(&self, session: &Session) -> Result<()> {
        self.ask_for_nothing(session).map(|_| ())
    }

    fn ask_for_nothing(&self, session: &Session) -> Result<Running> {
        let nothing = RemoteCommand::snippet(None, &Variables::default(), "exit 0")?;
        self.start(session, &nothing, &Streams::null())
    }
}
