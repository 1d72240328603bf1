//! The helper for agents in sandboxes: when it runs, for whom, and with what.

use std::path::Path;

use serde_json::{Value, json};

use super::{Routed, call};
use crate::support::{CommandOutput, World, processes_with, until};

/// What the helper answers to whoever asks it to run `echo hi` on the workspace of this key, and what that prints.
fn asked(world: &World, key: &Value) -> (Vec<Value>, String) {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::OpenOptionsExt as _;
    const NONBLOCK: i32 = 0o4000;
    let slot = world.cache("helper/slot-0");
    let mut lock = None;
    until("the slot is ready", || {
        lock = None; // or it cannot be made ready
        let taken = File::open(slot.join("lock")).unwrap();
        taken.lock().unwrap();
        lock = Some(taken);
        slot.join("req").exists()
    });
    let end = |name: &str, writes: bool| {
        let mut options = File::options();
        options.read(!writes).write(writes).custom_flags(NONBLOCK).open(slot.join(name)).unwrap()
    };
    let (mut answers, mut output, _errors) = (end("end", false), end("out", false), end("err", false));
    let mut request = end("req", true);
    let token = format!("runcode-{}", "0".repeat(32));
    let line = json!({ "version": 1, "session": key, "text": "ZWNobyBoaQ==", "token": token, "private": null, "reads": false });
    request.write_all(format!("{line}\n").as_bytes()).unwrap();
    let (mut told, mut printed) = (Vec::new(), Vec::new());
    until("the helper has answered", || {
        let _ = answers.read_to_end(&mut told);
        told.ends_with(b"\n") && !told.ends_with(b"\"started\"}\n")
    });
    let _ = output.read_to_end(&mut printed);
    drop(lock);
    let lines = told.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answer = |line| serde_json::from_slice::<Value>(line).unwrap()["answer"].take();
    (lines.map(answer).collect(), String::from_utf8(printed).unwrap())
}

#[test]
fn only_opened_workspaces_are_served() {
    let it = Routed::new(World::with(|options| {
        let folder = options.workspaces[0].dir.clone();
        options.workspaces.push(runcode_gateway::WorkspaceSpec {
            running: true,
            ..runcode_gateway::WorkspaceSpec::new("other", &folder)
        });
    }));
    let beside = it.world.home().join("beside");
    std::fs::create_dir(&beside).unwrap();
    let at = |folder: &Path, arguments: &[&str]| {
        CommandOutput::of(it.world.command(arguments).current_dir(folder).output().unwrap()).succeeds()
    };
    at(&it.project, &["connect", "1", "--route", "--sandboxes"]);
    at(&beside, &["connect", "2", "--route"]);
    let key = |number: u32| {
        let files = std::fs::read_dir(it.world.cache("attachments")).unwrap().flatten();
        let kept =
            files.map(|file| serde_json::from_slice::<Value>(&std::fs::read(file.path()).unwrap()).unwrap());
        let kept = kept.into_iter().find(|kept| kept["workspace_id"] == number).unwrap();
        json!({ "workspace_id": number, "api_base": kept["api_base"] })
    };
    let (ours, theirs) = (key(1), key(2));
    assert_eq!(asked(&it.world, &ours), (vec![json!("started"), json!({ "status": 0 })], "hi\n".to_owned()));
    for refused in [theirs, json!({ "server": "prod" }), json!(null), json!("../x")] {
        let (answers, printed) = asked(&it.world, &refused);
        assert_eq!(answers[0]["failed"]["code"], "policy_denied", "{refused}");
        assert_eq!((answers.len(), printed), (1, String::new()));
    }
}

#[test]
fn the_helper_ends_with_what_it_serves() {
    let it = Routed::new(World::new());
    let at = |arguments: &[&str]| {
        CommandOutput::of(it.world.command(arguments).current_dir(&it.project).output().unwrap()).succeeds()
    };
    let (helpers, pid) = (|| helpers(&it.world), || pid(&it.world));
    for end in [
        &["route", "off"][..],
        &["route", "on"],
        &["connect", "1", "--route"],
        &["disconnect"],
        &["clean"],
        &["clean", "--all"],
    ] {
        at(&["connect", "1", "--route", "--sandboxes"]);
        assert_eq!(helpers().len(), 1, "{end:?}");
        let first = pid();
        at(&["connect", "1", "--route", "--sandboxes"]);
        assert_eq!((helpers().len(), pid()), (1, first), "one is enough");
        at(end);
        assert!(helpers().is_empty() && !it.world.cache("helper").exists(), "{end:?}");
    }
    // A hook starts it again, and it ends when its files are gone.
    at(&["connect", "1", "--route", "--sandboxes"]);
    let lost = rustix::process::Pid::from_raw(pid().unwrap()).unwrap();
    rustix::process::kill_process(lost, rustix::process::Signal::KILL).unwrap();
    until("it has ended", || helpers().is_empty());
    it.gate_of("Bash", &json!({ "command": "ls" })).succeeds();
    until("a hook has started another", || {
        helpers().len() == 1 && pid() != Some(lost.as_raw_nonzero().get())
    });
    std::fs::remove_dir_all(it.world.cache("helper")).unwrap();
    until("it has ended, too", || helpers().is_empty());
}

