//! The parts of JOSE that step-ca uses: private keys as JWK (RFC 7517), encrypted ones as JWE with a password (RFC 7516, RFC 7518 4.8),
//! and tokens signed with ES256 (RFC 7515, RFC 7519).

use std::borrow::Cow;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use aes_kw::KwAes128;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::signer::service::parse;

/// How many times a password may be hashed: a hostile answer must not keep this machine busy.
const MAX_ITERATIONS: u32 = 1_000_000;

/// Why something is not a key, to complete a sentence about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoKey {
    /// It is not a JWK.
    #[error("is not a private key as step-ca writes it (JWK)")]
    NoJwk,
    /// It is for another algorithm.
    #[error("is not a P-256 key, the only kind that runcode signs with")]
    OtherKind,
    /// It is not a JWE.
    #[error("is not encrypted as step-ca does (JWE with PBES2-HS256+A128KW and A256GCM)")]
    NoJwe,
    /// Its password would take too long to hash.
    #[error("requires its password to be hashed more than 1,000,000 times")]
    TooSlow,
    /// The password is wrong, or the bytes were changed.
    #[error("cannot be decrypted with the password")]
    WrongPassword,
}

/// A private key that signs tokens. It is wiped when it is dropped.
pub(super) struct Key {
    signing: SigningKey,
    id: String,
}

impl Key {
    /// Reads a private JWK.
    pub(super) fn from_jwk(bytes: &[u8]) -> Result<Key, NoKey> {
        #[derive(Deserialize)]
        struct Jwk<'a> {
            kty: &'a str,
            #[serde(default)]
            crv: &'a str,
            #[serde(default, borrow)]
            kid: Option<Cow<'a, str>>,
            #[serde(default)]
            d: Option<&'a str>,
        }
        let jwk = parse::<Jwk<'_>>(bytes).ok_or(NoKey::NoJwk)?;
        if jwk.kty != "EC" || jwk.crv != "P-256" {
            return Err(NoKey::OtherKind);
        }
        let mut scalar = Zeroizing::new([0; 32]);
        let decoded = Base64UrlUnpadded::decode(jwk.d.unwrap_or_default(), &mut *scalar);
        if !decoded.is_ok_and(|bytes| bytes.len() == 32) {
            return Err(NoKey::NoJwk);
        }
        let signing = SigningKey::from_slice(&*scalar).map_err(|_| NoKey::NoJwk)?;
        let id = match jwk.kid.filter(|id| is_id(id)) {
            Some(id) => id.into_owned(),
            None => thumbprint(&signing).ok_or(NoKey::NoJwk)?,
        };
        Ok(Key { signing, id })
    }

    /// Reads a private JWK that is encrypted with a password.
    pub(super) fn from_jwe(text: &str, password: &[u8]) -> Result<Key, NoKey> {
        Key::from_jwk(&decrypt(text, password)?)
    }

    /// The token that makes these claims.
    pub(super) fn token(&self, claims: &Value) -> Zeroizing<String> {
        let header = json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" });
        let encode = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let text = format!("{}.{}", encode(&header), encode(claims));
        let signature: Signature = self.signing.sign(text.as_bytes());
        Zeroizing::new(format!("{text}.{}", Base64UrlUnpadded::encode_string(&signature.to_bytes())))
    }
}

/// Whether it may appear in a header and in a path.
pub(super) fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

/// The name of a key that has none of its own (RFC 7638).
fn thumbprint(key: &SigningKey) -> Option<String> {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (Base64UrlUnpadded::encode_string(point.x()?), Base64UrlUnpadded::encode_string(point.y()?));
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(Base64UrlUnpadded::encode_string(&Sha256::digest(text.as_bytes())))
}

