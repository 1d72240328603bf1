//! What a command may ask for. Everything is made when it is first asked for, so the warm path pays for nothing.

mod login;

use std::cell::OnceCell;
use std::path::Path;

use crate::args::Globals;
use crate::error::{Code, Error, Result};
use crate::openssh::SshBinary;
use crate::origin::hosted::token::{Given, Source};
use crate::origin::hosted::{BaseUrl, Client, kept_base, refuse_authorities_of, saved_token, token};
use crate::origin::servers::{Places, trail_of_all};
use crate::origin::{
    self, Origin, OriginId, Origins, Selected, Servers, SessionKey, SshHosts, Target, Trail,
};
use crate::output::foreign;
use crate::output::progress::note;
use crate::session::attachment::Attachments;
use crate::session::live::Want;
use crate::session::store::Store;
use crate::session::{Session, Sessions};
use crate::sys::env::{Env, Var};
use crate::sys::interrupt::Cancel;
use crate::sys::location::Location;
use crate::sys::paths::Paths;
use crate::transport::http_proxy::Proxy;

/// Which workspaces a command may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Whichever is named.
    #[default]
    Any,
    /// Of the hosts that ssh reaches, only those that are attached or have a session: the user knows of them.
    Known,
}

/// The world of one command.
pub struct App {
    globals: Globals,
    env: Env,
    cancel: Cancel,
    folder: Option<Location>,
    reach: Reach,
    paths: OnceCell<Paths>,
    api_base: OnceCell<BaseUrl>,
    plane: OnceCell<Client>,
    ssh_hosts: OnceCell<SshHosts>,
    servers: OnceCell<Servers>,
}

impl App {
    /// The world of this process; no I/O.
    pub fn new(globals: Globals, env: Env) -> App {
        App {
            globals,
            env,
            cancel: Cancel::default(),
            folder: None,
            reach: Reach::Any,
            paths: OnceCell::new(),
            api_base: OnceCell::new(),
            plane: OnceCell::new(),
            ssh_hosts: OnceCell::new(),
            servers: OnceCell::new(),
        }
    }

    /// The world of one of several commands of a process: `cancel` interrupts it alone, it is about `folder`, and a workspace
    /// that it names is one that it may `reach`.
    pub fn of_call(globals: Globals, env: Env, cancel: Cancel, folder: Location, reach: Reach) -> App {
        App { cancel, folder: Some(folder), reach, ..App::new(globals, env) }
    }

    /// What interrupts the command, besides a signal.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The folder that the command is about: the current one, unless it is one of several commands of a process.
    pub fn folder(&self) -> Result<Location> {
        self.folder.clone().map_or_else(|| Location::current(&self.env), Ok)
    }

