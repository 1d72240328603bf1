//! Where runcode keeps its files: odd folders, odd masks, odd names.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::{in_shell, names, program, skipped, wrapped};
use crate::support::{CommandOutput, World};

fn with_cache(world: &World, cache: &Path, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(world.command(arguments).env("XDG_CACHE_HOME", cache).output().unwrap())
}

/// Every file and folder below `folder` that others may read, or that is not as private as it should be.
fn too_open(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let metadata = std::fs::symlink_metadata(entry.path()).unwrap();
        let mode = metadata.mode() & 0o7777;
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        if mode != wanted {
            found.push(format!("{} {mode:o}", entry.path().display()));
        }
        if metadata.is_dir() {
            found.extend(too_open(&entry.path()));
        }
    }
    found
}

#[test]
fn modes_are_right_under_any_umask() {
    for mask in ["000", "077", "022", "0277"] {
        let world = World::new();
        let script = format!("umask {mask}; exec \"$@\"");
        CommandOutput::of(in_shell(&script, &world.command(&["connect", "1"])).output().unwrap()).succeeds();
        CommandOutput::of(in_shell(&script, &world.command(&["exec", "--", "true"])).output().unwrap())
            .succeeds();
        let token = world.home().join("t");
        std::fs::write(&token, world.plane().token()).unwrap();
        let script = format!("umask {mask}; exec \"$@\" < '{}'", token.display());
        CommandOutput::of(in_shell(&script, &world.command(&["login", "--paste"])).output().unwrap())
            .succeeds();
        assert_eq!(too_open(&world.cache("")), Vec::<String>::new(), "umask {mask}");
        assert_eq!(too_open(&world.home().join(".config/runcode")), Vec::<String>::new(), "umask {mask}");
        for folder in [world.cache(""), world.home().join(".config/runcode")] {
            assert_eq!(std::fs::metadata(folder).unwrap().mode() & 0o777, 0o700, "umask {mask}");
        }
    }
}

#[test]
fn the_cache_is_made_private_or_refused() {
    let world = World::new();
    let base = world.home().join("x");
    std::fs::create_dir(&base).unwrap();
    let fresh = |name: &str| {
        let cache = base.join(name);
        std::fs::create_dir(&cache).unwrap();
        cache
    };
    let file = fresh("file");
    std::fs::write(file.join("runcode"), "mine").unwrap();
    with_cache(&world, &file, &["connect", "1", "--json"]).fails_as("io", 1);
    with_cache(&world, &file, &["exec", "--json", "--", "true"]).fails_as("io", 255);
    let quiet = with_cache(&world, &file, &["statusline"]).succeeds();
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{quiet:?}");
    with_cache(&world, &file, &["doctor", "--json"]).ends_with(1).json();
    assert_eq!(std::fs::read(file.join("runcode")).unwrap(), b"mine");
    let dangling = fresh("dangling");
    symlink("nowhere", dangling.join("runcode")).unwrap();
    with_cache(&world, &dangling, &["connect", "1", "--json"]).fails_as("io", 1);
    let (open, target) = (fresh("open-link"), base.join("open"));
    std::fs::create_dir(&target).unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink(&target, open.join("runcode")).unwrap();
    with_cache(&world, &open, &["connect", "1", "--json"]).fails_as("io", 1);
    assert_eq!(names(&target), Vec::<String>::new());
    // A link to a private folder of the user's own is the user's wish; an open folder of theirs is closed.
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(with_cache(&world, &open, &["run", "1", "--", "echo hi"]).succeeds().text(), "hi\n");
    with_cache(&world, &open, &["clean", "--all"]).succeeds();
    let loose = fresh("loose");
    std::fs::create_dir(loose.join("runcode")).unwrap();
    std::fs::set_permissions(loose.join("runcode"), std::fs::Permissions::from_mode(0o777)).unwrap();
    with_cache(&world, &loose, &["connect", "1", "--json"]).succeeds();
    assert_eq!(std::fs::metadata(loose.join("runcode")).unwrap().mode() & 0o777, 0o700);
    with_cache(&world, &loose, &["clean", "--all"]).succeeds();
}

/// A session folder that is a link leads out of the cache: nothing behind it is read, moved or removed.
#[test]
fn a_linked_session_folder_is_never_followed() {
    let world = World::new().connected();
    let outside = world.home().join("outside");
    for folder in ["pending", ".stage-mine"] {
        std::fs::create_dir_all(outside.join(folder)).unwrap();
        std::fs::write(outside.join(folder).join("precious"), "x").unwrap();
    }
    symlink(&outside, world.cache("ws-9")).unwrap();
    world.run(&["status"]).succeeds();
    world.run(&["connect", "9", "--json"]);
    world.run(&["clean", "--all"]).succeeds();
    assert_eq!(names(&outside), [".stage-mine", "pending"]);
    assert!(outside.join("pending/precious").exists() && outside.join(".stage-mine/precious").exists());
    assert!(std::fs::symlink_metadata(world.cache("ws-9")).is_err());
    // One that leads to a whole session is none either.
    world.run(&["connect", "1"]).succeeds();
    std::fs::rename(world.cache("ws-1"), world.home().join("moved")).unwrap();
    symlink(world.home().join("moved"), world.cache("ws-1")).unwrap();
    let said = world.run(&["connect", "1", "--json"]).fails_as("io", 1);
    assert!(said.json()["message"].as_str().unwrap().contains("link"), "{said:?}");
    world.run(&["clean", "1"]).succeeds();
    assert!(world.home().join("moved/id_ed25519").exists());
}

