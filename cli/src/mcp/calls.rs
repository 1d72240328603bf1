//! The calls that run or wait: so many at once, each answered once, unless it was cancelled.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use serde_json::{Map, Value, json};

use crate::mcp::message::{self, INTERNAL, INVALID_REQUEST, RpcError};
use crate::mcp::outbox::Outbox;
use crate::mcp::progress::Progress;
use crate::sys::interrupt::Cancel;

/// How many run at once.
const RUNNING: usize = 16;

/// How many wait.
const WAITING: usize = 64;

/// A call of a tool.
pub struct Call {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// The request's `_meta`.
    pub meta: Map<String, Value>,
    /// Cancels it.
    pub cancel: Cancel,
    id: Value,
    progress: Progress,
    is_abandoned: Arc<AtomicBool>,
}

impl Call {
    /// What takes the latest line of output, for whoever asked for progress.
    pub fn teller(&self) -> impl Fn(&str) + Send + use<> {
        let progress = self.progress.clone();
        move |line| progress.line(line)
    }

    /// Sends the client some of the output, where it takes that; nothing once it is answered or cancelled.
    pub fn output(&self, stream: &str, bytes: &[u8]) {
        let params = json!({ "requestId": self.id, "stream": stream, "data": Base64::encode_string(bytes) });
        let message =
            json!({ "jsonrpc": "2.0", "method": "notifications/io.runcode/output", "params": params });
        self.progress.send(&message);
    }

    /// Whether the client is gone, which cancels every call.
    pub fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::SeqCst)
    }

    fn answer(&self, answer: &Value) {
        self.progress.end(Some(answer));
    }
}

impl Drop for Call {
    /// One that is given up, by a defect of ours, is answered all the same.
    fn drop(&mut self) {
        self.answer(&RpcError::new(INTERNAL, "runcode failed to answer this call").answer(&self.id));
    }
}

type Work = Box<dyn FnOnce(&Call) -> Value + Send>;

struct Waiting {
    call: Arc<Call>,
    work: Work,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: VecDeque<Waiting>,
    /// What is not answered yet, by id.
    live: HashMap<String, (Cancel, Progress)>,
    is_closed: bool,
}

/// The calls of one client. Clones are the same.
#[derive(Clone)]
pub(super) struct Calls(Arc<Inner>);

struct Inner {
    outbox: Outbox,
    is_abandoned: Arc<AtomicBool>,
    state: Mutex<State>,
    ended: Condvar,
}

impl Calls {
    /// None yet.
    pub(super) fn new(outbox: Outbox) -> Calls {
        Calls(Arc::new(Inner {
            outbox,
            is_abandoned: Arc::default(),
            state: Mutex::default(),
            ended: Condvar::new(),
        }))
    }

    /// Has `work` answer a call with its result, now or when there is room; says whether there is room to wait in.
    pub(super) fn begin(
        &self,
        id: &Value,
        tool: String,
        params: &mut Map<String, Value>,
        work: Work,
    ) -> Result<bool, RpcError> {
        let object = |value: Option<Value>| match value {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let meta = object(params.remove("_meta"));
        let arguments = object(params.remove("arguments"));
        let mut state = self.state();
        if state.live.contains_key(&id.to_string()) {
            return Err(RpcError::new(INVALID_REQUEST, "a request with this `id` is still running"));
        }
        if state.is_closed || (state.running >= RUNNING && state.waiting.len() >= WAITING) {
            return Ok(false);
        }
        let token = meta.get("progressToken").filter(|token| token.is_string() || token.is_number()).cloned();
        let (cancel, progress) = (Cancel::default(), Progress::new(self.0.outbox.clone(), token));
        state.live.insert(id.to_string(), (cancel.clone(), progress.clone()));
        let is_abandoned = Arc::clone(&self.0.is_abandoned);
        let call = Arc::new(Call { tool, arguments, meta, cancel, id: id.clone(), progress, is_abandoned });
        state.waiting.push_back(Waiting { call, work });
        self.fill(&mut state);
        Ok(true)
    }

    /// Starts what there is room for.
    fn fill(&self, state: &mut State) {
        while state.running < RUNNING
            && let Some(Waiting { call, work }) = state.waiting.pop_front()
        {
            state.running += 1;
            let calls = self.clone();
            let key = call.id.to_string();
            let started = std::thread::Builder::new().spawn(move || {
                let mut slot = Slot { calls, key: Some(call.id.to_string()) };
                let result = work(&call);
                slot.unlist();
                call.answer(&message::answer(&call.id, result));
            });
            if started.is_err() {
                state.running -= 1; // the call was dropped with its work, and so was answered
                state.live.remove(&key);
            }
        }
    }

    /// Cancels a call. It is not answered; one that is unknown or answered already is none.
    pub(super) fn cancel(&self, id: &Value) {
        let mut state = self.state();
        let Some((cancel, progress)) = state.live.get(&id.to_string()).cloned() else { return };
        let dropped = state.waiting.iter().position(|waiting| waiting.call.id == *id);
        let dropped = dropped.and_then(|at| state.waiting.remove(at));
        if dropped.is_some() {
            state.live.remove(&id.to_string());
        }
        drop(state);
        progress.end(None);
        cancel.cancel();
    }

    /// Waits for the answers to what was asked; how many are missing then.
    pub(super) fn finish(&self, patience: Duration) -> usize {
        self.wait(patience);
        self.state().live.len()
    }

    /// Cancels everything, and waits for the end of what runs.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.state();
        state.is_closed = true;
        self.0.is_abandoned.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut state.waiting);
        let live = state.live.values().cloned().collect::<Vec<_>>();
        drop(state);
        live.iter().for_each(|(cancel, _)| cancel.cancel());
        // On a thread of its own: a client that reads nothing may hold it up.
        let _ = std::thread::Builder::new().spawn(move || {
            for (_, progress) in &live {
                progress.end(None);
            }
            drop(waiting);
        });
        self.wait(patience);
    }

    fn wait(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        while state.running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's place among those that run, given back however the call ends.
struct Slot {
    calls: Calls,
    key: Option<String>,
}

impl Slot {
    /// From now on its id may be another's.
    fn unlist(&mut self) {
        if let Some(key) = self.key.take() {
            self.calls.state().live.remove(&key);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.unlist();
        let mut state = self.calls.state();
        state.running -= 1;
        self.calls.fill(&mut state);
        drop(state);
        self.calls.0.ended.notify_all();
    }
}
