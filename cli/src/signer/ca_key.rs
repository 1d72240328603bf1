//! A CA's private key in a file of this machine.

use std::path::Path;

use runcode_sshcert::Authority;
use ssh_key::PrivateKey;
use ssh_key::public::KeyData;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::signer::{Order, Signer, failed};
use crate::sys::trusted_file::{self, Distrust, Owner};

/// The largest file, in bytes.
const MAX: usize = 64 * 1024;

pub(super) struct CaKey(Authority);

impl CaKey {
    pub(super) fn read(path: &Path, owner: Owner) -> Result<CaKey> {
        let shown = path.named();
        let found = trusted_file::read(path, owner, MAX).map_err(|why| match why {
            Distrust::Missing | Distrust::Io(_) => failed(format!("the signer's key {shown} {why}")),
            why => Error::new(Code::BadConfig, format!("the signer's key {shown} {why}")),
        })?;
        let bytes = Zeroizing::new(found.bytes);
        if trusted_file::is_readable_by_others(&found.path) {
            let what = format!("the signer's key {shown} can be read by others");
            return Err(
                Error::new(Code::BadConfig, what).hint("chmod 600 it, and think of it as known to them")
            );
        }
        let key = PrivateKey::from_openssh(&*bytes).map_err(|_| {
            failed(format!("the signer's key {shown} is no OpenSSH private key that runcode can use"))
        })?;
        if key.is_encrypted() {
            return Err(failed(format!("the signer's key {shown} has a passphrase"))
                .hint("load it with `ssh-add`, and use a signer with kind = \"agent\""));
        }
        Ok(CaKey(Authority::new(key)))
    }
}

impl Signer for CaKey {
    fn authority(&self) -> Option<KeyData> {
        Some(self.0.public_key().key_data().clone())
    }

    fn sign(&self, order: &Order<'_>) -> Result<String> {
        let options = order.options();
        let certificate = self.0.sign(&order.terms(&options, order.short_id()));
        certificate.map(|certificate| certificate.as_str().to_owned()).map_err(|error| {
            failed(format!("the signer's key cannot sign: {error}"))
                .hint("use an Ed25519 or ECDSA key, or a signer with kind = \"agent\"")
        })
    }
}
