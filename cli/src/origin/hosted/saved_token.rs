//! The token that `login` saves: one file that people may write by hand as well, and for further control planes one each.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::origin::hosted::token::{Addressed, MAX_BYTES, Source, Token};
use crate::origin::hosted::{BaseUrl, logins};
use crate::output::foreign::FileName as _;
use crate::sys::atomic_file;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Paths;

/// For which origin `login` saved a token. The digest tells which token, and so whether the file has been written by
/// hand since.
#[derive(Clone, Serialize, Deserialize)]
struct SavedFor {
    api_base: String,
    token_sha256: String,
}

/// Whether a token is saved, for whichever control plane.
pub fn is_saved(paths: &Paths) -> Result<bool> {
    Ok(on_disk(paths)?.is_some() || !logins::bases(paths)?.is_empty())
}

/// The control planes that a token is saved for.
pub fn saved_for(paths: &Paths) -> Result<Vec<String>> {
    let own = on_disk(paths)?.map(|addressed| owner(paths, &addressed)).transpose()?;
    let others = logins::bases(paths)?.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(own.into_iter().filter(|own| !others.contains(own)).chain(others.clone()).collect())
}

/// The control plane whose token this one is: the one that it names, or that `login` saved it for, else the hosted one.
fn owner(paths: &Paths, addressed: &Addressed) -> Result<String> {
    let saved_for = origin(paths, &addressed.token)?.map(|origin| origin.api_base);
    let named = || addressed.plane.as_ref().map(ToString::to_string);
    Ok(saved_for.or_else(named).unwrap_or_else(|| BaseUrl::HOSTED_API.to_owned()))
}

/// The token that is saved for `base`; an error where there are only others.
pub fn saved(paths: &Paths, base: &BaseUrl) -> Result<Option<Token>> {
    let on_disk = on_disk(paths);
    let own = on_disk.as_ref().ok().and_then(Option::as_ref);
    let is_own = own.map(|own| owner(paths, own)).transpose()?.is_some_and(|own| own == base.to_string());
    if !is_own && let Some(token) = logins::read(paths, base)? {
        return Ok(Some(token));
    }
    let Some(addressed) = on_disk? else {
        return match &logins::bases(paths)?[..] {
            [] => Ok(None),
            [other, ..] => Err(saved_elsewhere(&other.to_string(), base)),
        };
    };
    match origin(paths, &addressed.token)? {
        Some(origin) if origin.api_base != base.to_string() => Err(saved_elsewhere(&origin.api_base, base)),
        None if !addressed.is_for(base, Source::Saved) => Err(addressed.elsewhere(&what(paths), base)),
        _ => Ok(Some(addressed.token)),
    }
}

fn saved_elsewhere(whose: &str, base: &BaseUrl) -> Error {
    Error::new(Code::NoToken, format!("the saved token is for {whose}, not for {base}"))
        .hint(format!("run `runcode login --api-base {}`", base.word()))
}

fn on_disk(paths: &Paths) -> Result<Option<Addressed>> {
    if !atomic_file::is_own_dir(paths.config())? {
        return Ok(None);
    }
    let path = paths.token();
    let Some(bytes) = atomic_file::read(&path, MAX_BYTES + 64)? else {
        return Ok(None);
    };
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).unwrap_or("\0");
    if text.trim().is_empty() {
        return Ok(None);
    }
    Addressed::parse(text, &what(paths)).map(Some)
}

/// The saved token, for people.
fn what(paths: &Paths) -> String {
    format!("the saved token in {}", paths.token().named())
}

/// For which origin `login` saved this token; `None` for one that was written by hand.
fn origin(paths: &Paths, token: &Token) -> Result<Option<SavedFor>> {
    let bytes = atomic_file::read(&paths.token_origin(), 64 * 1024)?;
    let origins = bytes.and_then(|bytes| serde_json::from_slice::<Vec<SavedFor>>(&bytes).ok());
    let digest = token.digest();
    Ok(origins.into_iter().flatten().find(|origin| origin.token_sha256 == digest))
}

