//! Servers with names of one's own: servers.toml, the operator's and the user's.

mod config;
mod places;
mod policy;
mod power;
mod profile;
mod reader;
mod server;
mod signer;
mod terms;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::error::{Code, Error, Result};
use crate::grant::{Credential, Destination, Grant, Lifetime, NamedServer, SshUser};
use crate::openssh::SshBinary;
use crate::openssh::external::OwnHost;
use crate::origin::names::few;
use crate::origin::{
    Origin, OriginId, Request, SessionKey, Target, Ungranted, Unresolved, Workspace, ssh_alias,
};
use crate::output::foreign::{self, Name};
use crate::output::progress::note;
use crate::sys::digest::sha256;
use crate::sys::env::{Env, Var};
use crate::sys::paths::Paths;
use crate::sys::project::{self, Project};
use crate::sys::trusted_file::Owner;

use power::{Deadlines, Machine, Refusal};

pub use config::{Config, File};
pub use places::Places;
pub use policy::Policy;
pub use power::{Power, State};
pub use server::{AuthMethod, Server};
pub use terms::{Terms, enforced};

/// A servers.toml that explains itself and names no server yet.
pub const STARTER: &str = include_str!("starter.toml");

/// The hint when servers.toml names no server.
const NO_SERVERS: &str =
    "servers.toml names no server yet: `runcode servers init` writes one that explains itself";

/// `error`, for a name that can only mean a server: with a hint where there is none to choose from.
fn none_called_so(error: Error) -> Error {
    if error.next_step().is_some() { error } else { error.hint(NO_SERVERS) }
}

/// The same for a failure to resolve it.
pub(super) fn of_none(failure: Unresolved) -> Unresolved {
    match failure {
        Unresolved::NotFound(error) => Unresolved::NotFound(none_called_so(error)),
        other => other,
    }
}

/// What decides whether a file is the user's own.
#[derive(Debug)]
struct Whereabouts {
    project: Project,
    /// The user's configuration folder by default, whatever the variables say, with links resolved.
    own: Option<PathBuf>,
}

impl Whereabouts {
    fn current() -> Whereabouts {
        let own = project::home().map(|home| Paths::below(&home).config().to_owned());
        let own = own.map(|own| own.canonicalize().unwrap_or(own));
        Whereabouts { project: Project::current(), own }
    }
}

/// The servers that servers.toml names. The files are read when one is first asked for.
#[derive(Debug)]
pub struct Servers {
    places: Places,
    ssh: SshBinary,
    path: Option<OsString>,
    whereabouts: OnceCell<Whereabouts>,
    config: OnceCell<Config>,
}

impl Servers {
    /// Those of these files, with the programs that `env` leads to; no I/O.
    pub fn new(places: Places, env: &Env) -> Servers {
        let (ssh, path) = (SshBinary::from_env(env), env.var(Var::Path));
        Servers { places, ssh, path, whereabouts: OnceCell::new(), config: OnceCell::new() }
    }

    /// The name that the words mean without a doubt: `server:NAME`.
    pub fn explicit(words: &str) -> Option<&str> {
        words.strip_prefix("server:")
    }

    /// Where the files are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What they say.
    pub fn config(&self) -> Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.places.load()?;
        Ok(self.config.get_or_init(|| config))
    }

    /// What ends a search: no server has the name.
    fn not_found(&self, config: &Config, name: &str) -> Error {
        let error = Error::new(Code::NotFound, format!("no server is called {}", foreign::word(name)));
        match config.servers().len() {
            0 => error,
            _ => {
                error.hint(format!("the servers are: {}", few(config.servers().map(|it| it.0.name.clone()))))
            }
        }
    }

    /// The states of the servers that say them, asked side by side. What goes wrong is noted.
    pub fn states(&self) -> Result<BTreeMap<String, State>> {
        let config = self.config()?;
        let asked = config
            .servers()
            .filter(|(server, _)| server.power.state.is_some() && config.usable(server).is_ok());
        let (states, errors) =
            power::states(asked.map(|(server, file)| self.machine(server, file)).collect());
        for error in errors {
            if error.code() == Code::Interrupted {
                return Err(error);
            }
            note(format!("note: {}", error.message()));
        }
        Ok(states)
    }

    /// The server that `words` name (with or without `server:`), its file, and how to call ssh for it.
    pub fn own_host(&self, words: &str) -> Result<(&Server, &File, OwnHost)> {
        let name = Servers::explicit(words).unwrap_or(words);
        let Some(key) = SessionKey::server(name) else {
            return Err(none_called_so(self.not_found(self.config()?, name)));
        };
        let (server, file) = self.known(&key)?;
        let destination = match &server.method {
            AuthMethod::Ssh(destination) => destination.clone(),
            // To look at its host keys, which needs no login.
            AuthMethod::Certificate(host) | AuthMethod::LegacyPassword(host) => {
                Destination::parse(host.as_str()).map_err(|why| {
                    Error::new(Code::Unavailable, format!("ssh cannot be told `{host}`: it {why}"))
                })?
            }
        };
        let host = OwnHost { server: Some(named(server, &key)), ..OwnHost::named(destination) };
        Ok((server, file, host))
    }

    fn machine(&self, server: &Server, file: &File) -> Machine {
        Machine {
            name: server.name.clone(),
            power: server.power.clone(),
            file: file.path.clone(),
            owner: file.owner,
            path: self.path.clone(),
            distrust: self.distrust(server, file),
            deadlines: Deadlines::USUAL,
        }
    }

    /// Why no program of this file may run: the current project may contain the file, whatever points to it. No project can
    /// have put a file where the operator's is, or into the user's own folder.
    fn distrust(&self, server: &Server, file: &File) -> Option<Refusal> {
        if server.power == Power::default() || (file.owner == Owner::Root && cfg!(unix)) {
            return None;
        }
        let here = self.whereabouts.get_or_init(Whereabouts::current);
        if !here.project.holds(&file.given) || here.own.as_ref().is_some_and(|own| file.path.starts_with(own))
        {
            return None;
        }
        let (file, name) = (foreign::path(&file.given.display().to_string()), &server.name);
        let why = format!(
            "{file} is inside this project, and a project must not choose programs to run, so those of `{name}` do not run"
        );
        let own = here.own.as_ref().map(|own| format!(": {}", own.join(places::NAME).display()));
        let hint = "for the user to decide: to allow them, move the server to your own servers.toml";
        Some(Refusal { why, hint: format!("{hint}{}", own.unwrap_or_default()) })
    }

    /// The programs of a server that can be used.
    fn machine_of(&self, key: &SessionKey) -> Result<Machine> {
        let (server, file) = self.known(key)?;
        Ok(self.machine(server, file))
    }

    /// A server that can be used and that the user's own ssh reaches, its file, and where it leads.
    fn usable(&self, key: &SessionKey) -> Result<(&Server, &File, &Destination), Ungranted> {
        let (server, file) = self.known(key)?;
        match &server.method {
            AuthMethod::Ssh(destination) => Ok((server, file, destination)),
            _ => Err(Ungranted::Refused(Terms::of(self.config()?, server).profiles_alone())),
        }
    }

    /// A server that can be used, and its file.
    fn known(&self, key: &SessionKey) -> Result<(&Server, &File), Ungranted> {
        let (config, name) = (self.config()?, key.id());
        let Some((server, file)) = config.server(&name) else {
            let error = none_called_so(self.not_found(config, &name));
            let places = self.places.shown();
            return Err(Ungranted::Gone(error.context(places)));
        };
        terms::refuse(config, server).map_err(Ungranted::Refused)?;
        Ok((server, file))
    }
}

