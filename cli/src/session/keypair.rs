//! The session's key, made in this process and kept nowhere but in the session's folder.

use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Code, Error, Result};

/// An Ed25519 key pair. The private half is wiped when dropped; it is boxed, because each move of a value leaves a copy.
pub struct Keypair(Box<PrivateKey>);

impl Keypair {
    /// A new pair from the operating system's generator.
    pub fn generate() -> Result<Keypair> {
        on_wiped_stack(|| {
            let mut seed = Zeroizing::new([0; 32]);
            rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut *seed).map_err(|error| {
                Error::new(Code::Error, format!("the system's random generator failed: {error}"))
            })?;
            let pair = ssh_key::private::Ed25519Keypair::from_seed(&seed);
            Ok(Keypair(Box::new(PrivateKey::from(pair))))
        })
    }

    /// Reads an OpenSSH private key that an earlier session wrote.
    pub fn from_openssh(pem: &[u8]) -> Option<Keypair> {
        let key = on_wiped_stack(|| PrivateKey::from_openssh(pem).ok().map(Box::new))?;
        (key.algorithm() == Algorithm::Ed25519 && !key.is_encrypted()).then_some(Keypair(key))
    }

    /// The private key as the file that ssh reads.
    pub fn private_pem(&self) -> Result<Zeroizing<String>> {
        on_wiped_stack(|| self.0.to_openssh(LineEnding::LF))
            .map_err(|error| Error::new(Code::Error, format!("cannot encode the key: {error}")))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        self.0.public_key()
    }

    /// The public half as a line without comment: all that leaves this machine.
    pub fn public_line(&self) -> Result<String> {
        let line = self
            .public()
            .to_openssh()
            .map_err(|error| Error::new(Code::Error, format!("cannot encode the key: {error}")))?;
        Ok(line.trim_end().to_owned())
    }
}

/// Runs `work`, then wipes the stack that it used: values that were moved are still there in parts.
fn on_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn apart<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn wipe() {
        let mut used = [0_u8; 32 * 1024];
        std::hint::black_box(&mut used).zeroize();
    }
    let result = apart(work);
    wipe();
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_pair_survives_its_file() {
        let pair = Keypair::generate().unwrap();
        let read = Keypair::from_openssh(pair.private_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(read.public_line().unwrap(), pair.public_line().unwrap());
        assert!(pair.public_line().unwrap().starts_with("ssh-ed25519 AAAA"));
        assert!(Keypair::from_openssh(b"nonsense").is_none());
    }
}
