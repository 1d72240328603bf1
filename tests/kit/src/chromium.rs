//! A headless Chromium on the DevTools protocol, over a pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

pub struct Chromium {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    _profile: TempDir,
}

impl Chromium {
    /// A browser with one empty tab; `None` where there is no Chromium.
    pub fn start() -> Option<Self> {
        let name = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        })?;
        let profile = tempfile::tempdir().unwrap();
        // The protocol's pipe is descriptors 3 and 4.
        let script = format!(
            "exec {name} --headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync \
             --user-data-dir='{}' --remote-debugging-pipe about:blank 3<&0 4>&1 0</dev/null 1>/dev/null 2>&1",
            profile.path().display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut chromium = Chromium { child, to, from, session: None, last: 0, _profile: profile };
        let target =
            chromium.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = chromium.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        chromium.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        chromium.call("Page.enable", json!({}));
        Some(chromium)
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(message.to_string().as_bytes()).unwrap();
        self.to.write_all(&[0]).unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == json!(self.last) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        bytes.pop();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Goes to a page and waits until it is there.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        while self.evaluate("document.readyState") != json!("complete") {}
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        self.call("Runtime.evaluate", json!({ "expression": expression }))["result"]["value"].clone()
    }

    /// Makes the window so wide and high, and the page light or dark.
    pub fn appear(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Saves what the window shows as PNG.
    pub fn screenshot(&mut self, file: &Path) {
        let data = self.call("Page.captureScreenshot", json!({}))["data"].as_str().unwrap().to_owned();
        let text = decode_base64(&data);
        std::fs::write(file, text).unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Decodes base64 with the system's tool.
fn decode_base64(data: &str) -> Vec<u8> {
    crate::feed(Command::new("base64").arg("-d"), data.as_bytes()).stdout
}
