//! The conversation with a server: the handshake, its tools, a call.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use serde_json::{Map, Value, json};

use crate::error::{Code, Error, Result};
use crate::mcp::era;
use crate::mcp::jump::heard::{self, Heard, VALUES};
use crate::mcp::jump::link::{Event, Link, MAX};
use crate::mcp::jump::result::STREAM_MAX;
use crate::mcp::jump::{Program, Said, Tools};
use crate::mcp::message::{self, NO_METHOD, RpcError};
use crate::output::{foreign, progress::note, sanitize, stdout};
use crate::session::{Session, Sessions};
use crate::sys::interrupt::Cancel;
use crate::transport::Ended;

/// How long each step of the handshake may take.
const STEP: Duration = Duration::from_secs(30);

/// How long a server may take to end by itself, and one whose call was cancelled.
const END: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(2);

/// How much may come before the first message.
const LINES: usize = 100;
const BYTES: usize = 64 << 10;

/// How many tools a server may have, and how many pages their list.
const MOST: usize = 1000;

/// Where output goes that comes during a call.
#[derive(Debug)]
pub enum Sink {
    /// To this process's own streams.
    Live,
    /// Into a document: stdout and stderr.
    Kept([Vec<u8>; 2]),
}

impl Sink {
    fn take(&mut self, is_error: bool, bytes: &[u8]) -> Result<()> {
        match self {
            Sink::Live if is_error => {
                let mut stderr = std::io::stderr().lock();
                let _ = std::io::Write::write_all(&mut stderr, bytes); // nobody reads it any more
                Ok(())
            }
            Sink::Live => stdout::write(bytes),
            Sink::Kept(streams) => {
                let stream = &mut streams[usize::from(is_error)];
                let room = (STREAM_MAX + 1).saturating_sub(stream.len()); // one more tells that it was cut
                stream.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
                Ok(())
            }
        }
    }
}

/// A conversation.
pub struct Talk {
    link: Link,
    program: Program,
    limit: Option<(Instant, Duration)>,
    last: u64,
    awaited: HashSet<u64>,
    answers: HashMap<u64, Result<Map<String, Value>, String>>,
    has_begun: bool,
    before: [usize; 2],
    /// How many bytes have come before a call.
    heard: usize,
    /// The call that runs.
    call: Option<u64>,
}

