//! What is written: one message at a time, whoever sends it.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// The one writer. Clones are the same.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    writer: Mutex<Box<dyn Write + Send>>,
    is_broken: AtomicBool,
}

impl Outbox {
    /// Writes to `writer`.
    pub fn new(writer: impl Write + Send + 'static) -> Outbox {
        Outbox(Arc::new(Inner { writer: Mutex::new(Box::new(writer)), is_broken: AtomicBool::new(false) }))
    }

    /// Sends a message, as a line of its own. One that nobody reads any more is dropped: the client's end shows elsewhere.
    pub(crate) fn send(&self, message: &Value) {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.is_broken.load(Ordering::SeqCst) {
            return; // half a line would be the beginning of the next one
        }
        if writer.write_all(&line).and_then(|()| writer.flush()).is_err() {
            self.0.is_broken.store(true, Ordering::SeqCst);
        }
    }
}
