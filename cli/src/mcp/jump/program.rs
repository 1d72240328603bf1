//! The program that serves the tools: which one it is, and how it is started.

use std::ffi::OsString;

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::sys::env::{Env, Var};
use crate::transport::RemoteCommand;

/// The longest path, in bytes.
const MAX: usize = 1024;

/// The names that a program may have. Anything else is hardly meant.
const NAMES: [&str; 4] = ["runspec", "runspec.exe", "runcode", "runcode.exe"];

/// Starts the program `$1`, else the first one that the workspace has. The shell stays: its arguments show the command's token.
const SCRIPT: &str = r#"program=$1
case $program in
'') if command -v runspec >/dev/null 2>&1; then program=runspec; else program=runcode; fi ;;
"~/"*) program="$HOME/${program#??}" ;;
esac
"$program" serve
exit $?
"#;

/// The program on the workspace; none: the one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(Option<String>);

impl Program {
    /// The one that `--bin` names, else a variable, else the one that is there.
    pub fn named(option: Option<OsString>, env: &Env) -> Result<Program> {
        let by_env = || {
            let vars = [Var::RuncodeJumpBin, Var::RunspecJumpBin];
            vars.into_iter().find_map(|var| Some((var.name(), env.var(var)?)))
        };
        let Some((who, path)) = option.map(|path| ("--bin", path)).or_else(by_env) else {
            return Ok(Program(None));
        };
        let path = path.to_string_lossy().into_owned();
        // A project may set a variable, and its files may lie in the login folder there.
        let is_relative = who != "--bin" && path.contains('/') && !path.starts_with(['/', '~']);
        let why = if is_relative { Some("is relative, which only --bin may be") } else { unfit(&path) };
        match why {
            None => Ok(Program(Some(path))),
            Some(why) => Err(Error::new(Code::Usage, format!("{who} {} {why}", foreign::file(&path)))
                .hint("name the server on the workspace, such as /opt/venv/bin/runspec")),
        }
    }

    /// What starts it.
    pub fn command(&self) -> Result<RemoteCommand> {
        RemoteCommand::script(SCRIPT, &[self.0.as_deref().unwrap_or_default().as_bytes()])
    }

    /// Its name, for people.
    pub fn shown(&self) -> String {
        match &self.0 {
            Some(path) => foreign::file(path).to_string(),
            None => "`runspec` or `runcode`".to_owned(),
        }
    }

    /// As it is recorded.
    pub fn word(&self) -> &str {
        self.0.as_deref().unwrap_or("runspec|runcode")
    }
}

/// Why a path is not that of a server.
fn unfit(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    if path.len() > MAX {
        return Some("is longer than 1024 bytes");
    }
    if path.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
        return Some("has a control or invalid character");
    }
    if path.starts_with('-') {
        return Some("begins with `-`");
    }
    (!NAMES.contains(&name)).then_some("is not called runspec or runcode")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn only_a_server_is_started() {
        let named = |path: &str| Program::named(Some(path.into()), &Env::fixed::<&str>([]));
        for path in
            ["runspec", "/opt/a b/bin/runcode", "~/bin/runspec.exe", "a; id #/runspec", "$(id)/runcode"]
        {
            assert_eq!(named(path).unwrap(), Program(Some(path.to_owned())));
        }
        let long = format!("/{}/runspec", "x".repeat(MAX));
        for path in ["", "-runspec", "--help/runspec", "runspec ", "sh", "/runspec/", "a\n/runspec", &long] {
            assert_eq!(named(path).unwrap_err().code(), Code::Usage, "{path}");
        }
    }

    #[test]
    fn variables_name_it_in_turn() {
        let of = |pairs: &[(Var, &str)]| {
            Program::named(None, &Env::fixed(pairs.iter().copied())).unwrap().word().to_owned()
        };
        let (ours, theirs) = ((Var::RuncodeJumpBin, "/a/runcode"), (Var::RunspecJumpBin, "/b/runspec"));
        assert_eq!(of(&[ours, theirs]), "/a/runcode");
        assert_eq!(of(&[(Var::RuncodeJumpBin, ""), theirs]), "/b/runspec");
        assert_eq!(of(&[]), "runspec|runcode");
        for path in ["./runcode", "bin/runspec"] {
            let refused = Program::named(None, &Env::fixed([(Var::RuncodeJumpBin, path)])).unwrap_err();
            assert_eq!(refused.code(), Code::Usage, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_is_one_word() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        for folder in ["a; echo hacked; #", "$(echo hacked)", "~"] {
            let folder = home.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            let file = folder.join("runspec");
            std::fs::write(&file, "#!/bin/sh\necho \"$# $1\"\n").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for path in ["./a; echo hacked; #/runspec", "./$(echo hacked)/runspec", "~/~/runspec"] {
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", SCRIPT, "name", path]).env("HOME", home.path()).current_dir(home.path());
            let said = String::from_utf8(sh.output().unwrap().stdout).unwrap();
            assert_eq!(said, "1 serve\n", "{path}");
        }
    }
}
