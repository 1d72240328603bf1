//! Progress notifications: at the first output, a few times a second while there is more, and now and then in silence.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mcp::outbox::Outbox;
use crate::output::sanitize;

/// The shortest time between two.
const BETWEEN: Duration = Duration::from_millis(250);

/// The longest.
const SILENCE: Duration = Duration::from_secs(10);

/// What is told of one call until it is answered. Clones are the same.
#[derive(Clone)]
pub(super) struct Progress(Arc<Inner>);

struct Inner {
    outbox: Outbox,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    is_open: bool,
    message: Option<String>,
}

impl Progress {
    /// Of a call that begins now. Without a token nothing is told.
    pub(super) fn new(outbox: Outbox, token: Option<Value>) -> Progress {
        let state = Mutex::new(State { is_open: true, message: None });
        let progress = Progress(Arc::new(Inner { outbox, state, changed: Condvar::new() }));
        if let Some(token) = token {
            let told = progress.clone();
            // Without a thread there is no progress, and the call goes on.
            let _ = std::thread::Builder::new().spawn(move || told.tell(&token));
        }
        progress
    }

    /// The latest line of output.
    pub(super) fn line(&self, line: &str) {
        let mut state = self.state();
        let is_first = state.message.is_none();
        state.message = Some(sanitize::short(line.trim()));
        if is_first {
            self.0.changed.notify_all();
        }
    }

    /// Sends a message of the call, unless it has ended.
    pub(super) fn send(&self, message: &Value) {
        let state = self.state();
        if state.is_open {
            self.0.outbox.send(message); // under the lock: nothing follows an answer
        }
    }

    /// Ends it, and sends what comes last, unless it ended before.
    pub(super) fn end(&self, last: Option<&Value>) -> bool {
        let mut state = self.state();
        let was_open = std::mem::replace(&mut state.is_open, false);
        if let Some(last) = last.filter(|_| was_open) {
            self.0.outbox.send(last);
        }
        self.0.changed.notify_all();
        was_open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, token: &Value) {
        let began = Instant::now();
        let (mut sent, mut value) = (None::<Instant>, 0);
        let mut state = self.state();
        while state.is_open {
            let since = sent.unwrap_or(began);
            let due = match (&state.message, sent) {
                (Some(_), None) => began,
                (Some(_), Some(sent)) => sent + BETWEEN,
                (None, _) => since + SILENCE,
            };
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                let waited = self.0.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            value = (value + 1).max(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
            let mut params = json!({ "progressToken": token, "progress": value });
            if let Some(message) = state.message.take() {
                params["message"] = message.into();
            }
            let message = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
            self.0.outbox.send(&message); // under the lock: nothing follows an answer
            sent = Some(Instant::now());
        }
    }
}
