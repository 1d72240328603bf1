#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use super::*;
#[cfg(unix)]
use crate::transport::script::{check, shorten};

/// What they had when they were written, and little more.
#[cfg(unix)]
#[test]
fn short_scripts_are_short() {
    for (script, limit) in
        [(Script::PutFile, 4000), (Script::PutFolder, 6100), (Script::Get, 2700), (Script::Search, 3300)]
    {
        check(&script.readable(), limit);
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
        &shorten(&Script::Get.readable()),
        "sh",
        "m",
        "ark",
        std::str::from_utf8(&path).unwrap(),
        "yes",
        "no",
        "-",
        "-",
        "-",
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
                Script::PutFile => &[&file, "-", "", "-", "-", "-"],
                _ => &[&path, "no", "=new"],
            };
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", &shorten(&script.readable()), "sh", "m", "ark"]).args(arguments);
            let mut child = sh.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
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

/// What a script says, and what it leaves in its home folder, when `sh` runs `text` there.
#[cfg(unix)]
fn ran(sh: &[&str], text: &str, arguments: &[&str], input: &[u8]) -> (i32, String, Vec<(String, String)>) {
    use std::io::Write as _;
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    std::fs::create_dir_all(at("old/sub")).unwrap();
    for name in ["file", "old/a b", "old/sub/c", "-odd"] {
        std::fs::write(at(name), name).unwrap();
        std::fs::File::open(at(name)).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let mut command = std::process::Command::new(sh[0]);
    command.args(&sh[1..]).args(["-c", text, "sh", "m", "ark"]).args(arguments);
    command.current_dir(home.path()).env("HOME", home.path()).env_remove("LC_RUNCODE");
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let mut tree = Vec::new();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(home.path()).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
                tree.push((name, String::new()));
            } else {
                tree.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    tree.sort();
    // An archive has times of its own.
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said.split('\0').next().unwrap_or_default().lines().take(2).collect::<Vec<_>>().join("\n");
    (output.status.code().unwrap_or(-1), said, tree)
}

#[cfg(unix)]
#[test]
fn readable_and_short_scripts_agree() {
    let content = b"new content";
    let sent =
        [content, format!("mark {:020} {}\n", content.len(), crate::sys::digest::sha256(content)).as_bytes()]
            .concat();
    let cases: [(Script, &[&str], &[u8]); 12] = [
        (Script::PutFile, &["~=new/one", "022", "600", "1000000000.5", "-", "-"], &sent),
        (Script::PutFile, &["~=file", "-", "-", "-", "-", "-"], &sent),
        (Script::PutFile, &["~%old", "-", "", "-", "=in\\0040to", "-"], &sent),
        (Script::PutFile, &["~=old", "-", "", "-", "-", "-"], &sent),
        (Script::PutFile, &["~=cut", "-", "", "-", "-", "-"], content),
        (Script::Get, &["=old/a b", "no", "yes", "-", "-", "-"], b""),
        (Script::Get, &["=./-odd", "no", "no", "c", "2", "1"], b""),
        (Script::Get, &["=old", "no", "no", "-", "-", "-"], b""),
        (Script::Get, &["=old", "yes", "no", "-", "-", "-"], b""),
        (Script::Get, &["=missing", "yes", "no", "-", "-", "-"], b""),
        (Script::PutFolder, &["~=old", "no", "=a b", "=none"], b"none\n"),
        (Script::PutFolder, &["~=new", "no", "=x"], b"mark 1024\n"),
    ];
    let shells: [&[&str]; 7] = [
        &["sh"],
        &["bash", "--posix"],
        &["busybox", "sh"],
        &["mksh"],
        &["ksh93"],
        &["yash"],
        &["zsh", "--emulate", "sh"],
    ];
    let has = |sh: &&&[&str]| std::process::Command::new(sh[0]).args(["-c", "true"]).output().is_ok();
    for sh in shells.iter().filter(has) {
        for (script, arguments, input) in &cases {
            let readable = ran(sh, &script.readable(), arguments, input);
            assert_eq!(
                ran(sh, &shorten(&script.readable()), arguments, input),
                readable,
                "{sh:?} {script:?} {arguments:?}"
            );
            assert!(readable.1.contains("mark "), "{sh:?} {script:?} {arguments:?} {readable:?}");
        }
    }
}
