//! The audit log: what is about to run is there before it runs, what became of it afterwards.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::certified::certified;
use super::{with_servers, write};
use crate::mcp::peer::Peer;
use crate::support::{CommandOutput, World, until};

const GPU: &str = "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\nenvironment = \"staging\"\n";

pub(super) fn log(world: &World) -> PathBuf {
    world.home().join(".local/state/runcode/audit.jsonl")
}

/// The records that are in the log.
pub(super) fn records(world: &World) -> Vec<Value> {
    let text = std::fs::read_to_string(log(world)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Actions, phases and outcomes, as one word each.
pub(super) fn said(records: &[Value]) -> Vec<String> {
    let word = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    records
        .iter()
        .map(|it| format!("{} {} {}", word(it, "action"), word(it, "phase"), word(it, "outcome")))
        .collect()
}

pub(super) fn verified(world: &World) -> Value {
    world.run(&["audit", "verify", "--json"]).json()
}

#[test]
fn an_intent_is_there_before_its_command_runs() {
    let Some(world) = with_servers(GPU) else { return };
    let log = log(&world).display().to_string();
    for status in [0, 7, 255] {
        let script = format!("tail -n 1 '{log}'; exit {status}");
        let seen = world.run(&["run", "gpu", "--", &script]).ends_with(status);
        let intent = seen.json();
        assert_eq!(said(std::slice::from_ref(&intent)), ["exec intent started"]);
        assert_eq!((&intent["rendered_command"], &intent["seal"]), (&json!(script), &Value::Null));
        let last = records(&world).pop().unwrap();
        assert_eq!(said(std::slice::from_ref(&last)), ["exec outcome executed"]);
        assert_eq!((&last["intent"], &last["exit_code"]), (&intent["event_id"], &json!(status)));
        for (name, value) in [
            ("origin", json!("server")),
            ("server_alias", json!("gpu")),
            ("environment", json!("staging")),
            ("target", json!("-@box:-")),
            ("auth_method_kind", json!("ssh")),
            ("enforced", json!("none")),
            ("transport", json!("mux")),
        ] {
            assert_eq!((&intent[name], &last[name]), (&value, &value), "{name}");
        }
        assert_eq!(intent["command_sha256"].as_str().unwrap().len(), 64);
        assert!(last["duration_ms"].is_u64() && intent["os_user"].is_string() && intent["pid"].is_u64());
    }
    // Who says to act is told, as far as a name can be believed.
    let actor = |name: &str| {
        let mut command = world.command(&["run", "gpu", "--", "true"]);
        CommandOutput::of(command.env("RUNCODE_ACTOR", name).output().unwrap()).succeeds();
        records(&world).pop().unwrap()["actor"].clone()
    };
    assert_eq!(
        [actor("nightly job"), actor("a\u{1b}[2J"), actor("")],
        ["nightly job", "claude-code", "claude-code"]
    );
    assert_eq!(verified(&world)["open_intents"], json!([]));
}

#[test]
fn every_verb_on_a_server_is_on_record() {
    let Some(world) = with_servers(GPU) else { return };
    std::fs::write(world.home().join("local"), "content").unwrap();
    let there = world.home().join("there").display().to_string();
    let mut count = 0;
    for (words, expected) in [
        (&["connect", "gpu"][..], &["session_open intent started", "session_open outcome succeeded"][..]),
        (&["exec", "--", "true"], &["exec intent started", "exec outcome executed"]),
        (&["put", "local", &there], &["put intent started", "put outcome succeeded"]),
        (&["get", &there, "--out", "back"], &["get intent started", "get outcome succeeded"]),
        (&["write", &there], &["write intent started", "write outcome succeeded"]),
        (
            &["edit", &there, "--old", "local", "--new", ".config/runcode/servers.toml"],
            &["edit intent started", "edit outcome failed"],
        ),
        (&["context"], &["query intent started", "query outcome executed"]),
        (&["forward", "80", "--local", "0"], &["forward intent started", "forward outcome succeeded"]),
        (
            &["forward", "80", "--cancel"],
            &["forward_cancel intent started", "forward_cancel outcome succeeded"],
        ),
        (&["shell"], &["shell intent started", "shell outcome executed"]),
        (&["exec", "--timeout", "1", "--", "sleep 30"], &["exec intent started", "exec outcome failed"]),
        (
            &["exec", "--detach", "--name", "j", "--", "true"],
            &["job_start intent started", "job_start outcome succeeded"],
        ),
        (
            &["jobs", "output", "j", "--follow"],
            &["job_output intent started", "job_output outcome succeeded"],
        ),
        (&["jobs", "kill", "j"], &["job_kill intent started", "job_kill outcome succeeded"]),
        (&["jobs", "clean", "j"], &["job_clean intent started", "job_clean outcome succeeded"]),
        (&["disconnect"], &["session_close event succeeded"]),
    ] {
        world.run_with(words, b"@@@@@@@@@@ x");
        let all = records(&world);
        assert_eq!(said(&all[count..]), expected, "{words:?}");
        count = all.len();
    }
    let commands = records(&world);
    let commands =
        commands.iter().filter_map(|record| record["rendered_command"].as_str()).collect::<Vec<_>>();
    assert!(commands.contains(&&*format!("local {there}")), "{commands:?}");
    let listed = world.run(&["audit", "list", "--action", "put", "--json"]).succeeds().json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let listed = world.run(&["audit", "list", "--server", "gpu", "--since", "1h", "-n", "3"]).succeeds();
    assert_eq!(listed.text().lines().count(), 4, "{}", listed.text());
    assert!(listed.text().contains("session_close"));
    assert_eq!(verified(&world)["ok"], true);
}

#[test]
fn a_tool_of_mcp_is_on_record() {
    let Some(world) = with_servers(GPU) else { return };
    let mut peer = Peer::of(&world);
    peer.initialize();
    peer.call("exec", json!({ "workspace": "gpu", "argv": ["sh", "-c", "exit 3"] }));
    peer.call("read", json!({ "workspace": "gpu", "path": "/etc/hostname" }));
    assert_eq!(
        said(&records(&world)),
        ["exec intent started", "exec outcome executed", "read intent started", "read outcome succeeded"]
    );
    assert_eq!(records(&world)[1]["exit_code"], 3);
}

#[test]
fn a_killed_run_leaves_an_open_intent() {
    let Some(world) = with_servers(GPU) else { return };
    world.run(&["run", "gpu", "--", "true"]).succeeds();
    let mark = world.home().join("started").display().to_string();
    let mut command = world.command(&["run", "gpu", "--", &format!("touch '{mark}'; sleep 5")]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    until("the command has started", || std::path::Path::new(&mark).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((&verified(&world)["ok"], &verified(&world)["open_intents"]), (&json!(true), &json!([3])));
    world.run(&["run", "gpu", "--", "true"]).succeeds();
    assert_eq!(verified(&world)["open_intents"], json!([3]));
}

#[test]
fn twenty_runs_at_once_keep_one_chain() {
    let Some(world) = with_servers(GPU) else { return };
    world.run(&["run", "gpu", "--", "true"]).succeeds();
    let children = (0..20).map(|status| {
        let mut command = world.command(&["run", "gpu", "--", &format!("exit {status}")]);
        (status, command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    });
    for (status, mut child) in children.collect::<Vec<_>>() {
        assert_eq!(child.wait().unwrap().code(), Some(status));
    }
    let found = verified(&world);
    assert_eq!(
        (&found["ok"], &found["records"], &found["open_intents"]),
        (&json!(true), &json!(42), &json!([]))
    );
    let all = records(&world);
    let mut statuses = all[2..].iter().filter_map(|record| record["exit_code"].as_u64()).collect::<Vec<_>>();
    statuses.sort_unstable();
    assert_eq!(statuses, (0..20).collect::<Vec<_>>());
}

#[test]
fn nothing_runs_that_cannot_be_recorded() {
    let Some(world) = with_servers(GPU) else { return };
    let mark = world.home().join("ran");
    let touch = format!("touch '{}'", mark.display());
    let refused = |said: CommandOutput| {
        let said = said.fails_as("audit_failed", 255);
        assert!(said.json()["hint"].as_str().unwrap().contains("nothing was run"), "{said:?}");
        assert!(!mark.exists(), "it ran");
    };
    let run = || world.run(&["--json", "run", "gpu", "--", &touch]);
    world.run(&["run", "gpu", "--", "true"]).succeeds();
    world.run(&["connect", "gpu"]).succeeds();
    // A disk that is full: no file grows beyond what the log is long.
    let ours = world.command(&["--json", "run", "gpu", "--", &touch]);
    let mut full = Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(ours.get_program())
        .args(ours.get_args());
    full.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let before = std::fs::read(log(&world)).unwrap();
    assert!(before.len() > 1024);
    refused(CommandOutput::of(full.current_dir(world.home()).output().unwrap()));
    assert_eq!(std::fs::read(log(&world)).unwrap(), before);
    // A log that others may write, or that is none.
    let chmod =
        |mode: &str| assert!(Command::new("chmod").arg(mode).arg(log(&world)).status().unwrap().success());
    chmod("666");
    refused(run());
    chmod("600");
    // One that has lost its end: nothing goes on until somebody accepts that.
    let cut = before.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    std::fs::write(log(&world), cut).unwrap();
    refused(run());
    for words in [&["put", "ran", "x"][..], &["connect", "gpu"], &["shell"], &["forward", "80"]] {
        let said = world.run(&[&["--json"], words].concat());
        assert_eq!(said.json()["error"], "audit_failed", "{words:?}: {said:?}");
    }
    world.run(&["servers", "list"]).succeeds();
    world.run(&["list"]).succeeds();
    let found = world.run(&["audit", "verify", "--json"]).ends_with(1).json();
    assert_eq!(found["first_break"], json!({ "seq": 2, "reason": "tail_cut" }));
    world.run(&["audit", "seal", "--json"]).fails_as("audit_failed", 1);
    let key = world.run(&["audit", "seal", "--accept-loss", "--json"]).succeeds().json();
    assert_eq!(key["verification_key"].as_str().unwrap().len(), 43);
    run().succeeds();
    assert!(mark.exists());
    let found = verified(&world);
    assert_eq!((&found["ok"], &found["losses"]), (&json!(true), &json!([5])));
    // A folder stands where the log should.
    write(&world, &format!("[broker]\naudit_log_path = \"{}\"\n{GPU}", world.home().display()));
    std::fs::remove_file(&mark).unwrap();
    refused(run());
}

#[test]
fn tampering_is_found_and_named() {
    let Some(world) = with_servers(GPU) else { return };
    let key = world.run(&["audit", "seal", "--json"]).succeeds().json();
    let key = key["verification_key"].as_str().unwrap().to_owned();
    for word in ["one", "two", "three"] {
        world.run(&["run", "gpu", "--", "echo", word]).succeeds();
    }
    let whole = std::fs::read_to_string(log(&world)).unwrap();
    let lines = whole.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines.len(), 7);
    let head = verified(&world)["head"].as_str().unwrap().to_owned();
    let with_key = || world.run_with(&["audit", "verify", "--key-stdin", "--json"], key.as_bytes());
    assert_eq!(with_key().succeeds().json()["sealed"], "verified");
    assert_eq!(verified(&world)["sealed"], "unchecked");
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    let mut removed = lines.clone();
    removed.remove(3);
    let mut inserted = lines.clone();
    inserted.insert(3, lines[1].clone());
    let mut changed = lines.clone();
    changed[3] = changed[3].replace("echo two", "echo tow");
    for (name, lines, seq, reason) in [
        ("changed", changed, 4, "hash_mismatch"),
        ("swapped", swapped, 4, "sequence_gap"),
        ("removed", removed, 4, "sequence_gap"),
        ("inserted", inserted, 4, "sequence_gap"),
        ("cut", lines[..5].to_vec(), 6, "tail_cut"),
    ] {
        std::fs::write(log(&world), lines.join("\n") + "\n").unwrap();
        let found = world.run(&["audit", "verify", "--json"]).ends_with(1).json();
        assert_eq!(found["first_break"], json!({ "seq": seq, "reason": reason }), "{name}");
        let text = world.run(&["audit", "verify"]).ends_with(1);
        assert!(
            text.text().contains(reason) && text.text().contains(&format!("record {seq} ")),
            "{}",
            text.text()
        );
    }
    std::fs::remove_file(log(&world)).unwrap();
    let found = world.run(&["audit", "verify", "--json"]).ends_with(1).json();
    assert_eq!(found["first_break"]["reason"], "missing_file");
    std::fs::write(log(&world), &whole).unwrap();
    with_key().succeeds();
    // A head that was kept elsewhere, and one of another log.
    world.run(&["audit", "verify", "--head", &format!("7:{head}")]).succeeds();
    let said = world.run(&["audit", "verify", "--json", "--head", &format!("6:{head}")]).ends_with(1).json();
    assert_eq!(said["first_break"], json!({ "seq": 6, "reason": "anchor_mismatch" }));
    world.run(&["audit", "verify", "--json", "--head", "x"]).fails_as("usage", 2);
    world.run_with(&["audit", "verify", "--json", "--key-stdin"], b"x").fails_as("usage", 2);
}

#[test]
fn refusals_are_on_record_without_secrets() {
    let Some(world) = with_servers(
        "[servers.prod]\nauth_method = \"ssh\"\nhost = \"box\"\nallowed_profiles = [\"say\", \"gated\"]\n\
         [profiles.say]\nargv = [\"echo\", \"{{word}}\", \"{{key}}\"]\nargs.key = { secret = true, default = \"hunter2\" }\n\
         args.word = { max = 40 }\n[profiles.gated]\ntemplate = \"true\"\nrequires_approval = true\n",
    ) else {
        return;
    };
    let run = |words: &[&str]| world.run(&[&["run", "prod"], words].concat());
    run(&["--profile", "say", "--arg", "word=PASSWORD=hunter2"]).succeeds();
    run(&["--profile", "other"]).ends_with(255);
    run(&["--profile", "say"]).ends_with(255);
    run(&["--profile", "gated"]).ends_with(255);
    run(&["--profile", "gated", "--approval", "TICKET-1"]).succeeds();
    run(&["--", "psql", "--password=hunter2"]).ends_with(255);
    let plan = run(&["--profile", "say", "--arg", "word=x", "--plan", "--json"]).succeeds().json();
    assert_eq!(plan["audit_log"], log(&world).to_str().unwrap());
    let all = records(&world);
    assert_eq!(
        said(&all),
        [
            "run_execute intent started",
            "run_execute outcome executed",
            "run_execute event denied",
            "run_execute event invalid",
            "run_execute event blocked",
            "run_execute intent started",
            "run_execute outcome executed",
            "exec event denied",
            "run_plan event planned"
        ]
    );
    assert_eq!(all[0]["args"], json!({ "key": "[redacted]", "word": "PASSWORD=[redacted]" }));
    assert_eq!((&all[0]["profile"], &all[0]["command_sha256"]), (&json!("say"), &Value::Null));
    assert_eq!((&all[2]["profile"], &all[5]["approval_reference"]), (&json!("other"), &json!("TICKET-1")));
    assert_eq!(
        (&all[5]["approval"]["verified"], &all[5]["requires_approval"]),
        (&json!(false), &json!(true))
    );
    assert!(!std::fs::read_to_string(log(&world)).unwrap().contains("hunter2"));
    assert_eq!(verified(&world)["ok"], true);
}

#[test]
fn a_certificate_names_the_record() {
    let Some(world) = certified("") else { return };
    world.run(&["run", "prod", "--profile", "fail", "--arg", "status=7"]).ends_with(7);
    let all = records(&world);
    assert_eq!(said(&all), ["run_execute intent started", "run_execute outcome executed"]);
    let (event, used) = (all[0]["event_id"].as_str().unwrap(), &all[1]["certificate"]);
    assert_eq!(used["key_id"], format!("runcode:prod:fail:claude-code:{event}"));
    assert!(used["serial"].is_string() && used["valid_before"].is_string(), "{used}");
    assert!(used["ca"].as_str().unwrap().starts_with("SHA256:"), "{used}");
    assert_eq!((&all[1]["signer"], &all[1]["enforced"]), (&json!("ca"), &json!("key")));
    assert_eq!((&all[1]["exit_code"], &all[1]["transport"]), (&json!(7), &json!("openssh")));
}

#[test]
fn an_export_is_the_log_and_its_head() {
    let Some(world) = with_servers(GPU) else { return };
    world.run(&["run", "gpu", "--", "echo \"a,b\""]).succeeds();
    let export = world.run(&["audit", "export"]).succeeds();
    let (lines, end) = export.text().trim_end().rsplit_once('\n').unwrap();
    assert_eq!(format!("{lines}\n"), std::fs::read_to_string(log(&world)).unwrap());
    let end = serde_json::from_str::<Value>(end).unwrap();
    assert_eq!((&end["export"]["head"], &end["export"]["last_seq"]), (&verified(&world)["head"], &json!(2)));
    let head = format!("2:{}", end["export"]["head"].as_str().unwrap());
    world.run(&["audit", "verify", "--head", &head]).succeeds();
    let csv = world.run(&["audit", "export", "--format", "csv"]).succeeds();
    assert_eq!(csv.text().lines().count(), 4);
    assert!(csv.text().starts_with("\"v\",\"seq\",\"event_id\"") && csv.text().contains(r#""echo ""a,b""""#));
    // A log from elsewhere can be looked at as well.
    let copy = world.home().join("copy.jsonl");
    std::fs::write(&copy, format!("{lines}\n")).unwrap();
    let listed = world.run(&["audit", "list", "--log", copy.to_str().unwrap(), "--json"]).succeeds().json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[test]
fn other_workspaces_are_recorded_on_request() {
    let worlds = [Some((World::new().connected(), "plane")), World::own_host().map(|world| (world, "ssh"))];
    for (world, origin) in worlds.into_iter().flatten() {
        if origin == "ssh" {
            world.run(&["connect", "ssh:box"]).succeeds();
        }
        world.run(&["exec", "-n", "--", "true"]).succeeds();
        write(&world, "[broker]\ncert_ttl_seconds = 60\n");
        world.run(&["exec", "-n", "--", "true"]).succeeds();
        assert!(!log(&world).exists() && !log(&world).parent().unwrap().exists(), "nobody asked for a log");
        write(&world, "[broker]\naudit_all = true\naudit_anchor = \"anchor\"\n");
        world.run(&["exec", "-n", "--", "exit 7"]).ends_with(7);
        let all = records(&world);
        assert_eq!(said(&all), ["exec intent started", "exec outcome executed"]);
        assert_eq!((&all[1]["origin"], &all[1]["exit_code"]), (&json!(origin), &json!(7)));
        let target = all[1]["target"].as_str().unwrap_or("-");
        assert_eq!(target.starts_with("http://"), origin == "plane", "{target}");
        let anchor = super::file(&world).with_file_name("anchor");
        let heads = std::fs::read_to_string(&anchor).unwrap();
        let head =
            format!("uid={} 2:{}", all[1]["os_user"].as_str().unwrap(), all[1]["hash"].as_str().unwrap());
        assert_eq!(heads.lines().last().unwrap(), head);
        let anchor = anchor.to_str().unwrap();
        world.run(&["audit", "verify", "--anchor", anchor]).succeeds();
        // Both the log and its state were put back to what they were before.
        std::fs::remove_dir_all(log(&world).parent().unwrap()).unwrap();
        let found = world.run(&["audit", "verify", "--anchor", anchor, "--json"]).ends_with(1).json();
        assert_eq!(found["first_break"]["reason"], "anchor_mismatch");
    }
}
