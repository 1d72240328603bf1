//! A workspace that says nothing, or that never stops; a pipe that nobody writes to.

use super::*;

/// What a command with little patience says.
fn impatient(world: &World, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(world.command(arguments).env("RUNCODE_PATIENCE", "1").output().unwrap())
}

#[test]
fn a_silent_workspace_is_given_up() {
    let Some((world, odd)) = with_programs() else { return };
    fs::create_dir_all(world.home().join("tree")).unwrap();
    for name in ["tree/file", "big", "victim"] {
        fs::write(world.home().join(name), noise(300_000)).unwrap();
        fs::create_dir_all(world.workspace().join("tree")).unwrap();
        fs::write(world.workspace().join(name), noise(300_000)).unwrap();
    }
    for (program_name, arguments) in [
        ("cat", &["get", "big", "--out", "victim", "--json"][..]),
        ("tar", &["get", "tree", "--out", "new", "--json"]),
        ("cat", &["put", "big", "victim", "--json"]),
        ("tar", &["put", "tree", "new", "--json"]),
        ("find", &["put", "tree", "tree", "--json"]),
    ] {
        program(&odd, program_name, "exec sleep 600");
        let before = fs::read(world.home().join("victim")).unwrap();
        impatient(&world, arguments).fails_as("timed_out", 1);
        assert_eq!(fs::read(world.home().join("victim")).unwrap(), before);
        assert!(!world.home().join("new").exists() && !world.workspace().join("new").exists());
        fs::remove_file(odd.join(program_name)).unwrap();
        until("all is cleared up", || litter(world.home()).is_empty());
    }
}

/// Whoever writes to us, or reads what comes, may take all the time that there is.
#[test]
fn a_slow_user_is_waited_for() {
    for world in World::each() {
        let world = world.connected();
        let mut child =
            world.command(&["write", "slow"]).env("RUNCODE_PATIENCE", "1").stdin(Stdio::piped()).spawn();
        let child = child.as_mut().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&noise(100_000)).unwrap();
        until("a part has arrived", || !litter(&world.workspace()).is_empty());
        std::thread::sleep(Duration::from_millis(3500)); // the time that is the user's
        stdin.write_all(b"end").unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
        assert_eq!(fs::metadata(world.workspace().join("slow")).unwrap().len(), 100_003);
    }
}

/// Writes an archive without end, whose member `i` is `member`; says in `own/count` how many it has written.
fn endless(member: &str) -> String {
    format!(
        r#"
import os, sys
def block(kind, name, link, size):
    b = bytearray(512)
    b[:len(name)] = name; b[100:107] = b"0000755"; b[124:135] = b"%011o" % size; b[136:147] = b"0" * 11
    b[148:156] = b" " * 8; b[156:157] = kind; b[157:157 + len(link)] = link; b[257:265] = b"ustar  \0"
    b[148:155] = b"%06o\0" % sum(b)
    return bytes(b)
def long(kind, text):
    return block(kind, b"././@LongLink", b"", len(text) + 1) + text + bytes(512 - len(text) % 512) if len(text) > 99 else b""
def member(kind, name, link=b""):
    return long(b"K", link) + long(b"L", name) + block(kind, name[:99], link[:99], 0)
out = open(1, "wb")
out.write(member(b"5", b"."))
i = 0
while True:
    out.write({member})
    i += 1
    if i % 100 == 0:
        with open(os.environ["HOME"] + "/own/count", "w") as f: f.write(str(i))
"#
    )
}

#[test]
fn links_without_end_take_little_memory() {
    let Some((world, odd)) = with_programs() else { return };
    fs::create_dir(world.workspace().join("d")).unwrap();
    program(&odd, "tar", "exec python3 \"$HOME/own/endless.py\"");
    // A target that no system takes.
    fs::write(odd.join("endless.py"), endless(r#"member(b"2", b"n%d" % i, b"x" * 65000)"#)).unwrap();
    world.run(&["get", "d", "--out", "got", "--json"]).fails_as("io", 1);
    for member in [
        r#"member(b"2", b"n%d" % i, b"x" * 4000)"#,
        r#"member(b"2", b"n%d" % i, b"/etc/" + b"x" * 4000)"#,
        r#"member(b"5", b"n%d/" % i + b"d" * 240 + b"/" + b"e" * 240)"#,
        r#"member(b"1" if i else b"0", (b"%d-" % i + b"h" * 240)[:240], (b"0-" + b"h" * 240)[:240])"#,
    ] {
        fs::write(odd.join("endless.py"), endless(member)).unwrap();
        let _ = fs::remove_file(odd.join("count"));
        let mut child = world.command(&["get", "d", "--out", "got"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut resident_at = |wanted: u32| {
            until("much of it has come", || {
                assert!(child.try_wait().unwrap().is_none(), "{member}");
                let count = fs::read_to_string(odd.join("count")).unwrap_or_default();
                count.parse::<u32>().unwrap_or(0) >= wanted
            });
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            resident.trim().trim_end_matches(" kB").parse::<u32>().unwrap()
        };
        let (early, late) = (resident_at(500), resident_at(2000));
        signal(child.id().cast_signed(), "INT");
        child.wait().unwrap();
        assert!(late < 32 * 1024 && late < early + 800, "{member}: {early} KiB, then {late} KiB");
        assert!(!world.home().join("got").exists());
    }
}

#[test]
fn a_pipe_or_a_device_is_not_sent() {
    let world = World::new().connected();
    fs::create_dir(world.home().join("tree")).unwrap();
    fs::write(world.home().join("a"), "a").unwrap();
    for pipe in ["pipe", "tree/pipe"] {
        assert!(Command::new("mkfifo").arg(world.home().join(pipe)).status().unwrap().success());
    }
    symlink("pipe", world.home().join("link")).unwrap();
    for arguments in [
        &["put", "pipe", "x"][..],
        &["put", "link", "x"],
        &["put", "/dev/zero", "x"],
        &["put", "a", "pipe", "x/"],
        &["write", "x", "--file", "pipe"],
    ] {
        let said = world.run(&[arguments, &["--json"]].concat()).fails_as("io", 1).json();
        assert!(said["message"].as_str().unwrap().contains("neither a file nor a folder"), "{said}");
    }
    assert_eq!(world.run(&["put", "tree", "tree", "--json"]).succeeds().json()["skipped"], 1);
    let mut child = world.command(&["put", "/dev/stdin", "x"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a stream").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read(world.workspace().join("x")).unwrap(), b"from a stream");
}
