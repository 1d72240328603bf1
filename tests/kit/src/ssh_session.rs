//! A minted session and the system's `ssh` on it.

use std::path::PathBuf;
use std::process::{Command, Output};

use runcode_gateway::Plane;
use serde_json::{Value, json};
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use tempfile::TempDir;

use crate::{feed, http};

pub struct SshSession {
    /// Holds the key, the pins and the configuration.
    pub dir: TempDir,
    pub bundle: Value,
}

impl SshSession {
    /// Mints a session on workspace `id`.
    pub fn new(plane: &Plane, id: u64) -> Self {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let answer = mint(plane, id, &key, 1800);
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self::from_bundle(answer.json()["bundle"].clone(), &key)
    }

    pub fn from_bundle(bundle: Value, key: &PrivateKey) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let session = SshSession { dir, bundle };
        key.write_openssh_file(session.path("id"), LineEnding::LF).unwrap();
        std::fs::write(session.path("known_hosts"), session.bundle["known_hosts"].as_str().unwrap()).unwrap();
        let mut certificate = String::from("none");
        if let Some(line) = session.bundle["credential"]["certificate"].as_str() {
            certificate = session.path("id-cert.pub").display().to_string();
            std::fs::write(&certificate, line).unwrap();
        }
        let config = format!(
            "Host box\n HostName {}\n Port {}\n User {}\n IdentityFile {}\n CertificateFile {certificate}\n \
             IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n \
             StrictHostKeyChecking yes\n UpdateHostKeys no\n BatchMode yes\n LogLevel ERROR\n ConnectTimeout 15\n",
            session.bundle["host"].as_str().unwrap(),
            session.bundle["port"],
            session.bundle["user"].as_str().unwrap(),
            session.path("id").display(),
            session.path("known_hosts").display(),
        );
        std::fs::write(session.path("config"), config).unwrap();
        session
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program of the ssh family that reads our configuration, with an environment of its own.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .arg("-F")
            .arg(self.path("config"));
        command
    }

    /// `ssh box COMMAND`, with what is given on its standard input.
    pub fn run(&self, command: &str, input: &[u8]) -> Output {
        feed(self.program("ssh").arg("box").arg(command), input)
    }

    /// `ssh box COMMAND` must succeed; its standard output.
    pub fn output(&self, command: &str) -> String {
        let output = self.run(command, b"");
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Asks for a session.
pub fn mint(plane: &Plane, id: u64, key: &PrivateKey, ttl: u64) -> http::Answer {
    mint_as(plane, plane.token(), id, key, ttl)
}

/// Asks for a session of the user with that token.
pub fn mint_as(plane: &Plane, token: &str, id: u64, key: &PrivateKey, ttl: u64) -> http::Answer {
    let body = json!({ "public_key": key.public_key().to_openssh().unwrap(), "ttl": ttl, "client": "test" });
    http::call(&plane.api_base(), token, "POST", &format!("/workspace/{id}/ssh-session"), &body.to_string())
}
