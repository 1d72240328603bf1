#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::io::{PipeReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode};

use super::*;
use crate::error::Result;
use crate::sys::clock::Deadline;
use crate::sys::interrupt::Cancel;
use crate::transport::{Limits, RemoteCommand, Route, Running, Stream, Streams, Transport, Variables, Way};

/// A helper that runs commands on this machine, with so many slots.
fn helper(slots: usize) -> (tempfile::TempDir, File) {
    let folder = tempfile::tempdir().unwrap();
    let lock = File::create(lock_file(folder.path())).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    for number in 0..slots {
        let slot = slot(folder.path(), number);
        std::fs::create_dir(&slot).unwrap();
        std::thread::spawn(move || serve(&slot, &AtomicBool::new(false), run));
    }
    let is_ready = |number| slot(folder.path(), number).join(REQUEST).exists();
    let deadline = Deadline::after(Duration::from_secs(60));
    while !(0..slots).all(is_ready) && !deadline.is_past() {
        deadline.pause(Duration::from_millis(1));
    }
    (folder, lock)
}

/// Runs it as `sh` would, and ends it once it is cancelled.
fn run(exchange: &mut Exchange) -> Result<Ended> {
    let taken = std::mem::replace(&mut exchange.streams, Streams::null());
    let stdio = |stream: Stream| match stream {
        Stream::Given(handle) => Stdio::from(handle),
        Stream::Null | Stream::Inherit => Stdio::null(),
    };
    let mut sh = Command::new("sh");
    sh.arg("-c").arg(String::from_utf8(exchange.command.text().to_vec()).unwrap());
    sh.stdin(stdio(taken.stdin)).stdout(stdio(taken.stdout)).stderr(stdio(taken.stderr));
    std::os::unix::process::CommandExt::process_group(&mut sh, 0);
    let mut child = sh.spawn().unwrap();
    drop(sh); // it holds the streams
    exchange.started();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Ok(status.code().map_or(Ended::NoStatus, |code| Ended::Status(code.try_into().unwrap())));
        }
        if exchange.cancel.is_cancelled() {
            let group = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
            child.wait().unwrap();
            return Ok(Ended::Interrupted { signal: 15, remote_ended: true });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn transport(cancel: &Cancel) -> Transport {
    let way = Way::Config {
        config: "/none".into(),
        alias: "none".into(),
        gateway: serde_json::from_str(r#"{"host":"127.0.0.1","port":1,"user":"me"}"#).unwrap(),
        server: None,
    };
    let route = Route { way, control_path: None, folder: "/none".into(), bound: None };
    Transport::new(route, &Env::fixed::<&str>([])).cancelled_by(cancel.clone())
}

/// Starts it with an input, and returns its outputs.
fn begin(folder: &Path, text: &str, input: Stream, cancel: &Cancel) -> Result<(Running, [PipeReader; 2])> {
    let command = RemoteCommand::snippet(None, &Variables::default(), text)?;
    let ((out, stdout), (err, stderr)) = (io::pipe().unwrap(), io::pipe().unwrap());
    let streams = Streams { stdin: input, stdout: stdout.into(), stderr: stderr.into() };
    Ok((start(&transport(cancel), folder, serde_json::Value::Null, &command, &streams)?, [out, err]))
}

fn whole(folder: &Path, text: &str, input: &[u8]) -> (Ended, Vec<u8>, Vec<u8>) {
    let (stdin, mut writer) = io::pipe().unwrap();
    let (running, [mut out, mut err]) = begin(folder, text, stdin.into(), &Cancel::default()).unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ended = std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(input));
        scope.spawn(|| out.read_to_end(&mut stdout));
        scope.spawn(|| err.read_to_end(&mut stderr));
        running.wait(&Limits::default()).unwrap()
    });
    (ended, stdout, stderr)
}

#[test]
fn streams_and_status_are_exact() {
    let (folder, _lock) = helper(1);
    let large = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect::<Vec<_>>();
    assert_eq!(whole(folder.path(), "cat; exit 3", &large), (Ended::Status(3), large, Vec::new()));
    let said = whole(folder.path(), "echo out; echo err >&2", b"");
    assert_eq!(said, (Ended::Status(0), b"out\n".to_vec(), b"err\n".to_vec()), "of the same slot");
}

#[test]
fn several_commands_run_at_once() {
    let (folder, _lock) = helper(3);
    std::thread::scope(|scope| {
        for number in 0..12_u8 {
            let folder = folder.path();
            scope.spawn(move || {
                let said = whole(folder, &format!("cat; exit {number}"), &[number]);
                assert_eq!(said, (Ended::Status(number), vec![number], Vec::new()));
            });
        }
    });
}

#[test]
fn a_command_ends_when_its_client_goes() {
    let (folder, _lock) = helper(1);
    let (running, [mut out, _err]) =
        begin(folder.path(), "echo $$; exec sleep 600", Stream::Null, &Cancel::default()).unwrap();
    let mut pid = [0; 16];
    let count = out.read(&mut pid).unwrap();
    let pid = std::str::from_utf8(&pid[..count]).unwrap().trim().to_owned();
    drop(running); // as the system does for a client that was killed
    let process = Path::new("/proc").join(pid);
    let deadline = Deadline::after(Duration::from_secs(60));
    while process.exists() && !deadline.is_past() {
        deadline.pause(Duration::from_millis(5));
    }
    assert!(!process.exists());
    assert_eq!(whole(folder.path(), "exit 5", b"").0, Ended::Status(5), "the slot serves the next one");
}

