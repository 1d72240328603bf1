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
fn every_login_shell_and_its_noise() {
    for shell in ["bash", "dash", "zsh", "fish", "tcsh", "busybox sh", "mksh", "yash"] {
        let program = shell.split(' ').next().unwrap();
        if !["/bin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists()) {
            eprintln!("SKIPPED: there is no {program}");
            continue;
        }
        let Some(world) = with_login("", shell) else { return };
        round_trip(&world, &odd_names(), b"a\nb\0c'\\!\xff");
        round_trip(&world, &["big".into()], &noise(1_500_000));
        tree_round_trip(&world);
        let context = world.run(&["context", "--json"]).succeeds().json();
        assert_eq!(context["cwd"].as_str().map(Path::new), Some(world.workspace().as_path()), "{shell}");
    }
}

/// A box with nothing but busybox: no find -printf, no openssl, no GNU tar.
#[test]
fn busybox_is_enough() {
    if !Path::new("/usr/bin/busybox").exists() && !Path::new("/bin/busybox").exists() {
        return eprintln!("SKIPPED: there is no busybox");
    }
    let setup = "mkdir -p applets; busybox --install -s applets; PATH=$PWD/applets; export PATH;";
    let Some(world) = with_login(setup, "sh") else { return };
    assert_eq!(
        world.run(&["exec", "readlink $(command -v tar)"]).succeeds().text().trim().rsplit('/').next(),
        Some("busybox")
    );
    round_trip(&world, &odd_names(), b"x\n");
    round_trip(&world, &["big".into()], &noise(1_500_000));
    tree_round_trip(&world);
}
