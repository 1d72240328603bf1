//! A certificate's text: what is accepted is one line of visible ASCII for our key and user.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode_sshcert::{Certificate, Expected};

const KEY: &str = include_str!("../certificate_key.pub");
/// 2026-01-01T00:00:00Z, when the seeds are valid.
const NOW: u64 = 1_767_225_600;

fuzz_target!(|text: &str| {
    let key = ssh_key::PublicKey::from_openssh(KEY).unwrap();
    let expected = Expected {
        key: key.key_data(),
        principal: "box",
        now: NOW,
        skew: 300,
        longest: Some(1800),
        critical_options: &["source-address"],
        authority: None,
    };
    let Ok(certificate) = Certificate::parse(text) else { return };
    let line = certificate.as_str();
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    assert_eq!(line.split(' ').count(), 2);
    assert_eq!(Certificate::parse(line).as_ref(), Ok(&certificate));
    if certificate.check(&expected).is_ok() {
        let parsed = ssh_key::Certificate::from_openssh(line).unwrap();
        assert!(parsed.public_key() == key.key_data() && parsed.valid_principals() == ["box"]);
        assert!((NOW + 1..=NOW + 2100).contains(&certificate.valid_before()));
    }
});
