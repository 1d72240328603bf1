//! Remote signers that are not what they should be: other certificates, odd answers, somebody else in their place.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::audit::records;
use super::certified::{SAID, calls, read};
use super::file;
use super::signers::{Case, TOKEN, answers, case, contains};
use crate::support::CommandOutput;
use crate::support::fake_plane::respond;
use crate::support::fake_signer::{FakeSigner, Odd, Plan, Rules, root_fingerprint};
use crate::support::tls_front::{TlsFront, fixture};

#[test]
fn a_signer_is_known_by_its_certificate() {
    let Some(mut case) = case(FakeSigner::step_ca) else { return };
    let front = TlsFront::before(&case.signer.base());
    let key = case.private("key.jwk", &read(&fixture("provisioner.jwk")));
    let authority = case.private("root.pem", &read(&fixture("tls_ca.pem")));
    let stranger = case.private("other.pem", &read(&fixture("tls_server.pem")));
    let fingerprint = root_fingerprint();
    let (base, key) = (front.base(), key.display().to_string());
    let (authority, stranger) = (authority.display().to_string(), stranger.display().to_string());
    let step = |case: &mut Case, lines: &str| {
        let text = format!(
            "kind = \"step-ca\"\nca_url = \"{base}\"\nprovisioner = \"agents\"\nkey = \"{key}\"\n{lines}"
        );
        case.name("", &text);
    };
    for right in [format!("root = \"{authority}\"\n"), format!("fingerprint = \"{fingerprint}\"\n")] {
        step(&mut case, &right);
        assert_eq!(case.says(&[]).succeeds().text(), SAID, "{right}");
    }
    let before = case.signer.seen().len();
    step(&mut case, &format!("root = \"{stranger}\"\n"));
    contains(&case.refuses(&[]), &["cannot be reached", "certificate"]);
    step(&mut case, "");
    contains(&case.refuses(&[]), &["cannot be reached", "certificate"]);
    assert_eq!(case.signer.seen().len(), before, "nothing was sent to who is not known");
    step(&mut case, &format!("fingerprint = \"{}\"\n", fingerprint.replace(['0', '1', '2'], "3")));
    contains(&case.refuses(&[]), &["no root certificate with the fingerprint"]);
    // Whoever answers with a certificate that does not match the fingerprint gets no token.
    let other = json!({ "ca": read(&fixture("tls_server.pem")) }).to_string();
    let odd: Odd = Arc::new(move |stream| respond(stream, 200, other.as_bytes()));
    case.signer.set(Rules { odd: Some(("/root/", odd)), ..Rules::default() });
    step(&mut case, &format!("fingerprint = \"{fingerprint}\"\n"));
    contains(&case.refuses(&[]), &["no root certificate with the fingerprint"]);
    assert!(!case.signer.seen()[before..].iter().any(|it| it.line.contains("sign")));
}

type Wrong = (&'static str, fn(&mut Plan));

/// Every kind of certificate that is not what was asked for.
const WRONG: [Wrong; 13] = [
    ("another key", |it| {
        it.key = ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[3; 32]))
            .public_key()
            .key_data()
            .clone()
    }),
    ("a host's", |it| it.kind = ssh_key::certificate::CertType::Host),
    ("another principal", |it| it.principals = vec!["nobody".to_owned()]),
    ("one more principal", |it| it.principals.push("nobody".to_owned())),
    ("any principal", |it| it.principals.clear()),
    ("not yet valid", |it| it.from += 200),
    ("too long", |it| it.to += 3600),
    ("no force", |it| it.options.clear()),
    ("an empty force", |it| it.options[0].1.clear()),
    ("another force", |it| it.options[0].1.push('\n')),
    ("one more option", |it| it.options.push(("source-address".to_owned(), "0.0.0.0/0".to_owned()))),
    ("an extension", |it| it.extensions.push(("permit-pty".to_owned(), String::new()))),
    ("another authority", |it| it.by_another = true),
];

#[test]
fn a_wrong_certificate_connects_nowhere() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    let public = read(&file(&case.world).with_file_name("ca.pub")).trim_end().to_owned();
    case.vault(&format!("role = \"agent\"\nuser_ca = \"{public}\"\n"));
    assert_eq!(case.says(&[TOKEN]).succeeds().text(), SAID);
    for (_, change) in WRONG {
        case.signer.set(Rules { change, ..Rules::default() });
        contains(&case.refuses(&[TOKEN]), &["the signer's certificate ", "nothing was connected to"]);
    }
    drop(case);
    let Some(mut case) = self::case(FakeSigner::step_ca) else { return };
    let key = case.private("key.jwk", &read(&fixture("provisioner.jwk")));
    case.step_ca(&format!("key = \"{}\"\nuser_ca = \"{public}\"\n", key.display()));
    for (_, change) in WRONG {
        case.signer.set(Rules { change, ..Rules::default() });
        contains(&case.refuses(&[]), &["the signer's certificate ", "nothing was connected to"]);
    }
}

