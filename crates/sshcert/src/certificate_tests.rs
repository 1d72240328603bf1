#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use base64ct::{Base64, Encoding as _};
use proptest::prelude::*;
use ssh_key::certificate::Builder;
use ssh_key::{Algorithm, PrivateKey};

use super::*;
use crate::{Authority, Terms};

const NOW: u64 = 1_800_000_000;
const KEY_ID: &str = "ann@example.com claude-code";

fn key() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
}

fn terms(key: &KeyData) -> Terms<'_> {
    Terms {
        key,
        serial: 7,
        key_id: KEY_ID,
        principal: "ws",
        valid_after: NOW - 60,
        valid_before: NOW + 600,
        critical_options: &[],
        extensions: &["permit-pty"],
    }
}

fn expected<'a>(key: &'a KeyData, authority: &'a Authority) -> Expected<'a> {
    Expected {
        key,
        principal: "ws",
        now: NOW,
        skew: 0,
        longest: Some(600),
        critical_options: &["source-address"],
        authority: Some(authority.public_key().key_data()),
    }
}

/// A key, an authority, and what the authority signs for it with changes.
struct Case {
    key: KeyData,
    authority: Authority,
}

impl Case {
    fn new() -> Case {
        Case { key: key().public_key().key_data().clone(), authority: Authority::new(key()) }
    }

    fn signed<'a>(&'a self, change: impl FnOnce(&mut Terms<'a>)) -> Certificate {
        let mut terms = terms(&self.key);
        change(&mut terms);
        self.authority.sign(&terms).unwrap()
    }

    fn check(&self, certificate: &Certificate) -> Result<(), Refusal> {
        certificate.check(&expected(&self.key, &self.authority))
    }
}

#[test]
fn a_certificate_survives_its_text() {
    let case = Case::new();
    let signed = case.signed(|_| {});
    let parsed = Certificate::parse(&format!("{} a comment\n", signed.as_str())).unwrap();
    assert_eq!(parsed, signed);
    assert_eq!((parsed.serial(), parsed.key_id(), parsed.valid_before()), (7, KEY_ID, NOW + 600));
    assert_eq!(case.check(&parsed), Ok(()));
}

#[test]
fn terms_other_than_expected_are_refused() {
    let case = Case::new();
    let other = key().public_key().key_data().clone();
    let refusal = |certificate: Certificate| case.check(&certificate).err();
    assert_eq!(refusal(case.signed(|t| t.critical_options = &[("source-address", "10.0.0.0/8")])), None);
    for (certificate, why) in [
        (case.authority.sign(&terms(&other)).unwrap(), Refusal::OtherKey),
        (case.signed(|t| t.principal = "root"), Refusal::OtherPrincipals),
        (case.signed(|t| t.valid_before = NOW), Refusal::NotValidNow),
        (case.signed(|t| t.valid_after = NOW + 1), Refusal::NotValidNow),
        (case.signed(|t| t.valid_before = NOW + 601), Refusal::TooLong),
        (case.signed(|t| t.critical_options = &[("force-command", "id")]), Refusal::UnknownOption),
        (case.signed(|t| t.critical_options = &[("made-up@example.com", "")]), Refusal::UnknownOption),
        (Authority::new(key()).sign(&terms(&case.key)).unwrap(), Refusal::OtherAuthority),
    ] {
        assert_eq!(refusal(certificate), Some(why));
    }
}

#[test]
fn hosts_and_several_principals_are_refused() {
    let case = Case::new();
    let built = |change: &dyn Fn(&mut Builder)| {
        let mut builder =
            Builder::new_with_random_nonce(&mut rand::rng(), case.key.clone(), NOW, NOW + 60).unwrap();
        change(&mut builder);
        let signer = key();
        let certificate = Certificate::try_from(builder.sign(&signer).unwrap()).unwrap();
        let expected = Expected { authority: None, ..expected(&case.key, &case.authority) };
        certificate.check(&expected).err()
    };
    let user = |b: &mut Builder| drop(b.valid_principal("ws"));
    assert_eq!(built(&user), None);
    assert_eq!(built(&|b| drop(b.all_principals_valid())), Some(Refusal::OtherPrincipals));
    let two = |b: &mut Builder| drop(b.valid_principal("ws").and_then(|b| b.valid_principal("root")));
    assert_eq!(built(&two), Some(Refusal::OtherPrincipals));
    let host = |b: &mut Builder| drop(b.cert_type(CertType::Host).and_then(|b| b.valid_principal("ws")));
    assert_eq!(built(&host), Some(Refusal::NotForUsers));
}

/// Certificates by an RSA key of 2048 bits, as ssh-keygen makes them: with SHA-512, SHA-256 and SHA-1.
#[test]
fn an_rsa_authority_has_to_have_signed() {
    let pages = include_str!("rsa_certificates").lines().collect::<Vec<_>>();
    let [authority, sha512, sha256, sha1] = pages[..] else { panic!("four lines") };
    let authority = ssh_key::PublicKey::from_openssh(authority).unwrap();
    let check = |text: &str, authority: Option<&KeyData>| {
        let certificate = Certificate::parse(text).unwrap();
        let key = certificate.key().clone();
        let expected = Expected {
            key: &key,
            principal: "ws",
            now: NOW,
            skew: 0,
            longest: None,
            critical_options: &[],
            authority,
        };
        certificate.check(&expected).err()
    };
    for authority in [None, Some(authority.key_data())] {
        assert_eq!([check(sha512, authority), check(sha256, authority)], [None, None]);
        assert_eq!(check(sha1, authority), Some(Refusal::NotSigned));
        // One changed byte in what was signed: the last of the serial number.
        let mut blob = Base64::decode_vec(sha512.split(' ').nth(1).unwrap()).unwrap();
        let at = 4 + 32 + 4 + 32 + 4 + 32 + 7;
        blob[at] ^= 1;
        let changed = format!("ssh-ed25519-cert-v01@openssh.com {}", Base64::encode_string(&blob));
        assert_eq!(check(&changed, authority), Some(Refusal::NotSigned));
    }
    let other = key().public_key().key_data().clone();
    assert_eq!(check(sha512, Some(&other)), Some(Refusal::OtherAuthority));
}

