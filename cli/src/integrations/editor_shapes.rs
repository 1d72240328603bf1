//! The ways in which editors use ssh, each tried once.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::output::sanitize;
use crate::sys::clock::Deadline;

/// How long one way may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the box is asked to say.
const WORD: &str = "runcode-was-here";

/// A way, and how it went.
pub struct Shape {
    /// Whose way it is.
    pub name: &'static str,
    /// What worked, or what did not.
    pub outcome: Result<String, String>,
}

/// Tries every way with this ssh, config and host.
pub fn replay(ssh: &Path, config: &Path, host: &str) -> Vec<Shape> {
    let way = Way { ssh, config, host };
    let mut shapes = vec![
        Shape { name: "terminal", outcome: way.terminal() },
        Shape { name: "vs-code", outcome: way.vs_code() },
        Shape { name: "sftp", outcome: way.sftp() },
    ];
    if cfg!(unix) {
        shapes.push(Shape { name: "zed", outcome: way.zed() });
    }
    shapes
}

struct Way<'a> {
    ssh: &'a Path,
    config: &'a Path,
    host: &'a str,
}

impl Way<'_> {
    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.ssh);
        command.arg("-F").arg(self.config).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// One command, as git and rsync do.
    fn terminal(&self) -> Result<String, String> {
        let said = run(self.command(&["-T", self.host, "echo", WORD]), b"")?;
        expect(&said, "a command was answered")
    }

    /// A script on stdin and a SOCKS port, as Remote-SSH does; then a connection through that port.
    fn vs_code(&self) -> Result<String, String> {
        let port = free_port()?;
        let forward = port.to_string();
        let mut command = self.command(&["-T", "-D", &forward, "-o", "ConnectTimeout=15", self.host, "sh"]);
        let mut child = Running(command.stdin(Stdio::piped()).spawn().map_err(told)?);
        let mut stdin = child.0.stdin.take().ok_or("no stdin")?;
        stdin.write_all(format!("echo {WORD}\n").as_bytes()).map_err(told)?;
        let said = read_word(&mut child)?;
        let answer = socks(port);
        drop(stdin);
        let rest = child.end()?;
        if rest.contains("prohibited") {
            return Err("the gateway does not allow TCP forwarding, which Remote-SSH needs".to_owned());
        }
        expect(&said, "")?;
        answer.map(|()| "a script on stdin was answered, and the SOCKS port takes connections".to_owned())
    }

    /// A master of the editor's own, and a command through it.
    fn zed(&self) -> Result<String, String> {
        let folder = tempfile::Builder::new().prefix("rc").tempdir_in("/tmp").map_err(told)?;
        let socket = format!("ControlPath={}/s", folder.path().display());
        let master = self.command(&["-N", "-o", "ControlMaster=yes", "-o", &socket, self.host]).spawn();
        let mut master = Running(master.map_err(told)?);
        let deadline = Deadline::after(PATIENCE);
        while !folder.path().join("s").exists() {
            if master.has_ended() {
                return Err(master.end()?);
            }
            if deadline.is_past() {
                return Err("no master came up".to_owned());
            }
            deadline.pause(Duration::from_millis(10));
        }
        let said = run(self.command(&["-T", "-o", &socket, self.host, "echo", WORD]), b"")?;
        expect(&said, "a master of its own came up, and a command went through it")
    }

    /// The file protocol that scp and most editors use.
    fn sftp(&self) -> Result<String, String> {
        // SSH_FXP_INIT, version 3 (draft-ietf-secsh-filexfer-02): the answer is SSH_FXP_VERSION.
        let said = run(self.command(&["-T", "-s", self.host, "sftp"]), &[0, 0, 0, 5, 1, 0, 0, 0, 3])?;
        match said.get(4) {
            Some(2) => Ok("the SFTP subsystem answers".to_owned()),
            _ => Err("the SFTP subsystem does not answer".to_owned()),
        }
    }
}

/// A process that is ended when it is no longer wanted.
struct Running(Child);

impl Running {
    fn has_ended(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)))
    }

    /// Ends it; what it had to say on stderr.
    fn end(mut self) -> Result<String, String> {
        let _ = self.0.kill();
        let mut said = String::new();
        if let Some(stderr) = &mut self.0.stderr {
            stderr.take(64 * 1024).read_to_string(&mut said).map_err(told)?;
        }
        Ok(last_line(said.as_bytes()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(mut command: Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(told)?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input); // a child that has ended says more than this would
    }
    let output = child.wait_with_output().map_err(told)?;
    if output.stdout.is_empty() { Err(last_line(&output.stderr)) } else { Ok(output.stdout) }
}

/// What a child says first on stdout.
fn read_word(child: &mut Running) -> Result<Vec<u8>, String> {
    let stdout = child.0.stdout.as_mut().ok_or("no stdout")?;
    let mut said = vec![0; WORD.len()];
    match stdout.read_exact(&mut said) {
        Ok(()) => Ok(said),
        Err(_) => {
            let mut why = Vec::new();
            let _ = child.0.stderr.take().map(|stderr| stderr.take(64 * 1024).read_to_end(&mut why));
            Err(last_line(&why))
        }
    }
}

fn expect(said: &[u8], good: &str) -> Result<String, String> {
    if said.windows(WORD.len()).any(|window| window == WORD.as_bytes()) {
        Ok(good.to_owned())
    } else {
        Err("a command was answered with something else".to_owned())
    }
}

/// Opens a connection through a SOCKS5 port (RFC 1928) to the box's own port 22: whether anything is there or not, ssh
/// has then asked the gateway for a forwarded channel.
fn socks(port: u16) -> Result<(), String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    stream.write_all(&[5, 1, 0]).map_err(told)?;
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).map_err(told)?;
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 22]).map_err(told)?;
    let _ = stream.read(&mut [0; 64]); // the end counts as an answer
    if greeting == [5, 0] { Ok(()) } else { Err("the SOCKS port answers with something else".to_owned()) }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(told)?;
    listener.local_addr().map(|address| address.port()).map_err(told)
}

fn told(error: std::io::Error) -> String {
    crate::error::reason(&error)
}

fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("ssh ended without a word");
    sanitize::short(line)
}
