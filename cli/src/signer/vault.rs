//! The SSH engine of Vault or OpenBao: <https://developer.hashicorp.com/vault/api-docs/secret/ssh>.

use std::borrow::Cow;
use std::path::PathBuf;

use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::http::{Answer, BaseUrl, Trust};
use crate::signer::files::{authorities, read_secret};
use crate::signer::service::{self, Headers, Service, parse, secret, sensitive};
use crate::signer::{Order, Signer, failed};
use crate::sys::env::{Env, Var};
use crate::sys::keychain::Entry;
use crate::sys::paths;
use crate::sys::secret::Secret;
use crate::sys::trusted_file::Owner;

/// The longest token, in bytes.
const MAX_TOKEN: usize = 4096;

/// The longest JWT, in bytes.
const MAX_JWT: usize = 16 * 1024;

/// What a file says about a Vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub url: BaseUrl,
    /// The path of the SSH engine.
    pub mount: String,
    /// The role, in which `{server}` and `{profile}` stand for their names.
    pub role: String,
    /// The namespace, where there are several.
    pub namespace: Option<String>,
    /// The authorities that vouch for it, if not those of this machine.
    pub ca: Option<(PathBuf, Owner)>,
    /// How runcode logs in.
    pub auth: Auth,
    /// Whether the role puts the options into the certificate: we ask for none, and it must contain exactly the right ones.
    pub expects: bool,
    /// The key that its certificates are verified with.
    pub user_ca: Option<PublicKey>,
}

/// How runcode logs in to a Vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// With the token of the user.
    Token,
    /// As a machine.
    AppRole {
        /// The role's id, which is no secret.
        role_id: String,
        /// Where the secret id is.
        secret_id: Entry,
    },
    /// With a token of another identity provider, such as that of a CI job.
    Jwt {
        /// The role of the login.
        role: String,
        /// The variable that holds the token.
        variable: String,
    },
}

pub(super) struct Vault {
    settings: Settings,
    trust: Trust,
    env: Env,
}

/// A token, and how many times it works; `None` means as long as it lives.
struct Login {
    token: Secret,
    uses: Option<u64>,
    /// Whether it was made for this certificate.
    is_own: bool,
}

impl Vault {
    pub(super) fn new(settings: &Settings, env: &Env) -> Result<Vault> {
        let ca = settings.ca.as_ref().map(|(path, owner)| authorities(path, *owner));
        let trust = ca.unwrap_or(Ok(Trust::System))?;
        Ok(Vault { settings: settings.clone(), trust, env: env.clone() })
    }

    fn service(&self) -> Service {
        Service::new(&self.settings.url, self.trust.clone())
    }

    fn headers(&self, token: Option<&Secret>) -> Result<Headers> {
        let mut headers =
            vec![(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"))];
        if let Some(namespace) = &self.settings.namespace {
            headers.push((HeaderName::from_static("x-vault-namespace"), sensitive(namespace)?));
        }
        if let Some(token) = token {
            headers.push((HeaderName::from_static("x-vault-token"), sensitive(token.expose())?));
        }
        Ok(headers)
    }

    /// The user's own token.
    fn token(&self) -> Result<Secret> {
        for var in [Var::VaultToken, Var::BaoToken] {
            if let Some(value) = self.env.var(var) {
                let value = Zeroizing::new(value.into_encoded_bytes());
                return secret(&format!("the token in {}", var.name()), &value, MAX_TOKEN);
            }
        }
        let home = paths::home(&self.env).map_err(|error| failed(error.message().to_owned()))?;
        let file = home.join(".vault-token");
        if !file.exists() {
            return Err(failed("there is no token for the signer".to_owned())
                .hint("set VAULT_TOKEN, or log in with `vault login` or `bao login`"));
        }
        let bytes = read_secret("the token file", &file, Owner::User, MAX_TOKEN + 64)?;
        secret("the token in ~/.vault-token", &bytes, MAX_TOKEN)
    }

    /// The path and the body of the login, if it takes one.
    fn credential(&self) -> Result<Option<(&'static str, Value)>> {
        Ok(match &self.settings.auth {
            Auth::Token => None,
            Auth::AppRole { role_id, secret_id } => {
                let bytes = secret_id.read().map_err(|why| failed(format!("{} {why}", secret_id.shown())))?;
                let id = secret(&secret_id.shown(), &bytes, MAX_TOKEN)?;
                let body = json!({ "role_id": role_id, "secret_id": id.expose() });
                Some(("/v1/auth/approle/login", body))
            }
            Auth::Jwt { role, variable } => {
                let what = format!("the variable {variable}");
                let value = self.env.named(variable).ok_or_else(|| {
                    failed(format!("{what}, which holds the token for the signer, is not set"))
                })?;
                let value = Zeroizing::new(value.into_encoded_bytes());
                let jwt = secret(&what, &value, MAX_JWT)?;
                Some(("/v1/auth/jwt/login", json!({ "role": role, "jwt": jwt.expose() })))
            }
        })
    }

    fn log_in(&self, service: &Service) -> Result<Login> {
        let Some((path, mut body)) = self.credential()? else {
            return Ok(Login { token: self.token()?, uses: None, is_own: false });
        };
        let answer = service.post(path, self.headers(None)?, &body);
        wipe(&mut body);
        let answer = answer?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(service, &answer));
        }
        logged_in(&answer.body).ok_or_else(|| service.odd())
    }

