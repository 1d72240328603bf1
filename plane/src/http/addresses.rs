//! Where the pages are: behind a name that cannot be guessed, so that only who was told an address can open it.
//!
//! A browser sends no token with the address that it is given, and every user and web page can have it open one.
//! Hence capability URLs (<https://www.w3.org/TR/capability-urls/>), on every system.

use sha2::{Digest, Sha256};

use crate::state::token;
use runcode_wire::{API_PREFIX, CLI_LOGIN_PATH, CLI_LOGIN_STARTED_PATH, PAGES_PREFIX};

/// The first parts of the pages' paths, each with a `/` before it. Neither tells the other.
pub struct Addresses {
    /// The login page's: whoever knows it can ask for a token.
    pub login: String,
    /// The workspaces' pages: a bundle's `web_url` shows it, to the agent and in the status line.
    pub workspaces: String,
}

impl Addresses {
    /// Those that follow from a secret text.
    pub fn new(secret: &str) -> Self {
        let path = |pages: &str| {
            let digest: [u8; 32] = Sha256::digest(format!("{pages}\n{secret}")).into();
            let name: String = token::hex(&digest).chars().take(32).collect();
            format!("{PAGES_PREFIX}{name}")
        };
        Addresses { login: path("login"), workspaces: path("workspaces") }
    }

    /// A path as a log or a rule may have it: one that leads somewhere, without what is secret. Any other may be a secret that
    /// somebody wrote in another way.
    pub(super) fn hide<'a>(&self, path: &'a str) -> &'a str {
        let login = path.strip_prefix(self.login.as_str());
        let login = login.filter(|rest| [CLI_LOGIN_PATH, CLI_LOGIN_STARTED_PATH].contains(rest));
        let workspace = path.strip_prefix(self.workspaces.as_str());
        let workspace = workspace.filter(|rest| {
            rest.strip_prefix("/w/").is_some_and(|title| !title.is_empty() && !title.contains('/'))
        });
        let is_open = path == CLI_LOGIN_PATH || path.strip_prefix(API_PREFIX).is_some_and(is_of_api);
        login.or(workspace).or(is_open.then_some(path)).unwrap_or(UNKNOWN)
    }
}

/// What a log shows of a path that leads nowhere.
pub(super) const UNKNOWN: &str = "/…";

/// Whether the API has this route.
fn is_of_api(path: &str) -> bool {
    let session = path.strip_prefix("/workspace/").and_then(|rest| rest.strip_suffix("/ssh-session"));
    ["/workspaces", "/workspace/start", "/workspace/stop", "/logout"].contains(&path)
        || session
            .is_some_and(|id| (1..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_page_has_a_secret() {
        let (a, b) = (Addresses::new("a"), Addresses::new("b"));
        let mut all = [&a.login, &a.workspaces, &b.login, &b.workspaces];
        assert!(all.iter().all(|path| path.len() == PAGES_PREFIX.len() + 32));
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn logs_and_rules_see_no_secret() {
        let addresses = Addresses::new("a");
        let (login, workspaces) = (&addresses.login, &addresses.workspaces);
        for (path, shown) in [
            (format!("{login}/auth/cli-login/"), "/auth/cli-login/"),
            (format!("{login}/auth/cli-login/started"), "/auth/cli-login/started"),
            (format!("{workspaces}/w/box-1"), "/w/box-1"),
            ("/auth/cli-login/".to_owned(), "/auth/cli-login/"),
            ("/api/rc/workspaces".to_owned(), "/api/rc/workspaces"),
            ("/api/rc/workspace/12/ssh-session".to_owned(), "/api/rc/workspace/12/ssh-session"),
        ] {
            assert_eq!(addresses.hide(&path), shown);
        }
        let encoded = login.replacen('d', "%64", 1);
        for path in [
            login.clone(),
            login[..20].to_owned(),
            login.to_uppercase(),
            format!("/{login}/auth/cli-login/"),
            format!("{encoded}/auth/cli-login/"),
            format!("{workspaces}{login}/auth/cli-login/"),
            format!("{login}{login}"),
            format!("{workspaces}/w/{login}"),
            format!("/api/rc{login}"),
            format!("/api/rc/workspace{login}/ssh-session"),
            "/elsewhere".to_owned(),
        ] {
            assert_eq!(addresses.hide(&path), UNKNOWN, "{path}");
        }
    }
}
