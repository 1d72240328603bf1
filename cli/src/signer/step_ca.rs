//! step-ca: <https://smallstep.com/docs/step-ca>, with a JWK provisioner or a token that somebody else made.

use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, Result};
use crate::http::{Answer, BaseUrl, Trust};
use crate::signer::files::{authorities, read_secret};
use crate::signer::jose::{self, Key};
use crate::signer::service::{Service, parse, secret};
use crate::signer::{Order, Signer, failed};
use crate::sys::digest::sha256;
use crate::sys::env::Env;
use crate::sys::keychain::Entry;
use crate::sys::random;
use crate::sys::trusted_file::Owner;

/// The longest token that somebody else made, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// The largest file of a private key, in bytes.
const MAX_KEY: usize = 8 * 1024;

/// How long a token of ours is valid, in seconds.
const TOKEN_SERVES: u64 = 300;

/// How many pages of provisioners are read, and how many provisioners each has: their templates have to fit, too.
const PAGES: usize = 50;
const PAGE: &str = "10";

/// What a file says about a step-ca.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub ca_url: BaseUrl,
    /// Who vouches for it.
    pub root: Root,
    /// The provisioner whose key signs our tokens.
    pub provisioner: Option<String>,
    /// The subject of our tokens.
    pub subject: Option<String>,
    /// What proves that we may ask, if the file says so.
    pub credential: Option<Credential>,
    /// The key that its certificates are verified with.
    pub user_ca: Option<PublicKey>,
}

/// Who vouches that a server is the step-ca.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The authorities of this machine.
    System,
    /// The root certificate in a file.
    File(PathBuf, Owner),
    /// The root certificate with this SHA-256, in lower-case hexadecimal.
    Fingerprint(String),
}

/// What proves to a step-ca that we may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The provisioner's private key in a file, as JWK.
    Key(PathBuf, Owner),
    /// The password of the provisioner's private key, which the step-ca keeps encrypted.
    Password(Entry),
    /// A token that somebody else made, in this variable. It works once.
    Token(String),
}

pub(super) struct StepCa {
    settings: Settings,
    env: Env,
}

impl StepCa {
    pub(super) fn new(settings: &Settings, env: &Env) -> StepCa {
        StepCa { settings: settings.clone(), env: env.clone() }
    }

    /// The service. If only the root's fingerprint is known, fetches the root first.
    fn service(&self) -> Result<Service> {
        let url = &self.settings.ca_url;
        match &self.settings.root {
            Root::System => Ok(Service::new(url, Trust::System)),
            Root::File(path, owner) => Ok(Service::new(url, authorities(path, *owner)?)),
            // Over plain http there is no certificate.
            Root::Fingerprint(_) if url.is_plain() => Ok(Service::new(url, Trust::System)),
            Root::Fingerprint(fingerprint) => {
                let service = Service::new(url, Trust::Nobody);
                let answer = service.fetch(&format!("/root/{fingerprint}"), &[], Vec::new())?;
                let other = || {
                    failed(format!("the signer at {url} has no root certificate with the fingerprint {fingerprint}"))
                        .hint("compare `fingerprint` in servers.toml with what `step certificate fingerprint` says where the CA runs")
                };
                if answer.status != StatusCode::OK {
                    return Err(other());
                }
                let root = root(&answer.body, fingerprint).ok_or_else(other)?;
                Ok(service.trusting(Trust::Only(vec![root])))
            }
        }
    }

    /// The token that asks for this order.
    fn token(&self, service: &Service, order: &Order<'_>) -> Result<Zeroizing<String>> {
        let key = match &self.settings.credential {
            None => return Err(without_credential()),
            Some(Credential::Token(variable)) => return self.ready_made(variable),
            Some(Credential::Key(path, owner)) => read_key(path, *owner)?,
            Some(Credential::Password(entry)) => {
                let password = password(entry)?;
                let provisioner = self.provisioner()?;
                let encrypted = encrypted_key(service, provisioner)?;
                Key::from_jwe(&encrypted, &password)
                    .map_err(|why| failed(format!("the key of the provisioner `{provisioner}` {why}")))?
            }
        };
        let claims = json!({
            "iss": self.provisioner()?,
            "sub": self.settings.subject.as_deref().unwrap_or("runcode"),
            "aud": format!("{}/1.0/ssh/sign", self.settings.ca_url),
            "iat": order.now,
            "nbf": order.now,
            "exp": order.now.saturating_add(TOKEN_SERVES),
            "jti": random::word(),
            "step": { "ssh": {
                "certType": "user",
                "principals": [order.principal],
                "keyID": order.short_id(),
            } },
        });
        Ok(key.token(&claims))
    }

