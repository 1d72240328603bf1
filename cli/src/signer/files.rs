//! Files that servers.toml names for a signer. Nobody but their owner may write them.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::http::Trust;
use crate::output::foreign::FileName as _;
use crate::signer::failed;
use crate::sys::trusted_file::{self, Distrust, Owner, Trusted};

/// The largest file of certificates of authorities, in bytes.
const MAX_AUTHORITIES: usize = 1024 * 1024;

/// Reads `what` at `path`. A missing file does not make the configuration unsafe.
pub(super) fn read(what: &str, path: &Path, owner: Owner, max: usize) -> Result<Trusted> {
    trusted_file::read(path, owner, max).map_err(|why| {
        let code = match why {
            Distrust::Missing | Distrust::Io(_) => Code::SignerFailed,
            _ => Code::BadConfig,
        };
        Error::new(code, format!("{what} {} {why}", path.named()))
    })
}

/// The same for a secret, which nobody else may even read.
pub(super) fn read_secret(what: &str, path: &Path, owner: Owner, max: usize) -> Result<Zeroizing<Vec<u8>>> {
    let found = read(what, path, owner, max)?;
    let bytes = Zeroizing::new(found.bytes);
    if trusted_file::is_readable_by_others(&found.path) {
        return Err(Error::new(Code::BadConfig, format!("{what} {} can be read by others", path.named()))
            .hint("chmod 600 it, and assume that others have read it"));
    }
    Ok(bytes)
}

/// The authorities that vouch for a signer.
pub(super) fn authorities(path: &Path, owner: Owner) -> Result<Trust> {
    let what = "the signer's certificate authority";
    let found = read(what, path, owner, MAX_AUTHORITIES)?;
    match reqwest::Certificate::from_pem_bundle(&found.bytes) {
        Ok(certificates) if !certificates.is_empty() => Ok(Trust::Only(certificates)),
        _ => Err(failed(format!("{what} {} has no certificate (PEM)", path.named()))),
    }
}
