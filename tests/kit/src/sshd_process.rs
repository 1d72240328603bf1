//! A process of sshd(8) on a loopback port.

use std::ffi::OsString;
use std::io::BufRead as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::until;

/// Where Debian and macOS have it.
pub(crate) const SSHD: &str = "/usr/sbin/sshd";

/// A port that is free now; somebody else may take it before it is used.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts one, behind the words of `wrapper`, and waits until it answers; `None` when it ends, as where another has the port.
pub(crate) fn serve(wrapper: &[OsString], config_path: &Path, port: u16, config: &str) -> Option<Child> {
    std::fs::write(config_path, config).unwrap();
    let sshd = [OsString::from(SSHD)];
    let words = wrapper.iter().chain(&sshd).collect::<Vec<_>>();
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .args(["-D", "-e", "-f"])
        .arg(config_path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut has_ended = false;
    until("sshd answers", || {
        has_ended = child.try_wait().unwrap().is_some();
        let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return has_ended };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut line = String::new();
        let read = std::io::BufReader::new(stream).read_line(&mut line);
        read.is_ok() && line.starts_with("SSH-") || has_ended
    });
    (!has_ended).then_some(child)
}