#[test]
fn skew_moves_the_window() {
    let case = Case::new();
    let early = case.signed(|t| (t.valid_after, t.valid_before) = (NOW + 300, NOW + 900));
    let expected = Expected { skew: 300, ..expected(&case.key, &case.authority) };
    assert_eq!(early.check(&expected), Ok(()));
    assert_eq!(early.check(&Expected { skew: 299, ..expected }), Err(Refusal::NotValidNow));
    assert_eq!(early.check(&Expected { longest: Some(599), ..expected }), Err(Refusal::TooLong));
    assert_eq!(early.check(&Expected { longest: Some(u64::MAX), ..expected }), Ok(()));
    assert_eq!(early.check(&Expected { longest: None, ..expected }), Ok(()));
}

#[test]
fn other_text_is_not_a_certificate() {
    let case = Case::new();
    let line = case.signed(|_| {}).as_str().to_owned();
    let plain = ssh_key::PublicKey::from(case.key.clone()).to_openssh().unwrap();
    for text in ["", "ssh-ed25519-cert-v01@openssh.com", &plain, &line[..line.len() / 2]] {
        assert_eq!(Certificate::parse(text).err(), Some(Refusal::NotACertificate), "{text}");
    }
    for text in [format!("{line}\n{line}"), format!("{line}\n\n"), line.replace(' ', "\t")] {
        assert_eq!(Certificate::parse(&text).err(), Some(Refusal::NotOneLine), "{text}");
    }
}

/// An SSH string (RFC 4251, section 5).
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A named option with its value, as a certificate holds it.
fn option(name: &[u8], value: &[u8]) -> Vec<u8> {
    [string(name), string(value)].concat()
}

/// A certificate whose options and extensions are these bytes.
fn spliced(options: &[u8], extensions: &[u8]) -> Result<Certificate, Refusal> {
    let case = Case::new();
    let marked = case.signed(|t| {
        t.critical_options = &[("source-address", "10.0.0.1")];
        t.extensions = &["permit-pty"];
    });
    let raw = ssh_key::Certificate::from_openssh(marked.as_str()).unwrap().to_bytes().unwrap();
    let old = [string(&option(b"source-address", &string(b"10.0.0.1"))), string(&option(b"permit-pty", b""))]
        .concat();
    let at = raw.windows(old.len()).position(|window| window == old).unwrap();
    let raw = [&raw[..at], options, extensions, &raw[at + old.len()..]].concat();
    let text = Base64::encode_string(&raw);
    Certificate::parse(&format!("ssh-ed25519-cert-v01@openssh.com {text}"))
}

#[test]
fn malformed_options_are_refused() {
    let none = string(b"");
    let good = option(b"source-address", &string(b"10.0.0.0/8"));
    let pty = option(b"permit-pty", b"");
    assert!(spliced(&string(&good), &string(&pty)).is_ok());
    let unordered = [option(b"permit-user-rc", b""), pty.clone()].concat();
    for bytes in [
        string(&[pty.clone(), pty.clone()].concat()), // a name twice
        string(&unordered),
        string(&string(b"permit-pty")),          // a name without a value
        string(&option(b"\xff\xfe", b"")),       // not UTF-8
        string(&option(b"x", &string(b"\xff"))), // nor this
        string(&option(b"x", b"\0\0\0\x01")),    // a value longer than what holds it
        string(&option(b"x", &[string(b"a"), string(b"b")].concat())), // two values
        string(b"\xff\xff\xff\xffpermit-pty"),   // a name without end
        b"\xff\xff\xff\xff".to_vec(),            // all of it without end
        string(&option(b"permit-pty", &string(b"no"))), // a value where none can be
    ] {
        assert!(spliced(&none, &bytes).is_err(), "extension {bytes:?}");
    }
    for bytes in [
        string(&[good.clone(), good.clone()].concat()),
        string(&option(b"source-address", b"")),
        string(&option(b"source-address", &string(b"10.0.0.1/8"))),
        string(&option(b"source-address", b"10.0.0.1")), // not wrapped
        string(&option(b"force-command", b"")),
        string(&option(b"verify-required", &string(b"1"))),
        string(&option(b"\xff", b"")),
        b"\0\0\0".to_vec(),
    ] {
        assert!(spliced(&bytes, &none).is_err(), "option {bytes:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_options_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = spliced(&string(&bytes), &string(b""));
        let _ = spliced(&string(b""), &string(&bytes));
        let _ = spliced(&bytes, &bytes);
    }

    #[test]
    fn a_changed_byte_is_refused(at in any::<prop::sample::Index>(), bits in 1u8..) {
        let case = Case::new();
        let signed = case.signed(|_| {});
        let parsed = ssh_key::Certificate::from_openssh(signed.as_str()).unwrap();
        let mut raw = parsed.to_bytes().unwrap();
        let at = at.index(raw.len());
        raw[at] ^= bits;
        let changed = ssh_key::Certificate::from_bytes(&raw).ok().and_then(|c| Certificate::try_from(c).ok());
        prop_assert!(changed.is_none_or(|certificate| case.check(&certificate).is_err()));
    }
}
