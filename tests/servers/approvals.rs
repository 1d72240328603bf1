//! Approvals: a person's signature under one request, which opens that and nothing else, once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{certified, file, with_servers, write};
use crate::support::real_sshd::keygen;
use crate::support::{CommandOutput, World};

const PROFILES: &str = r#"
[servers.prod]
auth_method = "ssh"
host = "box"
requires_approval = true
approvers = "approvers"
allowed_profiles = ["say", "other"]
[servers.two]
auth_method = "ssh"
host = "box"
approvers = "approvers"
approvals_needed = 2
allowed_profiles = ["gated", "say"]
[servers.word]
auth_method = "ssh"
host = "box"
requires_approval = true
allowed_profiles = ["say"]
[profiles.say]
argv = ["echo", "{{word}}"]
[profiles.other]
argv = ["echo", "{{word}}"]
[profiles.gated]
argv = ["echo", "{{word}}", "{{key}}"]
requires_approval = true
args.key = { secret = true, default = "hunter2" }
"#;

/// A world with these servers, whose approvers `anna` and `ben` have keys in the home folder.
fn approved() -> Option<World> {
    let world = with_servers(PROFILES)?;
    people(&world);
    Some(world)
}

fn people(world: &World) {
    let mut lines = String::new();
    for who in ["anna", "ben", "eve"] {
        keygen(&world.home().join(who), "");
        let key = std::fs::read_to_string(world.home().join(format!("{who}.pub"))).unwrap();
        if who != "eve" {
            lines += &format!("{who}@example.com namespaces=\"approval@runcode.io\" {key}");
        }
    }
    let approvers = file(world).with_file_name("approvers");
    std::fs::write(&approvers, lines).unwrap();
    std::fs::set_permissions(&approvers, std::fs::Permissions::from_mode(0o644)).unwrap();
}

fn run(world: &World, arguments: &[&str]) -> CommandOutput {
    world.run(&[&["run"], arguments].concat())
}

/// Asks for a request; its file and its id.
fn request(world: &World, arguments: &[&str]) -> (PathBuf, String) {
    let said = run(world, &[arguments, &["--request", "--json"]].concat()).succeeds().json();
    let file = PathBuf::from(said["request"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), said["request_text"].as_str().unwrap());
    let id = file.file_stem().unwrap().to_str().unwrap().to_owned();
    (file, id)
}

fn sign(world: &World, file: &Path, who: &str) -> Value {
    let (key, file) = (world.home().join(who), file.to_str().unwrap());
    world.run(&["servers", "approve", file, "--key", key.to_str().unwrap(), "--json"]).succeeds().json()
}

fn why(said: CommandOutput) -> Value {
    let said = said.ends_with(255).json();
    assert_eq!(said["error"], "approval_invalid", "{said}");
    said["why"].clone()
}

const SAY: [&str; 5] = ["prod", "--profile", "say", "--arg", "word=yes"];

fn with<'a>(reference: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [words, &["--approval", reference, "--json"]].concat()
}