/// The processes of this world's helper.
fn helpers(world: &World) -> Vec<String> {
    let own = world.cache("").to_str().unwrap().trim_end_matches('/').to_owned();
    processes_with(&own).into_iter().filter(|line| line.contains("runcode helper")).collect()
}

/// The process id that the helper has noted.
fn pid(world: &World) -> Option<i32> {
    let text = std::fs::read_to_string(world.cache("helper/process")).unwrap_or_default();
    text.split(' ').next().unwrap_or_default().parse::<i32>().ok()
}

#[test]
fn no_helper_starts_unasked() {
    let it = Routed::new(World::new());
    let at = |arguments: &[&str]| it.world.run_in(&it.project, arguments);
    let is_none = || helpers(&it.world).is_empty() && !it.world.cache("helper").exists();
    assert!(is_none(), "connect --route");
    at(&["route", "on"]).succeeds();
    it.gate_of("Bash", &json!({ "command": "ls" })).succeeds();
    assert_eq!(at(&["connect", "1", "--route", "--json"]).succeeds().json()["sandboxes_reach_it"], false);
    assert!(is_none());
    at(&["connect", "1", "--sandboxes"]).ends_with(2);
    let opened = at(&["connect", "1", "--route", "--sandboxes", "--json"]).succeeds().json();
    assert_eq!((&opened["sandboxes_reach_it"], helpers(&it.world).len()), (&json!(true), 1));
    let again = at(&["connect", "1", "--json"]).succeeds().json();
    assert_eq!(again["sandboxes_reach_it"], true, "only the user ends it");
    at(&["route", "on"]).succeeds();
    assert!(is_none(), "route on without the flag");
    at(&["route", "on", "--sandboxes"]).succeeds();
    assert_eq!(helpers(&it.world).len(), 1);
}

/// A project's settings can set variables for the hook that starts the helper.
#[test]
fn the_helper_has_no_variable_of_a_project() {
    let it = Routed::new(World::new());
    it.world.run_in(&it.project, &["route", "on", "--sandboxes"]).succeeds();
    let first = pid(&it.world).unwrap();
    let process = rustix::process::Pid::from_raw(first).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    until("it has ended", || helpers(&it.world).is_empty());
    let set = [
        ("SSL_CERT_FILE", "/project/ca.pem"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("https_proxy", "http://127.0.0.1:9"),
        ("ALL_PROXY", "http://127.0.0.1:9"),
        ("RUNCODE_PROXY", "http://127.0.0.1:9"),
        ("RUNCODE_SERVERS", "/project/servers.toml"),
        ("RUNCODE_CLIENT", "project"),
        ("LD_LIBRARY_PATH", "/project"),
    ];
    let call = call("Bash", &json!({ "command": "ls" }), &it.project);
    let set = |command: &mut std::process::Command| {
        command.envs(set);
    };
    it.gate(set, &call).succeeds();
    until("the hook has started another", || pid(&it.world).is_some_and(|other| other != first));
    let process = format!("/proc/{}", pid(&it.world).unwrap());
    let environment = std::fs::read(format!("{process}/environ")).unwrap();
    let names = String::from_utf8(environment).unwrap();
    let names = names.split('\0').filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
    let names = names.filter(|name| !name.starts_with("RUNCODE_TEST_")).collect::<Vec<_>>();
    let allowed = "HOME PATH USER LOGNAME LANG LC_ALL TMPDIR XDG_CONFIG_HOME XDG_CACHE_HOME XDG_STATE_HOME \
                   XDG_RUNTIME_DIR SSH_AUTH_SOCK";
    let others = names.iter().filter(|name| !allowed.split_whitespace().any(|known| known == *name));
    // Not even the token: a variable names the control plane that it is for.
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(names.iter().any(|name| name == "HOME"));
    let arguments = std::fs::read_to_string(format!("{process}/cmdline")).unwrap();
    assert!(!arguments.contains("--servers") && !arguments.contains("--api-base"), "{arguments}");
}
