//! What another user of the target machine puts under a name where everybody may create files.

use super::swapped::{OTHER, is_unharmed, mode, neighbour, set_mode, shared};
use super::*;

/// What they create in place of a new folder while it is sent: a folder of theirs, and links.
#[test]
fn a_folder_made_meanwhile_gets_nothing() {
    let Some((world, own)) = shared() else { return };
    let d = world.workspace().join("d");
    let theirs = format!("chown -h {OTHER}:{OTHER} \"$HOME/box/d/new\"");
    let link = "ln -s \"$HOME/box/victim\" \"$HOME/box/d/new\"";
    let mut deeds = vec![(link.to_owned(), "io")];
    if rustix::process::geteuid().is_root() {
        deeds.push((format!("mkdir -m 777 \"$HOME/box/d/new\"; {theirs}"), "conflict"));
        deeds.push((format!("mkdir -p -m 777 \"$HOME/box/d/new/sub\"; {theirs}"), "conflict"));
        deeds.push((format!("{link}; {theirs}"), "conflict"));
    }
    for (deed, code) in &deeds {
        for (moment, command) in [
            ("sha256sum", &["put", "src", "d/new", "--json"][..]),
            ("tar", &["put", "src", "d/new", "--json"]),
            ("tar", &["put", "src/a", "src/sub", "d/new", "--json"]),
        ] {
            set_mode(&d, 0o1777);
            neighbour(&own, moment, &deed.replace("mkdir", "command -p mkdir"));
            world.run(command).fails_as(code, if *code == "io" { 1 } else { 2 });
            assert!(world.home().join("done").exists(), "{deed}");
            is_unharmed(&world, deed);
            let new = d.join("new");
            if !new.is_symlink() {
                assert!(!new.join("a").exists() && !new.join("sub/b").exists(), "{deed} {moment}");
            }
            fs::remove_dir_all(&d).unwrap();
            fs::create_dir(&d).unwrap();
            fs::remove_file(world.home().join("done")).unwrap();
            fs::remove_file(own.join(moment)).unwrap();
        }
    }
    assert_eq!(litter(&world.workspace()), Vec::<PathBuf>::new());
    // A folder of our own is merged into, whatever is in it by now.
    set_mode(&d, 0o1777);
    neighbour(&own, "tar", "command -p mkdir -p \"$HOME/box/d/new/sub\"; echo x >\"$HOME/box/d/new/sub/x\"");
    world.run(&["put", "src", "d/new", "--json"]).succeeds();
    assert_eq!(fs::read_to_string(d.join("new/sub/b")).unwrap(), "src/sub/b");
    assert!(d.join("new/sub/x").exists() && d.join("new/a").exists());
    assert_eq!((litter(&world.workspace()), mode(&d)), (Vec::new(), 0o1777));
}

/// Where `mv` has no `-T`: what they create in the very moment before a file or folder goes into place.
#[test]
fn an_old_mv_goes_into_no_folder() {
    let Some((world, own)) = shared() else { return };
    let d = world.workspace().join("d");
    if !rustix::process::geteuid().is_root() {
        return; // nobody else could create it
    }
    let deed = |name: &str| {
        format!(
            "case $1 in -fT) exit 1 ;; esac\nfor last do :; done\ncase $last in ../*)\n\
             [ -e \"$HOME/done\" ] || {{ mkdir -p \"$HOME/box/d/{name}/x\"; chown {OTHER} \"$HOME/box/d/{name}\"; echo >\"$HOME/done\"; }} ;;\n\
             esac\nPATH=${{PATH#*:}}\nexec mv \"$@\""
        )
    };
    for (name, code, command) in [
        ("a", "io", &["put", "src/a", "d/a", "--json"][..]),
        ("a", "io", &["write", "d/a", "--file", "src/a", "--json"]),
        ("new", "conflict", &["put", "src", "d/new", "--json"]),
    ] {
        set_mode(&d, 0o1777);
        program(&own, "mv", &deed(name));
        world.run(command).fails_as(code, if code == "io" { 1 } else { 2 });
        assert!(world.home().join("done").exists(), "{command:?}");
        assert_eq!(fs::read_dir(d.join(name)).unwrap().count(), 1, "{command:?}");
        assert_eq!(fs::read_dir(d.join(name).join("x")).unwrap().count(), 0, "{command:?}");
        assert_eq!(litter(&world.workspace()), Vec::<PathBuf>::new(), "{command:?}");
        fs::remove_dir_all(d.join(name)).unwrap();
        world.run(command).succeeds();
        assert!(d.join(name).metadata().unwrap().is_file() || d.join("new/sub/b").is_file(), "{command:?}");
        assert_eq!(litter(&world.workspace()), Vec::<PathBuf>::new(), "{command:?}");
        fs::remove_dir_all(&d).unwrap();
        fs::create_dir(&d).unwrap();
        fs::remove_file(world.home().join("done")).unwrap();
    }
}