/// Saves the token for `base`, each file whole, mode 0600. Another control plane's stays.
///
/// The origins go first, the new token's beside the old one's: with either write lost, the token that is there is
/// still sent to no origin that it was not made for.
pub fn save(paths: &Paths, base: &BaseUrl, token: &Token) -> Result<()> {
    atomic_file::private_dir(paths.config())?;
    let _lock = lock(paths)?;
    let own = on_disk(paths).ok().flatten().map(|own| owner(paths, &own)).transpose()?;
    if own.is_some_and(|own| own != base.to_string()) {
        return logins::write(paths, base, token);
    }
    let mut origins = vec![SavedFor { api_base: base.to_string(), token_sha256: token.digest() }];
    let old = on_disk(paths).ok().flatten().map(|old| old.token);
    if let Some(old) = old.filter(|old| old.expose() != token.expose()) {
        origins.extend(origin(paths, &old)?);
    }
    let origins = serde_json::to_vec(&origins).map_err(|error| Error::new(Code::Error, error.to_string()))?;
    atomic_file::write(&paths.token_origin(), &origins, 0o600)?;
    atomic_file::write(&paths.token(), token.expose().as_bytes(), 0o600)?;
    logins::remove(paths, base).map(|_| ())
}

/// What [`forget`] found.
#[derive(Default)]
pub struct Forgotten {
    /// Whether there was anything.
    pub had: bool,
    /// The tokens, and whose they are.
    pub tokens: Vec<(BaseUrl, Token)>,
    /// Whether one of those that were there could not be read.
    pub has_unreadable: bool,
}

/// Forgets the token that is saved for `base`, or every one.
pub fn forget(paths: &Paths, base: Option<&BaseUrl>) -> Result<Forgotten> {
    let mut forgotten = Forgotten::default();
    if !atomic_file::is_own_dir(paths.config())? {
        return Ok(forgotten);
    }
    let lock = lock(paths)?;
    let on_disk = on_disk(paths);
    // What is not understood counts as the hosted one's, as a token that names no control plane does.
    let own = match &on_disk {
        Ok(own) => own.as_ref().map(|own| owner(paths, own)).transpose()?,
        Err(_) => Some(BaseUrl::HOSTED_API.to_owned()),
    };
    let has_unreadable = logins::has_unreadable(paths);
    // What cannot be read is forgotten all the same.
    forgotten.tokens = match base {
        Some(base) => {
            let token = logins::read(paths, base).ok().flatten();
            token.map(|token| (base.clone(), token)).into_iter().collect()
        }
        None => logins::readable(paths),
    };
    forgotten.had = match base {
        Some(base) => logins::remove(paths, base)?,
        None => logins::remove_all(paths)?,
    };
    forgotten.has_unreadable = match base {
        Some(_) => forgotten.had && forgotten.tokens.is_empty(),
        None => has_unreadable,
    };
    if base.is_none_or(|base| own.as_ref().is_none_or(|own| *own == base.to_string())) {
        let has_token = !matches!(on_disk, Ok(None));
        let mut is_told = false;
        if let (Ok(Some(addressed)), Some(Ok(owner))) = (on_disk, own.as_deref().map(BaseUrl::parse)) {
            forgotten.tokens.push((owner, addressed.token));
            is_told = true;
        }
        let was_there = atomic_file::remove(&paths.token())?;
        forgotten.had |= was_there;
        forgotten.has_unreadable |= was_there && has_token && !is_told;
        atomic_file::remove(&paths.token_origin())?;
    }
    lock.remove()?;
    Ok(forgotten)
}

