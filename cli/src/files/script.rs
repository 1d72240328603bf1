//! Our own scripts on the workspace, and how their arguments are written.
//!
//! Each is one line of POSIX sh: the whole text is then quoted once, and no login shell sees a line feed.

use crate::error::Result;
use crate::transport::RemoteCommand;

const PRELUDE: &str = include_str!("remote/prelude.sh");

/// A script of ours.
#[derive(Debug, Clone, Copy)]
pub(super) enum Script {
    PutFile,
    PutFolder,
    Get,
}

impl Script {
    fn source(self) -> &'static str {
        match self {
            Script::PutFile => include_str!("remote/put_file.sh"),
            Script::PutFolder => include_str!("remote/put_folder.sh"),
            Script::Get => include_str!("remote/get.sh"),
        }
    }

    fn text(self) -> String {
        one_line(PRELUDE) + &one_line(self.source())
    }

    /// The command that runs it; its own lines begin with `mark`, and so does what is private to it.
    pub(super) fn command(
        self,
        mark: &str,
        arguments: &[Vec<u8>],
        private: Option<&str>,
    ) -> Result<RemoteCommand> {
        let (first, second) = mark.split_at(mark.len() / 2);
        let mut all = vec![first.as_bytes(), second.as_bytes()];
        all.extend(arguments.iter().map(Vec::as_slice));
        let command = RemoteCommand::script(&self.text(), &all)?;
        Ok(match private {
            Some(private) => command.with_private(format!("{mark} {private}")),
            None => command,
        })
    }
}

fn one_line(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(|line| [line, " "]).collect()
}

/// A text as an argument: `=` and the text, or `%` and the text with its odd bytes written for `printf %b`. What is not
/// printable ASCII is not trusted to pass through every login shell.
pub(super) fn argument(text: &[u8]) -> Vec<u8> {
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        [b"=", text].concat()
    } else {
        [b"%".to_vec(), octal(text)].concat()
    }
}

/// `bytes` as `printf %b` (POSIX) takes them: what is not printable ASCII, and the backslash, as `\0ddd`.
pub(super) fn octal(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') && byte != b'\\' {
            text.push(byte);
        } else {
            text.extend_from_slice(format!("\\0{byte:03o}").as_bytes());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[cfg(unix)]
    #[test]
    fn every_script_is_one_line_that_sh_understands() {
        for script in [Script::PutFile, Script::PutFolder, Script::Get] {
            let text = script.text();
            assert!(!text.contains('\n'));
            let sh = std::process::Command::new("sh").args(["-n", "-c", &text]).output().unwrap();
            assert!(sh.status.success(), "{script:?}: {}", String::from_utf8_lossy(&sh.stderr));
        }
    }

    /// What runs in the background does not hear of an interrupt by itself.
    #[cfg(unix)]
    #[test]
    fn an_interrupt_ends_all_of_a_fetch() {
        use std::io::{BufRead as _, Read as _};
        use std::os::unix::process::CommandExt as _;
        const SIZE: u64 = 64 << 20;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        let path = argument(file.path().as_os_str().as_encoded_bytes());
        let mut sh = std::process::Command::new("sh");
        sh.args([
            "-c",
            &Script::Get.text(),
            "sh",
            "m",
            "ark",
            std::str::from_utf8(&path).unwrap(),
            "yes",
            "no",
        ]);
        let mut child = sh.process_group(0).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        assert!(first.starts_with("mark F "), "{first}");
        let mut some = vec![0; 1 << 20];
        output.read_exact(&mut some).unwrap();
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
        child.wait().unwrap();
        let rest = std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        assert!(rest < SIZE / 2, "{rest} bytes came after the interrupt");
    }

    /// As when a connection goes: the gateway hangs up and asks, one right after the other.
    #[cfg(unix)]
    #[test]
    fn many_signals_at_once_leave_nothing_behind() {
        use std::io::Write as _;
        use std::os::unix::process::CommandExt as _;
        use std::process::Stdio;
        for script in [Script::PutFile, Script::PutFolder] {
            for round in 0..8 {
                let folder = tempfile::tempdir().unwrap();
                let there = folder.path();
                let path = String::from_utf8(argument(there.as_os_str().as_encoded_bytes())).unwrap();
                let file = format!("{path}/new");
                let arguments: &[&str] = match script {
                    Script::PutFile => &[&file, "-", "", "-", "-"],
                    _ => &[&path, "=new"],
                };
                let mut sh = std::process::Command::new("sh");
                sh.args(["-c", &script.text(), "sh", "m", "ark"]).args(arguments);
                let mut child =
                    sh.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                let mut input = child.stdin.take().unwrap();
                let _ = input.write_all(b"mark 1000\n");
                let litter = || {
                    let found = std::fs::read_dir(there).unwrap().flatten().map(|entry| entry.file_name());
                    found.filter(|name| name.to_string_lossy().contains("runcode-")).collect::<Vec<_>>()
                };
                while litter().is_empty() {
                    assert!(child.try_wait().unwrap().is_none(), "{script:?} ended by itself");
                    std::thread::yield_now();
                }
                let group = rustix::process::Pid::from_child(&child);
                while child.try_wait().unwrap().is_none() {
                    for signal in [rustix::process::Signal::HUP, rustix::process::Signal::TERM] {
                        let _ = rustix::process::kill_process_group(group, signal);
                    }
                }
                assert_eq!(litter(), Vec::<std::ffi::OsString>::new(), "{script:?}, round {round}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn printf_gives_every_byte_back() {
        let all = (0..=255).collect::<Vec<u8>>();
        let text = String::from_utf8(octal(&all)).unwrap();
        let printed = std::process::Command::new("sh").args(["-c", "printf %b \"$1\"", "sh", &text]).output();
        assert_eq!(printed.unwrap().stdout, all);
    }

    #[test]
    fn plain_text_stays_readable() {
        assert_eq!(argument(b"/a b\\'"), b"=/a b\\'");
        assert_eq!(argument(b"/a\nb\xff\\"), b"%/a\\0012b\\0377\\0134");
    }
}
