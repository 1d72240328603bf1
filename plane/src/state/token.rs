//! Tokens: made from the system's generator, kept as hashes only.

use sha2::{Digest, Sha256};

/// SHA-256 of a token. A token holds 256 random bits, so no salt or slow hash is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }
}

impl std::fmt::Display for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A new token, `rc_` and 64 hexadecimal digits.
pub(crate) fn fresh() -> String {
    format!("rc_{}", hex(&rand::random::<[u8; 32]>()))
}

/// A random name of 128 bits, in hexadecimal.
pub fn nonce() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
