//! A CA's private key in a file of this machine.

use std::path::Path;

use runcode_sshcert::Authority;
use ssh_key::PrivateKey;
use ssh_key::public::KeyData;

use crate::error::Result;
use crate::output::foreign::FileName as _;
use crate::signer::{Order, Signer, failed, files};
use crate::sys::trusted_file::Owner;

/// The largest file, in bytes.
const MAX: usize = 64 * 1024;

pub(super) struct CaKey(Authority);

impl CaKey {
    pub(super) fn read(path: &Path, owner: Owner) -> Result<CaKey> {
        let shown = path.named();
        let bytes = files::read_secret("the signer's key", path, owner, MAX)?;
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
