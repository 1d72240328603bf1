//! Arguments that several verbs share.

use std::ffi::OsString;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::session::execution::Execution;
use crate::transport::{EnvName, Secret, Variables};

/// Which workspace a verb works on.
#[derive(clap::Args, Debug, Default)]
pub struct Which {
    /// The workspace: its id, title or custom title [env: RUNCODE_WORKSPACE] [default: the one attached to this folder]
    #[arg(id = "named", short = 'w', long = "workspace", value_name = "NAME")]
    named: Option<String>,
}

impl Which {
    /// The one with these words.
    pub fn of(words: Option<String>) -> Which {
        Which { named: words }
    }

    /// Takes over a `-w` that stood before.
    pub fn take(&mut self, before: Which) -> Result<()> {
        match (&self.named, before.named) {
            (Some(now), Some(before)) if *now != before => {
                let what = format!("-w names both {} and {}", foreign::word(&before), foreign::word(now));
                Err(Error::new(Code::Usage, what).hint("name one workspace"))
            }
            (None, before) => {
                self.named = before;
                Ok(())
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// The words of `-w`.
    pub fn words(&self) -> Option<&str> {
        self.named.as_deref()
    }
}

/// As [`Which`], for verbs that also take the workspace as an argument.
#[derive(clap::Args, Debug, Default)]
pub struct OneOf {
    /// The workspace; short for --workspace
    #[arg(value_name = "WORKSPACE", conflicts_with = "named")]
    workspace: Option<String>,
    #[command(flatten)]
    which: Which,
}

impl OneOf {
    /// The one with these words.
    pub fn of(words: Option<String>) -> OneOf {
        OneOf { workspace: None, which: Which::of(words) }
    }

    /// The words that name it on the command line.
    pub fn words(&self) -> Option<&str> {
        self.workspace.as_deref().or(self.which.words())
    }
}

/// A remote command and how to run it: what `exec` and `run` share.
#[derive(clap::Args)]
pub struct Remote {
    /// Start in the home folder instead of the workdir
    #[arg(long)]
    pub home: bool,
    /// Start in this folder instead; a relative path starts in the workdir, or with --home in the home folder
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Set an environment variable for the command; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Set a secret variable, to VALUE or to its value in your own environment; process lists on the workspace do not show it
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env_secret: Vec<String>,
    /// Leave stdin alone; needed inside `while read` loops
    #[arg(short = 'n', long)]
    pub no_stdin: bool,
    /// End the command this many seconds after it starts
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// The command: one argument is a piece of shell, several are a program and its exact arguments
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

impl Remote {
    /// What is to be run.
    pub fn execution(self) -> Result<Execution> {
        Ok(Execution {
            from_home: self.home,
            folder: self.cwd,
            env: Variables {
                plain: self.env.iter().map(|pair| variable(pair)).collect::<Result<_>>()?,
                secret: self.env_secret.iter().map(|text| secret(text)).collect::<Result<_>>()?,
            },
            no_stdin: self.no_stdin,
            timeout: self.timeout.map(Duration::from_secs),
            words: self.command,
            is_exact: false,
        })
    }
}

fn secret(text: &str) -> Result<(EnvName, Secret)> {
    let usage = |why: &str| {
        Error::new(Code::Usage, format!("--env-secret {why}"))
            .hint("write it as --env-secret NAME, or NAME=VALUE")
    };
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let parsed = EnvName::parse(name).map_err(|why| usage(&format!("name {} {why}", foreign::word(name))))?;
    let value = match value {
        Some(value) => value.to_owned(),
        None => std::env::var(name).map_err(|_| {
            Error::new(Code::Usage, format!("{name} is not set in your environment, or is not text"))
                .hint(format!("`export {name}=…` first, or write --env-secret {name}=VALUE"))
        })?,
    };
    Ok((parsed, Secret::new(value)))
}

fn variable(pair: &str) -> Result<(EnvName, String)> {
    let usage =
        |why: &str| Error::new(Code::Usage, format!("--env {why}")).hint("write it as --env NAME=VALUE");
    let (name, value) = pair.split_once('=').ok_or_else(|| usage("has no `=`"))?;
    let name = EnvName::parse(name).map_err(|why| usage(&format!("name {} {why}", foreign::word(name))))?;
    Ok((name, value.to_owned()))
}
