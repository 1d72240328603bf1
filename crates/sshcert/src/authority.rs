use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::KeyData;
use ssh_key::{PrivateKey, PublicKey};

use crate::Certificate;

/// A key that signs user certificates. It is wiped when it is dropped.
pub struct Authority(PrivateKey);

/// What a certificate grants.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The certified key.
    pub key: &'a KeyData,
    /// A number that no other certificate of this authority has.
    pub serial: u64,
    /// A note for logs about whom it is for.
    pub key_id: &'a str,
    /// The one principal.
    pub principal: &'a str,
    /// From when on it is valid, in seconds since 1970.
    pub valid_after: u64,
    /// When it stops being valid, in seconds since 1970.
    pub valid_before: u64,
    /// Conditions as name and value, each name once.
    pub critical_options: &'a [(&'a str, &'a str)],
    /// What it permits: names of extensions without a value, each once.
    pub extensions: &'a [&'a str],
}

impl Authority {
    /// Makes an authority of a key.
    pub fn new(key: PrivateKey) -> Authority {
        Authority(key)
    }

    /// The key that its certificates are verified with.
    pub fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    /// Signs a user certificate.
    ///
    /// # Errors
    /// When a certificate cannot hold the terms: it would end before it begins, or an option is malformed.
    pub fn sign(&self, terms: &Terms<'_>) -> ssh_key::Result<Certificate> {
        let mut builder = Builder::new_with_random_nonce(
            &mut rand::rng(),
            terms.key.clone(),
            terms.valid_after,
            terms.valid_before,
        )?;
        builder.serial(terms.serial)?;
        builder.cert_type(CertType::User)?;
        builder.key_id(terms.key_id)?;
        builder.valid_principal(terms.principal)?;
        for (name, value) in terms.critical_options {
            builder.critical_option(*name, *value)?;
        }
        for name in terms.extensions {
            builder.extension(*name, "")?;
        }
        builder.sign(&self.0)?.try_into().map_err(|_| ssh_key::Error::FormatEncoding)
    }
}
