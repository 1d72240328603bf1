//! Programs that speak ssh, through the hosts that `config-ssh` wrote: each against the embedded gateway and a real sshd.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Stdio};

use crate::support::editor_fixture::EditorFixture;
use crate::support::{CommandOutput, PATIENCE, processes_with, skipped, until};

/// Bytes of every kind, more than any buffer holds.
fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn plain_ssh_runs_commands_and_streams() {
    for fixture in EditorFixture::each() {
        let host = fixture.host.as_str();
        let said =
            CommandOutput::of(fixture.ssh(&[host, "echo out; echo err >&2; exit 7"]).output().unwrap());
        assert_eq!((said.status, said.text(), said.stderr.as_str()), (7, "out\n", "err\n"));
        let sent = bytes(5_000_000);
        let mut child = fixture.ssh(&[host, "cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), sent.clone());
        let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(CommandOutput::of(output).succeeds().stdout == sent, "the echo differs");
    }
}

#[test]
fn scp_sftp_and_rsync_carry_files() {
    for fixture in EditorFixture::each() {
        let (here, there) = (fixture.world.home().join("here"), fixture.world.workspace().join("there file"));
        let sent = bytes(1_000_000);
        std::fs::write(&here, &sent).unwrap();
        let (config, back) = (fixture.config().display().to_string(), fixture.world.home().join("back"));
        let remote = format!("{}:{}", fixture.host, there.display());
        let (here, back_name) = (here.display().to_string(), back.display().to_string());
        let arrived = || {
            assert!(std::fs::read(&there).unwrap() == sent && std::fs::read(&back).unwrap() == sent);
            std::fs::remove_file(&there).unwrap();
            std::fs::remove_file(&back).unwrap();
        };
        for (from, to) in [(&here, &remote), (&remote, &back_name)] {
            CommandOutput::of(fixture.program("scp", &["-F", &config, from, to]).output().unwrap())
                .succeeds();
        }
        arrived();
        let batch = format!("put {here} \"{0}\"\nget \"{0}\" {back_name}\n", there.display());
        let mut sftp = fixture.program("sftp", &["-F", &config, "-b", "-", &fixture.host]);
        let mut child = sftp.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
        CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
        arrived();
        if fixture.program("rsync", &["--version"]).output().is_err() {
            skipped("there is no rsync");
            continue;
        }
        for (from, to) in [(&here, &remote), (&remote, &back_name)] {
            CommandOutput::of(
                fixture.program("rsync", &["-s", "-e", &fixture.ssh_line(), from, to]).output().unwrap(),
            )
            .succeeds();
        }
        arrived();
    }
}

#[test]
fn git_clones_and_pushes() {
    for fixture in EditorFixture::each() {
        let (bare, clone) = (fixture.world.workspace().join("repo.git"), fixture.world.home().join("clone"));
        let git = |arguments: &[&str]| {
            let mut git = fixture.program("git", &["-c", "user.name=u", "-c", "user.email=u@localhost"]);
            git.args(arguments).env("GIT_SSH_COMMAND", fixture.ssh_line()).env("GIT_CONFIG_NOSYSTEM", "1");
            CommandOutput::of(git.output().unwrap()).succeeds().text().trim().to_owned()
        };
        let (bare_name, clone_name) = (bare.display().to_string(), clone.display().to_string());
        git(&["init", "-q", "--bare", "-b", "main", &bare_name]);
        git(&["clone", "-q", &format!("{}:{bare_name}", fixture.host), &clone_name]);
        std::fs::write(clone.join("file"), bytes(300_000)).unwrap();
        git(&["-C", &clone_name, "add", "file"]);
        git(&["-C", &clone_name, "commit", "-q", "-m", "first"]);
        git(&["-C", &clone_name, "push", "-q", "origin", "HEAD:main"]);
        let head = git(&["-C", &clone_name, "rev-parse", "HEAD"]);
        assert_eq!(git(&["-C", &bare_name, "rev-parse", "main"]), head);
    }
}

/// How many proxies serve this fixture's programs.
fn proxies(fixture: &EditorFixture) -> usize {
    let base = fixture.world.base();
    processes_with(&base).into_iter().filter(|line| line.contains(" proxy 1 ")).count()
}

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A connection through a SOCKS5 port (RFC 1928).
fn through_socks(socks: u16, to: u16) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, socks)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[5, 1, 0]).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    let [high, low] = to.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[1], 0, "the SOCKS request was refused");
    stream
}

