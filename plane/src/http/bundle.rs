//! The connection bundle of a grant.

use runcode_wire::{Bundle, Credential};

use super::Site;
use crate::state::{Grant, Workspace};

/// # Errors
/// When the certificate cannot be made.
pub(super) fn bundle(site: &Site, workspace: &Workspace, grant: &Grant) -> ssh_key::Result<Bundle> {
    let credential = if grant.certified {
        let certificate = site.authority.sign(grant, &workspace.title)?;
        Credential { kind: "certificate".to_owned(), certificate: Some(certificate.as_str().to_owned()) }
    } else {
        Credential { kind: "key".to_owned(), certificate: None }
    };
    let route = site.gateway.route(workspace);
    let (host, port) = (route.host, route.port);
    let name = if port == 22 { host.clone() } else { format!("[{host}]:{port}") };
    // To the second, rounded down: never later than the gateway's own limit.
    let expires = jiff::Timestamp::try_from(grant.expires).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let expires = jiff::Timestamp::from_second(expires.as_second()).unwrap_or(expires);
    Ok(Bundle {
        known_hosts: route.host_keys.iter().map(|key| format!("{name} {key}\n")).collect(),
        expires_at: expires.to_string(),
        credential,
        web_url: Some(format!("{}{}/w/{}", site.base, site.addresses.workspaces, workspace.title)),
        workdir: route.workdir,
        ssh_config: Some(format!(
            "Host {title}\n    HostName {host}\n    Port {port}\n    User {title}\n",
            title = workspace.title
        )),
        user: workspace.title.clone(),
        title: None,
        host,
        port,
    })
}
