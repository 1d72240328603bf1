//! Servers that want a person: it logs in once, and the agent rides.

use super::{with_servers, write};
use crate::ssh_hosts::login::{lock, rides};
use crate::support::World;

#[test]
fn a_person_logs_in_to_a_server_once() {
    let Some(world) = World::server().and_then(lock) else { return };
    rides(&world, "box", "box");
    let status = world.run(&["status", "--json"]).succeeds().json();
    assert_eq!((&status[0]["origin"], &status[0]["name"]), (&"server".into(), &"box".into()), "{status}");
    // What the file says meanwhile makes another session of it: nobody rides on a login to somewhere else.
    write(&world, "[servers.box]\nauth_method = \"ssh\"\nhost = \"box\"\nport = 1\n");
    let said = world.run(&["exec", "--", "true"]).ends_with(255);
    assert!(said.stdout.is_empty(), "{said:?}");
}

#[test]
fn a_server_that_nobody_named_has_a_next_step() {
    let Some(world) = with_servers("") else { return };
    for arguments in
        [&["connect", "server:gpu"][..], &["servers", "pin", "gpu"], &["servers", "check", "gpu"]]
    {
        let said = world.run(&[arguments, &["--json"]].concat()).fails_as("not_found", 2).json();
        assert!(said["hint"].as_str().is_some_and(|hint| hint.contains("servers init")), "{said}");
    }
    std::fs::remove_file(super::file(&world)).unwrap();
    let said = world.run(&["connect", "server:gpu", "--json"]).fails_as("not_found", 2).json();
    assert!(said["hint"].as_str().is_some_and(|hint| hint.contains("servers init")), "{said}");
}
