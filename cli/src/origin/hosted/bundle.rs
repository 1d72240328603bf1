//! From the control plane's bytes to a [`Grant`]: the whole bundle is validated, or none of it is used.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use ssh_key::PublicKey;

use crate::error::{Code, Error, Result};
use crate::grant::{
    Certificate, Credential, Endpoint, Expiry, Gateway, Grant, Host, Lifetime, Pins, Port, SshUser, Trust,
    WebUrl, Workdir,
};
use crate::origin::hosted::tripwire;

/// A bundle as it came: any field may be anything. A field that comes twice is refused by the parser.
#[derive(Deserialize)]
struct RawBundle {
    host: Option<Value>,
    port: Option<Value>,
    user: Option<Value>,
    title: Option<Value>,
    known_hosts: Option<Value>,
    expires_at: Option<Value>,
    credential: Option<Value>,
    web_url: Option<Value>,
    workdir: Option<Value>,
    ssh_config: Option<Value>,
}

/// The credential of a bundle as it came.
#[derive(Deserialize)]
struct RawCredential {
    #[serde(rename = "type")]
    kind: Option<String>,
    certificate: Option<Value>,
}

/// What we asked for, which a bundle must answer.
pub struct Asked<'a> {
    /// The number of the workspace.
    pub workspace: u64,
    /// The public key that was sent.
    pub key: &'a PublicKey,
    /// The lifetime that was asked for.
    pub ttl: Duration,
    /// Now.
    pub now: Timestamp,
}

/// Validates a bundle's JSON. Every refusal is `unsafe_bundle` and names the field, never its value.
pub fn validate(json: &str, asked: &Asked<'_>) -> Result<Grant> {
    let odd = || unsafe_bundle("is not an object with each field once");
    if !json.trim_start().starts_with('{') {
        return Err(odd()); // serde would take an array in its place
    }
    let raw: RawBundle = serde_json::from_str(json).map_err(|error| odd().source(error))?;
    if let Some(text) = optional_text("ssh_config", raw.ssh_config.as_ref())?
        && let Some(directive) = tripwire::find(text)
    {
        return Err(unsafe_bundle(&format!("carries an ssh_config with `{directive}`, which runs commands")));
    }
    let text = |name, value| text(name, value);
    let host = field("host", Host::parse(text("host", raw.host.as_ref())?))?;
    let port = field("port", Port::from_json(present("port", raw.port.as_ref())?))?;
    let user = field("user", SshUser::parse(text("user", raw.user.as_ref())?))?;
    // The user is the title, unless the control plane tells them apart.
    let title = match optional_text("title", raw.title.as_ref())? {
        Some(title) => field("title", SshUser::parse(title))?,
        None => user.clone(),
    };
    let pins =
        field("known_hosts", Pins::parse(text("known_hosts", raw.known_hosts.as_ref())?, &host, port))?;
    let expires_at = text("expires_at", raw.expires_at.as_ref())?;
    let mut expires_at = field("expires_at", Expiry::parse(expires_at, asked.now, asked.ttl))?;
    let certificate = certificate(raw.credential.as_ref(), &user, asked)?;
    if let Some(certificate) = &certificate {
        expires_at = expires_at.min(certificate.expires_at());
    }
    let display = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let workdir = display(raw.workdir.as_ref()).and_then(|path| Workdir::parse(&path).ok());
    Ok(Grant {
        title: title.as_str().into(),
        custom_title: None,
        shared: None,
        credential: Credential::Key {
            gateway: Gateway { endpoint: Endpoint { host, port, user }, trust: Trust::Pinned(pins) },
            certificate,
        },
        lifetime: Lifetime::Until(expires_at),
        workdir: Some(workdir.unwrap_or_default()),
        web_url: display(raw.web_url.as_ref()).and_then(|url| WebUrl::parse(&url).ok()),
    })
}

/// The certificate of the bundle's credential; none where the public key itself is what the gateway knows.
fn certificate(raw: Option<&Value>, user: &SshUser, asked: &Asked<'_>) -> Result<Option<Certificate>> {
    let Some(raw) = raw.filter(|raw| !raw.is_null()) else {
        return Ok(None);
    };
    let raw: RawCredential =
        field("credential", RawCredential::deserialize(raw).map_err(|_| "is not a credential"))?;
    let certificate = raw.certificate.filter(|certificate| !certificate.is_null());
    match (raw.kind.as_deref(), certificate) {
        (Some("key"), None) => Ok(None),
        (Some("certificate"), Some(Value::String(text))) => {
            let certificate =
                Certificate::parse(&text, asked.key, user, asked.workspace, asked.now, asked.ttl);
            Ok(Some(field("certificate", certificate)?))
        }
        _ => Err(refused("credential", "is neither a key nor a certificate")),
    }
}

fn present<'a>(name: &str, value: Option<&'a Value>) -> Result<&'a Value> {
    value.filter(|value| !value.is_null()).ok_or_else(|| refused(name, "is missing"))
}

fn text<'a>(name: &str, value: Option<&'a Value>) -> Result<&'a str> {
    match present(name, value)?.as_str() {
        Some("") => Err(refused(name, "is empty")),
        Some(text) => Ok(text),
        None => Err(refused(name, "is not a string")),
    }
}

fn optional_text<'a>(name: &str, value: Option<&'a Value>) -> Result<Option<&'a str>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(refused(name, "is not a string")),
    }
}

fn field<T>(name: &str, parsed: Result<T, &'static str>) -> Result<T> {
    parsed.map_err(|why| refused(name, why))
}

fn refused(name: &str, why: &str) -> Error {
    let error = unsafe_bundle(&format!("is not safe to use: its `{name}` {why}"));
    match name {
        "expires_at" => error.hint("check that this machine's clock is right"),
        "certificate" => error.hint(
            "check that this machine's clock is right; if it is, report this to whoever runs the control plane",
        ),
        _ => error,
    }
}

fn unsafe_bundle(why: &str) -> Error {
    Error::new(Code::UnsafeBundle, format!("the control plane's connection bundle {why}"))
        .hint("nothing was changed; report this to whoever runs the control plane")
}
