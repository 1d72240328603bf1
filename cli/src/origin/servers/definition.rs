//! The parts of a server's section in servers.toml that a session depends on.

use serde_json::json;

use crate::grant::{NamedServer, SshUser};
use crate::origin::SessionKey;
use crate::origin::servers::{Config, Server};
use crate::sys::digest::sha256;

/// What the file says of a server, for the code that calls ssh.
pub(super) fn named(server: &Server, key: &SessionKey) -> NamedServer {
    NamedServer {
        words: key.words(),
        port: server.port,
        user: server.user.clone(),
        host_keys: server.host_keys.clone(),
        environment: server.environment.as_deref().map(Into::into),
        is_restricted: server.is_restricted(),
        definition: definition(server),
    }
}

/// Everything that an approved session depends on.
pub(super) fn approved_definition(config: &Config, server: &Server) -> String {
    let policy = &server.policy;
    let of_hop = |hop: &Server| {
        json!([hop.name, definition(hop), hop.policy.signer, hop.principal(), hop.policy.source_address])
    };
    let said = json!([
        definition(server),
        policy.requires_approval,
        policy.unrestricted_sessions,
        policy.forwarding,
        policy.signer,
        policy.principal.as_ref().map(SshUser::as_str),
        policy.source_address,
        policy.max_ttl,
        policy.max_idle,
        config.hops_to(server).into_iter().map(of_hop).collect::<Vec<_>>(),
    ]);
    sha256(said.to_string().as_bytes())
}

/// Everything that a session depends on; the programs that start the machine are not part of it.
pub(super) fn definition(server: &Server) -> String {
    let said = json!([
        server.method.host(),
        server.port.map(|port| port.number()),
        server.user.as_ref().map(SshUser::as_str),
        server.host_keys,
        server.environment,
        server.workdir,
        server.policy.profiles, // what an unrestricted session forwards is not for a restricted one
    ]);
    sha256(said.to_string().as_bytes())
}
