//! The configuration: a TOML file, and variables that override single values.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};
use url::{Host, Url};

use crate::clock;
use crate::failure::{Failure, Kind, Result};

/// Where the file is, if it is not named.
pub(crate) const DEFAULT_FILE: &str = "/etc/runcode/server.toml";
/// What the variables' names begin with.
const PREFIX: &str = "RUNCODE_SERVER_";
/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Every key, as `section.key`.
const KEYS: &[&str] = &[
    "listen",
    "public_url",
    "trusted_proxies",
    "tls.cert",
    "tls.key",
    "database.url",
    "ca.master_key_file",
    "session.ttl",
    "session.max_ttl",
    "login.max_age",
    "login.legacy",
    "token.max_age",
    "limits.mints_per_second",
    "limits.mints_per_minute",
    "limits.wrong_tokens",
    "limits.wrong_codes",
];

/// The numbers of "Limits" in the guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Certificates for a person in a second.
    pub mints_per_second: u32,
    /// Certificates for a person in a minute.
    pub mints_per_minute: u32,
    /// Wrong tokens from an address in a minute.
    pub wrong_tokens: u32,
    /// Wrong codes or links from an address in a minute.
    pub wrong_codes: u32,
}

/// What the server is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How browsers and clients reach it, without a slash at the end; by default, the address.
    pub public_url: Option<String>,
    /// The addresses whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpAddr>,
    /// The files of the certificate chain and the key of TLS.
    pub tls_cert: Option<PathBuf>,
    /// The file of the key of TLS.
    pub tls_key: Option<PathBuf>,
    /// The state folder.
    pub state: PathBuf,
    /// The SQLite file, if not in the state folder.
    pub database: Option<PathBuf>,
    /// The file of the key that seals keys, if not in the state folder.
    pub master_key_file: Option<PathBuf>,
    /// How long a session lasts at most, if its workspace says nothing.
    pub session_ttl: Duration,
    /// How long a workspace may let sessions last.
    pub session_max_ttl: Duration,
    /// When a login ends.
    pub login_max_age: Duration,
    /// Whether a client without PKCE may log in.
    pub login_legacy: bool,
    /// When a token that was made by hand ends.
    pub token_max_age: Duration,
    /// How much of something is too much.
    pub limits: Limits,
}

