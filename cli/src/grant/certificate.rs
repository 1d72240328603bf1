//! User certificates (OpenSSH PROTOCOL.certkeys).

use std::time::Duration;

use jiff::Timestamp;
use ssh_key::PublicKey;
use ssh_key::certificate::CertType;
use ssh_key::public::KeyData;

use crate::grant::endpoint::SshUser;
use crate::grant::expiry::Expiry;

/// How far a certificate authority's clock may be from ours, and how early it may date a certificate.
const SKEW: Duration = Duration::from_secs(300);

/// The critical options that a client understands and that leave a session usable.
const KNOWN_OPTIONS: [&str; 1] = ["source-address"];

/// A certificate for our key, as one line without comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    line: String,
    expires_at: Expiry,
}

impl Certificate {
    /// Parses a certificate that must be: one line, of user type, for `key`, for exactly the principal `user`,
    /// valid now, for no longer than `ttl`, and without critical options that we do not know.
    pub fn parse(
        text: &str,
        key: &PublicKey,
        user: &SshUser,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Certificate, &'static str> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.chars().any(char::is_control) {
            return Err("is not one line");
        }
        let mut certificate = ssh_key::Certificate::from_openssh(text).map_err(|_| "is not a certificate")?;
        if certificate.cert_type() != CertType::User {
            return Err("is not a user certificate");
        }
        if certificate.public_key() != key.key_data() {
            return Err("is for another key");
        }
        if certificate.valid_principals() != [user.as_str()] {
            return Err("is not for exactly this user");
        }
        let now_unix = u64::try_from(now.as_second()).unwrap_or(0);
        if certificate.valid_after() > now_unix + SKEW.as_secs() || certificate.valid_before() <= now_unix {
            return Err("is not valid now");
        }
        if certificate.valid_before() > now_unix + ttl.as_secs() + SKEW.as_secs() {
            return Err("is valid for longer than was asked for");
        }
        if certificate.critical_options().keys().any(|option| !KNOWN_OPTIONS.contains(&option.as_str())) {
            return Err("has a critical option that is not known here");
        }
        // ssh drops a certificate with a wrong signature without a word. RSA is not checked here, only there.
        let is_rsa = matches!(certificate.signature_key(), KeyData::Rsa(_));
        if !is_rsa && certificate.verify_signature().is_err() {
            return Err("is not signed by the key that it names");
        }
        let expires_at = Expiry::from_unix(certificate.valid_before(), now, ttl)?;
        certificate.set_comment("");
        let line = certificate.to_openssh().map_err(|_| "is not a certificate")?;
        Ok(Certificate { line: line.trim_end().to_owned(), expires_at })
    }

    /// The certificate's line, `ssh-ed25519-cert-v01@openssh.com AAAA…`.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// When it ends.
    pub fn expires_at(&self) -> Expiry {
        self.expires_at
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use ssh_key::certificate::Builder;
    use ssh_key::{Algorithm, PrivateKey};

    const NOW: u64 = 1_800_000_000;
    const TTL: Duration = Duration::from_secs(1800);

    fn key() -> PrivateKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
    }

    fn signed(key: &PrivateKey, after: u64, before: u64, change: impl FnOnce(&mut Builder)) -> String {
        let mut builder = Builder::new_with_random_nonce(
            &mut rand::rng(),
            key.public_key().key_data().clone(),
            after,
            before,
        )
        .unwrap();
        change(&mut builder);
        builder.sign(&self::key()).unwrap().to_openssh().unwrap()
    }

    fn parse(text: &str, key: &PrivateKey) -> Result<Certificate, &'static str> {
        let now = Timestamp::from_second(NOW.cast_signed()).unwrap();
        Certificate::parse(text, key.public_key(), &SshUser::parse("box").unwrap(), now, TTL)
    }

    #[test]
    fn a_certificate_for_our_key_user_and_time_is_taken() {
        let key = key();
        let good = signed(&key, NOW - 60, NOW + 600, |b| {
            b.valid_principal("box").unwrap();
        });
        let certificate = parse(&format!("{good} a comment\n"), &key).unwrap();
        assert_eq!(certificate.expires_at().time().as_second().cast_unsigned(), NOW + 600);
        assert!(!certificate.as_str().contains("comment"));
    }

    #[test]
    fn any_other_is_refused() {
        let key = key();
        let principal = |name: &'static str| {
            move |b: &mut Builder| {
                b.valid_principal(name).unwrap();
            }
        };
        let cases = [
            ("another user", signed(&key, NOW, NOW + 60, principal("root"))),
            (
                "anybody",
                signed(&key, NOW, NOW + 60, |b| {
                    b.all_principals_valid().unwrap();
                }),
            ),
            (
                "two users",
                signed(&key, NOW, NOW + 60, |b| {
                    b.valid_principal("box").unwrap().valid_principal("root").unwrap();
                }),
            ),
            (
                "a host",
                signed(&key, NOW, NOW + 60, |b| {
                    b.cert_type(CertType::Host).unwrap().valid_principal("box").unwrap();
                }),
            ),
            ("expired", signed(&key, NOW - 60, NOW, principal("box"))),
            ("not yet", signed(&key, NOW + 600, NOW + 900, principal("box"))),
            ("too long", signed(&key, NOW, NOW + 86400, principal("box"))),
            (
                "forced",
                signed(&key, NOW, NOW + 60, |b| {
                    b.valid_principal("box").unwrap().critical_option("force-command", "id").unwrap();
                }),
            ),
            ("not signed by its authority", {
                let good = signed(&key, NOW, NOW + 60, principal("box"));
                let at = good.len() - 20; // in the signature
                let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
                format!("{}{other}{}", &good[..at], &good[at + 1..])
            }),
            ("another key", signed(&self::key(), NOW, NOW + 60, principal("box"))),
            ("a plain key", key.public_key().to_openssh().unwrap()),
            ("nothing", String::new()),
        ];
        for (name, text) in cases {
            assert!(parse(&text, &key).is_err(), "{name}");
        }
        let two = signed(&key, NOW, NOW + 60, principal("box")).repeat(2).replace("ssh-", "\nssh-");
        assert!(parse(&two, &key).is_err());
    }
}