    /// Revokes the token that was made for this certificate. A failure to do so does not matter: the token expires by itself.
    fn log_out(&self, service: &Service, login: &Login) {
        if login.is_own
            && login.uses != Some(1)
            && let Ok(headers) = self.headers(Some(&login.token))
        {
            let _ = service.post("/v1/auth/token/revoke-self", headers, &json!({}));
        }
    }

    fn role(&self, order: &Order<'_>) -> String {
        self.settings.role.replace("{server}", order.server).replace("{profile}", order.profile)
    }

    fn ask(&self, service: &Service, login: &Login, order: &Order<'_>, names_itself: bool) -> Result<Answer> {
        let path = format!("/v1/{}/sign/{}", self.settings.mount, self.role(order));
        let body = self.question(order, names_itself)?;
        service.post(&path, self.headers(Some(&login.token))?, &body)
    }

    fn question(&self, order: &Order<'_>, names_itself: bool) -> Result<Value> {
        let key = PublicKey::new(order.key.clone(), "").to_openssh();
        let key = key.map_err(|error| Error::new(Code::Error, error.to_string()))?;
        let mut body = json!({
            "public_key": key.trim_end(),
            "valid_principals": order.principal,
            "ttl": format!("{}s", order.ttl),
            "cert_type": "user",
        });
        if names_itself {
            body["key_id"] = order.short_id().into();
        }
        if !self.settings.expects {
            body["critical_options"] = order.option_map().into();
            body["extensions"] = order.extension_map().into();
        }
        Ok(body)
    }

    /// The error for a refusal.
    fn refused(&self, service: &Service, answer: &Answer) -> Error {
        let error = service.refused(answer);
        match answer.status {
            StatusCode::FORBIDDEN => {
                error.hint("the token is wrong or spent, or its policy does not allow signing with this role")
            }
            StatusCode::NOT_FOUND => error.hint("check `mount` and `namespace` in servers.toml"),
            StatusCode::SERVICE_UNAVAILABLE => {
                error.hint("try again later, or ask whoever runs the signer to unseal it")
            }
            _ => error.hint("have whoever runs the signer look at its role"),
        }
    }
}

impl Signer for Vault {
    fn authority(&self) -> Option<KeyData> {
        self.settings.user_ca.as_ref().map(|key| key.key_data().clone())
    }

    fn public_key(&self) -> Result<Option<KeyData>> {
        if let Some(key) = self.authority() {
            return Ok(Some(key));
        }
        let service = self.service();
        let path = format!("/v1/{}/public_key", self.settings.mount);
        let answer = service.fetch(&path, &[], self.headers(None)?)?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(&service, &answer));
        }
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let key = PublicKey::from_openssh(text.trim()).map_err(|_| service.odd())?;
        Ok(Some(key.key_data().clone()))
    }

    fn ready(&self) -> Result<()> {
        match self.credential()? {
            Some((_, mut body)) => wipe(&mut body),
            None => drop(self.token()?),
        }
        Ok(())
    }

    fn sign(&self, order: &Order<'_>) -> Result<String> {
        let service = self.service();
        let mut login = self.log_in(&service)?;
        let mut asked = self.ask(&service, &login, order, true);
        if asked.as_ref().is_ok_and(is_about_key_id) {
            if login.uses == Some(1) {
                login = self.log_in(&service)?;
            }
            asked = self.ask(&service, &login, order, false);
        }
        self.log_out(&service, &login);
        let answer = asked?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(&service, &answer));
        }
        signed(&answer.body).ok_or_else(|| service.odd())
    }
}

/// Whether the role lets nobody choose the certificate's key id. Vault has no code for this.
fn is_about_key_id(answer: &Answer) -> bool {
    let is_said = |words: &Vec<String>| words.iter().any(|words| words.contains("key_id"));
    answer.status == StatusCode::BAD_REQUEST && service::said(&answer.body).as_ref().is_some_and(is_said)
}

/// The certificate's line in the answer to a request for one.
pub fn signed(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Signed {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        signed_key: String,
    }
    parse::<Signed>(body).map(|answer| answer.data.signed_key)
}

/// The token in the answer to a login.
fn logged_in(body: &[u8]) -> Option<Login> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        auth: Token<'a>,
    }
    #[derive(Deserialize)]
    struct Token<'a> {
        #[serde(borrow)]
        client_token: Cow<'a, str>,
        #[serde(default)]
        num_uses: u64,
    }
    let Answer { auth } = parse(body)?;
    let token = Secret::parse(&auth.client_token, MAX_TOKEN).ok()?;
    Some(Login { token, uses: (auth.num_uses > 0).then_some(auth.num_uses), is_own: true })
}

/// Wipes the texts of a body that was sent.
fn wipe(body: &mut Value) {
    use zeroize::Zeroize as _;
    for value in body.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let Value::String(text) = value {
            text.zeroize();
        }
    }
}
