//! A way to a server that can be cut without a word, as a network does it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct State {
    accepted: AtomicUsize,
    drop_next: AtomicUsize,
    is_down: AtomicBool,
    is_stalled: AtomicBool,
    is_slow: AtomicBool,
    is_over: AtomicBool,
    open: Mutex<Vec<Arc<Connection>>>,
}

/// A connection that was made.
#[derive(Default)]
struct Connection {
    is_silent: AtomicBool,
    is_held: AtomicBool,
}

/// Passes TCP on, from a port of its own, until dropped.
pub struct Relay {
    port: u16,
    state: Arc<State>,
}

impl Relay {
    /// One that leads to this port of 127.0.0.1.
    pub fn to(port: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let state = Arc::clone(&relay.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if state.is_over.load(Ordering::SeqCst) {
                    return;
                }
                state.accept(stream, port);
            }
        });
        relay
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were made.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Closes the next so many connections before anybody says a word.
    pub fn drop_next(&self, count: usize) {
        self.state.drop_next.store(count, Ordering::SeqCst);
    }

    /// What is connected now passes nothing more, and is not closed.
    pub fn silence(&self) {
        for connection in self.state.open.lock().unwrap().iter() {
            connection.is_silent.store(true, Ordering::SeqCst);
        }
    }

    /// Whether everything waits that is on its way on what is connected now; later connections pass on theirs.
    pub fn hold(&self, is_held: bool) {
        for connection in self.state.open.lock().unwrap().iter() {
            connection.is_held.store(is_held, Ordering::SeqCst);
        }
    }

    /// Whether everything waits that is on its way, on every connection; none of it is lost.
    pub fn set_stalled(&self, is_stalled: bool) {
        self.state.is_stalled.store(is_stalled, Ordering::SeqCst);
    }

    /// Whether each connection moves no more than some 200 kB in a second.
    pub fn set_slow(&self, is_slow: bool) {
        self.state.is_slow.store(is_slow, Ordering::SeqCst);
    }

    /// Whether new connections are silent from the start.
    pub fn set_down(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn accept(self: &Arc<State>, here: TcpStream, port: u16) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        if self.drop_next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            return;
        }
        let Ok(there) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let connection = Arc::new(Connection::default());
        connection.is_silent.store(self.is_down.load(Ordering::SeqCst), Ordering::SeqCst);
        self.open.lock().unwrap().push(Arc::clone(&connection));
        for (from, to) in [(&here, &there), (&there, &here)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            from.set_nodelay(true).unwrap();
            let (state, connection) = (Arc::clone(self), Arc::clone(&connection));
            std::thread::spawn(move || pass(from, to, &state, &connection));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &State, connection: &Connection) {
    let mut piece = vec![0; 64 * 1024];
    let waits = || state.is_stalled.load(Ordering::SeqCst) || connection.is_held.load(Ordering::SeqCst);
    loop {
        let is_slow = state.is_slow.load(Ordering::SeqCst);
        let most = if is_slow { 4 * 1024 } else { piece.len() };
        let Ok(count @ 1..) = from.read(&mut piece[..most]) else { break };
        if is_slow && count == most {
            std::thread::sleep(Duration::from_millis(20));
        }
        while waits() && !state.is_over.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        if !connection.is_silent.load(Ordering::SeqCst) && to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    if !connection.is_silent.load(Ordering::SeqCst) {
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
