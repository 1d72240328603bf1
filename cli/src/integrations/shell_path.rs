//! `runcode` for the user's own shell: a wrapper in `~/.local/bin`, and that folder on PATH.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::integrations::managed_block::Markers;
use crate::output::foreign::FileName as _;
use crate::sys::atomic_file;
use crate::sys::env::{Env, Var};
use crate::sys::paths::home;

/// The line by which a wrapper of ours is known.
const MARK: &str = "# Written by `runcode install-path`; `runcode install-path --remove` takes it out.";

/// What our lines in a shell's startup file stand between.
pub const MARKERS: Markers = Markers { begin: "# >>> runcode path >>>", end: "# <<< runcode path <<<" };

/// How the line begins by which a launcher is known, in each language that there is one in.
const LAUNCHER_MARKS: &[&str] = &["# runcode-launcher", "rem runcode-launcher"];

/// How much of a file is read to find that, in bytes.
const HEAD: u64 = 1024;

/// The largest wrapper that is read, in bytes.
const MAX_WRAPPER: usize = 64 * 1024;

/// Where the wrapper goes: `~/.local/bin/runcode`.
pub fn wrapper_path(env: &Env) -> Result<PathBuf> {
    Ok(home(env)?.join(".local/bin").join("runcode"))
}

/// Whether there is a wrapper of ours at `path`.
pub fn is_own_wrapper(path: &Path) -> bool {
    let is_file = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let content = if is_file { atomic_file::read(path, MAX_WRAPPER).ok().flatten() } else { None };
    content.is_some_and(|content| content.split(|&byte| byte == b'\n').any(|line| line == MARK.as_bytes()))
}

/// Whether it is a launcher of ours: one of its first two lines says so.
pub fn is_launcher(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| {
        if file.metadata()?.is_file() { file.take(HEAD).read_to_end(&mut head) } else { Ok(0) }
    });
    let is_mark = |line: &[u8]| LAUNCHER_MARKS.iter().any(|mark| line.starts_with(mark.as_bytes()));
    read.is_ok() && head.split(|&byte| byte == b'\n').take(2).any(is_mark)
}

/// The wrapper: the launcher while it is there, since it brings new versions, else the program itself.
///
/// A wrapper that leads to a launcher carries the launchers' mark, so that none takes it for a binary to run.
pub fn wrapper(launcher: Option<&Path>, program: &Path) -> Result<Vec<u8>> {
    let mut text = b"#!/bin/sh\n".to_vec();
    if let Some(launcher) = launcher {
        text.extend_from_slice(b"# runcode-launcher wrapper\n");
        let launcher = quoted(launcher)?;
        text.extend_from_slice(
            &[b"[ ! -x ", &launcher[..], b" ] || exec ", &launcher, b" \"$@\"\n"].concat(),
        );
    }
    text.extend_from_slice(&[b"exec ", &quoted(program)?[..], b" \"$@\"\n", MARK.as_bytes(), b"\n"].concat());
    Ok(text)
}

/// `text` in single quotes, for a person to paste.
pub fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn quoted(path: &Path) -> Result<Vec<u8>> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.contains(&b'\n') {
        return Err(Error::new(Code::Error, format!("{} has a line break in it", path.named()))
            .hint("install runcode in a folder with a plainer name"));
    }
    let inner =
        bytes.iter().flat_map(|byte| if *byte == b'\'' { &b"'\\''"[..] } else { std::slice::from_ref(byte) });
    Ok(std::iter::once(&b'\'').chain(inner).chain(std::iter::once(&b'\'')).copied().collect())
}

/// A shell whose startup file we know how to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// Any other that reads `~/.profile`.
    Posix,
}

impl Shell {
    /// All of them.
    pub const ALL: [Shell; 4] = [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Posix];

