//! Where the token and the private key go: to the plane, to ssh, and nowhere else. To whom connections are made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{program, skipped, wrapped};
use crate::support::{CommandOutput, World, until};

/// Every command of a full run, failures too; what they said.
fn full_run(world: &World) -> String {
    let mut said = String::new();
    let mut run = |arguments: &[&str], input: Option<&[u8]>| {
        let one = match input {
            Some(input) => world.run_with(arguments, input),
            None => world.run(arguments),
        };
        said.push_str(&format!("{}{}", String::from_utf8_lossy(&one.stdout), one.stderr));
    };
    let token = world.plane().token().as_bytes();
    run(&["login", "--paste"], Some(token));
    for json in [&[][..], &["--json"]] {
        for arguments in [
            &["list"][..],
            &["connect", "1", "--force"],
            &["connect", "nope"],
            &["connect", "77"],
            &["status"],
            &["current"],
            &["exec", "--", "echo", "hi"],
            &["exec", "--", "exit 3"],
            &["run", "1", "--", "env"],
            &["--api-base", "http://127.0.0.1:1", "list"],
            &["--api-base", "http://example.com", "list"],
            &["nonsense"],
            &["disconnect", "--keep"],
            &["exec", "--", "true"],
        ] {
            run(&[json, arguments].concat(), None);
        }
    }
    run(&["list", "--token-stdin"], Some(token));
    run(&["list", "--token-stdin"], Some(b"wrong\0token"));
    run(&["connect", "1"], None);
    said
}

/// The base64 body of the private key: any 40 characters of it are a leak.
fn private_key(world: &World) -> Vec<String> {
    let pem = std::fs::read_to_string(world.cache("ws-1/id_ed25519")).unwrap();
    let lines = pem.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>();
    // The first line is the same in every key, and the public half is in the second.
    lines.iter().skip(2).map(|line| (*line).to_owned()).collect()
}

#[test]
fn secrets_appear_in_no_output_log_or_file() {
    let world = World::with(|options| {
        options.access_log = Some(options.workspaces[0].dir.with_file_name("access.log"))
    });
    let token = world.plane().token().to_owned();
    let over = AtomicBool::new(false);
    let (said, listed) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !over.load(Ordering::SeqCst) {
                for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                    let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
                    if arguments.contains(&token) {
                        seen.insert(arguments);
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            seen
        });
        let said = full_run(&world);
        over.store(true, Ordering::SeqCst);
        (said, watcher.join().unwrap())
    });
    let key = private_key(&world);
    assert!(key.iter().any(|line| line.len() > 30), "{key:?}");
    assert_eq!(listed, BTreeSet::new(), "the token is in the list of processes");
    assert!(
        !said.contains(&token) && !key.iter().any(|line| said.contains(line.as_str())),
        "a secret was printed"
    );
    let mut files = Vec::new();
    for folder in [world.home().to_owned(), PathBuf::from("/tmp/runcode-0")] {
        collect(&folder, &mut files);
    }
    let holding = |needle: &str| {
        let found = files.iter().filter(|path| {
            std::fs::read(path).is_ok_and(|content| String::from_utf8_lossy(&content).contains(needle))
        });
        found.cloned().collect::<Vec<_>>()
    };
    assert_eq!(holding(&token), [world.home().join(".config/runcode/token")]);
    for line in &key {
        assert_eq!(holding(line), [world.cache("ws-1/id_ed25519")]);
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}

/// What runs for long has no token in its environment, and no crash writes memory to a file.
#[test]
fn masters_hold_no_token_and_dump_no_core() {
    let world = World::new().connected();
    world.run(&["exec", "--", "true"]).succeeds();
    let mut child = world.command(&["exec", "--", "echo up; sleep 20"]).spawn().unwrap();
    let limits = || std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap_or_default();
    until("it runs", || {
        limits()
            .lines()
            .any(|line| line.starts_with("Max core file size") && line.split_whitespace().nth(4) == Some("0"))
    });
    let cache = world.home().to_string_lossy().into_owned();
    let mut masters = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if !arguments.starts_with(b"ssh") && !arguments.windows(4).any(|part| part == b"/ssh")
            || !String::from_utf8_lossy(&arguments).contains(&cache)
        {
            continue;
        }
        masters += 1;
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&environment).contains(world.plane().token()),
            "{}",
            String::from_utf8_lossy(&arguments)
        );
    }
    assert!(masters > 0, "there is no master");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    child.wait().unwrap();
}

/// Every connection of a full run: the API's port, the gateway's port, sockets of this machine. No telemetry.
#[test]
fn only_plane_and_gateway_are_contacted() {
    if program("strace").is_none() {
        return skipped("where connections go", "there is no strace");
    }
    let world = World::new();
    let trace = world.home().join("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-e", "trace=connect,sendto,openat,execve", "-s", "256", "-o"])
        .arg(&trace)
        .args(["--", "sh", "-c"]);
    strace.arg("\"$0\" list && \"$0\" connect 1 --wait && \"$0\" exec -- echo hi && \"$0\" status && \"$0\" connect 1 --force && \"$0\" disconnect");
    CommandOutput::of(wrapped(strace, &world.command::<&str>(&[])).output().unwrap()).succeeds();
    let text = std::fs::read_to_string(&trace).unwrap();
    let port = |base: &str| base.rsplit(':').next().unwrap().to_owned();
    let allowed = [port(&world.base()), world.plane().gateway_addr().port().to_string()];
    let mut connections = 0;
    for line in text.lines().filter(|line| line.contains("sa_family=AF_INET")) {
        let to = line.split("htons(").nth(1).unwrap().split(')').next().unwrap();
        assert!(line.contains("127.0.0.1") && allowed.iter().any(|port| port == to), "{line}");
        connections += 1;
    }
    assert!(connections >= 4, "{text}");
    for line in text.lines().filter(|line| line.contains("sa_family=AF_UNIX")) {
        assert!(
            line.contains(&*world.home().to_string_lossy())
                || line.contains("/run/")
                || line.contains("/var/run/nscd"),
            "{line}"
        );
    }
    // Nor is any configuration of ssh's read but the session's, and nothing is run but ssh.
    for line in text.lines().filter(|line| !line.contains("= -1")) {
        assert!(!line.contains("/.ssh/") && !line.contains("\"/etc/ssh/ssh_config\""), "{line}");
        if let Some(program) = line.split("execve(\"").nth(1) {
            let program = program.split('"').next().unwrap();
            assert!(["sh", "runcode", "ssh"].contains(&program.rsplit('/').next().unwrap()), "{line}");
        }
    }
}
