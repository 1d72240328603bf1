//! Who may come in, and how long they may take to say who they are.
//!
//! Every user of this machine, and every program of this user, can connect to a loopback port. Until a connection has
//! shown a token or a session it counts against a limit: other users have a small one of their own, so that none of
//! them can take the place of whoever started the plane.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use runcode_peer::Owner;
use tokio::net::{TcpListener, TcpStream};

use crate::visit::Visit;

/// How many connections of each other user wait at once. One more is closed.
const EACH_OTHER: usize = 8;
/// How many of all other users together.
const OTHERS: usize = 32;
/// How many of those whose owner is not known. For one more, the oldest is closed.
const UNKNOWN: usize = 64;
/// How often the clock is looked at while nobody comes.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait when no connection can be accepted: out of descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(50);

/// The way in to one listener.
pub struct Entrance {
    /// How many connections of this user's own, or root's, wait at once. One more is closed.
    ours: usize,
    /// How long a connection may wait.
    patience: Duration,
    waiting: Mutex<Vec<Waiting>>,
}

/// A connection that has not said yet who it is.
struct Waiting {
    owner: Owner,
    since: Instant,
    visit: Weak<Visit>,
}

impl Waiting {
    /// The connection, unless it is gone or known by now.
    fn visit(&self) -> Option<Arc<Visit>> {
        self.visit.upgrade().filter(|visit| !visit.is_settled())
    }
}

impl Entrance {
    /// One that lets `ours` connections of this user wait at once, each for so long.
    pub fn new(ours: usize, patience: Duration) -> Self {
        Entrance { ours, patience, waiting: Mutex::default() }
    }

    /// The next connection that may come in. Whatever goes wrong with one, the next is waited for. Dropping the future
    /// loses no connection.
    pub async fn next(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, Arc<Visit>) {
        loop {
            self.close_overdue();
            let Ok(accepted) = tokio::time::timeout(LOOK, listener.accept()).await else { continue };
            match accepted {
                Ok((socket, peer)) => {
                    if let Some(visit) = self.admit(runcode_peer::owner_of_peer(&socket)) {
                        let _ = socket.set_nodelay(true);
                        return (socket, peer, visit);
                    }
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// A new connection, or `None` when its owner has enough of them.
    fn admit(&self, owner: Owner) -> Option<Arc<Visit>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| one.visit().is_some());
        let of = |counts: &dyn Fn(Owner) -> bool| waiting.iter().filter(|one| counts(one.owner)).count();
        let is_other = |owner: Owner| matches!(owner, Owner::Other(_));
        let is_unnamed = |owner: Owner| matches!(owner, Owner::Nobody | Owner::Unknown);
        let is_full = match owner {
            Owner::Ours => of(&|one| one == owner) >= self.ours,
            Owner::Other(_) => of(&|one| one == owner) >= EACH_OTHER || of(&is_other) >= OTHERS,
            Owner::Nobody | Owner::Unknown => of(&is_unnamed) >= UNKNOWN,
        };
        if is_full {
            // Among those without a name, whoever came for good must get a turn.
            let oldest = waiting.iter().position(|one| is_unnamed(owner) && is_unnamed(one.owner))?;
            if let Some(visit) = waiting.remove(oldest).visit() {
                visit.cut();
            }
        }
        let visit = Arc::new(Visit::new(owner));
        waiting.push(Waiting { owner, since: Instant::now(), visit: Arc::downgrade(&visit) });
        Some(visit)
    }

    fn close_overdue(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| match one.visit() {
            Some(visit) if one.since.elapsed() >= self.patience => {
                visit.cut();
                false
            }
            visit => visit.is_some(),
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    fn entrance() -> Entrance {
        Entrance::new(100, Duration::from_secs(60))
    }

    /// How many of `count` connections of an owner come in, and those.
    fn come(entrance: &Entrance, owner: Owner, count: usize) -> Vec<Arc<Visit>> {
        (0..count).filter_map(|_| entrance.admit(owner)).collect()
    }

    fn open(visits: &[Arc<Visit>]) -> usize {
        visits.iter().filter(|visit| !visit.is_settled()).count()
    }

    #[test]
    fn other_users_have_a_limit_each_and_together() {
        let entrance = entrance();
        let crowds: Vec<_> = (1..=10).map(|user| come(&entrance, Owner::Other(user), 50)).collect();
        assert_eq!(crowds[0].len(), EACH_OTHER);
        assert_eq!(crowds.iter().map(Vec::len).sum::<usize>(), OTHERS);
        let ours = come(&entrance, Owner::Ours, 100);
        assert_eq!((ours.len(), open(&ours)), (100, 100));
    }

    #[test]
    fn the_oldest_unnamed_connection_makes_room() {
        let entrance = entrance();
        let ours = come(&entrance, Owner::Ours, 100);
        let unknown = come(&entrance, Owner::Unknown, UNKNOWN);
        let gone = come(&entrance, Owner::Nobody, 10);
        assert_eq!((open(&ours), open(&unknown), open(&gone)), (100, UNKNOWN - 10, 10));
        assert!(unknown[..10].iter().all(|visit| visit.is_settled()));
        assert_eq!((come(&entrance, Owner::Ours, 1).len(), open(&ours)), (0, 100));
    }

    #[test]
    fn known_and_ended_connections_do_not_count() {
        let entrance = entrance();
        for visit in come(&entrance, Owner::Other(1), EACH_OTHER) {
            visit.recognize();
        }
        drop(come(&entrance, Owner::Other(1), EACH_OTHER));
        assert_eq!(come(&entrance, Owner::Other(1), 50).len(), EACH_OTHER);
    }

    #[test]
    fn waiting_too_long_ends_a_connection() {
        let entrance = Entrance::new(100, Duration::ZERO);
        let visits = come(&entrance, Owner::Ours, 3);
        visits[0].recognize();
        entrance.close_overdue();
        assert_eq!(visits.iter().map(|visit| visit.is_cut()).collect::<Vec<_>>(), [false, true, true]);
    }

    #[tokio::test]
    async fn a_connection_is_attributed_to_this_user() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let entrance = entrance();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_socket, peer, visit) = entrance.next(&listener).await;
        assert_eq!(peer, client.local_addr().unwrap());
        let owner = entrance.waiting.lock().unwrap()[0].owner;
        assert!(owner.may_be_ours() && !visit.is_settled(), "{owner:?}");
    }
}