#[test]
fn a_cancelled_command_ends() {
    let (folder, _lock) = helper(1);
    let cancel = Cancel::default();
    let (running, _outputs) = begin(folder.path(), "exec sleep 600", Stream::Null, &cancel).unwrap();
    cancel.cancel();
    let ended = running.wait(&Limits { timeout: None, interruptible: true }).unwrap();
    assert_eq!(ended, Ended::Interrupted { signal: 2, remote_ended: true });
}

/// One that wrote a request and died leaves it to nobody.
#[test]
fn what_a_dead_client_left_is_gone() {
    let (folder, _lock) = helper(1);
    let request = slot(folder.path(), 0).join(REQUEST);
    let inode = || std::fs::metadata(&request).map(|it| std::os::unix::fs::MetadataExt::ino(&it));
    let until = |what: &dyn Fn() -> bool| {
        let deadline = Deadline::after(Duration::from_secs(60));
        while !what() && !deadline.is_past() {
            deadline.pause(Duration::from_millis(1));
        }
        assert!(what());
    };
    for left in [&b"{\"version\":1"[..], b"nonsense\n"] {
        until(&|| open(&request, true).is_ok());
        let _keeps_its_number = open(&request, false).unwrap();
        let old = inode().ok();
        open(&request, true).unwrap().write_all(left).unwrap();
        until(&|| inode().is_ok_and(|new| Some(new) != old));
        assert_eq!(
            whole(folder.path(), "echo mine", b""),
            (Ended::Status(0), b"mine\n".to_vec(), Vec::new())
        );
    }
}
/// Whoever reads the request can answer anything, and may have run the command.
#[test]
fn no_answer_makes_a_client_ask_twice() {
    let answer = |token: &str, answer: &str| format!("{{\"token\":\"{token}\",\"answer\":{answer}}}\n");
    let failed = r#"{"failed":{"code":"transport","message":"no","hint":null,"may_have_begun":false}}"#;
    let answers: [&(dyn Fn(&str) -> String + Sync); 6] = [
        &|_| String::new(),
        &|_| answer("other", "\"started\""),
        &|token| answer(token, failed),
        &|token| answer(token, "\"no_status\""),
        &|_| "nonsense\n".to_owned(),
        &|token| answer(token, "\"started\"") + &answer("other", r#"{"status":0}"#),
    ];
    for (number, answer) in answers.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let lock = File::create(lock_file(folder.path())).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        let slots = [0, 1].map(|number| {
            let slot = slot(folder.path(), number);
            std::fs::create_dir(&slot).unwrap();
            File::create(slot.join(LOCK)).unwrap();
            for name in [REQUEST, INPUT, OUTPUT, ERRORS, END] {
                rustix::fs::mknodat(CWD, slot.join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                    .unwrap();
            }
            let ends = [REQUEST, INPUT].map(|name| open(&slot.join(name), false).unwrap());
            (slot, ends)
        });
        let [(first, [mut request, input]), (_, [mut second, _input])] = slots;
        let error = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut line = Vec::new();
                while !line.ends_with(b"\n") {
                    let _ = request.read_to_end(&mut line);
                    std::thread::yield_now();
                }
                let asked = serde_json::from_slice::<Request>(&line).unwrap();
                std::fs::remove_file(first.join(REQUEST)).unwrap();
                open(&first.join(END), true).unwrap().write_all(answer(&asked.token).as_bytes()).unwrap();
                drop((request, input)); // as one that has gone
            });
            let begun = begin(folder.path(), "exit", Stream::Null, &Cancel::default());
            let ended = begun.and_then(|(running, _outputs)| running.wait(&Limits::default()));
            ended.map(|_| ()).unwrap_err()
        });
        assert!(error.may_have_begun(), "{number}: {error:?}");
        let mut asked = Vec::new();
        let _ = second.read_to_end(&mut asked);
        assert_eq!(asked, b"", "{number}");
    }
}

#[test]
fn without_a_helper_nothing_is_started() {
    let (folder, lock) = helper(1);
    drop(lock);
    let slot = slot(folder.path(), 0);
    // The one that served it may be making its files still.
    while slot.exists() {
        let _ = std::fs::remove_dir_all(&slot);
    }
    let failed = begin(folder.path(), "exit", Stream::Null, &Cancel::default()).map(|_| ()).unwrap_err();
    assert_eq!((failed.code(), failed.may_have_begun()), (Code::Transport, false));
    assert!(failed.next_step().unwrap().contains("runcode route on"));
    // A file in the place of a FIFO is none.
    std::fs::create_dir(&slot).unwrap();
    for name in [LOCK, REQUEST, INPUT, OUTPUT, ERRORS, END] {
        std::fs::write(slot.join(name), "").unwrap();
    }
    assert!(begin(folder.path(), "exit", Stream::Null, &Cancel::default()).is_err());
    assert_eq!(std::fs::read(slot.join(REQUEST)).unwrap(), b"");
    std::fs::remove_file(slot.join(REQUEST)).unwrap();
    rustix::fs::mknodat(CWD, slot.join(REQUEST), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(begin(folder.path(), "exit", Stream::Null, &Cancel::default()).is_err(), "nobody reads it");
}

#[test]
fn only_a_marked_sandbox_is_one() {
    assert!(!is_cut_off(&Env::fixed::<&str>([])));
    assert!(!is_cut_off(&Env::fixed([(Var::SandboxRuntime, "1")])), "sockets work here");
}
