//! A client of `runcode mcp`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use serde_json::{Value, json};

use crate::support::{PATIENCE, World};

pub struct Peer {
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    last: u64,
}

/// The result of a tool.
#[derive(Debug)]
pub struct Said(pub Value);

impl Said {
    /// Its text.
    pub fn text(&self) -> &str {
        let text = self.0["content"][0]["text"].as_str().unwrap();
        assert!(text.chars().count() <= 32_000 && self.0.get("structuredContent").is_none());
        text
    }

    /// Its text, which is no failure.
    pub fn fine(&self) -> &str {
        assert_eq!(self.0["isError"], false, "{}", self.0);
        self.text()
    }

    /// Its text as a JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.fine()).unwrap()
    }

    /// The code of a failure, whose text says the same.
    pub fn code(&self) -> &str {
        let error = &self.0["_meta"]["io.runcode/error"];
        assert_eq!(self.0["isError"], true, "{}", self.0);
        // What a command printed, and how it ended, says more.
        let message = format!("runcode: {}", error["message"].as_str().unwrap());
        assert!(self.text().contains(&message) || self.facts()["timed_out"] == true, "{}", self.text());
        error["error"].as_str().unwrap()
    }

    /// The facts for programs.
    pub fn facts(&self) -> &Value {
        &self.0["_meta"]["io.runcode/result"]
    }
}

impl Peer {
    /// One in the user's home folder.
    pub fn of(world: &World) -> Peer {
        Peer::with(world, &[], world.home(), |_| {})
    }

    /// One with these arguments, in this folder, its command changed.
    pub fn with(world: &World, arguments: &[&str], folder: &Path, change: impl FnOnce(&mut Command)) -> Peer {
        let mut command = world.command(&[&["mcp"], arguments].concat());
        command.current_dir(folder).stdin(Stdio::piped()).stderr(Stdio::null());
        change(&mut command);
        Peer::start(&mut command)
    }

    pub fn start(command: &mut Command) -> Peer {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Peer { child, stdin, lines, last: 0 }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    pub fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// What came and was not looked at.
    pub fn rest(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }

    /// Sends a request; its id.
    pub fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        let answer = self.next();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    pub fn initialize(&mut self) -> Value {
        let client = json!({ "name": "test-client", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        let answer = self.ask("initialize", &params);
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }

    /// Begins a call; its id.
    pub fn begin(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.request("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }

    /// Calls a tool.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Said {
        let id = self.begin(tool, &arguments);
        let answer = self.next();
        assert_eq!(answer["id"], id, "{answer}");
        Said(answer["result"].clone())
    }

    pub fn cancel(&mut self, id: u64) {
        let params = json!({ "requestId": id });
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    }

    /// Closes its stdin.
    pub fn close(&mut self) {
        self.stdin = None;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
