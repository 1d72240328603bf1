//! `runcode servers check`.

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Issue, Result};
use crate::origin::names::number;
use crate::origin::servers::{AuthMethod, Config, File, Server};
use crate::output::report::{Outcome, Report, Text, issue, issue_line};
use crate::session::{Sessions, profile};
use crate::signer::Spec;
use crate::sys::env::Env;
use crate::transport::contact::Contact;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Also log in to this server once: to see that its host key is right, and that a command runs
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// The section of the file that names servers.
const SERVERS: &str = "servers";

struct Findings {
    files: Vec<String>,
    count: usize,
    errors: Vec<Issue>,
    warnings: Vec<Warning>,
    /// The server that let us in.
    reached: Option<String>,
}

/// What is no mistake and may surprise.
struct Warning {
    /// `servers` or `profiles`.
    section: &'static str,
    name: String,
    message: String,
}

impl Report for Findings {
    fn json(&self) -> Value {
        let warning =
            |it: &Warning| json!({ "at": format!("{}.{}", it.section, it.name), "message": it.message });
        json!({
            "ok": self.errors.is_empty(),
            "files": self.files,
            "errors": self.errors.iter().map(issue).collect::<Value>(),
            "warnings": self.warnings.iter().map(warning).collect::<Value>(),
        })
    }

    fn text(&self, text: &mut Text) {
        for error in &self.errors {
            text.line(format!("✗ {}", issue_line(error)));
        }
        for Warning { name, message, .. } in &self.warnings {
            text.line(format!("! {name} {message}"));
        }
        if self.errors.is_empty() {
            let what = match (self.files.len(), self.count) {
                (0, _) => "there is no servers.toml; `runcode servers init` writes one".to_owned(),
                (_, 1) => format!("{}: 1 server", self.files.join(", ")),
                (_, count) => format!("{}: {count} servers", self.files.join(", ")),
            };
            text.line(format!("✓ {what}"));
        }
        if let Some(name) = &self.reached {
            text.line(format!("✓ {name}: its host key is right, it lets you in, and it ran a command"));
        }
    }

    fn exit_status(&self) -> u8 {
        if self.errors.is_empty() { 0 } else { Code::BadConfig.exit_status() }
    }
}

/// Checks the files. If they are right, also logs in to the server that the user named.
pub(super) fn run(args: Args, app: &App) -> Result<Outcome> {
    let (config, errors) = app.servers()?.places().read();
    let files = config.files().iter().map(|file| file.path.display().to_string()).collect();
    let warnings = warnings(&config, &app.sessions()?, app.env())?;
    let count = config.servers().len();
    let mut findings = Findings { files, count, errors, warnings, reached: None };
    if let Some(words) = args.name.as_deref().filter(|_| findings.errors.is_empty()) {
        try_out(words, app, &mut findings)?;
    }
    Ok(findings.into())
}

/// Logs in to the server once, on a connection of its own, and runs a command that does nothing.
fn try_out(words: &str, app: &App, findings: &mut Findings) -> Result<()> {
    let (server, file, host) = app.servers()?.own_host(words)?;
    match server.method {
        AuthMethod::Certificate(_) => return try_certificate(server, file, app, findings),
        AuthMethod::LegacyPassword(_) => {
            let message = "was not tried: each login with a password needs an approval".to_owned();
            findings.warnings.push(Warning { section: SERVERS, name: server.name.clone(), message });
            return Ok(());
        }
        AuthMethod::Ssh(_) => {}
    }
    let (name, is_pinned) = (server.name.clone(), host.is_pinned());
    let doctor = format!("`runcode doctor {}` shows it", host.words());
    match Contact::new(host, app.env()).and_then(|contact| contact.log_in()) {
        Ok(noise) => {
            if !noise.is_empty() {
                let message =
                    format!("prints text of its own, which mixes with the output of commands: {doctor}");
                findings.warnings.push(Warning { section: SERVERS, name: name.clone(), message });
            }
            findings.reached = Some(name);
        }
        Err(error) if error.code() == Code::Interrupted => return Err(error),
        // The host key was right; only a person can do the rest of the login.
        Err(error) if error.code() == Code::LoginRequired => {
            findings.warnings.push(Warning { section: SERVERS, name, message: failed(&error) });
        }
        Err(error) => {
            let is_key = matches!(error.code(), Code::HostKeyChanged | Code::HostKeyUnknown);
            let key = if is_key && is_pinned { ".host_keys" } else { "" };
            let (file, at) = (file.path.display().to_string(), format!("servers.{name}{key}"));
            findings.errors.push(Issue { file, line: 0, at, message: failed(&error) });
        }
    }
    Ok(())
}

/// Has one certificate signed that forces `true`, and runs it.
fn try_certificate(server: &Server, file: &File, app: &App, findings: &mut Findings) -> Result<()> {
    match profile::try_out(&app.sessions()?, &server.name) {
        Ok(0) => findings.reached = Some(server.name.clone()),
        Err(error) if error.code() == Code::Interrupted => return Err(error),
        outcome => {
            let why = match outcome {
                Err(error) => failed(&error),
                Ok(status) => format!("ended with status {status} where it should have done nothing"),
            };
            let (file, at) = (file.path.display().to_string(), format!("servers.{}", server.name));
            findings.errors.push(Issue { file, line: 0, at, message: why });
        }
    }
    Ok(())
}

/// The failure, as the end of a sentence that begins with the server's name.
fn failed(error: &Error) -> String {
    let hint = error.next_step().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("did not pass the login check: {}{hint}", error.message())
}

/// Why a signer could not sign now.
fn unready(signer: &Spec, env: &Env) -> Option<String> {
    let error =
        signer.is_supported().then(|| signer.open(env).and_then(|signer| signer.ready()).err()).flatten()?;
    Some(format!("cannot be run on now: {}", error.message()))
}

fn warnings(config: &Config, sessions: &Sessions<'_>, env: &Env) -> Result<Vec<Warning>> {
    let here = sessions.store().sessions()?;
    let mut found = Vec::new();
    for (server, _) in config.servers() {
        let mut warn =
            |message: String| found.push(Warning { section: SERVERS, name: server.name.clone(), message });
        if let Err(why) = config.usable(server) {
            warn(why);
        }
        if let Some(why) = config.signer_of(server).and_then(|signer| unready(signer, env)) {
            warn(why);
        }
        let rules = config.profiles_of(server);
        let needs = server.policy.requires_approval || rules.values().any(|it| it.rules().requires_approval);
        if needs && server.policy.approvers.is_none() {
            warn("takes any word as an approval: name an allowed_signers file with `approvers`".to_owned());
        }
        if number(&server.name).is_some() {
            warn(format!("is a number, which means a workspace: say server:{}", server.name));
        }
        let is_its = |title: &str| title.eq_ignore_ascii_case(&server.name);
        let workspace = here.iter().find_map(|session| {
            let id = session.meta.key.workspace_id()?;
            is_its(session.meta.title.raw()).then_some(id)
        });
        if let Some(id) = workspace {
            warn(format!("has the name of workspace #{id}, which is reached by that number alone"));
        }
    }
    for (name, profile) in config.profiles() {
        let message = profile.warning().map(str::to_owned);
        found.extend(message.map(|message| Warning { section: "profiles", name: name.to_owned(), message }));
    }
    Ok(found)
}
