//! Secrets from the system's generator, and how they are kept.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

/// SHA-256 in hexadecimal: how tokens, links and codes are kept. They hold 256 random bits, so no salt is needed.
pub(crate) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A token of a person: `rc_` and 64 hexadecimal digits.
pub(crate) fn token() -> String {
    format!("rc_{}", hex(&rand::random::<[u8; 32]>()))
}

/// A token of a host: `rh_` and 64 hexadecimal digits.
pub(crate) fn host_token() -> String {
    format!("rh_{}", hex(&rand::random::<[u8; 32]>()))
}

/// A one-time link or code: 43 characters that are safe in a URL, 256 bits. None begins like an option of a command.
pub(crate) fn link() -> String {
    loop {
        let link = Base64UrlUnpadded::encode_string(&rand::random::<[u8; 32]>());
        if !link.starts_with('-') {
            return link;
        }
    }
}

/// A random name of 128 bits in hexadecimal.
pub(crate) fn id() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// The eight digits that keep two control planes apart on one host.
pub(crate) fn eight() -> String {
    hex(&rand::random::<[u8; 4]>())
}

/// Whether text has the form of a [`link`]; anything else is never looked up.
pub(crate) fn is_link(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The PKCE challenge of a verifier (RFC 7636, S256).
pub(crate) fn challenge(verifier: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_43_characters_and_no_twin() {
        assert!(is_link(&link()));
        assert_ne!(link(), link());
        assert!((0..1000).all(|_| !link().starts_with('-')));
        for other in ["", "a", &"a".repeat(42), &"a".repeat(44), &format!("{}/", "a".repeat(42))] {
            assert!(!is_link(other), "{other}");
        }
        assert_eq!(token().len(), 67);
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
