//! `runcode servers pin`.

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::grant::{ServerPin, ServerPins};
use crate::origin::servers::Server;
use crate::origin::{Origin as _, SessionKey};
use crate::output::foreign;
use crate::output::report::{Outcome, Report, Text};
use crate::session::audit::Action;
use crate::session::once;
use crate::sys::random;
use crate::transport::contact::Contact;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The server
    #[arg(value_name = "NAME")]
    name: String,
}

/// What is pinned already, and whether the host shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pinned {
    /// Nothing.
    Nothing,
    /// Authorities alone: the host's own keys do not tell whether one of them certified it.
    Authorities,
    /// Keys, one of which the host shows.
    Shown,
    /// Keys, none of which the host shows.
    Others,
}

impl Pinned {
    fn of(pins: Option<&ServerPins>, shown: &[ServerPin]) -> Pinned {
        let Some(pins) = pins.map(ServerPins::all) else { return Pinned::Nothing };
        if pins.iter().any(|pin| shown.contains(pin)) {
            Pinned::Shown
        } else if pins.iter().any(ServerPin::is_authority) {
            Pinned::Authorities
        } else {
            Pinned::Others
        }
    }

    fn word(self) -> &'static str {
        match self {
            Pinned::Nothing => "none",
            Pinned::Authorities => "authorities",
            Pinned::Shown => "shown",
            Pinned::Others => "others",
        }
    }
}

struct Shown {
    name: String,
    file: String,
    host: String,
    port: String,
    keys: Vec<ServerPin>,
    before: Vec<ServerPin>,
    pinned: Pinned,
}

impl Shown {
    fn is_pinned(&self, key: &ServerPin) -> bool {
        self.before.contains(key)
    }

    /// The keys that are pinned and that the host does not show.
    fn missing(&self) -> impl Iterator<Item = &ServerPin> {
        self.before.iter().filter(|pin| !pin.is_authority() && !self.keys.contains(pin))
    }
}

impl Report for Shown {
    fn json(&self) -> Value {
        let key = |key: &ServerPin| json!({ "type": key.key_type(), "fingerprint": key.fingerprint(), "pinned": self.is_pinned(key) });
        json!({
            "name": self.name,
            "host": self.host,
            "port": self.port.parse::<u16>().ok(),
            "file": self.file,
            "host_keys": self.keys.iter().map(ToString::to_string).collect::<Value>(),
            "keys": self.keys.iter().map(key).collect::<Value>(),
            "pinned": self.pinned.word(),
            "not_shown": self.missing().map(ServerPin::fingerprint).collect::<Value>(),
        })
    }

    fn text(&self, text: &mut Text) {
        let Shown { name, file, host, port, keys, .. } = self;
        text.line(format!("{name} ({}, port {port}) shows:", foreign::name(host)));
        let width = keys.iter().map(|key| key.key_type().len()).max().unwrap_or_default();
        for key in keys {
            let state = match (self.pinned, self.is_pinned(key)) {
                (Pinned::Nothing, _) => "",
                (_, true) => "  pinned already",
                (_, false) => "  not pinned",
            };
            text.line(format!("  {:width$}  {}{state}", key.key_type(), key.fingerprint()));
        }
        for key in self.missing() {
            text.line(format!("  {:width$}  {}  pinned, but not shown", key.key_type(), key.fingerprint()));
        }
        match self.pinned {
            Pinned::Others => {
                text.line(format!("✗ {file} pins other keys for {name}, and the host shows none of them."));
                text.line("  Somebody may be intercepting the connection. Ask whoever runs the host why, before you replace them.");
            }
            Pinned::Authorities => {
                text.line(format!(
                    "! {file} pins an authority for {name}: add keys only if the authority should no longer count."
                ));
            }
            Pinned::Shown if keys.iter().all(|key| self.is_pinned(key)) => {
                return text.line("✓ All of them are pinned; there is nothing to do.");
            }
            Pinned::Shown | Pinned::Nothing => {}
        }
        text.line(
            "Compare before you trust them. Run this on the host itself, at its console or in another way that you trust:",
        );
        text.line("  for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf \"$key\"; done");
        let place = if self.before.is_empty() { "below" } else { "in place of the host_keys of" };
        text.line(format!("If the fingerprints match, put this {place} [servers.{name}] in {file}:"));
        text.line("host_keys = [");
        for key in keys {
            text.line(format!("  \"{key}\","));
        }
        text.line("]");
    }

    fn exit_status(&self) -> u8 {
        if self.pinned == Pinned::Others { Code::HostKeyChanged.exit_status() } else { 0 }
    }
}

/// Asks the host for its keys and shows them. Only the user can find out whether they are right, so it writes nothing.
pub(super) fn run(args: Args, app: &App) -> Result<Outcome> {
    let (server, file, host) = app.servers()?.own_host(&args.name)?;
    let contact = Contact::new(host, app.env())?;
    let value = |name: &str| contact.user().value(name).unwrap_or_default().to_owned();
    let (host, port) = (value("hostname"), value("port"));
    let keys = match server.policy.jump {
        None => contact.host_keys()?,
        Some(_) => through_others(app, server, contact)?,
    };
    let shown = Shown {
        name: server.name.clone(),
        file: file.path.display().to_string(),
        host,
        port,
        pinned: Pinned::of(server.host_keys.as_ref(), &keys),
        before: server.host_keys.as_ref().map(|pins| pins.all().to_vec()).unwrap_or_default(),
        keys,
    };
    Ok(shown.into())
}

/// The host keys of a server behind others. To reach it, a key is certified for each hop, so this goes on record.
fn through_others(app: &App, server: &Server, contact: Contact) -> Result<Vec<ServerPin>> {
    let gone = || Error::new(Code::NotFound, format!("no server is called `{}`", server.name));
    let key = SessionKey::server(&server.name).ok_or_else(gone)?;
    let terms = app.servers()?.terms(&key)?.ok_or_else(gone)?;
    let sessions = app.sessions()?;
    sessions.recorded(&key, Action::named("config_check"), || {
        let mut look = once::look(&sessions, &terms, &random::word())?;
        look.through.take().into_iter().fold(contact, Contact::through).host_keys()
    })
}
