//! A workspace that sends wrong or hostile data.

use super::*;

/// A workspace whose `tar` sends an archive of its own making.
#[test]
fn a_hostile_archive_writes_nothing_outside() {
    let Some((world, evil)) = with_programs() else { return };
    fs::create_dir(world.workspace().join("d")).unwrap();
    program(&evil, "tar", "cat \"$HOME/own/archive\"");
    let member = |kind: u8, name: &str, link: &str, content: &[u8]| {
        let mut block = [0_u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0004755");
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[136..147].copy_from_slice(b"00000000000");
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..263].copy_from_slice(b"ustar\0");
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
        [&block[..], content, &padding].concat()
    };
    let end = [0; 1024];
    let outside = world.home().join("outside");
    fs::write(&outside, "mine").unwrap();
    let absolute = outside.display().to_string();
    for members in [
        vec![member(b'0', "../outside", "", b"evil")],
        vec![member(b'0', "a/../../outside", "", b"evil")],
        vec![member(b'0', &absolute, "", b"evil")],
        vec![member(b'2', "l", "..", b""), member(b'0', "l/outside", "", b"evil")],
        vec![member(b'1', "h", "../outside", b"")],
        vec![member(b'1', "h", &absolute, b"")],
    ] {
        fs::write(evil.join("archive"), [members.concat(), end.to_vec()].concat()).unwrap();
        world.run(&["get", "d", "--out", "got", "--json"]).fails_as("io", 1);
        assert!(!world.home().join("got").exists() && litter(world.home()).is_empty());
        assert_eq!(fs::read(&outside).unwrap(), b"mine");
    }
    // A symbolic link of two names is one under each.
    let twins = [member(b'2', "l", &absolute, b""), member(b'1', "h", "l", b"")];
    fs::write(evil.join("archive"), [twins.concat(), end.to_vec()].concat()).unwrap();
    world.run(&["get", "d", "--out", "twins", "--links"]).succeeds();
    for name in ["twins/l", "twins/h"] {
        assert_eq!(fs::read_link(world.home().join(name)).unwrap(), outside, "{name}");
    }
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
    // A link of its own replaces nothing that is outside either, and is not followed by what comes after it.
    let mild = [
        member(b'2', "l", &absolute, b""),
        member(b'0', "l", "", b"file"),
        member(b'3', "dev", "", b""),
        member(b'0', "s", "", b"x"),
    ];
    fs::write(evil.join("archive"), [mild.concat(), end.to_vec()].concat()).unwrap();
    let got = world.run(&["get", "d", "--out", "got", "--json"]).succeeds().json();
    assert_eq!(got["skipped"], 1);
    assert_eq!(
        (fs::read(&outside).unwrap(), fs::read(world.home().join("got/l")).unwrap()),
        (b"mine".to_vec(), b"file".to_vec())
    );
    assert_eq!(fs::metadata(world.home().join("got/s")).unwrap().mode() & 0o7777, 0o755);
    // A link that is there already is no way out for the next archive.
    fs::remove_file(world.home().join("got/l")).unwrap();
    symlink(world.home(), world.home().join("got/l")).unwrap();
    fs::write(evil.join("archive"), [member(b'0', "l/outside", "", b"evil"), end.to_vec()].concat()).unwrap();
    world.run(&["get", "d", "--out", "got", "--json"]).fails_as("io", 1);
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
    fs::write(evil.join("archive"), member(b'0', "cut", "", b"x")).unwrap();
    program(&evil, "tar", "head -c 300 \"$HOME/own/archive\"");
    assert_ne!(world.run(&["get", "d", "--out", "got2", "--json"]).status, 0);
    assert!(!world.home().join("got2").exists());
}

/// A workspace that damages what passes: its `cat` turns every Z into a Y.
#[test]
fn damaged_transfers_are_refused() {
    let Some((world, evil)) = with_programs() else { return };
    program(&evil, "cat", "exec tr Z Y <\"${1:-/dev/stdin}\"");
    for length in [20_000, 2_000_000] {
        for (letter, is_refused) in ["x", "Z"].into_iter().zip([false, true]) {
            let content = letter.repeat(length);
            fs::write(world.home().join("a"), &content).unwrap();
            for place in [world.workspace().join("victim"), world.home().join("victim")] {
                fs::write(place, "old").unwrap();
            }
            let put = world.run(&["put", "a", "victim", "--json"]);
            fs::write(world.workspace().join("source"), &content).unwrap();
            let got = world.run(&["get", "source", "--out", "victim", "--json"]);
            for (said, place) in [(put, world.workspace()), (got, world.home().to_owned())] {
                if is_refused {
                    said.fails_as("io", 1);
                } else {
                    said.succeeds();
                }
                let now = fs::read(place.join("victim")).unwrap();
                assert!(now == if is_refused { b"old" } else { content.as_bytes() });
            }
            assert_eq!(litter(world.home()), Vec::<PathBuf>::new());
        }
    }
}

