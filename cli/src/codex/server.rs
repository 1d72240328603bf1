//! One client: answers what it asks until it is gone.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::codex::environment::Environment;
use crate::codex::files::{self, Request};
use crate::codex::message::{self, INTERNAL, INVALID_REQUEST, Message, NO_METHOD, Params, Refusal};
use crate::codex::process::Processes;
use crate::error::{Error, Result};
use crate::mcp::{Line, Lines, Outbox, watch_parent};
use crate::output::foreign;
use crate::sys::interrupt::{Cancel, Interrupt};
use crate::sys::random;

/// The longest message that is read, in bytes: a file of 16 MiB in Base64, plus the JSON around it.
pub(super) const MAX: usize = 24 << 20;

/// The name by which Codex introduces itself here: 0.150 to 0.171.
const CLIENT: &str = "codex-environment";

/// How many file requests may be in progress at once.
const MOST: usize = 64;

/// How long running commands may take to end after the client is gone.
const END: Duration = Duration::from_secs(4);

/// A client.
pub(super) struct Server {
    environment: Arc<Environment>,
    outbox: Outbox,
    processes: Processes,
    gone: Cancel,
    pending: Arc<AtomicUsize>,
    is_open: AtomicBool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize {
    client_name: String,
    #[serde(default)]
    resume_session_id: Option<String>,
}

impl Server {
    /// Answers to `outbox`.
    pub(super) fn new(environment: Arc<Environment>, outbox: Outbox) -> Server {
        Server {
            environment,
            outbox,
            processes: Processes::default(),
            gone: Cancel::default(),
            pending: Arc::default(),
            is_open: AtomicBool::new(false),
        }
    }

    /// Answers what arrives until the stream ends.
    pub(super) fn read(&self, from: impl Read) {
        let mut lines = Lines::new(from, MAX);
        loop {
            match lines.next() {
                Ok(Line::Text(line)) => self.hear(&line),
                Ok(Line::TooLong) => {
                    let what = format!("runcode: a message is longer than {MAX} bytes");
                    self.outbox.send(&Refusal::new(INVALID_REQUEST, what).answer(&Value::Null));
                }
                Ok(Line::End) | Err(_) => return,
            }
        }
    }

    /// Ends what runs, and waits until it is gone.
    pub(super) fn close(&self) {
        self.gone.cancel();
        self.processes.close(END);
    }

    fn hear(&self, line: &[u8]) {
        let (id, answer) = match message::parse(line) {
            Message::Request { id, method, params } => {
                let answer = self.answer(&id, &method, params);
                (id, answer)
            }
            Message::Notification => return,
            Message::Bad { id, refusal } => (id, Err(refusal)),
        };
        match answer {
            Ok(Some(result)) => self.outbox.send(&message::answer(&id, result)),
            Ok(None) => {}
            Err(refusal) => self.outbox.send(&refusal.answer(&id)),
        }
    }

    /// The result of a request; none if it comes later.
    fn answer(&self, id: &Value, method: &str, params: Params) -> Result<Option<Value>, Refusal> {
        if method == "initialize" {
            return self.initialize(params).map(Some);
        }
        if !self.is_open.load(Ordering::SeqCst) {
            return Err(Refusal::new(INVALID_REQUEST, "runcode: `initialize` must come first"));
        }
        match method {
            "environment/info" => Ok(Some(self.environment.info())),
            "environmentConfig/read" => Ok(Some(self.environment.config())),
            "process/start" => {
                self.processes.start(&self.environment, &self.outbox, id, params).map(|()| None)
            }
            "process/write" => self.processes.write(params).map(Some),
            "process/terminate" => self.processes.terminate(params).map(Some),
            "process/signal" => {
                let processes = self.processes.clone();
                self.later(id, move |_, _| processes.signal(params))
            }
            _ if method.starts_with("fs/") => {
                let request =
                    Request::read(method, params, |address| self.environment.paths.remote(address))?;
                self.later(id, move |environment, cancel| request.answer(environment, cancel))
            }
            _ => Err(Refusal::new(
                NO_METHOD,
                format!("runcode: {} is not supported here", files::short(method)),
            )),
        }
    }

