//! A folder of the workspace that somebody else may write to as well, who exchanges what a `put` has made in it. What they
//! do is done here by a program of the workspace that the script calls, so each exchange comes at its one moment.

use super::*;

pub(super) const OTHER: u32 = 54_324;

/// What a neighbour does to the one folder or file of ours in `d`: `$stage` is where it is.
pub(super) fn neighbour(own: &Path, program_name: &str, deed: &str) {
    let real = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program_name));
    let real = real.iter().find(|path| path.exists()).unwrap();
    let script = format!(
        "result=$({} \"$@\")\nstatus=$?\nfor stage in \"$HOME\"/box/d/.runcode-*; do\n[ -e \"$stage\" ] || continue\n\
         [ ! -e \"$HOME/done\" ] || continue\necho >\"$HOME/done\"\n{deed}\ndone\n\
         [ -z \"$result\" ] || printf '%s\\n' \"$result\"\nexit $status",
        real.display()
    );
    program(own, program_name, &script);
}

pub(super) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A world with a folder `src` to send, a folder `d` to send it into, and what is none of the neighbour's business: the folder
/// `victim`, with a file in it.
pub(super) fn shared() -> Option<(World, PathBuf)> {
    let (world, own) = with_programs()?;
    let (here, there) = (world.home().to_owned(), world.workspace());
    for folder in [here.join("src/sub"), there.join("d"), there.join("victim")] {
        fs::create_dir_all(folder).unwrap();
    }
    for (place, name) in [(&here, "src/a"), (&here, "src/sub/b"), (&there, "victim/secret")] {
        fs::write(place.join(name), name).unwrap();
    }
    set_mode(&there.join("d"), 0o777);
    set_mode(&there.join("victim"), 0o700);
    set_mode(&there.join("victim/secret"), 0o600);
    Some((world, own))
}

pub(super) fn is_unharmed(world: &World, deed: &str) {
    let victim = world.workspace().join("victim");
    assert_eq!((mode(&victim), mode(&victim.join("secret"))), (0o700, 0o600), "{deed}");
    assert_eq!(fs::read_to_string(victim.join("secret")).unwrap(), "victim/secret", "{deed}");
    assert_eq!(
        fs::metadata(victim.join("secret")).unwrap().uid(),
        rustix::process::geteuid().as_raw(),
        "{deed}"
    );
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1, "{deed}");
}

const FILE: &[&str] = &["put", "src/a", "d/a", "--json"];
const FOLDER: &[&str] = &["put", "src", "d", "--json"];
const NEW: &[&str] = &["put", "src", "d/new", "--json"];
const WRITE: &[&str] = &["write", "d/a", "--file", "src/a", "--json"];

/// Another folder in the place of the one that was just made: it is not written to.
#[test]
fn a_folder_of_others_is_not_taken_for_ours() {
    let Some((world, own)) = shared() else { return };
    let d = world.workspace().join("d");
    let is_root = rustix::process::geteuid().is_root();
    let away = "mv \"$stage\" \"$HOME/box/d/away\"";
    let mut deeds = vec![
        format!("{away}; ln -s \"$HOME/box/victim\" \"$stage\""),
        format!("{away}; mkdir -m 700 \"$HOME/box/empty\"; ln -s \"$HOME/box/empty\" \"$stage\""),
        format!("{away}; mkdir \"$stage\"; echo x >\"$stage/t\""),
    ];
    if is_root {
        deeds.push(format!("{away}; mkdir -m 777 \"$stage\"; chown {OTHER}:{OTHER} \"$stage\""));
    }
    for deed in &deeds {
        for command in [FILE, WRITE, FOLDER, NEW] {
            neighbour(&own, "mkdir", &deed.replace("mkdir", "command -p mkdir"));
            let said = world.run(command).fails_as("conflict", 2);
            assert!(said.json()["message"].as_str().unwrap().contains("somebody else changed"), "{said:?}");
            is_unharmed(&world, deed);
            assert!(!d.join("a").exists() && !d.join("new").exists(), "{deed}");
            let empty = world.workspace().join("empty");
            assert!(!empty.exists() || fs::read_dir(&empty).unwrap().count() == 0, "{deed}");
            for left in [&d, &empty] {
                let _ = fs::remove_dir_all(left);
            }
            fs::create_dir(&d).unwrap();
            set_mode(&d, 0o777);
            fs::remove_file(world.home().join("done")).unwrap();
        }
    }
}

