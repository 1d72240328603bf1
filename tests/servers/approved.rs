//! Approved sessions: any command on a restricted server, as long as people have agreed to, by a real sshd.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::approvals::{people, sign, why};
use super::audit::{records, said};
use super::certified::certified;
use super::{file, with_servers, write};
use crate::support::real_sshd::user;
use crate::support::{CommandOutput, World, processes_with, until};

const RULES: &str =
    "requires_approval = true\napprovers = \"approvers\"\nallow_unrestricted_sessions = true\n";

/// A world whose server `prod` has approved sessions, with the lines `more`.
pub(super) fn approvable(more: &str) -> Option<World> {
    let world = certified(&format!("{RULES}{more}"))?;
    people(&world);
    Some(world)
}

/// An approval of a session with these options, by anna: its id.
pub(super) fn approval(world: &World, options: &[&str]) -> String {
    let said = world.run(&[&["connect", "prod", "--request", "--json"], options].concat()).succeeds().json();
    let file = PathBuf::from(said["request"].as_str().unwrap());
    sign(world, &file, "anna");
    file.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Opens a session with these options.
pub(super) fn open(world: &World, options: &[&str]) -> Value {
    let id = approval(world, options);
    world.run(&[&["connect", "prod", "--approval", &id, "--json"], options].concat()).succeeds().json()
}

/// The process ids of the keepers of this world.
pub(super) fn keepers(world: &World) -> Vec<i32> {
    let folder = format!("keeper\0{}", world.cache("srv-prod").display());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.contains(&folder))
    })
    .collect()
}

/// Everything that runs for the session: keepers, masters, clients.
pub(super) fn processes(world: &World) -> Vec<String> {
    processes_with(world.cache("srv-prod").to_str().unwrap())
}

/// Waits until nothing of the session runs, and it is gone from the cache.
pub(super) fn until_gone(world: &World) {
    until("the end of the session", || processes(world).is_empty() && !world.cache("srv-prod").exists());
}

pub(super) fn is_over(said: CommandOutput) {
    let said = said.ends_with(255).json();
    assert_eq!(said["error"], "session_expired", "{said}");
    assert!(said["hint"].as_str().unwrap().contains("runcode connect prod --request"), "{said}");
}

pub(super) fn actions(world: &World) -> Vec<String> {
    said(&records(world))
}

