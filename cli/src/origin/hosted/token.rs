//! The API token: where it comes from, and to which origin it may go.

use std::io::Read as _;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::origin::hosted::{BaseUrl, logins};
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::sys::env::{Env, Var};
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Paths;

/// The longest token that is taken, in bytes.
pub const MAX_BYTES: usize = 4096;

/// A secret: it has no `Debug` and no `Display`, and is wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes visible ASCII, white space around it ignored; nothing of a refused one is echoed.
    pub fn parse(text: &str) -> Result<Token, &'static str> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            Err("is empty")
        } else if text.len() > MAX_BYTES {
            Err("is longer than 4096 bytes")
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err("contains an invalid character")
        } else {
            Ok(Token(Zeroizing::new(text.to_owned())))
        }
    }

    /// The secret itself, for the one place that sends it and the one that saves it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> String {
        sha256(self.0.as_bytes())
    }
}

/// What the command line says about the token.
#[derive(Default)]
pub struct Given {
    /// `--token-stdin`.
    pub stdin: bool,
    /// `--token`.
    pub argument: Option<Zeroizing<String>>,
    /// Whether `--api-base` stands beside it.
    pub with_base: bool,
}

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line, or stdin.
    Given,
    /// `RUNCODE_TOKEN`.
    Variable,
    /// The saved file.
    Saved,
}

/// A token and the control plane that it names as its own: `https://plane.example#TOKEN`.
struct Addressed {
    token: Token,
    plane: Option<BaseUrl>,
}

impl Addressed {
    fn parse(text: &str, what: &str) -> Result<Addressed> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        let is_address = text.starts_with("https://") || text.starts_with("http://");
        match text.split_once('#').filter(|_| is_address) {
            Some((plane, token)) => {
                Ok(Addressed { token: checked(token, what)?, plane: Some(BaseUrl::parse(plane)?) })
            }
            None => Ok(Addressed { token: checked(text, what)?, plane: None }),
        }
    }

    /// Whether it may go to `base`, which a project's settings can choose: they must not choose who gets the token. One that
    /// names no control plane is for the hosted one. One of this very shell or command may go to this machine too, where
    /// `runcode dev` is; the saved one is there for every project, and any program may listen here.
    fn is_for(&self, base: &BaseUrl, source: Source) -> bool {
        match (&self.plane, source) {
            (Some(plane), _) => plane == base,
            (None, Source::Saved) => base.is_hosted(),
            (None, Source::Given | Source::Variable) => base.is_hosted() || base.is_loopback(),
        }
    }

    fn elsewhere(&self, what: &str, base: &BaseUrl) -> Error {
        let whose = match &self.plane {
            Some(plane) => format!("is for {plane}"),
            None => "names no control plane".to_owned(),
        };
        Error::new(Code::NoToken, format!("{what} {whose}, so it is not sent to {base}")).hint(format!(
            "for the user to decide: if {base} is to be trusted, run `runcode login --api-base {}`, or write its token as \
             `{base}#TOKEN`",
            base.word()
        ))
    }
}

/// For which origin `login` saved a token. The digest tells which token, and so whether the file has been written by
/// hand since.
#[derive(Clone, Serialize, Deserialize)]
struct SavedFor {
    api_base: String,
    token_sha256: String,
}

/// The token to send to `base`: from stdin, the command line, the environment, or the saved file, in this order.
pub fn find(given: &Given, env: &Env, paths: &Paths, base: &BaseUrl) -> Result<Token> {
    locate(given, env, paths, base).map(|(token, _)| token)
}

/// As [`find`], with where it comes from.
pub fn locate(given: &Given, env: &Env, paths: &Paths, base: &BaseUrl) -> Result<(Token, Source)> {
    if let Some((addressed, what)) = from_command_line(given)? {
        let may_go = addressed.is_for(base, Source::Given) || given.with_base && addressed.plane.is_none();
        return if may_go {
            Ok((addressed.token, Source::Given))
        } else {
            Err(addressed.elsewhere(what, base))
        };
    }
    let Some(text) = env.var(Var::RuncodeToken) else {
        let saved = saved(paths, base)?.ok_or_else(|| {
            Error::new(Code::NoToken, "you are not logged in")
                .hint("run `runcode login`, or set RUNCODE_TOKEN")
        });
        return saved.map(|token| (token, Source::Saved));
    };
    const WHAT: &str = "the token in RUNCODE_TOKEN";
    let text = Zeroizing::new(text.into_string().unwrap_or_else(|_| "\0".to_owned()));
    let addressed = Addressed::parse(&text, WHAT)?;
    if addressed.is_for(base, Source::Variable) {
        return Ok((addressed.token, Source::Variable));
    }
    match saved(paths, base) {
        Ok(Some(token)) => Ok((token, Source::Saved)),
        _ => Err(addressed.elsewhere(WHAT, base)),
    }
}

