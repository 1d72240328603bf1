//! A scripted Codex, over stdio or over a WebSocket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::support::{PATIENCE, World};

pub struct Peer {
    pub child: Option<Child>,
    send: Box<dyn FnMut(String)>,
    messages: Receiver<Value>,
    kept: Vec<Value>,
    last: u64,
}

/// What happened to a command.
#[derive(Debug, Default, PartialEq)]
pub struct Ended {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub status: i64,
}

impl Ended {
    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub fn err(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap()
    }
}

impl Peer {
    /// `runcode codex-environment` in the attached folder, after the introduction.
    pub fn of(world: &World) -> Peer {
        let mut peer = Peer::stranger(world);
        peer.initialize();
        peer
    }

    /// The same, with its command changed.
    pub fn with(world: &World, change: impl FnOnce(&mut Command)) -> Peer {
        let mut command = world.command(&["codex-environment"]);
        change(&mut command);
        let mut peer = Peer::start_at(&mut command);
        peer.initialize();
        peer
    }

    /// One that has sent nothing yet.
    pub fn stranger(world: &World) -> Peer {
        Peer::start_at(&mut world.command(&["codex-environment"]))
    }

    fn start_at(command: &mut Command) -> Peer {
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, messages) = mpsc::sync_channel(0); // waits for a slow reader
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut stdin = child.stdin.take().unwrap();
        let send = move |text: String| drop(stdin.write_all(format!("{text}\n").as_bytes()));
        Peer { child: Some(child), send: Box::new(send), messages, kept: vec![], last: 0 }
    }

    /// Over a WebSocket.
    pub fn at(address: &str) -> Result<Peer, tungstenite::Error> {
        let (mut socket, _) = tungstenite::connect(address)?;
        let stream = socket.get_mut();
        let MaybeTlsStream::Plain(stream) = stream else { panic!("no TLS here") };
        let writing = stream.try_clone().unwrap();
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok(message) = socket.read() {
                if let Message::Text(text) = message
                    && sender.send(serde_json::from_str(&text).unwrap()).is_err()
                {
                    return;
                }
            }
        });
        let role = tungstenite::protocol::Role::Client;
        let mut writer: WebSocket<TcpStream> = WebSocket::from_raw_socket(writing, role, None);
        let send = move |text: String| drop(writer.send(Message::text(text)));
        Ok(Peer { child: None, send: Box::new(send), messages, kept: vec![], last: 0 })
    }

    pub fn initialize(&mut self) -> Value {
        let info =
            self.ask("initialize", json!({ "clientName": "codex-environment", "resumeSessionId": null }));
        self.write("{\"method\":\"initialized\",\"params\":{}}");
        info["environmentInfo"].clone()
    }

    pub fn write(&mut self, text: &str) {
        (self.send)(text.to_owned());
    }

    /// The next message that `wanted` accepts; the others stay.
    pub fn next(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.next_within(wanted, PATIENCE);
        found.unwrap_or_else(|| panic!("nothing more came; kept: {:?}", self.kept))
    }

    fn next_within(
        &mut self,
        wanted: impl Fn(&Value) -> bool,
        patience: std::time::Duration,
    ) -> Option<Value> {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return Some(self.kept.remove(at));
        }
        loop {
            let message = self.messages.recv_timeout(patience).ok()?;
            if wanted(&message) {
                return Some(message);
            }
            self.kept.push(message);
        }
    }

    /// Whether the other side has ended the conversation.
    pub fn is_over(&mut self) -> bool {
        loop {
            match self.messages.try_recv() {
                Ok(message) => self.kept.push(message),
                Err(mpsc::TryRecvError::Empty) => return false,
                Err(mpsc::TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Sends a request; returns its id.
    pub fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.write(&json!({ "id": id, "method": method, "params": params }).to_string());
        id
    }

    pub fn answer(&mut self, id: u64) -> Value {
        self.next(|message| message["id"] == id)
    }

    /// The result of a request.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, &params);
        let answer = self.answer(id);
        assert!(answer.get("error").is_none() && answer.get("jsonrpc").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The code and the message of a refusal.
    pub fn refused(&mut self, method: &str, params: Value) -> (i64, String) {
        let id = self.request(method, &params);
        let answer = self.answer(id);
        let error = &answer["error"];
        (
            error["code"].as_i64().unwrap_or_else(|| panic!("{answer}")),
            error["message"].as_str().unwrap().to_owned(),
        )
    }

    /// Starts a command, whose parameters may be changed.
    pub fn start(&mut self, world: &World, id: &str, script: &str, change: Value) -> Value {
        let params = command(world, id, script, &change);
        self.ask("process/start", params)
    }

    /// Waits for the end of a command.
    pub fn ended(&mut self, id: &str) -> Ended {
        let (mut ended, mut last) = (Ended::default(), 0);
        loop {
            let said = self.next(|message| message["params"]["processId"] == id);
            let params = &said["params"];
            assert_eq!(params["seq"], last + 1, "{said}");
            last += 1;
            match said["method"].as_str().unwrap() {
                "process/output" => {
                    let chunk = Base64::decode_vec(params["chunk"].as_str().unwrap()).unwrap();
                    match params["stream"].as_str().unwrap() {
                        "stdout" | "pty" => ended.stdout.extend(chunk),
                        "stderr" => ended.stderr.extend(chunk),
                        other => panic!("{other}"),
                    }
                }
                "process/exited" => ended.status = params["exitCode"].as_i64().unwrap(),
                "process/closed" => return ended,
                other => panic!("{other}"),
            }
        }
    }

    /// Runs a piece of shell to its end.
    pub fn run(&mut self, world: &World, script: &str) -> Ended {
        self.start(world, script, script, json!({}));
        self.ended(script)
    }

    /// Waits until a command has printed something.
    pub fn said(&mut self, id: &str, text: &str) {
        let mut said = String::new();
        while !said.contains(text) {
            let message = self.next(|message| {
                message["method"] == "process/output" && message["params"]["processId"] == id
            });
            let chunk = Base64::decode_vec(message["params"]["chunk"].as_str().unwrap()).unwrap();
            said += &String::from_utf8_lossy(&chunk);
        }
    }

    pub fn feed(&mut self, id: &str, bytes: &[u8]) -> String {
        let params = json!({ "processId": id, "chunk": Base64::encode_string(bytes), "writeId": "1" });
        self.ask("process/write", params)["status"].as_str().unwrap().to_owned()
    }

    /// Ends the conversation like a Codex that has gone.
    pub fn hang_up(&mut self) {
        self.send = Box::new(|_| {});
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.hang_up();
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The parameters with which Codex starts a command.
pub fn command(world: &World, id: &str, script: &str, change: &Value) -> Value {
    let mut params = json!({
        "processId": id,
        "metadata": { "toolCallId": "c0" },
        "argv": ["/bin/sh", "-c", script],
        "cwd": address(world, ""),
        "envPolicy": { "inherit": "all", "ignoreDefaultExcludes": true, "exclude": ["CODEX_VERSION"], "set": {}, "includeOnly": [] },
        "env": { "TERM": "dumb", "CODEX_CI": "1", "ODD": "a 'b'\n$c" },
        "tty": false,
        "pipeStdin": false,
        "arg0": null,
        "sandbox": { "permissions": { "type": "managed" } },
        "enforceManagedNetwork": false,
        "managedNetwork": null,
    });
    for (name, value) in change.as_object().unwrap() {
        params[name] = value.clone();
    }
    params
}

/// The address of a path in the attached folder, which is the user's home.
pub fn address(world: &World, below: &str) -> String {
    let slash = if below.is_empty() { "" } else { "/" };
    format!("file://{}{slash}{below}", world.home().canonicalize().unwrap().display())
}
