#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::transport::script::shorten;

/// The processes that a small file takes are what it costs on a busy workspace. In a folder that nobody else may write to, there are
/// four; where others may, a folder is made in it. No process has the content among its arguments.
#[test]
fn small_files_take_few_processes() {
    let tools = tempfile::tempdir().unwrap();
    let log = tools.path().join("log");
    for name in [
        "stat",
        "touch",
        "sha256sum",
        "mv",
        "mkdir",
        "chmod",
        "rmdir",
        "cat",
        "tail",
        "dd",
        "rm",
        "ls",
        "id",
        "printf",
    ] {
        let program = tools.path().join(name);
        let text = format!(
            "#!/bin/sh\necho {name} \"$*\" >>'{}'\nPATH=${{PATH#*:}}\nexec {name} \"$@\"\n",
            log.display()
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let line = format!("mark word {} a secret", crate::sys::digest::sha256(b"a secret"));
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    for sh in ["sh", "bash", "mksh"] {
        for (mode, comes_as, most) in
            [(0o755, "variable", 4), (0o755, "line", 4), (0o775, "variable", 7), (0o775, "line", 7)]
        {
            let home = tempfile::tempdir_in(tools.path()).unwrap();
            std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::write(&log, "").unwrap();
            let mut command = std::process::Command::new(sh);
            command.args(["-c", &shorten(&Script::PutFile.readable()), "sh", "m", "ark"]);
            command.args(["~=new", "022", "", "1000000000.5", "-", "-", "line"]);
            command.env("HOME", home.path()).env("PATH", &path).env_remove("LC_RUNCODE");
            let input = tools.path().join("input");
            std::fs::write(&input, format!("{line}\n")).unwrap();
            if comes_as == "variable" {
                command.env("LC_RUNCODE", &line);
            } else {
                command.stdin(std::fs::File::open(&input).unwrap());
            }
            let Ok(said) = command.output() else { continue };
            let case = format!("{sh} {mode:o} {comes_as}");
            assert!(String::from_utf8_lossy(&said.stdout).ends_with("mark ok\n"), "{case}: {said:?}");
            assert_eq!(std::fs::read(home.path().join("new")).unwrap(), b"a secret", "{case}");
            let ran = std::fs::read_to_string(&log).unwrap();
            assert!(!ran.contains("secret"), "{case}: {ran}");
            // What is below a sticky folder that everybody may write to, such as /tmp, is checked; mksh runs a program for printf.
            let counts = |ran: &&str| {
                let name = ran.split(' ').next().unwrap();
                !ran.starts_with("stat -c %A") && !["", "id", "printf"].contains(&name)
            };
            let ran = ran.lines().filter(counts).collect::<Vec<_>>();
            if cfg!(target_os = "linux") {
                assert_eq!(ran.len(), most, "{case}: {ran:?}");
            }
        }
    }
}
