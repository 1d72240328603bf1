//! `runcode servers check`.

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Issue, Result};
use crate::origin::names::number;
use crate::origin::servers::Config;
use crate::output::report::{Outcome, Report, Text, issue};
use crate::session::Sessions;

struct Findings {
    files: Vec<String>,
    count: usize,
    errors: Vec<Issue>,
    warnings: Vec<Warning>,
}

/// What is no mistake and may surprise.
struct Warning {
    server: String,
    message: String,
}

impl Report for Findings {
    fn json(&self) -> Value {
        let warning = |it: &Warning| json!({ "at": format!("servers.{}", it.server), "message": it.message });
        json!({
            "ok": self.errors.is_empty(),
            "files": self.files,
            "errors": self.errors.iter().map(issue).collect::<Value>(),
            "warnings": self.warnings.iter().map(warning).collect::<Value>(),
        })
    }

    fn text(&self, text: &mut Text) {
        for error in &self.errors {
            text.line(format!("✗ {error}"));
        }
        for Warning { server, message } in &self.warnings {
            text.line(format!("! {server} {message}"));
        }
        if self.errors.is_empty() {
            let what = match (self.files.len(), self.count) {
                (0, _) => "there is no servers.toml; `runcode servers init` writes one".to_owned(),
                (_, 1) => format!("{}: 1 server", self.files.join(", ")),
                (_, count) => format!("{}: {count} servers", self.files.join(", ")),
            };
            text.line(format!("✓ {what}"));
        }
    }

    fn exit_status(&self) -> u8 {
        if self.errors.is_empty() { 0 } else { Code::BadConfig.exit_status() }
    }
}

/// Reads the files and uses nothing of them.
pub(super) fn run(app: &App) -> Result<Outcome> {
    let (config, errors) = app.servers()?.places().read();
    let files = config.files().iter().map(|file| file.path.display().to_string()).collect();
    let warnings = warnings(&config, &app.sessions()?)?;
    Ok(Findings { files, count: config.servers().len(), errors, warnings }.into())
}

fn warnings(config: &Config, sessions: &Sessions<'_>) -> Result<Vec<Warning>> {
    let here = sessions.store().sessions()?;
    let mut found = Vec::new();
    for (server, _) in config.servers() {
        let mut warn = |message: String| found.push(Warning { server: server.name.clone(), message });
        if let Err(why) = config.usable(server) {
            warn(why);
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
    Ok(found)
}
