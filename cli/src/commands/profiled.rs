//! `--profile` of `run` and `exec`: a command that a server's owner wrote, with the caller's values.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::grant::SshUser;
use crate::openssh::SshBinary;
use crate::openssh::external::{self, Purpose};
use crate::openssh::question::Resolved;
use crate::origin::SessionKey;
use crate::origin::servers::AuthMethod;
use crate::output::foreign;
use crate::output::report::{Outcome, Report, Text};
use crate::session::approval::{self, State};
use crate::session::hops::FORCED;
use crate::session::policy::{self, Feed, Permit, Request};
use crate::session::{once, profile, store};
use crate::transport::{RemoteCommand, own_connection};

/// The longest value that is read from stdin, in bytes.
const MAX_VALUE: u64 = 64 * 1024;

/// Which profile, and with what.
#[derive(clap::Args, Debug, Default)]
pub struct Profiled {
    /// Run this profile of the server instead of a command
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["home", "cwd", "env", "env_secret", "command"])]
    profile: Option<String>,
    /// Give an argument of the profile its value; may be given several times
    #[arg(long, value_name = "NAME=VALUE", requires = "profile", conflicts_with = "command")]
    arg: Vec<String>,
    /// Read the value of this argument from stdin
    #[arg(long, value_name = "NAME", requires = "profile", conflicts_with = "command")]
    arg_stdin: Option<String>,
    /// Name the approval: the id or the file of a signed request, or any word where the server has no approvers
    #[arg(long, value_name = "REF", requires = "profile", conflicts_with = "command")]
    approval: Option<String>,
    /// With --profile: write the request that an approver signs, and run nothing
    #[arg(long, requires = "profile", conflicts_with_all = ["plan", "dry_run", "approval", "command"])]
    request: bool,
    /// With --profile: show what would run, without connecting
    #[arg(long, requires = "profile", conflicts_with_all = ["dry_run", "command"])]
    plan: bool,
    /// With --profile: show the exact ssh command, without connecting
    #[arg(long, requires = "profile", conflicts_with = "command")]
    dry_run: bool,
}

impl Profiled {
    /// Whether a profile is meant, and not a command.
    pub fn is_meant(&self) -> bool {
        self.profile.is_some()
    }

    /// Whether nothing runs.
    pub fn only_shows(&self) -> bool {
        self.plan || self.dry_run || self.request
    }

    /// Runs it on the server, or shows what would run.
    pub fn run(self, app: &App, key: &SessionKey, timeout: Option<u64>, no_stdin: bool) -> Result<Outcome> {
        let (plan, dry_run, only_asks) = (self.plan, self.dry_run, self.request);
        let sessions = app.sessions()?;
        let permit = policy::judge(&sessions, key, self.wanted(timeout, no_stdin)?)?;
        if only_asks {
            let (file, text) = approval::request(&sessions, &permit.subject())?;
            return Ok(Asked { file, text }.into());
        }
        if plan {
            let has_approvers = permit.terms.server.policy.approvers.is_some();
            let request = match permit.approval {
                State::Missing if has_approvers => Some(approval::request(&sessions, &permit.subject())?),
                _ => None,
            };
            let log = permit.planned(&sessions)?;
            return Ok(Plan { permit, request, log }.into());
        }
        if dry_run {
            return dry(app, &permit).map(Outcome::from);
        }
        profile::run(&sessions, &permit).map(Outcome::Status)
    }

    fn wanted(self, timeout: Option<u64>, no_stdin: bool) -> Result<Request> {
        let mut values = Vec::new();
        for pair in &self.arg {
            let Some((name, value)) = pair.split_once('=') else {
                let what = format!("--arg {} has no `=`", foreign::word(pair));
                return Err(Error::new(Code::Usage, what).hint("write it as --arg NAME=VALUE"));
            };
            values.push((name.to_owned(), value.to_owned()));
        }
        if let Some(name) = self.arg_stdin {
            values.push((name, read_value()?));
        }
        let timeout = timeout.map(Duration::from_secs);
        let (profile, approval) = (self.profile.unwrap_or_default(), self.approval);
        let feed = if no_stdin { Feed::Nothing } else { Feed::Own };
        Ok(Request { profile, values, timeout, feed, approval })
    }
}