    fn ready_made(&self, variable: &str) -> Result<Zeroizing<String>> {
        let what = format!("the variable {variable}");
        let value = self.env.named(variable);
        let value = value
            .ok_or_else(|| failed(format!("{what}, which holds the token for the signer, is not set")))?;
        let value = Zeroizing::new(value.into_encoded_bytes());
        Ok(Zeroizing::new(secret(&what, &value, MAX_TOKEN)?.expose().to_owned()))
    }

    fn provisioner(&self) -> Result<&str> {
        let missing =
            || failed("servers.toml does not say which `provisioner` the signer's key belongs to".to_owned());
        self.settings.provisioner.as_deref().ok_or_else(missing)
    }
}

impl Signer for StepCa {
    fn authority(&self) -> Option<KeyData> {
        self.settings.user_ca.as_ref().map(|key| key.key_data().clone())
    }

    fn public_key(&self) -> Result<Option<KeyData>> {
        if let Some(key) = self.authority() {
            return Ok(Some(key));
        }
        let service = self.service()?;
        let answer = service.fetch("/1.0/ssh/roots", &[], Vec::new())?;
        if answer.status != StatusCode::OK {
            return Err(service.refused(&answer).hint("is SSH enabled on this step-ca?"));
        }
        user_key(&answer.body).map(Some).ok_or_else(|| service.odd())
    }

    fn ready(&self) -> Result<()> {
        if let Root::File(path, owner) = &self.settings.root {
            authorities(path, *owner)?;
        }
        match &self.settings.credential {
            None => return Err(without_credential()),
            Some(Credential::Token(variable)) => return self.ready_made(variable).map(drop),
            Some(Credential::Key(path, owner)) => drop(read_key(path, *owner)?),
            Some(Credential::Password(entry)) => drop(password(entry)?),
        }
        self.provisioner().map(drop)
    }

    fn sign(&self, order: &Order<'_>) -> Result<String> {
        let service = self.service()?;
        let token = self.token(&service, order)?;
        let key = PublicKey::new(order.key.clone(), "").to_bytes();
        let key = key.map_err(|error| failed(format!("the key cannot be encoded: {error}")))?;
        let mut body = json!({
            "publicKey": Base64::encode_string(&key),
            "ott": token.as_str(),
            "certType": "user",
            "principals": [order.principal],
            "keyID": order.short_id(),
            "validAfter": "",
            "validBefore": format!("{}s", order.ttl),
            // For the template that contains force-command; without one, the certificate is not what we asked for.
            "templateData": { "extensions": order.extension_map(), "criticalOptions": order.option_map() },
        });
        let answer = service.post("/1.0/ssh/sign", Vec::new(), &body);
        if let Some(Value::String(token)) = body.get_mut("ott") {
            token.zeroize();
        }
        let answer = answer?;
        if answer.status != StatusCode::CREATED {
            return Err(refused(&service, &answer));
        }
        signed(&answer.body).ok_or_else(|| service.odd())
    }
}

fn without_credential() -> Error {
    failed("servers.toml names no credential for the signer".to_owned())
        .hint("add `key`, `password_ref` or `token_env` to its section")
}

fn read_key(path: &Path, owner: Owner) -> Result<Key> {
    let bytes = read_secret("the provisioner's key", path, owner, MAX_KEY)?;
    Key::from_jwk(&bytes).map_err(|why| {
        failed(format!("the provisioner's key {why}"))
            .hint("decrypt it with `step crypto jwe decrypt`, or use `password_ref`")
    })
}

fn password(entry: &Entry) -> Result<Zeroizing<Vec<u8>>> {
    entry.read().map_err(|why| failed(format!("{} {why}", entry.shown())))
}

/// The error for a refusal.
fn refused(service: &Service, answer: &Answer) -> Error {
    let error = service.refused(answer);
    match answer.status {
        StatusCode::UNAUTHORIZED => error.hint(
            "the CA's own log says why: perhaps the provisioner's name or key, its clock or this one (`date`), or a used token",
        ),
        StatusCode::FORBIDDEN => {
            error.hint("the provisioner allows less: compare cert_ttl_seconds and the user with its claims")
        }
        StatusCode::NOT_FOUND => error.hint("check `ca_url` in servers.toml, and that SSH is enabled on the CA"),
        _ => error,
    }
}

