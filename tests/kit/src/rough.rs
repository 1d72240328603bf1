//! A workspace behind a connection that goes wrong on request, from each origin.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::World;
use crate::fake_plane::{FakePlane, respond};
use crate::real_sshd::{RealSshd, jiff_now_plus, user};
use crate::relay::Relay;

/// Where the session comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// A control plane.
    Plane,
    /// The user's ssh config.
    Ssh,
    /// servers.toml.
    Server,
}

/// What the control plane does.
#[derive(Debug, Clone)]
pub struct Grants {
    /// How many sessions it was asked for.
    pub asked: usize,
    /// How long they last, in seconds.
    pub ttl: i64,
    /// How long after its answer the gateway learns of the key.
    pub key_delay: Duration,
    /// What it answers instead of a session: bytes, as they are.
    pub instead: Option<Vec<u8>>,
    /// How many seconds its clock, and the gateway's, are ahead of this machine's. Its answers tell the time.
    pub ahead: i64,
}

/// A world with one workspace, a real sshd behind a relay.
pub struct Rough {
    /// The user's.
    pub world: World,
    /// What the connections go through.
    pub relay: Relay,
    /// What commands call the workspace.
    pub name: &'static str,
    grants: Arc<Mutex<Grants>>,
}

impl Rough {
    /// One of each origin; none, said loudly, where there is no sshd. `lines` come first in sshd's config.
    pub fn each(lines: &str) -> impl Iterator<Item = Rough> {
        [From::Plane, From::Ssh, From::Server].into_iter().filter_map(move |from| Rough::new(from, lines))
    }

    /// One; `None`, said loudly, where there is no sshd.
    pub fn new(from: From, lines: &str) -> Option<Rough> {
        let grants = Grants { asked: 0, ttl: 1800, key_delay: Duration::ZERO, instead: None, ahead: 0 };
        let grants = Arc::new(Mutex::new(grants));
        if from == From::Plane {
            let home = tempfile::Builder::new().prefix("rc-").tempdir().unwrap();
            std::fs::create_dir(home.path().join("box")).unwrap();
            let mut sshd = RealSshd::start(home.path())?;
            sshd.restart_with(lines);
            let relay = Relay::to(sshd.port());
            let plane = plane(&sshd, relay.port(), &grants);
            return Some(Rough { world: World::behind(home, sshd, plane), relay, name: "1", grants });
        }
        let mut world = World::own_host()?;
        world.own_sshd().restart_with(lines);
        let port = world.own_sshd().port();
        let relay = Relay::to(port);
        for file in ["config", "known_hosts"] {
            let path = world.home().join(".ssh").join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text.replace(&port.to_string(), &relay.port().to_string())).unwrap();
        }
        if from == From::Server {
            let folder = world.home().join(".config/runcode");
            std::fs::create_dir_all(&folder).unwrap();
            let text = format!(
                "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\nworkdir = \"{}\"\n",
                world.workspace().display()
            );
            std::fs::write(folder.join("servers.toml"), text).unwrap();
        }
        let name = if from == From::Ssh { "ssh:box" } else { "gpu" };
        Some(Rough { world, relay, name, grants })
    }

    /// The same, attached, and with its connection up.
    pub fn connected(self) -> Rough {
        self.world.run(&["connect", self.name]).succeeds();
        self.world.run(&["exec", "--", "true"]).succeeds();
        self
    }

    /// The process id of the connection's master.
    pub fn master(&self) -> i32 {
        std::fs::read_to_string(self.world.session_file("master.pid")).unwrap().trim().parse().unwrap()
    }

    /// Kills the connection's master.
    pub fn kill_master(&self) {
        let pid = rustix::process::Pid::from_raw(self.master()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Changes what the control plane does.
    pub fn grants(&self, change: impl FnOnce(&mut Grants)) {
        change(&mut self.grants.lock().unwrap());
    }

    /// How many sessions the control plane was asked for.
    pub fn asked(&self) -> usize {
        self.grants.lock().unwrap().asked
    }
}

fn plane(sshd: &RealSshd, port: u16, grants: &Arc<Mutex<Grants>>) -> FakePlane {
    let (user, host_key, authorize) = (user(), sshd.host_key(), sshd.authorizer());
    let (workdir, grants) = (sshd.file("").parent().unwrap().join("box"), Arc::clone(grants));
    FakePlane::start(move |request, stream| {
        let (now, body) = {
            let mut grants = grants.lock().unwrap();
            let now = grants.clone();
            if !request.line.starts_with("POST") {
                let row = json!({"id": 1, "title": user, "custom_title": "box", "provider": "aws", "current_state": "running"});
                (now, json!({"error": false, "data": {"workspaces": [row]}}))
            } else {
                grants.asked += 1;
                if let Some(instead) = &now.instead {
                    let _ = stream.write_all(instead);
                    return;
                }
                let asked = request.text.split("\r\n\r\n").nth(1).unwrap();
                let asked: Value = serde_json::from_str(asked).unwrap();
                let (key, authorize) = (asked["public_key"].as_str().unwrap().to_owned(), authorize.clone());
                match now.key_delay {
                    Duration::ZERO => authorize(&key),
                    delay => drop(std::thread::spawn(move || {
                        std::thread::sleep(delay);
                        authorize(&key);
                    })),
                }
                let bundle = json!({"host": "127.0.0.1", "port": port, "user": user, "workdir": workdir,
                    "known_hosts": format!("[127.0.0.1]:{port} {host_key}"),
                    "expires_at": jiff_now_plus(now.ahead + now.ttl),
                    "credential": {"type": "key", "certificate": null}});
                (now, json!({"error": false, "bundle": bundle}))
            }
        };
        answer(stream, now.ahead, &body);
    })
}

fn answer(stream: &mut TcpStream, ahead: i64, body: &Value) {
    if ahead == 0 {
        return respond(stream, 200, body.to_string().as_bytes());
    }
    let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
    let (date, body) = (date.strftime("%a, %d %b %Y %H:%M:%S GMT"), body.to_string());
    let head = format!(
        "HTTP/1.1 200 X\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
}
