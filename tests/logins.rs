//! Tokens of several control planes, side by side.

use std::process::Command;

use crate::support::fake_plane::FakePlane;
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
        (&said["logged_out"], &said["revoked"], &said["still_logged_in_to"]),
        (&true.into(), &true.into(), &serde_json::json!([two.base()]))
    );
    run(&one, &["list", "--json"]).fails_as("no_token", 1);
    assert!(run(&one, &["logout"]).succeeds().text().contains(&format!("not logged in to {}", one.base())));
    run(&two, &["list"]).succeeds();
    // The control plane accepts that token no more, whoever has a copy.
    let mut copied = at(&one, &one, &["list", "--json"]);
    CommandOutput::of(copied.env("RUNCODE_TOKEN", one.token()).output().unwrap()).fails_as("unauthorized", 2);
    let said = run(&one, &["logout", "--all", "--json"]).succeeds().json();
    assert_eq!((&said["logged_out"], &said["revoked"]), (&true.into(), &true.into()));
    for plane in [&one, &two] {
        assert!(run(plane, &["list"]).succeeds().stderr.contains("you are not logged in"));
    }
    assert_eq!(std::fs::read_dir(one.home().join(".config/runcode")).unwrap().count(), 0);
}

/// The token is gone here whatever its control plane says, and the user learns who can still use a copy.
#[test]
fn a_logout_says_who_was_not_told() {
    let world = World::new();
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let planes = [404, 405, 500].map(|status| FakePlane::answering(status, r#"{"message": "no"}"#));
    let bases = planes.iter().map(FakePlane::base).chain([gone.clone()]);
    for (base, word) in bases.zip(["cannot be told", "cannot be told", "was not told", "was not told"]) {
        let token = world.home().join(".config/runcode/token");
        for arguments in [&["logout"][..], &["logout", "--json"]] {
            std::fs::create_dir_all(token.parent().unwrap()).unwrap();
            std::fs::write(&token, format!("{base}#by-hand")).unwrap();
            let mut command = world.command(arguments);
            let command = command.env("RUNCODE_API_BASE", &base).env_remove("RUNCODE_TOKEN");
            let said = CommandOutput::of(command.output().unwrap()).succeeds();
            match arguments {
                ["logout"] => assert!(said.text().contains(word) && said.text().contains("on the web")),
                _ => assert_eq!(said.json()["revoked"], false),
            }
            assert!(!token.exists());
        }
    }
    for plane in &planes {
        let seen = plane.seen();
        assert!(seen.iter().all(|request| request.line == "POST /api/rc/logout"), "{seen:?}");
        assert_eq!(seen.len(), 2);
    }
}

/// What cannot be read cannot be revoked: it is gone here, and a copy of it may serve others.
#[test]
fn a_logout_tells_of_unreadable_tokens() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let config = world.home().join(".config/runcode");
    let files = [config.join("token"), config.join("tokens").join("0123456789abcdef")];
    for (file, arguments) in files.iter().zip([&["logout"][..], &["logout", "--all"]]) {
        for json in [false, true] {
            for folder in [&config, file.parent().unwrap()] {
                std::fs::create_dir_all(folder).unwrap();
                std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
            }
            std::fs::write(file, "two words\n").unwrap();
            let mut command = world.command(arguments);
            command.env_remove("RUNCODE_TOKEN").env_remove("RUNCODE_API_BASE");
            let said = CommandOutput::of(command.args(json.then_some("--json")).output().unwrap()).succeeds();
            match json {
                false => {
                    assert!(said.text().contains("could not be read, so it was not revoked"), "{said:?}")
                }
                true => assert_eq!(
                    (&said.json()["logged_out"], &said.json()["revoked"]),
                    (&true.into(), &false.into())
                ),
            }
            assert!(!file.exists());
        }
    }
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
