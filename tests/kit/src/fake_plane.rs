//! A control plane that answers whatever a test wants: one thread, one answer per request, then the connection is closed.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A request, as far as a test cares.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /path?query` or the like.
    pub line: String,
    /// The head and the body.
    pub text: String,
}

/// A server on a free port of 127.0.0.1 until dropped.
pub struct FakePlane {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakePlane {
    /// Answers every request with what `answer` writes into the stream.
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> FakePlane {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop, answer) = (Arc::clone(&seen), Arc::clone(&over), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in
                listener.incoming().map_while(Result::ok).take_while(|_| !stop.load(Ordering::SeqCst))
            {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        FakePlane { port, seen, over, thread: Some(thread) }
    }

    /// Answers every request with this status and body.
    pub fn answering(status: u16, body: impl Into<Vec<u8>>) -> FakePlane {
        let body = body.into();
        FakePlane::start(move |_, stream| respond(stream, status, &body))
    }

    /// One that lists these workspaces: one's own, and those that others share.
    pub fn listing(own: serde_json::Value, shared: serde_json::Value) -> FakePlane {
        let body =
            |rows| serde_json::json!({"error": false, "data": {"workspaces": rows}}).to_string().into_bytes();
        let (own, shared) = (body(own), body(shared));
        FakePlane::start(move |request, stream| {
            respond(stream, 200, if request.line.contains("category=shared") { &shared } else { &own });
        })
    }

    /// Its base URL.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for FakePlane {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request, &mut TcpStream)) {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let seen = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = seen.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let request = Request {
                    line: head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned(),
                    text: seen,
                };
                log.lock().unwrap().push(request.clone());
                answer(&request, &mut stream);
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => text.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
}

/// A whole HTTP answer.
pub fn respond(stream: &mut TcpStream, status: u16, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}
