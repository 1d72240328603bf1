//! Where the pages are: behind a name that cannot be guessed, so that only who was told an address can open it.
//!
//! A browser sends no token with the address that it is given, and every user and web page can have it open one.
//! Hence capability URLs (<https://www.w3.org/TR/capability-urls/>), on every system.

use sha2::{Digest, Sha256};

use crate::state::token;
use runcode_wire::PAGES_PREFIX;

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

    /// A path as a log or a rule may have it: without what is secret.
    pub(super) fn hide<'a>(&self, path: &'a str) -> &'a str {
        [&self.login, &self.workspaces]
            .iter()
            .find_map(|secret| path.strip_prefix(secret.as_str()))
            .unwrap_or(path)
    }
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
        let path = format!("{}/auth/cli-login/", addresses.login);
        assert_eq!(addresses.hide(&path), "/auth/cli-login/");
        assert_eq!(addresses.hide(&addresses.workspaces), "");
        assert_eq!(addresses.hide("/api/rc/workspaces"), "/api/rc/workspaces");
    }
}