/// A value as a file or a variable has it.
enum Raw<'a> {
    Text(&'a str),
    Number(&'a str),
    Truth(bool),
    List(Vec<&'a str>),
}

impl Config {
    fn new(state: PathBuf) -> Config {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let days = |count: u64| Duration::from_secs(86400 * count);
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            public_url: None,
            trusted_proxies: Vec::new(),
            tls_cert: None,
            tls_key: None,
            state,
            database: None,
            master_key_file: None,
            session_ttl: minutes(30),
            session_max_ttl: minutes(8 * 60),
            login_max_age: days(30),
            login_legacy: true,
            token_max_age: days(365),
            limits: Limits { mints_per_second: 30, mints_per_minute: 600, wrong_tokens: 60, wrong_codes: 10 },
        }
    }

    /// Reads `file`, else the default one if it is there, and the environment.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and key.
    pub(crate) fn load(file: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Config> {
        let mut config = Config::new(state_folder(env)?);
        let file = match file {
            Some(file) => Some(file),
            None => Some(Path::new(DEFAULT_FILE)).filter(|file| file.exists()),
        };
        if let Some(file) = file {
            config.read(file)?;
        }
        for key in KEYS {
            let name = format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase());
            if let Some(value) = env(&name) {
                config.set(key, &Raw::Text(&value), true).map_err(|why| usage(format!("{name} {why}")))?;
            }
        }
        config.check()?;
        Ok(config)
    }

    fn read(&mut self, file: &Path) -> Result<()> {
        let shown = file.display();
        let is_small = std::fs::metadata(file).map(|found| found.len() <= MAX_FILE);
        let text = match is_small {
            Ok(true) => std::fs::read_to_string(file),
            Ok(false) => return Err(usage(format!("{shown} is larger than 1 MiB"))),
            Err(error) => Err(error),
        };
        let text = text.map_err(|error| usage(format!("cannot read {shown}: {error}")))?;
        let at = |offset: usize| {
            let line = text.get(..offset).unwrap_or_default().matches('\n').count() + 1;
            format!("{shown}:{line}")
        };
        let table = DeTable::parse(&text).map_err(|error| {
            let place = error.span().map_or_else(|| shown.to_string(), |span| at(span.start));
            usage(format!("{place}: {}", error.message()))
        })?;
        let wrong = |offset: usize, key: &str, why: &str| usage(format!("{}: `{key}` {why}", at(offset)));
        for (name, value) in table.get_ref() {
            let (section, place) = (name.get_ref().as_ref(), name.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => {
                    for (name, value) in inner {
                        let key = format!("{section}.{}", name.get_ref());
                        self.set_from(&key, value.get_ref())
                            .map_err(|why| wrong(name.span().start, &key, &why))?;
                    }
                }
                other => self.set_from(section, other).map_err(|why| wrong(place, section, &why))?,
            }
        }
        Ok(())
    }

    fn set_from(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        let raw = match value {
            DeValue::String(text) => Raw::Text(text),
            DeValue::Integer(number) if number.radix() == 10 => Raw::Number(number.as_str()),
            DeValue::Boolean(truth) => Raw::Truth(*truth),
            DeValue::Array(items) => {
                let texts = items.iter().map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.as_ref()),
                    _ => None,
                });
                Raw::List(texts.collect::<Option<_>>().ok_or("is not a list of strings")?)
            }
            _ => return Err("has a value of the wrong type".to_owned()),
        };
        self.set(key, &raw, false)
    }

    /// Sets one value. A variable has all values as text.
    fn set(&mut self, key: &str, raw: &Raw<'_>, is_variable: bool) -> Result<(), String> {
        let text = || match raw {
            Raw::Text(text) if !text.is_empty() => Ok(*text),
            _ => Err("is not a text".to_owned()),
        };
        let time = || {
            clock::duration(text()?)
                .ok_or_else(|| "is not a duration such as \"30m\", \"8h\" or \"30d\"".to_owned())
        };
        let number = || match raw {
            Raw::Number(text) => Some(*text),
            Raw::Text(text) if is_variable => Some(*text),
            _ => None,
        };
        let count = || {
            let found = number().and_then(|text| text.parse::<u32>().ok()).filter(|count| *count > 0);
            found.ok_or_else(|| "is not a whole number above 0".to_owned())
        };
        let truth = || match raw {
            Raw::Truth(truth) => Ok(*truth),
            Raw::Text("true") if is_variable => Ok(true),
            Raw::Text("false") if is_variable => Ok(false),
            _ => Err("is neither true nor false".to_owned()),
        };
        let absolute = || {
            Some(PathBuf::from(text()?))
                .filter(|path| path.is_absolute())
                .ok_or("is not an absolute path".to_owned())
        };
        match key {
            "listen" => {
                self.listen = text()?
                    .parse()
                    .map_err(|_| "is not an address with a port, such as \"127.0.0.1:7070\"")?
            }
            "public_url" => self.public_url = Some(public_url(text()?)?),
            "trusted_proxies" => {
                let list = match raw {
                    Raw::List(list) => list.clone(),
                    Raw::Text(text) if is_variable => text.split(',').map(str::trim).collect(),
                    _ => return Err("is not a list of addresses".to_owned()),
                };
                let addresses = list.iter().map(|text| text.parse()).collect::<Result<_, _>>();
                self.trusted_proxies = addresses.map_err(|_| "has an entry that is not an IP address")?;
            }
            "database.url" => {
                let path =
                    text()?.strip_prefix("sqlite:").map(PathBuf::from).filter(|path| path.is_absolute());
                self.database = Some(path.ok_or("is not `sqlite:` and an absolute path")?);
            }
            "tls.cert" => self.tls_cert = Some(absolute()?),
            "tls.key" => self.tls_key = Some(absolute()?),
            "ca.master_key_file" => self.master_key_file = Some(absolute()?),
            "session.ttl" => self.session_ttl = time()?,
            "session.max_ttl" => self.session_max_ttl = time()?,
            "login.max_age" => self.login_max_age = time()?,
            "login.legacy" => self.login_legacy = truth()?,
            "token.max_age" => self.token_max_age = time()?,
            "limits.mints_per_second" => self.limits.mints_per_second = count()?,
            "limits.mints_per_minute" => self.limits.mints_per_minute = count()?,
            "limits.wrong_tokens" => self.limits.wrong_tokens = count()?,
            "limits.wrong_codes" => self.limits.wrong_codes = count()?,
            _ => return Err("is not a known key; the guide lists them".to_owned()),
        }
        Ok(())
    }

    /// What only several values together can have wrong.
    fn check(&self) -> Result<()> {
        if self.session_ttl > self.session_max_ttl {
            return Err(usage("`session.ttl` is longer than `session.max_ttl`; shorten it"));
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(usage("`tls.cert` and `tls.key` belong together; set both or neither"));
        }
        let is_https = self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let is_safe = self.tls_cert.is_some() || !self.trusted_proxies.is_empty() && is_https;
        if !self.listen.ip().is_loopback() && !is_safe {
            return Err(usage(format!(
                "`listen` is {}, which other machines can reach, without TLS; set `tls.cert` and `tls.key`, or, behind a proxy \
                 that ends TLS, `trusted_proxies` to its addresses and `public_url` to its https:// address",
                self.listen
            )));
        }
        if self.tls_cert.is_some() && self.public_url.is_some() && !is_https {
            return Err(usage("`public_url` is http://, and `tls.cert` is set; use https://"));
        }
        if self.listen.ip().is_unspecified() && self.public_url.is_none() {
            return Err(usage("`listen` is every address, so clients need one: set `public_url`"));
        }
        if let Some(url) = self.public_url.as_ref().filter(|_| !is_https)
            && !is_loopback_url(url)
        {
            return Err(usage(format!(
                "`public_url` is {url}, which sends tokens unencrypted; use https://"
            )));
        }
        Ok(())
    }

    /// How browsers and clients reach the server, given the port that it got.
    pub(crate) fn base(&self, port: u16) -> String {
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        let of_address = || format!("{scheme}://{}", SocketAddr::new(self.listen.ip(), port));
        self.public_url.clone().unwrap_or_else(of_address)
    }

    /// The SQLite file.
    pub(crate) fn database(&self) -> PathBuf {
        self.database.clone().unwrap_or_else(|| self.state.join(runcode_plane::STATE_FILE))
    }

    /// The file of the key that seals keys.
    pub(crate) fn master_key(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.state.join("master.key"))
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, message)
}

fn state_folder(env: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // systemd gives several folders with colons between them.
    let given = env("STATE_DIRECTORY").and_then(|all| all.split(':').next().map(PathBuf::from));
    given
        .filter(|path| path.is_absolute())
        .or_else(|| Some(absolute("XDG_DATA_HOME")?.join("runcode-server")))
        .or_else(|| Some(absolute("HOME")?.join(".local/share/runcode-server")))
        .ok_or_else(|| usage("there is no folder for the state; set STATE_DIRECTORY to an absolute path"))
}

/// An http or https URL with nothing behind its host and port. It also stands in a shell script, so no character of it may mean
/// anything to a shell.
fn public_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_plain || url.path() != "/" {
        return Err("is not http:// or https:// with a host and nothing behind it".to_owned());
    }
    let base = url.as_str().trim_end_matches('/').to_owned();
    let is_safe = base.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-[]".contains(&byte));
    if is_safe { Ok(base) } else { Err("has a character that does not belong in a host name".to_owned()) }
}

/// Whether a URL leads to this machine by its name or a literal address.
pub(crate) fn is_loopback_url(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