/// A program in the project, or a neighbour, replaces a folder after it was listed: `find` is called in between.
#[test]
fn a_folder_swapped_meanwhile_is_not_sent() {
    let Some((world, own)) = shared() else { return };
    let (home, d) = (world.home().to_owned(), world.workspace().join("d"));
    let git = |arguments: &[&str]| {
        Command::new("git").args(arguments).current_dir(home.join("src")).output().unwrap();
    };
    git(&["init", "-q"]);
    fs::create_dir_all(home.join("keys/deep")).unwrap();
    for name in ["keys/b", "keys/deep/c"] {
        fs::write(home.join(name), "a key").unwrap();
    }
    for (swapped, options) in [
        ("sub", &[][..]),
        ("sub", &["--git"]),
        ("sub", &["--checksum"]),
        ("sub/deep", &[]),
        ("sub/deep", &["--git"]),
    ] {
        fs::create_dir_all(home.join("src/sub/deep")).unwrap();
        fs::create_dir_all(&d).unwrap();
        for name in ["src/a", "src/sub/b", "src/sub/deep/c"] {
            fs::write(home.join(name), "fine!").unwrap();
        }
        let keys = if swapped == "sub" { "keys" } else { "keys/deep" };
        let deed = format!(
            "[ -e \"$HOME/away\" ] || {{ mv \"$HOME/src/{swapped}\" \"$HOME/away\"; ln -s \"$HOME/{keys}\" \"$HOME/src/{swapped}\"; }}"
        );
        program(&own, "find", &format!("{deed}\nPATH=${{PATH#*:}}\nexec find \"$@\""));
        let said = world.run(&[&["put", "src", "d", "--json"][..], options].concat());
        assert!(
            home.join("src").join(swapped).is_symlink() && said.status == 1,
            "{swapped} {options:?} {said:?}"
        );
        assert_eq!(fs::read_to_string(d.join("a")).unwrap(), "fine!");
        let sent = [d.join("sub/b"), d.join("sub/deep/c")];
        for content in sent.iter().filter_map(|path| fs::read_to_string(path).ok()) {
            assert_eq!(content, "fine!", "{swapped} {options:?}");
        }
        assert_eq!(sent[0].exists(), swapped != "sub", "{options:?}");
        fs::remove_file(own.join("find")).unwrap();
        fs::remove_file(home.join("src").join(swapped)).unwrap();
        fs::remove_dir_all(home.join("away")).unwrap();
        fs::remove_dir_all(&d).unwrap();
    }
}