#[test]
fn an_approval_opens_one_thing_once() {
    let Some(world) = approved() else { return };
    let said = run(&world, &[&SAY[..], &["--json"]].concat()).ends_with(255).json();
    assert_eq!(said["error"], "approval_required");
    let (file, text) = (said["request"].as_str().unwrap(), said["request_text"].as_str().unwrap());
    assert!(
        text.starts_with("runcode-approval-v1\nid: ") && text.contains("\nargs: {\"word\":\"yes\"}\n"),
        "{text}"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap(), text);
    let (file, id) = (PathBuf::from(file), Path::new(file).file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(why(run(&world, &with(&id, &SAY))), "too_few");
    sign(&world, &file, "anna");
    // Anything else than what was asked for stays shut.
    for words in [
        &["prod", "--profile", "say", "--arg", "word=no"][..],
        &["prod", "--profile", "other", "--arg", "word=yes"],
        &["two", "--profile", "gated", "--arg", "word=yes"],
    ] {
        assert_eq!(why(run(&world, &with(&id, words))), "other_request", "{words:?}");
    }
    let plan = run(&world, &[&with(&id, &SAY)[..], &["--plan"]].concat()).succeeds().json();
    assert_eq!(
        plan["approval"],
        json!({ "state": "valid", "approvers": ["anna@example.com"], "request": null })
    );
    assert_eq!(plan["would_run"], true);
    assert_eq!(run(&world, &with(&id, &SAY)).succeeds().text(), "yes\n");
    assert_eq!(why(run(&world, &with(&id, &SAY))), "used");
    assert_eq!(why(run(&world, &with(file.to_str().unwrap(), &SAY))), "used");
    // A server defined anew is another target.
    let (file, id) = request(&world, &SAY);
    sign(&world, &file, "anna");
    write(&world, &PROFILES.replacen("host = \"box\"", "host = \"box\"\nport = 2222", 1));
    assert_eq!(why(run(&world, &with(&id, &SAY))), "other_request");
}

#[test]
fn one_of_twenty_callers_uses_an_approval() {
    let Some(world) = approved() else { return };
    let (file, id) = request(&world, &SAY);
    sign(&world, &file, "anna");
    let words = [&["run"][..], &with(&id, &SAY)].concat();
    let callers = std::thread::scope(|scope| {
        let started =
            (0..20).map(|_| scope.spawn(|| CommandOutput::of(world.command(&words).output().unwrap())));
        let started = started.collect::<Vec<_>>();
        started.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
    });
    let (ran, refused): (Vec<_>, Vec<_>) = callers.into_iter().partition(|said| said.status == 0);
    assert_eq!(ran.len(), 1);
    assert_eq!(ran[0].text(), "yes\n");
    assert!(refused.into_iter().all(|said| why(said) == "used"));
}

#[test]
fn only_approvers_words_count() {
    let Some(world) = approved() else { return };
    let (file, id) = request(&world, &SAY);
    sign(&world, &file, "eve");
    assert_eq!(why(run(&world, &with(&id, &SAY))), "unknown_approver");
    let text = std::fs::read_to_string(&file).unwrap();
    let signature = PathBuf::from(format!("{}.sig", file.display()));
    let by_hand = |namespace: &str| {
        let _ = std::fs::remove_file(&signature);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(world.home().join("anna")).arg(&file);
        assert!(keygen.output().unwrap().status.success());
    };
    by_hand("file");
    assert!(
        ["bad_signature", "unknown_approver"].contains(&why(run(&world, &with(&id, &SAY))).as_str().unwrap())
    );
    by_hand("approval@runcode.io");
    // What was changed after it was signed is not what was signed.
    std::fs::write(&file, text.replace("uses: 1", "uses: 2")).unwrap();
    assert_eq!(why(run(&world, &with(&id, &SAY))), "malformed");
    std::fs::write(&file, text.replace("\"yes\"", "\"no\"")).unwrap();
    assert_eq!(
        why(run(&world, &with(&id, &["prod", "--profile", "say", "--arg", "word=no"]))),
        "bad_signature"
    );
    std::fs::write(&file, &text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(why(run(&world, &with(&id, &SAY))), "malformed");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for reference in ["none", "AAAAAAAAAAAAAAAAAAAAAA", "/etc/passwd", ""] {
        assert_eq!(why(run(&world, &with(reference, &SAY))), "malformed", "{reference}");
    }
    std::fs::write(&signature, "junk").unwrap();
    assert!(
        ["bad_signature", "unknown_approver"].contains(&why(run(&world, &with(&id, &SAY))).as_str().unwrap())
    );
    by_hand("approval@runcode.io");
    // Who may write the file of approvers could be an approver.
    let approvers = super::file(&world).with_file_name("approvers");
    std::fs::set_permissions(&approvers, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(run(&world, &with(&id, &SAY)).ends_with(255).json()["error"], "bad_config");
    std::fs::set_permissions(&approvers, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run(&world, &with(&id, &SAY)).succeeds().text(), "yes\n", "signed by hand is as good");
}

#[test]
fn several_people_have_to_agree_where_asked() {
    let Some(world) = approved() else { return };
    let gated = ["two", "--profile", "gated", "--arg", "word=yes"];
    assert_eq!(run(&world, &["two", "--profile", "say", "--arg", "word=free"]).succeeds().text(), "free\n");
    let (file, id) = request(&world, &gated);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hunter2"));
    sign(&world, &file, "anna");
    sign(&world, &file, "anna");
    assert_eq!(why(run(&world, &with(&id, &gated))), "too_few", "one person signed twice");
    sign(&world, &file, "ben");
    assert_eq!(run(&world, &with(&id, &gated)).succeeds().text(), "yes hunter2\n");
}

#[test]
fn a_word_is_no_proof_and_said_to_be_none() {
    let Some(world) = approved() else { return };
    let words = ["word", "--profile", "say", "--arg", "word=yes"];
    assert_eq!(
        run(&world, &[&words[..], &["--json"]].concat()).ends_with(255).json()["error"],
        "approval_required"
    );
    let plan = run(&world, &[&with("CAB-1234", &words)[..], &["--plan"]].concat()).succeeds().json();
    assert_eq!(plan["approval"]["state"], "unverified");
    assert_eq!(run(&world, &with("CAB-1234", &words)).succeeds().text(), "yes\n");
    assert_eq!(run(&world, &with("a\u{202e}b", &words)).ends_with(255).json()["error"], "usage");
    let warnings = world.run(&["servers", "check", "--json"]).succeeds().json()["warnings"].clone();
    let at = warnings.as_array().unwrap().iter().map(|it| it["at"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(at, ["servers.word"]);
    // Only what runs needs one: the rest tells what is missing.
    let plan = run(&world, &[&SAY[..], &["--plan", "--json"]].concat()).succeeds().json();
    assert_eq!((&plan["approval"]["state"], &plan["would_run"]), (&json!("missing"), &json!(false)));
    assert!(plan["approval"]["request"].as_str().unwrap().starts_with("runcode-approval-v1\n"));
    let plan = run(&world, &[&with("none", &SAY)[..], &["--plan"]].concat()).succeeds().json();
    assert_eq!(
        (&plan["approval"]["state"], &plan["approval"]["why"]),
        (&json!("invalid"), &json!("malformed"))
    );
    let dry = run(&world, &[&SAY[..], &["--dry-run", "--json"]].concat());
    assert_eq!(dry.ends_with(2).json()["error"], "approval_required");
}

#[test]
fn a_certificate_waits_for_its_approval() {
    let Some(world) = certified::certified("requires_approval = true\napprovers = \"approvers\"") else {
        return;
    };
    people(&world);
    let say = ["prod", "--profile", "say", "--arg", "word=yes"];
    assert_eq!(
        run(&world, &[&say[..], &["--json"]].concat()).ends_with(255).json()["error"],
        "approval_required"
    );
    let (file, id) = request(&world, &say);
    assert!(!world.home().join("calls").exists(), "nothing was connected to");
    let said = sign(&world, &file, "ben");
    assert_eq!(said["id"], id.as_str());
    assert!(run(&world, &with(&id, &say)).succeeds().text().contains("<yes>"));
    assert_eq!(why(run(&world, &with(&id, &say))), "used");
}