/// Remote-SSH: two connections at once, a script on stdin, then the server's port through the dynamic forward.
#[test]
fn vs_code_reaches_the_server_it_installs() {
    for fixture in EditorFixture::each() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server_port = server.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            for _ in 0..2 {
                let mut stream = server.accept().unwrap().0;
                let mut asked = [0; 4];
                stream.read_exact(&mut asked).unwrap();
                stream.write_all(&asked.map(|byte| byte.to_ascii_uppercase())).unwrap();
            }
        });
        let mut connections = Vec::new();
        for _ in 0..2 {
            let port = free_port();
            let socks = port.to_string();
            let options = ["-v", "-T", "-D", &socks, "-o", "ConnectTimeout=15", &fixture.host, "bash"];
            let mut child =
                Ended(fixture.ssh(&options).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
            let mut stdin = child.0.stdin.take().unwrap();
            stdin.write_all(b"echo started-$((6 * 7)); uname >/dev/null\n").unwrap();
            let mut said = [0; 11];
            child.0.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
            assert_eq!(&said, b"started-42\n");
            connections.push((child, stdin, port));
        }
        for (_, _, port) in &connections {
            let mut stream = through_socks(*port, server_port);
            stream.write_all(b"ping").unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"PING");
        }
        served.join().unwrap();
        for (mut child, stdin, _) in connections {
            drop(stdin); // the script's end is the connection's
            assert!(child.0.wait().unwrap().success());
        }
    }
}

/// Zed: a master of its own in the foreground, commands through it, and the end of its stdout when it is killed.
#[test]
fn zed_sees_its_own_master_end() {
    for fixture in EditorFixture::each() {
        let folder = tempfile::Builder::new().prefix("rc").tempdir_in("/tmp").unwrap();
        let socket = format!("ControlPath={}/s", folder.path().display());
        let options = ["-N", "-o", "ControlMaster=yes", "-o", &socket, &fixture.host];
        let mut master = Ended(fixture.ssh(&options).spawn().unwrap());
        until("the master is up", || folder.path().join("s").exists());
        let said = CommandOutput::of(
            fixture.ssh(&["-T", "-o", &socket, &fixture.host, "echo through"]).output().unwrap(),
        );
        assert_eq!(said.succeeds().text(), "through\n");
        assert_eq!(proxies(&fixture), 0, "ssh has the connection itself");
        let mut stdout = master.0.stdout.take().unwrap();
        master.0.kill().unwrap();
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
}

/// An ssh that goes into the background takes the connection along, and needs no proxy for it.
#[cfg(target_os = "linux")]
#[test]
fn a_backgrounded_connection_stays_open() {
    for fixture in EditorFixture::each() {
        let folder = tempfile::Builder::new().prefix("rc").tempdir_in("/tmp").unwrap();
        let socket = format!("ControlPath={}/s", folder.path().display());
        let persist = [
            "-o",
            "ControlMaster=auto",
            "-o",
            "ControlPersist=60",
            "-o",
            &socket,
            &fixture.host,
            "echo first",
        ];
        let first = fixture.ssh(&persist).stderr(Stdio::null()).output().unwrap();
        assert_eq!(CommandOutput::of(first).succeeds().text(), "first\n");
        let again = || {
            let said = CommandOutput::of(
                fixture.ssh(&["-o", &socket, "-O", "check", &fixture.host]).output().unwrap(),
            );
            said.status == 0
        };
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_secs(1) {
            assert!(again() && proxies(&fixture) == 0, "the connection went with its parent");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        CommandOutput::of(fixture.ssh(&["-o", &socket, "-O", "exit", &fixture.host]).output().unwrap())
            .succeeds();
    }
}