/// The encrypted key of a provisioner. We know the provisioner's name, but not the key's.
fn encrypted_key(service: &Service, name: &str) -> Result<Zeroizing<String>> {
    let mut cursor = String::new();
    for _ in 0..PAGES {
        let query = [("cursor", cursor.as_str()), ("limit", PAGE)];
        let answer = service.fetch("/1.0/provisioners", &query, Vec::new())?;
        if answer.status != StatusCode::OK {
            return Err(refused(service, &answer));
        }
        let page = provisioners(&answer.body).ok_or_else(|| service.odd())?;
        if let Some(id) = page.key_of(name) {
            let answer = service.fetch(&format!("/1.0/provisioners/{id}/encrypted-key"), &[], Vec::new())?;
            if answer.status != StatusCode::OK {
                let what = format!("the signer has no encrypted key for the provisioner `{name}`");
                return Err(failed(what).hint("name the file of its private key with `key` in servers.toml"));
            }
            return encrypted(&answer.body).ok_or_else(|| service.odd());
        }
        match page.next {
            Some(next) if !next.is_empty() => cursor = next,
            _ => break,
        }
    }
    Err(failed(format!("the signer has no JWK provisioner `{name}`"))
        .hint("compare `provisioner` in servers.toml with what `step ca provisioner list` shows"))
}

/// Some of a step-ca's provisioners.
#[derive(Deserialize)]
pub struct Provisioners {
    #[serde(default)]
    provisioners: Vec<Provisioner>,
    #[serde(default, rename = "nextCursor")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Provisioner {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    key: Option<ProvisionersKey>,
}

#[derive(Deserialize)]
struct ProvisionersKey {
    #[serde(default)]
    kid: String,
}

impl Provisioners {
    /// The name of the key of the JWK provisioner with this name.
    pub fn key_of(&self, name: &str) -> Option<&str> {
        let named = self.provisioners.iter().filter(|it| it.kind == "JWK" && it.name == name);
        named.filter_map(|it| it.key.as_ref()).map(|key| &*key.kid).find(|id| jose::is_id(id))
    }
}

/// Some of a step-ca's provisioners in the answer to a request for them.
pub fn provisioners(body: &[u8]) -> Option<Provisioners> {
    parse(body)
}

/// The encrypted key of a provisioner in the answer to a request for it.
pub fn encrypted(body: &[u8]) -> Option<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Encrypted {
        key: String,
    }
    parse::<Encrypted>(body).map(|answer| Zeroizing::new(answer.key))
}

/// The certificate's line in the answer to a request for one.
pub fn signed(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Signed {
        crt: String,
    }
    let text = parse::<Signed>(body)?.crt;
    let blob = Base64::decode_vec(&text).ok()?;
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let kind = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let is_kind = |kind: &&[u8]| kind.len() <= 64 && kind.iter().all(u8::is_ascii_graphic);
    let kind = std::str::from_utf8(Some(kind).filter(is_kind)?).ok()?;
    Some(format!("{kind} {text}"))
}

/// The key that user certificates are signed with.
pub fn user_key(body: &[u8]) -> Option<KeyData> {
    #[derive(Deserialize)]
    struct Roots {
        #[serde(rename = "userKey")]
        user_key: Vec<String>,
    }
    let first = parse::<Roots>(body)?.user_key.into_iter().next()?;
    let key = PublicKey::from_bytes(&Base64::decode_vec(&first).ok()?).ok()?;
    Some(key.key_data().clone())
}

/// The root certificate, if it is the one with this fingerprint.
pub fn root(body: &[u8], fingerprint: &str) -> Option<reqwest::Certificate> {
    #[derive(Deserialize)]
    struct Root {
        ca: String,
    }
    let der = der(&parse::<Root>(body)?.ca)?;
    (sha256(&der) == fingerprint).then(|| reqwest::Certificate::from_der(&der).ok()).flatten()
}

/// The bytes of the one certificate in a PEM text (RFC 7468).
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (text, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let text = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect::<String>();
    Base64::decode_vec(&text).ok()
}