fn from_command_line(given: &Given) -> Result<Option<(Addressed, &'static str)>> {
    if given.stdin {
        const WHAT: &str = "the token on stdin";
        // More room than stdin's own buffer has: so it is bypassed and nothing stays there, nor behind a string that grows.
        const ROOM: usize = 16 * 1024;
        let mut text = Zeroizing::new(String::with_capacity(ROOM));
        let mut stdin = std::io::stdin().lock().take(ROOM as u64 - 1);
        stdin.read_to_string(&mut text).map_err(|error| Error::io("read the token from stdin", error))?;
        return Ok(Some((Addressed::parse(&text, WHAT)?, WHAT)));
    }
    const WHAT: &str = "the token of --token";
    let argument = given.argument.as_ref();
    argument.map(|text| Ok((Addressed::parse(text, WHAT)?, WHAT))).transpose()
}

fn checked(text: &str, what: &str) -> Result<Token> {
    Token::parse(text).map_err(|why| {
        Error::new(Code::NoToken, format!("{what} {why}"))
            .hint("run `runcode login`, or give the token again")
    })
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
    format!("the saved token in `{}`", paths.token().display())
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

/// Forgets the token that is saved for `base`, or every one; says whether there was one.
pub fn forget(paths: &Paths, base: Option<&BaseUrl>) -> Result<bool> {
    if !atomic_file::is_own_dir(paths.config())? {
        return Ok(false);
    }
    let lock = lock(paths)?;
    // What is not understood counts as the hosted one's, as a token that names no control plane does.
    let own = match on_disk(paths) {
        Ok(own) => own.map(|own| owner(paths, &own)).transpose()?,
        Err(_) => Some(BaseUrl::HOSTED_API.to_owned()),
    };
    let mut had = match base {
        Some(base) => logins::remove(paths, base)?,
        None => logins::remove_all(paths)?,
    };
    if base.is_none_or(|base| own.is_none_or(|own| own == base.to_string())) {
        had |= atomic_file::remove(&paths.token())?;
        atomic_file::remove(&paths.token_origin())?;
    }
    lock.remove()?;
    Ok(had)
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

    fn here() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let env = Env::fixed([(Var::Home, folder.path())]);
        let paths = Paths::from_env(&env).unwrap();
        (folder, paths)
    }

    #[test]
    fn a_token_is_visible_ascii() {
        for good in ["abc", " abc\r\n", &"x".repeat(MAX_BYTES)] {
            assert!(Token::parse(good).is_ok());
        }
        for bad in ["", " ", "a b", "a\nb", "a\0b", "tökén", &"x".repeat(MAX_BYTES + 1)] {
            assert!(Token::parse(bad).is_err(), "{bad:?}");
        }
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
        assert!(!forget(&paths, Some(&hosted)).unwrap() && forget(&paths, Some(&b)).unwrap());
        assert!(!forget(&paths, None).unwrap());
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
        assert!(forget(&paths, Some(&b)).unwrap() && token(&b).as_deref() != Some("2-http://127.0.0.1:7"));
        assert!(forget(&paths, Some(&c)).unwrap() && token(&c).is_none());
        assert_eq!((token(&a).as_deref(), saved_for(&paths).unwrap()), (Some("3"), vec![a.to_string()]));
        log_in(&c, "4");
        assert!(paths.token().exists() && is_saved(&paths).unwrap());
        assert!(forget(&paths, None).unwrap() && !is_saved(&paths).unwrap());
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

    /// Which base each way of giving a token may send it to. A project's settings can set RUNCODE_API_BASE.
    #[test]
    fn a_token_goes_only_where_its_giver_meant_it() {
        let (folder, paths) = here();
        let found = |token: &str, base: &str| {
            let env =
                Env::fixed([(Var::Home, folder.path().as_os_str()), (Var::RuncodeToken, token.as_ref())]);
            let base = BaseUrl::parse(base).unwrap();
            locate(&Given::default(), &env, &paths, &base).map(|(token, _)| token.expose().to_owned()).ok()
        };
        for (token, base, sent) in [
            ("secret", BaseUrl::HOSTED_API, Some("secret")),
            ("secret", "http://127.0.0.1:7777", Some("secret")),
            ("secret", "http://localhost", Some("secret")),
            ("secret", "https://evil.example", None),
            ("secret", "https://app.runcode.io.evil.example", None),
            ("secret", "https://app.runcode.io:8443", None),
            ("https://plane.example#secret", "https://plane.example", Some("secret")),
            ("https://plane.example/#secret", "https://plane.example/", Some("secret")),
            ("https://plane.example#secret", "https://plane.example:444", None),
            ("https://plane.example#secret", "https://evil.example", None),
            ("https://plane.example#secret", BaseUrl::HOSTED_API, None),
            ("https://plane.example#", "https://plane.example", None),
        ] {
            assert_eq!(found(token, base).as_deref(), sent, "{token} to {base}");
        }
        let given =
            |with_base| Given { argument: Some(Zeroizing::new("secret".into())), with_base, stdin: false };
        let base = BaseUrl::parse("https://plane.example").unwrap();
        let env = Env::fixed([(Var::Home, folder.path())]);
        assert!(locate(&given(true), &env, &paths, &base).is_ok());
        assert!(locate(&given(false), &env, &paths, &base).is_err());
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
