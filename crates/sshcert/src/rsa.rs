//! Signatures by RSA keys (RFC 8332): the SSH library verifies them only with a crate that also signs.

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents};
use ssh_key::public::RsaPublicKey;
use ssh_key::{Algorithm, Certificate, HashAlg};

/// Whether this key, of 2048 bits or more, has signed the certificate. A signature with SHA-1 does not count.
pub(crate) fn has_signed(key: &RsaPublicKey, certificate: &Certificate) -> bool {
    verify(key, certificate).is_some()
}

fn verify(key: &RsaPublicKey, certificate: &Certificate) -> Option<()> {
    let signature = certificate.signature();
    let parameters = match signature.algorithm() {
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) } => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) } => &RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    };
    // The signature is the last field, as a string (OpenSSH PROTOCOL.certkeys).
    let blob = certificate.to_bytes().ok()?;
    let last = Vec::<u8>::try_from(signature.clone()).ok()?.len() + 4;
    let signed = blob.get(..blob.len().checked_sub(last)?)?;
    let (n, e) = (key.n().as_positive_bytes()?, key.e().as_positive_bytes()?);
    RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature.as_bytes()).ok()
}
