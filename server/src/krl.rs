//! Key revocation lists of certificates' serial numbers (OpenSSH PROTOCOL.krl).

use ssh_key::PublicKey;

/// `KRL_SECTION_CERTIFICATES`
const SECTION_CERTIFICATES: u8 = 1;
/// `KRL_SECTION_CERT_SERIAL_LIST`
const SERIAL_LIST: u8 = 0x20;

/// The list of these serial numbers of certificates that `authority` signed. `version` only grows.
///
/// # Errors
/// When the key cannot be encoded.
pub(crate) fn list(
    authority: &PublicKey,
    serials: &[u64],
    version: u64,
    now: u64,
) -> ssh_key::Result<Vec<u8>> {
    let mut list = b"SSHKRL\n\0".to_vec();
    list.extend(1u32.to_be_bytes());
    for number in [version, now, 0] {
        list.extend(number.to_be_bytes());
    }
    string(&mut list, b""); // reserved
    string(&mut list, b"runcode-server");
    if serials.is_empty() {
        return Ok(list);
    }
    let mut sorted = serials.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut section = Vec::new();
    string(&mut section, &authority.to_bytes()?);
    string(&mut section, b""); // reserved
    section.push(SERIAL_LIST);
    string(&mut section, &sorted.iter().flat_map(|serial| serial.to_be_bytes()).collect::<Vec<u8>>());
    list.push(SECTION_CERTIFICATES);
    string(&mut list, &section);
    Ok(list)
}

/// An SSH string: its length in four bytes, and its bytes (RFC 4251 section 5).
fn string(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend(bytes);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use std::process::Command;

    use runcode_sshcert::{Authority, Terms};
    use ssh_key::{Algorithm, PrivateKey};

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
    }

    #[test]
    fn ssh_keygen_finds_exactly_the_revoked_serials() {
        let folder = tempfile::tempdir().unwrap();
        let ca = key();
        let file = folder.path().join("krl");
        let query = |krl: &[u8], serial: u64| {
            std::fs::write(&file, krl).unwrap();
            let subject = key();
            let terms = Terms {
                key: subject.public_key().key_data(),
                serial,
                key_id: "a",
                principal: "b",
                valid_after: 0,
                valid_before: u64::MAX,
                critical_options: &[],
                extensions: &[],
            };
            let certificate = Authority::new(ca.clone()).sign(&terms).unwrap();
            let path = folder.path().join("cert.pub");
            std::fs::write(&path, certificate.as_str()).unwrap();
            let listed =
                Command::new("ssh-keygen").arg("-Q").arg("-l").arg("-f").arg(&file).output().unwrap();
            assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
            let found =
                Command::new("ssh-keygen").arg("-Q").arg("-f").arg(&file).arg(&path).output().unwrap();
            String::from_utf8_lossy(&found.stdout).contains("REVOKED")
        };
        let empty = list(ca.public_key(), &[], 1, 1).unwrap();
        assert!(!query(&empty, 7));
        let big = (1 << 62) + 5;
        let some = list(ca.public_key(), &[big, 7, 7, 3], 2, 2).unwrap();
        for (serial, is_revoked) in
            [(7, true), (3, true), (big, true), (4, false), (8, false), (big + 1, false)]
        {
            assert_eq!(query(&some, serial), is_revoked, "{serial}");
        }
        let other = list(key().public_key(), &[7], 3, 3).unwrap();
        assert!(!query(&other, 7), "another authority's");
    }
}
