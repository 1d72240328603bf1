//! The server's own keys. They lie in the database, sealed with a key that does not.

use std::path::Path;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind, Result};
use crate::store::{Step, Store, within};
use crate::values;

/// How many bytes the nonce of AES-GCM has.
const NONCE: usize = 12;

/// The key that seals keys: 32 bytes in a file of its own.
pub(crate) struct MasterKey(Zeroizing<[u8; 32]>);

/// What the server signs with.
pub(crate) struct Keys {
    /// Signs certificates.
    pub authority: PrivateKey,
    /// Signs blocks of the audit.
    pub audit: PrivateKey,
}

impl MasterKey {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, not ours alone, or not a key.
    pub(crate) fn read(path: &Path) -> Result<MasterKey> {
        let shown = path.display();
        let wrong = |why: &str| Failure::new(Kind::Usage, format!("the master key file {shown} {why}"));
        let found =
            std::fs::symlink_metadata(path).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        if !found.is_file() {
            return Err(wrong("is not a regular file"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let user = rustix::process::geteuid().as_raw();
            if found.uid() != user && found.uid() != 0 {
                return Err(wrong("belongs to another user"));
            }
            if found.mode() & 0o077 != 0 {
                return Err(wrong(&format!("can be read by others; run `chmod 600 {shown}`")));
            }
        }
        if found.len() > 128 {
            return Err(wrong("is not 32 bytes in base64url on one line"));
        }
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let mut key = Zeroizing::new([0; 32]);
        match Base64UrlUnpadded::decode(text.trim_end().trim_end_matches('='), &mut *key) {
            Ok(bytes) if bytes.len() == 32 => Ok(MasterKey(key)),
            _ => Err(wrong("is not 32 bytes in base64url on one line")),
        }
    }

    /// Makes the file, for this user alone; it must not be there.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn create(path: &Path) -> Result<MasterKey> {
        use std::io::Write as _;
        let key = Zeroizing::new(rand::random::<[u8; 32]>());
        let line = Zeroizing::new(format!("{}\n", Base64UrlUnpadded::encode_string(&*key)));
        let failed = |error| {
            Failure::new(
                Kind::System,
                format!("cannot write the master key file {}: {error}", path.display()),
            )
        };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(MasterKey(key))
    }

    fn cipher(&self) -> Result<Aes256Gcm> {
        Aes256Gcm::new_from_slice(&*self.0).map_err(|_| signer())
    }

    fn seal(&self, name: &str, secret: &[u8]) -> Result<String> {
        let nonce = rand::random::<[u8; NONCE]>();
        let payload = Payload { msg: secret, aad: name.as_bytes() };
        let sealed = self.cipher()?.encrypt(&Nonce::from(nonce), payload).map_err(|_| signer())?;
        Ok(Base64UrlUnpadded::encode_string(&[&nonce[..], &sealed].concat()))
    }

    fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>> {
        let bytes = Base64UrlUnpadded::decode_vec(sealed).map_err(|_| signer())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE).ok_or_else(signer)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| signer())?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let secret = self.cipher()?.decrypt(&Nonce::from(nonce), payload);
        secret.map(Zeroizing::new).map_err(|_| signer())
    }
}

fn signer() -> Failure {
    Failure::new(
        Kind::Signer,
        "The server's keys cannot be opened with this master key; bring the one that sealed them.",
    )
}

/// Whether the database holds sealed keys.
///
/// # Errors
/// When the database fails.
pub(crate) fn are_there(step: &mut Step<'_>) -> Result<bool> {
    Ok(step.row("SELECT name FROM secret WHERE name = 'ca'", &[])?.is_some())
}

/// The master key: that in the file, or a new one where nothing is sealed yet.
///
/// # Errors
/// When the file is missing although something is sealed, or cannot be used.
pub(crate) fn master(store: &dyn Store, path: &Path) -> Result<MasterKey> {
    if std::fs::symlink_metadata(path).is_ok() {
        return MasterKey::read(path);
    }
    if within(store, are_there)? {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "the master key file {} is missing, and the database holds keys that it sealed; put it back",
                path.display()
            ),
        ));
    }
    MasterKey::create(path)
}

/// The keys, which are made where there are none.
///
/// # Errors
/// When they were sealed with another master key.
pub(crate) fn open(store: &dyn Store, master: &MasterKey) -> Result<Keys> {
    within(store, |step| Ok(Keys { authority: key(step, master, "ca")?, audit: key(step, master, "audit")? }))
}

fn key(step: &mut Step<'_>, master: &MasterKey, name: &str) -> Result<PrivateKey> {
    if let Some(row) = step.row("SELECT sealed FROM secret WHERE name = $1", values![name])? {
        let text = master.open(name, &row.text(0))?;
        return PrivateKey::from_openssh(&**text).map_err(|_| signer());
    }
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(|_| signer())?;
    key.set_comment(format!("runcode-server {name}"));
    let text = key.to_openssh(LineEnding::LF).map_err(|_| signer())?;
    let sealed = master.seal(name, text.as_bytes())?;
    step.run("INSERT INTO secret VALUES ($1, $2)", values![name, sealed])?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;
    use crate::store::Sqlite;

    #[test]
    fn sealed_keys_open_with_their_master_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::in_memory().unwrap();
        let (path, other) = (folder.path().join("master.key"), folder.path().join("other.key"));
        let keys = open(&store, &master(&store, &path).unwrap()).unwrap();
        let again = open(&store, &master(&store, &path).unwrap()).unwrap();
        assert_eq!(keys.authority.public_key(), again.authority.public_key());
        assert_ne!(keys.authority.public_key(), keys.audit.public_key());
        let stranger = MasterKey::create(&other).unwrap();
        assert_eq!(open(&store, &stranger).err().unwrap().kind, Kind::Signer);
        // A sealed key under another's name does not open.
        within(&store, |step| {
            step.run("UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE name = 'audit') WHERE name = 'ca'", &[])
        })
        .unwrap();
        assert_eq!(open(&store, &master(&store, &path).unwrap()).err().unwrap().kind, Kind::Signer);
        std::fs::remove_file(&path).unwrap();
        assert!(master(&store, &path).err().unwrap().message.contains("is missing"));
    }

    #[cfg(unix)]
    #[test]
    fn a_master_key_that_others_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        MasterKey::create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(MasterKey::read(&path).err().unwrap().message.contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short\n").unwrap();
        assert!(MasterKey::read(&path).err().unwrap().message.contains("32 bytes"));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(MasterKey::read(&path).err().unwrap().message.contains("regular file"));
    }
}