/// Whatever is wrong with a session's files, the next command has a session, and `clean` gets rid of it.
#[test]
fn damaged_sessions_are_rebuilt_or_removed() {
    let world = World::new().connected();
    let files = ["id_ed25519", "id_ed25519.pub", "known_hosts", "config", "meta.json"];
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let damages: [Damage<'_>; 4] = [
        ("gone", &|path| std::fs::remove_file(path).unwrap()),
        ("empty", &|path| std::fs::write(path, "").unwrap()),
        ("garbage", &|path| std::fs::write(path, [0xff; 4096]).unwrap()),
        ("cut", &|path| {
            let content = std::fs::read(path).unwrap();
            std::fs::write(path, &content[..content.len() / 2]).unwrap();
        }),
    ];
    for (name, damage) in damages {
        for file in files {
            world.run(&["exec", "--", "true"]).succeeds();
            // Without its connection, so that the files are what counts.
            let _ = Command::new("ssh")
                .arg("-F")
                .arg(world.cache("ws-1/config"))
                .args(["-O", "exit", "runcode-box"])
                .output();
            damage(&world.cache("ws-1").join(file));
            assert_eq!(world.run(&["exec", "--", "echo hi"]).succeeds().text(), "hi\n", "{file} {name}");
        }
    }
    std::fs::write(world.cache("ws-1/meta.json"), "x".repeat(1 << 20)).unwrap();
    world.run(&["clean", "1"]).succeeds();
    assert!(!world.cache("ws-1").exists());
}

/// Every file that is created is new (`O_EXCL`) with a random name in the folder it is for, or opened without following
/// a link.
#[test]
fn temporary_names_are_random_and_exclusive() {
    if program("strace").is_none() {
        return skipped("temporary names", "there is no strace");
    }
    let world = World::new();
    let opened = || {
        let trace = world.home().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-e", "trace=openat,open,creat", "-o"]).arg(&trace).arg("--");
        CommandOutput::of(wrapped(strace, &world.command(&["connect", "1", "--force"])).output().unwrap())
            .succeeds();
        let text = std::fs::read_to_string(&trace).unwrap();
        let created =
            text.lines().filter(|line| line.contains("O_CREAT") && !line.contains("= -1")).map(str::to_owned);
        created.collect::<Vec<_>>()
    };
    let (first, second) = (opened(), opened());
    assert!(first.len() >= 6, "{first:?}");
    for line in first.iter().chain(&second) {
        assert!(line.contains("O_EXCL") || line.contains("O_NOFOLLOW"), "{line}");
        assert!(line.contains(&*world.home().to_string_lossy()), "{line}");
    }
    let name = |line: &String| line.split('"').nth(1).unwrap().to_owned();
    let exclusive =
        |lines: &[String]| lines.iter().filter(|line| line.contains("O_EXCL")).map(name).collect::<Vec<_>>();
    assert!(exclusive(&first).iter().all(|name| !exclusive(&second).contains(name)), "a name came twice");
}

/// Home folders of every kind of name, with plain `ssh` as the judge: it has to connect with the config as it stands.
#[test]
fn plain_ssh_works_from_homes_of_any_name() {
    let world = World::new();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let pieces = [
        " ", "%", "%h", "\"", "'", "\\", "#", "$x", "$", "~", "*", "?", "é", "日", "=", ",", ";", "!", "-",
        "a", "%%", "\\\"", "(", "&", "[", "%{",
    ];
    for round in 0..10 {
        let mut name = String::new();
        for _ in 0..=round % 6 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            name.push_str(pieces[usize::try_from(seed % pieces.len() as u64).unwrap()]);
        }
        let home = world.home().join(format!("h{name}"));
        std::fs::create_dir_all(&home).unwrap();
        let here = |arguments: &[&str]| {
            CommandOutput::of(world.command(arguments).env("HOME", &home).output().unwrap())
        };
        let report = here(&["connect", "1", "--json"]).succeeds().json();
        let words = report["command"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect::<Vec<_>>();
        for options in [&[][..], &["-o", "ControlPath=none"]] {
            let mut ssh = Command::new(&words[0]);
            ssh.args(options).args(&words[1..]).arg("echo plain");
            assert_eq!(CommandOutput::of(ssh.output().unwrap()).succeeds().text(), "plain\n", "{name:?}");
        }
        let socket = here(&["status", "--json"]).succeeds().json()[0]["connected"].clone();
        assert_eq!(socket, true, "{name:?}: no connection is shared");
        here(&["disconnect"]).succeeds();
    }
}
