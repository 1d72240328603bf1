//! The plane's own user CA: it signs the keys of sessions, and checks what it signed (PROTOCOL.certkeys).

use std::time::SystemTime;

use runcode_sshcert::{Certificate, Expected, Terms};
use ssh_key::PrivateKey;

use crate::state::Grant;

/// What a certified session may do: a terminal, and forwarding, which editors need.
const EXTENSIONS: [&str; 2] = ["permit-port-forwarding", "permit-pty"];

/// The key that signs.
pub struct Authority(runcode_sshcert::Authority);

impl Authority {
    /// Makes it of a key.
    pub fn new(key: PrivateKey) -> Self {
        Authority(runcode_sshcert::Authority::new(key))
    }

    /// A certificate over the grant's key: for the one principal, for the grant's time, with its serial number.
    ///
    /// # Errors
    /// When the time or a name cannot be put into a certificate.
    pub(crate) fn sign(&self, grant: &Grant, principal: &str) -> ssh_key::Result<Certificate> {
        let now = seconds(SystemTime::now())?;
        self.0.sign(&Terms {
            key: &grant.key,
            serial: grant.serial,
            key_id: &format!("{} {}", grant.user, grant.client),
            principal,
            valid_after: now,
            valid_before: seconds(grant.expires)?.max(now + 1),
            critical_options: &[],
            extensions: &EXTENSIONS,
        })
    }

    /// Whether a certificate is one of ours, for a user, valid now, for exactly this principal, without conditions.
    pub fn vouches(&self, certificate: &ssh_key::Certificate, principal: &str) -> bool {
        let Ok(now) = seconds(SystemTime::now()) else { return false };
        let Ok(certificate) = Certificate::try_from(certificate.clone()) else { return false };
        let expected = Expected {
            key: certificate.key(),
            principal,
            now,
            skew: 0,
            longest: None,
            critical_options: &[],
            authority: Some(self.0.public_key().key_data()),
        };
        certificate.check(&expected).is_ok()
    }
}

fn seconds(time: SystemTime) -> ssh_key::Result<u64> {
    Ok(time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| ssh_key::Error::Time)?.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use std::time::Duration;

    use ssh_key::Algorithm;

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
    }

    fn grant() -> Grant {
        Grant {
            serial: 7,
            workspace: 1,
            user: "ann@example.com".into(),
            client: "claude-code".into(),
            key: key().public_key().key_data().clone(),
            expires: SystemTime::now() + Duration::from_secs(60),
            certified: true,
        }
    }

    #[test]
    fn vouches_for_what_it_signed_and_nothing_else() {
        let authority = Authority::new(key());
        let certificate = authority.sign(&grant(), "ws-1").unwrap();
        assert_eq!((certificate.serial(), certificate.key_id()), (7, "ann@example.com claude-code"));
        assert!(certificate.valid_before() - certificate.valid_after() <= 60);
        let certificate = ssh_key::Certificate::from_openssh(certificate.as_str()).unwrap();
        assert!(authority.vouches(&certificate, "ws-1"));
        assert!(!authority.vouches(&certificate, "ws-2"));
        assert!(!Authority::new(key()).vouches(&certificate, "ws-1"));
    }

    #[test]
    fn conditions_are_refused() {
        let authority = Authority::new(key());
        let now = seconds(SystemTime::now()).unwrap();
        let terms = Terms {
            key: &grant().key,
            serial: 7,
            key_id: "",
            principal: "ws-1",
            valid_after: now - 10,
            valid_before: now + 60,
            critical_options: &[("source-address", "127.0.0.1")],
            extensions: &[],
        };
        let signed = |terms: &Terms<'_>| {
            ssh_key::Certificate::from_openssh(authority.0.sign(terms).unwrap().as_str()).unwrap()
        };
        assert!(authority.vouches(&signed(&Terms { critical_options: &[], ..terms }), "ws-1"));
        assert!(!authority.vouches(&signed(&terms), "ws-1"));
    }
}