/// The plaintext of a JWE in its compact form.
fn decrypt(text: &str, password: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoKey> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        enc: String,
        p2c: u32,
        p2s: String,
    }
    let parts = text.trim().split('.').collect::<Vec<_>>();
    let [protected, wrapped, nonce, ciphertext, tag] = parts[..] else { return Err(NoKey::NoJwe) };
    let decode = |part: &str| Base64UrlUnpadded::decode_vec(part).map_err(|_| NoKey::NoJwe);
    let header = parse::<Header>(&decode(protected)?).ok_or(NoKey::NoJwe)?;
    if header.alg != "PBES2-HS256+A128KW" || header.enc != "A256GCM" || header.p2c == 0 {
        return Err(NoKey::NoJwe);
    }
    if header.p2c > MAX_ITERATIONS {
        return Err(NoKey::TooSlow);
    }
    let salt = [header.alg.as_bytes(), b"\0", &decode(&header.p2s)?].concat();
    let mut key = Zeroizing::new([0; 16]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, header.p2c, &mut *key);
    let mut content = Zeroizing::new([0; 32]);
    let wrapped = decode(wrapped)?;
    if wrapped.len() != content.len() + 8 {
        return Err(NoKey::NoJwe);
    }
    let wrapping = KwAes128::new_from_slice(&*key).map_err(|_| NoKey::NoJwe)?;
    wrapping.unwrap_key(&wrapped, &mut *content).map_err(|_| NoKey::WrongPassword)?;
    let cipher = Aes256Gcm::new_from_slice(&*content).map_err(|_| NoKey::NoJwe)?;
    let nonce = Nonce::try_from(&*decode(nonce)?).map_err(|_| NoKey::NoJwe)?;
    let msg = [decode(ciphertext)?, decode(tag)?].concat();
    let payload = Payload { msg: &msg, aad: protected.as_bytes() };
    cipher.decrypt(&nonce, payload).map(Zeroizing::new).map_err(|_| NoKey::WrongPassword)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    /// Made with Python's `cryptography`: 100,000 iterations, the password below.
    const JWE: &str = include_str!("../../../tests/kit/fixtures/provisioner.jwe");
    const JWK: &str = include_str!("../../../tests/kit/fixtures/provisioner.jwk");
    const PASSWORD: &[u8] = b"step password";

    #[test]
    fn a_key_is_the_same_encrypted_or_not() {
        let (plain, encrypted) =
            (Key::from_jwk(JWK.as_bytes()).unwrap(), Key::from_jwe(JWE, PASSWORD).unwrap());
        assert_eq!(plain.id, encrypted.id);
        assert_eq!(Some(&plain.id), thumbprint(&plain.signing).as_ref());
        let claims = json!({ "sub": "x" });
        assert_eq!(*plain.token(&claims), *encrypted.token(&claims));
    }

    #[test]
    fn nothing_is_decrypted_that_was_changed() {
        assert_eq!(Key::from_jwe(JWE, b"step passwore").err(), Some(NoKey::WrongPassword));
        assert_eq!(Key::from_jwe(JWE, b"").err(), Some(NoKey::WrongPassword));
        let parts = JWE.trim().split('.').collect::<Vec<_>>();
        for changed in 0..parts.len() {
            let flipped = parts[changed].chars().enumerate().map(|(at, letter)| match at {
                5 if letter == 'A' => 'B',
                5 => 'A',
                _ => letter,
            });
            let mut parts = parts.clone();
            let flipped = flipped.collect::<String>();
            parts[changed] = &flipped;
            assert!(Key::from_jwe(&parts.join("."), PASSWORD).is_err(), "part {changed}");
        }
        let header = |p2c: u32| {
            let header = json!({ "alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2c": p2c, "p2s": "AAAA" });
            let header = Base64UrlUnpadded::encode_string(header.to_string().as_bytes());
            Key::from_jwe(&format!("{header}.{}", parts[1..].join(".")), PASSWORD).err()
        };
        assert_eq!(header(MAX_ITERATIONS + 1), Some(NoKey::TooSlow));
        assert_eq!([header(0), header(1)], [Some(NoKey::NoJwe), Some(NoKey::WrongPassword)]);
        for text in ["", ".", "....", "a.b.c.d.e", "a.b.c.d.e.f"] {
            assert_eq!(Key::from_jwe(text, PASSWORD).err(), Some(NoKey::NoJwe), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(\\{|\\}|\"kty\"|\"EC\"|\"crv\"|\"P-256\"|\"d\"|:|,|\"[A-Za-z0-9_-]{43}\"|\\.)*") {
            let _ = (Key::from_jwk(text.as_bytes()), Key::from_jwe(&text, PASSWORD));
        }
    }
}
