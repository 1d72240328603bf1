//! `session`, `ca`, `audit`

use serde_json::json;

use super::{Here, Report, table};
use crate::args::{Audit, Ca, Session};
use crate::clock;
use crate::core::{blocks, sessions};
use crate::failure::{Failure, Result};
use crate::store::within;

pub(super) fn session(here: &Here, verb: Session) -> Result<Report> {
    let store = &*here.site.store;
    match verb {
        Session::List => {
            let all = within(store, sessions::live)?;
            let state = |session: &sessions::Listed| if session.revoked.is_some() { "revoked" } else { "" };
            let rows = all.iter().map(|session| {
                vec![
                    session.serial.to_string(),
                    session.workspace.clone(),
                    session.person.clone(),
                    session.client.clone(),
                    clock::shown(session.expires),
                    state(session).to_owned(),
                ]
            });
            let json = all.iter().map(|session| {
                json!({ "id": session.serial.to_string(), "workspace": session.workspace, "person": session.person,
                    "client": session.client, "issued": clock::shown(session.issued), "expires_at": clock::shown(session.expires),
                    "revoked": session.revoked.map(clock::shown), "revocable": session.is_revocable })
            });
            let text =
                table(&["ID", "WORKSPACE", "PERSON", "CLIENT", "EXPIRES", ""], &rows.collect::<Vec<_>>());
            Ok(Report::new(text, json!({ "sessions": json.collect::<Vec<_>>() })))
        }
        Session::Revoke { id } => {
            let serial = id
                .parse::<i64>()
                .map_err(|_| Failure::bad("A session's id is a number; `session list` shows it."))?;
            let reaches = sessions::revoke(store, &here.actor, serial)?;
            let text = match reaches {
                true => "Revoked. The host refuses it, and ends a standing connection, within a minute.",
                false => {
                    "Revoked here only: the host was enrolled with --user and has no revocation list, so the certificate works until \
                     it ends."
                }
            };
            Ok(Report::new(text, json!({ "id": id, "reaches_host": reaches })))
        }
    }
}

pub(super) fn ca(here: &Here, verb: Ca) -> Result<Report> {
    match verb {
        Ca::Show => {
            let line = here.site.authority_line()?;
            let fingerprint =
                here.site.mint.authority.public_key().fingerprint(ssh_key::HashAlg::Sha256).to_string();
            let text = format!("{line}\n{fingerprint}");
            Ok(Report::new(text, json!({ "public_key": line, "fingerprint": fingerprint })))
        }
    }
}

pub(super) fn audit(here: &Here, verb: Audit) -> Result<Report> {
    let site = &here.site;
    match verb {
        Audit::Verify { head } => {
            let key = site.audit_key.public_key();
            let checked = within(&*site.store, |step| blocks::verify(step, key, head.as_deref()))?;
            let counts = format!(
                "{} blocks, {} rows, {} rows not sealed yet",
                checked.blocks, checked.rows, checked.unsealed
            );
            let json = json!({ "ok": checked.wrong.is_none(), "blocks": checked.blocks, "rows": checked.rows,
                "unsealed": checked.unsealed, "head": checked.head, "wrong": checked.wrong });
            let text = match &checked.wrong {
                Some(wrong) => format!("The audit was changed: {wrong}.\n{counts} before that"),
                None => format!("The audit is whole: {counts}.\nhead {}", checked.head),
            };
            let exit = checked.wrong.is_some().into();
            Ok(Report { exit, ..Report::new(text, json) })
        }
        Audit::Export { since } => {
            let seconds = match since {
                Some(text) => {
                    let time = text.parse::<jiff::Timestamp>();
                    time.map_err(|_| Failure::bad("--since is a time such as 2026-01-31T00:00:00Z."))?
                        .as_second()
                }
                None => 0,
            };
            let rows = within(&*site.store, |step| blocks::since(step, seconds))?;
            let lines = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
            Ok(Report::new(lines, json!({ "rows": rows })))
        }
    }
}
