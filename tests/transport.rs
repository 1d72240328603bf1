//! What running a command promises, on both transports and in spare channels, through the embedded gateway and a real sshd: the streams and the
//! status as they are, nothing run twice, nothing stuck, nothing left behind.

mod descendants;
mod killed;
mod masters;
mod spare;
mod start_up;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{CommandOutput, World, processes_with, skipped, until};

/// Runs `test` in every kind of world, over each transport.
fn everywhere(test: impl Fn(&Case<'_>) + Sync) {
    in_each(World::each().into_iter().chain(World::own_host()), test);
}

/// As [`everywhere`], and on a server of servers.toml too: for what goes by the session's name, its master or its host.
/// The rest is the same for a server as for the host that it names.
fn on_every_origin(test: impl Fn(&Case<'_>) + Sync) {
    let worlds = World::each().into_iter().chain(World::own_host()).chain(World::server());
    in_each(worlds, test);
}

/// As [`everywhere`], where a control plane grants the sessions.
fn with_a_plane(test: impl Fn(&Case<'_>) + Sync) {
    in_each(World::each().into_iter(), test);
}

/// The worlds at the same time: most of these tests wait for something.
fn in_each(worlds: impl Iterator<Item = World>, test: impl Fn(&Case<'_>) + Sync) {
    let over = |world: World| {
        let world = world.connected();
        for transport in ["mux", "spare", "openssh"] {
            eprintln!("over {transport}, in {}", world.home().display());
            test(&Case { world: &world, transport });
        }
    };
    std::thread::scope(|scope| {
        let running = worlds.map(|world| scope.spawn(|| over(world))).collect::<Vec<_>>();
        for result in running.into_iter().map(|world| world.join()) {
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// A world and a transport; `spare` is `mux`, where a spare channel waits for each command.
struct Case<'a> {
    world: &'a World,
    transport: &'a str,
}

impl Case<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(&[&["exec"], arguments].concat());
        match self.transport {
            "spare" => {
                spare::settle(self.world);
                command.env("RUNCODE_TRANSPORT", "mux").env("RUNCODE_SPARE", "on")
            }
            transport => command.env("RUNCODE_TRANSPORT", transport),
        };
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(arguments).output().unwrap())
    }

    /// A shell line in which `$RUNCODE` is the binary.
    fn shell(&self, line: &str) -> CommandOutput {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).stdin(Stdio::null());
        let ours = self.command(&[]);
        shell.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("RUNCODE", env!("CARGO_BIN_EXE_runcode")).current_dir(self.world.home());
        CommandOutput::of(shell.output().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.world.workspace().join(name)
    }

    fn master(&self) -> i32 {
        std::fs::read_to_string(self.world.session_file("master.pid")).unwrap().trim().parse().unwrap()
    }
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn exec_streams_and_status_are_exact() {
    on_every_origin(|case| {
        for status in [0, 1, 7, 126, 127, 254, 255] {
            let said = case.run(&["--", &format!("echo out; echo err >&2; sh -c 'exit {status}'")]);
            assert_eq!((said.status, said.text(), said.stderr.as_str()), (status, "out\n", "err\n"));
        }
        assert_eq!(case.run(&["--", "sh -c 'kill -TERM $$'"]).status, 143);
        let all: Vec<u8> = (0..=255).collect();
        std::fs::write(case.file("all"), &all).unwrap();
        assert_eq!(case.run(&["--", "cat all"]).stdout, all);
        let late = case.run(&["--", "(sleep 0.3; echo late) & exit 3"]);
        assert_eq!((late.status, late.text()), (3, "late\n"));
        let killed = case.run(&["--", "kill -9 $$"]);
        assert_eq!((killed.status, killed.stderr.contains("runcode: ")), (255, true), "{killed:?}");
    });
}

#[test]
fn every_kind_of_stdin_works() {
    everywhere(|case| {
        std::fs::write(case.world.home().join("input"), "one\ntwo\nthree\n").unwrap();
        for (line, expected) in [
            ("$RUNCODE exec -- cat <&-", ""),
            ("$RUNCODE exec -- cat </dev/null", ""),
            ("$RUNCODE exec -- cat <input", "one\ntwo\nthree\n"),
            ("cat input | $RUNCODE exec -- cat", "one\ntwo\nthree\n"),
            ("cat input | { read first; $RUNCODE exec -n -- echo x; cat; }", "x\ntwo\nthree\n"),
            (
                "while read -r line; do $RUNCODE exec --no-stdin -- echo \"$line\"; done <input",
                "one\ntwo\nthree\n",
            ),
            ("$RUNCODE exec -- 'echo out; echo err >&2' >both 2>&1; cat both", "out\nerr\n"),
            ("{ $RUNCODE exec -- echo a; $RUNCODE exec -- echo b; } >two; cat two", "a\nb\n"),
            ("$RUNCODE exec -- 'echo gone' >&-; echo $?", "0\n"),
        ] {
            let said = case.shell(line);
            assert_eq!((said.text(), said.stderr.as_str()), (expected, ""), "{line}");
        }
        // One that is held open keeps no command from ending.
        let mut child =
            case.command(&["--", "echo x"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let held = child.stdin.take();
        until("the command ends", || child.try_wait().unwrap().is_some());
        drop(held);
        assert_eq!(CommandOutput::of(child.wait_with_output().unwrap()).succeeds().text(), "x\n");
    });
}

#[test]
fn long_streams_and_commands_arrive_whole() {
    on_every_origin(|case| {
        let mut child = case
            .command(&["--", "tee >(cat >/dev/null) 2>/dev/null || cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let writer = std::thread::spawn(move || {
            let chunk: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
            (0..64).for_each(|_| stdin.write_all(&chunk).unwrap());
        });
        let mut all = Vec::new();
        stdout.read_to_end(&mut all).unwrap();
        writer.join().unwrap();
        assert_eq!((all.len(), child.wait().unwrap().code()), (64 << 20, Some(0)));
        let chunk = &all[..1 << 20];
        assert!(all.chunks(1 << 20).all(|part| part == chunk));

        let long = "x".repeat(130_000);
        assert_eq!(case.run(&["--", "printf", "%s", &long]).succeeds().stdout.len(), long.len());
        let longer = "x".repeat(131_060);
        assert!(case.run(&["--", "printf", "%s", &longer]).ends_with(255).stderr.contains("runcode: "));
    });
}

#[test]
fn the_callers_streams_stay_blocking() {
    everywhere(|case| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let status = case
            .command(&["--", "cat; echo out"])
            .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
            .stdout(writer.try_clone().unwrap())
            .stderr(OwnedFd::from(theirs.try_clone().unwrap()))
            .spawn()
            .unwrap();
        let mut status = status;
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(status.wait().unwrap().success());
        for (fd, what) in [(theirs.as_fd(), "socket"), (writer.as_fd(), "pipe")] {
            let flags = rustix::fs::fcntl_getfl(fd).unwrap();
            assert!(!flags.contains(OFlags::NONBLOCK), "{what}");
        }
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "out\n");
    });
}

/// The command gets no terminal, and ours is as it was: its modes, and that reading from it waits.
#[test]
fn a_terminal_is_left_as_it_was() {
    everywhere(|case| {
        let log = case.world.home().join("typescript");
        let _ = std::fs::remove_file(&log); // what was said over another transport
        let line = "stty -a >before; $RUNCODE exec -- 'tty; head -n 1; echo err >&2; exit 3'; echo status $?; \
                    stty -a >after; cmp before after; read -r line; echo \"read $line\"";
        let mut script = Command::new("script");
        script
            .args(["-qefc", line])
            .arg(&log)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let ours = case.command(&[]);
        script.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.env("RUNCODE", env!("CARGO_BIN_EXE_runcode")).env("SHELL", "/bin/sh");
        let Ok(mut child) = script.current_dir(case.world.home()).spawn() else {
            return skipped("there is no script(1)");
        };
        let said = || String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).replace('\r', "");
        let mut keys = child.stdin.take().unwrap();
        until("the command runs", || said().contains("not a tty\n"));
        keys.write_all(b"typed\n").unwrap();
        until("the command is over", || said().contains("status 3\n"));
        keys.write_all(b"later\n").unwrap();
        until("the shell reads on", || said().contains("read later\n"));
        drop(keys);
        child.wait().unwrap();
        let said = said();
        assert_eq!(said.matches("typed\n").count(), 2, "once as echo, once from the workspace: {said}");
        assert!(said.contains("err\n") && !said.contains("differ"), "{said}");
    });
}

/// `nohup` and a shell's background jobs have signals ignored that would end the command.
#[test]
fn ignored_signals_stay_ignored() {
    everywhere(|case| {
        for name in ["INT", "HUP", "TERM"] {
            let mark = format!("go-{name}-{}", case.transport);
            let line = format!(
                "trap '' {name}; $RUNCODE exec -n -- 'echo > {mark}; until [ -e {mark}-on ]; do sleep .1; done; echo through' & \
                 until [ -e {0}/{mark} ]; do sleep .05; done; kill -s {name} $!; echo > {0}/{mark}-on; wait $!; echo $?",
                case.world.workspace().display()
            );
            assert_eq!(case.shell(&line).text(), "through\n0\n", "{name}");
        }
    });
}

#[test]
fn a_closed_reader_ends_the_remote_command() {
    everywhere(|case| {
        let mark = format!("y{}", std::process::id());
        assert_eq!(
            case.shell(&format!("$RUNCODE exec -- yes {mark} | head -n 1")).text(),
            format!("{mark}\n")
        );
        until("yes is gone", || processes_with(&format!("yes {mark}")).is_empty());
    });
}

#[test]
fn signals_end_the_remote_process_group() {
    everywhere(|case| {
        for (which, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let sleep = long_sleep();
            let child = started(case, &["--", &format!("echo up; {sleep}; echo never")]);
            signal(child.id().cast_signed(), which);
            let said = CommandOutput::of(child.wait_with_output().unwrap());
            assert_eq!((said.status, said.stderr.as_str()), (status, ""), "{which:?}");
            until("sleep is gone", || processes_with(&sleep).is_empty());
        }
        let sleep = long_sleep();
        let deaf = started(case, &["--", &format!("trap '' INT; echo up; {sleep}; {sleep}")]);
        signal(deaf.id().cast_signed(), Signal::INT);
        assert_eq!(CommandOutput::of(deaf.wait_with_output().unwrap()).ends_with(130).stderr, "");
        until("the deaf one is gone", || processes_with(&sleep).is_empty());

        let sleep = long_sleep();
        let said = case.run(&["--timeout", "1", "--", &sleep]).ends_with(255);
        assert!(said.stderr.contains("longer than 1 s, and it was ended"), "{}", said.stderr);
        until("the slow one is gone", || processes_with(&sleep).is_empty());
    });
}

/// A `sleep` that no other test, and no other run of this one, sleeps.
fn long_sleep() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    format!("sleep {}{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A command that has said its first line, which is dropped.
fn started(case: &Case<'_>, arguments: &[&str]) -> Child {
    let mut child = case.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"up\n");
    child
}

#[test]
fn a_second_interrupt_exits_at_once() {
    everywhere(|case| {
        let sleep = long_sleep();
        let mut child = started(case, &["--", &format!("trap '' INT; echo up; {sleep}; {sleep}")]);
        let pid = child.id().cast_signed();
        signal(pid, Signal::INT);
        std::thread::sleep(Duration::from_millis(300)); // between the two, so that they are two
        let asked = Instant::now();
        signal(pid, Signal::INT);
        child.wait().unwrap(); // not the end of its output, which the master may hold a little longer
        assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
        let said = CommandOutput::of(child.wait_with_output().unwrap());
        assert_eq!(said.status, 130);
        assert!(said.stderr.contains("may still be running"), "{}", said.stderr);
        until("the workspace ends it all the same", || processes_with(&sleep).is_empty());
    });
}

#[test]
fn output_to_a_file_keeps_its_position() {
    everywhere(|case| {
        let path = case.world.home().join("log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"head\n").unwrap();
        assert!(
            case.command(&["--", "echo body"]).stdout(file.try_clone().unwrap()).status().unwrap().success()
        );
        file.write_all(b"tail\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "head\nbody\ntail\n");
    });
}

#[test]
fn output_that_cannot_be_written_is_told() {
    everywhere(|case| {
        for line in [
            "$RUNCODE exec -- echo hi >/dev/full",
            "$RUNCODE exec -- 'seq 1 1000000; exit 0' >/dev/full",
            "$RUNCODE exec -- 'seq 1 100000; exit 7' >/dev/full",
        ] {
            let said = case.shell(line).ends_with(255);
            assert!(said.stderr.contains("runcode: cannot write the command's output: no space"), "{said:?}");
        }
        assert_eq!(case.shell("$RUNCODE exec -- 'echo oops >&2' 2>/dev/full").status, 255);
    });
}

#[test]
fn outputs_in_one_file_keep_their_order() {
    everywhere(|case| {
        let line = "echo before >all; $RUNCODE exec -- 'for i in 1 2 3; do echo out; echo err >&2; done; exit 3' >>all 2>&1; \
                    echo after $? >>all; cat all";
        let said = case.shell(line).succeeds();
        let lines = said.text().lines().collect::<Vec<_>>();
        assert_eq!((lines[0], lines[7], lines.len()), ("before", "after 3", 8), "{said:?}");
        let late = case.shell("$RUNCODE exec -- '(sleep 0.2; echo late) & exit 4' >late; echo $?; cat late");
        assert_eq!(late.text(), "4\nlate\n");
    });
}

#[test]
fn exec_starts_in_the_folder_that_is_named() {
    for world in World::each() {
        let world = world.connected();
        std::fs::create_dir_all(world.workspace().join("a b/c")).unwrap();
        let at = |options: &[&str]| world.run(&[&["exec"], options, &["--", "pwd", "-P"]].concat());
        let wanted = world.workspace().join("a b/c").canonicalize().unwrap();
        let absolute = wanted.to_str().unwrap().to_owned();
        for folder in ["a b/c", "./a b/../a b/c", &absolute] {
            let said = at(&["--cwd", folder]).succeeds();
            assert_eq!(String::from_utf8_lossy(&said.stdout).trim_end(), absolute, "{folder}");
        }
        let said = world.run(&["exec", "--cwd", "a b", "--", "cd c && pwd -P"]).succeeds();
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim_end(), absolute);
        let said = at(&["--cwd", "missing"]).ends_with(255);
        assert!(said.stdout.is_empty() && said.stderr.contains("missing"), "{}", said.stderr);
        at(&["--cwd", ""]).ends_with(255);
    }
}
