//! The workspace's page, for display.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::output::foreign;

/// The longest address, in bytes.
const MAX: usize = 1024;

/// An `https` address without user, query or fragment: a token in the query (`?tkn=`) never gets this far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(Url);

impl WebUrl {
    /// Parses an address; plain `http` is taken only to this machine.
    pub fn parse(text: &str) -> Result<WebUrl, &'static str> {
        let mut url = Url::parse(text).map_err(|_| "is not a web address")?;
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.host_str().is_none() || !(url.scheme() == "https" || url.scheme() == "http" && is_local) {
            return Err("is not an https address");
        }
        url.set_query(None);
        url.set_fragment(None);
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err("is not a web address");
        }
        // As it is kept: escaping makes it longer, and what is kept has to be readable again.
        if text.len() > MAX || url.as_str().len() > MAX {
            return Err("is too long");
        }
        Ok(WebUrl(url))
    }

    /// The address itself, for files and for JSON. For people there is `Display`.
    pub fn text(&self) -> String {
        let text = self.0.as_str();
        if self.0.path() == "/" { text.trim_end_matches('/') } else { text }.to_owned()
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        foreign::path(&self.text()).fmt(f)
    }
}

impl TryFrom<String> for WebUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<WebUrl, &'static str> {
        WebUrl::parse(&text)
    }
}

impl From<WebUrl> for String {
    fn from(url: WebUrl) -> String {
        url.text()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_page_address_loses_its_secrets() {
        let url = WebUrl::parse("https://u:p@royal-tree.ws.runcode.io/?tkn=secret#f").unwrap();
        assert_eq!(url.text(), "https://royal-tree.ws.runcode.io");
        assert_eq!(url.to_string(), "\"https://royal-tree.ws.runcode.io\"");
        for bad in ["", "x", "http://example.com", "javascript:alert(1)", "file:///etc/passwd", "data:,x"] {
            assert!(WebUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_accepted_url_is_accepted_again() {
        for count in [300, 338, 339, 500] {
            let Ok(url) = WebUrl::parse(&format!("https://a/{}", "<".repeat(count))) else { continue };
            assert_eq!(WebUrl::parse(&url.text()), Ok(url), "{count}");
        }
        assert!(WebUrl::parse(&format!("https://a/{}", "<".repeat(500))).is_err());
    }
}
