//! The two eras of the protocol: until 2025-11-25 a client begins with `initialize`; since 2026-07-28 each request says all
//! there is to know. Both may come on one stream.

use serde_json::{Map, Value, json};

use crate::mcp::message::{INVALID_PARAMS, RpcError, UNSUPPORTED_VERSION};

/// The versions with a handshake.
const WITH_HANDSHAKE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The version without.
const STATELESS: &str = "2026-07-28";

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// The era that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// After `initialize`.
    Handshake,
    /// It says its version itself.
    Stateless,
}

impl Era {
    /// The era of a request.
    pub(super) fn of(method: &str, params: &Map<String, Value>) -> Result<Era, RpcError> {
        let meta = meta(params);
        let version = meta.and_then(|meta| meta.get(VERSION));
        if method == "initialize" || (version.is_none() && method != "server/discover") {
            return Ok(Era::Handshake);
        }
        match version.and_then(Value::as_str) {
            Some(STATELESS) => {}
            Some(other) => {
                let requested = other.chars().take(64).collect::<String>();
                let data = json!({ "supported": [STATELESS], "requested": requested });
                let what = "this version of the protocol is not spoken here";
                return Err(RpcError::new(UNSUPPORTED_VERSION, what).with(data));
            }
            None => return Err(RpcError::new(INVALID_PARAMS, format!("`_meta` has no `{VERSION}`"))),
        }
        match meta.and_then(|meta| meta.get(CAPABILITIES)) {
            Some(Value::Object(_)) => Ok(Era::Stateless),
            _ => Err(RpcError::new(INVALID_PARAMS, format!("`_meta` has no `{CAPABILITIES}`"))),
        }
    }

    /// A result as this era has it.
    pub(super) fn result(self, mut result: Map<String, Value>, who: &Value) -> Value {
        if self == Era::Stateless {
            result.insert("resultType".to_owned(), "complete".into());
            let meta = result.entry("_meta").or_insert_with(|| json!({}));
            meta[SERVER] = who.clone();
        }
        result.into()
    }

    /// As [`Era::result`], for what a client may keep: nothing is worth that here.
    pub(super) fn list(self, mut result: Map<String, Value>, who: &Value) -> Value {
        if self == Era::Stateless {
            result.insert("ttlMs".to_owned(), 0.into());
            result.insert("cacheScope".to_owned(), "private".into());
        }
        self.result(result, who)
    }
}

/// The version that a handshake agrees on.
pub(super) fn agreed(params: &Map<String, Value>) -> &'static str {
    let wanted = params.get("protocolVersion").and_then(Value::as_str);
    let known = WITH_HANDSHAKE.iter().find(|version| Some(**version) == wanted);
    known.unwrap_or(&WITH_HANDSHAKE[WITH_HANDSHAKE.len() - 1])
}

/// Whether a server that answers with this version is understood.
pub(super) fn is_understood(version: &str) -> bool {
    version == STATELESS || WITH_HANDSHAKE.contains(&version)
}

/// The version that is asked of a server.
pub(super) fn wanted() -> &'static str {
    WITH_HANDSHAKE[WITH_HANDSHAKE.len() - 1]
}

/// The versions that need no handshake.
pub(super) fn stateless_versions() -> Value {
    json!([STATELESS])
}

/// Who we are.
pub(super) fn server_info() -> Value {
    json!({ "name": "runcode", "title": "RunCode", "version": env!("CARGO_PKG_VERSION") })
}

/// The name that a client gives itself: in a handshake, or in any request without one.
pub(super) fn client_name(params: &Map<String, Value>) -> Option<&str> {
    let info = params.get("clientInfo").or_else(|| meta(params)?.get(CLIENT));
    info?.get("name")?.as_str()
}

/// Whether a client says that it knows an extension of the protocol: in a handshake, or in any request without one.
pub(super) fn knows(params: &Map<String, Value>, extension: &str) -> bool {
    let with_handshake = params.get("capabilities").and_then(|all| all.get("experimental"));
    let without = || meta(params)?.get(CAPABILITIES)?.get("extensions");
    with_handshake.or_else(without).is_some_and(|all| all.get(extension).is_some())
}

/// The `_meta` of a request.
pub(super) fn meta(params: &Map<String, Value>) -> Option<&Map<String, Value>> {
    params.get("_meta")?.as_object()
}
