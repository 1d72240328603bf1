//! Signers that answer like the real ones (modelled on OpenBao 2.7 and step-ca 0.19), or as a test tells them to.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;
use ssh_key::public::KeyData;
use ssh_key::{PrivateKey, PublicKey};

use crate::fake_plane::{FakePlane, Request, respond};

/// What a signer is about to sign.
pub struct Plan {
    pub key: KeyData,
    pub kind: CertType,
    pub principals: Vec<String>,
    pub from: u64,
    pub to: u64,
    pub options: Vec<(String, String)>,
    pub extensions: Vec<(String, String)>,
    pub key_id: String,
    /// Whether another CA signs it.
    pub by_another: bool,
}

impl Plan {
    fn sign(&self, ca: &PrivateKey) -> ssh_key::Certificate {
        let mut builder = Builder::new(vec![7; 16], self.key.clone(), self.from, self.to).unwrap();
        builder.cert_type(self.kind).unwrap().key_id(&self.key_id).unwrap().serial(7).unwrap();
        for principal in &self.principals {
            builder.valid_principal(principal).unwrap();
        }
        if self.principals.is_empty() {
            builder.all_principals_valid().unwrap();
        }
        for (name, value) in &self.options {
            builder.critical_option(name, value).unwrap();
        }
        for (name, value) in &self.extensions {
            builder.extension(name, value).unwrap();
        }
        let other = other_key();
        builder.sign(if self.by_another { &other } else { ca }).unwrap()
    }
}

/// What a signer writes instead of an answer.
pub type Odd = Arc<dyn Fn(&mut TcpStream) + Send + Sync>;

/// What a signer's role or template does.
#[derive(Clone)]
pub struct Rules {
    /// The options that it uses if a caller asks for none.
    pub forced: Vec<(String, String)>,
    /// Whether callers may ask for options.
    pub takes_options: bool,
    /// Whether callers may choose the key id.
    pub takes_key_ids: bool,
    /// What it does to a certificate before it signs.
    pub change: fn(&mut Plan),
    /// How many times the token of a login works; 0 means any number of times.
    pub uses: u64,
    /// Replaces every answer to a request whose line contains this word.
    pub odd: Option<(&'static str, Odd)>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            forced: Vec::new(),
            takes_options: true,
            takes_key_ids: true,
            change: |_| {},
            uses: 1,
            odd: None,
        }
    }
}

/// A signer on a free port of 127.0.0.1, until dropped.
pub struct FakeSigner {
    plane: FakePlane,
    rules: Arc<Mutex<Rules>>,
}

impl FakeSigner {
    /// The SSH engine of a Vault, whose user has the token `s.token`.
    pub fn vault(ca: PrivateKey) -> FakeSigner {
        let uses = Mutex::new(0);
        FakeSigner::start(move |request, rules, stream| vault(&ca, &uses, request, rules, stream))
    }

    /// A step-ca, whose JWK provisioner `agents` has the key of `fixtures/provisioner.jwk`.
    pub fn step_ca(ca: PrivateKey) -> FakeSigner {
        let seen = Mutex::new(Vec::new());
        FakeSigner::start(move |request, rules, stream| step_ca(&ca, &seen, request, rules, stream))
    }

    fn start(answer: impl Fn(&Request, &Rules, &mut TcpStream) + Send + Sync + 'static) -> FakeSigner {
        let rules = Arc::new(Mutex::new(Rules::default()));
        let now = Arc::clone(&rules);
        let plane = FakePlane::start(move |request, stream| {
            let rules = now.lock().unwrap().clone();
            match &rules.odd {
                Some((word, odd)) if request.line.contains(word) => odd(stream),
                _ => answer(request, &rules, stream),
            }
        });
        FakeSigner { plane, rules }
    }

    /// Applies other rules from now on.
    pub fn set(&self, rules: Rules) {
        *self.rules.lock().unwrap() = rules;
    }

    /// Its base URL.
    pub fn base(&self) -> String {
        self.plane.base()
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.plane.seen()
    }
}

/// A key that no host trusts.
fn other_key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[9; 32]))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn answer(stream: &mut TcpStream, status: u16, body: &Value) {
    respond(stream, status, body.to_string().as_bytes());
}

