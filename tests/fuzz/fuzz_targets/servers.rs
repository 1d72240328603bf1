//! servers.toml: what is no issue is a server whose every value can stand in ssh's arguments; no value is in an issue.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::grant::Destination;
use runcode::origin::servers::{AuthMethod, Config, File, MOST_HOPS};
use runcode::sys::trusted_file::Owner;

fuzz_target!(|text: &str| {
    let mut config = Config::default();
    let issues = config.add(file("f"), text);
    assert!(issues.len() <= 101);
    let lines = text.split('\n').count();
    for issue in &issues {
        assert!(issue.line <= lines && !issue.message.contains("hunter2"), "{issue}");
    }
    // Who says something a second time is told so, and changes nothing.
    let first = config.clone();
    let again = config.add(file("g"), text);
    for (server, file) in first.servers() {
        let (same, place) = config.server(&server.name).unwrap();
        assert!(same == server && place == file);
        assert!(!again.is_empty(), "{}", server.name);
        assert!(!server.method.host().starts_with('-') && server.method.host().is_ascii());
        if let (Ok(()), AuthMethod::Ssh(destination)) = (config.usable(server), &server.method) {
            assert_eq!(Destination::parse(destination.as_str()).as_ref(), Ok(destination));
            assert!(server.policy.restrictions.is_empty());
            // Nothing would ask for an approval on a server without profiles and approved sessions.
            let policy = &server.policy;
            let asks = !policy.profiles.is_empty() || policy.unrestricted_sessions;
            assert!(!policy.requires_approval || asks);
        }
        // No way through others is endless, or passes one that a certificate does not open.
        let hops = config.hops_to(server);
        assert!(hops.len() <= MOST_HOPS && hops.iter().all(|hop| hop.name != server.name));
        assert!(hops.iter().all(|hop| matches!(hop.method, AuthMethod::Certificate(_))));
        for words in [&server.power.start, &server.power.stop, &server.power.state].into_iter().flatten() {
            assert!((1..=64).contains(&words.len()) && words.iter().all(|word| !word.contains('\0')));
        }
        let known_hosts = server.host_keys.as_ref().map(|pins| pins.known_hosts("h"));
        assert!(known_hosts.is_none_or(|text| text.lines().all(|line| line.split(' ').count() <= 4)));
    }
});

fn file(path: &str) -> File {
    File { given: path.into(), path: path.into(), owner: Owner::User }
}
