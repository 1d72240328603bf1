//! The master behind the commands: killed, stopped, replaced, ended under them, or there for fifty of them at once.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Case, everywhere, long_sleep, on_every_origin, signal, started, with_a_plane};
use crate::support::{CommandOutput, World, is_running, processes_with, until};

#[test]
fn a_lost_master_is_replaced_and_runs_once() {
    on_every_origin(|case| {
        let socket = control_path(case);
        let once = |what: &str| {
            let log = case.file("log");
            let _ = std::fs::remove_file(&log);
            let said = case.run(&["--", "echo ran >> log; echo ok"]);
            assert_eq!((said.status, said.text()), (0, "ok\n"), "{what}: {}", said.stderr);
            assert_eq!(std::fs::read_to_string(&log).unwrap(), "ran\n", "{what}");
        };
        once("before");
        let killed = case.master();
        signal(killed, Signal::KILL);
        once("killed");
        let stopped = case.master();
        signal(stopped, Signal::STOP);
        once("stopped");
        until("the stopped one is gone", || !is_running(stopped));
        let replaced = case.master();
        if case.transport == "spare" {
            return; // one that waits already needs no socket
        }
        std::fs::remove_file(&socket).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let liar = std::thread::spawn(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        once("replaced");
        liar.join().unwrap();
        until("the replaced one is gone", || !is_running(replaced));
    });
}

/// The master's ssh is given its connection. One that cannot use it makes its own: one from before 8.7, which does not know
/// the option that says so, and a wrapper that writes to it.
#[test]
fn masters_take_or_open_a_connection() {
    let old = "case \" $* \" in *StdinNull*)
        echo 'command-line: line 0: Bad configuration option: stdinnull' >&2; exit 255;; esac";
    with_a_plane(|case| {
        let (home, bin) = (case.world.home(), case.world.home().join("bin"));
        let (noted, ssh) = (home.join("noted"), bin.join("ssh"));
        std::fs::create_dir_all(&bin).unwrap();
        let path = std::env::var("PATH").unwrap();
        let first = format!("{}:{path}", bin.display());
        for (what, variable, value, expected) in [
            ("", "PATH", &first[..], "given\n"),
            (old, "PATH", &first, "given\nown\n"),
            ("echo this is a wrapper", "PATH", &first, "given\nown\n"),
            ("", "RUNCODE_SSH", ssh.to_str().unwrap(), "own\n"),
        ] {
            let note = format!("[ -S /dev/stdin ] && echo given >> {0} || echo own >> {0}", noted.display());
            std::fs::write(&ssh, format!("#!/bin/sh\n{note}\n{what}\nPATH={path}\nexec ssh \"$@\"\n"))
                .unwrap();
            std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
            case.world.run(&["disconnect"]).succeeds();
            let _ = std::fs::remove_file(&noted);
            let mut connect = case.world.command(&["connect", "box"]);
            CommandOutput::of(connect.env(variable, value).output().unwrap()).succeeds();
            assert_eq!(std::fs::read_to_string(&noted).unwrap(), expected, "{what}");
            assert_eq!(case.run(&["--", "echo ok"]).succeeds().text(), "ok\n");
        }
    });
}

/// As in a sandbox: process ids mean nothing there, and the master is the same.
#[test]
fn masters_survive_other_pid_namespaces() {
    everywhere(|case| {
        let unshare = "unshare --pid --fork --mount-proc";
        if Command::new("sh")
            .args(["-c", &format!("{unshare} true")])
            .output()
            .is_ok_and(|tried| !tried.status.success())
        {
            return crate::support::skipped("no pid namespace may be made");
        }
        case.run(&["--", "true"]).succeeds();
        let master = case.master();
        let child = started(case, &["--", "echo up; until [ -e go ]; do sleep .05; done; echo whole"]);
        let said = case.shell(&format!("{unshare} $RUNCODE exec -n -- 'echo within; touch go'"));
        assert_eq!((said.text(), said.status), ("within\n", 0), "{}", said.stderr);
        assert!(CommandOutput::of(child.wait_with_output().unwrap()).succeeds().text().ends_with("whole\n"));
        assert_eq!(case.master(), master);
        std::fs::remove_file(case.file("go")).unwrap();
    });
}

/// A sandbox like those of agents: nothing can be written.
const READ_ONLY: &str = "bwrap --ro-bind / / --dev /dev --proc /proc";

fn has_sandbox() -> bool {
    let tried = Command::new("sh").args(["-c", &format!("{READ_ONLY} true")]).output();
    let is_there = tried.is_ok_and(|tried| tried.status.success());
    if !is_there {
        crate::support::skipped("bubblewrap is not here, or may make no sandbox");
    }
    is_there
}

#[test]
fn a_warm_exec_writes_nothing() {
    if !has_sandbox() {
        return;
    }
    with_a_plane(|case| {
        if case.transport != "mux" {
            return; // an ssh of its own writes its log
        }
        case.run(&["--", "true"]).succeeds();
        let said = case.shell(&format!("{READ_ONLY} $RUNCODE exec -n -- 'echo within; exit 3'"));
        assert_eq!((said.text(), said.status, said.stderr.as_str()), ("within\n", 3, ""));
        let said = case.shell(&format!("echo fed | {READ_ONLY} $RUNCODE exec -- cat"));
        assert_eq!((said.text(), said.status, said.stderr.as_str()), ("fed\n", 0, ""));
    });
}

/// If no socket can be made either, the hint names the setting of each client that helps.
#[test]
fn a_forbidden_socket_has_a_hint() {
    if !has_sandbox() {
        return;
    }
    with_a_plane(|case| {
        if case.transport != "mux" {
            return; // an ssh of its own writes its log
        }
        case.run(&["--", "true"]).succeeds();
        let socket: u32 = if cfg!(target_arch = "x86_64") { 41 } else { 198 };
        // seccomp(2): the number of the system call; EPERM for socket(2), else allowed.
        let rules: [(u16, u8, u8, u32); 4] =
            [(0x20, 0, 0, 0), (0x15, 0, 1, socket), (0x06, 0, 0, 0x0005_0001), (0x06, 0, 0, 0x7fff_0000)];
        let filter = rules.iter().flat_map(|(code, yes, no, value)| {
            [&code.to_ne_bytes()[..], &[*yes, *no], &value.to_ne_bytes()].concat()
        });
        let file = case.world.home().join("filter");
        std::fs::write(&file, filter.collect::<Vec<_>>()).unwrap();
        let sandbox = format!("{READ_ONLY} --seccomp 9 $RUNCODE exec -n -- true 9<'{}'", file.display());
        let said = case.shell(&sandbox);
        assert_eq!(said.status, 255, "{said:?}");
        for setting in ["hint: ", "network_access", "allowAllUnixSockets"] {
            assert!(said.stderr.contains(setting), "{said:?}");
        }
    });
}

fn control_path(case: &Case<'_>) -> PathBuf {
    let meta = std::fs::read_to_string(case.world.session_file("meta.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
    PathBuf::from(meta["control_path"].as_str().unwrap())
}

#[test]
fn a_command_is_not_rerun_after_a_lost_link() {
    on_every_origin(|case| {
        let sleep = long_sleep();
        let child = started(case, &["--", &format!("echo $$ > pid; echo ran >> once; echo up; {sleep}")]);
        signal(case.master(), Signal::KILL);
        let said = CommandOutput::of(child.wait_with_output().unwrap()).ends_with(255);
        assert!(said.stderr.contains("not run again"), "{}", said.stderr);
        assert_eq!(std::fs::read_to_string(case.file("once")).unwrap(), "ran\n");
        std::fs::remove_file(case.file("once")).unwrap();
        // Nothing was left that could end it on the workspace.
        let pid: i32 = std::fs::read_to_string(case.file("pid")).unwrap().trim().parse().unwrap();
        let _ = kill_process_group(Pid::from_raw(pid).unwrap(), Signal::KILL);
        until("it is gone", || processes_with(&sleep).is_empty());
    });
}

/// The command is over, and most of its output still waits in the master for somebody to read it.
#[test]
fn undelivered_output_is_an_error() {
    const SIZE: usize = 1_000_000; // more than a pipe holds, less than the channel's window
    on_every_origin(|case| {
        let ends: [(&str, &dyn Fn()); 3] = [
            ("killed", &|| signal(case.master(), Signal::KILL)),
            ("disconnect", &|| drop(case.world.run(&["disconnect"]).succeeds())),
            ("clean", &|| drop(case.world.run(&["clean", case.world.words()]).succeeds())),
        ];
        for (what, end) in ends {
            case.world.connect();
            let done = case.file("done");
            let _ = std::fs::remove_file(&done);
            let mut child =
                started(case, &["--", &format!("echo up; head -c {SIZE} /dev/zero; echo > done")]);
            until("the command is through", || done.exists());
            case.run(&["-n", "--", "true"]).succeeds(); // so that its status has come too
            end();
            let mut came = Vec::new();
            child.stdout.take().unwrap().read_to_end(&mut came).unwrap();
            assert!(came.len() < SIZE, "{what}: nothing was held back");
            let said = CommandOutput::of(child.wait_with_output().unwrap()).ends_with(255);
            assert!(said.stderr.contains("not run again"), "{what}: {}", said.stderr);
        }
    });
}

/// What runs over a connection that was renewed meanwhile is delivered whole, and its status counts.
#[test]
fn output_over_a_retired_master_is_whole() {
    const SIZE: usize = 1_000_000;
    with_a_plane(|case| {
        let mut child = started(case, &["--", &format!("echo up; head -c {SIZE} /dev/zero; exit 3")]);
        let old = case.master();
        let state = case.world.cache("ws-1/meta.json");
        let text = std::fs::read_to_string(&state).unwrap();
        // Another one than there is.
        let ttl = match case.transport {
            "mux" => "600",
            "spare" => "650",
            _ => "700",
        };
        case.world.run(&["connect", "box", "--ttl", ttl]).succeeds();
        assert_ne!(std::fs::read_to_string(&state).unwrap(), text, "it was not renewed");
        let mut came = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut came).unwrap();
        let said = CommandOutput::of(child.wait_with_output().unwrap()).ends_with(3);
        assert_eq!((came.len(), said.stderr.as_str()), (SIZE, ""));
        until("the retired master is gone", || !is_running(old));
    });
}

#[test]
fn masters_hold_no_caller_files_and_expire() {
    for world in World::each().into_iter().chain(World::own_host()).chain(World::server()) {
        let case = Case { world: &world, transport: "mux" };
        // Without a copy of the pipe anywhere, `cat` sees its end as soon as connect has ended.
        let began = Instant::now();
        let said = case.shell("$RUNCODE connect box 3>&1 9>&1 2>&1 | cat");
        assert!(said.text().contains("exec"), "{said:?}");
        assert!(began.elapsed() < Duration::from_secs(30));
        case.run(&["--", "true"]).succeeds();
        let pid = case.master();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').collect::<Vec<_>>();
        assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "its own session, no terminal");
        for name in ["0", "1", "2"] {
            let target = std::fs::read_link(format!("/proc/{pid}/fd/{name}")).unwrap();
            assert!(target.ends_with("null") || target.ends_with("master.log"), "{}", target.display());
        }
        world.run(&["disconnect"]).succeeds();
        assert!(!is_running(pid));
        let cache = world.cache("");
        assert_eq!(processes_with(cache.to_str().unwrap()), Vec::<String>::new());
    }
}

#[test]
fn many_commands_share_one_connection() {
    on_every_origin(|case| {
        let pid = case.master();
        let spawn = |i: usize| case.command(&["--", &format!("echo {i}")]).spawn().unwrap();
        let children = (0..50).map(|i| (i, spawn(i))).collect::<Vec<_>>();
        for (i, child) in children {
            let said = CommandOutput::of(child.wait_with_output().unwrap());
            assert_eq!((said.status, said.text()), (0, format!("{i}\n").as_str()), "{}", said.stderr);
        }
        assert_eq!(case.master(), pid);
    });
}

/// Commands run while the gateway is killed again and again: each runs at most once, and success means that it ran. The
/// long version (`RUNCODE_STORM=60`) is a minute of it each, over a real sshd too, whose shells are killed while they start.
#[test]
fn a_flapping_gateway_runs_nothing_twice() {
    let storm: Option<u64> = std::env::var("RUNCODE_STORM").ok().and_then(|text| text.parse().ok());
    let seconds = storm.unwrap_or(8);
    let all = || World::each().into_iter().chain(World::own_host()).collect();
    let worlds = || if storm.is_some() { all() } else { vec![World::new()] };
    let ways = ["mux", "spare", "openssh"]
        .into_iter()
        .flat_map(|transport| worlds().into_iter().map(move |it| (transport, it)));
    for (transport, world) in ways {
        let mut world = world.connected();
        let template = world.command(&["exec", "--"]);
        let owned = |(name, value): (&OsStr, Option<&OsStr>)| Some((name.to_owned(), value?.to_owned()));
        let environment = template.get_envs().filter_map(owned).collect::<Vec<_>>();
        let folder = world.home().to_owned();
        let end = Instant::now() + Duration::from_secs(seconds);
        let run = |worker: usize| {
            let mut said = Vec::new();
            while Instant::now() < end {
                let id = format!("{worker}-{}", said.len());
                let mut command = Command::new(template.get_program());
                command.args(template.get_args()).arg(format!("echo {id} >> log"));
                command.env_clear().envs(environment.iter().cloned());
                match transport {
                    "spare" => command.env("RUNCODE_TRANSPORT", "mux").env("RUNCODE_SPARE", "on"),
                    transport => command.env("RUNCODE_TRANSPORT", transport),
                };
                command.current_dir(&folder).stdin(Stdio::null());
                said.push((id, CommandOutput::of(command.output().unwrap())));
            }
            said
        };
        let said = std::thread::scope(|scope| {
            let run = &run;
            let workers = (0..16).map(|worker| scope.spawn(move || run(worker))).collect::<Vec<_>>();
            while Instant::now() + Duration::from_secs(2) < end {
                std::thread::sleep(Duration::from_secs(if seconds > 20 { 5 } else { 2 }));
                world.restart_plane();
            }
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        });
        let log = std::fs::read_to_string(world.workspace().join("log")).unwrap();
        let mut succeeded = 0;
        for (id, said) in &said {
            let times = log.lines().filter(|line| line == id).count();
            assert!(times <= 1, "{id} ran {times} times: {said:?}");
            assert!(said.status == 0 || said.stderr.starts_with("runcode: "), "{id}: {said:?}");
            assert!(said.status != 0 || times == 1, "{id} did not run: {said:?}");
            succeeded += usize::from(said.status == 0);
        }
        eprintln!("over {transport}: {succeeded} of {} succeeded", said.len());
        assert!(succeeded > 0);
        world.run(&["clean", "--all"]).succeeds();
        assert_eq!(processes_with(world.cache("").to_str().unwrap()), Vec::<String>::new());
    }
}
