//! Remote signers: stand-ins that answer like Vault and step-ca, with a real sshd that trusts their CA.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::certified::{SAID, calls, certified, left, read, servers};
use super::{file, write};
use crate::support::fake_plane::{Request, respond};
use crate::support::fake_signer::{FakeSigner, Odd, Rules, root_fingerprint};
use crate::support::tls_front::{TlsFront, fixture};
use crate::support::{CommandOutput, World};

/// The user's token, in the stand-in for Vault.
pub(super) const TOKEN: (&str, &str) = ("VAULT_TOKEN", "s.token");

/// A world whose sshd trusts the CA that a stand-in signs with.
pub(super) struct Case {
    pub(super) world: World,
    pub(super) signer: FakeSigner,
}

pub(super) fn case(start: fn(ssh_key::PrivateKey) -> FakeSigner) -> Option<Case> {
    let world = certified("")?;
    let ca = ssh_key::PrivateKey::from_openssh(read(&file(&world).with_file_name("ca"))).unwrap();
    // The system knows another home, so here the user's own file would count as the project's.
    std::fs::create_dir(world.home().join("work")).unwrap();
    Some(Case { world, signer: start(ca) })
}

impl Case {
    /// Names this signer in servers.toml.
    pub(super) fn name(&mut self, more: &str, signer: &str) {
        let text = servers(&mut self.world, more, signer);
        write(&self.world, &text);
    }

    pub(super) fn vault(&mut self, lines: &str) {
        let base = self.signer.base();
        self.name("", &format!("kind = \"vault\"\nurl = \"{base}\"\n{lines}"));
    }

    pub(super) fn step_ca(&mut self, lines: &str) {
        let base = self.signer.base();
        self.name("", &format!("kind = \"step-ca\"\nca_url = \"{base}\"\nprovisioner = \"agents\"\n{lines}"));
    }

    pub(super) fn with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> CommandOutput {
        let mut command = self.world.command(arguments);
        command.envs(variables.iter().copied()).current_dir(self.world.home().join("work"));
        CommandOutput::of(command.output().unwrap())
    }

    pub(super) fn says(&self, variables: &[(&str, &str)]) -> CommandOutput {
        self.with(variables, &["run", "prod", "--profile", "say", "--json"])
    }

    /// Runs the profile, which fails because of the signer. Returns what runcode says.
    pub(super) fn refuses(&self, variables: &[(&str, &str)]) -> Value {
        let before = calls(&self.world);
        let said = self.says(variables).ends_with(255).json();
        assert_eq!(said["error"], "signer_failed", "{said}");
        assert_eq!((calls(&self.world), left(&self.world).len()), (before, 0), "{said}");
        said
    }

