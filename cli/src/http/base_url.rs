//! Where secrets may be sent: by https anywhere, by http only on this machine.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::error::{Code, Error, Result};
use crate::output::foreign;

/// An API or web base: an origin and perhaps a path prefix. Never with a user, a query or a fragment.
#[derive(Debug, Clone)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The hosted control plane.
    pub const HOSTED_API: &'static str = "https://app.runcode.io";

    /// The hosted web host.
    pub const HOSTED_WEB: &'static str = "https://runcode.io";

    /// Parses a base; anything but https, or http to a literal loopback host, is `insecure_base`.
    pub fn parse(text: &str) -> Result<BaseUrl> {
        BaseUrl::read(text).map_err(|why| {
            let shown = match text.contains('@') {
                true => "(not shown: it may contain a password)".to_owned(),
                false => foreign::file(text).to_string(),
            };
            Error::new(Code::InsecureBase, format!("the base URL {shown} {why}"))
                .hint("use https://…, or http:// with localhost, 127.0.0.1 or [::1]")
        })
    }

    /// As [`BaseUrl::parse`]; the error completes a sentence about the text, and shows none of it.
    pub fn read(text: &str) -> Result<BaseUrl, &'static str> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("has a character that does not belong in a URL");
        }
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err("has a user name in it");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or a fragment");
        }
        match url.scheme() {
            "https" if url.host().is_some() => Ok(BaseUrl(url)),
            "http" if is_literal_loopback(&url, text) => Ok(BaseUrl(url)),
            "http" => Err("would send the token unencrypted to another machine"),
            _ => Err("is neither https nor http"),
        }
    }

    /// The base without a slash at the end: how it is compared and kept.
    fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The URL of `path`, which starts with `/`, below the base.
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// Whether it is the hosted control plane, at whatever path.
    pub fn is_hosted(&self) -> bool {
        Url::parse(BaseUrl::HOSTED_API).is_ok_and(|hosted| self.is_origin_of(&hosted))
    }

    /// Whether its host serves the hosted control plane's login page.
    pub fn is_hosted_web(&self) -> bool {
        Url::parse(BaseUrl::HOSTED_WEB).is_ok_and(|hosted| self.is_origin_of(&hosted))
    }

    /// The base as a shell takes it, for advice that people and agents paste.
    pub fn word(&self) -> String {
        let text = self.to_string();
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b":/._-~%".contains(&byte) || !byte.is_ascii();
        match text.bytes().all(is_plain) {
            true => text,
            false => format!("'{}'", text.replace('\'', "'\\''")),
        }
    }

    /// Whether requests to it stay on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
            None => false,
        }
    }

    /// The address and port of a base that names this machine by a literal address.
    pub fn loopback_address(&self) -> Option<SocketAddr> {
        let ip = match self.0.host()? {
            Host::Ipv4(address) => IpAddr::from(address),
            Host::Ipv6(address) => IpAddr::from(address),
            Host::Domain(_) => return None,
        };
        ip.is_loopback().then_some(SocketAddr::new(ip, self.0.port_or_known_default()?))
    }

    /// Whether requests to it are plain http, which only this machine's own addresses are allowed.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether `url` has the base's scheme, host and port.
    pub fn is_origin_of(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }
}

/// `127.0.0.1` as such, not as `0x7f.1` or another spelling that only a URL parser reads as loopback.
fn is_literal_loopback(url: &Url, text: &str) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let host = url.host_str().unwrap_or_default();
    let written = authority(text).to_ascii_lowercase();
    let rest = written.strip_prefix(host);
    loopback && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// What stands between `scheme://` and the next `/`, `?` or `#`.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for BaseUrl {
    fn eq(&self, other: &BaseUrl) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for BaseUrl {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn https_and_loopback_http_pass() {
        for good in [
            "https://app.runcode.io",
            "https://app.runcode.io/",
            "https://10.0.0.1:8443/base",
            "http://localhost:8000",
            "http://LOCALHOST",
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:80/",
        ] {
            assert!(BaseUrl::parse(good).is_ok(), "{good}");
        }
        let base = BaseUrl::parse("https://a.example/base/").unwrap();
        assert_eq!(base.to_string(), "https://a.example/base");
        let odd = BaseUrl::parse("https://a.example/;touch$IFSx'").unwrap();
        assert_eq!(
            (base.word(), odd.word().as_str()),
            (base.to_string(), "'https://a.example/;touch$IFSx'\\'''")
        );
        assert_eq!(base.join("/api/rc/x").as_str(), "https://a.example/base/api/rc/x");
    }

    #[test]
    fn anything_else_is_insecure() {
        for bad in [
            "",
            "app.runcode.io",
            "http://app.runcode.io",
            "http://127.evil.com",
            "http://127.0.0.1@evil.com",
            "http://localhost.evil.com",
            "http://127.0.0.1.evil.com",
            "https://user@app.runcode.io",
            "https://user:pw@a",
            "https://@a",
            "ftp://localhost",
            "file:///x",
            "http://0x7f.1",
            "http://2130706433",
            "http://127.1",
            "http://0.0.0.0",
            "http://[::ffff:127.0.0.1]",
            "http://169.254.169.254",
            "https://a.example/?x",
            "https://a.example/#x",
            "https://",
            "http://",
            "https://a b",
            "https://a\n.b",
            " https://a",
            "http:\\\\localhost",
            "http://127.0.0.1\\@evil.com",
            "javascript:x",
            "http://localhost%00.evil.com",
        ] {
            assert_eq!(
                BaseUrl::parse(bad).map(|_| ()).map_err(|e| e.code()),
                Err(Code::InsecureBase),
                "{bad:?}"
            );
        }
    }
}
