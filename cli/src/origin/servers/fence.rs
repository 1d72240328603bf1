//! Other names of a server on which only profiles may run: a host of the user's ssh config, or a server of a file that has no say
//! there.

use crate::error::{Code, Error, Result};
use crate::grant::{Destination, SshUser};
use crate::openssh::external::OwnHost;
use crate::openssh::question::Resolved;
use crate::origin::servers::{AuthMethod, Config, Server, Servers, named};
use crate::origin::{OriginId, SessionKey};

/// An account of a machine, as far as names tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    host: String,
    port: String,
    user: String,
}

/// What leads to an account.
#[derive(Debug)]
struct Way {
    /// The host as it is written.
    host: String,
    /// Whether a port is written.
    has_port: bool,
    /// The user that is written.
    user: Option<String>,
    /// What ssh makes of it, and what is written, where no ssh config counts.
    accounts: Vec<Account>,
}

impl Way {
    /// Whether it leads where the other does. A host that is written without a user and a port stands for every account that
    /// the other can mean by it.
    fn leads_as(&self, other: &Way) -> bool {
        let is_bare = !self.has_port && (self.user.is_none() || self.user == other.user);
        (is_bare && self.host == other.host)
            || self.accounts.iter().any(|account| other.accounts.contains(account))
    }
}

/// A host's name or address in one spelling.
fn normal(host: &str) -> String {
    let bare = host.strip_suffix('.').unwrap_or(host);
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => bare.to_ascii_lowercase(),
    }
}

impl Servers {
    /// Refuses `key` if it leads to a server on which only profiles may run, and is not that server. What an operator's file says
    /// holds against every other file; what the user's own says, against hosts that are named to ssh alone. Nothing is asked but
    /// ssh itself, and that only if there is such a server.
    pub(super) fn refuse_other_name(&self, key: &SessionKey) -> Result<()> {
        let config = self.config()?;
        let asked = match key.origin() {
            OriginId::Plane(_) => return Ok(()),
            OriginId::Ssh => None,
            OriginId::Server => match config.server(&key.id()) {
                Some((server, file)) if !file.is_operators() => Some(server),
                _ => return Ok(()),
            },
        };
        let mut fences = config.restricted().filter(|fence| asked.is_none() || fence.is_operators).peekable();
        if fences.peek().is_none() {
            return Ok(());
        }
        let way = match asked {
            Some(server) => self.way_to(server)?,
            None => {
                let destination = Destination::parse(&key.id())
                    .map_err(|why| Error::new(Code::Usage, format!("the destination {why}")))?;
                Way {
                    host: normal(destination.host()),
                    has_port: destination.has_port(),
                    user: destination.user().map(str::to_owned),
                    accounts: vec![self.account(&OwnHost::named(destination))?],
                }
            }
        };
        for fence in fences {
            let is_named_so = asked.is_some_and(|server| server.name == fence.server.name);
            if is_named_so || way.leads_as(&self.way_to(fence.server)?) {
                return Err(fence.refusal(key));
            }
        }
        Ok(())
    }

    fn way_to(&self, server: &Server) -> Result<Way> {
        let user = server.user.as_ref().map(SshUser::to_string);
        let (destination, written) = match &server.method {
            AuthMethod::Ssh(destination) => (Some(destination.clone()), None),
            AuthMethod::Certificate(host) | AuthMethod::LegacyPassword(host) => {
                let account = Account {
                    host: normal(host.as_str()),
                    port: server.port_number().unwrap_or(22).to_string(),
                    user: user.clone().unwrap_or_default(),
                };
                (Destination::parse(host.as_str()).ok(), Some(account))
            }
        };
        let mut accounts = written.into_iter().collect::<Vec<_>>();
        if let (Some(destination), Some(key)) = (&destination, SessionKey::server(&server.name)) {
            let host = OwnHost { server: Some(named(server, &key)), ..OwnHost::named(destination.clone()) };
            accounts.push(self.account(&host)?);
        }
        let of_destination = |destination: &Destination| destination.user().map(str::to_owned);
        Ok(Way {
            host: normal(destination.as_ref().map_or(server.method.host(), Destination::host)),
            has_port: server.port.is_some() || destination.as_ref().is_some_and(Destination::has_port),
            user: user.or_else(|| destination.as_ref().and_then(of_destination)),
            accounts,
        })
    }

    /// What ssh makes of the host; a command asks it once.
    fn account(&self, host: &OwnHost) -> Result<Account> {
        let asked = (host.place(), host.destination.as_str().to_owned());
        if let Some(known) = self.accounts.borrow().get(&asked) {
            return Ok(known.clone());
        }
        let resolved = Resolved::at(&self.ssh.find()?, &asked.0, &host.destination)?;
        let value = |name: &str| resolved.value(name).unwrap_or_default().to_owned();
        let account = Account { host: normal(&value("hostname")), port: value("port"), user: value("user") };
        self.accounts.borrow_mut().insert(asked, account.clone());
        Ok(account)
    }
}

/// A server on which only profiles may run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fence<'a> {
    pub(super) server: &'a Server,
    /// Whether an operator's file says so.
    pub(super) is_operators: bool,
    /// Whether it can be named: not where the user names a file that leaves it out.
    pub(super) is_listed: bool,
}

impl Fence<'_> {
    fn refusal(&self, key: &SessionKey) -> Error {
        let name = &self.server.name;
        let what = format!("`{}` leads to the server `{name}`, which runs only its profiles", key.words());
        let file = if self.is_listed { "" } else { ", without --servers and RUNCODE_SERVERS" };
        Error::new(Code::PolicyDenied, what).hint(format!(
            "`runcode servers profiles {name}` shows them{file}; run one with `runcode run server:{name} --profile …`"
        ))
    }
}

impl Config {
    /// The servers on which only profiles may run, of a file that the user's leaves out too.
    pub(super) fn restricted(&self) -> impl Iterator<Item = Fence<'_>> {
        let listed = self.servers().map(|found| (found, true));
        let left_out = self.left_out().into_iter().flat_map(Config::servers).map(|found| (found, false));
        listed
            .chain(left_out)
            .filter(|((server, _), _)| server.is_restricted())
            .map(|((server, file), is_listed)| Fence { server, is_operators: file.is_operators(), is_listed })
    }
}
