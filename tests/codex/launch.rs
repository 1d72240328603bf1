//! `runcode codex`: what is started, where its tools are, and who else is let in.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::json;
use tungstenite::Message;

use super::peer::{Peer, address};
use crate::support::{CommandOutput, World, processes_with, silent, skipped, until};

/// A `codex` that reports this version. Otherwise it notes where its tools are, and waits until a file `stop` says how
/// to end, or until nobody waits for it.
fn codex(world: &World, version: &str) -> PathBuf {
    let folder = world.home().join("bin");
    let _ = std::fs::create_dir(&folder);
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'codex-cli {version}'; exit; }}\nprintf '%s|' \"$@\" >args\n\
         echo \"$CODEX_EXEC_SERVER_URL\" >address.new; mv address.new address\n\
         until [ -e stop ]; do kill -0 $PPID || exit; sleep 0.02; done\nexit \"$(cat stop)\"\n"
    );
    let file = folder.join("codex");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut path = world.home().join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command = world.command(&[&["codex"], arguments].concat());
    command.env("PATH", path);
    command
}

fn run(world: &World, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(command(world, arguments).output().unwrap())
}

fn fails(output: &CommandOutput, why: &str) {
    assert!(output.status == 255 && output.stderr.contains(why), "{output:?}");
}

/// A running Codex, and the address of its tools.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn of(world: &World) -> Running {
        codex(world, "0.169.0");
        let child = silent(&mut command(world, &["exec", "--json", "two words"])).spawn().unwrap();
        until("codex runs", || world.home().join("address").exists());
        let address = std::fs::read_to_string(world.home().join("address")).unwrap().trim().to_owned();
        Running { child, address }
    }

    /// The status of a request for this path, with extra header lines.
    fn status(&self, path: &str, more: &str) -> String {
        let port = self.address.rsplit(':').next().unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: qYKWdY40l+Aj+kEN7SWvYQ==\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        match stream.read_exact(&mut answer) {
            Ok(()) => String::from_utf8_lossy(&answer[9..]).into_owned(),
            Err(_) => "closed".to_owned(),
        }
    }

    fn path(&self) -> String {
        format!("/{}", self.address.rsplit('/').next().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn codex_is_started_with_its_tools_there() {
    let world = World::new().connected();
    let before = world.snapshot();
    let mut running = Running::of(&world);
    assert_eq!(std::fs::read_to_string(world.home().join("args")).unwrap(), "exec|--json|two words|");
    let mut peer = Peer::at(&running.address).unwrap();
    let info = peer.initialize();
    assert_eq!(info["cwd"], address(&world, ""));
    let ended = peer.run(&world, "pwd; head -c 3000000 /dev/zero; exit 3");
    assert_eq!((ended.stdout.len() > 3_000_000, ended.status), (true, 3));
    let mark = format!("sleep 8{:06}", std::process::id());
    peer.start(&world, "left", &format!("echo ready; {mark}"), json!({}));
    peer.said("left", "ready");
    std::fs::write(world.home().join("stop"), "42").unwrap();
    assert_eq!(running.child.wait().unwrap().code(), Some(42), "the status is Codex's");
    until("what ran is gone", || processes_with(&mark).is_empty());
    until("the conversation is over", || peer.is_over());
    let after = world.snapshot();
    let left = after.keys().filter(|path| !before.contains_key(*path)).collect::<Vec<_>>();
    assert!(left.is_empty() && !world.home().join(".codex").exists(), "{left:?}");
}

#[test]
fn only_who_knows_the_word_is_let_in() {
    let world = World::new().connected();
    let running = Running::of(&world);
    let path = running.path();
    assert!(path.len() == 33 && path[1..].bytes().all(|byte| byte.is_ascii_hexdigit()), "{path}");
    for wrong in [
        "/",
        "/x",
        &format!("{path}0"),
        &path[..32],
        &format!("{path}/"),
        &format!("{path}?x"),
        &path.to_uppercase(),
    ] {
        if wrong != path {
            assert_eq!(running.status(wrong, ""), "403", "{wrong}");
        }
    }
    assert_eq!(running.status(&path, "Origin: http://127.0.0.1\r\n"), "403", "a web page");
    assert_eq!(running.status(&path, ""), "101");
    let (mut socket, _) = tungstenite::connect(&running.address).unwrap();
    socket.send(Message::binary(b"{\"id\":1,\"method\":\"initialize\"}".to_vec())).unwrap();
    until("what is not text ends it", || !matches!(socket.read(), Ok(Message::Text(_) | Message::Ping(_))));
    let mut peer = Peer::at(&running.address).unwrap();
    peer.initialize();
    assert_eq!(peer.run(&world, "echo fine").out(), "fine\n", "the others took nothing from it");
}

#[test]
fn other_users_are_turned_away() {
    if !rustix::process::geteuid().is_root() || !cfg!(target_os = "linux") {
        return skipped("another user's connection: it takes root to be two users");
    }
    let world = World::new().connected();
    let running = Running::of(&world);
    let port = running.address.rsplit(':').next().unwrap().split('/').next().unwrap();
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET {} HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\
         Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: qYKWdY40l+Aj+kEN7SWvYQ==\\r\\n\\r\\n' >&3; head -c 12 <&3",
        running.path()
    );
    let said = |user: &str| {
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={user}"), "--clear-groups", "--", "bash", "-c", &script])
            .current_dir("/");
        command.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(ours) = said("0") else { return skipped("another user's connection: setpriv is not here") };
    assert_eq!((&*ours, said("65534").as_deref()), ("HTTP/1.1 101", Some("")));
}

#[test]
fn codex_is_not_started_without_a_workspace() {
    let mut world = World::new();
    codex(&world, "0.169.0");
    let is_started = |world: &World| world.home().join("args").exists();
    fails(&run(&world, &[]), "no workspace is attached to this folder");
    world.connect();
    let elsewhere = world.home().parent().unwrap().to_owned();
    let output = CommandOutput::of(command(&world, &[]).current_dir(elsewhere).output().unwrap());
    fails(&output, "no workspace is attached to this folder");
    world.stop_plane();
    assert!(run(&world, &["exec", "x"]).status == 255 && !is_started(&world));
}

#[test]
fn a_codex_that_may_not_obey_is_not_started() {
    let world = World::new().connected();
    fails(&run(&world, &["exec", "x"]), "there is no `codex` on PATH");
    codex(&world, "0.149.2");
    fails(&run(&world, &["--any-version", "exec", "x"]), "older than 0.150");
    codex(&world, "0.172.0");
    fails(&run(&world, &["exec", "x"]), "newer than 0.171");
    codex(&world, "is broken");
    fails(&run(&world, &["exec", "x"]), "cannot tell the version of");
    codex(&world, "0.169.0");
    fails(&run(&world, &["app-server"]), "would not run its tools");
    fails(&run(&world, &["--", "--remote", "ws://127.0.0.1:1"]), "would not run its tools");
    let home = world.home().join(".codex");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("environments.toml"), "include_local = true\n").unwrap();
    fails(&run(&world, &["exec", "x"]), "Codex obeys it first");
    assert!(!world.home().join("args").exists(), "it was started");
}

#[test]
fn signals_reach_codex() {
    let world = World::new().connected();
    let mut running = Running::of(&world);
    let pid = rustix::process::Pid::from_raw(i32::try_from(running.child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(running.child.wait().unwrap().code(), Some(143));
    let codex = world.home().join("bin/codex");
    until("codex is gone", || processes_with(codex.to_str().unwrap()).is_empty());
}