#[test]
fn an_approved_session_runs_any_command() {
    let Some(world) = approvable("") else { return };
    let refused = world.run(&["connect", "prod"]).succeeds();
    assert!(refused.text().contains("for its profiles"), "{refused:?}");
    let denied = world.run(&["exec", "--json", "--", "id"]).ends_with(255).json();
    assert_eq!(denied["error"], "policy_denied");
    assert!(denied["hint"].as_str().unwrap().contains("`runcode connect prod --request`"), "{denied}");
    let session = open(&world, &["--ttl", "200", "--idle", "100"]);
    for (name, value) in [
        ("mode", json!("unrestricted")),
        ("ttl_seconds", json!(200)),
        ("idle_seconds", json!(100)),
        ("environment", json!("production")),
        ("command", Value::Null),
        ("config", Value::Null),
        ("reused", json!(false)),
    ] {
        assert_eq!(session[name], value, "{name}: {session}");
    }
    let before = records(&world).len();
    assert_eq!(world.run(&["exec", "--", "echo it works"]).succeeds().text(), "it works\n");
    assert_eq!(world.run(&["run", "prod", "--", "exit 7"]).ends_with(7).text(), "");
    std::fs::write(world.home().join("local"), "content").unwrap();
    let there = world.home().join("there").display().to_string();
    world.run(&["put", "local", &there]).succeeds();
    world.run(&["get", &there, "--out", "back"]).succeeds();
    assert_eq!(std::fs::read_to_string(world.home().join("back")).unwrap(), "content");
    assert_eq!(world.run(&["shell"]).ends_with(0).status, 0);
    let denied = world.run(&["forward", "80", "--json"]).fails_as("policy_denied", 2).json();
    assert!(denied["hint"].as_str().unwrap().contains("allow_forwarding"), "{denied}");
    world.run(&["exec", "--detach", "--json", "--", "sleep 60"]).fails_as("policy_denied", 2);
    assert_eq!(
        world.run(&["exec", "--profile", "say", "--arg", "word=x"]).succeeds().text(),
        "ran\n<x>\n0\n"
    );
    // All of it is on record, with its command, and in this session.
    let all = records(&world);
    let expected = [
        "exec intent started",
        "exec outcome executed",
        "exec intent started",
        "exec outcome executed",
        "put intent started",
        "put outcome succeeded",
        "get intent started",
        "get outcome succeeded",
        "shell intent started",
        "shell outcome executed",
        "forward event denied",
        "job_start intent started",
        "job_start outcome failed",
        "run_execute intent started",
        "run_execute outcome executed",
    ];
    assert_eq!(said(&all[before..]), expected);
    assert!(all[before..].iter().all(|record| record["session_id"] == session["session_id"]));
    assert_eq!(all[before]["rendered_command"], "echo it works");
    let opening = all.iter().rev().find(|record| record["action"] == "session_open").unwrap();
    assert_eq!(
        (&opening["outcome"], &opening["approval"]["approvers"]),
        (&json!("succeeded"), &json!(["anna@example.com"]))
    );
    assert!(
        opening["certificate"]["key_id"].as_str().unwrap().starts_with("runcode:prod:session:"),
        "{opening}"
    );
    // The end of its time is shown.
    let end = &session["expires_at"];
    let status = world.run(&["status", "--json"]).succeeds().json();
    assert_eq!((&status[0]["expires_at"], &status[0]["mode"]), (end, &json!("unrestricted")));
    assert_eq!(&world.run(&["current", "--json"]).succeeds().json()["expires_at"], end);
    assert_eq!(&world.run(&["list", "--json"]).succeeds().json()[0]["approved_until"], end);
    assert_eq!(world.run(&["connect", "prod", "--json"]).succeeds().json()["reused"], true);
    assert_eq!(keepers(&world).len(), 1);
    world.run(&["disconnect"]).succeeds();
    assert_eq!(processes(&world), Vec::<String>::new());
    assert_eq!(actions(&world).last().unwrap(), "session_close event succeeded");
    is_over(world.run(&["run", "prod", "--json", "--", "id"]));
    let profile = world.run(&["run", "prod", "--profile", "say", "--json"]).ends_with(255).json();
    assert_eq!(profile["error"], "approval_required", "outside of a session each run needs its own");
}

#[test]
fn an_approval_opens_one_session() {
    let Some(world) = approvable("max_ttl_seconds = 400\n") else { return };
    let required = world.run(&["connect", "prod", "--approval", "AAAAAAAAAAAAAAAAAAAAAA", "--json"]);
    assert_eq!(required.fails_as("approval_invalid", 2).json()["why"], "malformed");
    let id = approval(&world, &["--ttl", "300"]);
    let open = |more: &[&str]| world.run(&[&["connect", "prod", "--approval", &id, "--json"], more].concat());
    let reason = |said: CommandOutput| said.fails_as("approval_invalid", 2).json()["why"].clone();
    assert_eq!(reason(open(&["--ttl", "301"])), "other_request");
    let profile = world.run(&["run", "prod", "--profile", "say", "--approval", &id, "--json"]);
    assert_eq!(why(profile), "other_request");
    for wrong in [&["--ttl", "401"][..], &["--idle", "3601"], &["--ttl", "0"]] {
        open(wrong).fails_as("usage", 2);
    }
    world.run(&["connect", "prod", "--ttl", "9", "--json"]).fails_as("usage", 2);
    world.run(&["connect", "prod", "--interactive", "--approval", &id, "--json"]).fails_as("usage", 2);
    assert!(!world.home().join("calls").exists(), "nothing was connected to");
    // Of twenty callers at once, one opens it.
    let callers = std::thread::scope(|scope| {
        let started = (0..20).map(|_| scope.spawn(|| open(&[]))).collect::<Vec<_>>();
        started.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
    });
    let (opened, refused): (Vec<_>, Vec<_>) = callers.into_iter().partition(|said| said.status == 0);
    assert_eq!(opened.len(), 1);
    assert!(refused.into_iter().all(|said| reason(said) == "used"));
    assert_eq!(keepers(&world).len(), 1);
    // A run's approval opens no session.
    let run =
        world.run(&["run", "server:prod", "--profile", "fail", "--arg", "status=0", "--request", "--json"]);
    let file = PathBuf::from(run.succeeds().json()["request"].as_str().unwrap());
    sign(&world, &file, "anna");
    let id = file.file_stem().unwrap().to_str().unwrap();
    let said = world.run(&["connect", "prod", "--approval", id, "--json"]);
    assert_eq!(reason(said), "other_request");
    assert_eq!(world.run(&["exec", "--", "echo stands"]).succeeds().text(), "stands\n");
    // Another session replaces the first, which ends.
    let first = keepers(&world);
    self::open(&world, &["--ttl", "100"]);
    assert_eq!(keepers(&world).len(), 1);
    assert_ne!(keepers(&world), first);
    assert_eq!(processes(&world).len(), 2, "its keeper and its connection");
}

