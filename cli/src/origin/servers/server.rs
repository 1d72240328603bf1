//! One `[servers.NAME]`: where it is, how it is logged in to, and what its owner allows.

use crate::grant::{Destination, Endpoint, Host, Port, ServerPin, ServerPins, SshUser, Workdir};
use crate::origin::key::is_server_name;
use crate::origin::servers::policy::{Known, Policy};
use crate::origin::servers::power::Power;
use crate::origin::servers::reader::Section;
use crate::output::sanitize::is_steering;

/// A server of servers.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// How it is logged in to, and where it is.
    pub method: AuthMethod,
    /// Its port, where the file names one.
    pub port: Option<Port>,
    /// The user there, where the file names one.
    pub user: Option<SshUser>,
    /// What it is for, in its owner's words: `production`.
    pub environment: Option<String>,
    /// Where commands start; none is the login folder.
    pub workdir: Option<Workdir>,
    /// The host keys that count; none are those of the user's own known_hosts.
    pub host_keys: Option<ServerPins>,
    /// What starts and stops the machine.
    pub power: Power,
    /// What may be done on it.
    pub policy: Policy,
}

impl Server {
    /// Whether nothing but profiles may run there, outside of an approved session.
    pub fn is_restricted(&self) -> bool {
        let needs_session = self.policy.unrestricted_sessions && self.policy.requires_approval;
        !self.policy.profiles.is_empty() || self.logs_in_per_run() || needs_session
    }

    /// Whether each run logs in by itself, with what serves for that run alone.
    pub fn logs_in_per_run(&self) -> bool {
        match self.method {
            AuthMethod::Certificate(_) | AuthMethod::LegacyPassword(_) => true,
            AuthMethod::Ssh(_) => false,
        }
    }

    /// The principal that its certificates have.
    pub fn principal(&self) -> &str {
        self.policy.principal.as_ref().or(self.user.as_ref()).map_or("", SshUser::as_str)
    }

    /// The name in the ssh configs that lead to it; ours, so never an option to ssh.
    pub fn alias(&self) -> String {
        format!("runcode-{}", self.name)
    }

    /// Its address, and the user there; `None` if the user's own ssh config decides.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let (AuthMethod::Certificate(host) | AuthMethod::LegacyPassword(host)) = &self.method else {
            return None;
        };
        let port = Port::try_from(u64::from(self.port_number()?)).ok()?;
        Some(Endpoint { host: host.clone(), port, user: self.user.clone()? })
    }

    /// Its port: the one that the file names, else the usual one. None where the user's own ssh config decides.
    pub fn port_number(&self) -> Option<u16> {
        match (self.port, &self.method) {
            (Some(port), _) => Some(port.number()),
            (None, AuthMethod::Ssh(_)) => None,
            (None, AuthMethod::Certificate(_) | AuthMethod::LegacyPassword(_)) => Some(22),
        }
    }
}

/// How a server is logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthMethod {
    /// By a certificate for a key of ours.
    Certificate(Host),
    /// By whatever the user's own ssh does.
    Ssh(Destination),
    /// By a password from the system's keychain.
    LegacyPassword(Host),
}

impl AuthMethod {
    /// Its word in the file.
    pub fn word(&self) -> &'static str {
        match self {
            AuthMethod::Certificate(_) => Word::Certificate.as_str(),
            AuthMethod::Ssh(_) => Word::Ssh.as_str(),
            AuthMethod::LegacyPassword(_) => Word::LegacyPassword.as_str(),
        }
    }

    /// The host as the file names it.
    pub fn host(&self) -> &str {
        match self {
            AuthMethod::Certificate(host) | AuthMethod::LegacyPassword(host) => host.as_str(),
            AuthMethod::Ssh(destination) => destination.as_str(),
        }
    }
}

/// The word that `auth_method` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Certificate,
    Ssh,
    LegacyPassword,
}

