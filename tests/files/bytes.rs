//! Names, bytes, login shells.

use super::*;

#[test]
fn every_name_and_byte_survives() {
    for world in World::each() {
        let world = world.connected();
        round_trip(&world, &odd_names(), &(0..=255).collect::<Vec<u8>>());
        for length in [0, 1, 12_288, 12_289, 300_000, 3_000_000] {
            round_trip(&world, &["a b".into()], &noise(length));
            let content = noise(length);
            let sent = world.run_with(&["write", "w/x", "--json"], &content).succeeds().json();
            assert_eq!((sent["bytes"].as_u64(), sent["files"].as_u64()), (Some(length as u64), Some(1)));
            assert_eq!(sent["sha256"].as_str().unwrap().len(), 64);
            assert!(fs::read(world.workspace().join("w/x")).unwrap() == content);
        }
    }
}

#[test]
fn files_survive_noisy_login_shells() {
    for shell in ["bash", "dash", "zsh", "fish", "tcsh", "busybox sh", "mksh", "yash", "ksh93"] {
        let program = shell.split(' ').next().unwrap();
        if !["/bin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists()) {
            eprintln!("SKIPPED: there is no {program}");
            continue;
        }
        // Where it can be, it is the workspace's `sh` as well. yash has no name for a byte that its locale knows no character for;
        // of ksh93, see below.
        let setup = match shell {
            "fish" | "tcsh" | "yash" | "ksh93" => String::new(),
            _ => {
                format!("mkdir -p as; ln -sf $(command -v {program}) as/sh; PATH=$PWD/as:$PATH; export PATH;")
            }
        };
        let Some(world) = with_login(&setup, shell) else { return };
        round_trip(&world, &odd_names(), b"a\nb\0c'\\!\xff");
        round_trip(&world, &["big".into()], &noise(1_500_000));
        tree_round_trip(&world);
        let context = world.run(&["context", "--json"]).succeeds().json();
        assert_eq!(context["cwd"].as_str().map(Path::new), Some(world.workspace().as_path()), "{shell}");
    }
}

/// ksh93 makes its pipes of sockets, which Linux opens for nobody a second time: no folder can travel through them.
#[test]
fn socket_pipes_get_folders_file_by_file() {
    if !Path::new("/bin/ksh93").exists() && !Path::new("/usr/bin/ksh93").exists() {
        return eprintln!("SKIPPED: there is no ksh93");
    }
    let setup = "mkdir -p as; ln -sf $(command -v ksh93) as/sh; PATH=$PWD/as:$PATH; export PATH;";
    let Some(world) = with_login(setup, "ksh93") else { return };
    let tree = world.home().join("tree");
    fs::create_dir_all(tree.join("in")).unwrap();
    fs::write(tree.join("in/a b"), "one").unwrap();
    fs::write(tree.join("top"), "two").unwrap();
    let sent = world.run(&["put", "tree", "tree", "--json"]).succeeds().json();
    assert_eq!((&sent["files"], &sent["bytes"]), (&serde_json::json!(2), &serde_json::json!(6)), "{sent}");
    let there = world.workspace().join("tree");
    assert_eq!(fs::read_to_string(there.join("in/a b")).unwrap(), "one");
    world.run(&["get", "tree", "--out", "back", "--json"]).fails_as("unavailable", 2);
    assert!(!world.home().join("back").exists());
    round_trip(&world, &odd_names(), b"a\nb\0c'\\!\xff");
}

/// A workspace with nothing but busybox: no find -printf, no openssl, no GNU tar.
#[test]
fn busybox_is_enough_for_files() {
    if !Path::new("/usr/bin/busybox").exists() && !Path::new("/bin/busybox").exists() {
        return eprintln!("SKIPPED: there is no busybox");
    }
    let setup = "mkdir -p applets; busybox --install -s applets; PATH=$PWD/applets; export PATH;";
    let Some(world) = with_login(setup, "sh") else { return };
    // Some builds prefer their own applets to programs, and name no file for them.
    assert!(world.run(&["exec", "tar --help 2>&1"]).succeeds().text().contains("BusyBox"));
    round_trip(&world, &odd_names(), b"x\n");
    round_trip(&world, &["big".into()], &noise(1_500_000));
    tree_round_trip(&world);
}

#[test]
fn get_to_a_dash_writes_to_stdout() {
    for world in World::each() {
        let world = world.connected();
        for length in [0, 3, 1_200_000] {
            let content = noise(length);
            fs::write(world.workspace().join("x"), &content).unwrap();
            for arguments in [&["get", "x", "--out", "-"][..], &["get", "x", "-o", "-"], &["get", "x"]] {
                let got = world.run(arguments).succeeds();
                assert!(got.stdout == content && got.stderr.is_empty(), "{arguments:?} {}", got.stderr);
            }
            let got = world.run(&["get", "x", "--out", "-", "--json"]).succeeds();
            assert!(got.stdout == content);
            let report: serde_json::Value = serde_json::from_str(&got.stderr).unwrap();
            assert_eq!(report["bytes"].as_u64(), Some(length as u64));
        }
        assert!(!world.home().join("-").exists());
        world.run(&["get", "x", "x", "--out", "-", "--json"]).fails_as("usage", 2);
        let several = world.run(&["get", "x", "y", "--json"]).fails_as("usage", 2).json();
        assert!(several["hint"].as_str().unwrap().contains("--out y"), "{several}");
        world.run(&["get", "missing", "--out", "-", "--json"]).fails_as("not_found", 2);
    }
}

/// A terminal is asked for its input, and told so; a pipe is not.
#[test]
fn write_says_how_to_end_typed_input() {
    let world = World::new().connected();
    let binary = env!("CARGO_BIN_EXE_runcode");
    if !Path::new("/usr/bin/script").exists() {
        return eprintln!("SKIPPED: there is no script(1)");
    }
    let typed = world.command(&[""; 0]);
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{binary}' write typed"), "/dev/null"]).current_dir(world.home());
    script.env_clear().envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("Ctrl-D ends") {
        let mut chunk = [0; 256];
        let read = std::io::Read::read(&mut stdout, &mut chunk).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&chunk[..read]);
    }
    stdin.write_all(b"a line\n\x04").unwrap();
    std::io::Read::read_to_end(&mut stdout, &mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read(world.workspace().join("typed")).unwrap(), b"a line\n");
    let piped = world.run_with(&["write", "piped"], b"x").succeeds();
    assert_eq!(piped.stderr, "");
}
