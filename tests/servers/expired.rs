//! How approved sessions end: at their time, unused, or ended by somebody, whatever is killed and however the clock is set.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::approved::{actions, approvable, approval, is_over, keepers, open, processes, until_gone};
use super::audit::records;
use crate::support::{CommandOutput, World, processes_with, until};

/// Whether this command runs anywhere on this machine, apart from runcode's own command lines.
fn runs(command: &str) -> bool {
    processes_with(command)
        .iter()
        .any(|line| !line.contains("runcode exec") && !line.contains("runcode\0exec"))
}

/// Changes what the session remembers, as if somebody had set the clock.
fn amend(world: &World, name: &str, change: impl Fn(jiff::Timestamp) -> jiff::Timestamp) {
    let path = world.cache("srv-prod/meta.json");
    let mut meta: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let before: jiff::Timestamp = meta[name].as_str().unwrap().parse().unwrap();
    meta[name] = change(before).to_string().into();
    let next = path.with_file_name("next");
    std::fs::write(&next, meta.to_string()).unwrap();
    std::fs::rename(next, path).unwrap();
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn ended(child: Child) -> CommandOutput {
    CommandOutput::of(child.wait_with_output().unwrap())
}

#[test]
fn a_session_ends_at_its_time() {
    let Some(world) = approvable("") else { return };
    let session = open(&world, &["--ttl", "2"]);
    let mark = format!("8{}", std::process::id());
    let running = world.command(&["exec", "--json", "--", &format!("sleep {mark}")]).spawn().unwrap();
    let mut shell = world.command(&["shell", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    let _open = shell.stdin.take(); // at whose end the shell would end by itself
    until("the command", || runs(&format!("sleep {mark}")));
    // Nobody uses it any more.
    is_over(ended(running));
    is_over(ended(shell));
    until_gone(&world);
    until("the end of what ran there", || !runs(&format!("sleep {mark}")));
    let all = records(&world);
    let expiry = all.iter().find(|record| record["action"] == "session_expire").unwrap();
    assert_eq!((&expiry["outcome"], &expiry["session_id"]), (&json!("expired"), &session["session_id"]));
    let at = |record: &Value| record["occurred_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let end: jiff::Timestamp = session["expires_at"].as_str().unwrap().parse().unwrap();
    let late = at(expiry).duration_since(end).as_secs();
    assert!((-1..=5).contains(&late), "{late} s after its time");
    is_over(world.run(&["exec", "--json", "--", "id"]));
    world.run(&["put", "calls", "x", "--json"]).fails_as("session_expired", 2);
    assert_eq!(world.run(&["status", "--json"]).succeeds().json(), json!([]));
    assert_eq!(world.run(&["list", "--json"]).succeeds().json()[0]["approved_until"], Value::Null);
    assert_eq!(actions(&world).iter().filter(|it| it.starts_with("session_expire ")).count(), 1);
    // A day later it is forgotten.
    let ended = world.cache("srv-prod.ended");
    let text = std::fs::read_to_string(&ended).unwrap();
    let mut told: Value = serde_json::from_str(&text).unwrap();
    told["at"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&ended, told.to_string()).unwrap();
    assert_eq!(world.run(&["exec", "--json", "--", "id"]).ends_with(255).json()["error"], "policy_denied");
}

#[test]
fn an_unused_session_ends_and_a_used_one_stands() {
    let Some(world) = approvable("") else { return };
    open(&world, &["--idle", "1"]);
    // Longer than that without another command, but not without any.
    assert_eq!(world.run(&["exec", "--", "sleep 2.5; echo done"]).succeeds().text(), "done\n");
    until_gone(&world);
    let expiry = records(&world).pop().unwrap();
    assert_eq!(expiry["action"], "session_expire");
    assert!(expiry["message"].as_str().unwrap().contains("no command ran"), "{expiry}");
    is_over(world.run(&["exec", "--json", "--", "id"]));
}

#[test]
fn each_end_of_a_session_ends_its_keeper() {
    let Some(world) = approvable("power.stop = [\"true\"]\n") else { return };
    let mark = format!("7{}", std::process::id());
    for end in [
        &["disconnect"][..],
        &["clean", "prod"],
        &["clean", "--all"],
        &["stop", "prod"],
        &["stop", "prod", "--keep"],
        &["logout", "--all"],
    ] {
        open(&world, &[]);
        let running = world.command(&["exec", "--json", "--", &format!("sleep {mark}")]).spawn().unwrap();
        until("the command", || runs(&format!("sleep {mark}")));
        // There, no project contains the file.
        world.run_in(&world.workspace(), end).succeeds();
        assert_eq!(keepers(&world), Vec::<i32>::new(), "{end:?}");
        assert_eq!(ended(running).status, 255, "{end:?}");
        until("the end of what ran", || !runs(&format!("sleep {mark}")));
        let ends = actions(&world);
        assert!(ends.iter().any(|it| it == "session_close event succeeded"), "{end:?}: {ends:?}");
    }
    assert!(!actions(&world).iter().any(|it| it.starts_with("session_expire")));
    // If only detached, it stays, and ends by itself.
    open(&world, &["--idle", "1"]);
    world.run(&["disconnect", "--keep"]).succeeds();
    assert_eq!(world.run(&["run", "prod", "--", "echo kept"]).succeeds().text(), "kept\n");
    until_gone(&world);
}

/// Whoever can kill the keeper gains nothing but the end of the session.
#[test]
fn a_session_without_its_keeper_is_over() {
    let Some(world) = approvable("") else { return };
    open(&world, &[]);
    kill(keepers(&world)[0]);
    until("the end of the keeper", || keepers(&world).is_empty());
    is_over(world.run(&["exec", "--json", "--", "id"]));
    assert_eq!((processes(&world), world.cache("srv-prod").exists()), (vec![], false));
    assert_eq!(actions(&world).iter().filter(|it| it.starts_with("session_expire ")).count(), 1);
    // What runs then ends when its time is up, as long as its client lives.
    open(&world, &["--ttl", "2"]);
    let running = world.command(&["exec", "--json", "--", "sleep 6111"]).spawn().unwrap();
    until("the command", || runs("sleep 6111"));
    kill(keepers(&world)[0]);
    is_over(ended(running));
    is_over(world.run(&["exec", "--json", "--", "id"]));
    // If nobody comes, the connection ends by itself.
    open(&world, &["--idle", "1"]);
    kill(keepers(&world)[0]);
    until("the end of the connection", || processes(&world).is_empty());
    is_over(world.run(&["exec", "--json", "--", "id"]));
}

/// Whoever stops the keeper does not lengthen the time without a command.
#[test]
fn a_stopped_keeper_lengthens_no_idle_time() {
    let Some(world) = approvable("") else { return };
    open(&world, &["--idle", "5"]);
    let keeper = rustix::process::Pid::from_raw(keepers(&world)[0]).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::STOP).unwrap();
    let used = std::fs::File::options().write(true).open(world.cache("srv-prod/used")).unwrap();
    used.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(7)).unwrap();
    is_over(world.run(&["exec", "--json", "--", "id"]));
    assert_eq!((keepers(&world), processes(&world)), (vec![], vec![]));
}

/// A client that is killed while it opens a session leaves none that lasts.
#[test]
fn a_client_may_be_killed_at_any_step() {
    let Some(world) = approvable("") else { return };
    let ssh = world.home().join("ssh");
    let usual = std::fs::read_to_string(&ssh).unwrap();
    let (hangs, goes_on) = (world.home().join("hangs"), world.home().join("goes-on"));
    // Before the connection, and once it is up: the ssh in the background, which serves, and the one that the client waits for.
    let wait =
        format!("touch '{}'; until [ -e '{}' ]; do sleep 0.02; done", hangs.display(), goes_on.display());
    let (first, rest) = usual.split_once('\n').unwrap();
    for before in [true, false] {
        let id = approval(&world, &["--idle", "1"]);
        let text = match before {
            true => format!("{first}\n{wait}\n{rest}"),
            false => format!("{first}\n{}\n{wait}\n", rest.replace("exec ", "")),
        };
        std::fs::write(&ssh, text).unwrap();
        let child =
            world.command(&["connect", "prod", "--approval", &id, "--idle", "1", "--json"]).spawn().unwrap();
        until("ssh", || hangs.exists());
        assert_eq!(keepers(&world).len(), 1, "there is a keeper before there is a connection");
        kill(child.id().cast_signed());
        ended(child);
        std::fs::write(&goes_on, "").unwrap();
        until_gone(&world);
        assert_eq!(actions(&world).last().unwrap(), "session_expire event expired");
        std::fs::write(&ssh, &usual).unwrap();
        let again = world.run(&["connect", "prod", "--approval", &id, "--idle", "1", "--json"]);
        assert_eq!(again.fails_as("approval_invalid", 2).json()["why"], "used");
        for file in [&hangs, &goes_on] {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn no_clock_lengthens_a_session() {
    let Some(world) = approvable("") else { return };
    let hour = jiff::SignedDuration::from_hours(1);
    // The clock is set forward: all of its time is past.
    open(&world, &[]);
    amend(&world, "expires_at", |end| end.checked_sub(hour).unwrap());
    until_gone(&world);
    is_over(world.run(&["exec", "--json", "--", "id"]));
    // It is set back: its beginning is in the future.
    open(&world, &[]);
    amend(&world, "granted_at", |begin| begin.checked_add(hour).unwrap());
    is_over(world.run(&["exec", "--json", "--", "id"]));
    until_gone(&world);
    // It is set back by less: the keeper also uses a clock that nobody can set.
    open(&world, &["--ttl", "2"]);
    amend(&world, "expires_at", |end| end.checked_add(hour).unwrap());
    until_gone(&world);
}
