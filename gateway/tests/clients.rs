//! Every client that people use, on the gateway and on a real sshd(8): the same bytes, statuses and signals.
//!
//! A case is a script in `tests/clients/`; adding a file adds a case. What it prints and how it ends is compared.
//! Its environment: `CONFIG` (ssh_config(5) with the host `box`), `BOX` (the workspace's folder), `WORK` (a folder of
//! its own), `PYTHON` (with asyncssh, paramiko and ansible), `CASES` (the scripts' folder). Status 77 says that
//! something is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::reference_sshd::ReferenceSshd;
use crate::support::skipped;

const MISSING: i32 = 77;

/// A Python with the client libraries, made once under the target folder; `None` when it cannot be had.
fn python() -> Option<PathBuf> {
    const PACKAGES: [&str; 4] = ["asyncssh", "paramiko", "ansible-core", "ssh-audit"];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-venv");
    // Tests may be processes: one makes it, the others wait.
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let python = folder.join("bin/python");
    let run = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let works = || run(Command::new(&python).args(["-c", "import asyncssh, paramiko, ansible, ssh_audit"]));
    if !works() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(PACKAGES));
        if !works() {
            skipped(&format!("no Python with {} can be had here", PACKAGES.join(", ")));
            return None;
        }
    }
    Some(python)
}

/// The algorithms that ssh-audit complains about, and how badly.
fn complaints(python: &Path, port: u64) -> BTreeSet<(String, &'static str)> {
    let output = Command::new(python.with_file_name("ssh-audit"))
        .args(["-n", "--skip-rate-test", "-p", &port.to_string(), "127.0.0.1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let (mut name, mut found) = (String::new(), BTreeSet::new());
    let mut seen = 0;
    for line in text.lines() {
        if ["(kex)", "(key)", "(enc)", "(mac)"].iter().any(|kind| line.starts_with(kind)) {
            name = line.split_whitespace().nth(1).unwrap().to_owned();
            seen += 1;
        }
        let level = ["[fail]", "[warn]"].into_iter().find(|level| line.contains(level));
        found.extend(level.map(|level| (name.clone(), level)));
    }
    assert!(seen > 10, "{text}");
    found
}

#[test]
fn ssh_audit_matches_openssh() {
    let (Some(sshd), Some(python)) = (ReferenceSshd::start(), python()) else { return };
    let fixture = GatewayFixture::new();
    let ours = complaints(&python, fixture.plane.gateway_addr().port().into());
    let theirs = complaints(&python, sshd.port().into());
    assert!(ours.is_subset(&theirs), "{:?}", ours.difference(&theirs));
    assert!(!ours.iter().any(|(_, level)| *level == "[fail]"), "{ours:?}");
}

/// Runs a case; what it printed has the folders' names taken out.
fn run(script: &Path, config: &Path, folder: &Path, python: Option<&Path>) -> (Option<i32>, String, String) {
    let work = tempfile::tempdir().unwrap();
    let folder = folder.canonicalize().unwrap();
    let output: Output = Command::new("timeout")
        .args(["60", "sh", "-eu"])
        .arg(script)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", work.path())
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CONFIG", config)
        .env("BOX", &folder)
        .env("WORK", work.path())
        .env("PYTHON", python.unwrap_or(Path::new("")))
        .env("CASES", script.parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let plain = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.replace(folder.to_str().unwrap(), "BOX").replace(work.path().to_str().unwrap(), "WORK")
    };
    (output.status.code(), plain(&output.stdout), plain(&output.stderr))
}

#[test]
fn ssh_clients_see_what_openssh_shows() {
    let Some(sshd) = ReferenceSshd::start() else {
        skipped("there is no sshd on this machine to compare with");
        return;
    };
    let python = python();
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let config = session.path("config");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let mut scripts: Vec<PathBuf> =
        std::fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "sh"));
    // From root, as the tests may run, a real server takes no signals: they have a test of their own.
    scripts.retain(|path| !path.ends_with("signals.sh"));
    scripts.sort();
    assert!(scripts.len() > 10);
    let mut differences = Vec::new();
    for script in scripts {
        let name = script.file_stem().unwrap().to_str().unwrap().to_owned();
        if let Some(only) = std::env::var_os("RUNCODE_CASE")
            && only.to_str() != Some(&name)
        {
            continue;
        }
        let real = run(&script, &sshd.config(), sshd.folder(), python.as_deref());
        if real.0 == Some(MISSING) {
            skipped(&format!("{name}: {}", real.2.trim()));
            continue;
        }
        let ours = run(&script, &config, fixture.folder.path(), python.as_deref());
        if real.0 != Some(0) || (ours.0, &ours.1) != (real.0, &real.1) {
            differences.push(format!("{name}: sshd {real:?}\n{name}: ours {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// As above, for signals on request.
#[test]
fn signals_match_openssh() {
    let Some(python) = python() else { return };
    let Some(sshd) = ReferenceSshd::start_unprivileged() else {
        skipped("there is no sshd on this machine that takes signals");
        return;
    };
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/signals.sh");
    let real = run(&script, &sshd.config(), sshd.folder(), Some(&python));
    let ours = run(&script, &session.path("config"), fixture.folder.path(), Some(&python));
    assert_eq!(real.0, Some(0), "{real:?}");
    assert_eq!((ours.0, ours.1), (real.0, real.1), "{}", ours.2);
}
