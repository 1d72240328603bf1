//! The plane's own user CA: it signs the keys of sessions, and checks what it signed (PROTOCOL.certkeys).

use std::time::SystemTime;

use ssh_key::certificate::{Builder, CertType};
use ssh_key::{Certificate, HashAlg, PrivateKey};

use crate::state::Grant;

/// What a certified session may do: a terminal, and forwarding, which editors need.
const EXTENSIONS: [&str; 2] = ["permit-port-forwarding", "permit-pty"];

/// The key that signs.
pub(crate) struct Authority(PrivateKey);

impl Authority {
    pub(crate) fn new(key: PrivateKey) -> Self {
        Authority(key)
    }

    /// A certificate over the grant's key: for the one principal, for the grant's time, with its serial number.
    ///
    /// # Errors
    /// When the time or a name cannot be put into a certificate.
    pub(crate) fn sign(&self, grant: &Grant, principal: &str) -> ssh_key::Result<Certificate> {
        let (after, before) = (seconds(SystemTime::now())?, seconds(grant.expires)?);
        let mut builder = Builder::new_with_random_nonce(
            &mut rand::rng(),
            grant.key.clone(),
            after,
            before.max(after + 1),
        )?;
        builder.serial(grant.serial)?;
        builder.cert_type(CertType::User)?;
        builder.key_id(format!("{} {}", grant.user, grant.client))?;
        builder.valid_principal(principal)?;
        for extension in EXTENSIONS {
            builder.extension(extension, "")?;
        }
        builder.sign(&self.0)
    }

    /// Whether a certificate is one of ours, for a user, valid now, for exactly this principal, without conditions.
    pub(super) fn vouches(&self, certificate: &Certificate, principal: &str) -> bool {
        let Ok(now) = seconds(SystemTime::now()) else { return false };
        let ours = self.0.public_key().fingerprint(HashAlg::Sha256);
        certificate.cert_type() == CertType::User
            && certificate.valid_principals() == [principal]
            && certificate.critical_options().is_empty()
            && certificate.validate_at(now, [&ours]).is_ok()
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
        let certificate = authority.sign(&grant(), "box-1").unwrap();
        assert_eq!((certificate.serial(), certificate.key_id()), (7, "ann@example.com claude-code"));
        assert!(certificate.valid_before() - certificate.valid_after() <= 60);
        assert!(authority.vouches(&certificate, "box-1"));
        assert!(!authority.vouches(&certificate, "box-2"));
        assert!(!Authority::new(key()).vouches(&certificate, "box-1"));
    }

    #[test]
    fn conditions_other_types_and_more_principals_are_refused() {
        let authority = Authority::new(key());
        let build = |change: &dyn Fn(&mut Builder)| {
            let now = seconds(SystemTime::now()).unwrap();
            let key = key().public_key().key_data().clone();
            let mut builder =
                Builder::new_with_random_nonce(&mut rand::rng(), key, now - 10, now + 60).unwrap();
            builder.key_id("x").unwrap();
            change(&mut builder);
            builder.sign(&authority.0).unwrap()
        };
        let plain = build(&|b| drop(b.valid_principal("box-1")));
        assert!(authority.vouches(&plain, "box-1"));
        let bad: [&dyn Fn(&mut Builder); 4] = [
            &|b| drop(b.valid_principal("box-1").and_then(|b| b.valid_principal("box-2"))),
            &|b| drop(b.all_principals_valid()),
            &|b| drop(b.valid_principal("box-1").and_then(|b| b.critical_option("force-command", "true"))),
            &|b| drop(b.valid_principal("box-1").and_then(|b| b.cert_type(CertType::Host))),
        ];
        for change in bad {
            assert!(!authority.vouches(&build(change), "box-1"));
        }
    }
}
