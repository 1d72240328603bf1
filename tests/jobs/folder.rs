//! The folder of jobs on the workspace, which others there may try to plant or to read.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;
use crate::support::skipped;

fn starts_nothing(world: &World) {
    let mark = world.home().join("ran");
    let command = format!("echo ran >>{}", mark.display());
    let said = world.run(&["exec", "--detach", "--json", "--", &command]);
    assert_eq!((said.status, &said.json()["error"]), (2, &"conflict".into()), "{said:?}");
    world.run(&["jobs", "--json"]).fails_as("conflict", 2);
    assert!(!mark.exists());
}

#[test]
fn a_planted_folder_is_not_used() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    assert_eq!(desk.wait(&desk.start(&["--", "true"])), 0);
    let jobs = folder(&world);
    let above = jobs.parent().unwrap();
    let elsewhere = world.home().join("elsewhere");
    for planted in [jobs.as_path(), above] {
        fs::rename(planted, &elsewhere).unwrap();
        symlink(&elsewhere, planted).unwrap();
        starts_nothing(&world);
        fs::remove_file(planted).unwrap();
        fs::rename(&elsewhere, planted).unwrap();
        let mode = fs::metadata(planted).unwrap().permissions();
        for others in [0o720, 0o702] {
            fs::set_permissions(planted, fs::Permissions::from_mode(others)).unwrap();
            starts_nothing(&world);
        }
        fs::set_permissions(planted, mode).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(planted, Some(65_534), None).unwrap();
            starts_nothing(&world);
            chown(planted, Some(0), None).unwrap();
        } else {
            skipped("a folder of another user needs root");
        }
    }
    assert_eq!(desk.list().len(), 1);
}

#[test]
fn nobody_else_reads_a_job() {
    for world in World::each() {
        let world = world.connected();
        let desk = Desk::of(&world);
        let id = desk.start(&["--", "umask; echo secret"]);
        assert_eq!(desk.wait(&id), 0);
        let (jobs, job) = (folder(&world), folder(&world).join(&id));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&jobs), mode(&job)), (0o700, 0o700));
        for entry in fs::read_dir(&job).unwrap().flatten().filter(|entry| entry.file_name() != "whole") {
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        }
        let exec = world.run(&["exec", "--", "umask"]).succeeds();
        assert!(desk.output(&id).starts_with(exec.text()), "the command has the user's own umask");
    }
}

/// Files that a hostile workspace wrote are parsed, and what they say steers nothing.
#[test]
fn what_a_job_says_of_itself_steers_nothing() {
    let world = World::new().connected();
    let desk = Desk::of(&world);
    let id = desk.start(&["--name", "x", "--", "true"]);
    assert_eq!(desk.wait(&id), 0);
    let job = folder(&world).join(&id);
    fs::write(job.join("command"), "\u{1b}[2J\u{202e}evil\nM end\n").unwrap();
    fs::write(job.join("name"), "\u{1b}]0;title\u{7}\n").unwrap();
    fs::write(job.join("started"), "99999999999999999999\n").unwrap();
    fs::create_dir(folder(&world).join("\u{1b}[2J job")).unwrap();
    fs::create_dir(folder(&world).join("-rf")).unwrap();
    for odd in ["odd", "Odd one", "odd-folder", "Odd_folder"] {
        fs::create_dir(folder(&world).join(odd)).unwrap();
        fs::write(folder(&world).join(odd).join("name"), "named\n").unwrap();
    }
    world.run(&["jobs", "wait", "named", "--json"]).fails_as("not_found", 255);
    let said = world.run(&["jobs"]).succeeds();
    assert!(!said.text().contains(['\u{1b}', '\u{202e}', '\u{7}']), "{said:?}");
    let listed = desk.list();
    assert_eq!((listed.len(), &listed[0]["started_at"]), (1, &Value::Null));
    assert_eq!(desk.output(&id), "");
    world.run(&["jobs", "clean"]).succeeds();
}

/// Where no state can be kept, nothing runs.
#[test]
fn an_unusable_folder_runs_nothing() {
    let world = World::new().connected();
    let home = world.workspace();
    fs::write(home.join(".local"), "a file").unwrap();
    let said = world.run(&["exec", "--detach", "--json", "--", "touch", "ran"]);
    assert_eq!((said.status, &said.json()["error"]), (1, &"io".into()), "{said:?}");
    assert!(!home.join("ran").exists());
}
