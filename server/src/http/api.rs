//! The calls that `runcode` makes.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use runcode_wire::{Bundle, Credential, SessionRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{failure, refusal, success};
use super::guard::Sender;
use super::off;
use crate::clock;
use crate::core::audit::no_workspace;
use crate::core::mint::{Ask, Minted};
use crate::core::tokens::{self, Caller};
use crate::core::workspaces::{self, Workspace};
use crate::core::{access, words};
use crate::failure::{Failure, Kind, Result};
use crate::site::Site;
use crate::store::{Step, within};

/// The token of a request; empty when there is none, or more than one.
pub(super) fn token_of(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => value.strip_prefix("Token ").unwrap_or_default().trim().to_owned(),
        _ => String::new(),
    }
}

/// Does `work` for whoever a token belongs to. Wrong tokens are counted, and only they.
pub(super) async fn called<T: Send + 'static>(
    site: &Arc<Site>,
    sender: &Sender,
    headers: &HeaderMap,
    work: impl FnOnce(&Site, &mut Step<'_>, &Caller) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (token, address) = (token_of(headers), sender.address.clone());
    off(site, move |site| {
        let done = within(&*site.store, |step| {
            let caller = tokens::find(step, &token)?;
            tokens::note_use(step, &caller.token, &address)?;
            work(site, step, &caller)
        });
        counted(site, &address, done)
    })
    .await
}

/// Counts a wrong token against its address.
pub(super) fn counted<T>(site: &Site, address: &str, done: Result<T>) -> Result<T> {
    if done.as_ref().is_err_and(|failure| failure.kind == Kind::Unauthorized) {
        site.mint.limits.wrong_token(address)?;
    }
    done
}

#[derive(Deserialize)]
pub(super) struct Category {
    category: Option<String>,
}

pub(super) async fn workspaces(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    query: Result<Query<Category>, QueryRejection>,
) -> Response {
    let category = query.ok().and_then(|Query(query)| query.category).unwrap_or_else(|| "active".to_owned());
    let listed = called(&site, &sender, &headers, move |_, step, caller| {
        if !caller.scopes.may_see() {
            return Err(Failure::new(
                Kind::Scope,
                "This token may not list workspaces; use one with the scope `see`.",
            ));
        }
        match category.as_str() {
            "active" => workspaces::seen_by(step, caller.person.id, true),
            "shared" => workspaces::seen_by(step, caller.person.id, false),
            _ => Err(Failure::bad("The category is neither `active` nor `shared`.")),
        }
    });
    match listed.await {
        Ok(listed) => {
            let rows = listed.iter().map(row).collect::<Vec<_>>();
            success(json!({ "data": { "workspaces": rows } }))
        }
        Err(why) => failure(&why),
    }
}

/// A workspace as clients list it. Those that do not know `ssh` go by the provider.
fn row(workspace: &Workspace) -> Value {
    json!({
        "id": workspace.id, "title": workspace.title, "custom_title": null, "provider": "aws", "ssh": true,
        "current_state": workspace.state(), "interim_state": null,
    })
}

#[derive(Deserialize)]
pub(super) struct Which {
    workspace_id: u32,
}

/// A machine of its own: it runs whenever its host is enrolled.
pub(super) async fn start(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    query: Result<Query<Which>, QueryRejection>,
) -> Response {
    match powered(&site, &sender, &headers, query).await {
        Ok(workspace) if workspace.state() == "running" => success(json!({})),
        Ok(workspace) => refusal(&format!(
            "The workspace cannot be started from here: its host is {}.",
            match workspace.state() {
                "host changed" => "showing other keys than before",
                _ => "not enrolled",
            }
        )),
        Err(why) => failure(&why),
    }
}

pub(super) async fn stop(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    query: Result<Query<Which>, QueryRejection>,
) -> Response {
    match powered(&site, &sender, &headers, query).await {
        Ok(_) => refusal("The workspace is a machine of its own, which this server does not stop."),
        Err(why) => failure(&why),
    }
}

async fn powered(
    site: &Arc<Site>,
    sender: &Sender,
    headers: &HeaderMap,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Workspace> {
    let id = query.map(|Query(which)| i64::from(which.workspace_id));
    called(site, sender, headers, move |_, step, caller| {
        let id = id.map_err(|_| Failure::bad("`workspace_id` is missing or not a workspace's id."))?;
        let level = access::level(step, caller.person.id, id)?;
        let workspace = workspaces::by_id(step, id)?.filter(|_| level.is_some()).ok_or_else(no_workspace)?;
        if !caller.scopes.may_power() {
            return Err(Failure::new(
                Kind::Scope,
                "This token may not start or stop; use one with the scope `power`.",
            ));
        }
        if level < Some(access::Level::Use) {
            return Err(Failure::new(
                Kind::Forbidden,
                "You may not start or stop it; ask an owner for the role `use`.",
            ));
        }
        Ok(workspace)
    })
    .await
}

pub(super) async fn ssh_session(
    State(site): State<Arc<Site>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    id: Result<Path<u32>, PathRejection>,
    body: Result<Json<SessionRequest>, JsonRejection>,
) -> Response {
    let token = token_of(&headers);
    let minted = off(&site, move |site| {
        // Whoever has no token learns nothing of what is wrong with the rest.
        let caller = counted(site, &sender.address, within(&*site.store, |step| tokens::find(step, &token)))?;
        let Path(id) = id.map_err(|_| no_workspace())?;
        let Json(request) = body.map_err(|rejection| match rejection.status().as_u16() {
            413 => Failure::new(Kind::TooLarge, "The body is larger than 64 KiB."),
            _ => Failure::bad("The body is not a session request."),
        })?;
        let key = words::session_key(&request.public_key)?;
        if request.ttl == 0 {
            return Err(Failure::bad("`ttl` is zero."));
        }
        let actor = sender.acts(caller.person.email, "api");
        let ask = Ask {
            token: &token,
            workspace: i64::from(id),
            key: &key,
            ttl: request.ttl,
            client: &request.client,
        };
        let made = site.mint.make(&*site.store, &actor, &ask)?;
        Ok(bundle(site, made))
    });
    match minted.await {
        Ok(bundle) => success(json!({ "bundle": bundle })),
        Err(why) => failure(&why),
    }
}

/// The connection bundle of a certificate.
fn bundle(site: &Site, made: Minted) -> Bundle {
    let Minted { certificate, expires, workspace, address, host_keys } = made;
    let port = workspace.port.unwrap_or(22);
    let name = if port == 22 { address.clone() } else { format!("[{address}]:{port}") };
    Bundle {
        known_hosts: host_keys.iter().map(|key| format!("{name} {key}\n")).collect(),
        expires_at: clock::shown(expires),
        credential: Credential { kind: "certificate".to_owned(), certificate: Some(certificate) },
        web_url: Some(format!("{}/w/{}", site.base, workspace.title)),
        workdir: workspace.workdir,
        ssh_config: None,
        user: workspace.account,
        title: Some(workspace.title),
        host: address,
        port,
    }
}