#[test]
fn a_signers_odd_answers_are_told() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    case.vault("role = \"agent\"\n");
    let odd = |answer| Rules { odd: Some(("sign", answer)), ..Rules::default() };
    for (status, body, part) in [
        (400, "{\"errors\":[\"unknown role: x\\u001b[2J\"]}", "unknown role: x\u{fffd}[2J"),
        (404, "{\"errors\":[]}", "answers 404"),
        (503, "{\"errors\":[\"Vault is sealed\"]}", "Vault is sealed"),
        (500, "<html>", "answers 500"),
        (200, "", "does not follow its protocol"),
        (200, "<html>", "does not follow its protocol"),
        (200, "[]", "does not follow its protocol"),
        (200, "{\"data\":null}", "does not follow its protocol"),
        (200, "{\"data\":{\"signed_key\":7}}", "does not follow its protocol"),
        (200, "{\"data\":{\"signed_key\":\"ssh-ed25519 AAAA\"}}", "is not a certificate"),
        (200, "{\"data\":{\"signed_key\":\"a\\nb\"}}", "is not one line"),
        (201, "{\"data\":{\"signed_key\":\"\"}}", "answers 201"),
    ] {
        case.signer.set(odd(answers(status, body)));
        contains(&case.refuses(&[TOKEN]), &[part]);
    }
    let piece = |head: &'static str, body: &'static str, count: usize| -> Odd {
        Arc::new(move |stream| {
            let _ = stream.write_all(head.as_bytes());
            for _ in 0..count {
                let _ = stream.write_all(body.as_bytes());
            }
        })
    };
    for (answer, part) in [
        (
            piece("HTTP/1.1 307 X\r\nLocation: http://127.0.0.2:9/x\r\nContent-Length: 0\r\n\r\n", "", 0),
            "redirects to",
        ),
        (
            piece("HTTP/1.1 307 X\r\nLocation: /v1/ssh/sign/other\r\nContent-Length: 0\r\n\r\n", "", 0),
            "redirects",
        ),
        (
            piece("HTTP/1.1 200 X\r\nContent-Length: 9999999\r\n\r\n", "0123456789abcdef", 5000),
            "larger than 64 KiB",
        ),
        (piece("HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n", "{", 1), "broke off"),
        (piece("", "", 0), "cannot be reached"),
        (piece("junk\r\n\r\n", "", 0), "cannot be reached"),
    ] {
        case.signer.set(odd(answer));
        contains(&case.refuses(&[TOKEN]), &[part]);
    }
    let lines = case.signer.seen().into_iter().map(|it| it.line).collect::<Vec<_>>();
    assert!(lines.iter().all(|line| line == "POST /v1/ssh/sign/agent"), "{lines:?}");
    // One that trickles for ever ends with the deadline.
    let drip: Odd = Arc::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 60000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    case.signer.set(odd(drip));
    let since = Instant::now();
    contains(&case.refuses(&[TOKEN]), &["did not answer within 20 s"]);
    assert!(since.elapsed().as_secs() < 30);
    drop(std::mem::replace(
        &mut case.signer,
        FakeSigner::vault(ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[1; 32]))),
    ));
    contains(&case.refuses(&[TOKEN]), &["cannot be reached"]);
}

/// No secret of a signer's is in an argument list, a log, or a file; nor is it sent where a project points to.
#[test]
fn a_signers_credentials_stay_secret() {
    let Some(mut case) = case(FakeSigner::vault) else { return };
    case.vault("role = \"agent\"\n");
    let token = ("VAULT_TOKEN", "s.token");
    let said = case.with(&[token], &["run", "prod", "--profile", "say", "-v"]);
    assert!(!format!("{} {}", said.text(), said.stderr).contains("s.token"));
    assert!(!calls(&case.world).contains("s.token"));
    let mut folders = vec![case.world.home().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => {
                    assert!(!read(&entry.path()).contains("s.token"), "{:?}", entry.path())
                }
                _ => {}
            }
        }
    }
    // Nor is it repeated where the signer repeats it.
    let body = "{\"errors\":[\"permission denied for s.tok\\u200ben and s.token\"]}";
    case.signer.set(Rules { odd: Some(("sign", answers(403, body))), ..Rules::default() });
    let said = case.refuses(&[token]);
    contains(&said, &["permission denied for ", " and [credential]"]);
    let log = format!("{said} {:?}", records(&case.world).last().unwrap());
    assert_eq!((log.matches("[credential]").count() >= 2, log.contains("s.token")), (true, false), "{log}");
    case.signer.set(Rules::default());
    let project = case.world.home().join("project");
    std::fs::create_dir_all(project.join(".git")).unwrap();
    let servers = project.join("servers.toml");
    std::fs::copy(file(&case.world), &servers).unwrap();
    std::fs::copy(file(&case.world).with_file_name("ca"), project.join("ca")).unwrap();
    let before = case.signer.seen().len();
    let run = |folder: &std::path::Path, arguments: &[&str]| {
        let mut command = case.world.command(arguments);
        command.env(token.0, token.1).env("RUNCODE_SERVERS", &servers).current_dir(folder);
        CommandOutput::of(command.output().unwrap())
    };
    let said = run(&project, &["run", "prod", "--profile", "say", "--json"]).ends_with(255).json();
    assert_eq!(said["error"], "bad_config", "{said}");
    contains(&said, &["must not choose where credentials go"]);
    let plan = run(&project, &["run", "prod", "--profile", "say", "--plan", "--json"]).succeeds().json();
    assert_eq!(plan["would_run"], false);
    run(&project, &["servers", "check", "prod", "--json"]).ends_with(2);
    assert_eq!(case.signer.seen().len(), before, "nobody was asked");
    assert_eq!(
        run(&case.world.home().join("work"), &["run", "prod", "--profile", "say"]).succeeds().text(),
        SAID
    );
}