/// A `tar` that gives less than it should, and says so in the way that GNU's says harmless things too.
#[test]
fn an_incomplete_folder_is_an_error() {
    let Some((world, odd)) = with_programs() else { return };
    fs::create_dir(world.workspace().join("d")).unwrap();
    fs::write(world.workspace().join("d/a"), "a").unwrap();
    let tar = ["/usr/bin/tar", "/bin/tar"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    let get = |says: &str| {
        program(&odd, "tar", &format!("{tar} \"$@\"\necho '{says}' >&2\nexit 1"));
        world.run(&["get", "d", "--out", "got", "--json"])
    };
    get("tar: ./b: Input/output error").fails_as("io", 1);
    get("tar: ./a: File shrank by 3 bytes; padding with zeros").fails_as("io", 1);
    assert!(!world.home().join("got").exists());
    get("tar: .: file changed as we read it").succeeds();
    assert_eq!(fs::read(world.home().join("got/a")).unwrap(), b"a");
    // What `tee` gave is whole members; the rest of them is still in its pipe.
    (0..40).for_each(|name| fs::write(world.workspace().join(format!("d/{name}")), "").unwrap());
    program(&odd, "tar", &format!("exec {tar} \"$@\""));
    let tee = ["/usr/bin/tee", "/bin/tee"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    program(&odd, "tee", &format!("head -c 5120 | {tee} \"$@\"\nexit 1"));
    world.run(&["get", "d", "--out", "new", "--json"]).fails_as("io", 1);
    assert!(!world.home().join("new").exists());
}

/// A process that outlives the remote shell may run forever: nothing waits for it.
#[test]
fn leftover_processes_are_not_waited_for() {
    let Some((world, odd)) = with_programs() else { return };
    fs::create_dir(world.workspace().join("d")).unwrap();
    fs::write(world.workspace().join("d/a"), "a").unwrap();
    let kill = "until pkill -KILL -g $shell -x cat; do :; done; kill -KILL $shell";
    let tee = format!("read -r _ _ _ _ shell _ </proc/$$/stat; {kill}");
    program(&odd, "tee", &format!("echo $$ >\"$HOME/tee\"; {tee}; exec sleep 600"));
    let mut child = world.command(&["get", "d", "--out", "got", "--json"]).spawn().unwrap();
    until("it has ended", || child.try_wait().unwrap().is_some());
    CommandOutput::of(child.wait_with_output().unwrap()).fails_as("transport", 1);
    let tee = fs::read_to_string(world.home().join("tee")).unwrap().trim().parse().unwrap();
    assert!(is_running(tee));
    assert!(Command::new("kill").arg(tee.to_string()).status().unwrap().success());
}

/// What other users of the workspace can see of a transfer: arguments, but no content and no name that they could be quicker with.
#[test]
fn other_users_cannot_see_what_is_sent() {
    let Some((world, spy)) = with_programs() else { return };
    let seen = world.home().join("seen");
    let digest =
        ["/usr/bin/sha256sum", "/bin/sha256sum"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    let all = "for one in /proc/[0-9]*; do tr '\\0' ' ' <$one/cmdline; echo; done";
    // Where a process is, only its own user can see.
    let look = format!("{{ {all}; env | grep -v PWD=; }} >'{}' 2>/dev/null", seen.display());
    program(&spy, "sha256sum", &format!("{look}\nexec {digest} \"$@\""));
    for transport in ["mux", "openssh"] {
        fs::write(world.home().join("local"), "hunter2-of-nobody").unwrap();
        for verb in [&["write", "x", "--file", "local"][..], &["put", "local", "x"]] {
            let said = world.command(verb).env("RUNCODE_TRANSPORT", transport).output().unwrap();
            CommandOutput::of(said).succeeds();
            assert_eq!(fs::read(world.workspace().join("x")).unwrap(), b"hunter2-of-nobody");
            let seen = String::from_utf8_lossy(&fs::read(&seen).unwrap()).into_owned();
            assert!(seen.contains('=') && seen.contains("runcode-"), "it was looked: {seen}");
            assert!(!seen.contains("hunter2"), "{transport}: {seen}");
            assert!(!seen.contains("/.runcode-") && !seen.contains("LC_RUNCODE="), "{transport}: {seen}");
            fs::remove_file(world.workspace().join("x")).unwrap();
        }
    }
}

/// An sshd that takes no variable, as some have it: all of it comes on stdin then.
#[test]
fn small_files_need_no_remote_variables() {
    let Some(world) = with_login("unset LC_RUNCODE;", "sh") else { return };
    round_trip(&world, &odd_names(), b"x\0\\n'\n");
    round_trip(&world, &["empty".into()], b"");
    tree_round_trip(&world);
}
