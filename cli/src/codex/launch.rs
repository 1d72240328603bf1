//! The installed Codex: which one it is, and whether it would run its tools where we say with these arguments.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::sys::env::{Env, Var};
use crate::sys::interrupt::Interrupt;
use crate::sys::{program, subprocess};

/// The variable that tells Codex where its tools run.
const VARIABLE: &str = Var::CodexExecServerUrl.name();

/// Minor versions of 0.x that are known to obey it. An older one does not know the variable, and would run everything here.
const OLDEST: u32 = 150;
const NEWEST: u32 = 171;

/// How long it may take to say its version.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often we check whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Commands of Codex that do not run its tools in this process, or not where the variable says.
const ELSEWHERE: &[&str] = &[
    "agents",
    "app-server",
    "remote-control",
    "cloud",
    "queue",
    "exec-server",
    "sandbox",
    "debug",
    "apply",
    "a",
    "mcp-server",
    "app",
    "proto",
];

/// Options of Codex that lead it to another process, or to another folder of this machine.
const ELSEWHERE_OPTIONS: &[&str] = &["--remote", "--worktree"];

/// Options of Codex that come before a command and take a value.
const VALUED: &[&str] = &[
    "-c",
    "--config",
    "--enable",
    "--disable",
    "--remote",
    "--remote-auth-token-env",
    "-i",
    "--image",
    "-m",
    "--model",
    "--local-provider",
    "-p",
    "--profile",
    "-s",
    "--sandbox",
    "-C",
    "--cd",
    "--add-dir",
    "-a",
    "--ask-for-approval",
];

/// The program.
#[derive(Debug)]
pub struct Codex {
    program: PathBuf,
}

impl Codex {
    /// The first `codex` on PATH, if it is known to obey; with `any_version`, any that knows the variable.
    pub fn find(env: &Env, any_version: bool) -> Result<Codex> {
        let path = env.var(Var::Path);
        let program = program::find("codex", path.as_deref()).ok_or_else(|| {
            Error::new(Code::NotFound, "there is no `codex` on PATH")
                .hint("install it: npm install -g @openai/codex")
        })?;
        let mut command = Command::new(&program);
        command.arg("--version");
        let failed = || {
            Error::new(Code::Error, format!("cannot tell the version of {}", program.named()))
                .hint("run `codex --version`, and fix what it reports")
        };
        let said = subprocess::run(&mut command, PATIENCE, 4096)
            .map_err(|error| Error::io(format_args!("run {}", program.named()), error))?
            .ok_or_else(failed)?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        check(minor(&said).ok_or_else(failed)?, any_version)?;
        Ok(Codex { program })
    }

    /// Runs it with these arguments and its tools at `address`, and passes on the signals that it would not get by itself. Returns its
    /// status.
    pub fn run(&self, arguments: &[OsString], address: &str) -> Result<u8> {
        let interrupt = Interrupt::listen()?;
        let mut command = Command::new(&self.program);
        command.args(arguments).env(VARIABLE, address);
        let failed = |error| Error::io(format_args!("run {}", self.program.named()), error);
        let mut codex = command.spawn().map_err(failed)?;
        let status = loop {
            if let Some(status) = codex.try_wait().map_err(failed)? {
                break status;
            }
            if interrupt.comes_within(LOOK)
                && let Some(signal) = interrupt.take()
            {
                pass_on(&codex, signal);
            }
        };
        let by_signal = || status.signal().map(|signal| 128 + signal);
        Ok(status.code().or_else(by_signal).and_then(|status| u8::try_from(status).ok()).unwrap_or(255))
    }
}

/// Passes a signal on. Ctrl-C at a terminal reaches Codex by itself.
fn pass_on(codex: &Child, signal: i32) {
    let is_from_terminal = signal == Signal::INT.as_raw() && std::io::stdin().is_terminal();
    let pid = i32::try_from(codex.id()).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal), false) = (pid, Signal::from_named_raw(signal), is_from_terminal) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The minor version in `codex-cli 0.169.0`; a later major version counts as very new.
fn minor(said: &str) -> Option<u32> {
    let version = said.split_whitespace().find_map(|word| {
        let mut parts = word.split(['.', '-', '+']);
        let (major, minor) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
        parts.next().map(|_| (major, minor))
    })?;
    Some(if version.0 == 0 { version.1 } else { u32::MAX })
}

fn check(minor: u32, any_version: bool) -> Result<()> {
    if minor < OLDEST {
        return Err(Error::new(
            Code::Unavailable,
            format!("this Codex is older than 0.{OLDEST} and would run its tools on this machine"),
        )
        .hint("update it: npm install -g @openai/codex"));
    }
    if minor > NEWEST && !any_version {
        let what = format!(
            "nobody has checked yet that a Codex newer than 0.{NEWEST} runs its tools on the workspace"
        );
        return Err(Error::new(Code::Unavailable, what).hint(format!(
            "update runcode, install @openai/codex@0.{NEWEST}.0, or take the risk: runcode codex --any-version"
        )));
    }
    Ok(())
}

/// Refuses arguments with which Codex would not run its tools itself, or not where it is told to.
pub fn refuse_arguments(arguments: &[OsString]) -> Result<()> {
    // A word of the lists above, as it stands there.
    let refuse = |word: &str| {
        let what = format!("`codex {word}` would not run its tools on the attached workspace");
        Err(Error::new(Code::Usage, what)
            .hint(format!("to use it on this machine, run `codex` with {word} without runcode")))
    };
    let words = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    let (mut is_value, mut has_command) = (false, false);
    for word in words {
        let name = word.split('=').next().unwrap_or_default();
        if ELSEWHERE_OPTIONS.contains(&name) {
            return refuse(name);
        }
        match word.strip_prefix('-') {
            _ if is_value => is_value = false,
            Some(_) => is_value = VALUED.contains(&word.as_ref()),
            None if has_command => {}
            None if ELSEWHERE.contains(&word.as_ref()) => return refuse(&word),
            None => has_command = true,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_obey_are_known() {
        for (said, known) in [
            ("codex-cli 0.169.0\n", Some(169)),
            ("codex-cli 0.150.0-alpha.3", Some(150)),
            ("warning: x 1\ncodex-cli 0.99.12", Some(99)),
            ("codex-cli 1.2.0", Some(u32::MAX)),
            ("codex", None),
            ("", None),
        ] {
            assert_eq!(minor(said), known, "{said}");
        }
        let codes = |minor, any| check(minor, any).map_err(|error| error.code());
        assert_eq!((codes(150, false), codes(171, false)), (Ok(()), Ok(())));
        assert_eq!((codes(149, true), codes(172, false)), (Err(Code::Unavailable), Err(Code::Unavailable)));
        assert_eq!(codes(172, true), Ok(()));
    }

    #[test]
    fn arguments_that_lead_elsewhere_are_refused() {
        let refused = |line: &str| {
            let words =
                line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect::<Vec<_>>();
            refuse_arguments(&words).is_err()
        };
        for line in [
            "",
            "exec make",
            "-m gpt exec x",
            "resume --last",
            "-C app-server",
            "-c a=b fix",
            "exec cloud",
            "exec -- --remote",
            "-- agents",
            "review",
            "-sread-only hello",
        ] {
            assert!(!refused(line), "{line}");
        }
        for line in [
            "agents",
            "app-server daemon start",
            "-m gpt cloud",
            "--remote ws://x",
            "--remote=unix://",
            "exec --worktree x",
            "--full-auto app-server",
            "-c a=b exec-server",
            "apply",
            "a",
        ] {
            assert!(refused(line), "{line}");
        }
    }
}
