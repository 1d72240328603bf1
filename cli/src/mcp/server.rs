//! One client: its messages are read and answered until it is gone.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::mcp::calls::{Call, Calls};
use crate::mcp::era::{self, Era};
use crate::mcp::framing::{self, Line, Lines};
use crate::mcp::message::{self, INVALID_PARAMS, Message, NO_METHOD, PARSE_ERROR, RpcError};
use crate::mcp::outbox::Outbox;
use crate::output::progress::note;
use crate::sys::interrupt::{Cancel, Interrupt};

/// How long what runs may take to end once the client is gone.
const END: Duration = Duration::from_millis(2500);

/// The extension by which a client takes the output of a call as it comes.
const OUTPUT: &str = "io.runcode/output";

/// What a server has to offer.
pub trait Service: Send + Sync + 'static {
    /// What it can do, as `capabilities`.
    fn capabilities(&self) -> Value;

    /// What a model is told of it.
    fn instructions(&self) -> &str;

    /// Who it is.
    fn info(&self) -> Value {
        era::server_info()
    }

    /// Its tools, always the same and in the same order.
    fn tools(&self) -> &[Value];

    /// Whether it has this tool.
    fn has(&self, tool: &str) -> bool;

    /// Runs a tool: the result, also of a failure.
    fn call(&self, call: &Call, client: &Client) -> Map<String, Value>;

    /// The result of a call that there is no room for.
    fn busy(&self) -> Map<String, Value>;

    /// How long what was asked may take to be answered once the client says no more: one that pipes its messages in still
    /// reads the answers.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }
}

/// What a client says of itself.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its name.
    pub name: Option<String>,
    /// Whether it takes output as it comes (`io.runcode/output`).
    pub takes_output: bool,
}

/// A service and one client of it. Clones are the same.
pub struct Server<S> {
    service: Arc<S>,
    outbox: Outbox,
    calls: Calls,
    client: Arc<Mutex<Client>>,
}

impl<S: Service> Server<S> {
    /// Answers to `outbox`.
    pub fn new(service: S, outbox: Outbox) -> Server<S> {
        let calls = Calls::new(outbox.clone());
        Server { service: Arc::new(service), outbox, calls, client: Arc::default() }
    }

    /// Answers what comes until the stream ends.
    pub fn read(&self, from: impl Read) {
        let mut lines = Lines::new(from, framing::MAX);
        loop {
            match lines.next() {
                Ok(Line::Text(text)) => self.hear(&text),
                Ok(Line::TooLong) => {
                    let what = format!("a message is longer than {} bytes", framing::MAX);
                    self.refuse(&Value::Null, RpcError::new(PARSE_ERROR, what));
                }
                Ok(Line::End) | Err(_) => return,
            }
        }
    }

    /// At the end of the client's messages: answers what was asked, if that takes no longer than the service has patience.
    fn finish(&self) {
        let patience = self.service.patience();
        if patience.is_zero() {
            return;
        }
        let missing = self.calls.finish(patience);
        if missing > 0 {
            let (calls, they) = if missing == 1 { ("call was", "it is") } else { ("calls were", "they are") };
            note(format!("runcode: stdin ended before {missing} {calls} answered; {they} cancelled"));
        }
    }

    /// Cancels what runs, and waits for its end.
    pub fn close(&self, patience: Duration) {
        self.calls.close(patience);
    }

    fn hear(&self, line: &[u8]) {
        match message::parse(line) {
            Message::Request { id, method, params } => {
                match Era::of(&method, &params).and_then(|era| self.answer(era, &id, &method, params)) {
                    Ok(Some(result)) => self.outbox.send(&message::answer(&id, result)),
                    Ok(None) => {}
                    Err(error) => self.refuse(&id, error),
                }
            }
            Message::Notification { method, params } if method == "notifications/cancelled" => {
                if let Some(id) = params.get("requestId") {
                    self.calls.cancel(id);
                }
            }
            Message::Notification { .. } | Message::Answer => {}
            Message::Bad { id, error } => self.refuse(&id, error),
        }
    }

    fn refuse(&self, id: &Value, error: RpcError) {
        self.outbox.send(&error.answer(id));
    }

