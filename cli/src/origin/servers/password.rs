//! Where the password of a server is kept. The password itself is in no file of ours.

use crate::error::{Code, Error, Result};
use crate::origin::servers::config::File;
use crate::sys::env::Env;
use crate::sys::keychain::Entry;
use crate::sys::trusted_file;

/// How large a `.env` may be, in bytes.
const MAX: usize = 64 * 1024;

/// What names the entry of the system's keychain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordRef {
    /// The file does.
    Entry(Entry),
    /// A variable does: of the environment, or of the `.env` beside the file.
    Variable {
        /// Its name.
        name: String,
        /// The file that names it; `None` if it was not read from a file.
        file: Option<File>,
    },
}

impl PasswordRef {
    /// The entry of the keychain.
    ///
    /// # Errors
    ///
    /// `bad_config` if the variable is not there or names no entry.
    pub fn entry(&self, env: &Env) -> Result<Entry> {
        let (name, file) = match self {
            PasswordRef::Entry(entry) => return Ok(entry.clone()),
            PasswordRef::Variable { name, file } => (name, file),
        };
        let bad = |why: String| {
            Error::new(Code::BadConfig, why).hint(format!("set {name}=os_keychain:SERVICE:ACCOUNT"))
        };
        let of_env = env.named(name).map(|value| value.to_string_lossy().into_owned());
        let value = match (of_env, file) {
            (Some(value), _) => Some(value),
            (None, Some(file)) => beside(file, name)?,
            (None, None) => None,
        };
        let value =
            value.ok_or_else(|| bad(format!("the variable {name}, which names a password, is not set")))?;
        Entry::parse(value.trim()).map_err(|why| bad(format!("the value of {name} {why}"))) // never shown: it may be the password
    }
}

/// The value of this one line of the `.env` beside `file`; its other lines are not looked at.
fn beside(file: &File, name: &str) -> Result<Option<String>> {
    let path = file.beside(".env");
    let read = match trusted_file::read(&path, file.owner, MAX) {
        Ok(read) => read,
        Err(trusted_file::Distrust::Missing) => return Ok(None),
        Err(distrust) => return Err(Error::new(Code::BadConfig, format!("{} {distrust}", path.display()))),
    };
    Ok(value_in(&String::from_utf8_lossy(&read.bytes), name))
}

fn value_in(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim();
        let (key, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn one_line_of_a_file_is_read() {
        let text = "OTHER=hunter2\n export REF=\"os_keychain:a:b\" \nREF=os_keychain:c:d\n#REF2=x\n";
        assert_eq!(value_in(text, "REF").unwrap(), "os_keychain:a:b");
        assert_eq!(value_in(text, "REF2"), None);
    }

    #[test]
    fn a_value_that_is_no_entry_is_not_shown() {
        let named = PasswordRef::Variable { name: "REF_OF_A_TEST".to_owned(), file: None };
        let env = Env::default();
        assert_eq!(named.entry(&env).unwrap_err().code(), Code::BadConfig);
        assert!(!format!("{:?}", Entry::parse("hunter2")).contains("hunter2"));
    }
}