    /// The protocol has no version. A client that introduces itself in an unknown way may mean other things by the same words.
    fn initialize(&self, params: Params) -> Result<Value, Refusal> {
        let refuse = |what: String| {
            let way = "this runcode works with Codex 0.150 to 0.171; update runcode, or install one of those";
            Refusal::new(INVALID_REQUEST, format!("runcode: {what}; {way}"))
        };
        let unknown = params.beyond(&["clientName", "resumeSessionId"]);
        if let Some(name) = unknown.first() {
            return Err(refuse(format!(
                "this Codex asks for something that runcode does not know: {}",
                foreign::word(name)
            )));
        }
        let Initialize { client_name, resume_session_id } = params.read()?;
        if client_name != CLIENT {
            return Err(refuse(format!(
                "{} is not a client that runcode knows",
                foreign::word(&client_name)
            )));
        }
        if resume_session_id.is_some() {
            let what = "runcode: the commands of the earlier connection ended with it";
            return Err(Refusal::new(INVALID_REQUEST, what));
        }
        if self.is_open.swap(true, Ordering::SeqCst) {
            return Err(Refusal::new(INVALID_REQUEST, "runcode: `initialize` was already sent"));
        }
        Ok(json!({ "sessionId": random::word(), "environmentInfo": self.environment.info() }))
    }

    /// Answers on a thread of its own.
    fn later(
        &self,
        id: &Value,
        work: impl FnOnce(&Environment, &Cancel) -> Result<Value, Refusal> + Send + 'static,
    ) -> Result<Option<Value>, Refusal> {
        if self.pending.fetch_add(1, Ordering::SeqCst) >= MOST {
            self.pending.fetch_sub(1, Ordering::SeqCst);
            return Err(Refusal::new(
                INTERNAL,
                format!("runcode: {MOST} requests are already in progress; ask again later"),
            ));
        }
        let (environment, outbox) = (Arc::clone(&self.environment), self.outbox.clone());
        let (gone, pending, id) = (self.gone.clone(), Arc::clone(&self.pending), id.clone());
        let run = move || {
            let answer = match work(&environment, &gone) {
                Ok(result) => message::answer(&id, result),
                Err(refusal) => refusal.answer(&id),
            };
            pending.fetch_sub(1, Ordering::SeqCst);
            outbox.send(&answer);
        };
        match std::thread::Builder::new().spawn(run) {
            Ok(_) => Ok(None),
            Err(error) => {
                self.pending.fetch_sub(1, Ordering::SeqCst);
                Err(Error::io("start a thread", error).into())
            }
        }
    }
}

/// Serves the client on this process's stdin and stdout until it is gone or a signal arrives. Without an environment, the answer to
/// each request says why there is none.
pub fn serve_process(environment: Result<Environment>) -> Result<()> {
    let gone = Cancel::default();
    let interrupt = Interrupt::listen()?.heard_with(&gone);
    let outbox = Outbox::new(std::io::stdout());
    watch_parent(gone.clone());
    let environment = match environment {
        Ok(environment) => Arc::new(environment),
        Err(error) => {
            let refusing = std::thread::Builder::new().spawn(move || {
                refuse_all(std::io::stdin().lock(), &outbox, &error);
                gone.cancel();
                error
            })?;
            interrupt.wait();
            // If only a signal arrived, the thread still reads; it is left behind.
            return if refusing.is_finished() { refusing.join().map_or(Ok(()), Err) } else { Ok(()) };
        }
    };
    let server = Arc::new(Server::new(environment, outbox));
    let reading = Arc::clone(&server);
    std::thread::Builder::new().spawn(move || {
        reading.read(std::io::stdin().lock());
        gone.cancel();
    })?;
    interrupt.wait();
    server.close();
    Ok(())
}

fn refuse_all(from: impl Read, outbox: &Outbox, error: &Error) {
    let mut lines = Lines::new(from, MAX);
    loop {
        match lines.next() {
            Ok(Line::Text(line)) => {
                if let Message::Request { id, .. } | Message::Bad { id, .. } = message::parse(&line) {
                    outbox.send(&Refusal::new(INVALID_REQUEST, message::words(error)).answer(&id));
                }
            }
            Ok(Line::TooLong) => {}
            Ok(Line::End) | Err(_) => return,
        }
    }
}

/// Parses a request, and does nothing.
#[cfg(any(fuzzing, test))]
pub(super) fn fuzz(method: &str, params: Params) {
    use crate::codex::command::Start;
    use crate::codex::paths::Paths;
    use std::path::PathBuf;

    let paths = Paths::new(vec![PathBuf::from("/home/me/project")], vec![PathBuf::from("/work")]);
    if method == "process/start" {
        if let Ok(start) = params.read::<Start>()
            && start.check().is_ok()
        {
            let _ = start.execution(&paths, true);
        }
        return;
    }
    let remote = |address: &str| {
        let path = paths.remote(address)?;
        assert!(path.starts_with(b"/") && !path.contains(&0));
        assert!(!path.split(|&byte| byte == b'/').any(|part| part == b".."));
        Ok(path)
    };
    let _ = Request::read(method, params, remote);
}