    pub(super) fn private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.world.home().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A keychain that contains only this secret, for the account `there`.
    pub(super) fn keychain(&self, secret: &str) -> String {
        let text =
            format!("#!/bin/sh\n[ \"$*\" = 'lookup service runcode account there' ] && echo '{secret}'\n");
        let path = self.private("keychain", &text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path.display().to_string()
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn asked(request: &Request) -> Value {
    serde_json::from_str(request.text.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
}

pub(super) fn answers(status: u16, body: &'static str) -> Odd {
    Arc::new(move |stream| respond(stream, status, body.as_bytes()))
}

pub(super) fn contains(said: &Value, parts: &[&str]) {
    for part in parts {
        assert!(said.to_string().contains(part), "{part}: {said}");
    }
}

#[test]
fn vault_signs_for_one_command() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    case.vault("role = \"agent-{server}-{profile}\"\nnamespace = \"team/a\"\n");
    assert_eq!(case.says(&[TOKEN]).succeeds().text(), SAID);
    let seen = case.signer.seen();
    let [request] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(request.line, "POST /v1/ssh/sign/agent-prod-say");
    assert_eq!(
        ["x-vault-token", "x-vault-request", "x-vault-namespace"].map(|name| header(request, name)),
        [Some("s.token"), Some("true"), Some("team/a")]
    );
    let body = asked(request);
    assert_eq!(
        (&body["ttl"], &body["cert_type"], &body["extensions"]),
        (&json!("300s"), &json!("user"), &json!({}))
    );
    assert!(body["key_id"].as_str().unwrap().starts_with("runcode:prod:say:"), "{body}");
    assert!(body["critical_options"]["force-command"].as_str().unwrap().starts_with("exec sh -c"), "{body}");
    // The token is found in each of its places, in this order.
    assert_eq!(case.says(&[("BAO_TOKEN", "s.token")]).succeeds().text(), SAID);
    contains(
        &case.refuses(&[("VAULT_TOKEN", "wrong"), ("BAO_TOKEN", "s.token")]),
        &["permission denied", "spent"],
    );
    contains(&case.refuses(&[]), &["no token", "VAULT_TOKEN"]);
    let path = case.private(".vault-token", "s.token\n");
    assert_eq!(case.says(&[]).succeeds().text(), SAID);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(case.says(&[]).ends_with(255).json()["error"], "bad_config");
    // Whoever may ask may also ask for more.
    for arguments in
        [&["run", "prod", "--profile", "say", "--plan", "--json"][..], &["servers", "list", "--json"]]
    {
        let said = case.with(&[], arguments).succeeds().json();
        assert_eq!(said.get("enforced").unwrap_or(&said[0]["enforced"]), "key", "{said}");
    }
    let said = case.with(&[], &["servers", "ca", "--json"]).succeeds().json();
    let key = read(&file(&case.world).with_file_name("ca.pub"));
    assert!(key.starts_with(said["public_key"].as_str().unwrap()), "{said}");
}

#[test]
fn a_key_id_that_is_not_allowed_is_left_out() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    case.vault("role = \"agent\"\n");
    case.signer.set(Rules { takes_key_ids: false, ..Rules::default() });
    assert_eq!(case.says(&[TOKEN]).succeeds().text(), SAID);
    let named = case.signer.seen().iter().map(|it| asked(it)["key_id"].is_string()).collect::<Vec<_>>();
    assert_eq!(named, [true, false]);
    let log = case.with(&[], &["audit", "list", "--json"]).succeeds().json();
    contains(&log, &["\"key_id\":\"vault-token-x\""]);
}

/// A role that forces the command, asked for nothing: what else may it have signed?
#[test]
fn an_expected_certificate_binds_the_caller() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    case.vault("role = \"{server}-{profile}\"\noptions = \"expect\"\n");
    let forced = case.with(&[], &["servers", "ca", "--forced", "prod", "say"]).succeeds();
    let forced = forced.text().trim_end().to_owned();
    let rules = Rules {
        forced: vec![("force-command".to_owned(), forced.clone())],
        takes_options: false,
        ..Rules::default()
    };
    case.signer.set(rules.clone());
    assert_eq!(case.says(&[TOKEN]).succeeds().text(), SAID);
    let body = asked(case.signer.seen().last().unwrap());
    assert!(body["critical_options"].is_null() && body["extensions"].is_null(), "{body}");
    // A role for another command, one that forces nothing, and one that forces more.
    for forced in [
        vec![],
        vec![("force-command".to_owned(), forced.replace("ran", "run"))],
        vec![
            ("force-command".to_owned(), forced.clone()),
            ("source-address".to_owned(), "10.0.0.0/8".to_owned()),
        ],
    ] {
        case.signer.set(Rules { forced, ..rules.clone() });
        contains(&case.refuses(&[TOKEN]), &["the signer's certificate "]);
    }
    case.signer.set(rules);
    let said = case.with(&[], &["run", "prod", "--profile", "say", "--arg", "word=x", "--json"]);
    // The role cannot know this value: nothing is asked for, and the plan says so.
    contains(&said.ends_with(255).json(), &["\"unavailable\"", "the argument `word`"]);
    let plan = ["run", "prod", "--profile", "say", "--arg", "word=x", "--plan", "--json"];
    assert_eq!(case.with(&[], &plan).succeeds().json()["would_run"], false);
    for arguments in
        [&["run", "prod", "--profile", "say", "--plan", "--json"][..], &["servers", "list", "--json"]]
    {
        let said = case.with(&[], arguments).succeeds().json();
        assert_eq!(said.get("enforced").unwrap_or(&said[0]["enforced"]), "caller", "{said}");
    }
    let said = case.with(&[], &["run", "prod", "--profile", "say", "--plan"]).succeeds();
    assert!(said.text().contains("enforced:  caller: "), "{}", said.text());
    contains(&case.with(&[], &["audit", "list", "--json"]).succeeds().json(), &["\"enforced\":\"caller\""]);
}

#[test]
fn vault_is_logged_in_to_as_a_machine() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    let keychain = case.keychain("the-secret");
    let keychain = ("RUNCODE_TEST_KEYCHAIN", keychain.as_str());
    let approle = "role = \"agent\"\nauth = \"approle\"\nrole_id = \"the-role\"\nsecret_id_ref = \"os_keychain:runcode:there\"\n";
    let lines = |case: &Case| case.signer.seen().into_iter().map(|it| it.line).collect::<Vec<_>>();
    case.vault(approle);
    assert_eq!(case.says(&[keychain]).succeeds().text(), SAID);
    assert_eq!(lines(&case), ["POST /v1/auth/approle/login", "POST /v1/ssh/sign/agent"]);
    // One use is not enough for a role that chooses the key id itself; a token that would live on is revoked.
    case.signer.set(Rules { takes_key_ids: false, ..Rules::default() });
    assert_eq!(case.says(&[keychain]).succeeds().text(), SAID);
    case.signer.set(Rules { uses: 0, ..Rules::default() });
    assert_eq!(case.says(&[keychain]).succeeds().text(), SAID);
    let revoked = case.signer.seen().pop().unwrap();
    assert_eq!(
        (revoked.line.as_str(), header(&revoked, "x-vault-token")),
        ("POST /v1/auth/token/revoke-self", Some("s.login"))
    );
    case.vault(&approle.replace("there", "nowhere"));
    contains(&case.refuses(&[keychain]), &["nowhere", "does not exist, or the keychain is locked"]);
    contains(
        &case.with(&[keychain], &["servers", "check", "--json"]).succeeds().json()["warnings"],
        &["nowhere"],
    );
    case.vault(&approle.replace("the-role", "another"));
    contains(&case.refuses(&[keychain]), &["invalid role or secret ID"]);
    case.vault("role = \"agent\"\nauth = \"jwt\"\njwt_role = \"ci\"\njwt_env = \"JOB_TOKEN\"\n");
    assert_eq!(case.says(&[("JOB_TOKEN", "a.job.token")]).succeeds().text(), SAID);
    contains(&case.refuses(&[]), &["JOB_TOKEN", "is not set"]);
    contains(&case.refuses(&[("JOB_TOKEN", "another")]), &["error validating token"]);
    contains(&case.refuses(&[("JOB_TOKEN", "not one\nword")]), &["JOB_TOKEN", "invalid character"]);
}

