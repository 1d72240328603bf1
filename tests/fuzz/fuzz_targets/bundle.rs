//! A bundle's bytes become a session's config and pins, or a refusal; whatever is rendered says what we meant and no more.
#![no_main]
use std::path::Path;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use runcode::origin::hosted::bundle::{Asked, validate};
use runcode::grant::{Credential, Trust};
use runcode::openssh::config::{HostKeys, Login, SessionConfig};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK";

fuzz_target!(|json: &str| {
    let key = ssh_key::PublicKey::from_openssh(KEY).unwrap();
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let ttl = Duration::from_secs(1800);
    let Ok(grant) = validate(json, &Asked { workspace: 7, key: &key, ttl, now }) else { return };
    assert!(grant.lifetime.seconds_left(now).is_some_and(|left| (1..=1800).contains(&left)));
    let Credential::Key { gateway, .. } = grant.credential else { panic!("a control plane grants our own key") };
    let Trust::Pinned(pins) = gateway.trust else { panic!("a control plane's gateway is pinned") };
    let alias = format!("runcode-{}", gateway.endpoint.user);
    let config = SessionConfig {
        alias: &alias,
        endpoint: &gateway.endpoint,
        login: Login::Key { identity: Path::new("/c/id"), certificate: None },
        host_keys: HostKeys::Pinned { known_hosts: Path::new("/c/known_hosts"), alias: "runcode-ws-1" },
        control_path: Some(Path::new("/c/master")),
        through: None,
        hop: None,
    };
    let text = String::from_utf8(config.render().unwrap()).unwrap();
    for (number, line) in text.lines().enumerate() {
        let words = line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>();
        assert_eq!(words.len(), 2, "{line}");
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
        assert_eq!(number == 0, words[0] == "Host", "{line}");
        assert!(
            !words[0].eq_ignore_ascii_case("include") && !words[0].eq_ignore_ascii_case("match"),
            "{line}"
        );
    }
    assert!(text.contains("\n    ProxyCommand none\n") && text.contains("\n    StrictHostKeyChecking yes\n"));
    for line in pins.known_hosts("runcode-ws-1").lines() {
        let words = line.split(' ').collect::<Vec<_>>();
        assert!(words.len() == 3 && words[0] == "runcode-ws-1", "{line}");
    }
    assert!(!grant.workdir.unwrap().as_str().contains(['\'', '"', '$', '`', '\\', ' ', '\n', ';', '&', '|']));
    if let Some(url) = grant.web_url {
        assert!(!url.to_string().contains(['?', '#', '\u{1b}', '\n']));
    }
});
