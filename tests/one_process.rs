//! Several commands in one process, as a server for agents runs them: what ends one of them ends no other.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use runcode::error::{Code, Result};
use runcode::files::{self, Exchanges, RemotePath};
use runcode::grant::Workdir;
use runcode::origin::SessionKey;
use runcode::session::live::Want;
use runcode::session::{Session, Sessions};
use runcode::sys::env::{Env, Var};
use runcode::sys::interrupt::Cancel;
use runcode::sys::paths::Paths;
use runcode::transport::{Ended, Limits, RemoteCommand, Stream, Streams, Variables};

use crate::origins::Fake;
use crate::support::real_sshd::RealSshd;
use crate::support::with_certificates;

/// Runs `body` as a command of its own, with a session of its own; the connection is ended afterwards.
fn in_session<T>(
    (sshd, home, transport): (&RealSshd, &Path, &str),
    server: &str,
    cancel: &Cancel,
    body: impl FnOnce(&Sessions<'_>, &Session, &Env) -> T,
) -> T {
    let path = std::env::var_os("PATH").unwrap();
    let env = Env::fixed([
        (Var::Home, home.as_os_str().to_owned()),
        (Var::Path, path),
        (Var::RuncodeTransport, OsString::from(transport)),
        (Var::RuncodeSpare, OsString::from("off")), // a keeper would be this test's own program
    ]);
    let (fake, paths) = (Fake::new(sshd, Workdir::default()), Paths::below(home));
    let sessions = Sessions::new(&paths, &env, &fake).cancelled_by(cancel.clone());
    let key = SessionKey::server(server).unwrap();
    let session = sessions.obtain(&key, Want::Fresh).unwrap().session;
    let done = body(&sessions, &session, &env);
    sessions.end_connection(&key).unwrap();
    done
}

/// Two sessions over each transport: `cancelled` is ended by its [`Cancel`] and nothing else.
fn each_transport(test: impl Fn((&RealSshd, &Path, &str), &Cancel)) {
    if with_certificates() {
        return; // this origin knows keys alone
    }
    let home = tempfile::Builder::new().prefix("rc-").tempdir().unwrap();
    let Some(sshd) = RealSshd::start(home.path()) else { return };
    for transport in ["mux", "openssh"] {
        test((&sshd, home.path(), transport), &Cancel::default());
    }
}

/// Runs a snippet that says `ready` first; `then` goes on with its streams.
fn exec(
    sessions: &Sessions<'_>,
    session: &Session,
    (snippet, limits): (&str, Limits),
    then: impl FnOnce(PipeWriter, BufReader<PipeReader>),
) -> Result<Ended> {
    let command = RemoteCommand::snippet(None, &Variables::default(), format!("echo ready; {snippet}"))?;
    let ((stdin, input), (output, stdout)) = (std::io::pipe()?, std::io::pipe()?);
    let streams = Streams { stdin: stdin.into(), stdout: stdout.into(), stderr: Stream::Null };
    let running = sessions.start(session, &command, &streams)?;
    drop(streams);
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line)?;
    assert_eq!(line, "ready\n");
    then(input, output);
    running.wait(&limits)
}

const NO_LIMIT: Limits = Limits { timeout: None, interruptible: true };

#[test]
fn an_ended_command_leaves_the_other_alone() {
    each_transport(|world, cancel| {
        let timeout = Limits { timeout: Some(Duration::from_millis(50)), interruptible: true };
        std::thread::scope(|scope| {
            let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
            let other = scope.spawn(move || {
                in_session(world, "gamma", &Cancel::default(), |sessions, session, _| {
                    let mut text = String::new();
                    let ended = exec(
                        sessions,
                        session,
                        ("read line; echo $line", NO_LIMIT),
                        |mut input, mut output| {
                            may_go_on.recv().unwrap(); // the others have been ended by now
                            input.write_all(b"still here\n").unwrap();
                            output.read_to_string(&mut text).unwrap();
                        },
                    );
                    (ended.unwrap(), text)
                })
            });
            let (timed_out, cancelled, late) = in_session(world, "alpha", cancel, |sessions, session, _| {
                let sleeps = |limits, then: &dyn Fn()| {
                    exec(sessions, session, ("exec sleep 300", limits), |_, _| then())
                };
                let timed_out = sleeps(timeout, &|| {});
                let cancelled = sleeps(NO_LIMIT, &|| cancel.cancel());
                (timed_out.unwrap(), cancelled.unwrap(), sleeps(NO_LIMIT, &|| {}))
            });
            assert_eq!(timed_out, Ended::TimedOut { remote_ended: true });
            assert_eq!(cancelled, Ended::Interrupted { signal: 2, remote_ended: true });
            assert_eq!(late.unwrap_err().code(), Code::Interrupted, "nothing starts once it is cancelled");
            go_on.send(()).unwrap();
            assert_eq!(other.join().unwrap(), (Ended::Status(0), "still here\n".to_owned()));
        });
    });
}

#[test]
fn a_cancelled_put_leaves_the_other_alone() {
    each_transport(|world, cancel| {
        let put = |server, cancel: &Cancel, source: PipeReader, name: &str| {
            in_session(world, server, cancel, |sessions, session, env| {
                let start = |command: &_, streams: &_| sessions.start(session, command, streams);
                let exchanges = Exchanges::new(&start, env);
                let first = files::write(&exchanges, &b"first"[..], &path(world.1, &format!("{name}.first")));
                assert_eq!(first.unwrap().bytes, 5);
                files::write(&exchanges, source, &path(world.1, name))
            })
        };
        let ((ours, mut to_ours), (theirs, mut to_theirs)) =
            (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        std::thread::scope(|scope| {
            let cancelled = scope.spawn(|| put("alpha", cancel, ours, "cancelled"));
            let other = scope.spawn(|| put("gamma", &Cancel::default(), theirs, "other"));
            // More than a small file, which would wait for its end before it asks the workspace.
            let much = vec![b'x'; 1 << 20];
            to_ours.write_all(&much).unwrap();
            to_theirs.write_all(&much).unwrap();
            cancel.cancel();
            assert_eq!(cancelled.join().unwrap().unwrap_err().code(), Code::Interrupted);
            drop((to_theirs, to_ours));
            assert_eq!(other.join().unwrap().unwrap().bytes, 1 << 20);
        });
        let there = |name: &str| world.1.join(name).exists();
        assert!(there("other") && there("cancelled.first") && !there("cancelled"));
        std::fs::remove_file(world.1.join("other")).unwrap();
    });
}

fn path(home: &Path, name: &str) -> RemotePath {
    RemotePath::parse(home.join(name).as_os_str(), None).unwrap()
}