#[test]
fn step_ca_signs_for_one_command() {
    let Some(mut case) = case(FakeSigner::step_ca) else { return };
    let key = case.private("key.jwk", &read(&fixture("provisioner.jwk")));
    case.step_ca(&format!("subject = \"agents@here\"\nkey = \"{}\"\n", key.display()));
    for _ in 0..2 {
        assert_eq!(case.says(&[]).succeeds().text(), SAID);
    }
    let body = asked(case.signer.seen().last().unwrap());
    assert_eq!((&body["certType"], &body["validBefore"]), (&json!("user"), &json!("300s")));
    assert!(body["templateData"]["criticalOptions"]["force-command"].is_string(), "{body}");
    let said = case.with(&[], &["run", "prod", "--profile", "say", "--plan", "--json"]).succeeds().json();
    assert_eq!(said["enforced"], "key");
    contains(
        &case.with(&[], &["audit", "list", "--json"]).succeeds().json(),
        &["\"key_id\":\"runcode:prod:say:"],
    );
    let said = case.with(&[], &["servers", "ca", "--json"]).succeeds().json();
    let public = read(&file(&case.world).with_file_name("ca.pub"));
    assert!(public.starts_with(said["public_key"].as_str().unwrap()), "{said}");
    // The key's own name is the same as the one that it gets if it has none.
    let text = read(&key);
    let (before, rest) = text.split_once("\"kid\":\"").unwrap();
    case.private("key.jwk", &format!("{before}{}", rest.split_once("\",").unwrap().1));
    assert_eq!(case.says(&[]).succeeds().text(), SAID);
    // A template that ignores what it is given is the default.
    case.signer.set(Rules { takes_options: false, ..Rules::default() });
    contains(&case.refuses(&[]), &["does not force exactly what was asked for", "template"]);
    // Somebody else's token works once.
    case.signer.set(Rules::default());
    let token = body["ott"].as_str().unwrap();
    case.step_ca("token_env = \"STEP_TOKEN\"\n");
    contains(&case.refuses(&[("STEP_TOKEN", token)]), &["lacked", "log says why"]);
    contains(&case.refuses(&[]), &["STEP_TOKEN", "is not set"]);
    // What is not a key of the provisioner's.
    for (text, part) in [
        (text.replace("\"P-256\"", "\"P-384\""), "is not a P-256 key"),
        (text.replace("\"d\":", "\"e\":"), "is not a private key"),
        (read(&fixture("provisioner.jwe")), "is not a private key"),
    ] {
        let path = case.private("key.jwk", &text);
        case.step_ca(&format!("key = \"{}\"\n", path.display()));
        contains(&case.refuses(&[]), &[part]);
    }
    case.step_ca("");
    contains(&case.refuses(&[]), &["names no credential"]);
    contains(
        &case.with(&[], &["servers", "check", "--json"]).succeeds().json()["warnings"],
        &["names no credential"],
    );
}