    /// The result of a request; none if it comes later.
    fn answer(
        &self,
        era: Era,
        id: &Value,
        method: &str,
        mut params: Map<String, Value>,
    ) -> Result<Option<Value>, RpcError> {
        let service = &self.service;
        let fields = |value: Value| match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if let Some(name) = era::client_name(&params) {
            self.client.lock().unwrap_or_else(PoisonError::into_inner).name = Some(name.to_owned());
        }
        if method == "initialize" {
            let takes_output = era::knows(&params, OUTPUT);
            self.client.lock().unwrap_or_else(PoisonError::into_inner).takes_output = takes_output;
        }
        let who = service.info();
        Ok(Some(match method {
            "initialize" => era.result(
                fields(json!({
                    "protocolVersion": era::agreed(&params),
                    "capabilities": service.capabilities(),
                    "serverInfo": &who,
                    "instructions": service.instructions(),
                })),
                &who,
            ),
            "server/discover" => era.list(
                fields(json!({
                    "supportedVersions": era::stateless_versions(),
                    "capabilities": service.capabilities(),
                    "instructions": service.instructions(),
                })),
                &who,
            ),
            "ping" => era.result(Map::new(), &who),
            "tools/list" if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) => {
                return Err(RpcError::new(
                    INVALID_PARAMS,
                    "there is no such `cursor`: the list has one page",
                ));
            }
            "tools/list" => era.list(fields(json!({ "tools": service.tools() })), &who),
            "tools/call" => return self.call(era, id, &mut params),
            _ => return Err(RpcError::new(NO_METHOD, "there is no such method here")),
        }))
    }

    fn call(&self, era: Era, id: &Value, params: &mut Map<String, Value>) -> Result<Option<Value>, RpcError> {
        let Some(tool) = params.get("name").and_then(Value::as_str).map(str::to_owned) else {
            return Err(RpcError::new(INVALID_PARAMS, "`name` is not the name of a tool"));
        };
        if !self.service.has(&tool) {
            return Err(RpcError::new(INVALID_PARAMS, "there is no such tool: tools/list has them all"));
        }
        if params.get("arguments").is_some_and(|arguments| !arguments.is_object() && !arguments.is_null()) {
            return Err(RpcError::new(INVALID_PARAMS, "`arguments` is not an object"));
        }
        let (service, client) = (Arc::clone(&self.service), Arc::clone(&self.client));
        let takes_output = (era == Era::Stateless).then(|| era::knows(params, OUTPUT));
        let work = Box::new(move |call: &Call| {
            let mut client = client.lock().unwrap_or_else(PoisonError::into_inner).clone();
            client.takes_output = takes_output.unwrap_or(client.takes_output);
            era.result(service.call(call, &client), &service.info())
        });
        match self.calls.begin(id, tool, params, work)? {
            true => Ok(None),
            false => Ok(Some(era.result(self.service.busy(), &self.service.info()))),
        }
    }
}

/// Serves the client on this process's stdin and stdout until it is gone, or a signal comes.
pub fn serve(service: impl Service) -> Result<()> {
    let gone = Cancel::default();
    let interrupt = Interrupt::listen()?.heard_with(&gone);
    let server = Arc::new(Server::new(service, Outbox::new(std::io::stdout())));
    #[cfg(unix)]
    watch_parent(gone.clone());
    let reading = Arc::clone(&server);
    std::thread::Builder::new().spawn(move || {
        reading.read(std::io::stdin().lock());
        reading.finish();
        gone.cancel();
    })?;
    interrupt.wait();
    server.close(END);
    Ok(())
}

/// Another process may hold our stdin open, so the end of the one that started us is watched as well.
#[cfg(unix)]
pub(crate) fn watch_parent(gone: Cancel) {
    use crate::sys::parent::Parent;
    use rustix::event::{PollFd, PollFlags, poll};
    let mut parent = Parent::of_process();
    let _ = std::thread::Builder::new().spawn(move || {
        loop {
            let mut watched = parent.watch().map(|watch| PollFd::from_borrowed_fd(watch, PollFlags::IN));
            let _ = poll(watched.as_mut_slice(), parent.ask_every().as_ref());
            let fired = watched.is_none_or(|watched| !watched.revents().is_empty());
            if fired && parent.is_gone(rustix::stdio::stdin()) {
                return gone.cancel();
            }
        }
    });
}

/// Answers arbitrary bytes; no tool is called. What was answered, in order.
#[cfg(any(fuzzing, test))]
pub fn fuzz(bytes: &[u8]) -> Vec<Value> {
    struct Nothing;
    impl Service for Nothing {
        fn capabilities(&self) -> Value {
            json!({})
        }
        fn instructions(&self) -> &str {
            ""
        }
        fn tools(&self) -> &[Value] {
            &[]
        }
        fn has(&self, _: &str) -> bool {
            false
        }
        fn call(&self, _: &Call, _: &Client) -> Map<String, Value> {
            Map::new()
        }
        fn busy(&self) -> Map<String, Value> {
            Map::new()
        }
    }
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let kept = Kept::default();
    Server::new(Nothing, Outbox::new(kept.clone())).read(bytes);
    let bytes = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
    serde_json::Deserializer::from_slice(&bytes).into_iter().flatten().collect()
}
