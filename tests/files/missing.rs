//! What cannot be read, or goes away, in a folder that is sent or fetched: the rest arrives, and the report says what did not.

use super::*;

/// `command` by a user who may read only what its mode lets them, whoever runs the tests.
fn bound_by_modes(command: &Command) -> CommandOutput {
    if !rustix::process::geteuid().is_root() {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return in_place_of(same, command);
    }
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--inh-caps=-all", "--bounding-set=-all", "--"]);
    setpriv.arg(command.get_program()).args(command.get_args());
    in_place_of(setpriv, command)
}

fn in_place_of(mut wrapper: Command, command: &Command) -> CommandOutput {
    wrapper.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    CommandOutput::of(wrapper.stdin(Stdio::null()).output().unwrap())
}

fn closed(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

#[test]
fn put_leaves_out_a_file_it_may_not_read() {
    for world in World::each() {
        let world = world.connected();
        let local = world.home().join("d");
        fs::create_dir_all(local.join("sub")).unwrap();
        for name in ["a", "secret", "sub/too", "sub/z"] {
            fs::write(local.join(name), name).unwrap();
        }
        closed(&local.join("secret"));
        closed(&local.join("sub/too"));
        for round in ["new", "merged"] {
            fs::write(local.join("a"), round).unwrap();
            let put = bound_by_modes(&world.command(&["put", "d", "d", "--json"]));
            assert_eq!(put.status, 1, "{put:?}");
            let report = put.json();
            assert_eq!(report["unread"]["count"], 2, "{report}");
            assert!(
                report["unread"]["named"].to_string().contains("/d/secret (permission denied)"),
                "{report}"
            );
            assert_eq!(fs::read_to_string(world.workspace().join("d/a")).unwrap(), round);
            assert!(
                world.workspace().join("d/sub/z").exists() && !world.workspace().join("d/secret").exists()
            );
        }
        // A file that was named itself is no part of anything.
        bound_by_modes(&world.command(&["put", "d/a", "d/secret", "two/", "--json"])).fails_as("io", 1);
        assert!(!world.workspace().join("two").exists());
    }
}

/// Between the look at the folder and the turn of each file, the workspace's `find` changes them.
#[test]
fn put_sends_the_rest_of_a_folder_that_changes() {
    let Some((world, own)) = with_programs() else { return };
    let local = world.home().join("d");
    fs::create_dir(&local).unwrap();
    fs::create_dir(world.workspace().join("d")).unwrap();
    for name in ["a", "gone \u{e9}\n", "short", "other", "z"] {
        fs::write(local.join(name), "1234567").unwrap();
    }
    fs::write(world.workspace().join("d/short"), "old").unwrap();
    let change = "rm gone* other; mkdir other; echo 1 >short";
    let find = ["/usr/bin/find", "/bin/find"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    let script = format!("(cd '{}' && {change}) 2>/dev/null\nexec {find} \"$@\"", local.display());
    program(&own, "find", &script);
    let put = world.run(&["put", "d", "d", "--json"]);
    let report = put.json();
    assert_eq!((put.status, &report["files"], &report["bytes"]), (1, &2.into(), &14.into()), "{report}");
    assert_eq!(
        (&report["unread"]["count"], &report["vanished"]["count"]),
        (&2.into(), &1.into()),
        "{report}"
    );
    let there = described(&world.workspace().join("d"));
    let contents = there.iter().map(|(name, _, _, content)| (name.to_str().unwrap(), &content[..]));
    let wanted: [(&str, &[u8]); 3] = [("a", b"1234567"), ("short", b"old"), ("z", b"1234567")];
    assert!(contents.eq(wanted), "{there:?}");
}

#[test]
fn get_names_what_the_login_may_not_read() {
    let Some(world) = with_login("", "setpriv --inh-caps=-all --bounding-set=-all sh") else { return };
    if Command::new("setpriv").arg("--version").output().is_err() {
        return;
    }
    let there = world.workspace().join("g");
    fs::create_dir_all(there.join("sub")).unwrap();
    for name in ["a", "secret", "sub/too", "z"] {
        fs::write(there.join(name), name).unwrap();
    }
    closed(&there.join("secret"));
    closed(&there.join("sub"));
    for folder in ["new", "new"] {
        let get = world.run(&["get", "g", "--out", folder, "--json"]);
        let report = get.json();
        assert_eq!((get.status, &report["unread"]["count"]), (1, &2.into()), "{report}");
        let named = report["unread"]["named"].to_string();
        assert!(named.contains("\"secret (permission denied)") && named.contains("sub"), "{named}");
        assert_eq!(fs::read_to_string(world.home().join("new/z")).unwrap(), "z");
        assert!(!world.home().join("new/secret").exists());
    }
    world.run(&["get", "g/secret", "--out", "x", "--json"]).fails_as("io", 1);
    world.run(&["get", "g/sub", "--out", "x", "--json"]).fails_as("io", 1);
    assert!(!world.home().join("x").exists());
}
