//! Seals: a key that changes with every record, so that whoever gets the present one cannot seal what came before.

use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::TryRng as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::chain::{digest, hex, unhex};
use crate::failure::Failure;

/// What the key of a record becomes that of the next one by.
const STEP: &[u8] = b"runcode audit seal";

/// A key that seals a record.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// A new one.
    pub fn generate() -> Result<SealKey, Failure> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rngs::SysRng.try_fill_bytes(&mut *bytes).map_err(|_| Failure::NoRandom)?;
        Ok(SealKey(bytes))
    }

    /// As people keep it: base64url without padding.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(43));
        for chunk in self.0.chunks(3) {
            let mut word = 0;
            for at in 0..3 {
                word = word << 8 | u32::from(chunk.get(at).copied().unwrap_or_default());
            }
            for at in 0..=chunk.len() {
                text.push(char::from(ALPHABET[(word >> (18 - 6 * at) & 63) as usize]));
            }
        }
        text
    }

    /// Reads what [`SealKey::to_text`] wrote.
    pub fn parse(text: &str) -> Option<SealKey> {
        if text.len() != 43 {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        let (mut word, mut bits, mut at) = (0_u32, 0, 0);
        for letter in text.bytes() {
            let value = ALPHABET.iter().position(|known| *known == letter)?;
            word = word << 6 | u32::try_from(value).ok()?;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                *bytes.get_mut(at)? = (word >> bits & 255) as u8;
                at += 1;
            }
        }
        let is_whole = at == 32 && word & ((1 << bits) - 1) == 0;
        is_whole.then_some(SealKey(bytes))
    }

    pub(crate) fn from_hex(text: &str) -> Option<SealKey> {
        unhex(text).map(|bytes| SealKey(Zeroizing::new(bytes)))
    }

    pub(crate) fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(&*self.0))
    }

    /// Names the key without giving it away.
    pub fn id(&self) -> String {
        let mut named = b"runcode audit key ".to_vec();
        named.extend_from_slice(&*self.0);
        let id = digest(&named);
        zeroize::Zeroize::zeroize(&mut named);
        id
    }

    /// The seal of a hash.
    pub(crate) fn seal(&self, hash: &str) -> Option<String> {
        Some(hex(&self.mac(&unhex(hash)?)))
    }

    /// The key of the next record.
    #[must_use]
    pub(crate) fn next(&self) -> SealKey {
        SealKey(Zeroizing::new(self.mac(STEP)))
    }

    fn mac(&self, message: &[u8]) -> [u8; 32] {
        // HMAC pads a shorter key with zeros.
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(&*self.0);
        let mut mac = Hmac::<Sha256>::new(&(*block).into());
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

impl PartialEq for SealKey {
    fn eq(&self, other: &SealKey) -> bool {
        self.id() == other.id()
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for _ in 0..50 {
            let key = SealKey::generate().unwrap();
            let text = key.to_text();
            assert_eq!(text.len(), 43);
            assert!(
                SealKey::parse(&text).unwrap() == key && SealKey::from_hex(&key.to_hex()).unwrap() == key
            );
        }
        let zeros = SealKey(Zeroizing::new([0; 32]));
        assert_eq!(*zeros.to_text(), "A".repeat(43));
        for wrong in
            ["", "A", &"A".repeat(42), &"A".repeat(44), &format!("{}B", "A".repeat(42)), &"ä".repeat(43)]
        {
            assert!(SealKey::parse(wrong).is_none(), "{wrong}");
        }
    }

    /// What Python's `hmac` says for a key of zeros.
    #[test]
    fn a_seal_is_an_hmac_of_the_hash() {
        let key = SealKey(Zeroizing::new([0; 32]));
        assert_eq!(key.seal(&"00".repeat(32)).unwrap(), SEAL_OF_ZEROS);
        assert_eq!(*key.next().to_hex(), NEXT_OF_ZEROS);
        assert!(key.next() != key && key.seal("x").is_none());
    }

    const SEAL_OF_ZEROS: &str = "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a";
    const NEXT_OF_ZEROS: &str = "784a2b715171a018bed8347bf0cf20f43c8679c5d596cda51aa9d6942d78487b";
}
