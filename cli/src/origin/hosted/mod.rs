//! The control plane: its address, our token, its API, and logging in.

mod answer;
pub mod bundle;
pub mod client;
pub mod kept_base;
pub mod login;
mod logins;
pub mod saved_token;
pub mod token;
pub mod tripwire;
pub mod workspace;

pub use crate::http::{BaseUrl, refuse_authorities_of};
pub use client::Client;
pub use token::Token;

use std::time::Duration;

use runcode_wire::SessionRequest;

use crate::error::{Code, Error, Result};
use crate::grant::Grant;
use crate::origin::{Origin, OriginId, Request, SessionKey, Target, Ungranted, Unresolved, Workspace, names};
use crate::output::foreign;
use crate::output::progress::note;
use crate::sys::clock;

impl Origin for Client {
    fn id(&self) -> OriginId {
        OriginId::Plane(self.base().clone())
    }

    fn resolve(&self, name: &str) -> Result<Target, Unresolved> {
        let all = self.workspaces()?;
        let workspace = names::by_name(name, &all)?;
        if workspace.shared {
            note(foreign(name, workspace));
        } else if let others @ [_, ..] = &names::bearers(name, &all)[..]
            && others.len() > 1
        {
            note(own_of_several(name, workspace, others));
        }
        Ok(Target { key: workspace.key.clone(), row: Some(workspace.clone()) })
    }

    fn list(&self) -> Result<Vec<Workspace>> {
        self.workspaces()
    }

    fn grant(&self, key: &SessionKey, request: &Request<'_>) -> Result<Grant, Ungranted> {
        let line = request.key.to_openssh();
        let line =
            line.map_err(|error| Error::new(Code::Error, format!("cannot encode the key: {error}")))?;
        let asked = SessionRequest {
            public_key: line.trim_end().to_owned(),
            ttl: request.ttl.as_secs(),
            client: request.client.to_owned(),
        };
        let workspace = number(key).map_err(Ungranted::Refused)?;
        let answer = self.ssh_session(workspace, &asked)?;
        // Its times are by its own clock; ours may be off, as that of a virtual machine is after a sleep.
        let ahead = self.ahead();
        let now = clock::now();
        let now = now.checked_add(ahead).unwrap_or(now);
        let asked = bundle::Asked { workspace, key: request.key, ttl: request.ttl, now };
        let mut grant = bundle::validate(answer.get(), &asked).map_err(Ungranted::Refused)?;
        grant.lifetime = grant.lifetime.by_a_clock_behind(ahead);
        if let Some(listed) = self.listed(key) {
            (grant.shared, grant.custom_title) = (Some(listed.shared), listed.custom_title);
        }
        Ok(grant)
    }

    fn start(&self, key: &SessionKey, _: Duration) -> Result<()> {
        note(format!("starting workspace {}…", key.shown(None)));
        self.boot(number(key)?)
    }

    fn stop(&self, key: &SessionKey) -> Result<()> {
        self.power_down(number(key)?)
    }
}

/// The number that the control plane knows a workspace by.
fn number(key: &SessionKey) -> Result<u64> {
    let none = || Error::new(Code::NotFound, format!("`{}` is no workspace of a control plane", key.words()));
    key.workspace_id().ok_or_else(none)
}

/// Others share workspaces of the same name: the user may have meant one of those.
fn own_of_several(name: &str, own: &Workspace, bearers: &[&Workspace]) -> String {
    let others = bearers.iter().filter(|other| other.key != own.key);
    let others = others.map(|other| other.key.shown(Some(&other.title))).collect::<Vec<_>>();
    format!(
        "note: {} is your own {}; others of that name are shared with you: {}",
        foreign::word(name),
        own.key.shown(Some(&own.title)),
        names::few(others.into_iter())
    )
}

/// A display name is chosen by whoever owns the workspace: one that leads to somebody else's is worth a word.
fn foreign(name: &str, workspace: &Workspace) -> String {
    format!(
        "note: {} is someone else's workspace, shared with you: {}",
        foreign::word(name),
        workspace.key.shown(Some(&workspace.title))
    )
}
