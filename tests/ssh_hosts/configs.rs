//! Whatever the user's ssh config says of a host beyond how to get in, a command, a transfer and a forward work on it.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};

use super::{read, with_config};
use crate::support::{CommandOutput, World};

/// Where connections get `hello`.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"hello");
        }
    });
    port
}

fn works(world: &World, lines: &str, greeter: u16) {
    let home = world.home();
    world.run(&["connect", "box"]).succeeds();
    std::fs::write(home.join("local"), "content").unwrap();
    for transport in ["mux", "openssh"] {
        let mut exec = world.command(&["exec", "-n", "--", "printf 'a\\n~.\\n'; echo e >&2; exit 3"]);
        let said = CommandOutput::of(exec.env("RUNCODE_TRANSPORT", transport).output().unwrap()).ends_with(3);
        assert_eq!((said.text(), said.stderr.as_str()), ("a\n~.\n", "e\n"), "{lines}: {transport}");
    }
    let there = world.workspace().join("there").display().to_string();
    world.run(&["put", "local", &there]).succeeds();
    assert_eq!(read(there.as_ref()), "content", "{lines}");
    let said = world.run(&["forward", &greeter.to_string(), "--local", "0", "--json"]).succeeds().json();
    let local = said["forwards"][0]["local"].as_u64().unwrap();
    let mut text = String::new();
    let mut stream = TcpStream::connect(("localhost", u16::try_from(local).unwrap())).unwrap();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello", "{lines}");
    world.run(&["disconnect"]).succeeds();
}

#[test]
fn a_config_of_any_kind_is_in_nobodys_way() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port();
    let greeter = greeter();
    let Some(world) = World::own_host() else { return };
    let (config, known) = (world.home().join(".ssh/config"), world.home().join(".ssh/known_hosts"));
    let (theirs, known_before) = (read(&config), read(&known));
    for lines in [
        "ForkAfterAuthentication yes",
        "SessionType subsystem",
        "RemoteCommand tmux attach",
        "RequestTTY force",
        "AddressFamily inet",
        &format!("DynamicForward {taken}\n  ExitOnForwardFailure yes"),
        &format!("RemoteForward 127.0.0.1:{taken} localhost:80\n  ExitOnForwardFailure yes"),
        "Tunnel yes\n  ExitOnForwardFailure yes",
        "ControlMaster ask\n  ControlPath ~/.ssh/own-%C\n  ControlPersist 1",
        "ControlMaster yes\n  ControlPath /no/such/folder/%C",
        "LogLevel FATAL",
        "LogLevel DEBUG3",
        "EscapeChar a",
        "BatchMode no",
        "StrictHostKeyChecking ask",
        "UpdateHostKeys ask",
        "VerifyHostKeyDNS ask",
        "VisualHostKey yes",
        "ForwardAgent yes\n  ForwardX11 yes\n  ForwardX11Trusted yes",
        "AddKeysToAgent confirm",
        "PermitLocalCommand yes\n  LocalCommand echo noise; echo noise >&2; exit 1",
        "SetEnv LC_RUNCODE=theirs\n  SendEnv -LC_*",
        "PKCS11Provider /no/such/provider.so",
        "Match host * exec \"cat; echo noise; echo noise >&2\"\n  Compression yes",
    ] {
        let start = if lines.starts_with("Match") { "" } else { "Host box\n  " };
        let text = format!("{start}{lines}\n{theirs}");
        std::fs::write(&config, &text).unwrap();
        works(&world, lines, greeter);
        assert_eq!((read(&config), read(&known)), (text, known_before.clone()), "{lines}");
    }
}

#[test]
fn a_forward_needs_the_port_to_itself() {
    let Some(world) = with_config("Host box\n  AddressFamily inet") else { return };
    let world = world.connected();
    for address in ["127.0.0.1", "::1"] {
        let Ok(taken) = TcpListener::bind((address, 0)) else { continue };
        let port = taken.local_addr().unwrap().port().to_string();
        world.run(&["forward", "1", "--local", &port, "--json"]).fails_as("conflict", 2);
        drop(taken);
        let made = world.run(&["forward", "1", "--local", &port, "--json"]).succeeds().json();
        if TcpListener::bind(("::1", 0)).is_ok() {
            // Another user may listen on ::1, to which `localhost` leads first.
            assert_eq!(made["forwards"][0]["url"], format!("http://127.0.0.1:{port}"));
        }
    }
}
