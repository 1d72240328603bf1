//! A day of work through one process, in fast motion.

use serde_json::json;

use super::peer::Peer;
use crate::support::rough::{From, Rough};
use crate::support::{processes_with, until};

/// A call a minute.
const CALLS: usize = 24 * 60;

/// Memory is checked during this many calls at the beginning and at the end.
const SETTLED: usize = 200;

/// What a process holds.
#[derive(Debug)]
struct Held {
    fds: usize,
    threads: usize,
}

impl Held {
    fn of(pid: u32) -> Held {
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
        Held { fds: count("fd"), threads: count("task") }
    }

    /// Whether it is no more than `other`.
    fn is_within(&self, other: &Held) -> bool {
        self.fds <= other.fds && self.threads <= other.threads
    }
}

/// The memory of a process, in KiB, without the pages of its program: in a build for tests those alone are many.
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_day_of_calls_leaves_nothing() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    let rough = rough.connected();
    let world = &rough.world;
    std::fs::write(world.workspace().join("file"), "one\ntwo\n".repeat(500)).unwrap();
    // One heap for all threads: otherwise the number of heaps varies.
    let mut peer = Peer::with(world, &[], world.home(), |command| {
        command.env("MALLOC_ARENA_MAX", "1");
    });
    peer.initialize();
    let pid = peer.child.id();
    let home = world.home().to_str().unwrap();
    peer.call("list", json!({})).fine(); // the HTTP client keeps a few descriptors
    let (asked, idle, mut early) = (rough.asked(), Held::of(pid), None);
    let (mut before, mut after, mut peak) = (usize::MAX, usize::MAX, 0);
    let held_by_master = || Held::of(u32::try_from(rough.master()).unwrap());
    for call in 1..=CALLS {
        if call % 600 == 1 {
            // A session of 80 s has almost ended when it begins: each of the next calls renews it.
            world.run(&["disconnect"]).succeeds();
            rough.grants(|grants| grants.ttl = 80);
            world.run(&["connect", "1"]).succeeds();
        }
        rough.grants(|grants| grants.ttl = if call % 600 < 20 { 80 } else { 1800 });
        match call % 20 {
            1 => drop(peer.call("read", json!({ "path": "file", "offset": 990 })).fine()),
            2 => drop(peer.call("grep", json!({ "pattern": "two", "limit": 5 })).fine()),
            3 => assert_eq!(peer.call("exec", json!({ "argv": ["false"] })).facts()["exit_code"], 1),
            4 => {
                // Longer than what a result shows, and than what is in memory.
                let said = peer.call("exec", json!({ "command": "seq 60000; seq 9000 >&2" }));
                let id = said.facts()["id"].clone();
                peer.call("output", json!({ "id": id, "offset": -100 })).fine();
            }
            5 => {
                let id = peer.begin("exec", &json!({ "command": "sleep 600" }));
                peer.cancel(id);
            }
            6 => _ = peer.call("list", json!({})).json(),
            7 => assert_eq!(peer.call("read", json!({ "path": "none" })).code(), "not_found"),
            _ => {
                assert!(peer.call("exec", json!({ "command": "echo hi" })).fine().starts_with("hi\n[exit 0"))
            }
        }
        let memory = memory(pid);
        let first = if call <= SETTLED { &mut before } else { &mut after };
        *first = (*first).min(memory); // what rises and falls with a call is no leak
        peak = peak.max(memory);
        if call + SETTLED == CALLS {
            after = usize::MAX; // the last calls count
        }
        if call == SETTLED {
            until("what was cancelled is gone", || Held::of(pid).is_within(&idle));
            early = Some((held_by_master(), processes_with(home).len()));
        }
    }
    let (channels, processes) = early.unwrap();
    until("what was cancelled is gone", || Held::of(pid).is_within(&idle));
    until("no channel is left", || held_by_master().is_within(&channels));
    until("no process is left", || processes_with(home).len() <= processes);
    assert!(rough.asked() - asked >= 48, "{}", rough.asked() - asked);
    // What a leak of 2 KiB per call adds up to.
    assert!(peak <= 24 << 10 && after <= before + 2048, "{before} KiB, then {after} KiB, {peak} KiB at most");
    assert_eq!(peer.rest(), Vec::<serde_json::Value>::new());
}