    /// Whether the result is wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.globals.json
    }

    /// What applies to every command.
    pub fn globals(&self) -> &Globals {
        &self.globals
    }

    /// The environment.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Where things live.
    pub fn paths(&self) -> Result<&Paths> {
        let (config, cache) = (self.globals.config_dir.clone(), self.globals.cache_dir.clone());
        get_or_try(&self.paths, || Ok(Paths::from_env(&self.env)?.with(config, cache)))
    }

    /// The control plane's base: `--api-base`, else `RUNCODE_API_BASE`, else the one that `login URL` kept, else the hosted one.
    pub fn api_base(&self) -> Result<&BaseUrl> {
        get_or_try(&self.api_base, || match self.given_api_base() {
            Some(text) => BaseUrl::parse(&text),
            None => match kept_base::read(self.paths()?)? {
                Some(kept) => Ok(kept),
                None => BaseUrl::parse(BaseUrl::HOSTED_API),
            },
        })
    }

    /// Whether the command line brings a token.
    pub fn has_given_token(&self) -> bool {
        self.globals.token_stdin || self.globals.token.is_some()
    }

    fn given_token(&self) -> Given {
        Given {
            stdin: self.globals.token_stdin,
            argument: self.globals.token.clone(),
            with_base: self.globals.api_base.is_some(),
        }
    }

    /// Where the token comes from that the control plane gets; stdin is not read for that.
    pub fn token_source(&self) -> Result<Source> {
        if self.globals.token_stdin {
            return Ok(Source::Given);
        }
        token::locate(&self.given_token(), &self.env, self.paths()?, self.api_base()?)
            .map(|(_, source)| source)
    }

    /// Whether there is a token at all, for whichever control plane.
    pub fn has_login(&self) -> Result<bool> {
        let is_given = self.has_given_token() || self.env.var(Var::RuncodeToken).is_some();
        Ok(is_given || saved_token::is_saved(self.paths()?)?)
    }

    /// The base that the user named, when one was.
    pub fn given_api_base(&self) -> Option<String> {
        let from_env = || self.env.var(Var::RuncodeApiBase).map(|base| base.to_string_lossy().into_owned());
        self.globals.api_base.clone().or_else(from_env)
    }

    /// Who chose the base, for people.
    pub fn base_source(&self) -> &'static str {
        match self.given_api_base() {
            _ if self.globals.api_base.is_some() => "named by --api-base",
            Some(_) => "named by RUNCODE_API_BASE",
            None if self.kept_base().is_ok_and(|kept| kept.is_some()) => "kept by `runcode login URL`",
            None => "the hosted control plane",
        }
    }

    /// The control plane, with our token. Nothing is sent yet.
    pub fn plane(&self) -> Result<&Client> {
        get_or_try(&self.plane, || {
            let base = self.api_base()?;
            if let Some(folder) = self.folder.as_ref().filter(|_| !base.is_plain()) {
                refuse_authorities_of(folder.real())?;
            }
            let sandboxed = self.env.var(Var::CodexSandboxNetworkDisabled).is_some();
            Ok(Client::new(base.clone(), token::find(&self.given_token(), &self.env, self.paths()?, base)?)
                .in_sandbox(sandboxed))
        })
    }

    /// The servers that servers.toml names. No file is read yet.
    pub fn servers(&self) -> Result<&Servers> {
        get_or_try(&self.servers, || {
            let given = self.globals.servers.as_deref();
            let places = Places::from_env(given, &self.env, self.paths()?)?;
            Ok(Servers::new(places, &self.env).about(self.folder.as_ref().map(Location::real)))
        })
    }

    fn ssh_hosts(&self) -> &SshHosts {
        self.ssh_hosts.get_or_init(|| SshHosts::new(SshBinary::from_env(&self.env)))
    }

    /// The log of what is done on servers. If the operator's file sets `audit_all`, its log is used, whichever file names the server.
    pub fn server_trail(&self) -> Result<Trail> {
        match trail_of_all(&self.env, None)? {
            Some(trail) => Ok(trail),
            None => self.servers()?.config().map(|config| config.trail().clone()),
        }
    }

    /// The sessions.
    pub fn sessions(&self) -> Result<Sessions<'_>> {
        understood(&self.env)?;
        let sessions = Sessions::new(self.paths()?, &self.env, self).cancelled_by(self.cancel.clone());
        Ok(sessions.about(self.folder.clone()).for_verb(self.globals.verb))
    }

    /// What is attached to which folder.
    pub fn attachments(&self) -> Result<Attachments<'_>> {
        self.paths().map(Attachments::new)
    }

    /// Starts the helper for commands in agents' sandboxes, and says whether it runs. A folder is routed even if it does not.
    #[cfg(target_os = "linux")]
    pub fn start_helper(&self) -> bool {
        let started = self.sessions().and_then(|sessions| {
            crate::session::helper::ensure(&sessions, true)?;
            Ok(crate::transport::helper::is_running(&self.paths()?.helper()))
        });
        started.unwrap_or_else(|error| {
            note(format!("note: commands in an agent's sandbox will fail: {}", error.message()));
            false
        })
    }

    /// The sandboxes of other systems have not been tried.
    #[cfg(not(target_os = "linux"))]
    pub fn start_helper(&self) -> bool {
        note("note: commands in an agent's sandbox will fail: the helper for them runs only on Linux");
        false
    }

    /// The workspace that the user names instead of the attached one: by `option`, else by `RUNCODE_WORKSPACE`.
    pub fn named(&self, option: Option<&str>) -> Option<Named> {
        let by_option = option.map(|words| Named { words: words.to_owned(), is_variable: false });
        by_option.or_else(|| {
            let words = self.env.var(Var::RuncodeWorkspace)?;
            Some(Named { words: words.to_string_lossy().into_owned(), is_variable: true })
        })
    }

    /// The session of the workspace that a command means: the named one, else the attached one.
    pub fn session(&self, sessions: &Sessions<'_>, option: Option<&str>) -> Result<Session> {
        match self.named(option) {
            Some(named) => {
                let target = self.resolve(&named.words).map_err(|error| named.explain(error))?;
                let obtained = sessions.obtain(&target.key, Want::Fresh);
                Ok(obtained.map_err(|failure| failure.about(&named.words))?.session)
            }
            None => sessions.attached(),
        }
    }

    /// The workspace that the user's words mean.
    pub fn resolve(&self, words: &str) -> Result<Target> {
        let target = origin::resolve(words, self)?;
        if self.reach == Reach::Known && *target.key.origin() == OriginId::Ssh && !self.knows(&target.key)? {
            let host = target.key.words();
            return Err(Error::new(Code::NotFound, format!("{} is not connected", foreign::file(&host)))
                .hint(format!("ask the user to run `runcode connect {}`", foreign::argument(&host)))
                .for_tools(
                    "call `connect` with it first; if this server is read-only, ask the user to connect it",
                ));
        }
        Ok(target)
    }

    /// Whether the workspace is attached to any folder, or has a session.
    fn knows(&self, key: &SessionKey) -> Result<bool> {
        let has_session = Store::new(self.paths()?).read(key)?.is_some();
        Ok(has_session || self.attachments()?.all()?.iter().any(|attachment| attachment.key == *key))
    }
}

