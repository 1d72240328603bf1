//! What moves files, killed at any step: the old content or the new one at the target, and nothing lies around for good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::crash_points::{Points, age, can_kill, killed_at};
use super::names;
use crate::support::{World, until};

/// The points of each command that are tried.
const USUAL: Points = Points { usual: 16, of_threads: true };

/// The word that a file or each file of a folder holds. Folders hold `a` and `b/c`.
fn content(path: &Path) -> String {
    if !path.is_dir() {
        return fs::read_to_string(path).unwrap();
    }
    let (one, two) = (fs::read_to_string(path.join("a")), fs::read_to_string(path.join("b/c")));
    format!("{} {}", one.unwrap_or_default(), two.unwrap_or_default())
}

fn fill(path: &Path, word: &str, is_folder: bool) {
    if is_folder {
        fs::create_dir_all(path.join("b")).unwrap();
        fs::write(path.join("a"), word).unwrap();
        fs::write(path.join("b/c"), word).unwrap();
    } else {
        fs::write(path, word).unwrap();
    }
}

/// `command` brings what is at `from` to `to`; killed at any step, `to` is what it was or what it is to be, and the next one
/// brings it there, leaving nothing else in the folder of `to`.
fn moves_whole(world: &World, arguments: &[&str], from: PathBuf, to: PathBuf, is_folder: bool) {
    let folder = to.parent().unwrap().to_owned();
    let before = names(&folder);
    let command = || -> Command {
        fill(&from, "newer", is_folder);
        fill(&to, "old", is_folder);
        let mut command = world.command(arguments);
        if arguments[0] == "write" {
            command = super::in_shell(&format!("exec \"$@\" < '{}'", from.display()), &command);
        }
        command
    };
    let kills = killed_at(USUAL, command, |step| {
        // Each file is whole; of a folder, some may be there already.
        let now = content(&to);
        assert!(now.split(' ').all(|word| word == "old" || word == "newer"), "{arguments:?} {step}: {now:?}");
        if folder.starts_with(world.workspace()) {
            // What was sent of it goes when the connection to it does.
            until("the workspace is clean", || names(&folder).len() == before.len().max(1));
        }
        age(&folder);
        let said = crate::support::CommandOutput::of(command().output().unwrap());
        assert_eq!(said.status, 0, "{arguments:?} {step}: {said:?}");
        assert_eq!(content(&to).split(' ').find(|word| *word != "newer"), None, "{arguments:?} {step}");
        let after = names(&folder);
        assert!(after.iter().all(|name| !name.starts_with(".runcode-")), "{arguments:?} {step}: {after:?}");
    });
    assert!(kills > 2, "{arguments:?}: only {kills} steps were found");
}

#[test]
fn a_killed_put_or_write_leaves_old_or_new() {
    if !can_kill("put and write killed at any step") {
        return;
    }
    let world = World::new().connected();
    let (here, there) = (world.home().join("here"), world.workspace().join("to"));
    fs::create_dir(&here).unwrap();
    fs::create_dir(&there).unwrap();
    moves_whole(&world, &["put", "here/file", "to/file"], here.join("file"), there.join("file"), false);
    fs::remove_file(there.join("file")).unwrap();
    moves_whole(&world, &["write", "to/written"], here.join("file"), there.join("written"), false);
    fs::remove_file(there.join("written")).unwrap();
    moves_whole(&world, &["put", "here/tree", "to/tree"], here.join("tree"), there.join("tree"), true);
}

#[test]
fn a_killed_get_leaves_old_or_new() {
    if !can_kill("get killed at any step") {
        return;
    }
    let world = World::new().connected();
    let (here, there) = (world.home().join("here"), world.workspace().join("from"));
    fs::create_dir(&here).unwrap();
    fs::create_dir(&there).unwrap();
    moves_whole(
        &world,
        &["get", "from/file", "--out", "here/file"],
        there.join("file"),
        here.join("file"),
        false,
    );
    fs::remove_file(here.join("file")).unwrap();
    fs::create_dir(here.join("in")).unwrap();
    let to = here.join("in/tree");
    moves_whole(&world, &["get", "from/tree", "--out", "here/in/tree"], there.join("tree"), to, true);
}
