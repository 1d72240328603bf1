//! `runcode servers list`.

use serde_json::{Value, json};

use crate::app::App;
use crate::error::Result;
use crate::grant::SshUser;
use crate::origin::servers::{Power, Server, enforced};
use crate::output::report::{Outcome, Report, Text};
use crate::output::table::table;
use crate::signer::Enforced;

struct List(Vec<Row>);

struct Row {
    server: Server,
    enforced: Enforced,
    file: String,
    /// Why this version cannot use it.
    why_not: Option<String>,
}

impl Report for List {
    fn json(&self) -> Value {
        let row = |Row { server, enforced, file, why_not }: &Row| {
            json!({
                "name": server.name,
                "environment": server.environment,
                "host": server.method.host(),
                "port": server.port_number(),
                "user": server.user.as_ref().map(SshUser::as_str),
                "jump": server.policy.jump,
                "auth_method": server.method.word(),
                "signer": server.policy.signer,
                "profiles": server.policy.profiles,
                "requires_approval": server.policy.requires_approval,
                "enforced": enforced.as_str(),
                "unrestricted_sessions": server.policy.unrestricted_sessions,
                "power": server.power != Power::default(),
                "usable": why_not.is_none(),
                "file": file,
            })
        };
        self.0.iter().map(row).collect()
    }

    fn text(&self, text: &mut Text) {
        if self.0.is_empty() {
            return text.line("no servers yet: `runcode servers init` writes an example to begin with");
        }
        let cells = |Row { server, why_not, .. }: &Row| {
            let user = server.user.as_ref().map(|user| format!("{}@", user.as_str())).unwrap_or_default();
            let port = server.port.map(|port| format!(" port {port}")).unwrap_or_default();
            let through =
                server.policy.jump.as_ref().map(|hop| format!(" through {hop}")).unwrap_or_default();
            vec![
                server.name.clone(),
                server.environment.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{user}{}{port}{through}", server.method.host()),
                why_not
                    .as_ref()
                    .map_or_else(|| format!("runcode connect {}", server.name), |why| format!("({why})")),
            ]
        };
        let rows = self.0.iter().map(cells).collect::<Vec<_>>();
        table(text, &["NAME", "ENVIRONMENT", "HOST", "CONNECT"], &rows);
    }
}

/// Every server, also one that this version cannot use.
pub(super) fn run(app: &App) -> Result<Outcome> {
    let config = app.servers()?.config()?;
    let rows = config.servers().map(|(server, file)| Row {
        server: server.clone(),
        enforced: enforced(config, server),
        file: file.path.display().to_string(),
        why_not: config.usable(server).err(),
    });
    Ok(List(rows.collect()).into())
}
