//! A certificate's text: what is taken is one line of visible ASCII for our key and user.
#![no_main]
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use runcode::grant::{Certificate, SshUser};

const KEY: &str = include_str!("../certificate_key.pub");

fuzz_target!(|text: &str| {
    let key = ssh_key::PublicKey::from_openssh(KEY).unwrap();
    let user = SshUser::parse("box").unwrap();
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let Ok(certificate) = Certificate::parse(text, &key, &user, now, Duration::from_secs(1800)) else {
        return;
    };
    let line = certificate.as_str();
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    assert_eq!(line.split(' ').count(), 2);
    let parsed = ssh_key::Certificate::from_openssh(line).unwrap();
    assert!(parsed.public_key() == key.key_data() && parsed.valid_principals() == ["box"]);
    assert!((1..=1800).contains(&certificate.expires_at().seconds_left(now)));
});
