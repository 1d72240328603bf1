//! A stream of a command as it comes: its beginning and its end in memory, all of it in a file where it is long.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use crate::mcp::workspace::shelf::{Place, STREAM_MAX, Side};

/// How much of the beginning and of the end is in memory, in bytes: four for each character that may be shown, and room for what
/// is not shown.
const HEAD: usize = 64 << 10;
const TAIL: usize = 192 << 10;

/// A stream, and the thread that reads it.
pub(super) struct Capture {
    state: Arc<Mutex<State>>,
    ended: mpsc::Receiver<()>,
}

/// What came so far.
pub(super) struct State {
    pub(super) side: Side,
    pub(super) head: Vec<u8>,
    pub(super) tail: VecDeque<u8>,
    /// How many bytes came.
    pub(super) total: u64,
    /// How many line ends.
    pub(super) lines: u64,
    /// How many bytes are in the file.
    pub(super) kept: u64,
    place: Place,
    file: Option<File>,
    is_unkept: bool,
}

impl Capture {
    /// Reads to the end on a thread of its own, and tells of each piece.
    pub(super) fn start(
        mut from: impl Read + Send + 'static,
        side: Side,
        place: Place,
        tell: impl Fn(&[u8]) + Send + 'static,
    ) -> std::io::Result<Capture> {
        let state = Arc::new(Mutex::new(State::new(side, place)));
        let (sender, ended) = mpsc::channel();
        let filling = Arc::clone(&state);
        std::thread::Builder::new().spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        let piece = buffer.get(..count).unwrap_or_default();
                        lock(&filling).push(piece);
                        tell(piece);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            let _ = sender.send(());
        })?;
        Ok(Capture { state, ended })
    }

    /// Waits for the end, for `patience` at most, and takes what there is by then.
    pub(super) fn finish(&self, patience: Duration) -> MutexGuard<'_, State> {
        let _ = self.ended.recv_timeout(patience);
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Nothing has arrived yet.
    pub(super) fn new(side: Side, place: Place) -> State {
        State {
            side,
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
            lines: 0,
            kept: 0,
            place,
            file: None,
            is_unkept: false,
        }
    }

    /// The next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.total += piece.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', piece).count() as u64;
        let (first, rest) = piece.split_at(piece.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(first);
        if self.file.is_some() || self.total > HEAD as u64 {
            if self.file.is_none() {
                let head = std::mem::take(&mut self.head);
                self.keep(&head);
                self.head = head;
                self.keep(rest);
            } else {
                self.keep(piece);
            }
        }
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
    }

    /// Writes to the file, as long as that can be done. A call's output matters more than that it is kept.
    fn keep(&mut self, piece: &[u8]) {
        let left = usize::try_from(STREAM_MAX.saturating_sub(self.kept)).unwrap_or(usize::MAX);
        let piece = piece.get(..left.min(piece.len())).unwrap_or_default();
        if self.is_unkept || piece.is_empty() {
            return;
        }
        if self.file.is_none() {
            self.file = self.place.create(self.side).ok();
        }
        match self.file.as_mut().map(|file| file.write_all(piece)) {
            Some(Ok(())) => self.kept += piece.len() as u64,
            _ => self.is_unkept = true,
        }
    }

    /// Sees to it that a short one is in a file, too; whether all went well.
    pub(super) fn settle(&mut self) -> bool {
        if self.file.is_none() {
            let head = std::mem::take(&mut self.head);
            self.keep(&head);
            self.head = head;
        }
        !self.is_unkept
    }
}
