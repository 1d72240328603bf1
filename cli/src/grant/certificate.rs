//! User certificates (OpenSSH PROTOCOL.certkeys).

use std::time::Duration;

use jiff::Timestamp;
use runcode_sshcert::Expected;
use ssh_key::PublicKey;

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
    /// Parses a certificate that must be: one line, of user type, for `key`, for exactly one principal, valid now, for no longer
    /// than `ttl`, and without critical options that we do not know. The principal is the user, or the name that a control plane
    /// gives to the workspace with this number: `runcode-ws-7.9f2c41ab`, perhaps followed by `.` and the user.
    pub fn parse(
        text: &str,
        key: &PublicKey,
        user: &SshUser,
        workspace: u64,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Certificate, &'static str> {
        let certificate = runcode_sshcert::Certificate::parse(text).map_err(|refusal| refusal.as_str())?;
        let principal = match certificate.principals() {
            [one] if is_of_workspace(one, workspace, user) => one,
            _ => user.as_str(),
        };
        let expected = Expected {
            key: key.key_data(),
            principal,
            now: u64::try_from(now.as_second()).unwrap_or(0),
            skew: SKEW.as_secs(),
            longest: Some(ttl.as_secs()),
            critical_options: &KNOWN_OPTIONS,
            // The gateway's pins say whom we trust. ssh drops a certificate with a wrong signature without a word, so that
            // it is verified here.
            authority: None,
        };
        certificate.check(&expected).map_err(|refusal| refusal.as_str())?;
        let expires_at = Expiry::from_unix(certificate.valid_before(), now, ttl)?;
        Ok(Certificate { line: certificate.as_str().to_owned(), expires_at })
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

/// Whether a principal is that of the workspace with this number, for everybody or for this user alone.
fn is_of_workspace(principal: &str, workspace: u64, user: &SshUser) -> bool {
    let Some(rest) = principal.strip_prefix(&format!("runcode-ws-{workspace}.")) else { return false };
    let Some((digits, whose)) = rest.split_at_checked(8) else { return false };
    digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && (whose.is_empty() || whose.strip_prefix('.') == Some(user.as_str()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use runcode_sshcert::{Authority, Terms};
    use ssh_key::{Algorithm, PrivateKey};

    const NOW: u64 = 1_800_000_000;
    const TTL: Duration = Duration::from_secs(1800);

    fn key() -> PrivateKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
    }

    fn signed(key: &PrivateKey, principal: &str, after: u64, before: u64) -> String {
        let terms = Terms {
            key: key.public_key().key_data(),
            serial: 1,
            key_id: "",
            principal,
            valid_after: after,
            valid_before: before,
            critical_options: &[("source-address", "10.0.0.0/8")],
            extensions: &[],
        };
        Authority::new(self::key()).sign(&terms).unwrap().as_str().to_owned()
    }

    fn parse(text: &str, key: &PrivateKey) -> Result<Certificate, &'static str> {
        let now = Timestamp::from_second(NOW.cast_signed()).unwrap();
        Certificate::parse(text, key.public_key(), &SshUser::parse("ws").unwrap(), 7, now, TTL)
    }

    #[test]
    fn a_matching_certificate_is_accepted() {
        let key = key();
        let good = signed(&key, "ws", NOW - 60, NOW + 600);
        let certificate = parse(&format!("{good} a comment\n"), &key).unwrap();
        assert_eq!(certificate.expires_at().time().as_second().cast_unsigned(), NOW + 600);
        assert!(!certificate.as_str().contains("comment"));
    }

    #[test]
    fn an_authority_s_clock_may_be_ahead() {
        let key = key();
        let ahead = signed(&key, "ws", NOW + 300, NOW + 2100);
        assert_eq!(parse(&ahead, &key).unwrap().expires_at().time().as_second().cast_unsigned(), NOW + 1800);
    }

    #[test]
    fn a_workspace_s_principal_is_accepted() {
        let key = key();
        for good in ["runcode-ws-7.9f2c41ab", "runcode-ws-7.9f2c41ab.ws"] {
            assert!(parse(&signed(&key, good, NOW - 60, NOW + 60), &key).is_ok(), "{good}");
        }
        for bad in [
            "runcode-ws-8.9f2c41ab",
            "runcode-ws-77.9f2c41ab",
            "runcode-ws-07.9f2c41ab",
            "runcode-ws-7.9F2C41AB",
            "runcode-ws-7.9f2c41a",
            "runcode-ws-7.9f2c41abc",
            "runcode-ws-7.9f2c41ab.root",
            "runcode-ws-7.9f2c41ab.",
            "runcode-ws-7.9f2c41abws",
            "runcode-ws-7",
            "",
        ] {
            assert!(parse(&signed(&key, bad, NOW - 60, NOW + 60), &key).is_err(), "{bad}");
        }
    }

    #[test]
    fn any_other_is_refused() {
        let key = key();
        let cases = [
            ("another user", signed(&key, "root", NOW, NOW + 60)),
            ("expired", signed(&key, "ws", NOW - 60, NOW)),
            ("not yet", signed(&key, "ws", NOW + 600, NOW + 900)),
            ("too long", signed(&key, "ws", NOW, NOW + 86400)),
            ("not signed by its authority", {
                let good = signed(&key, "ws", NOW, NOW + 60);
                let at = good.len() - 20; // in the signature
                let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
                format!("{}{other}{}", &good[..at], &good[at + 1..])
            }),
            ("another key", signed(&self::key(), "ws", NOW, NOW + 60)),
            ("a plain key", key.public_key().to_openssh().unwrap()),
        ];
        for (name, text) in cases {
            assert!(parse(&text, &key).is_err(), "{name}");
        }
    }
}
