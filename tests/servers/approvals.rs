//! Approvals: a person's signature under one request, which opens that and nothing else, once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::audit::{log, records};
use super::{certified, file, with_servers, write};
use crate::mcp::peer::Peer;
use crate::support::real_sshd::keygen;
use crate::support::{CommandOutput, World, skipped};

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
pub(super) fn approved() -> Option<World> {
    let world = with_servers(PROFILES)?;
    people(&world);
    Some(world)
}

pub(super) fn people(world: &World) {
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
pub(super) fn request(world: &World, arguments: &[&str]) -> (PathBuf, String) {
    let said = run(world, &[arguments, &["--request", "--json"]].concat()).succeeds().json();
    let file = PathBuf::from(said["request"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), said["request_text"].as_str().unwrap());
    let id = file.file_stem().unwrap().to_str().unwrap().to_owned();
    (file, id)
}

pub(super) fn sign(world: &World, file: &Path, who: &str) -> Value {
    let (key, file) = (world.home().join(who), file.to_str().unwrap());
    let words = ["servers", "approve", file, "--anyway", "--key", key.to_str().unwrap(), "--json"];
    world.run(&words).succeeds().json()
}

pub(super) fn why(said: CommandOutput) -> Value {
    let said = said.ends_with(255).json();
    assert_eq!(said["error"], "approval_invalid", "{said}");
    said["why"].clone()
}

pub(super) const SAY: [&str; 5] = ["prod", "--profile", "say", "--arg", "word=yes"];

pub(super) fn with<'a>(reference: &'a str, words: &[&'a str]) -> Vec<&'a str> {
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
    // It is not spent on what cannot be recorded.
    let log = log(&world);
    let chmod = |mode| std::fs::set_permissions(&log, std::fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o666);
    run(&world, &with(&id, &SAY)).fails_as("audit_failed", 255);
    chmod(0o600);
    assert_eq!(run(&world, &with(&id, &SAY)).succeeds().text(), "yes\n");
    let told = records(&world).pop().unwrap()["approval"].clone();
    assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    assert!(text.contains(&format!("\nexpires-at: {}\n", told["expires_at"].as_str().unwrap())), "{told}");
    assert_eq!(why(run(&world, &with(&id, &SAY))), "used");
    assert_eq!(why(run(&world, &with(file.to_str().unwrap(), &SAY))), "used");
    // A server defined anew is another target.
    let (file, id) = request(&world, &SAY);
    sign(&world, &file, "anna");
    write(&world, &PROFILES.replacen("host = \"box\"", "host = \"box\"\nport = 2222", 1));
    assert_eq!(why(run(&world, &with(&id, &SAY))), "other_request");
}

/// The text that people sign shows what runs, and what it reads.
#[test]
fn an_approval_opens_one_input() {
    let Some(world) = with_servers(&format!(
        "{PROFILES}[servers.db]\nauth_method = \"ssh\"\nhost = \"box\"\nrequires_approval = true\n\
         approvers = \"approvers\"\nallowed_profiles = [\"feed\"]\n\
         [profiles.feed]\ntemplate = \"cat\"\nstdin = true\n"
    )) else {
        return;
    };
    people(&world);
    let feed = ["run", "db", "--profile", "feed"];
    let fed = |words: &[&str], input: &[u8]| world.run_with(&[&feed[..], words].concat(), input);
    let asked = |words: &[&str], input: &[u8]| {
        let said = fed(&[words, &["--request", "--json"]].concat(), input).succeeds().json();
        let file = PathBuf::from(said["request"].as_str().unwrap());
        sign(&world, &file, "anna");
        (said["request_text"].as_str().unwrap().to_owned(), file)
    };
    let (text, file) = asked(&[], b"select 1\0\xff\n");
    let line = text.lines().find_map(|line| line.strip_prefix("stdin: sha256:")).unwrap();
    assert!(line.len() == 64 && text.contains("\ncommand: \"cat\"\n"), "{text}");
    let by = ["--approval", file.to_str().unwrap(), "--json"];
    for other in [&b"select 2\n"[..], b"", b"select 1\0\xff\n\n"] {
        assert_eq!(why(fed(&by, other)), "other_request");
    }
    assert_eq!(why(fed(&[&by[..], &["--no-stdin"]].concat(), b"select 1\0\xff\n")), "other_request");
    assert_eq!(fed(&by, b"select 1\0\xff\n").succeeds().stdout, b"select 1\0\xff\n");
    // Nothing is none, by any way.
    let (text, file) = asked(&["--no-stdin"], b"x");
    assert!(text.contains("\nstdin: none\n"), "{text}");
    assert_eq!(fed(&["--approval", file.to_str().unwrap()], b"").succeeds().stdout, b"");
    // More than is kept to be compared is approved whatever it is, and whoever signs is told.
    let long = vec![b'x'; 16 * 1024 * 1024 + 100_000];
    let said = fed(&["--request", "--json"], &long).succeeds().json();
    let file = said["request"].as_str().unwrap();
    assert!(said["request_text"].as_str().unwrap().contains("\nstdin: any\n"));
    let key = world.home().join("anna");
    let signed = world.run(&["servers", "approve", file, "--key", key.to_str().unwrap()]).succeeds();
    assert!(signed.stderr.contains("whatever the caller feeds it"), "{}", signed.stderr);
    let ran = fed(&["--approval", file], &long).succeeds();
    assert!(ran.stdout == long, "{} bytes", ran.stdout.len());
}

/// Whoever runs a command chooses its environment: that an approval was used is remembered where the password database says.
#[test]
fn no_variable_makes_an_approval_new() {
    let Some(world) = approved() else { return };
    let Some(passwd) = own_passwd(&world) else { return };
    let (file, id) = request(&world, &SAY);
    sign(&world, &file, "anna");
    let words = [&["run"][..], &with(file.to_str().unwrap(), &SAY)].concat();
    let run = |variables: &[(&str, &Path)]| {
        let plain = world.command(&words);
        let mut command = Command::new("unshare");
        // Only this process and its children see the file there (mount_namespaces(7)).
        let bind = "mount --bind \"$1\" /etc/passwd; shift; exec \"$@\"";
        command
            .args(["--mount", "sh", "-ec", bind, "sh"])
            .arg(&passwd)
            .arg(plain.get_program())
            .args(plain.get_args());
        command.env_clear().current_dir(world.home()).stdin(Stdio::null());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env_remove("RUNCODE_TEST_HOME").envs(variables.iter().copied());
        CommandOutput::of(command.output().unwrap())
    };
    assert_eq!(run(&[]).succeeds().text(), "yes\n");
    let elsewhere = world.home().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let config = world.home().join(".config");
    for variables in
        [&[][..], &[("XDG_STATE_HOME", &*elsewhere)], &[("HOME", &elsewhere), ("XDG_CONFIG_HOME", &config)]]
    {
        assert_eq!(why(run(variables)), "used", "{variables:?}");
    }
    let records = world.home().join("known/.local/state/runcode/approvals");
    assert!(records.join(format!("{id}.spent")).exists());
}

/// A password database in which this user's home folder is one of this world; none, said loudly, where only root may use one.
fn own_passwd(world: &World) -> Option<PathBuf> {
    if !Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n")
        || !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success())
    {
        skipped("a password database of its own needs root");
        return None;
    }
    let (file, home) = (world.home().join("passwd"), world.home().join("known"));
    std::fs::create_dir(&home).unwrap();
    std::fs::write(&file, format!("root:x:0:0::{}:/bin/sh\n", home.display())).unwrap();
    Some(file)
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
    // Of several reasons the first in their order is told, whichever file it is in.
    let more = |number: u32| PathBuf::from(format!("{}.{number}.sig", file.display()));
    std::fs::copy(more(2), more(7)).unwrap();
    std::fs::set_permissions(more(7), std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(why(run(&world, &with(&id, &gated))), "bad_signature");
    for (who, number) in [("eve", 1), ("eve", 9)] {
        sign(&world, &file, who);
        std::fs::rename(more(3), more(number)).unwrap();
        assert_eq!(why(run(&world, &with(&id, &gated))), "unknown_approver", "{number}");
        std::fs::remove_file(more(number)).unwrap();
    }
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

#[test]
fn a_tool_names_its_approval() {
    let Some(world) = approved() else { return };
    let mut peer = Peer::of(&world);
    let mut exec = |workspace: &str, more: Value| {
        let mut arguments = json!({ "workspace": workspace, "profile": "say", "args": { "word": "yes" } });
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        peer.call("exec", arguments)
    };
    let said = exec("prod", json!({}));
    assert_eq!(said.code(), "approval_required");
    let (_, hint) = said.text().split_once("hint: an approver runs `runcode servers approve ").unwrap();
    let (file, then) = hint.split_once("`; then call exec again with the same `args`, and ").unwrap();
    let id = then.strip_suffix(" as `approval`").unwrap();
    assert_eq!(exec("prod", json!({ "approval": id })).code(), "approval_invalid");
    sign(&world, Path::new(file), "anna");
    let other = json!({ "approval": id, "args": { "word": "no" } });
    assert_eq!(exec("prod", other).code(), "approval_invalid");
    assert!(exec("prod", json!({ "approval": id })).fine().starts_with("yes\n[exit 0"));
    assert_eq!(exec("prod", json!({ "approval": id })).code(), "approval_invalid", "it serves once");
    // Where nobody signs, any word is one.
    assert_eq!(exec("word", json!({})).code(), "approval_required");
    assert!(exec("word", json!({ "approval": "ticket 7" })).fine().starts_with("yes\n"));
    let command = json!({ "workspace": "prod", "command": "ls", "approval": id });
    assert_eq!(peer.call("exec", command).code(), "usage");
}