/// The error for words that name neither a command nor a profile; on a server it says which profiles there are.
pub fn neither(app: &App, key: Option<&SessionKey>, usage: &str) -> Error {
    let terms = key.and_then(|key| policy::restricted(app, key).ok().flatten());
    Error::new(Code::Usage, "<CMD>, the command to run, is missing").hint(match terms {
        Some(terms) => format!("name one with --profile; {}", terms.said()),
        None => format!("usage: {usage}"),
    })
}

/// A value from stdin, without the line feed at its end.
fn read_value() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_VALUE + 2).read_to_end(&mut bytes)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    match std::str::from_utf8(text) {
        Ok(text) if text.len() as u64 <= MAX_VALUE => Ok(text.to_owned()),
        _ => Err(Error::new(Code::Usage, "the value on stdin is not UTF-8, or longer than 64 KiB")),
    }
}

/// What would run.
struct Plan {
    permit: Permit,
    /// The file and the text to sign, where an approval is missing.
    request: Option<(PathBuf, String)>,
    /// The audit log, which knows of it.
    log: Option<PathBuf>,
}

/// A request that was written.
struct Asked {
    file: PathBuf,
    text: String,
}

impl Report for Asked {
    fn json(&self) -> Value {
        json!({ "request": self.file.to_string_lossy(), "request_text": self.text })
    }

    fn text(&self, text: &mut Text) {
        for line in self.text.lines() {
            text.line(line);
        }
        text.line(format!("written to {}", self.file.display()));
        text.line(format!("an approver runs: runcode servers approve {}", self.file.display()));
    }
}

fn values(permit: &Permit) -> Value {
    let pairs = permit.call.shown_values().map(|(name, value)| (name.to_owned(), value.into()));
    pairs.collect::<Map<_, _>>().into()
}

impl Report for Plan {
    fn json(&self) -> Value {
        let Plan { permit, request, log } = self;
        let server = &permit.terms.server;
        let mut approval = json!({
            "state": permit.approval.as_str(),
            "approvers": match &permit.approval {
                State::Valid { approvers, .. } => &approvers[..],
                _ => &[],
            },
            "request": request.as_ref().map(|(_, text)| text),
        });
        if let State::Invalid(why, differs) = &permit.approval {
            approval["why"] = why.as_str().into();
            approval["differs"] = differs.as_ref().map(|it| it.lines.clone()).into();
        }
        json!({
            "server": server.name,
            "environment": server.environment,
            "target": {
                "host": server.method.host(),
                "port": server.port_number(),
                "user": server.user.as_ref().map(SshUser::as_str),
            },
            "jump": permit.terms.hop_names().collect::<Vec<_>>(),
            "profile": permit.profile,
            "args": values(permit),
            "command": permit.call.shown(),
            "enforced": permit.terms.enforced.as_str(),
            "auth_method": server.method.word(),
            "signer": server.policy.signer,
            "requires_approval": permit.needs_approval(),
            "approval": approval,
            "would_run": permit.refuse().is_ok() && permit.approval.permits(),
            "audit_log": log.as_ref().map(|log| log.to_string_lossy()),
        })
    }

