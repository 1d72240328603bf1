//! `runcode servers profiles`.

use std::collections::BTreeMap;

use runcode_policy::{Argument, Profile, REDACTED};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::{Origin as _, SessionKey};
use crate::output::report::{Outcome, Report, Text};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The server
    #[arg(value_name = "SERVER")]
    pub(super) server: String,
}

struct Profiles {
    server: String,
    profiles: BTreeMap<String, Profile>,
    /// Whether nothing else may run there.
    is_restricted: bool,
}

impl Report for Profiles {
    fn json(&self) -> Value {
        let argument = |(name, it): (&str, &Argument)| {
            let default = it.default.as_deref().map(|text| if it.secret { REDACTED } else { text });
            json!({
                "name": name,
                "type": it.kind.as_str(),
                "required": it.default.is_none(),
                "default": default,
                "choices": it.choices,
                "secret": it.secret,
            })
        };
        let row = |(name, profile): (&String, &Profile)| {
            let rules = profile.rules();
            json!({
                "name": name,
                "description": rules.description,
                "command": profile.words().shown(),
                "args": profile.arguments().map(argument).collect::<Value>(),
                "requires_approval": rules.requires_approval,
                "stdin": rules.stdin,
                "timeout_seconds": rules.timeout.map(|time| time.as_secs()),
            })
        };
        self.profiles.iter().map(row).collect()
    }

    fn text(&self, text: &mut Text) {
        let server = &self.server;
        if self.profiles.is_empty() {
            return text.line(match self.is_restricted {
                true => format!(
                    "servers.toml gives `{server}` no profiles, so nothing can run there: name some with allowed_profiles"
                ),
                false => format!("servers.toml gives `{server}` no profiles: any command may run there"),
            });
        }
        for (name, profile) in &self.profiles {
            let rules = profile.rules();
            let description = rules.description.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
            text.line(format!("{name}{description}"));
            text.line(format!("  runs: {}", profile.words().shown()));
            for (name, it) in profile.arguments() {
                text.line(format!("  {name}: {}", shown(it)));
            }
            if rules.requires_approval {
                text.line("  each run needs an approval");
            }
            let arguments = profile.arguments().map(|(name, _)| format!(" --arg {name}=…"));
            text.line(format!("  runcode run {server} --profile {name}{}", arguments.collect::<String>()));
        }
    }
}

fn shown(argument: &Argument) -> String {
    let mut parts = vec![match &argument.choices[..] {
        [] => argument.kind.as_str().to_owned(),
        choices => format!("one of {}", choices.join(", ")),
    }];
    parts.extend(argument.pattern().map(|pattern| format!("matching {pattern}")));
    match &argument.default {
        Some(_) if argument.secret => parts.push("optional".to_owned()),
        Some(default) => parts.push(format!("optional, else {default}")),
        None => {}
    }
    if argument.secret {
        parts.push("secret; give it with --arg-stdin".to_owned());
    }
    parts.join(", ")
}

/// What the owner of a server allows.
pub(super) fn run(args: &Args, app: &App) -> Result<Outcome> {
    let servers = app.servers()?;
    let target = servers.resolve(args.server.strip_prefix("server:").unwrap_or(&args.server))?;
    let terms = servers.terms(&target.key)?.ok_or_else(|| Error::new(Code::NotFound, "no such server"))?;
    let (server, is_restricted) = (SessionKey::words(&target.key), terms.is_restricted());
    Ok(Profiles { server, profiles: terms.profiles, is_restricted }.into())
}
