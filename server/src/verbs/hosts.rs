//! `workspace`, `host`, `grant`

use serde_json::json;

use super::{Here, Report, table};
use crate::args::{Grant, Host, Workspace};
use crate::clock;
use crate::core::access::{self, Level};
use crate::core::hosts;
use crate::core::workspaces::{self, New};
use crate::failure::{Failure, Result};
use crate::random;
use crate::store::within;

pub(super) fn workspace(here: &Here, verb: Workspace) -> Result<Report> {
    let store = &*here.site.store;
    match verb {
        Workspace::List => {
            let all = within(store, workspaces::all)?;
            let reached = |workspace: &workspaces::Workspace| {
                workspace
                    .address
                    .as_ref()
                    .map(|address| format!("{address}:{}", workspace.port.unwrap_or(22)))
            };
            let rows = all.iter().map(|workspace| {
                let reached = reached(workspace).unwrap_or_default();
                vec![
                    workspace.id.to_string(),
                    workspace.title.clone(),
                    workspace.account.clone(),
                    reached,
                    workspace.state().to_owned(),
                ]
            });
            let json = all.iter().map(|workspace| {
                json!({ "id": workspace.id, "title": workspace.title, "account": workspace.account, "address": reached(workspace),
                    "workdir": workspace.workdir, "principal": workspace.principal, "state": workspace.state(),
                    "max_ttl": workspace.max_ttl })
            });
            let text = table(&["ID", "TITLE", "ACCOUNT", "ADDRESS", "STATE"], &rows.collect::<Vec<_>>());
            Ok(Report::new(text, json!({ "workspaces": json.collect::<Vec<_>>() })))
        }
        Workspace::Change { title, max_ttl } => {
            let ttl = clock::duration(&max_ttl)
                .ok_or_else(|| Failure::bad("--max-ttl is a duration such as 10m."))?;
            let longest = here.site.config.session_max_ttl;
            if ttl > longest {
                let longest = clock::shown_duration(longest);
                return Err(Failure::bad(format!("`session.max_ttl` allows {longest} at most.")));
            }
            workspaces::limit(store, &here.actor, &title, ttl.as_secs())?;
            Ok(Report::new(
                format!("{title} was changed."),
                json!({ "title": title, "max_ttl": ttl.as_secs() }),
            ))
        }
        Workspace::Remove { title } => {
            workspaces::remove(store, &here.actor, &title)?;
            let text = format!(
                "{title} was removed. Its host still trusts this server for it: run `sh enroll.sh --uninstall` there, or remove the \
                 line from /etc/ssh/runcode/principals."
            );
            Ok(Report::new(text, json!({ "title": title })))
        }
    }
}

pub(super) fn host(here: &Here, verb: Host) -> Result<Report> {
    let store = &*here.site.store;
    match verb {
        Host::Add { title, account, workdir, owner, address } => {
            let new = New { title, account, workdir, address, owner };
            let (workspace, code) = hosts::add(store, &here.actor, &new)?;
            Ok(enrolment(here, &workspace, &code))
        }
        Host::Code { title } => {
            let (workspace, code) = hosts::another_code(store, &here.actor, &title)?;
            Ok(enrolment(here, &workspace, &code))
        }
        Host::List => {
            let all = within(store, hosts::all)?;
            let synced = |host: &hosts::Listed| match host.synced {
                _ if host.user_only => "not by user".to_owned(),
                Some(at) => clock::shown(at),
                None => "never".to_owned(),
            };
            let rows = all.iter().map(|host| {
                vec![
                    host.title.clone(),
                    host.address.clone(),
                    host.state.clone(),
                    synced(host),
                    host.sshd.clone(),
                ]
            });
            let json = all.iter().map(|host| {
                json!({ "title": host.title, "address": host.address, "state": host.state, "user_only": host.user_only,
                    "synced": host.synced.map(clock::shown), "sshd": host.sshd, "host_keys": host.host_keys })
            });
            let text =
                table(&["WORKSPACE", "ADDRESS", "STATE", "LAST SYNC", "SSHD"], &rows.collect::<Vec<_>>());
            Ok(Report::new(text, json!({ "hosts": json.collect::<Vec<_>>() })))
        }
        Host::Accept { title } => {
            let keys = hosts::accept(store, &here.actor, &title)?;
            let text = format!("Sessions on {title} now pin these keys:\n{}", keys.join("\n"));
            Ok(Report::new(text, json!({ "title": title, "host_keys": keys })))
        }
        Host::Remove { title } => {
            hosts::remove(store, &here.actor, &title)?;
            let text = format!("The host of {title} was removed. Run `sh enroll.sh --uninstall` there too.");
            Ok(Report::new(text, json!({ "title": title })))
        }
    }
}

/// The line that an administrator of the machine runs.
fn enrolment(here: &Here, workspace: &workspaces::Workspace, code: &str) -> Report {
    let base = &here.site.base;
    let line =
        format!("curl -fsS {base}/enroll.sh -o enroll.sh && less enroll.sh && sudo sh enroll.sh {code}");
    let digest = random::hash(&crate::http::enrol_script(base));
    let text = format!(
        "Run this on the machine, within 15 minutes:\n\n  {line}\n\nSHA-256 of the script: {digest}\n\
         Without root there: sh enroll.sh --user {code}"
    );
    let json = json!({ "id": workspace.id, "title": workspace.title, "principal": workspace.principal, "code": code,
        "line": line, "sha256": digest });
    Report::new(text, json)
}

pub(super) fn grant(here: &Here, verb: Grant) -> Result<Report> {
    let store = &*here.site.store;
    match verb {
        Grant::Add { workspace, who, role } => {
            access::add(store, &here.actor, &workspace, &who, Level::parse(&role)?)?;
            let text = format!("{who} has the role {role} on {workspace}.");
            Ok(Report::new(text, json!({ "workspace": workspace, "who": who, "role": role })))
        }
        Grant::List { workspace } => {
            let all = within(store, |step| {
                let only = workspace.as_deref().map(|title| workspaces::by_title(step, title)).transpose()?;
                access::all(step, only.map(|workspace| workspace.id))
            })?;
            let rows = all
                .iter()
                .map(|(title, who, level)| vec![title.clone(), who.clone(), level.as_str().to_owned()]);
            let json = all
                .iter()
                .map(|(title, who, level)| json!({ "workspace": title, "who": who, "role": level.as_str() }));
            let text = table(&["WORKSPACE", "WHO", "ROLE"], &rows.collect::<Vec<_>>());
            Ok(Report::new(text, json!({ "grants": json.collect::<Vec<_>>() })))
        }
        Grant::Remove { workspace, who } => {
            let ended = access::remove(store, &here.actor, &workspace, &who)?;
            let text = format!("The grant was taken back; {ended} live sessions were revoked.");
            Ok(Report::new(text, json!({ "workspace": workspace, "who": who, "sessions_revoked": ended })))
        }
    }
}