    fn text(&self, text: &mut Text) {
        let Plan { permit, request, .. } = self;
        let server = &permit.terms.server;
        let user = server.user.as_ref().map(|user| format!("{}@", user.as_str())).unwrap_or_default();
        let environment = server.environment.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        text.line(format!("server:    {}{environment}, {user}{}", server.name, server.method.host()));
        if !permit.terms.hops.is_empty() {
            text.line(format!("through:   {}", permit.terms.hop_names().collect::<Vec<_>>().join(", ")));
        }
        text.line(format!("profile:   {}", permit.profile));
        text.line(format!("command:   {}", permit.call.shown()));
        // Of a server on which nothing can run, there is no more to say than the word.
        text.line(match permit.refuse() {
            Ok(()) => format!("enforced:  {}", permit.terms.enforced.meaning()),
            Err(_) => format!("enforced:  {}", permit.terms.enforced.as_str()),
        });
        match &permit.approval {
            State::None => {}
            State::Missing => text.line("approval:  missing"),
            State::Valid { approvers, .. } => text.line(format!("approval:  by {}", approvers.join(", "))),
            State::Unverified(word) => text.line(format!("approval:  {word}, which nobody can check")),
            State::Invalid(why, differs) => {
                let said = differs.as_ref().map(|it| format!(": {}", it.said)).unwrap_or_default();
                text.line(format!("approval:  {}{said}", why.meaning()));
            }
        }
        if let Some((file, _)) = request {
            text.line(format!("           runcode servers approve {}", file.display()));
        }
        match permit.refuse() {
            Ok(()) if !permit.approval.permits() => text.line("It would not run without an approval."),
            Ok(()) => text.line("It would run. Leave --plan out to run it."),
            Err(why) => text.line(format!("It would not run: {}", why.message())),
        }
    }
}

/// The exact call of ssh.
struct DryRun {
    argv: Vec<String>,
    config: Option<String>,
    /// The servers on the way, each with the config of its own ssh.
    hops: Vec<(String, String)>,
    forced_command: Option<String>,
}

impl Report for DryRun {
    fn json(&self) -> Value {
        let hop = |(server, config): &(String, String)| json!({ "server": server, "config": config, "forced_command": FORCED });
        json!({
            "argv": self.argv,
            "config": self.config,
            "forced_command": self.forced_command,
            "jump": self.hops.iter().map(hop).collect::<Value>(),
        })
    }

    fn text(&self, text: &mut Text) {
        for word in &self.argv {
            text.line(word);
        }
        for line in self.config.iter().flat_map(|config| config.lines()) {
            text.line(line);
        }
        if let Some(command) = &self.forced_command {
            text.line(format!("forced: {command}"));
        }
        for (server, config) in &self.hops {
            text.line(format!("for {server}, on the way (forced: {FORCED}):"));
            config.lines().for_each(|line| text.line(line));
        }
    }
}

fn dry(app: &App, permit: &Permit) -> Result<DryRun> {
    permit.refuse()?;
    approval::refuse(&app.sessions()?, &permit.subject(), &permit.approval)?;
    if permit.terms.server.logs_in_per_run() {
        let files = once::Files::planned(permit, app.sessions()?.store().cache(), app.env())?;
        return Ok(DryRun {
            argv: argv(files.arguments()),
            config: Some(String::from_utf8_lossy(&files.config()?).into_owned()),
            hops: files
                .hops
                .configs()?
                .into_iter()
                .map(|(name, config)| (name.to_owned(), String::from_utf8_lossy(&config).into_owned()))
                .collect(),
            forced_command: matches!(permit.terms.server.method, AuthMethod::Certificate(_))
                .then(|| permit.call.shown_line()),
        });
    }
    let (_, _, mut host) = app.servers()?.own_host(&permit.key.words())?;
    let folder = app.sessions()?.store().folder(&permit.key);
    host.known_hosts = folder.join(store::KNOWN_HOSTS);
    let user = Resolved::at(&SshBinary::from_env(app.env()).find()?, &host.place(), &host.destination)?;
    let mut arguments = external::options(&host, &user, Purpose::Command)?;
    arguments.extend(own_connection(&folder.join(once::PLANNED_LOG), host.destination.as_str(), "-T"));
    arguments.push(RemoteCommand::supervised(permit.call.shown(), permit.call.reads_stdin())?.shown().into());
    Ok(DryRun { argv: argv(arguments), config: None, hops: Vec::new(), forced_command: None })
}

fn argv(arguments: Vec<OsString>) -> Vec<String> {
    let words = arguments.into_iter().map(|word| word.to_string_lossy().into_owned());
    ["ssh".to_owned()].into_iter().chain(words).collect()
}
