//! `forward`: ports come, come back and go.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::support::{CommandOutput, World, is_running, until};

/// A server on a free loopback port that greets whoever connects; it ends with the test.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"hello");
        }
    });
    port
}

fn greeted(port: u16) -> bool {
    let mut text = String::new();
    TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| stream.read_to_string(&mut text).is_ok())
        && text == "hello"
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn forwards_are_listed_and_cancelled() {
    for world in World::each() {
        let world = world.connected();
        let (first, second, local) = (greeter().to_string(), greeter().to_string(), free());
        for _ in 0..2 {
            let said =
                world.run(&["forward", &first, "--local", &local.to_string(), "--json"]).succeeds().json();
            assert_eq!(said["forwards"][0]["url"], format!("http://localhost:{local}"));
            assert!(greeted(local));
        }
        let said = world.run(&["forward", &first, &second, "--local", "0", "--json"]).succeeds().json();
        for row in said["forwards"].as_array().unwrap() {
            assert!(greeted(u16::try_from(row["local"].as_u64().unwrap()).unwrap()), "{said}");
        }
        let listed = world.run(&["forward", "--list", "--json"]).succeeds().json();
        assert_eq!(listed["forwards"].as_array().unwrap().len(), 3);
        assert!(listed["forwards"].as_array().unwrap().iter().all(|row| row["active"] == true));
        world.run(&["forward", &first, "--cancel"]).succeeds();
        assert!(!greeted(local));
        assert_eq!(
            world.run(&["forward", "--list", "--json"]).succeeds().json()["forwards"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        world.run(&["forward", "--cancel"]).succeeds();
        world.run(&["forward", "--cancel", &first, "--json"]).fails_as("not_found", 2);
        assert_eq!(world.run(&["forward", "--list"]).succeeds().text(), "nothing is forwarded\n");
    }
}

#[test]
fn a_port_pair_is_local_then_remote() {
    let world = World::new().connected();
    let (there, local) = (greeter(), free());
    let pair = format!("{local}:{there}");
    let said = world.run(&["forward", &pair, "--json"]).succeeds().json();
    assert_eq!((&said["forwards"][0]["local"], &said["forwards"][0]["port"]), (&local.into(), &there.into()));
    assert!(greeted(local));
    let said = world.run(&["forward", "--cancel", &pair]).succeeds();
    assert!(said.text().starts_with("ended: ") && !greeted(local), "{said:?}");
    let said = world.run(&["forward", "--cancel", &pair, "--json"]).fails_as("not_found", 2).json();
    assert_eq!(said["message"], format!("{pair} is no forward of box (#1)"));
    // One wrong number ends nothing.
    world.run(&["forward", &pair]).succeeds();
    let said = world.run(&["forward", "--cancel", &pair, "9", "--json"]).fails_as("not_found", 2).json();
    assert!(said["hint"].as_str().unwrap().ends_with(&format!(": {pair}")), "{said}");
    assert!(greeted(local));
    world.run(&["forward", "--cancel"]).succeeds();
    let said = world.run(&["forward", &format!(":{there}"), "--json"]).succeeds().json();
    assert!(greeted(u16::try_from(said["forwards"][0]["local"].as_u64().unwrap()).unwrap()), "{said}");
}

/// People are told, on their terminal, and programs that read the answer; a script that only connects pays no round trip.
#[test]
fn forwarding_a_silent_port_is_mentioned() {
    for world in World::each() {
        let world = world.connected();
        let (there, silent) = (greeter().to_string(), free().to_string());
        let on_a_terminal = |port: &str| {
            let ours = world.command(&["forward", port, "--local", "0"]);
            let mut script = Command::new("script");
            let line = format!("{} forward {port} --local 0", ours.get_program().display());
            script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).current_dir(world.home());
            script.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
            CommandOutput::of(script.output().unwrap()).succeeds()
        };
        let word = format!("nothing listens on port {silent} ");
        assert!(on_a_terminal(&silent).text().contains(&word));
        assert!(!on_a_terminal(&there).text().contains("nothing listens"));
        assert_eq!(world.run(&["forward", &silent, "--local", "0"]).succeeds().stderr, "");
        for (port, listening) in [(&silent, false), (&there, true)] {
            let said = world.run(&["forward", port, "--local", "0", "--json"]).succeeds().json();
            assert_eq!(said["forwards"][0]["listening"], listening, "{said}");
        }
        assert_eq!(
            world.run(&["forward", "--list", "--json"]).json()["forwards"].as_array().unwrap().len(),
            5
        );
    }
}

/// A connection stays for its forwards' sake; where there are none, it ends as any other does.
#[test]
fn a_failed_forward_keeps_nothing_open() {
    for world in World::each() {
        let world = world.connected();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = taken.local_addr().unwrap().port().to_string();
        world.run(&["forward", &greeter().to_string(), "--local", &local, "--json"]).fails_as("conflict", 2);
        until("the connection ends", || {
            let pid = std::fs::read_to_string(world.session_file("master.pid")).unwrap_or_default();
            pid.trim().parse().map_or(true, |pid| !is_running(pid))
        });
        world.run(&["exec", "--", "true"]).succeeds();
    }
}

#[test]
fn a_taken_port_is_named_on_ipv4_and_ipv6() {
    let world = World::new().connected();
    let there = greeter().to_string();
    let mut taken = vec![TcpListener::bind("127.0.0.1:0").unwrap()];
    taken.extend(TcpListener::bind("[::1]:0"));
    for listener in &taken {
        let port = listener.local_addr().unwrap().port().to_string();
        let said = world.run(&["forward", &there, "--local", &port, "--json"]).fails_as("conflict", 2).json();
        assert!(said["message"].as_str().unwrap().contains(&port), "{said}");
    }
    assert_eq!(world.run(&["forward", "--list"]).succeeds().text(), "nothing is forwarded\n");
}

#[test]
fn reverse_forwards_lead_here() {
    for world in World::each() {
        let world = world.connected();
        let (here, there) = (greeter(), free());
        world
            .run(&["forward", &there.to_string(), "-R", "--local", &here.to_string(), "--to", "127.0.0.1"])
            .succeeds();
        assert!(greeted(there));
        world.run(&["forward", &there.to_string(), "-R", "--cancel"]).succeeds();
        until("the workspace no longer listens", || TcpStream::connect(("127.0.0.1", there)).is_err());
    }
}

#[test]
fn forwards_return_with_the_connection() {
    for world in World::each() {
        let world = world.connected();
        let (there, local) = (greeter().to_string(), free());
        world.run(&["forward", &there, "--local", &local.to_string()]).succeeds();
        let pid = std::fs::read_to_string(world.cache("ws-1/master.pid")).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        until("the forward is gone", || TcpStream::connect(("127.0.0.1", local)).is_err());
        world.run(&["exec", "true"]).succeeds();
        assert!(greeted(local), "a command brings it back");
        let pid = std::fs::read_to_string(world.cache("ws-1/master.pid")).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        until("the forward is gone", || TcpStream::connect(("127.0.0.1", local)).is_err());
        let listed = world.run(&["forward", "--list", "--json"]).succeeds().json();
        assert_eq!(
            (&listed["forwards"][0]["active"], greeted(local)),
            (&true.into(), true),
            "so does the list"
        );
    }
}

/// How long the connections of a world stay without use, in seconds: 0 is for as long as they live.
fn persisting(world: &World) -> Vec<String> {
    let ours = crate::support::processes_with(world.cache("").to_str().unwrap());
    let masters = ours.into_iter().filter(|line| line.contains("[mux]") || line.contains(" -M "));
    masters
        .map(|line| {
            line.split("ControlPersist=").nth(1).map_or("config".to_owned(), |rest| rest[..1].to_owned())
        })
        .collect()
}

/// OpenSSH counts only what runs over a connection as use, not the forwards that listen.
#[test]
fn a_connection_stays_as_long_as_its_forwards() {
    for world in World::each().into_iter().chain(World::own_host()) {
        let world = world.connected();
        let (there, local, other) = (greeter().to_string(), free(), free());
        let go = world.workspace().join("go");
        let slow =
            world.command(&["exec", "-n", "--", "echo up; until [ -e go ]; do sleep .05; done"]).spawn();
        world.run(&["exec", "true"]).succeeds();
        let lasting = || persisting(&world).iter().filter(|persist| *persist == "0").count();
        assert_eq!(lasting(), 0);
        world.run(&["forward", &there, "--local", &local.to_string()]).succeeds();
        world.run(&["forward", &there, "--local", &other.to_string()]).succeeds();
        assert_eq!((lasting(), greeted(local), greeted(other)), (1, true, true), "{:?}", persisting(&world));
        std::fs::write(go, "").unwrap();
        CommandOutput::of(slow.unwrap().wait_with_output().unwrap()).succeeds();
        until("the first connection is gone", || persisting(&world).len() == 1);
        if !world.is_own_host() {
            world.run(&["connect", "box", "--ttl", "1700"]).succeeds();
            assert_eq!((lasting(), greeted(local)), (1, true), "renewed");
        }
        world.run(&["forward", "--cancel", &local.to_string()]).succeeds();
        assert_eq!((lasting(), greeted(other)), (1, true), "one is left");
        world.run(&["forward", "--cancel"]).succeeds();
        until("it does not stay for nothing", || lasting() == 0);
        world.run(&["exec", "true"]).succeeds();
        assert_eq!(lasting(), 0);
    }
}

/// Of a session so short that every command renews it, also one that needs no connection.
#[test]
fn forwards_survive_an_idle_renewal() {
    let world = World::with(|options| options.max_ttl = std::time::Duration::from_secs(30)).connected();
    let (port, local) = (greeter().to_string(), free());
    world.run(&["forward", &port, "--local", &local.to_string()]).succeeds();
    for _ in 0..2 {
        let listed = world.run(&["forward", "--list", "--json"]).succeeds().json();
        assert_eq!(listed["forwards"][0]["active"], true, "{listed}");
        assert!(greeted(local));
    }
}

#[test]
fn bad_forward_arguments_are_usage_errors() {
    let world = World::new().connected();
    for arguments in [
        &["forward"][..],
        &["forward", "0"],
        &["forward", "65536"],
        &["forward", "x"],
        &["forward", "1", "--to", "a b"],
        &["forward", "1", "--to=-x"],
        &["forward", "1", "2", "--local", "7"],
        &["forward", "--list", "7"],
        &["forward", "7:"],
        &["forward", "1:0"],
        &["forward", "65536:1"],
        &["forward", "a:b:c:d"],
        &["forward", "7:db:x"],
        &["forward", "[::1]:80"],
    ] {
        world.run(arguments).ends_with(2);
    }
}

/// A port that a forward of ours has is told apart from one that somebody else has, and ended by its number here.
#[test]
fn forwards_are_cancelled_by_their_number() {
    let world = World::two().connected();
    let (first, second, here) = (greeter(), greeter(), free());
    world.run(&["forward", &format!("{here}:{first}")]).succeeds();
    let again = format!("{here}:{second}");
    let said = world.run(&["forward", &again, "--json"]).fails_as("conflict", 2).json();
    assert!(
        said["hint"].as_str().unwrap().contains(&format!("runcode forward {here}:{first} --cancel")),
        "{said}"
    );
    world.run(&["connect", "other"]).succeeds();
    let said = world.run(&["forward", &again, "--json"]).fails_as("conflict", 2).json();
    assert!(said["message"].as_str().unwrap().contains("of box (#1)"), "{said}");
    let end = format!("runcode forward {here}:{first} --cancel -w 1");
    assert!(said["hint"].as_str().unwrap().contains(&end), "{said}");
    world.run(&["connect", "box"]).succeeds();
    let there = free();
    world.run(&["forward", &format!("{there}:{here}")]).succeeds();
    let ended = world.run(&["forward", &here.to_string(), "--cancel", "--json"]).succeeds().json();
    assert_eq!(ended["cancelled"].as_array().unwrap().len(), 1, "{ended}");
    assert_eq!((&ended["cancelled"][0]["local"], greeted(here)), (&here.into(), false), "{ended}");
}

/// The old connection still carries a command, and a connection through the forward, when the session is renewed.
#[test]
fn forwards_survive_a_busy_renewal() {
    for world in World::each() {
        let world = world.connected();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (there, here) = (listener.local_addr().unwrap().port(), free());
        world.run(&["forward", &format!("{here}:{there}")]).succeeds();
        let mut through = TcpStream::connect(("127.0.0.1", here)).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let started = world.workspace().join("started");
        let slow = world
            .command(&["exec", "-n", "--", "touch started; until [ -e go ]; do sleep .05; done"])
            .spawn();
        until("it has started", || started.exists());
        let said = world.run(&["connect", "box", "--ttl", "1700"]).succeeds();
        assert!(!said.stderr.contains("not forwarded"), "{}", said.stderr);
        let _anew = TcpStream::connect(("127.0.0.1", here)).unwrap();
        listener.accept().unwrap();
        far.write_all(b"as before").unwrap();
        let mut words = [0; 9];
        through.read_exact(&mut words).unwrap();
        assert_eq!(&words, b"as before");
        std::fs::write(world.workspace().join("go"), "").unwrap();
        CommandOutput::of(slow.unwrap().wait_with_output().unwrap()).succeeds();
        drop((through, far));
        assert!(TcpStream::connect(("127.0.0.1", here)).is_ok());
    }
}
