#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use super::*;
#[cfg(unix)]
use crate::transport::script::{check, shorten};

/// What they had when they were written, and little more.
#[cfg(unix)]
#[test]
fn short_scripts_are_short() {
    for (script, limit) in
        [(Script::PutFile, 7900), (Script::PutFolder, 9200), (Script::Get, 3000), (Script::Search, 4450)]
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
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Stdio;
    for script in [Script::PutFile, Script::PutFolder] {
        for round in 0..8 {
            let folder = tempfile::tempdir().unwrap();
            let there = folder.path();
            // If others may write there, it is another folder in it.
            let mode = if round % 2 == 0 { 0o700 } else { 0o770 };
            std::fs::set_permissions(there, std::fs::Permissions::from_mode(mode)).unwrap();
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

/// A file as it comes on stdin: the trailer has 119 bytes, with a mark of any length.
#[cfg(unix)]
fn sent(content: &[u8]) -> Vec<u8> {
    let trailer = format!("mark {:048} {}\n", content.len(), crate::sys::digest::sha256(content));
    [content, trailer.as_bytes()].concat()
}

/// Nobody keeps the root user from reading, so the script is told that it cannot.
#[cfg(unix)]
#[test]
fn a_file_that_is_unreadable_is_not_replaced() {
    let start = "  hashed_file=$1\n";
    let failing = format!("{start}  case $1 in */file) sha_hex=; return 1 ;; esac\n");
    let text = Script::PutFile.readable().replacen(start, &failing, 1);
    let (status, said, tree) = ran(&["sh"], &text, &["~=file", "-", "-", "-", "-", ""], &sent(b"new"));
    assert_eq!((status, said.as_str()), (1, "mark E changed"));
    assert!(tree.contains(&("file".to_owned(), "file".to_owned())), "{tree:?}");
}

/// A file that comes in the last moment, after it was looked for, is not replaced: with links, and without.
#[cfg(unix)]
#[test]
fn a_file_that_came_meanwhile_stays() {
    let last = "[ ! -d \"$to_path\" ] || fail_with folder\n# A folder that others";
    let late = format!("echo theirs >|\"$to_path\"\n{last}");
    for link in ["ln -T", "false"] {
        let plain = Script::PutFile.readable().replacen("ln -T", link, 1);
        let text = plain.replacen(last, &late, 1);
        assert!(plain.contains(last));
        let arguments = ["~=new", "-", "755", "-", "-", ""];
        let (status, said, tree) = ran(&["sh"], &text, &arguments, &sent(b"ours"));
        assert!(status == 1 && said.ends_with("mark E changed"), "{link}: {said}");
        assert!(tree.contains(&("new".to_owned(), "theirs\n".to_owned())), "{link}: {tree:?}");
        assert!(!tree.iter().any(|(name, _)| name.contains(".runcode-")), "{link}: {tree:?}");
        let (status, said, tree) = ran(&["sh"], &plain, &arguments, &sent(b"ours"));
        assert!(status == 0 && tree.contains(&("new".to_owned(), "ours".to_owned())), "{link}: {said}");
    }
}

/// Another user's file, folder or link in a sticky folder of a group is not written to or through.
#[cfg(unix)]
#[test]
fn nothing_of_others_is_written_through() {
    use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
    if !rustix::process::geteuid().is_root() {
        return; // only root can make what is another user's
    }
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    for folder in ["shared/theirs/deeper", "shared/mine", "private"] {
        std::fs::create_dir_all(at(folder)).unwrap();
    }
    std::fs::write(at("shared/file"), "old").unwrap();
    symlink(at("private"), at("shared/link")).unwrap();
    symlink("shared/link", at("chain")).unwrap();
    symlink(at("private"), at("fine")).unwrap();
    for name in ["shared/file", "shared/theirs", "shared/link"] {
        lchown(at(name), Some(65_534), None).unwrap();
    }
    let put = |script: Script, name: &str| {
        let path = format!("={}", at(name).display());
        let text = shorten(&script.readable());
        let file = sent(b"new");
        let (arguments, input): (&[&str], &[u8]) = match script {
            Script::PutFile => (&[&path, "-", "", "-", "-", "-"], &file),
            _ => (&[&path, "no", "=x"], b"none\n"),
        };
        ran(&["sh"], &text, arguments, input).1
    };
    for mode in [0o1770, 0o1777, 0o755] {
        std::fs::set_permissions(at("shared"), std::fs::Permissions::from_mode(mode)).unwrap();
        let is_shared = mode != 0o755;
        for name in
            ["shared/file", "shared/theirs/new", "shared/theirs/deeper/new", "shared/link/new", "chain/new"]
        {
            let said = put(Script::PutFile, name);
            assert_eq!(said.ends_with("mark E planted"), is_shared, "{name} {mode:o}: {said}");
        }
        for name in ["shared/theirs", "shared/theirs/deeper", "shared/link", "chain", "chain/folder"] {
            let said = put(Script::PutFolder, name);
            assert_eq!(said.ends_with("mark E planted"), is_shared, "{name} {mode:o}: {said}");
        }
        for name in ["shared/mine/new", "fine/new", "shared/../fine/./new"] {
            assert!(put(Script::PutFile, name).ends_with("mark ok"), "{name} {mode:o}");
        }
        assert_eq!(std::fs::read(at("shared/file")).unwrap(), if is_shared { b"old" } else { b"new" });
    }
}

/// A link that others create just after its name was judged is not followed.
#[cfg(unix)]
#[test]
fn a_link_that_comes_meanwhile_is_not_followed() {
    for (script, judged, leads, wanted) in [
        (Script::PutFile, "refuse_way \"$to_path\"\n", "file", "mark E taken"),
        (Script::PutFile, "refuse_way \"$to_path\"\n", "old", "mark E taken"),
        (Script::PutFolder, "refuse_way \"$to_folder\"\n", "old", "mark E file"),
    ] {
        let plain = script.readable();
        assert_eq!(plain.matches(judged).count(), 1, "{script:?}");
        let late = format!("{judged}ln -s \"$HOME/{leads}\" \"$HOME/new\"\n");
        let file = sent(b"ours");
        let (arguments, input): (&[&str], &[u8]) = match script {
            Script::PutFile => (&["~=new", "-", "", "-", "-", "-"], &file),
            _ => (&["~=new", "no", "=x"], b"none\n"),
        };
        let (status, said, tree) = ran(&["sh"], &plain.replacen(judged, &late, 1), arguments, input);
        assert_eq!((status, said.as_str()), (1, wanted), "{script:?} {leads}");
        assert!(tree.contains(&("file".to_owned(), "file".to_owned())), "{tree:?}");
    }
}

/// What the search script says in a folder with these files, each with its content.
#[cfg(unix)]
fn searched(files: &[(&str, &str)], path: &str, arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let file = home.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    // The relative entries lead to a checkout's programs.
    let programs = format!(".::./x:{}:{}", home.path().join("bin").display(), std::env::var("PATH").unwrap());
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", &shorten(&Script::Search.readable()), "sh", "m", "ark", path]).args(arguments);
    let output = sh.current_dir(home.path()).env("HOME", home.path()).env("PATH", programs).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(unix)]
#[test]
fn ripgrep_looks_where_grep_looks() {
    let rg = ("bin/rg", "#!/bin/sh\necho \"$*\" | tr '\\n' '~'\n");
    let said = searched(&[rg], "~=.", &["lines", "=x", "=*.rs", "lines", "", "0", "9"]);
    let asked = said.lines().find(|line| !line.starts_with("mark ")).unwrap();
    assert_eq!(said.lines().next(), Some("mark T rg folder"));
    // The last glob that fits is the one that counts.
    assert!(asked.contains(" --hidden ") && asked.starts_with("--no-config "), "{asked}");
    assert!(asked.contains(" -g *.rs -g !*~* -g !.git -- .~"), "{asked}");
}

#[cfg(unix)]
#[test]
fn files_without_hits_take_no_place() {
    let mut files = (0..30).map(|n| (format!("no-{n}"), "no\n")).collect::<Vec<_>>();
    files.extend([
        ("one".to_owned(), "hit\n"),
        ("two".to_owned(), "hit\nhit\n"),
        ("x:0".to_owned(), "hit\n"),
        ("grep".to_owned(), "#!/bin/sh\necho ran >&2; echo planted\n"),
        ("cut".to_owned(), "#!/bin/sh\necho planted\n"),
    ]);
    let files = files.iter().map(|(name, content)| (name.as_str(), *content)).collect::<Vec<_>>();
    let said = searched(&files, "~=.", &["lines", "=hit", "=", "count", "", "0", "3"]);
    let mut counts = said.lines().filter(|line| !line.starts_with("mark ")).collect::<Vec<_>>();
    counts.sort_unstable();
    assert_eq!(counts, ["./one\x001", "./two\x002", "./x:0\x001"], "{said}");
    let one = searched(&files, "~=./two", &["lines", "=hit", "=", "lines", "", "0", "3"]);
    assert!(one.starts_with("mark T grep file\n"), "{one}");
}

#[cfg(unix)]
#[test]
fn readable_and_short_scripts_agree() {
    let content = b"new content";
    let sent = sent(content);
    let line = format!("mark word {} new content\\0012\n", crate::sys::digest::sha256(b"new content\n"));
    let (line, half) = (line.as_bytes(), &line.as_bytes()[..line.len() - 1]);
    let cases: [(Script, &[&str], &[u8]); 17] = [
        (Script::PutFile, &["~=new/one", "022", "600", "1000000000.5", "-", "-"], &sent),
        (Script::PutFile, &["~=file", "-", "-", "-", "-", "-"], &sent),
        (Script::PutFile, &["~%old", "-", "", "-", "=in\\0040to", "-"], &sent),
        (Script::PutFile, &["~=old", "-", "", "-", "-", "-"], &sent),
        (Script::PutFile, &["~=file", "022", "", "1000000000.5", "-", "-", "line"], line),
        (Script::PutFile, &["~=cut", "-", "", "-", "-", "-", "line"], half),
        (Script::PutFile, &["~=cut", "-", "", "-", "-", "-", "line"], b"other word x y\n"),
        (Script::PutFile, &["~=cut", "-", "", "-", "-", "-"], content),
        (Script::Get, &["=old/a b", "no", "yes", "-", "-", "-"], b""),
        (Script::Get, &["=./-odd", "no", "no", "c", "2", "1"], b""),
        (Script::Get, &["=old", "no", "no", "-", "-", "-"], b""),
        (Script::Get, &["=old", "yes", "no", "-", "-", "-"], b""),
        (Script::Get, &["=missing", "yes", "no", "-", "-", "-"], b""),
        (Script::PutFolder, &["~=old", "no", "=a b", "=none"], b"none\n"),
        (Script::PutFolder, &["~=new", "no", "=x"], b"mark 1024\n"),
        (Script::Search, &["~=old", "entries"], b""),
        (Script::Search, &["~=old", "lines", "=a", "=", "lines", "", "0", "1"], b""),
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
