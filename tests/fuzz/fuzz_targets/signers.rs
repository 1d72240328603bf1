//! Answers from remote signers: they give a certificate only if it is exactly what was asked for, and no message controls the terminal.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::error::Result;
use runcode::signer::{Order, Signer, certificate, step_ca, vault, words};
use ssh_key::public::KeyData;

const KEY: &str = include_str!("../certificate_key.pub");
/// 2026-01-01T00:00:00Z, when the seeds are valid.
const NOW: u64 = 1_767_225_600;
const FORCED: &str = "exec sh -c x runcode 'df -h'";

/// Answers with this line.
struct Answer(String);

impl Signer for Answer {
    fn authority(&self) -> Option<KeyData> {
        None
    }

    fn sign(&self, _: &Order<'_>) -> Result<String> {
        Ok(self.0.clone())
    }
}

fuzz_target!(|body: &[u8]| {
    let key = ssh_key::PublicKey::from_openssh(KEY).unwrap();
    let order = Order {
        server: "prod",
        profile: "disk",
        key: key.key_data(),
        principal: "box",
        ttl: 120,
        key_id: "runcode:prod:disk",
        force_command: FORCED,
        extensions: &[],
        source_address: "",
        now: NOW,
    };
    for line in [vault::signed(body), step_ca::signed(body)].into_iter().flatten() {
        let Ok(found) = certificate(&Answer(line), &order, &|| NOW) else { continue };
        let parsed = ssh_key::Certificate::from_openssh(found.as_str()).unwrap();
        assert!(parsed.public_key() == key.key_data() && parsed.valid_principals() == ["box"]);
        let options = parsed.critical_options().iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert!(options.eq([("force-command", FORCED)]) && parsed.extensions().is_empty());
        assert!((NOW + 1..=NOW + 180).contains(&parsed.valid_before()));
    }
    if let Some(words) = words(body) {
        assert!(words.starts_with('"') && words.ends_with('"') && !words.chars().any(char::is_control));
        assert!(words.chars().filter(|letter| *letter == '"').count() == 2 && words.chars().count() <= 310);
    }
    let id = step_ca::provisioners(body).and_then(|page| page.key_of("agents").map(str::to_owned));
    assert!(id.is_none_or(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))));
    assert!(step_ca::root(body, &"0".repeat(64)).is_none());
    let _ = (step_ca::user_key(body), step_ca::encrypted(body));
});