/// A sticky folder stays sticky: without that bit, whoever may write to it may replace other people's files in it.
#[test]
fn a_sticky_folder_arrives_sticky() {
    for world in World::each() {
        let world = world.connected();
        let (here, there) = (world.home().join("st"), world.workspace());
        fs::create_dir_all(here.join("sub")).unwrap();
        fs::write(here.join("sub/a"), "a").unwrap();
        set_mode(&here.join("sub"), 0o1777);
        set_mode(&here, 0o1777);
        fs::create_dir_all(there.join("old/sub")).unwrap();
        for folder in ["old", "old/sub"] {
            set_mode(&there.join(folder), 0o777);
        }
        world.run(&["put", "st", "new"]).succeeds();
        world.run(&["put", "st", "old"]).succeeds();
        world.run(&["get", "new", "--out", "back"]).succeeds();
        fs::create_dir(world.home().join("merged")).unwrap();
        world.run(&["get", "new", "--out", "merged"]).succeeds();
        let back = world.home().join("back");
        for folder in
            [there.join("new"), there.join("new/sub"), there.join("old"), there.join("old/sub"), back.clone()]
        {
            assert_eq!(mode(&folder), 0o1777, "{}", folder.display());
        }
        assert_eq!((mode(&back.join("sub")), mode(&world.home().join("merged/sub"))), (0o1777, 0o1777));
        assert_eq!(mode(&here.join("sub/a")), mode(&back.join("sub/a")));
    }
}

/// A file of ours or root's that others may read or write, under a second name that they gave it in a folder open to all.
#[test]
fn a_second_name_takes_and_gives_nothing() {
    let Some((world, own)) = shared() else { return };
    let (here, d) = (world.home().to_owned(), world.workspace().join("d"));
    let open = world.workspace().join("open");
    fs::write(here.join("src/a"), "secret").unwrap();
    set_mode(&here.join("src/a"), 0o600);
    let prepare = || {
        let _ = fs::remove_dir_all(&d);
        fs::create_dir(&d).unwrap();
        set_mode(&d, 0o1777);
        fs::write(&open, "old").unwrap();
        set_mode(&open, 0o666);
        let _ = Command::new("setfacl").args(["-m", "u:54324:rw"]).arg(&open).output(); // where the system has such lists
    };
    let commands = [
        FILE,
        &["write", "d/a", "--file", "src/a", "--json"],
        &["put", "src/.", "d", "--json"],
        &["put", "src/a", "d", "--json"],
    ];
    // It existed before: nothing is sent to it.
    for command in commands {
        prepare();
        fs::hard_link(&open, d.join("a")).unwrap();
        let said = world.run(command).fails_as("conflict", 2);
        assert!(said.json()["message"].as_str().unwrap().contains("second name"), "{said:?}");
        assert_eq!(fs::read_to_string(&open).unwrap(), "old");
    }
    // It appears, or exists, with a single name by then: its replacement takes over no access list, owner or mode.
    for (at, command) in [
        ("once", commands[0]),
        ("once", commands[1]),
        ("once", commands[2]),
        ("tar", commands[2]),
        ("mkdir", commands[1]),
    ] {
        prepare();
        let deed = "command -p mv \"$HOME/box/open\" \"$HOME/box/d/a\"";
        match at {
            "once" => fs::rename(&open, d.join("a")).unwrap(),
            at => neighbour(&own, at, deed),
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(
                if at == "once" { d.join("a") } else { open.clone() },
                Some(0),
                Some(OTHER),
            )
            .unwrap();
        }
        world.run(command).succeeds();
        let found = fs::metadata(d.join("a")).unwrap();
        assert_eq!(fs::read_to_string(d.join("a")).unwrap(), "secret", "{at} {command:?}");
        // A mode that is taken over opens nothing that would be closed in a new file.
        let more = if command[0] == "write" { 0o7133 } else { 0o7177 };
        assert_eq!(mode(&d.join("a")) & more, 0, "{at} {command:?}");
        if rustix::process::geteuid().is_root() {
            assert_ne!(found.gid(), OTHER, "{at} {command:?}");
        }
        let list = Command::new("getfacl").arg("-n").arg(d.join("a")).output();
        assert!(
            !list.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains("54324")),
            "{at} {command:?}"
        );
        let _ = fs::remove_file(here.join("done"));
        let _ = fs::remove_file(own.join(at));
    }
}

const FILE: &[&str] = &["put", "src/a", "d/a", "--json"];
