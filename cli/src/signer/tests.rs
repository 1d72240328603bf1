#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

#[cfg(unix)]
use ssh_key::LineEnding;
use ssh_key::PrivateKey;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;

use super::*;

const NOW: u64 = 1_800_000_000;
const FORCED: &str = "exec sh -c x runcode 'df -h'";

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn order(key: &KeyData) -> Order<'_> {
    Order {
        server: "prod",
        profile: "disk",
        key,
        principal: "deploy",
        ttl: 120,
        key_id: "runcode:prod:disk",
        force_command: FORCED,
        extensions: &[],
        source_address: "10.0.0.0/8",
        now: NOW,
    }
}

/// Answers with this, whatever it is asked.
struct Fake(KeyData, String);

impl Signer for Fake {
    fn authority(&self) -> Option<KeyData> {
        Some(self.0.clone())
    }

    fn sign(&self, _: &Order<'_>) -> Result<String> {
        Ok(self.1.clone())
    }
}

/// A certificate by `ca`, of which `change` makes another one.
struct Plan {
    key: KeyData,
    principals: Vec<&'static str>,
    kind: CertType,
    from: u64,
    to: u64,
    options: Vec<(&'static str, &'static str)>,
    extensions: Vec<(&'static str, &'static str)>,
}

fn answer(ca: &PrivateKey, change: impl FnOnce(&mut Plan)) -> String {
    let mut plan = Plan {
        key: key(1).public_key().key_data().clone(),
        principals: vec!["deploy"],
        kind: CertType::User,
        from: NOW - 60,
        to: NOW + 120,
        options: vec![("force-command", FORCED), ("source-address", "10.0.0.0/8")],
        extensions: Vec::new(),
    };
    change(&mut plan);
    let mut builder = Builder::new(vec![7; 16], plan.key, plan.from, plan.to).unwrap();
    builder.cert_type(plan.kind).unwrap();
    match &plan.principals[..] {
        [] => {
            builder.all_principals_valid().unwrap();
        }
        all => all.iter().for_each(|it| {
            builder.valid_principal(*it).unwrap();
        }),
    }
    for (name, value) in plan.options {
        builder.critical_option(name, value).unwrap();
    }
    for (name, value) in plan.extensions {
        builder.extension(name, value).unwrap();
    }
    builder.sign(ca).unwrap().to_openssh().unwrap()
}

/// A session's certificate forces nothing, and permits exactly what was asked for.
#[test]
fn a_sessions_answer_permits_no_more() {
    let (subject, ca) = (key(1).public_key().key_data().clone(), key(2));
    let trusted = ca.public_key().key_data().clone();
    let session = Order { force_command: "", extensions: &["permit-pty"], ..order(&subject) };
    let is_taken = |change: fn(&mut Plan)| {
        let text = answer(&ca, |it| {
            it.options.retain(|(name, _)| *name != "force-command");
            it.extensions.push(("permit-pty", ""));
            change(it);
        });
        certificate(&Fake(trusted.clone(), text), &session, &|| NOW).is_ok()
    };
    assert!(is_taken(|_| {}));
    type Change = fn(&mut Plan);
    let changed: [(&str, Change); 6] = [
        ("no terminal", |it| it.extensions.clear()),
        ("forwarding", |it| it.extensions.push(("permit-port-forwarding", ""))),
        ("the agent", |it| it.extensions.push(("permit-agent-forwarding", ""))),
        ("a force", |it| it.options.push(("force-command", FORCED))),
        ("no source", |it| it.options.clear()),
        ("too long", |it| it.to = NOW + 3600),
    ];
    for (what, change) in changed {
        assert!(!is_taken(change), "{what}");
    }
}

