//! One connection: whether it has shown who it is, and whether it is to end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

use runcode_peer::Owner;

/// Which of a connection's two directions waits.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// From the client.
    Read = 0,
    /// To the client.
    Write = 1,
}

/// A connection, as everybody sees it who decides about it.
pub struct Visit {
    owner: Owner,
    cut: AtomicBool,
    /// Whether it has shown who it is: by a token, or by a session.
    recognized: AtomicBool,
    /// Whoever waits to read, and to write.
    waiting: Mutex<[Option<Waker>; 2]>,
}

impl Visit {
    /// A new connection of `owner`, who was told when it was accepted: later, its addresses may be another's.
    pub fn new(owner: Owner) -> Visit {
        Visit {
            owner,
            cut: AtomicBool::default(),
            recognized: AtomicBool::default(),
            waiting: Mutex::default(),
        }
    }

    /// Whose connection it is.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Ends the connection without a word, from outside.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether it was ended from outside.
    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Takes note that the connection has shown who it is.
    pub fn recognize(&self) {
        self.recognized.store(true, Ordering::Release);
    }

    /// Whether nothing is to be decided about the connection any more: it has shown who it is, or was ended.
    pub fn is_settled(&self) -> bool {
        self.recognized.load(Ordering::Acquire) || self.is_cut()
    }

    /// Called before the socket is read or written: whoever does is woken when something changes.
    ///
    /// # Errors
    /// When the connection was ended.
    pub fn check(&self, side: Side, cx: &Context<'_>) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = waiting.get_mut(side as usize) {
            *slot = Some(cx.waker().clone());
        }
        drop(waiting);
        if self.is_cut() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Has both directions look again.
    pub fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}
