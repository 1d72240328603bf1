//! Servers with names of one's own: servers.toml, the operator's and the user's.

mod config;
mod definition;
mod fence;
mod password;
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
mod trail;
mod unclosed;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::grant::{Credential, Destination, Grant, Lifetime};
use crate::openssh::SshBinary;
use crate::openssh::external::OwnHost;
use crate::origin::names::few;
use crate::origin::{
    Origin, OriginId, Request, SessionKey, Target, Ungranted, Unresolved, Workspace, ssh_alias,
};
use crate::output::foreign::{self, Name};
use crate::output::progress::note;
use crate::sys::env::{Env, Var};
use crate::sys::paths::Paths;
use crate::sys::project::{self, Project};
use crate::sys::trusted_file::Owner;

use definition::{approved_definition, definition, named};
use fence::Account;
use power::{Deadlines, Machine, Refusal};

pub use config::{Config, File, Trail};
pub use places::Places;
pub use policy::{MOST_HOPS, Policy};
pub use power::{Power, State};
pub use server::{AuthMethod, Server};
pub use terms::{Hop, Terms, enforced};
pub use trail::trail_of_all;

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
    fn current_and(folder: Option<&Path>) -> Whereabouts {
        let own = project::home().map(|home| Paths::below(&home).config().to_owned());
        let own = own.map(|own| own.canonicalize().unwrap_or(own));
        Whereabouts { project: Project::current_and(folder), own }
    }
}

/// The servers that servers.toml names. The files are read when one is first asked for.
#[derive(Debug)]
pub struct Servers {
    places: Places,
    ssh: SshBinary,
    path: Option<OsString>,
    folder: Option<PathBuf>,
    /// What `HOME` says.
    home: Option<PathBuf>,
    whereabouts: OnceCell<Whereabouts>,
    config: OnceCell<Config>,
    /// What ssh has said of hosts, by the options and the destination that it was asked with.
    accounts: RefCell<BTreeMap<(Vec<String>, String), Account>>,
}

impl Servers {
    /// Those of these files, with the programs that `env` leads to; no I/O.
    pub fn new(places: Places, env: &Env) -> Servers {
        let (ssh, path) = (SshBinary::from_env(env), env.var(Var::Path));
        let (whereabouts, config, accounts) = (OnceCell::new(), OnceCell::new(), RefCell::default());
        let home = env.var(Var::Home).map(PathBuf::from);
        Servers { places, ssh, path, folder: None, home, whereabouts, config, accounts }
    }

    /// The same for a call about `folder`, whose project counts as the working directory's does.
    #[must_use]
    pub fn about(self, folder: Option<&Path>) -> Servers {
        Servers { folder: folder.map(Path::to_owned), ..self }
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

    /// Why no program of this file may run.
    fn distrust(&self, server: &Server, file: &File) -> Option<Refusal> {
        if server.power == Power::default() || !self.is_projects(file) {
            return None;
        }
        let (file, name) = (self.inside(file), &server.name);
        let why =
            format!("{file}, and a project must not choose programs to run, so those of `{name}` do not run");
        let hint = format!("for the user to decide: to allow them, move the server to {}", self.own_place());
        Some(Refusal { why, hint })
    }

    /// Whether the current project may contain the file, whatever points to it. No project can have put a file in the
    /// operator's place, or into the user's own folder.
    fn is_projects(&self, file: &File) -> bool {
        if file.owner == Owner::Root && cfg!(unix) {
            return false;
        }
        let here = self.here();
        here.project.holds(&file.given) && !here.own.as_ref().is_some_and(|own| file.path.starts_with(own))
    }

    /// That the project holds the file, and why where that may surprise.
    fn inside(&self, file: &File) -> String {
        let shown = foreign::path(&file.given.display().to_string());
        let home = self.home.as_ref().map(|home| home.canonicalize().unwrap_or_else(|_| home.clone()));
        let known = project::home();
        let why = match home.filter(|home| Some(home) != known.as_ref() && file.path.starts_with(home)) {
            None => return format!("{shown} is inside this project"),
            Some(_) => known.map_or_else(
                || "the system knows no home folder for you".to_owned(),
                |known| format!("the system has {} for you", foreign::path(&known.display().to_string())),
            ),
        };
        format!("{shown} counts as inside this project, since HOME is not your home folder ({why})")
    }

    fn here(&self) -> &Whereabouts {
        self.whereabouts.get_or_init(|| Whereabouts::current_and(self.folder.as_deref()))
    }

    /// Where the user's own file is, in words.
    fn own_place(&self) -> String {
        let own = self.here().own.as_ref().map(|own| format!(": {}", own.join(places::NAME).display()));
        format!("your own servers.toml{}", own.unwrap_or_default())
    }

    /// Why runcode may not send a credential to a server's signer: whoever wrote the current project may have chosen who gets it.
    fn distrust_of_signer(&self, config: &Config, server: &Server) -> Option<String> {
        let file = config.file_of_signer(server)?;
        if !config.signer_of(server)?.is_elsewhere() || !self.is_projects(file) {
            return None;
        }
        let (file, own) = (self.inside(file), self.own_place());
        Some(format!(
            "has a signer in a file of this project: {file}, and a project must not choose where credentials go; for \
             the user to decide: to allow it, move the signer to {own}"
        ))
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
            _ => Err(Ungranted::Refused(Terms::of(self.config()?, server).only_profiles())),
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
            custom_title: None,
            shared: Some(false),
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
            Some((server, _)) => {
                let distrust = self.distrust_of_signer(config, server);
                let of_hop = |hop: &&Server| {
                    let why = self.distrust_of_signer(config, hop)?;
                    Some(format!("is reached through `{}`, which {why}", hop.name))
                };
                let distrust = distrust.or_else(|| config.hops_to(server).iter().find_map(of_hop));
                Ok(Some(Terms::of(config, server).unless(distrust)))
            }
            None => Err(Ungranted::Gone(none_called_so(self.not_found(config, &name)))),
        }
    }

    fn refuse_other_name(&self, key: &SessionKey) -> Result<()> {
        Servers::refuse_other_name(self, key)
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
