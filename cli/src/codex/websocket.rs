//! How one Codex connects: a port on this machine that lets only it through.
//!
//! Every local process can connect to the port. Other users' connections are closed at once where the system tells users apart, and
//! whoever does not know the random word in the path is refused.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tungstenite::http::StatusCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::codex::environment::Environment;
use crate::codex::server::{MAX, Server};
use crate::error::{Error, Result};
use crate::mcp::Outbox;
use crate::sys::random;

/// How many connections there may be at once; Codex has one.
const MOST: usize = 16;

/// How long a client may take to introduce itself.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Waits for Codex.
pub struct Listener {
    tcp: TcpListener,
    word: String,
}

impl Listener {
    /// Takes a free port on this machine.
    pub fn open() -> Result<Listener> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| Error::io("listen on 127.0.0.1", error))?;
        Ok(Listener { tcp, word: random::word() })
    }

    /// The address that Codex is given. It holds a secret.
    pub fn address(&self) -> Result<String> {
        let port = self.tcp.local_addr().map_err(|error| Error::io("listen on 127.0.0.1", error))?.port();
        Ok(format!("ws://127.0.0.1:{port}/{}", self.word))
    }

    /// Serves whoever is let through, until this process ends.
    pub fn serve(self, environment: Environment, clients: Clients) -> Result<()> {
        let environment = Arc::new(environment);
        let accept = move || {
            for stream in self.tcp.incoming() {
                let Ok(stream) = stream else {
                    std::thread::sleep(Duration::from_millis(50)); // out of descriptors, perhaps
                    continue;
                };
                if !runcode_peer::owner_of_peer(&stream).may_be_ours() {
                    continue;
                }
                let Some(place) = clients.take_place() else { continue };
                let (environment, word, clients) =
                    (Arc::clone(&environment), self.word.clone(), clients.clone());
                // The place is given back even if no thread starts.
                let _ = std::thread::Builder::new().spawn(move || {
                    let _place = place;
                    let _ = converse(stream, &word, environment, &clients);
                });
            }
        };
        std::thread::Builder::new()
            .spawn(accept)
            .map(drop)
            .map_err(|error| Error::io("start a thread", error))
    }
}

/// The clients being served. Clones share them.
#[derive(Clone, Default)]
pub struct Clients {
    servers: Arc<Mutex<Vec<Arc<Server>>>>,
    places: Arc<AtomicUsize>,
}

/// One of the places for a connection.
struct Taken(Arc<AtomicUsize>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Clients {
    /// Ends what runs for any of them, and waits until it is gone.
    pub fn close(&self) {
        let servers = std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        for server in servers {
            server.close();
        }
    }

    fn take_place(&self) -> Option<Taken> {
        let taken = Taken(Arc::clone(&self.places));
        (self.places.fetch_add(1, Ordering::SeqCst) < MOST).then_some(taken)
    }
}

fn converse(
    stream: TcpStream,
    word: &str,
    environment: Arc<Environment>,
    clients: &Clients,
) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    let connection = Connection { stream: Arc::new(stream), writing: Arc::default() };
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let check = Check { path: format!("/{word}") };
    let reader = tungstenite::accept_hdr_with_config(connection.clone(), check, Some(config))?;
    connection.stream.set_read_timeout(None)?;
    let writer = WebSocket::from_raw_socket(connection.clone(), Role::Server, Some(config));
    let server = Arc::new(Server::new(environment, Outbox::new(Sent { writer, message: Vec::new() })));
    clients.servers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&server));
    server.read(Heard { reader, rest: Vec::new(), at: 0 });
    server.close();
    clients
        .servers
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|other| !Arc::ptr_eq(other, &server));
    let _ = connection.stream.shutdown(std::net::Shutdown::Both);
    Ok(())
}

/// Lets through whoever knows the path, but no web page: its browser says where it is from.
struct Check {
    path: String,
}

impl Callback for Check {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        let uri = request.uri();
        let is_ours =
            uri.path() == self.path && uri.query().is_none() && !request.headers().contains_key("origin");
        if is_ours {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::FORBIDDEN;
        Err(refusal)
    }
}

/// The stream, which one thread reads and several write; each write is whole.
#[derive(Clone)]
struct Connection {
    stream: Arc<TcpStream>,
    writing: Arc<Mutex<()>>,
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        (&*self.stream).write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The messages of a client as lines.
struct Heard {
    reader: WebSocket<Connection>,
    rest: Vec<u8>,
    at: usize,
}

impl Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.rest.len() {
            match self.reader.read() {
                Ok(Message::Text(text)) => {
                    // Wherever JSON may have a line end, it may have a space.
                    self.rest =
                        text.as_str().bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }).collect();
                    self.rest.push(b'\n');
                    self.at = 0;
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                // Codex sends text. We know nothing else.
                Ok(Message::Binary(_) | Message::Close(_)) | Err(_) => return Ok(0),
            }
        }
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// Sends each line as a message.
struct Sent {
    writer: WebSocket<Connection>,
    message: Vec<u8>,
}

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.message.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut message = std::mem::take(&mut self.message);
        message.pop(); // the line end
        let text = String::from_utf8(message).map_err(io::Error::other)?;
        self.writer.send(Message::text(text)).map_err(io::Error::other)
    }
}
