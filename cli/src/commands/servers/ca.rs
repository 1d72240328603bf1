//! `runcode servers ca`.

use serde_json::{Value, json};
use ssh_key::PublicKey;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::names::few;
use crate::origin::{Origin as _, Terms};
use crate::output::foreign;
use crate::output::report::{Outcome, Report, Text};
use crate::session::policy::{Request, judge};

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
        let what = match &args.signer {
            Some(name) => format!("no signer is called {}", foreign::word(name)),
            None => "it is not clear which signer is meant".to_owned(),
        };
        let names = config.signers().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        return Err(Error::new(Code::NotFound, what).hint(match names.is_empty() {
            true => "servers.toml names no signer: add [signers.NAME]".to_owned(),
            false => format!("the signers are: {}", few(names.into_iter())),
        }));
    };
    let authority = spec.open(app.env())?.authority();
    let key = authority.map(|key| PublicKey::new(key, "").to_openssh());
    let key = key.transpose().map_err(|error| Error::new(Code::Error, error.to_string()))?;
    let unknown = || Error::new(Code::Unavailable, "the public key of this signer is not known here");
    let key = key.ok_or_else(unknown)?.trim_end().to_owned();
    Ok(Authority { signer: name.to_owned(), kind: spec.kind(), key }.into())
}

/// The line of a profile without arguments, or with their defaults.
fn forced(app: &App, server: &str, profile: &str) -> Result<Outcome> {
    let target = app.servers()?.resolve(server.strip_prefix("server:").unwrap_or(server))?;
    let request = Request {
        profile: profile.to_owned(),
        values: Vec::new(),
        timeout: None,
        no_stdin: false,
        approval: None,
    };
    let permit = judge(&app.sessions()?, &target.key, request)?;
    debug_assert!(Terms::is_restricted(&permit.terms));
    Ok(Forced(permit.call.one_line()).into())
}