/// The sole right to write the token. A token that a crash left in a temporary file goes.
fn lock(paths: &Paths) -> Result<Lock> {
    let lock = Lock::acquire(&paths.config().join("token.lock"), lock::PATIENCE)?;
    atomic_file::sweep(&paths.token())?;
    atomic_file::sweep(&paths.token_origin())?;
    Ok(lock)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::sys::env::{Env, Var};

    fn here() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let env = Env::fixed([(Var::Home, folder.path())]);
        let paths = Paths::from_env(&env).unwrap();
        (folder, paths)
    }

    #[test]
    fn a_saved_token_goes_to_its_own_plane_only() {
        let (_folder, paths) = here();
        let (a, b) =
            (BaseUrl::parse("https://a.example").unwrap(), BaseUrl::parse("https://b.example").unwrap());
        assert!(saved(&paths, &a).unwrap().is_none());
        save(&paths, &a, &Token::parse("secret").unwrap()).unwrap();
        assert_eq!(saved(&paths, &a).unwrap().unwrap().expose(), "secret");
        let refused = saved(&paths, &b).map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), Code::NoToken);
        assert!(!format!("{refused:?}").contains("secret"));
        std::fs::write(paths.token(), "by-hand\n").unwrap();
        assert_eq!(saved(&paths, &b).map(|_| ()).unwrap_err().code(), Code::NoToken);
        let hosted = BaseUrl::parse(BaseUrl::HOSTED_API).unwrap();
        assert_eq!(saved(&paths, &hosted).unwrap().unwrap().expose(), "by-hand");
        for here in ["http://127.0.0.1:7777", "http://localhost", "https://[::1]:1"] {
            let base = BaseUrl::parse(here).unwrap();
            let refused = saved(&paths, &base).map(|_| ()).unwrap_err();
            assert!(refused.next_step().unwrap().contains(&format!("`{here}#TOKEN`")), "{refused:?}");
            std::fs::write(paths.token(), format!("{here}#for-dev\n")).unwrap();
            assert_eq!(saved(&paths, &base).unwrap().unwrap().expose(), "for-dev");
            assert!(saved(&paths, &hosted).is_err());
            std::fs::write(paths.token(), "by-hand\n").unwrap();
        }
        std::fs::write(paths.token(), "https://b.example#by-hand\n").unwrap();
        assert_eq!(saved(&paths, &b).unwrap().unwrap().expose(), "by-hand");
        assert!(saved(&paths, &hosted).is_err());
        let forgotten = |base| {
            let Forgotten { had, tokens, .. } = forget(&paths, base).unwrap();
            assert_eq!(had, !tokens.is_empty());
            tokens.iter().map(|(base, token)| format!("{base} {}", token.expose())).collect::<Vec<_>>()
        };
        assert_eq!(forgotten(Some(&hosted)), [""; 0]);
        assert_eq!(forgotten(Some(&b)), ["https://b.example by-hand"]);
        assert_eq!(forgotten(None), [""; 0]);
    }

    #[test]
    fn each_plane_keeps_a_token_of_its_own() {
        let (_folder, paths) = here();
        let base = |text: &str| BaseUrl::parse(text).unwrap();
        let [a, b, c] = ["https://a.example", "http://127.0.0.1:7", BaseUrl::HOSTED_API].map(base);
        let log_in = |base: &BaseUrl, token: &str| save(&paths, base, &Token::parse(token).unwrap()).unwrap();
        let token = |base: &BaseUrl| saved(&paths, base).ok().flatten().map(|it| it.expose().to_owned());
        for (round, base) in [(1, &a), (1, &b), (1, &c), (2, &b), (2, &a)] {
            log_in(base, &format!("{round}-{base}"));
        }
        for (base, saved) in [(&a, "2-"), (&b, "2-"), (&c, "1-")] {
            assert_eq!(token(base), Some(format!("{saved}{base}")));
        }
        assert_eq!(saved_for(&paths).unwrap().len(), 3);
        // One that is written by hand takes the hosted one's place, and no other's; a login elsewhere leaves it there.
        std::fs::write(paths.token(), "by-hand\n").unwrap();
        log_in(&a, "3");
        assert_eq!(std::fs::read(paths.token()).unwrap(), b"by-hand\n");
        assert_eq!((token(&a), token(&b)), (Some("3".into()), Some(format!("2-{b}"))));
        assert_eq!(token(&c).as_deref(), Some("by-hand"));
        assert!(
            forget(&paths, Some(&b)).unwrap().had && token(&b).as_deref() != Some("2-http://127.0.0.1:7")
        );
        assert!(forget(&paths, Some(&c)).unwrap().had && token(&c).is_none());
        assert_eq!((token(&a).as_deref(), saved_for(&paths).unwrap()), (Some("3"), vec![a.to_string()]));
        log_in(&c, "4");
        assert!(paths.token().exists() && is_saved(&paths).unwrap());
        assert!(forget(&paths, None).unwrap().had && !is_saved(&paths).unwrap());
        log_in(&a, "5");
        log_in(&b, "6");
        std::fs::write(paths.tokens().join("leftover"), [b'x'; 100_000]).unwrap();
        assert_eq!(forget(&paths, None).unwrap().tokens.len(), 2);
        assert_eq!(std::fs::read_dir(paths.config()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_no_token_is_none() {
        use crate::sys::platform::mode_of;
        let (_folder, paths) = here();
        let (a, b) =
            (BaseUrl::parse("https://a.example").unwrap(), BaseUrl::parse("https://b.example").unwrap());
        save(&paths, &a, &Token::parse("for-a").unwrap()).unwrap();
        save(&paths, &b, &Token::parse("for-b").unwrap()).unwrap();
        let files = std::fs::read_dir(paths.tokens()).unwrap().flatten().map(|entry| entry.path());
        let [file] = &files.collect::<Vec<_>>()[..] else { panic!("one is enough") };
        assert_eq!(mode_of(&std::fs::metadata(file).unwrap()), 0o600);
        assert_eq!(mode_of(&std::fs::metadata(paths.tokens()).unwrap()), 0o700);
        for odd in [
            "",
            "#",
            "for-b",
            "https://evil.example#for-b",
            "http://b.example#for-b",
            "https://b.example#a b",
        ] {
            std::fs::write(file, odd).unwrap();
            assert_eq!(saved(&paths, &b).map(|_| ()).unwrap_err().code(), Code::NoToken, "{odd}");
            assert!(saved(&paths, &BaseUrl::parse("https://evil.example").unwrap()).is_err(), "{odd}");
        }
        assert_eq!(saved(&paths, &a).unwrap().unwrap().expose(), "for-a");
    }

    #[test]
    fn a_crashed_login_keeps_token_and_origin() {
        let (_folder, paths) = here();
        let (a, b) =
            (BaseUrl::parse("https://a.example").unwrap(), BaseUrl::parse("https://b.example").unwrap());
        save(&paths, &a, &Token::parse("for-a").unwrap()).unwrap();
        save(&paths, &a, &Token::parse("for-a-again").unwrap()).unwrap();
        std::fs::write(paths.token(), "for-a").unwrap(); // as if the second write had never come
        assert_eq!(saved(&paths, &a).unwrap().unwrap().expose(), "for-a");
        assert_eq!(saved(&paths, &b).map(|_| ()).unwrap_err().code(), Code::NoToken);
        let left = paths.config().join(".token.0123456789abcdef");
        std::fs::write(&left, "for-a-again").unwrap();
        forget(&paths, None).unwrap();
        assert_eq!(std::fs::read_dir(paths.config()).unwrap().count(), 0);
    }

    #[test]
    fn the_token_file_is_private_and_no_link() {
        use crate::sys::platform::mode_of;
        let (folder, paths) = here();
        let base = BaseUrl::parse(BaseUrl::HOSTED_API).unwrap();
        std::fs::create_dir_all(paths.config()).unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, paths.token()).unwrap();
        save(&paths, &base, &Token::parse("secret").unwrap()).unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"mine");
        assert_eq!(mode_of(&std::fs::symlink_metadata(paths.token()).unwrap()), 0o600);
        assert_eq!(mode_of(&std::fs::metadata(paths.config()).unwrap()), 0o700);
    }
}
