//! A client's messages and what it gets, without a process.
#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::mcp::{Call, Client, Outbox, Server, Service, messages_for_fuzzing};

/// A service whose one tool waits until it is cancelled, or for a word of the test.
struct Waits {
    tools: Vec<Value>,
    began: Sender<String>,
    go: std::sync::Mutex<Receiver<()>>,
}

impl Service for Waits {
    fn capabilities(&self) -> Value {
        json!({ "tools": {} })
    }
    fn instructions(&self) -> &str {
        "wait"
    }
    fn tools(&self) -> &[Value] {
        &self.tools
    }
    fn has(&self, tool: &str) -> bool {
        ["wait", "say", "panic"].contains(&tool)
    }
    fn call(&self, call: &Call, client: &Client) -> Map<String, Value> {
        if call.tool == "panic" {
            std::panic::resume_unwind(Box::new("a defect"));
        }
        if call.tool == "say" {
            let mut said = call.arguments.clone();
            said.insert("client".to_owned(), json!(client.name));
            return said;
        }
        self.began.send(call.arguments["name"].to_string()).unwrap();
        call.teller()("half");
        while !call.cancel.is_cancelled()
            && self.go.lock().unwrap().recv_timeout(Duration::from_millis(5)).is_err()
        {}
        call.arguments.clone()
    }
    fn busy(&self) -> Map<String, Value> {
        Map::from_iter([("isError".to_owned(), true.into())])
    }
}

struct Lines(Sender<Value>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1, "one message, one write");
        self.0.send(serde_json::from_slice(bytes).unwrap()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Fixture {
    server: Server<Waits>,
    said: Receiver<Value>,
    began: Receiver<String>,
    go: Sender<()>,
}

impl Fixture {
    fn new() -> Fixture {
        let (began, has_begun) = mpsc::channel();
        let (go, going) = mpsc::channel();
        let (lines, said) = mpsc::channel();
        let service = Waits { tools: vec![json!({ "name": "wait" })], began, go: going.into() };
        Fixture { server: Server::new(service, Outbox::new(Lines(lines))), said, began: has_begun, go }
    }

    fn send(&self, message: &Value) {
        self.server.read(format!("{message}\n").as_bytes());
    }

    fn wait(&self, id: u64, meta: Value) {
        let params = json!({ "name": "wait", "arguments": { "name": id }, "_meta": meta });
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
    }

    fn next(&self) -> Value {
        self.said.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": "q", "method": method, "params": params }));
        let answer = self.next();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!("q")));
        answer
    }
}

fn stateless(version: &str) -> Value {
    json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": { "name": "new", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    } })
}

#[test]
fn a_handshake_agrees_on_a_version() {
    let fixture = Fixture::new();
    for (wanted, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let params =
            json!({ "protocolVersion": wanted, "capabilities": {}, "clientInfo": { "name": "old" } });
        let result = &fixture.ask("initialize", params)["result"];
        assert_eq!(
            (&result["protocolVersion"], &result["serverInfo"]["name"]),
            (&json!(agreed), &json!("runcode"))
        );
        assert_eq!((&result["instructions"], result.get("resultType")), (&json!("wait"), None));
    }
    fixture.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    assert_eq!(fixture.ask("tools/list", json!({}))["result"], json!({ "tools": [{ "name": "wait" }] }));
    assert_eq!(fixture.ask("ping", json!({}))["result"], json!({}));
    let said = fixture.ask("tools/call", json!({ "name": "say", "arguments": null }));
    assert_eq!(said["result"], json!({ "client": "old" }));
}

#[test]
fn a_request_may_say_all_there_is_to_know() {
    let fixture = Fixture::new();
    let discovered = &fixture.ask("server/discover", stateless("2026-07-28"))["result"];
    assert_eq!(discovered["supportedVersions"], json!(["2026-07-28"]));
    let listed = &fixture.ask("tools/list", stateless("2026-07-28"))["result"];
    for result in [discovered, listed] {
        assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")));
    }
    let mut call = stateless("2026-07-28");
    (call["name"], call["arguments"]) = ("say".into(), json!({ "_meta": {} }));
    let said = &fixture.ask("tools/call", call)["result"];
    assert_eq!(said["client"], "new");
    for result in [discovered, listed, said] {
        assert_eq!(result["resultType"], "complete");
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "runcode");
    }
    let other = &fixture.ask("ping", stateless("2030-01-01"))["error"];
    assert_eq!((&other["code"], &other["data"]["requested"]), (&json!(-32022), &json!("2030-01-01")));
    assert_eq!(other["data"]["supported"], json!(["2026-07-28"]));
    let bare = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } });
    assert_eq!(fixture.ask("ping", bare)["error"]["code"], -32602);
    assert_eq!(fixture.ask("server/discover", json!({}))["error"]["code"], -32602);
}

