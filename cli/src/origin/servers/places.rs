//! Where servers.toml is. Never in the current folder: that may be anybody's repository.

use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Issue, Result};
use crate::origin::servers::config::{Config, File};
use crate::sys::env::{Env, Var};
use crate::sys::paths::Paths;
use crate::sys::project::is_one_place;
use crate::sys::trusted_file::{self, Distrust, Owner};

/// The largest file, in bytes.
const MAX: usize = 1024 * 1024;

/// The name of the file.
pub(super) const NAME: &str = "servers.toml";

/// The files that name servers.
#[derive(Debug, Clone)]
pub enum Places {
    /// One that the user names, and no other. It has to be there. The operator's restrictions hold all the same.
    Named {
        /// The one.
        file: PathBuf,
        /// The operator's.
        operator: PathBuf,
    },
    /// The operator's and the user's own, as far as they are there. The former counts where both say something.
    Usual {
        /// The operator's.
        operator: PathBuf,
        /// The user's.
        user: PathBuf,
    },
}

impl Places {
    /// `given` on the command line, else `RUNCODE_SERVERS`, else the usual ones.
    pub fn from_env(given: Option<&Path>, env: &Env, paths: &Paths) -> Result<Places> {
        let operator = operators(env);
        if let Some(file) = given {
            return Ok(Places::Named { file: file.to_owned(), operator });
        }
        if let Some(file) = env.var(Var::RuncodeServers).map(PathBuf::from) {
            if file.is_relative() {
                let error = "RUNCODE_SERVERS is not an absolute path";
                return Err(Error::new(Code::Usage, error)
                    .hint("a relative one would mean another file in every folder"));
            }
            if !is_one_place(&file) {
                let error = "RUNCODE_SERVERS leads through a folder of processes, such as /proc";
                return Err(Error::new(Code::Usage, error)
                    .hint("such a path would mean another file in every folder: name the file itself"));
            }
            return Ok(Places::Named { file, operator });
        }
        let user = paths.config().join(NAME);
        Ok(Places::Usual { operator, user })
    }

    /// The file that is the user's own to write.
    pub fn own(&self) -> &Path {
        match self {
            Places::Named { file, .. } => file,
            Places::Usual { user, .. } => user,
        }
    }

    /// Where they are, in words.
    pub fn shown(&self) -> String {
        match self {
            Places::Named { file, .. } => file.display().to_string(),
            Places::Usual { operator, user } => format!("{} or {}", user.display(), operator.display()),
        }
    }

    /// What the files say, and everything that is wrong with them.
    pub fn read(&self) -> (Config, Vec<Issue>) {
        match self {
            // Who names the operator's file means what it says, and nothing less.
            Places::Named { file, operator } if is_same(file, operator) => {
                read(&[(operator, Owner::Root)], true)
            }
            Places::Named { file, operator } => {
                let (operators, mut issues) = read(&[(operator, Owner::Root)], false);
                let (mut config, own) = read(&[(file, Owner::User)], true);
                config.leave_out(operators);
                issues.extend(own);
                (config, issues)
            }
            Places::Usual { operator, user } => read(&[(operator, Owner::Root), (user, Owner::User)], false),
        }
    }

    /// What the files say; a mistake in any of them is an error that tells them all.
    pub fn load(&self) -> Result<Config> {
        match self.read() {
            (config, issues) if issues.is_empty() => Ok(config),
            (_, issues) => Err(bad_config(issues)),
        }
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// What these files say, one after the other, and everything that is wrong with them.
fn read(files: &[(&PathBuf, Owner)], is_needed: bool) -> (Config, Vec<Issue>) {
    let (mut config, mut issues) = (Config::default(), Vec::new());
    for &(file, owner) in files {
        let whole =
            |message: String| Issue { file: file.display().to_string(), line: 0, at: String::new(), message };
        match trusted_file::read(file, Owner::User, MAX) {
            Err(Distrust::Missing) if !is_needed => {}
            Err(why) => issues.push(whole(why.to_string())),
            Ok(found) => match std::str::from_utf8(&found.bytes) {
                Ok(text) => {
                    issues.extend(config.add(File { given: file.clone(), path: found.path, owner }, text));
                }
                Err(_) => issues.push(whole("is not UTF-8".to_owned())),
            },
        }
    }
    (config, issues)
}

/// The operator's file.
pub(super) fn operators(env: &Env) -> PathBuf {
    let program_data = || env.var(Var::ProgramData).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = match cfg!(windows) {
        true => program_data().unwrap_or_else(|| PathBuf::from(r"C:\ProgramData")),
        false => PathBuf::from("/etc"),
    };
    folder.join("runcode").join(NAME)
}

/// The error for files that have mistakes.
pub(super) fn bad_config(issues: Vec<Issue>) -> Error {
    let what = match issues.len() {
        1 => "servers.toml has a mistake, and no server of it is used".to_owned(),
        count => format!("servers.toml has {count} mistakes, and no server of it is used"),
    };
    Error::new(Code::BadConfig, what).hint("fix it, then look with `runcode servers check`; until then every command stops here, since the file may forbid some").issues(issues)
}