/// Every kind of answer that is not what was asked for: each is refused, and nothing else is done with it.
#[test]
fn a_wrong_answer_is_refused() {
    let (subject, ca) = (key(1).public_key().key_data().clone(), key(2));
    let trusted = ca.public_key().key_data().clone();
    let outcome = |text: String| certificate(&Fake(trusted.clone(), text), &order(&subject), &|| NOW);
    let right = answer(&ca, |_| {});
    assert!(outcome(right.clone()).is_ok() && outcome(format!("{right} a comment\n")).is_ok());
    type Change = fn(&mut Plan);
    let changed: [(&str, Change); 19] = [
        ("a host's", |it| it.kind = CertType::Host),
        ("another key", |it| it.key = key(3).public_key().key_data().clone()),
        ("another principal", |it| it.principals = vec!["root"]),
        ("one more principal", |it| it.principals.push("root")),
        ("any principal", |it| it.principals.clear()),
        ("not yet valid", |it| it.from = NOW + 100),
        ("over", |it| it.to = NOW - 1),
        ("too long", |it| it.to = NOW + 3600),
        ("for ever", |it| it.to = i64::MAX.unsigned_abs()),
        ("no force", |it| it.options.retain(|(name, _)| *name != "force-command")),
        ("an empty force", |it| it.options[0].1 = ""),
        ("another force", |it| it.options[0].1 = "exec sh -c x runcode 'df -h '"),
        ("a longer force", |it| it.options[0].1 = "exec sh -c x runcode 'df -h'\nid"),
        ("no source", |it| it.options.truncate(1)),
        ("another source", |it| it.options[1].1 = "0.0.0.0/0"),
        ("one more option", |it| it.options.push(("verify-required", ""))),
        ("a terminal", |it| it.extensions.push(("permit-pty", ""))),
        ("forwarding", |it| it.extensions.push(("permit-port-forwarding", ""))),
        ("an extension nobody knows", |it| it.extensions.push(("x@example.com", "y"))),
    ];
    let mut wrong = changed.map(|(what, change)| (what, answer(&ca, change))).to_vec();
    wrong.push(("another authority", answer(&key(4), |_| {})));
    wrong.push(("two lines", format!("{right}\n{right}")));
    wrong.push(("no certificate", key(1).public_key().to_openssh().unwrap()));
    wrong.push(("nothing", String::new()));
    wrong.push(("a control character", format!("{right}\u{1b}[2J")));
    // A signature of another certificate's.
    let (other, parts) = (answer(&ca, |it| it.principals = vec!["root"]), |text: &str| {
        text.split(' ').nth(1).unwrap().to_owned()
    });
    let (right_blob, other_blob) = (parts(&right), parts(&other));
    let cut = right_blob.len() - 80;
    wrong.push((
        "not signed",
        right
            .replace(&right_blob, &format!("{}{}", &right_blob[..cut], &other_blob[other_blob.len() - 80..])),
    ));
    for (what, text) in wrong {
        let error = outcome(text).expect_err(what);
        assert_eq!(error.code(), Code::SignerFailed, "{what}: {error}");
    }
}

/// Whoever confirms a signature may take longer than the certificate serves.
#[test]
fn a_late_certificate_is_judged_when_it_comes() {
    let (subject, ca) = (key(1).public_key().key_data().clone(), key(2));
    let answered = Fake(ca.public_key().key_data().clone(), answer(&ca, |_| {}));
    let after = |seconds: u64| certificate(&answered, &order(&subject), &|| NOW + seconds);
    assert!(after(0).is_ok() && after(119).is_ok());
    assert_eq!(after(120).unwrap_err().code(), Code::SignerFailed);
}

/// What this version cannot use enforces nothing.
#[test]
fn an_unsupported_signer_enforces_nothing() {
    assert_eq!(Spec::Unsupported("vault").enforced(), Enforced::None);
}

#[cfg(unix)]
#[test]
fn a_key_file_signs_what_is_asked() {
    use crate::sys::platform::set_mode;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca");
    let (subject, ca) = (key(1).public_key().key_data().clone(), key(2));
    std::fs::write(&path, ca.to_openssh(LineEnding::LF).unwrap()).unwrap();
    set_mode(&path, 0o600).unwrap();
    let spec = Spec::CaKey { key: path.clone(), owner: Owner::User };
    let env = Env::fixed::<&str>([]);
    let long = format!("runcode:{}", "é".repeat(300));
    let order = Order { key_id: &long, ..order(&subject) };
    let certificate = certificate(&*spec.open(&env).unwrap(), &order, &|| NOW).unwrap();
    assert!(certificate.serial() != 0 && certificate.key_id().len() <= 255);
    assert_eq!((certificate.valid_after(), certificate.valid_before()), (NOW - 60, NOW + 120));
    let code = || spec.open(&env).map(|_| ()).unwrap_err().code();
    for mode in [0o640, 0o604, 0o660] {
        set_mode(&path, mode).unwrap();
        assert_eq!(code(), Code::BadConfig, "{mode:o}");
    }
    set_mode(&path, 0o600).unwrap();
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(code(), Code::SignerFailed);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code(), Code::SignerFailed);
}
