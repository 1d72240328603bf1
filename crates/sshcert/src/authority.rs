use signature::Signer;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::KeyData;
use ssh_key::{PrivateKey, PublicKey, Signature, SigningKey};

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
        signed(terms, &self.0)
    }
}

/// What asks a key that is elsewhere for a signature.
type Sign<'a> = dyn FnMut(&[u8]) -> Option<Vec<u8>> + 'a;

/// A key that is elsewhere, and how it is asked to sign.
struct Elsewhere<'a> {
    key: &'a KeyData,
    sign: std::cell::RefCell<&'a mut Sign<'a>>,
}

impl From<&Elsewhere<'_>> for KeyData {
    fn from(elsewhere: &Elsewhere<'_>) -> KeyData {
        elsewhere.key.clone()
    }
}

impl Signer<Signature> for Elsewhere<'_> {
    fn try_sign(&self, data: &[u8]) -> Result<Signature, signature::Error> {
        let signed = (self.sign.borrow_mut())(data).ok_or_else(signature::Error::new)?;
        Signature::try_from(&*signed).map_err(|_| signature::Error::new())
    }
}

/// Has a user certificate signed by a key that is elsewhere, such as in an ssh-agent: `sign` gets what is to be signed, and
/// gives the signature as SSH encodes it. That the signature is right is for [`Certificate::check`] to say.
///
/// # Errors
/// As [`Authority::sign`], and when there is no signature.
pub fn sign_elsewhere(
    terms: &Terms<'_>,
    key: &KeyData,
    sign: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> ssh_key::Result<Certificate> {
    signed(terms, &Elsewhere { key, sign: std::cell::RefCell::new(sign) })
}

fn signed(terms: &Terms<'_>, key: &impl SigningKey) -> ssh_key::Result<Certificate> {
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
    builder.sign(key)?.try_into().map_err(|_| ssh_key::Error::FormatEncoding)
}
