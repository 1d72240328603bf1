//! What a client sent on a channel and nobody has read yet.
//!
//! The SSH library opens a channel's window again as soon as data arrives, so a client may send faster than a
//! command reads. Waiting in the library's loop would stall every other channel of the connection, and could wait
//! for ever: what would end the wait may be behind it. So nothing waits there; beyond a few MiB the data goes
//! to an unlinked temporary file, which keeps memory bounded and the order exact.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::gate::Gate;

/// How much of one channel's backlog stays in memory.
const MEMORY: usize = 4 << 20;
/// How much is read back from the file at a time.
const CHUNK: usize = 256 << 10;

/// One channel's backlog.
pub(crate) struct Backlog {
    inner: Mutex<Inner>,
    changed: Notify,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<Bytes>,
    queued: usize,
    spilled: Option<Spill>,
    ended: bool,
    unwanted: bool,
}

impl Backlog {
    /// An empty one; `gate` is told how much there is.
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Backlog { inner: Mutex::default(), changed: Notify::new(), gate }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what a client sent.
    ///
    /// # Errors
    /// When the temporary file cannot be made or written; the data is then lost and the channel must be closed.
    pub(crate) fn push(&self, data: Bytes) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.unwanted || inner.ended || data.is_empty() {
            return Ok(());
        }
        let length = data.len();
        if inner.spilled.is_some() || inner.queued + data.len() > MEMORY {
            let spill = match inner.spilled.take() {
                Some(spill) => spill,
                None => Spill::new()?,
            };
            inner.spilled.insert(spill).write(&data)?;
        } else {
            inner.queued += length;
            inner.queue.push_back(data);
        }
        drop(inner);
        self.gate.add(length);
        self.changed.notify_one();
        Ok(())
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// Nobody will read any more: drops what there is and what still comes.
    pub(crate) fn discard(&self) {
        let mut inner = self.lock();
        inner.unwanted = true;
        inner.queue.clear();
        let left = inner.queued + inner.spilled.take().map_or(0, |spill| spill.len());
        inner.queued = 0;
        drop(inner);
        self.gate.remove(left);
        self.changed.notify_one();
    }

    /// The next piece, waiting for one; `None` at the end. For one reader.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            // The lock must not be held across the wait.
            if let Some(step) = self.take() {
                return step;
            }
            self.changed.notified().await;
        }
    }

    /// The next piece, or the end, if either is there already.
    fn take(&self) -> Option<Option<Bytes>> {
        let mut inner = self.lock();
        if inner.unwanted {
            return Some(None);
        }
        let piece = if let Some(piece) = inner.queue.pop_front() {
            inner.queued -= piece.len();
            piece
        } else if let Some(spill) = &mut inner.spilled {
            let piece = spill.read().unwrap_or_default();
            if piece.is_empty() || spill.len() == 0 {
                inner.spilled = None;
            }
            piece
        } else {
            return inner.ended.then_some(None);
        };
        drop(inner);
        self.gate.remove(piece.len());
        // An unreadable file ends the stream: a gap would be a lie.
        Some((!piece.is_empty()).then_some(piece))
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.discard();
    }
}

/// The part of a backlog that is in a file.
struct Spill {
    file: File,
    read: u64,
    written: u64,
}

impl Spill {
    fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        // It has no name, but /proc leads to it.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(Spill { file, read: 0, written: 0 })
    }

    fn len(&self) -> usize {
        usize::try_from(self.written - self.read).unwrap_or(usize::MAX)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.written))?;
        self.file.write_all(data)?;
        self.written += data.len() as u64;
        Ok(())
    }

    fn read(&mut self) -> io::Result<Bytes> {
        let mut piece = vec![0; self.len().min(CHUNK)];
        self.file.seek(SeekFrom::Start(self.read))?;
        self.file.read_exact(&mut piece)?;
        self.read += piece.len() as u64;
        Ok(piece.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    fn backlog() -> Backlog {
        Backlog::new(Arc::new(Gate::for_tests()))
    }

    #[tokio::test]
    async fn keeps_the_order_far_beyond_memory_and_ends() {
        let backlog = backlog();
        let mut sent = Vec::new();
        for n in 0..(3 * MEMORY / 32768) {
            let piece: Vec<u8> = (0..32768).map(|i| (i * 7 + n) as u8).collect();
            sent.extend_from_slice(&piece);
            backlog.push(piece.into()).unwrap();
        }
        let mut received = backlog.next().await.unwrap().to_vec();
        backlog.push(Bytes::from_static(b"late")).unwrap();
        sent.extend(b"late");
        backlog.end();
        while let Some(piece) = backlog.next().await {
            received.extend(piece);
        }
        assert!(received == sent);
        assert_eq!(backlog.gate.total(), 0);
    }

    #[tokio::test]
    async fn discarding_ends_the_reader_and_forgets_all() {
        let backlog = backlog();
        backlog.push(vec![0; MEMORY].into()).unwrap();
        backlog.push(vec![0; MEMORY].into()).unwrap();
        assert_eq!(backlog.gate.total(), 2 * MEMORY);
        backlog.discard();
        backlog.push(Bytes::from_static(b"more")).unwrap();
        assert_eq!(backlog.next().await, None);
        assert_eq!(backlog.gate.total(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_put_in_a_file_is_for_this_user_alone() {
        let permissions = Spill::new().unwrap().file.metadata().unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
    }
}