#[test]
fn step_ca_keeps_the_key_under_a_password() {
    let Some(mut case) = case(FakeSigner::step_ca) else { return };
    let keychain = case.keychain("step password");
    let keychain = ("RUNCODE_TEST_KEYCHAIN", keychain.as_str());
    let password = "password_ref = \"os_keychain:runcode:there\"\n";
    case.step_ca(password);
    assert_eq!(case.says(&[keychain]).succeeds().text(), SAID);
    let other = case.keychain("another password");
    contains(&case.refuses(&[("RUNCODE_TEST_KEYCHAIN", &other)]), &["cannot be decrypted with the password"]);
    case.keychain("step password");
    // If hashing the password would take too long, it is not started.
    case.signer.set(Rules { odd: Some(("encrypted-key", answers(200, SLOW))), ..Rules::default() });
    contains(&case.refuses(&[keychain]), &["more than 1,000,000 times"]);
    for odd in ["{}", "{\"key\":\"a.b.c\"}", "{\"key\":\"....\"}", "[\"x\"]"] {
        case.signer.set(Rules { odd: Some(("encrypted-key", answers(200, odd))), ..Rules::default() });
        case.refuses(&[keychain]);
    }
    case.signer.set(Rules { odd: Some(("encrypted-key", answers(404, "{}"))), ..Rules::default() });
    contains(&case.refuses(&[keychain]), &["no encrypted key"]);
    // A list that never ends is given up.
    let endless = answers(200, "{\"provisioners\":[],\"nextCursor\":\"more\"}");
    case.signer.set(Rules { odd: Some(("/1.0/provisioners", endless)), ..Rules::default() });
    contains(&case.refuses(&[keychain]), &["no JWK provisioner `agents`"]);
}