impl Origin for Servers {
    fn id(&self) -> OriginId {
        OriginId::Server
    }

    fn resolve(&self, name: &str) -> Result<Target, Unresolved> {
        let config = self.config()?;
        let server = config.server(name).map(|(server, _)| row(config, server));
        match server.flatten() {
            Some(row) => Ok(Target { key: row.key.clone(), row: Some(row) }),
            None => Err(Unresolved::NotFound(self.not_found(config, name))),
        }
    }

    fn list(&self) -> Result<Vec<Workspace>> {
        let config = self.config()?;
        Ok(config.servers().filter_map(|(server, _)| row(config, server)).collect())
    }

    fn grant(&self, key: &SessionKey, _: &Request<'_>) -> Result<Grant, Ungranted> {
        let (server, _, destination) = self.usable(key)?;
        let external = ssh_alias::external(&self.ssh, destination.clone(), Some(named(server, key)))?;
        Ok(Grant {
            title: server.name.as_str().into(),
            credential: Credential::External(external),
            lifetime: Lifetime::Open,
            workdir: server.workdir.clone(),
            web_url: None,
        })
    }

    fn definition(&self, key: &SessionKey) -> Result<Option<String>, Ungranted> {
        self.usable(key).map(|(server, ..)| Some(definition(server)))
    }

    fn terms(&self, key: &SessionKey) -> Result<Option<Terms>, Ungranted> {
        let (config, name) = (self.config()?, key.id());
        match config.server(&name) {
            Some((server, _)) => Ok(Some(Terms::of(config, server))),
            None => Err(Ungranted::Gone(none_called_so(self.not_found(config, &name)))),
        }
    }

    /// What cannot be told is no reason not to go on.
    fn state(&self, key: &SessionKey) -> Result<Option<Name>> {
        match self.machine_of(key)?.state() {
            Ok(state) => Ok(state.map(|state| state.word().into())),
            Err(error) if error.code() == Code::Interrupted => Err(error),
            Err(error) => {
                note(format!("note: {}", error.message()));
                Ok(Some("unknown".into()))
            }
        }
    }

    fn start(&self, key: &SessionKey, within: Duration) -> Result<()> {
        let machine = self.machine_of(key)?;
        match machine.state() {
            // Not every program takes being told twice.
            Ok(Some(State::Running | State::Starting)) => Ok(()),
            Err(error) if error.code() == Code::Interrupted => Err(error),
            _ => machine.start(within),
        }
    }

    fn stop(&self, key: &SessionKey) -> Result<()> {
        self.machine_of(key)?.stop()
    }
}

/// What the file says of it, for whoever calls ssh.
fn named(server: &Server, key: &SessionKey) -> NamedServer {
    NamedServer {
        words: key.words(),
        port: server.port,
        user: server.user.clone(),
        host_keys: server.host_keys.clone(),
        environment: server.environment.as_deref().map(Into::into),
        definition: definition(server),
    }
}

/// All that a session is made from; what starts the machine is not.
fn definition(server: &Server) -> String {
    let said = json!([
        server.method.host(),
        server.port.map(|port| port.number()),
        server.user.as_ref().map(SshUser::as_str),
        server.host_keys,
        server.environment,
        server.workdir,
        server.policy.profiles, // what an unrestricted session forwards is not for a restricted one
    ]);
    sha256(said.to_string().as_bytes())
}

fn row(config: &Config, server: &Server) -> Option<Workspace> {
    Some(Workspace {
        key: SessionKey::server(&server.name)?,
        title: server.name.as_str().into(),
        custom_title: None,
        environment: server.environment.as_deref().map(Into::into),
        state: None,
        shared: false,
        ssh_capable: config.usable(server).is_ok(),
    })
}
