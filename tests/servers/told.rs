//! What an approver, and whoever is refused, is told.

use serde_json::{Value, json};

use super::approvals::{SAY, approved, request, sign, with};
use super::approved::{approvable, is_over, open, until_gone};
use super::audit::{log, verified};
use super::certified;
use super::{file, with_servers, write};
use crate::support::World;

fn run(world: &World, words: &[&str]) -> Value {
    world.run(&[&["run"], words].concat()).ends_with(255).json()
}

fn contains(said: &Value, parts: &[&str]) {
    for part in parts {
        assert!(said.to_string().contains(part), "{part}: {said}");
    }
}

#[test]
fn nobody_signs_what_would_not_count() {
    let Some(world) = approved() else { return };
    let (file, id) = request(&world, &SAY);
    let key = |who: &str| world.home().join(who).display().to_string();
    let (eve, anna) = (key("eve"), key("anna"));
    let asked = ["servers", "approve", &id, "--json", "--key"];
    let signature = file.with_file_name(format!("{id}.request.sig"));
    let said = world.run(&[&asked[..], &[&eve]].concat()).fails_as("approval_invalid", 2).json();
    contains(&said, &["unknown_approver", "no approver of `prod` may sign this with the key", "--anyway"]);
    assert!(!signature.exists());
    let said = world.run(&[&asked[..], &[&eve, "--anyway"]].concat()).succeeds();
    assert!(said.json()["approver"].is_null() && said.stderr.contains("does not count here"), "{said:?}");
    assert!(signature.exists());
    let said = world.run(&[&asked[..], &[&anna]].concat()).succeeds().json();
    assert_eq!(said["approver"], "anna@example.com");
    // Where nobody can tell, that is said.
    let text = std::fs::read_to_string(super::file(&world)).unwrap();
    write(&world, &text.replace("[servers.prod]", "[servers.other]"));
    let said = world.run(&[&asked[..], &[&eve]].concat()).succeeds();
    assert!(said.stderr.contains("cannot tell whether the signature counts"), "{said:?}");
}

#[test]
fn another_request_says_what_differs() {
    let Some(world) = approved() else { return };
    let (file, id) = request(&world, &SAY);
    sign(&world, &file, "anna");
    let differs = |words: &[&str]| {
        let said = run(&world, &with(&id, words));
        assert_eq!(said["why"], "other_request", "{said}");
        (said["differs"].as_str().unwrap().to_owned(), said["message"].as_str().unwrap().to_owned())
    };
    let (lines, said) = differs(&["prod", "--profile", "say", "--arg", "word=no"]);
    assert_eq!(lines, "args");
    assert!(said.contains("`args` is") && said.contains("yes"), "{said}");
    assert_eq!(differs(&["prod", "--profile", "other", "--arg", "word=yes"]).0, "profile");
    let (lines, said) = differs(&["two", "--profile", "gated", "--arg", "word=yes"]);
    assert_eq!(lines, "server,target,profile".replace("target,", ""), "{said}");
    let text = std::fs::read_to_string(super::file(&world)).unwrap();
    write(&world, &text.replacen("host = \"box\"\n", "host = \"box\"\nport = 2\n", 1));
    assert_eq!(differs(&SAY).0, "target");
    write(&world, &format!("[broker]\ncert_ttl_seconds = 7\n{text}"));
    assert_eq!(differs(&SAY).0, "ttl");
    write(
        &world,
        &text.replace("argv = [\"echo\", \"{{word}}\"]", "argv = [\"echo\", \"-n\", \"{{word}}\"]"),
    );
    assert_eq!(differs(&SAY).0, "command");
    let plan = world.run(&[&["run"], &with(&id, &SAY)[..], &["--plan"]].concat()).succeeds().json();
    assert_eq!(plan["approval"]["differs"], "command");
}

#[test]
fn an_error_says_that_the_approval_is_used_up() {
    let Some(mut world) = approvable("") else { return };
    let say = ["prod", "--profile", "say"];
    let (file, id) = request(&world, &say);
    sign(&world, &file, "anna");
    world.own_sshd().stop();
    contains(&run(&world, &with(&id, &say)), &["transport", "the approval is used up"]);
    let said = run(&world, &with(&id, &say));
    assert_eq!((&said["why"], said.to_string().contains("used up")), (&json!("used"), false), "{said}");
}

#[test]
fn current_says_that_a_session_is_over() {
    let Some(world) = approvable("") else { return };
    world.run(&["connect", "prod"]).succeeds();
    let current = || world.run(&["current", "--json"]).succeeds().json();
    assert_eq!(current()["mode"], "restricted");
    let said = world.run(&["current"]).succeeds();
    assert!(said.text().starts_with("prod, runs only its profiles: "), "{said:?}");
    open(&world, &["--ttl", "200", "--idle", "1"]);
    until_gone(&world);
    is_over(world.run(&["exec", "--json", "--", "id"]));
    let said = world.run(&["current"]).succeeds();
    assert!(said.text().contains("no command ran in it for too long"), "{said:?}");
    assert_eq!(current()["mode"], "restricted");
}

/// The user's own file, where `HOME` is another folder than the system knows.
#[test]
fn a_home_that_is_another_is_named() {
    let Some(world) = certified::certified("") else { return };
    let vault = "[signers.ca]\nkind = \"vault\"\nurl = \"https://127.0.0.1:1\"\nrole = \"x\"\n[servers.x]\nhost = \"x\"\nuser = \"x\"\nsigner = \"ca\"\nallowed_profiles = [\"p\"]\n[profiles.p]\ntemplate = \"true\"\n";
    write(&world, vault);
    let mut command = world.command(&["run", "x", "--profile", "p", "--json"]);
    let said = command.current_dir(world.home()).output().unwrap();
    let said = crate::support::CommandOutput::of(said).ends_with(255).json();
    contains(&said, &["bad_config", "since HOME is not your home folder"]);
    assert!(file(&world).exists());
}

/// What was done is done: its status is passed on, and its intent stays open.
#[test]
fn an_outcome_that_is_not_on_record_is_told() {
    let Some(world) = with_servers("[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n") else { return };
    let (log, aside) = (log(&world), world.home().join("aside"));
    let swap = format!("mv '{0}' '{1}'; mkdir '{0}'; exit 7", log.display(), aside.display());
    let said = world.run(&["run", "gpu", "--", &swap]).ends_with(7);
    assert!(said.stderr.contains("the outcome of this is not in the audit log"), "{said:?}");
    std::fs::remove_dir(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    assert_eq!(verified(&world)["open_intents"].as_array().unwrap().len(), 1);
}
