//! Tokens of several control planes, side by side.

use std::process::Command;

use crate::support::{CommandOutput, World};

/// `world`'s user at another plane, without a token in the environment.
fn at(world: &World, plane: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("RUNCODE_API_BASE", plane.base()).env_remove("RUNCODE_TOKEN");
    command
}

#[test]
fn a_login_elsewhere_keeps_the_first() {
    let (one, two) = (World::new(), World::new());
    let run =
        |plane: &World, arguments: &[&str]| CommandOutput::of(at(&one, plane, arguments).output().unwrap());
    let log_in = |plane: &World| {
        let mut child = at(&one, plane, &["login", "--paste"]);
        let file = one.home().join("pasted");
        std::fs::write(&file, plane.token()).unwrap();
        CommandOutput::of(child.stdin(std::fs::File::open(&file).unwrap()).output().unwrap()).succeeds();
    };
    log_in(&one);
    run(&two, &["list", "--json"]).fails_as("no_token", 1);
    log_in(&two);
    for plane in [&one, &two] {
        run(plane, &["list"]).succeeds();
        let said = run(plane, &["doctor", "--json"]);
        let checks = said.json()["checks"].as_array().unwrap().clone();
        let token = checks.iter().find(|check| check["name"] == "token").unwrap();
        assert_eq!(token["status"], "ok", "{token}");
        for shown in [one.base(), two.base()] {
            assert!(token["detail"].as_str().unwrap().contains(&shown), "{token}");
        }
        assert!(!said.text().contains(one.token()) && !said.text().contains(two.token()));
    }
    // Each logout is one plane's.
    let said = run(&one, &["logout", "--json"]).succeeds().json();
    assert_eq!(
        (&said["logged_out"], &said["still_logged_in_to"]),
        (&true.into(), &serde_json::json!([two.base()]))
    );
    run(&one, &["list", "--json"]).fails_as("no_token", 1);
    assert!(run(&one, &["logout"]).succeeds().text().contains(&format!("not logged in to {}", one.base())));
    run(&two, &["list"]).succeeds();
    log_in(&one);
    assert_eq!(run(&one, &["logout", "--all", "--json"]).succeeds().json()["logged_out"], true);
    for plane in [&one, &two] {
        assert!(run(plane, &["list"]).succeeds().stderr.contains("you are not logged in"));
    }
    assert_eq!(std::fs::read_dir(one.home().join(".config/runcode")).unwrap().count(), 0);
}

#[test]
#[cfg(feature = "dev")]
fn a_login_within_dev_leaves_no_trace() {
    let world = World::new();
    let config = world.home().join(".config/runcode");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("token"), "written-by-hand\n").unwrap();
    let script =
        "echo $RUNCODE_TOKEN | runcode login --paste >/dev/null; unset RUNCODE_TOKEN; runcode list --json";
    let said = world.run(&["dev", "--", "sh", "-c", script]).succeeds();
    assert_eq!(said.json()[0]["title"], "demo");
    let names = std::fs::read_dir(&config).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["token"]);
    assert_eq!(std::fs::read_to_string(config.join("token")).unwrap(), "written-by-hand\n");
}