    /// The user's login shell, by `SHELL`.
    pub fn of_user(env: &Env) -> Shell {
        let shell = env.var(Var::Shell).map(PathBuf::from);
        match shell.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()) {
            Some("bash") => Shell::Bash,
            Some("zsh") => Shell::Zsh,
            Some("fish") => Shell::Fish,
            _ => Shell::Posix,
        }
    }

    /// The file that it reads when it starts. macOS opens login shells, which skip `.bashrc`.
    pub fn startup_file(self, home: &Path) -> PathBuf {
        home.join(match self {
            Shell::Bash if cfg!(target_os = "macos") => ".bash_profile",
            Shell::Bash => ".bashrc",
            Shell::Zsh => ".zshrc",
            Shell::Fish => ".config/fish/conf.d/runcode.fish",
            Shell::Posix => ".profile",
        })
    }

    /// The line that puts `~/.local/bin` on PATH, once however often it is read.
    pub fn line(self) -> &'static str {
        match self {
            Shell::Fish => "contains -- $HOME/.local/bin $PATH; or set -gx PATH $HOME/.local/bin $PATH",
            _ => {
                r#"case ":$PATH:" in *":$HOME/.local/bin:"*) ;; *) export PATH="$HOME/.local/bin:$PATH" ;; esac"#
            }
        }
    }
}

/// Whether `folder` is on PATH.
pub fn is_on_path(env: &Env, folder: &Path) -> bool {
    env.var(Var::Path).is_some_and(|path| std::env::split_paths(&path).any(|entry| entry == folder))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::process::Command;

    /// Written by another process: were it open in this one, a test that forks meanwhile would make it busy (ETXTBSY).
    fn write(path: &Path, content: &[u8]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""]).arg(path);
        assert!(shell.arg(String::from_utf8_lossy(content).as_ref()).status().unwrap().success());
    }

    #[test]
    fn a_wrapper_outlives_its_launcher() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (launcher, program, wrapper_at) =
            (at("it's a 'launcher'/runcode"), at("$(x) b/runcode"), at("bin/runcode"));
        write(&launcher, b"#!/bin/sh\nprintf 'launcher'; printf '|%s' \"$@\"\n");
        write(&program, b"#!/bin/sh\nprintf 'program'; printf '|%s' \"$@\"\n");
        write(&wrapper_at, &wrapper(Some(&launcher), &program).unwrap());
        assert!(is_own_wrapper(&wrapper_at) && !is_own_wrapper(&program));
        let run = || {
            String::from_utf8(Command::new(&wrapper_at).args(["a b", "", "*"]).output().unwrap().stdout)
                .unwrap()
        };
        assert_eq!(run(), "launcher|a b||*");
        std::fs::remove_file(&launcher).unwrap();
        assert_eq!(run(), "program|a b||*");
    }

    #[test]
    fn a_link_is_not_ours_even_when_it_leads_to_ours() {
        let folder = tempfile::tempdir().unwrap();
        let (own, link) = (folder.path().join("own"), folder.path().join("link"));
        write(&own, &wrapper(None, Path::new("/x")).unwrap());
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(
            is_own_wrapper(&own) && !is_own_wrapper(&link) && !is_own_wrapper(&folder.path().join("none"))
        );
    }

    #[test]
    fn each_shell_puts_the_folder_on_path_once() {
        for (shell, name) in
            [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish"), (Shell::Posix, "sh")]
        {
            let script = format!("{0}\n{0}\n/usr/bin/env", shell.line());
            let mut command = Command::new(name);
            let command = command.args(["-c", &script]).env("HOME", "/home/u v").env("PATH", "/usr/bin:/bin");
            let Ok(output) = command.output() else { continue }; // not every machine has every shell
            let output = String::from_utf8(output.stdout).unwrap();
            let path = output.lines().find_map(|line| line.strip_prefix("PATH=")).unwrap();
            assert_eq!(path, "/home/u v/.local/bin:/usr/bin:/bin", "{name}");
            let env = Env::fixed([(Var::Shell, format!("/usr/bin/{name}"))]);
            assert_eq!(Shell::of_user(&env), shell);
        }
    }
}
