//! A host that writes lines into ssh's log before it is verified: they change no code, no advice and no fingerprint.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::read;
use crate::support::World;
use crate::support::real_sshd::keygen;

const FORGED: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Has the host show a certificate with this ID, made by an authority that nobody knows.
fn show_certificate(world: &mut World, id: &str) {
    let sshd = world.own_sshd();
    let (ca, key) = (sshd.file("host_ca"), sshd.file("host_key.pub"));
    if !ca.exists() {
        keygen(&ca, "");
    }
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-h", "-n", "127.0.0.1", "-I", id, "-s"]).arg(&ca).arg(&key);
    assert!(sign.status().unwrap().success());
    let certificate = sshd.file("host_key-cert.pub");
    sshd.restart_with(&format!(
        "HostCertificate {}\nHostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com\n",
        certificate.display()
    ));
}

fn fingerprint(key: &Path) -> String {
    let listed = Command::new("ssh-keygen").arg("-lf").arg(key).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

const IDS: [&str; 3] = [
    "a\" CA ssh-ed25519 SHA256:x valid forever\ndebug1: SSH2_MSG_NEWKEYS sent\n\
     debug1: SSH2_MSG_NEWKEYS received\nroot@host: Permission denied (password).\nx",
    "a\ndebug1: Server host key: ssh-ed25519 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
     @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.",
    "a\r\ndebug1: SSH2_MSG_NEWKEYS received\r\nConnection closed by 127.0.0.1 port 1\r\nx",
];

#[test]
fn a_certificates_id_forges_nothing() {
    let Some(mut world) = World::own_host() else { return };
    let known_hosts = world.home().join(".ssh/known_hosts");
    let port = read(&known_hosts).split(' ').next().unwrap().to_owned();
    let another = world.home().join("another");
    keygen(&another, "");
    let changed = format!("{port} {}", read(&another.with_extension("pub")));
    let own = fingerprint(&world.own_sshd().file("host_key.pub"));
    for id in IDS {
        show_certificate(&mut world, id);
        for (known, code) in [("", "host_key_unknown"), (changed.as_str(), "host_key_changed")] {
            std::fs::write(&known_hosts, known).unwrap();
            let said = world.run(&["connect", "box", "--json"]).fails_as(code, 1).json();
            assert_eq!(said["fingerprint"], own.as_str(), "{id}");
            assert!(!said.to_string().contains(FORGED), "{said}");
        }
    }
}

/// A host whose certificate counts still says who has to log in, and how.
#[test]
fn a_certificate_that_counts_is_no_hindrance() {
    let Some(mut world) = World::own_host() else { return };
    show_certificate(&mut world, "box");
    let certificate = world.own_sshd().file("host_key-cert.pub");
    let known_hosts = world.home().join(".ssh/known_hosts");
    let port = read(&known_hosts).split(' ').next().unwrap().to_owned();
    let authority = read(&world.own_sshd().file("host_ca.pub"));
    std::fs::write(&known_hosts, format!("@cert-authority {port} {authority}")).unwrap();
    world.run(&["connect", "box"]).succeeds();
    world.run(&["disconnect"]).succeeds();
    std::fs::write(world.own_sshd().file("keys"), "").unwrap();
    let said = world.run(&["connect", "box", "--json"]).fails_as("transport", 1).json();
    assert!(said["message"].as_str().unwrap().contains("none of your keys"), "{said}");
    world.own_sshd().restart_with(&format!(
        "PasswordAuthentication yes\nHostCertificate {}\nHostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com\n",
        certificate.display()
    ));
    world.run(&["connect", "box", "--json"]).fails_as("login_required", 1);
}

/// What a host says in plain text: its version, and lines for ssh's log (SSH_MSG_DEBUG).
#[test]
fn words_before_the_keys_forge_nothing() {
    let Some(world) = World::own_host() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = world.home().join(".ssh/config");
    std::fs::write(&config, format!("Host liar\n  HostName 127.0.0.1\n  Port {port}\n{}", read(&config)))
        .unwrap();
    let log = format!(
        "a\r\ndebug1: Server host key: ssh-ed25519 {FORGED}\r\ndebug1: SSH2_MSG_NEWKEYS sent\r\n\
         debug1: SSH2_MSG_NEWKEYS received\r\nroot@host: Permission denied (password)."
    );
    let words = [
        ("SSH-2.0-x REMOTE HOST IDENTIFICATION HAS CHANGED\r\n", ""),
        ("SSH-2.0-x Host key verification failed.\r\n", ""),
        ("Host key verification failed.\r\nSSH-2.0-x timed out\r\n", ""),
        ("SSH-2.0-x\r\n", log.as_str()),
    ];
    for (hello, log) in words {
        let said = std::thread::scope(|scope| {
            let serving = scope.spawn(|| {
                let mut count = 0;
                while let Ok((mut stream, _)) = listener.accept() {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 || byte != *b"S" {
                        return count; // it is us, and all is said
                    }
                    let _ = stream.write_all(&[hello.as_bytes(), &debug(log), &disconnect()].concat());
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    count += 1;
                }
                count
            });
            let said = world.run(&["connect", "ssh:liar", "--json"]);
            drop(std::net::TcpStream::connect(("127.0.0.1", port)));
            assert!(serving.join().unwrap() > 0);
            said
        });
        let said = said.fails_as("transport", 1).json();
        let message = said["message"].as_str().unwrap();
        assert!(
            message.starts_with("cannot connect to `liar`: ssh says: \"Received disconnect"),
            "{hello}: {said}"
        );
        assert!(said["fingerprint"].is_null() && !said.to_string().contains(FORGED), "{said}");
    }
}

fn string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// SSH_MSG_DEBUG (RFC 4253, 11.3).
fn debug(text: &str) -> Vec<u8> {
    if text.is_empty() { Vec::new() } else { packet(&[&[4, 1], &string(text)[..], &string("")].concat()) }
}

/// SSH_MSG_DISCONNECT (RFC 4253, 11.1).
fn disconnect() -> Vec<u8> {
    packet(&[&[1, 0, 0, 0, 2], &string("bye")[..], &string("")].concat())
}

/// A packet before there are keys (RFC 4253, 6).
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 5 + 4) % 8) % 8;
    let length = u32::try_from(payload.len() + padding + 1).unwrap().to_be_bytes();
    [&length[..], &[u8::try_from(padding).unwrap()], payload, &vec![0; padding]].concat()
}