fn body(request: &Request) -> Value {
    serde_json::from_str(request.text.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
}

fn texts(map: &Value) -> Vec<(String, String)> {
    let fields = map.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Seconds of a duration such as `120s`.
fn seconds(text: &Value) -> u64 {
    text.as_str().and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn vault(ca: &PrivateKey, used: &Mutex<u64>, request: &Request, rules: &Rules, stream: &mut TcpStream) {
    let mut refuse = |status: u16, why: &str| answer(stream, status, &json!({ "errors": [why] }));
    let body = body(request);
    let token = request.text.lines().find_map(|line| line.strip_prefix("x-vault-token: "));
    let (method, path) = request.line.split_once(' ').unwrap();
    let log_in = json!({ "auth": { "client_token": "s.login", "num_uses": rules.uses, "lease_duration": 60 }, "data": null });
    match (method, path) {
        ("POST", "/v1/auth/approle/login") => {
            if body != json!({ "role_id": "the-role", "secret_id": "the-secret" }) {
                return refuse(400, "invalid role or secret ID");
            }
            *used.lock().unwrap() = 0;
            answer(stream, 200, &log_in);
        }
        ("POST", "/v1/auth/jwt/login") => {
            if body != json!({ "role": "ci", "jwt": "a.job.token" }) {
                return refuse(400, "error validating token");
            }
            *used.lock().unwrap() = 0;
            answer(stream, 200, &log_in);
        }
        ("POST", "/v1/auth/token/revoke-self") => respond(stream, 204, b""),
        ("GET", "/v1/ssh/public_key") => {
            respond(stream, 200, format!("{}\n", ca.public_key().to_openssh().unwrap()).as_bytes());
        }
        ("POST", path) if path.starts_with("/v1/ssh/sign/") => {
            let mut used = used.lock().unwrap();
            match token {
                Some("s.token") => {}
                Some("s.login") if rules.uses == 0 || *used < rules.uses => *used += 1,
                _ => return refuse(403, "permission denied"),
            }
            if path.ends_with("/unknown") {
                return refuse(400, "unknown role: unknown");
            }
            if !body["key_id"].is_null() && !rules.takes_key_ids {
                return refuse(400, "setting key_id is not allowed by role");
            }
            let asked = texts(&body["critical_options"]);
            if !asked.is_empty() && !rules.takes_options {
                return refuse(400, "critical options not on allowed list: [force-command]");
            }
            let key = PublicKey::from_openssh(body["public_key"].as_str().unwrap()).unwrap();
            let mut plan = Plan {
                key: key.key_data().clone(),
                kind: CertType::User,
                principals: vec![body["valid_principals"].as_str().unwrap().to_owned()],
                from: now() - 30,
                to: now() + seconds(&body["ttl"]),
                // A map with any entry replaces the role's own; an empty one does not.
                options: if asked.is_empty() { rules.forced.clone() } else { asked },
                extensions: texts(&body["extensions"]),
                key_id: body["key_id"].as_str().unwrap_or("vault-token-x").to_owned(),
                by_another: false,
            };
            (rules.change)(&mut plan);
            let line = format!("{}\n", plan.sign(ca).to_openssh().unwrap());
            answer(
                stream,
                200,
                &json!({
                    "request_id": "x", "lease_id": "", "renewable": false, "lease_duration": 0, "wrap_info": null,
                    "data": { "serial_number": "7", "signed_key": line }, "warnings": null, "auth": null,
                }),
            );
        }
        _ => refuse(404, "no handler for route"),
    }
}

/// The file of a fixture.
fn fixture(name: &str) -> String {
    std::fs::read_to_string(crate::tls_front::fixture(name)).unwrap()
}

/// The SHA-256 of the fixture `tls_ca.pem`, in hexadecimal.
pub fn root_fingerprint() -> String {
    use sha2::Digest as _;
    let pem = fixture("tls_ca.pem");
    let text = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let digest = sha2::Sha256::digest(Base64::decode_vec(&text).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn step_ca(
    ca: &PrivateKey,
    seen: &Mutex<Vec<String>>,
    request: &Request,
    rules: &Rules,
    stream: &mut TcpStream,
) {
    let jwk: Value = serde_json::from_str(&fixture("provisioner.jwk")).unwrap();
    let kid = jwk["kid"].as_str().unwrap();
    let (method, path) = request.line.split_once(' ').unwrap();
    let path = path.split('?').next().unwrap();
    match (method, path) {
        ("GET", "/1.0/provisioners") if request.line.contains("cursor=second") => {
            let row = json!({ "type": "JWK", "name": "agents", "key": { "kid": kid, "kty": "EC" } });
            answer(stream, 200, &json!({ "provisioners": [row], "nextCursor": "" }));
        }
        ("GET", "/1.0/provisioners") => {
            let rows = json!([
                { "type": "SSHPOP", "name": "agents" },
                { "type": "JWK", "name": "others", "key": { "kid": "other" } },
            ]);
            answer(stream, 200, &json!({ "provisioners": rows, "nextCursor": "second" }));
        }
        ("GET", path) if path == format!("/1.0/provisioners/{kid}/encrypted-key") => {
            answer(stream, 200, &json!({ "key": fixture("provisioner.jwe").trim() }));
        }
        ("GET", "/1.0/ssh/roots") => {
            let key = Base64::encode_string(&ca.public_key().to_bytes().unwrap());
            answer(stream, 200, &json!({ "userKey": [key], "hostKey": [] }));
        }
        ("GET", path) if path == format!("/root/{}", root_fingerprint()) => {
            answer(stream, 200, &json!({ "ca": fixture("tls_ca.pem") }));
        }
        ("POST", "/1.0/ssh/sign") => {
            let body = body(request);
            let Some(claims) = verified(body["ott"].as_str().unwrap_or_default(), &jwk) else {
                return answer(
                    stream,
                    401,
                    &json!({ "status": 401, "message": "The request lacked necessary authorization to be completed." }),
                );
            };
            let is_new = {
                let (mut seen, id) = (seen.lock().unwrap(), claims["jti"].to_string());
                let is_new = !seen.contains(&id);
                seen.push(id);
                is_new
            };
            let principals = &claims["step"]["ssh"]["principals"];
            if !is_new || !principals.is_array() {
                return answer(
                    stream,
                    401,
                    &json!({ "status": 401, "message": "The request lacked authorization." }),
                );
            }
            if body["principals"] != *principals {
                return answer(
                    stream,
                    403,
                    &json!({ "status": 403, "message": "ssh certificate principals does not match" }),
                );
            }
            let key = Base64::decode_vec(body["publicKey"].as_str().unwrap()).unwrap();
            let data = &body["templateData"];
            let five = ["X11-forwarding", "agent-forwarding", "port-forwarding", "pty", "user-rc"];
            let defaults = five.map(|name| (format!("permit-{name}"), String::new())).to_vec();
            let mut plan = Plan {
                key: PublicKey::from_bytes(&key).unwrap().key_data().clone(),
                kind: CertType::User,
                principals: texts_of(principals),
                from: now() - 60,
                to: now() + seconds(&body["validBefore"]),
                options: if rules.takes_options { texts(&data["criticalOptions"]) } else { Vec::new() },
                extensions: if rules.takes_options { texts(&data["extensions"]) } else { defaults },
                key_id: claims["step"]["ssh"]["keyID"].as_str().unwrap_or_default().to_owned(),
                by_another: false,
            };
            (rules.change)(&mut plan);
            let crt = Base64::encode_string(&plan.sign(ca).to_bytes().unwrap());
            answer(stream, 201, &json!({ "crt": crt, "addUserCrt": null }));
        }
        _ => respond(stream, 404, b"404 page not found\n"),
    }
}

fn texts_of(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The claims of a token that the provisioner's key has signed, for this CA and this minute.
fn verified(token: &str, jwk: &Value) -> Option<Value> {
    use base64ct::Base64UrlUnpadded as Url;
    use p256::ecdsa::signature::Verifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};
    let decode = |text: &str| Url::decode_vec(text).ok();
    let (text, signature) = token.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    if header != json!({ "alg": "ES256", "kid": jwk["kid"], "typ": "JWT" }) {
        return None;
    }
    let point = [&[4][..], &decode(jwk["x"].as_str()?)?, &decode(jwk["y"].as_str()?)?].concat();
    let key = VerifyingKey::from_sec1_bytes(&point).ok()?;
    key.verify(text.as_bytes(), &Signature::from_slice(&decode(signature)?).ok()?).ok()?;
    let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
    let time = |name: &str| claims[name].as_u64();
    let is_now = time("nbf")? <= now() + 60 && time("exp")? + 60 > now();
    let is_for_us = claims["aud"].as_str()?.ends_with("/1.0/ssh/sign")
        && claims["aud"].as_str()?.contains("://127.0.0.1:");
    let is_from = claims["iss"] == "agents" && !claims["sub"].as_str()?.is_empty();
    (is_now && is_for_us && is_from).then_some(claims)
}