impl Talk {
    /// Starts the server. Everything together may take `timeout`.
    pub fn start(
        sessions: &Sessions<'_>,
        session: &Session,
        program: Program,
        timeout: Option<Duration>,
        cancel: &Cancel,
    ) -> Result<Talk> {
        let link = Link::start(sessions, session, &program.command()?, cancel)?;
        let limit = timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout)));
        Ok(Talk {
            link,
            program,
            limit,
            last: 0,
            awaited: HashSet::new(),
            answers: HashMap::new(),
            has_begun: false,
            before: [0; 2],
            heard: 0,
            call: None,
        })
    }

    /// Shakes hands and asks for the tools: one write, one round trip.
    pub fn tools(&mut self) -> Result<Tools> {
        let hello = json!({
            "protocolVersion": era::wanted(),
            "capabilities": { "experimental": { "io.runcode/output": {} } },
            "clientInfo": era::server_info(),
        });
        let (first, mut bytes) = self.request("initialize", &hello);
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        bytes.extend_from_slice(format!("{ready}\n").as_bytes());
        let (mut list, asked) = self.request("tools/list", &json!({}));
        bytes.extend(asked);
        let _ = self.link.send(bytes);
        let said = self.step(first, "initialize")?;
        let text = |name: &str| said.get("serverInfo")?.get(name)?.as_str().map(str::to_owned);
        let mut tools = Tools { server: [text("name"), text("version")], ..Tools::default() };
        tools.protocol = said.get("protocolVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !era::is_understood(&tools.protocol) {
            let version = foreign::name(&tools.protocol);
            return Err(
                self.bad(format!("speaks protocol version {version}, which runcode does not support"))
            );
        }
        let until = Instant::now() + STEP; // for all pages together
        for _ in 0..MOST {
            let left = until.saturating_duration_since(Instant::now());
            let mut page =
                self.answer(list, Some(left), "tools/list", &mut Sink::Kept(Default::default()))?;
            let Some(Value::Array(found)) = page.remove("tools") else {
                return Err(self.bad("answered tools/list without tools"));
            };
            tools.add(found);
            if tools.all().len() > MOST {
                return Err(self.bad("has more than 1,000 tools"));
            }
            let Some(Value::String(cursor)) = page.remove("nextCursor") else { return Ok(tools) };
            let asked;
            (list, asked) = self.request("tools/list", &json!({ "cursor": cursor }));
            let _ = self.link.send(asked);
        }
        Err(self.bad("sent an endless list of tools"))
    }

    /// Calls a tool, once.
    pub fn call(&mut self, tool: &str, arguments: Map<String, Value>, sink: &mut Sink) -> Result<Said> {
        let (id, bytes) = self.request("tools/call", &json!({ "name": tool, "arguments": arguments }));
        self.call = Some(id);
        let _ = self.link.send(bytes);
        let result = self.answer(id, None, "tools/call", sink)?;
        self.call = None;
        let [out, err] = match sink {
            Sink::Live => [Vec::new(), Vec::new()],
            Sink::Kept(streams) => std::mem::take(streams),
        };
        Ok(Said::of(tool, &result, out, err))
    }

    /// Has the server end, unless it has: it has nothing left to do.
    pub fn end(&mut self) {
        let _ = self.link.end(END);
    }

    fn request(&mut self, method: &str, params: &Value) -> (u64, Vec<u8>) {
        self.last += 1;
        self.awaited.insert(self.last);
        let message = json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params });
        (self.last, format!("{message}\n").into_bytes())
    }

    fn step(&mut self, id: u64, what: &str) -> Result<Map<String, Value>> {
        self.answer(id, Some(STEP), what, &mut Sink::Kept(Default::default()))
    }

    fn answer(
        &mut self,
        id: u64,
        within: Option<Duration>,
        what: &str,
        sink: &mut Sink,
    ) -> Result<Map<String, Value>> {
        const DAY: Duration = Duration::from_secs(86_400);
        let step = within.map(|within| Instant::now() + within);
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer
                    .map_err(|message| self.bad(foreign::said(&format!("refused {what}; it"), &message)));
            }
            let limit = self.limit.map(|(limit, _)| limit);
            let deadline = step.into_iter().chain(limit).min().unwrap_or_else(|| Instant::now() + DAY);
            match self.link.next(deadline) {
                Event::Line(line) => self.hear(&line, sink)?,
                Event::TooLong => {
                    return Err(self.bad(format!("sent a message of more than {} MiB", MAX >> 20)));
                }
                Event::Closed | Event::Ended(_) => return Err(self.died()),
                Event::Signal(signal) => return Err(self.interrupted(signal)),
                Event::Late if limit.is_some_and(|limit| limit <= Instant::now()) => return Err(self.late()),
                Event::Late if within.is_some() => {
                    let _ = self.link.end(Duration::ZERO);
                    let what =
                        format!("{} did not answer {what} in {} s", self.program.shown(), STEP.as_secs());
                    return Err(Error::new(Code::TimedOut, what)
                        .hint("to see what it does, start the program with `serve` through `runcode exec`"));
                }
                Event::Late => {}
            }
        }
    }

    fn hear(&mut self, line: &[u8], sink: &mut Sink) -> Result<()> {
        if self.call.is_none() {
            self.heard = self.heard.saturating_add(line.len());
            if self.heard > MAX {
                return Err(self.bad(format!("sent more than {} MiB before a call", MAX >> 20)));
            }
        }
        if !self.has_begun && !heard::is_begun(line) {
            self.before = [self.before[0] + 1, self.before[1] + line.len()];
            if self.before[0] > LINES || self.before[1] > BYTES {
                return Err(self.bad(format!(
                    "wrote more than {LINES} lines or {BYTES} bytes before its first message"
                )));
            }
            note(String::from_utf8_lossy(line));
            return Ok(());
        }
        self.has_begun = true;
        match heard::parse(line) {
            Heard::Answer { id, result } if self.awaited.remove(&id) => {
                self.answers.insert(id, result);
            }
            Heard::Request { id, method } => {
                let reply = match method.as_str() {
                    "ping" => message::answer(&id, json!({})),
                    _ => RpcError::new(NO_METHOD, "there is no such method here").answer(&id),
                };
                if !self.link.send(format!("{reply}\n").into_bytes()) {
                    return Err(self.bad("asks for more than it reads"));
                }
            }
            Heard::Notification { method, params } if method == "notifications/io.runcode/output" => {
                let is_ours = self.call.is_some_and(|call| params.get("requestId") == Some(&call.into()));
                let text = |name: &str| params.get(name).and_then(Value::as_str);
                if let (true, Some(stream), Some(data)) = (is_ours, text("stream"), text("data")) {
                    let Ok(bytes) = Base64::decode_vec(data) else {
                        return Err(self.bad("sent output that is not base64"));
                    };
                    sink.take(stream == "stderr", &bytes)?;
                }
            }
            Heard::Answer { .. } | Heard::Notification { .. } | Heard::Nothing => {}
            Heard::Crowded => {
                return Err(self.bad(format!("sent a message of more than {VALUES} values")));
            }
            Heard::Bad => {
                let start = String::from_utf8_lossy(line.get(..800).unwrap_or(line)).into_owned();
                let start = foreign::message(&sanitize::short(&start)).to_string();
                return Err(self.bad(format!("sent a line that is not a valid message: {start}")));
            }
        }
        Ok(())
    }

    /// What a server says that is not to be believed. It is ended.
    fn bad(&mut self, what: impl AsRef<str>) -> Error {
        let _ = self.link.end(Duration::ZERO);
        let error = Error::new(Code::BadResponse, format!("{} {}", self.program.shown(), what.as_ref()));
        if self.call.is_none() {
            return error.hint("if you meant another program, name it with --bin");
        }
        error.hint("the tool may have run; it was not called again").maybe_begun()
    }

    fn died(&mut self) -> Error {
        let ended = self.link.end(END).copied();
        let shown = self.program.shown();
        if self.call.is_some() {
            let what =
                format!("{shown} ended or the connection was lost during the call: the tool may have run");
            return Error::new(Code::Transport, what).hint("it was not called again").maybe_begun();
        }
        let how = match ended {
            Some(Ended::Status(status @ (126 | 127))) => {
                let what = format!("the workspace cannot run {shown} (status {status})");
                return Error::new(Code::Transport, what)
                    .hint("name the program with --bin, such as /opt/venv/bin/runspec");
            }
            Some(Ended::Status(status)) => format!(" (status {status})"),
            _ => String::new(),
        };
        Error::new(Code::Transport, format!("{shown} ended before it answered{how}"))
            .hint("its output above may say why; to use another program, add --bin")
    }

    /// Cancels what runs, and ends the server; whether it is gone for certain.
    fn cancel(&mut self) -> bool {
        if let Some(call) = self.call {
            let params = json!({ "requestId": call, "reason": "the client was asked to end" });
            let message = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
            let _ = self.link.send(format!("{message}\n").into_bytes());
        }
        match self.link.end(GRACE) {
            Some(Ended::Status(_)) => true,
            Some(Ended::Interrupted { remote_ended, .. } | Ended::TimedOut { remote_ended }) => *remote_ended,
            Some(Ended::NoStatus) | None => false,
        }
    }

    fn interrupted(&mut self, signal: i32) -> Error {
        if !self.cancel() {
            note("runcode: interrupted; the tool may still be running on the workspace");
        }
        let status = u8::try_from(128 + signal).unwrap_or(Code::Interrupted.exit_status());
        Error::interrupted().ending_with(status)
    }

    fn late(&mut self) -> Error {
        let fate = if self.cancel() { "it was ended" } else { "it may still be running" };
        let seconds = self.limit.map(|(_, timeout)| timeout.as_secs()).unwrap_or_default();
        let what = if self.call.is_some() { "the tool" } else { "the server" };
        let error = Error::new(Code::TimedOut, format!("{what} took longer than {seconds} s, and {fate}"));
        let error = error.hint("it was not called again; raise --timeout, or leave it out");
        if self.call.is_some() { error.maybe_begun() } else { error }
    }
}
