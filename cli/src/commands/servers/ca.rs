//! `runcode servers ca`.

use runcode_policy::Profile;
use serde_json::{Value, json};
use ssh_key::PublicKey;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::Origin as _;
use crate::origin::names::few;
use crate::output::foreign;
use crate::output::report::{Outcome, Report, Text};
use crate::session::policy::{Feed, Request, judge};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The signer; may be left out where there is only one
    #[arg(value_name = "SIGNER", conflicts_with = "forced")]
    signer: Option<String>,
    /// Show instead what a host runs for a profile, as a role or template of a signer has to force it
    #[arg(long, value_names = ["SERVER", "PROFILE"], num_args = 2)]
    forced: Option<Vec<String>>,
}

struct Authority {
    signer: String,
    kind: &'static str,
    key: String,
}

/// What sshd has to be told, below the path of the file that has the key.
const TRUST: &str = "TrustedUserCAKeys /etc/ssh/runcode_ca.pub";

impl Report for Authority {
    fn json(&self) -> Value {
        json!({ "signer": self.signer, "kind": self.kind, "public_key": self.key, "sshd_config": [TRUST] })
    }

    fn text(&self, text: &mut Text) {
        text.line(format!(
            "# the CA of the signer {}: put this line into /etc/ssh/runcode_ca.pub on each host",
            self.signer
        ));
        text.line(&self.key);
        text.line("# and this one into /etc/ssh/sshd_config, then reload sshd");
        text.line(TRUST);
    }
}

struct Forced(String);

impl Report for Forced {
    fn json(&self) -> Value {
        json!({ "forced_command": self.0 })
    }

    fn text(&self, text: &mut Text) {
        text.line(&self.0);
    }
}

pub(super) fn run(args: Args, app: &App) -> Result<Outcome> {
    if let Some([server, profile]) = args.forced.as_deref().and_then(|words| words.first_chunk()) {
        return forced(app, server, profile);
    }
    let config = app.servers()?.config()?;
    let named = |name: &str| config.signers().find(|(own, _)| *own == name);
    let found = match &args.signer {
        Some(name) => named(name),
        None if config.signers().len() == 1 => config.signers().next(),
        None => None,
    };
    let Some((name, spec)) = found else {
        let names = config.signers().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let what = match &args.signer {
            _ if names.is_empty() => "servers.toml names no signer".to_owned(),
            Some(name) => format!("no signer is called {}", foreign::word(name)),
            None => "there are several signers, and the command names none".to_owned(),
        };
        return Err(Error::new(Code::NotFound, what).hint(match names.is_empty() {
            true => "add [signers.NAME] with kind = \"ca_key\" and the key's file, or with kind = \"agent\""
                .to_owned(),
            false => format!("the signers are: {}", few(names.into_iter())),
        }));
    };
    let authority = spec.open(app.env())?.public_key()?;
    let key = authority.map(|key| PublicKey::new(key, "").to_openssh());
    let key = key.transpose().map_err(|error| Error::new(Code::Error, error.to_string()))?;
    let unknown = || {
        Error::new(Code::Unavailable, "the public key of this signer is not known here")
            .hint("ask whoever runs the signer for it")
    };
    let key = key.ok_or_else(unknown)?.trim_end().to_owned();
    Ok(Authority { signer: name.to_owned(), kind: spec.kind(), key }.into())
}

/// The line of a profile without arguments, or with their defaults.
fn forced(app: &App, server: &str, profile: &str) -> Result<Outcome> {
    let servers = app.servers()?;
    let target = servers.resolve(server.strip_prefix("server:").unwrap_or(server))?;
    let terms = servers.terms(&target.key)?;
    let terms = terms.ok_or_else(|| Error::new(Code::NotFound, "no such server"))?;
    let name = &terms.server.name;
    if terms.server.policy.signer.is_none() {
        let what = format!(
            "`{name}` has no signer (auth_method = \"{}\"), so nothing is forced there",
            terms.server.method.word()
        );
        return Err(Error::new(Code::Unavailable, what).hint(format!(
            "`runcode run {name} --profile {profile} --dry-run` shows what runs; a certificate needs auth_method = \"certificate\""
        )));
    }
    let found = terms.profiles.get(profile);
    let arguments = found.into_iter().flat_map(Profile::arguments).collect::<Vec<_>>();
    let advice = "a host can force only a command that is the same in every run: give each argument a default, and use no secret argument";
    if let Some((argument, _)) = arguments.iter().find(|(_, it)| it.secret) {
        let what = format!(
            "the profile `{profile}` has the secret argument `{argument}`, which its command would show"
        );
        return Err(Error::new(Code::Unavailable, what).hint(advice));
    }
    if let Some((argument, _)) = arguments.iter().find(|(_, it)| it.default.is_none()) {
        let what = format!(
            "the profile `{profile}` needs a value for `{argument}`, which another run may give differently"
        );
        return Err(Error::new(Code::Unavailable, what).hint(advice));
    }
    let request = Request {
        profile: profile.to_owned(),
        values: Vec::new(),
        timeout: None,
        feed: Feed::Nothing,
        approval: None,
    };
    let permit = judge(&app.sessions()?, &target.key, request)?;
    Ok(Forced(permit.call.one_line()).into())
}