/// A workspace that the user named, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id, title or display name.
    pub words: String,
    /// Whether `RUNCODE_WORKSPACE` says so.
    pub is_variable: bool,
}

impl Named {
    /// An error about these words, which says where they come from.
    pub fn explain(&self, error: Error) -> Error {
        if self.is_variable { error.context(Var::RuncodeWorkspace.name()) } else { error }
    }
}

impl Origins for App {
    fn origin(&self, id: &OriginId) -> Result<&dyn Origin> {
        match id {
            OriginId::Plane(base) if base == self.api_base()? => Ok(self.plane()?),
            OriginId::Plane(base) => Err(self.selected()?.elsewhere(base)),
            OriginId::Ssh => Ok(self.ssh_hosts()),
            OriginId::Server => Ok(self.servers()?),
        }
    }

    fn has_login(&self) -> Result<bool> {
        App::has_login(self)
    }

    fn selected(&self) -> Result<Selected<'_>> {
        Ok(Selected { base: self.api_base()?, is_given: self.given_api_base().is_some() })
    }

    fn trail(&self, key: &SessionKey) -> Result<Option<Trail>> {
        if *key.origin() == OriginId::Server {
            return self.server_trail().map(Some);
        }
        let own = self.servers().ok().map(|servers| servers.places().own());
        trail_of_all(&self.env, own)
    }

    fn base_argument(&self) -> Option<&str> {
        self.globals.api_base.as_deref()
    }

    fn servers_file(&self) -> Option<&Path> {
        self.globals.servers.as_deref()
    }

    fn called_here(&self, name: &str) -> Result<Vec<SessionKey>> {
        let mut sessions = Store::new(self.paths()?).sessions()?;
        sessions.retain(|session| session.meta.is_called(name));
        let mut called = sessions.into_iter().map(|session| session.meta.key).collect::<Vec<_>>();
        let attached = self.attachments()?.all().unwrap_or_default().into_iter();
        let attached = attached.filter(|attachment| attachment.is_called(name));
        called.extend(attached.map(|attachment| attachment.key));
        let wanted = name.to_lowercase();
        let is_called = |name: &str| name.to_lowercase() == wanted;
        let servers = self.servers()?.config()?.servers().map(|(server, _)| server.name.as_str());
        called.extend(servers.filter(|name| is_called(name)).filter_map(SessionKey::server));
        let hosts = self.ssh_hosts().names();
        called.extend(hosts.iter().filter(|host| is_called(host.as_str())).map(SessionKey::ssh));
        Ok(called)
    }
}

/// Refuses what a variable of ours cannot mean. Bases and the token are checked where they are used.
fn understood(env: &Env) -> Result<()> {
    let refuse = |var: Var, what: &str, hint: &str| {
        Err(Error::new(Code::Usage, format!("{} {what}", var.name())).hint(hint))
    };
    if let Some(name) = env.var(Var::RuncodeTransport).filter(|name| name != "mux" && name != "openssh") {
        return refuse(
            Var::RuncodeTransport,
            &format!("is {}, which is not a transport", foreign::word(&name.to_string_lossy())),
            "it may be `mux` (the default: one warm connection) or `openssh`; or unset it",
        );
    }
    if env.var(Var::RuncodeSpare).is_some_and(|value| value != "on" && value != "off") {
        return refuse(Var::RuncodeSpare, "is neither `on` nor `off`", "set it to `on`, or unset it");
    }
    if env.var(Var::RuncodeClient).is_some_and(|name| !is_client_name(&name.to_string_lossy())) {
        return refuse(
            Var::RuncodeClient,
            "is not the name of a program",
            "it may be up to 64 printable ASCII characters, such as `claude-code`; or unset it",
        );
    }
    if env.var(Var::RuncodeSsh).is_some() {
        SshBinary::from_env(env).find()?;
    }
    Proxy::understand(env)
}

/// Whether `RUNCODE_CLIENT` may have this value.
pub fn is_client_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn get_or_try<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}
