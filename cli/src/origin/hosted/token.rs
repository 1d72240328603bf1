//! The API token: where it comes from, and to which origin it may go.

use std::io::Read as _;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::origin::hosted::BaseUrl;
use crate::origin::hosted::saved_token::saved;
use crate::sys::digest::sha256;
use crate::sys::env::{Env, Var};
use crate::sys::paths::Paths;
use crate::sys::secret::{Secret, Unusable};

/// The longest token that is taken, in bytes.
pub const MAX_BYTES: usize = 4096;

/// A secret for one control plane.
#[derive(Clone)]
pub struct Token(Secret);

impl Token {
    /// Takes visible ASCII, white space around it ignored; nothing of a refused one is echoed.
    pub fn parse(text: &str) -> Result<Token, Unusable> {
        Secret::parse(text, MAX_BYTES).map(Token)
    }

    /// The secret itself, for the one place that sends it and the one that saves it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Its SHA-256, which tells it from others without giving it away.
    pub(super) fn digest(&self) -> String {
        sha256(self.expose().as_bytes())
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
pub(super) struct Addressed {
    pub(super) token: Token,
    pub(super) plane: Option<BaseUrl>,
}

impl Addressed {
    /// Reads one; `what` is what an error is about.
    pub(super) fn parse(text: &str, what: &str) -> Result<Addressed> {
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
    pub(super) fn is_for(&self, base: &BaseUrl, source: Source) -> bool {
        match (&self.plane, source) {
            (Some(plane), _) => plane == base,
            (None, Source::Saved) => base.is_hosted(),
            (None, Source::Given | Source::Variable) => base.is_hosted() || base.is_loopback(),
        }
    }

    /// The error for one that may not go to `base`.
    pub(super) fn elsewhere(&self, what: &str, base: &BaseUrl) -> Error {
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
}