/// The header says 1,000,001 iterations.
const SLOW: &str = "{\"key\":\"eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJlbmMiOiJBMjU2R0NNIiwicDJjIjoxMDAwMDAxLCJwMnMiOiJBQUFBIn0.AA.AA.AA.AA\"}";

#[test]
fn check_tries_a_remote_signer() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    case.vault("role = \"agent\"\n");
    let said = case.with(&[TOKEN], &["servers", "check", "prod"]).succeeds();
    assert!(said.text().contains("it lets you in"), "{}", said.text());
    let warnings = case.with(&[], &["servers", "check", "--json"]).succeeds().json()["warnings"].clone();
    contains(&warnings, &["there is no token for the signer"]);
}

/// The guide's signers, with the roles that its operator makes, as the stand-ins understand them.
#[test]
fn the_guides_signers_sign() {
    let blocks = |kind| crate::guides::texts("guides/named-servers.md", kind);
    let (signers, operators) = (blocks("toml"), blocks("sh vault"));
    let signers = signers.into_iter().filter(|block| block.starts_with("[signers.")).collect::<Vec<_>>();
    let [asks, expects, step] = &signers[..] else { panic!("{signers:?}") };
    let Some(mut vault) = case(FakeSigner::vault) else { return };
    let lines = |block: &str, base: &str| {
        let lines = block.strip_prefix("[signers.ca]\n").unwrap();
        lines
            .replace("https://vault.example:8200", base)
            .replace("https://ca.example", base)
            .replace("2f0c…", &root_fingerprint())
    };
    // What the operator's program is told about a role; the stand-in then does that.
    let work = vault.world.home().join("work");
    std::fs::write(work.join("bao"), "#!/bin/sh\n[ \"$1 $3\" != 'write -' ] || cat >\"${2##*/}.json\"\n")
        .unwrap();
    std::fs::set_permissions(work.join("bao"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let role = |case: &Case, script: &str, name: &str| {
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_runcode")).parent().unwrap();
        let path = format!("{}:{}:{}", work.display(), bin.display(), std::env::var("PATH").unwrap());
        let mut shell = std::process::Command::new("sh");
        let variables = case.world.command::<&str>(&[]);
        let variables =
            variables.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        shell.args(["-e", "-c", &script.replace("web1", "prod").replace("disk", "say")]).current_dir(&work);
        shell.env_clear().envs(variables).env("PATH", path);
        CommandOutput::of(shell.output().unwrap()).succeeds();
        let role: Value = serde_json::from_str(&read(&work.join(format!("{name}.json")))).unwrap();
        assert_eq!((&role["default_extensions"], &role["allowed_extensions"]), (&json!({}), &json!("none")));
        let options = role["default_critical_options"].as_object().into_iter().flatten();
        Rules {
            forced: options.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
            takes_options: role["allowed_critical_options"] == "force-command,source-address",
            takes_key_ids: role["allow_user_key_ids"] == true,
            ..Rules::default()
        }
    };
    for (block, script, name) in [(asks, &operators[0], "prod"), (expects, &operators[1], "prod-say")] {
        let base = vault.signer.base();
        vault.name("", &lines(block, &base).replace("\"web1\"", "\"prod\""));
        vault.signer.set(role(&vault, script, name));
        assert_eq!(vault.says(&[TOKEN]).succeeds().text(), SAID, "{block}");
        assert_eq!(vault.signer.seen().last().unwrap().line, format!("POST /v1/ssh/sign/{name}"));
    }
    let Some(mut case) = case(FakeSigner::step_ca) else { return };
    let (front, keychain) = (TlsFront::before(&case.signer.base()), case.keychain("step password"));
    let text = read(&PathBuf::from(&keychain)).replace("account there", "account step-ca");
    std::fs::write(&keychain, text).unwrap();
    case.name("", &lines(step, &front.base()));
    assert_eq!(case.says(&[("RUNCODE_TEST_KEYCHAIN", &keychain)]).succeeds().text(), SAID);
}
