//! The ways in which editors use ssh, each tried once.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::output::foreign;
use crate::sys::atomic_file;
use crate::sys::clock::Deadline;

/// How long one way may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the workspace is asked to say.
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
    let editor = Editor { ssh, config, host };
    let mut shapes = vec![
        Shape { name: "terminal", outcome: editor.terminal() },
        Shape { name: "vs-code", outcome: editor.vs_code() },
        Shape { name: "sftp", outcome: editor.sftp() },
    ];
    if cfg!(unix) {
        shapes.push(Shape { name: "zed", outcome: editor.zed() });
    }
    shapes
}

struct Editor<'a> {
    ssh: &'a Path,
    config: &'a Path,
    host: &'a str,
}

impl Editor<'_> {
    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.ssh);
        command.arg("-F").arg(self.config).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// One command, as git and rsync do.
    fn terminal(&self) -> Result<String, String> {
        let said = Spawned::start(self.command(&["-T", self.host, "echo", WORD]))?.first(WORD.len())?;
        expect(&said, "a command was answered")
    }

    /// A script on stdin and a SOCKS port, as Remote-SSH does; then a connection through that port.
    fn vs_code(&self) -> Result<String, String> {
        let port = free_port()?;
        let forward = port.to_string();
        let options = ["-T", "-D", &forward, "-o", "ConnectTimeout=15", self.host, "sh"];
        let mut child = Spawned::start(self.command(&options))?;
        child.say(format!("echo {WORD}\n").as_bytes())?;
        expect(&child.first(WORD.len())?, "")?;
        socks(port)?;
        if child.end().contains("prohibited") {
            return Err("the gateway does not allow TCP forwarding, which Remote-SSH needs".to_owned());
        }
        Ok("a script on stdin was answered, and the SOCKS port takes connections".to_owned())
    }

    /// A master of the editor's own, and a command through it.
    fn zed(&self) -> Result<String, String> {
        let folder =
            atomic_file::temporary_dir_in(Path::new("/tmp"), "rc").map_err(|error| error.to_string())?;
        let socket = format!("ControlPath={}/s", folder.path().display());
        let options = ["-N", "-o", "ControlMaster=yes", "-o", &socket, self.host];
        let mut master = Spawned::start(self.command(&options))?;
        let deadline = Deadline::after(PATIENCE);
        while !folder.path().join("s").exists() {
            if master.has_ended() || deadline.is_past() {
                return Err(master.end());
            }
            deadline.pause(Duration::from_millis(10));
        }
        let said = Spawned::start(self.command(&["-T", "-o", &socket, self.host, "echo", WORD]))?
            .first(WORD.len())?;
        expect(&said, "a master of its own came up, and a command went through it")
    }

    /// The file protocol that scp and most editors use.
    fn sftp(&self) -> Result<String, String> {
        let mut child = Spawned::start(self.command(&["-T", "-s", self.host, "sftp"]))?;
        // SSH_FXP_INIT, version 3 (draft-ietf-secsh-filexfer-02): the answer is SSH_FXP_VERSION.
        child.say(&[0, 0, 0, 5, 1, 0, 0, 0, 3])?;
        match child.first(5)?.last() {
            Some(2) => Ok("the SFTP subsystem answers".to_owned()),
            _ => Err("the SFTP subsystem gives an unexpected answer".to_owned()),
        }
    }
}

/// An ssh that is ended when it is no longer wanted.
struct Spawned(Child);

impl Spawned {
    fn start(mut command: Command) -> Result<Spawned, String> {
        command.spawn().map(Spawned).map_err(told)
    }

    fn say(&mut self, words: &[u8]) -> Result<(), String> {
        let stdin = self.0.stdin.as_mut().ok_or("no stdin")?;
        let _ = stdin.write_all(words); // one that has ended says why on stderr
        Ok(())
    }

    /// The first bytes of its stdout; its last words when it ends before, or takes too long.
    fn first(&mut self, count: usize) -> Result<Vec<u8>, String> {
        let mut stdout = self.0.stdout.take().ok_or("no stdout")?;
        let (sender, received) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = vec![0; count];
            let read = stdout.read_exact(&mut bytes).map(|()| bytes);
            let _ = sender.send(read);
        });
        match received.recv_timeout(PATIENCE) {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(self.end()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)))
    }

    /// Ends it; the last line that it had to say on stderr.
    fn end(&mut self) -> String {
        let _ = self.0.kill();
        let mut said = Vec::new();
        let _ = self.0.stderr.take().map(|stderr| stderr.take(64 * 1024).read_to_end(&mut said));
        let text = String::from_utf8_lossy(&said);
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        last.map_or_else(|| "ssh ended without a message".to_owned(), |line| foreign::said("ssh", line))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn expect(said: &[u8], good: &str) -> Result<String, String> {
    if said == WORD.as_bytes() {
        Ok(good.to_owned())
    } else {
        Err("a command gave an unexpected answer".to_owned())
    }
}

/// Opens a connection through a SOCKS5 port (RFC 1928) to the workspace's own port 22: whether anything is there or not, ssh
/// has then asked the gateway for a forwarded channel.
fn socks(port: u16) -> Result<(), String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    stream.write_all(&[5, 1, 0]).map_err(told)?;
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).map_err(told)?;
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 22]).map_err(told)?;
    let _ = stream.read(&mut [0; 64]); // the end counts as an answer
    if greeting == [5, 0] { Ok(()) } else { Err("the SOCKS port gives an unexpected answer".to_owned()) }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(told)?;
    listener.local_addr().map(|address| address.port()).map_err(told)
}

fn told(error: std::io::Error) -> String {
    crate::error::reason(&error)
}
