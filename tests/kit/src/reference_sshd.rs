//! A real sshd(8) to compare the gateway with: the same clients, the same bytes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::real_sshd::keygen;
use crate::sshd_process::{SSHD, free_port, serve};

/// A user that no machine has.
const STRANGER: &str = "runcode-stranger";
const STRANGER_ID: u32 = 64_923;

pub struct ReferenceSshd {
    child: Child,
    dir: TempDir,
    folder: TempDir,
    port: u16,
}

impl ReferenceSshd {
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A server for whoever runs the tests; `None` where there is none, or where it may not run.
    pub fn start() -> Option<Self> {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        Self::start_for(String::from_utf8(user).unwrap().trim(), None)
    }

    /// A server for somebody who is not root: sshd(8) takes no signals from root. As root that somebody is made up, in a
    /// mount namespace where /etc/passwd has one line more; `None` where that may not be had.
    pub fn start_unprivileged() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return Self::start();
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = format!("{STRANGER}:x:{STRANGER_ID}:{STRANGER_ID}::/:/bin/bash\n");
        Self::start_for(STRANGER, Some(passwd + &line))
    }

    fn start_for(user: &str, passwd: Option<String>) -> Option<Self> {
        // As root it needs its empty folder, which only the system's own start makes.
        let root = rustix::process::geteuid().is_root();
        if !Path::new(SSHD).exists() || (root && !Path::new("/run/sshd").exists()) {
            return None;
        }
        let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| dir.path().join(name);
        for name in ["host", "id"] {
            keygen(&path(name), "");
        }
        let mut wrapper = Vec::new();
        if let Some(passwd) = &passwd {
            std::fs::write(path("passwd"), passwd).unwrap();
            let mount = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
            wrapper = ["unshare", "-m", "sh", "-c", mount].map(OsString::from).to_vec();
            wrapper.push(path("passwd").into());
            for folder in [dir.path(), folder.path()] {
                std::os::unix::fs::chown(folder, Some(STRANGER_ID), None).unwrap();
            }
        }
        // Somebody else may take the port in between; then it is tried again.
        for _ in 0..5 {
            let port = free_port();
            let config = format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {host}\nAuthorizedKeysFile {id}.pub\nPidFile none\n\
                 StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\n\
                 AcceptEnv LANG LC_* COLORTERM\nSubsystem sftp internal-sftp\nMaxSessions 1000\n\
                 SetEnv HOME={home} PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8\n",
                host = path("host").display(),
                id = path("id").display(),
                home = folder.path().canonicalize().unwrap().display(),
            );
            if let Some(child) = serve(&wrapper, &path("sshd_config"), port, &config) {
                let sshd = ReferenceSshd { child, dir, folder, port };
                sshd.write_client_config(port, user);
                return Some(sshd);
            }
        }
        None
    }

    fn write_client_config(&self, port: u16, user: &str) {
        let path = |name: &str| self.dir.path().join(name);
        let key = std::fs::read_to_string(path("host.pub")).unwrap();
        std::fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
        let config = format!(
            "Host box\n HostName 127.0.0.1\n Port {port}\n User {}\n IdentityFile {}\n IdentitiesOnly yes\n \
             IdentityAgent none\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n BatchMode yes\n \
             StrictHostKeyChecking yes\n UpdateHostKeys no\n LogLevel ERROR\n",
            user,
            path("id").display(),
            path("known_hosts").display(),
        );
        std::fs::write(path("config"), config).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// The folder that serves as home.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for ReferenceSshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