impl Word {
    /// The word, or the one that counts where none stands.
    pub(super) fn parse(text: Option<&str>) -> Result<Word, &'static str> {
        match text {
            None | Some("certificate") => Ok(Word::Certificate),
            Some("ssh") => Ok(Word::Ssh),
            Some("legacy_password") => Ok(Word::LegacyPassword),
            Some(_) => Err("is not \"certificate\", \"ssh\" or \"legacy_password\""),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Word::Certificate => "certificate",
            Word::Ssh => "ssh",
            Word::LegacyPassword => "legacy_password",
        }
    }
}

impl Server {
    /// Reads one; whatever is wrong is noted. `None` for one that leads nowhere.
    pub(super) fn read(name: String, mut section: Section<'_>, known: &Known) -> Option<Server> {
        let word = section.parsed("auth_method", |text| Word::parse(Some(text)));
        let clear = if section.has("auth_method") { word } else { Some(Word::Certificate) };
        let word = word.unwrap_or(Word::Certificate);
        if !section.has("host") {
            section.note("host", "is missing");
        }
        let method = match word {
            Word::Certificate => section.parsed("host", Host::parse).map(AuthMethod::Certificate),
            Word::Ssh => section.parsed("host", Destination::parse).map(AuthMethod::Ssh),
            Word::LegacyPassword => section.parsed("host", Host::parse).map(AuthMethod::LegacyPassword),
        };
        let port = section.number("port", 1..=65535).and_then(|port| Port::try_from(port).ok());
        let user = section.parsed("user", user);
        if word != Word::Ssh && !section.has("user") {
            section.note("user", format_args!("is missing; auth_method = \"{}\" needs it", word.as_str()));
        }
        let destination = match &method {
            Some(AuthMethod::Ssh(destination)) => Some(destination),
            _ => None,
        };
        if destination.is_some_and(Destination::has_port) && section.has("port") {
            section.note("port", "stands in host too: say it once");
        }
        if destination.and_then(Destination::user).is_some() && section.has("user") {
            section.note("user", "stands in host too: say it once");
        }
        let login = user.as_ref().map(SshUser::as_str).or(destination.and_then(Destination::user));
        match (section.flag("root_login_acknowledged"), login == Some("root")) {
            (Some(true), false) => {
                section.note("root_login_acknowledged", "is true, and the user is not root");
            }
            (None | Some(false), true) => {
                section.note("root_login_acknowledged", "has to be true where the user is root");
            }
            _ => {}
        }
        let environment = section.parsed("environment", environment);
        let workdir = section.parsed("workdir", Workdir::parse_own);
        let host_keys = host_keys(&mut section);
        let power = section.section("power").map(Power::read).unwrap_or_default();
        let policy = Policy::read(&name, &mut section, clear, known);
        section.finish();
        Some(Server { name, method: method?, port, user, environment, workdir, host_keys, power, policy })
    }
}

/// What servers, profiles and signers may be called.
pub(super) fn is_name(name: &str) -> Result<(), &'static str> {
    is_server_name(name)
        .then_some(())
        .ok_or("is not 1 to 64 of a-z, 0-9, `_` and `-`, beginning with a letter or a digit")
}

/// A user name: `[A-Za-z_][A-Za-z0-9._-]{0,31}`.
pub(super) fn user(text: &str) -> Result<SshUser, &'static str> {
    if text.len() > 32 || text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("is longer than 32 characters, or begins with a digit");
    }
    SshUser::parse(text)
}

fn environment(text: &str) -> Result<String, &'static str> {
    if (1..=64).contains(&text.chars().count()) && !text.chars().any(is_steering) {
        Ok(text.to_owned())
    } else {
        Err("is not 1 to 64 characters that show themselves")
    }
}

fn host_keys(section: &mut Section<'_>) -> Option<ServerPins> {
    let lines = section.texts("host_keys")?;
    let pins = lines.into_iter().map(|line| line.parse(ServerPin::parse)).collect::<Option<Vec<_>>>()?;
    ServerPins::new(pins).map_err(|why| section.note("host_keys", why)).ok()
}