/// The server refuses what the certificate does not permit, whichever client asks.
#[test]
fn forwards_need_the_owners_word() {
    let Some(world) = approvable("allow_forwarding = true\n") else { return };
    let permits = |world: &World| {
        let path = world.cache("srv-prod/id_ed25519-cert.pub");
        let shown = std::process::Command::new("ssh-keygen").arg("-Lf").arg(path).output().unwrap();
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.contains("Critical Options: (none)"), "{text}");
        text.lines()
            .map(str::trim)
            .filter(|line| line.starts_with("permit-"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    open(&world, &["--ttl", "4"]);
    assert_eq!(permits(&world), ["permit-port-forwarding", "permit-pty"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let said = world.run(&["forward", &port, "--local", "0", "--json"]).succeeds().json();
    let local = u16::try_from(said["forwards"][0]["local"].as_u64().unwrap()).unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", local)).is_ok());
    until("the end of the forward", || std::net::TcpStream::connect(("127.0.0.1", local)).is_err());
    until_gone(&world);
    let text = std::fs::read_to_string(file(&world)).unwrap();
    write(&world, &text.replace("allow_forwarding = true\n", ""));
    open(&world, &[]);
    assert_eq!(permits(&world), ["permit-pty"]);
    let config = world.cache("srv-prod/config");
    let mut ssh = std::process::Command::new("ssh");
    ssh.arg("-F").arg(config).args([
        "-o",
        "ControlPath=none",
        "-W",
        &format!("127.0.0.1:{port}"),
        "runcode-prod",
    ]);
    assert!(!ssh.output().unwrap().status.success());
    // A server with a new definition is another one.
    let text = std::fs::read_to_string(file(&world)).unwrap();
    write(&world, &text.replace("environment = \"production\"", "environment = \"other\""));
    is_over(world.run(&["exec", "--json", "--", "id"]));
}

/// The user's own ssh logs in, and a keeper still ends the session.
#[test]
fn a_session_needs_no_certificate() {
    let login = user();
    let servers = format!("[servers.prod]\nauth_method = \"ssh\"\nhost = \"box\"\n{RULES}");
    let Some(world) = with_servers(&servers) else { return };
    people(&world);
    let denied = world.run(&["run", "prod", "--json", "--", "id -un"]).ends_with(255).json();
    assert_eq!(denied["error"], "policy_denied");
    let hint = denied["hint"].as_str().unwrap();
    assert!(hint.contains("`runcode connect prod --request`"), "{denied}");
    open(&world, &["--ttl", "3"]);
    assert_eq!(world.run(&["exec", "--", "id -un"]).succeeds().text(), format!("{login}\n"));
    is_over(world.run(&["exec", "--json", "--", "sleep 60"]));
    until_gone(&world);
    assert!(actions(&world).contains(&"session_expire event expired".to_owned()));
    is_over(world.run(&["exec", "--json", "--", "id"]));
    // If nobody signs, any word is an approval.
    write(&world, &servers.replace("approvers = \"approvers\"\n", ""));
    let said = world.run(&["connect", "prod", "--approval", "CAB-1234", "--json"]).succeeds().json();
    assert_eq!(said["mode"], "unrestricted");
    let opening = records(&world).pop().unwrap();
    assert_eq!(
        (&opening["approval_reference"], &opening["approval"]["verified"]),
        (&json!("CAB-1234"), &json!(false))
    );
}