#[test]
fn no_message_ends_the_server() {
    let fixture = Fixture::new();
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(5 << 20));
    for (line, code) in [
        ("{", -32700),
        ("\u{0}\u{1}", -32700),
        (&long, -32700),
        ("[]", -32600),
        ("\"x\"", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
    ] {
        fixture.server.read(line.as_bytes());
        let answer = fixture.next();
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{line:.40}");
    }
    fixture.server.read(&b"\xff\xfe\n"[..]);
    assert_eq!(fixture.next()["error"]["code"], -32700);
    for (method, params, code) in [
        ("resources/list", json!({}), -32601),
        ("", json!({}), -32601),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({ "name": "none" }), -32602),
        ("tools/call", json!({ "name": ["say"] }), -32602),
        ("tools/call", json!({ "name": "say", "arguments": [] }), -32602),
        ("tools/list", json!({ "cursor": "2" }), -32602),
    ] {
        assert_eq!(fixture.ask(method, params)["error"]["code"], code, "{method}");
    }
    assert_eq!(fixture.ask("tools/call", json!({ "name": "panic" }))["error"]["code"], -32603);
    assert_eq!(fixture.ask("ping", json!({ "_meta": 7 }))["result"], json!({}));
}

#[test]
fn a_cancelled_call_is_not_answered() {
    let fixture = Fixture::new();
    fixture.wait(1, json!({}));
    fixture.began.recv().unwrap();
    for id in [json!(7), json!("1"), json!(null), json!(1), json!(1)] {
        let params = json!({ "requestId": id });
        fixture.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    }
    fixture.server.close(Duration::from_secs(30));
    assert_eq!(fixture.said.try_iter().count(), 0);
}

#[test]
fn sixteen_run_and_sixty_four_wait() {
    let fixture = Fixture::new();
    (1..=80).for_each(|id| fixture.wait(id, json!({})));
    let began = (0..16).map(|_| fixture.began.recv().unwrap()).collect::<Vec<_>>();
    fixture.wait(81, json!({}));
    assert_eq!(fixture.next(), json!({ "jsonrpc": "2.0", "id": 81, "result": { "isError": true } }));
    fixture.wait(80, json!({}));
    assert_eq!(fixture.next()["error"]["code"], -32600, "its id is in use");
    assert_eq!(fixture.ask("ping", json!({}))["result"], json!({}), "it is not held up");
    assert!(fixture.began.try_recv().is_err(), "{began:?}");
    // One that waits is cancelled, and never begins.
    let cancelled = json!({ "requestId": 80 });
    fixture.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled }));
    (0..79).for_each(|_| fixture.go.send(()).unwrap());
    let mut answered = (0..79).map(|_| fixture.next()["id"].as_u64().unwrap()).collect::<Vec<_>>();
    answered.sort_unstable();
    assert_eq!(answered, (1..=79).collect::<Vec<_>>());
    fixture.server.close(Duration::from_secs(30));
    assert_eq!(fixture.said.try_iter().count(), 0);
}

#[test]
fn progress_is_told_before_the_answer_alone() {
    let fixture = Fixture::new();
    fixture.wait(1, json!({ "progressToken": "p" }));
    let told = fixture.next();
    assert_eq!(
        (&told["method"], &told["params"]["progressToken"]),
        (&json!("notifications/progress"), &json!("p"))
    );
    assert_eq!(told["params"]["message"], "half");
    assert!(told["params"]["progress"].as_u64().unwrap() >= 1);
    fixture.go.send(()).unwrap();
    assert_eq!(fixture.next()["id"], 1);
    fixture.server.close(Duration::from_secs(30));
    assert_eq!(fixture.said.try_iter().count(), 0);
}

/// What the fuzzer sees of the seeds that it begins with.
#[test]
fn each_line_is_answered_once_at_most() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds/mcp");
    let answered = |name: &str| messages_for_fuzzing(&std::fs::read(seeds.join(name)).unwrap()).len();
    assert_eq!((answered("handshake"), answered("stateless"), answered("odd")), (3, 1, 4));
}
