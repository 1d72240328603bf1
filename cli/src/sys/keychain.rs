//! The system's keychain, through the system's own program for it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::reason;
use crate::sys::env::Env;
use crate::sys::subprocess;

/// How long a person may take to unlock it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest secret, in bytes.
const MAX: usize = 4096;

/// The name under which a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    service: String,
    account: String,
}

/// Why there is no secret, to complete a sentence about the entry.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// Nobody can be asked.
    #[error("cannot be read: {0}")]
    NoKeychain(String),
    /// The keychain does not provide it.
    #[error("does not exist, or the keychain is locked")]
    NotGiven,
    /// Nobody unlocked it in time.
    #[error("was not given within 60 s: the keychain may be locked")]
    Silent,
}

impl Entry {
    /// `os_keychain:SERVICE:ACCOUNT`.
    pub fn parse(text: &str) -> Result<Entry, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_part = |part: &str| (1..=128).contains(&part.len()) && part.bytes().all(allowed);
        match text.split(':').collect::<Vec<_>>()[..] {
            ["os_keychain", service, account] if is_part(service) && is_part(account) => {
                Ok(Entry { service: service.to_owned(), account: account.to_owned() })
            }
            _ => Err("is not written as os_keychain:SERVICE:ACCOUNT"),
        }
    }

    /// The entry in words.
    pub fn shown(&self) -> String {
        format!("the keychain's entry {}:{}", self.service, self.account)
    }

    /// The secret, without the line feed that the program adds.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, Missing> {
        let mut command = self.command()?;
        let finished = subprocess::run(&mut command, PATIENCE, MAX)
            .map_err(|error| Missing::NoKeychain(reason(&error)))?
            .ok_or(Missing::Silent)?;
        let mut secret = Zeroizing::new(finished.stdout);
        if secret.last() == Some(&b'\n') {
            secret.pop();
        }
        if !finished.status.success() || secret.is_empty() {
            return Err(Missing::NotGiven);
        }
        Ok(secret)
    }

    /// The program, by its absolute path, so that no PATH decides who sees the secret.
    fn command(&self) -> Result<Command, Missing> {
        let (service, account) = (&*self.service, &*self.account);
        let (path, arguments) = if cfg!(target_os = "macos") {
            ("/usr/bin/security", ["find-generic-password", "-w", "-s", service, "-a", account])
        } else {
            ("/usr/bin/secret-tool", ["lookup", "service", service, "account", account, ""])
        };
        if cfg!(windows) {
            return Err(Missing::NoKeychain("not supported on Windows".to_owned()));
        }
        let path = Env::test_keychain().map_or_else(|| PathBuf::from(path), PathBuf::from);
        let mut command = Command::new(path);
        command.args(arguments.iter().filter(|argument| !argument.is_empty()));
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_service_and_an_account() {
        assert!(Entry::parse("os_keychain:runcode:vault-1").is_ok());
        for bad in
            ["", "os_keychain:a", "os_keychain:a:", "os_keychain:a:b:c", "keychain:a:b", "os_keychain:a b:c"]
        {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
    }
}
