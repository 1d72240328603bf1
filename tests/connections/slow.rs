//! Workspaces whose shells take long to start.

use std::time::{Duration, Instant};

use crate::support::World;

/// A host of one's own whose login shell takes as long.
#[test]
fn own_hosts_may_be_as_slow() {
    let Some(mut world) = World::own_host() else { return };
    let slow = "ForceCommand sleep 17; eval \"$SSH_ORIGINAL_COMMAND\"\n";
    world.own_sshd().restart_with(slow);
    world.run(&["connect", "box", "--wait", "--timeout", "50"]).succeeds();
}

/// Longer than an answer is waited for before another command asks beside the first.
#[test]
fn slow_start_up_files_are_waited_for() {
    let world = World::new();
    std::fs::write(world.workspace().join(".bashrc"), "sleep 17\n").unwrap();
    let began = Instant::now();
    world.run(&["connect", "box", "--wait", "--timeout", "50"]).succeeds();
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    world.run(&["disconnect"]).succeeds();
    std::fs::write(world.workspace().join(".bashrc"), "sleep 60\n").unwrap();
    let began = Instant::now();
    world.run(&["connect", "box", "--wait", "--timeout", "3", "--json"]).fails_as("not_ready", 1);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