/// The old file's owner and mode go to the new one, whatever has its name by then.
#[test]
fn no_owner_or_mode_goes_to_another_file() {
    let Some((world, own)) = shared() else { return };
    let d = world.workspace().join("d");
    for deed in [
        "mv \"$stage\" \"$HOME/box/d/away\"; ln -s \"$HOME/box/victim/secret\" \"$stage\"",
        "mv \"$stage\" \"$HOME/box/d/away\"; mkdir \"$stage\"; for x in \"$HOME\"/box/d/away/.*; do \
         ln -s \"$HOME/box/victim/secret\" \"$stage/${x##*/}\"; done 2>/dev/null",
    ] {
        for command in [FILE, WRITE] {
            fs::write(d.join("a"), "old").unwrap();
            set_mode(&d.join("a"), 0o644);
            set_mode(&world.home().join("src/a"), 0o755);
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(d.join("a"), Some(OTHER), Some(OTHER)).unwrap();
            }
            neighbour(&own, "sha256sum", deed);
            world.run(command).succeeds();
            is_unharmed(&world, deed);
            assert_eq!(fs::read_to_string(d.join("a")).unwrap(), "src/a", "{deed}");
            assert_eq!(mode(&d.join("a")), 0o755, "{deed}");
            fs::remove_dir_all(&d).unwrap();
            fs::create_dir(&d).unwrap();
            set_mode(&d, 0o777);
            fs::remove_file(world.home().join("done")).unwrap();
        }
    }
}

/// What the neighbour writes as the end of an archive, or puts in the place of a folder whose mode is set, counts for nothing.
#[test]
fn no_mode_or_removal_goes_to_another_place() {
    let Some((world, own)) = shared() else { return };
    let d = world.workspace().join("d");
    let own_end = |line: &str| {
        format!(
            "mv \"$stage\" \"$HOME/box/d/away\"; mkdir \"$stage\" \"$stage/t\"; \
             printf '%s\\n{line}\\n' \"${{result%% *}}\" >\"$stage/end\""
        )
    };
    for deed in [
        own_end("4755 =../victim/secret"),
        own_end("777 =../victim"),
        own_end("- =../../../victim/secret"),
        "mv \"$HOME/box/d/sub\" \"$HOME/box/d/away\"; ln -s \"$HOME/box/victim\" \"$HOME/box/d/sub\""
            .to_owned(),
    ] {
        fs::create_dir_all(d.join("sub")).unwrap();
        fs::write(d.join("sub/b"), "src/sub/b").unwrap();
        set_mode(&d.join("sub"), 0o777);
        set_mode(&world.home().join("src/sub"), 0o755);
        let modified = fs::metadata(world.home().join("src/sub/b")).unwrap().modified().unwrap();
        fs::File::open(d.join("sub/b")).unwrap().set_modified(modified).unwrap();
        neighbour(&own, "sha256sum", &deed);
        let said = world.run(FOLDER);
        assert!(world.home().join("done").exists(), "{said:?}");
        is_unharmed(&world, &deed);
        if deed.contains("victim\" \"$HOME/box/d/sub") {
            assert_eq!(said.succeeds().json()["mode_not_set"]["count"], 1);
        } else {
            said.succeeds();
        }
        assert_eq!(fs::read_to_string(d.join("a")).unwrap(), "src/a", "{deed}");
        fs::remove_dir_all(&d).unwrap();
        fs::create_dir(&d).unwrap();
        fs::remove_file(world.home().join("done")).unwrap();
    }
}
