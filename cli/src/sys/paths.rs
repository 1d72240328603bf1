//! Where things live.

use std::path::{Path, PathBuf};

use directories::BaseDirs;

use crate::error::{Code, Error, Result};
use crate::sys::env::{Env, Var};
use crate::sys::project::is_one_place;

/// The folders and files of one user.
#[derive(Debug, Clone)]
pub struct Paths {
    config: PathBuf,
    cache: PathBuf,
    state: PathBuf,
}

impl Paths {
    /// The folders that `env` names: `XDG_*` when absolute and the same for every process, else the platform's own place.
    pub fn from_env(env: &Env) -> Result<Paths> {
        type Known = fn(&BaseDirs) -> &Path;
        let mut own = None; // it costs a look at every folder on the way
        let mut folder = |xdg: Var, windows: Var, known: Known, fallback: &str| -> Result<PathBuf> {
            if let Some(folder) = absolute(env, xdg) {
                return Ok(folder.join("runcode"));
            }
            if cfg!(windows)
                && let Some(folder) = absolute(env, windows).or_else(|| system(env, known))
            {
                return Ok(folder.join("runcode"));
            }
            let own = match &own {
                Some(own) => own,
                None => own.insert(home(env)?),
            };
            Ok(own.join(fallback).join("runcode"))
        };
        let cache = folder(Var::XdgCacheHome, Var::LocalAppData, BaseDirs::cache_dir, ".cache")?;
        let state = match absolute(env, Var::XdgStateHome) {
            None if cfg!(windows) => cache.join("state"),
            _ => folder(Var::XdgStateHome, Var::LocalAppData, BaseDirs::cache_dir, ".local/state")?,
        };
        Ok(Paths {
            config: folder(Var::XdgConfigHome, Var::AppData, BaseDirs::config_dir, ".config")?,
            cache,
            state,
        })
    }

    /// The folders of a user with this home whose environment names no others.
    pub fn below(home: &Path) -> Paths {
        let (config, cache) =
            if cfg!(windows) { ("AppData/Roaming", "AppData/Local") } else { (".config", ".cache") };
        let cache = home.join(cache).join("runcode");
        let state = if cfg!(windows) { cache.join("state") } else { home.join(".local/state/runcode") };
        Paths { config: home.join(config).join("runcode"), cache, state }
    }

    /// The same, but for what is given.
    #[must_use]
    pub fn with(self, config: Option<PathBuf>, cache: Option<PathBuf>) -> Paths {
        let (config, cache) = (config.unwrap_or(self.config), cache.unwrap_or(self.cache));
        Paths { config, cache, state: self.state }
    }

    /// The configuration folder.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The cache folder.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The saved token. One that people write by hand may have its control plane before it: `http://127.0.0.1:7777#TOKEN`.
    pub fn token(&self) -> PathBuf {
        self.config.join("token")
    }

    /// Beside the token: the API base that `login` saved it for.
    pub fn token_origin(&self) -> PathBuf {
        self.config.join("token.origin")
    }

    /// The control plane that `login URL` keeps.
    pub fn kept_base(&self) -> PathBuf {
        self.config.join("plane")
    }

    /// The saved tokens of further control planes, a file each.
    pub fn tokens(&self) -> PathBuf {
        self.config.join("tokens")
    }

    /// The folder of the cache with this name, for a session. Other programs hold paths below it.
    pub fn session(&self, name: &str) -> PathBuf {
        self.cache.join(name)
    }

    /// The attachments, one file for each folder.
    pub fn attachments(&self) -> PathBuf {
        self.cache.join("attachments")
    }

    /// The agent sessions whose tool calls were heard in a routed folder: one empty file each.
    pub fn heard(&self) -> PathBuf {
        self.cache.join("heard")
    }

    /// Other caches in which a folder is routed, one path per line.
    pub fn routed_caches(&self) -> PathBuf {
        self.cache.join("routed-caches")
    }

    /// The folder through which the helper and its clients in agents' sandboxes talk to each other.
    pub fn helper(&self) -> PathBuf {
        self.cache.join("helper")
    }

    /// The folders without an attachment whose user has been told which workspace commands there reach: one per line.
    pub fn told(&self) -> PathBuf {
        self.cache.join("told")
    }

    /// The one attachment that runcode kept before there were more.
    pub fn current(&self) -> PathBuf {
        self.cache.join("current")
    }

    /// Requests for approvals, and which approvals have been used.
    pub fn approvals(&self) -> PathBuf {
        self.state.join("approvals")
    }

    /// The folder with the names of hosts that were removed from the user's ssh config.
    pub fn former_hosts(&self) -> PathBuf {
        self.state.join("former-hosts")
    }

    /// Which servers have just refused a password.
    pub fn passwords(&self) -> PathBuf {
        self.state.join("passwords")
    }

    /// What the tools of `mcp` keep of what commands printed.
    pub fn kept_outputs(&self) -> PathBuf {
        self.cache.join("mcp")
    }

    /// The audit log, unless servers.toml names another one.
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("audit.jsonl")
    }

    /// The lock of the attachments.
    pub fn attachments_lock(&self) -> PathBuf {
        self.cache.join("attachments.lock")
    }
}

/// The user's home folder: what the variable says, and where it is not set, what the system knows (the password file, or
/// Windows' known folders). The variable comes first because the launcher, which is a shell script, sees nothing else.
pub fn home(env: &Env) -> Result<PathBuf> {
    let var = if cfg!(windows) { Var::UserProfile } else { Var::Home };
    let known = || system(env, BaseDirs::home_dir).filter(|_| env.var(var).is_none());
    absolute(env, var).or_else(known).ok_or_else(|| {
        Error::new(Code::Io, format!("{} is not set to an absolute path outside /proc", var.name()))
            .hint(format!("set {} to your home folder", var.name()))
    })
}

/// A folder that the system knows of; of a fixed environment it knows nothing.
fn system(env: &Env, folder: fn(&BaseDirs) -> &Path) -> Option<PathBuf> {
    let folders = if env.is_of_process() { BaseDirs::new() } else { None };
    folders.map(|folders| folder(&folders).to_owned()).filter(|path| path.is_absolute())
}

fn absolute(env: &Env, var: Var) -> Option<PathBuf> {
    env.var(var).map(PathBuf::from).filter(|path| path.is_absolute() && is_one_place(path))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn only_absolute_xdg_folders_count() {
        let env = Env::fixed([(Var::Home, "/h"), (Var::XdgCacheHome, "/c"), (Var::XdgConfigHome, "rel")]);
        let odd =
            [(Var::Home, "/h"), (Var::XdgCacheHome, "/proc/self/cwd/c"), (Var::XdgConfigHome, "/dev/fd/3")];
        assert_eq!(Paths::from_env(&Env::fixed(odd)).unwrap().cache(), Path::new("/h/.cache/runcode"));
        assert_eq!(Paths::from_env(&Env::fixed(odd)).unwrap().config(), Path::new("/h/.config/runcode"));
        let paths = Paths::from_env(&env).unwrap();
        assert_eq!(paths.session("ws-7"), Path::new("/c/runcode/ws-7"));
        assert_eq!(paths.token(), Path::new("/h/.config/runcode/token"));
    }

    #[test]
    fn no_home_is_a_coded_error() {
        let error = Paths::from_env(&Env::fixed::<&str>([])).unwrap_err();
        assert_eq!(error.code(), Code::Io);
        assert!(Paths::from_env(&Env::fixed([(Var::Home, "relative")])).is_err());
        assert!(Paths::from_env(&Env::fixed([(Var::Home, "/proc/self/cwd")])).is_err());
    }
}
