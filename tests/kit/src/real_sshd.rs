//! A real sshd on loopback, with a config of its own, as whoever runs the tests; and a plane that hands out sessions on it.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake_plane::{FakePlane, respond};
use crate::sshd_process::{SSHD, free_port, serve};
use crate::{skipped, until, with_certificates};

/// A running sshd, ended when dropped.
pub struct RealSshd {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
    /// Lines that come before ours in its config, and so win.
    extra: String,
    /// The directive of ours that its config lacks; empty for none.
    without: String,
    /// The words before its own that start it.
    wrapper: Vec<OsString>,
}

impl RealSshd {
    /// Starts one below `folder`; `None`, said loudly, where there is none.
    pub fn start(folder: &Path) -> Option<RealSshd> {
        if !Path::new(SSHD).exists() {
            skipped(&format!("there is no {SSHD}"));
            return None;
        }
        let folder = folder.join("sshd");
        std::fs::create_dir(&folder).unwrap();
        keygen(&folder.join("host_key"), "");
        keygen(&folder.join("ca"), "");
        let authority = std::fs::read_to_string(folder.join("ca.pub")).unwrap();
        let keys = if with_certificates() { format!("cert-authority {authority}") } else { String::new() };
        std::fs::write(folder.join("keys"), keys).unwrap();
        // What a gateway may say before anybody is known to it: long, and out for the terminal.
        std::fs::write(folder.join("banner"), "BANNER \u{1b}[2J\n".repeat(5000)).unwrap();
        let mut sshd = RealSshd {
            folder,
            port: 0,
            child: None,
            extra: String::new(),
            without: String::new(),
            wrapper: Vec::new(),
        };
        until("sshd has a port", || {
            sshd.port = free_port();
            sshd.serve()
        });
        Some(sshd)
    }

    /// Whether it serves on its port: not when another has it.
    fn serve(&mut self) -> bool {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let config = format!(
            "{}Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxSessions 100\nMaxStartups 200\n\
             Banner {}\nSetEnv HOME={}\nAcceptEnv LANG LC_*\nSubsystem sftp internal-sftp\nLogLevel ERROR\n",
            self.extra,
            self.port,
            at("host_key"),
            at("keys"),
            at("banner"),
            at("")
        );
        let is_kept = |line: &&str| self.without.is_empty() || !line.starts_with(&self.without);
        let config = config.lines().filter(is_kept).fold(String::new(), |all, line| all + line + "\n");
        self.child = serve(&self.wrapper, &self.folder.join("config"), self.port, &config);
        self.child.is_some()
    }

    /// Serves again, with these lines before the others in its config.
    pub fn restart_with(&mut self, lines: &str) {
        lines.clone_into(&mut self.extra);
        self.restart();
    }

    /// Serves again, with these lines before the others in its config, on a machine of its own: it and its children alone see
    /// `onto` in place of each `from`, and the hostname may change (mount_namespaces(7), uts_namespaces(7)). False, with a
    /// loud message, if only root may do so.
    pub fn restart_seeing(&mut self, binds: &[(&Path, &Path)], lines: &str) -> bool {
        if !rustix::process::geteuid().is_root() {
            skipped("an sshd with files in the place of the system's needs root");
            return false;
        }
        let script =
            "while [ \"$1\" != -- ]; do mount --bind \"$1\" \"$2\"; shift 2; done; shift; exec \"$@\"";
        self.wrapper =
            ["unshare", "--mount", "--uts", "sh", "-ec", script, "sh"].map(OsString::from).to_vec();
        self.wrapper.extend(binds.iter().flat_map(|(onto, from)| [onto.into(), from.into()]));
        self.wrapper.push("--".into());
        self.restart_with(lines);
        true
    }

    /// Renames its machine, if that is its own.
    pub fn rename_machine(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let mut hostname = Command::new("nsenter");
        hostname.args(["--uts", "--target", &pid, "hostname", name]);
        assert!(hostname.status().unwrap().success());
    }

    /// Serves again, without our line for this directive in its config.
    pub fn restart_without(&mut self, directive: &str) {
        directive.clone_into(&mut self.without);
        self.restart();
    }

    /// Serves again, and lets in whoever types `code`, once: PAM asks for it (keyboard-interactive, RFC 4256). False, said
    /// loudly, where only root may have a PAM of its own.
    pub fn restart_asking_for(&mut self, code: &str) -> bool {
        let left = self.file("code");
        std::fs::write(&left, code).unwrap();
        let left = left.display();
        let check = format!("[ -e '{left}' ] && [ \"$(tr -d '\\0')\" = \"$(cat '{left}')\" ] && rm '{left}'");
        let lines = "UsePAM yes\nKbdInteractiveAuthentication yes\nPubkeyAuthentication no\n";
        self.restart_with_pam(&check, lines)
    }

    /// Serves again, and accepts only this password. Each try leaves a line in the file `tries`. False, with a loud message, if
    /// only root may have its own PAM.
    pub fn restart_with_password(&mut self, password: &str) -> bool {
        let (right, tries) = (self.file("password"), self.file("tries"));
        std::fs::write(&right, password).unwrap();
        let (right, tries) = (right.display(), tries.display());
        let check = format!("echo try >>'{tries}'; [ \"$(tr -d '\\0')\" = \"$(cat '{right}')\" ]");
        let lines = "UsePAM yes\nPasswordAuthentication yes\nPubkeyAuthentication no\n";
        self.restart_with_pam(&check, lines)
    }

    /// Serves again, and lets this piece of shell judge what was typed.
    fn restart_with_pam(&mut self, judge: &str, lines: &str) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        if !Path::new("/etc/pam.d").is_dir() {
            skipped("there is no PAM");
            return false;
        }
        let (pam, check) = (self.file("pam.d"), self.file("check"));
        std::fs::create_dir_all(&pam).unwrap();
        // pam_exec(8) gives what was typed on stdin, with a NUL at its end.
        std::fs::write(&check, format!("#!/bin/sh\n{judge}\n")).unwrap();
        std::fs::set_permissions(&check, std::fs::Permissions::from_mode(0o755)).unwrap();
        let stack = format!(
            "auth required pam_exec.so quiet expose_authtok {}\nauth required pam_permit.so\naccount required pam_permit.so\n\
             session required pam_permit.so\n",
            check.display()
        );
        std::fs::write(pam.join("sshd"), stack).unwrap();
        self.restart_seeing(&[(&pam, Path::new("/etc/pam.d"))], lines)
    }

    /// A file of its own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// An `ssh` for the user with this home, whose `.ssh` has a key that lets them in, and a config with the host `box`.
    pub fn client(&self, home: &Path) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = home.join(".ssh");
        std::fs::create_dir(&folder).unwrap();
        keygen(&folder.join("id"), "");
        std::fs::copy(folder.join("id.pub"), self.folder.join("keys")).unwrap();
        let host_key = std::fs::read_to_string(self.folder.join("host_key.pub")).unwrap();
        std::fs::write(folder.join("known_hosts"), format!("[127.0.0.1]:{} {host_key}", self.port)).unwrap();
        let shown = folder.display();
        let config = format!(
            "Host box\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {shown}/id\n\
             Host *\n  IdentitiesOnly yes\n  UserKnownHostsFile {shown}/known_hosts\n",
            self.port
        );
        std::fs::write(folder.join("config"), config).unwrap();
        // ssh takes `~` from the password database. The last `-F` counts, so ours still wins where it is given.
        let ssh = home.join("ssh");
        let home_answer = format!("userknownhostsfile {shown}/known_hosts {shown}/known_hosts2");
        let script = format!(
            "#!/bin/sh\ncase \"$1 $2 $3\" in '-G -F none') echo '{home_answer}'; exit;; esac\n\
             echo \"$*\" >> '{}/calls'\nexec ssh -F '{shown}/config' \"$@\"\n",
            home.display()
        );
        std::fs::write(&ssh, script).unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
        ssh
    }

    /// Ends the listener and every connection it serves.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        for pid in descendants(child.id()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Ends it and serves again on the same port with the same key.
    pub fn restart(&mut self) {
        self.stop();
        until("sshd has its port again", || self.serve());
    }

    /// Lets whoever has the private half of `key` in; the port and the host key.
    pub fn authorize(&self, key: &str) -> (u16, String) {
        authorize(&self.folder, key);
        (self.port, self.host_key())
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What lets a key in, from any thread, for as long as there is the folder.
    pub(crate) fn authorizer(&self) -> impl Fn(&str) + Clone + Send + Sync + use<> {
        let folder = self.folder.clone();
        move |key| authorize(&folder, key)
    }

    pub(crate) fn host_key(&self) -> String {
        std::fs::read_to_string(self.folder.join("host_key.pub")).unwrap()
    }

    /// The plane that hands out sessions on it: one workspace, id 1, whose title is the user running the tests. It calls the
    /// machine by this name.
    pub fn plane_naming(&self, host: &str) -> FakePlane {
        let host = host.to_owned();
        let (user, host_key) = (user(), self.host_key());
        let folder = Arc::new(Mutex::new(self.folder.clone()));
        let (port, workdir) = (self.port, self.folder.parent().unwrap().join("box").display().to_string());
        FakePlane::start(move |request, stream| {
            let body = if request.line.starts_with("POST") {
                let asked: Value =
                    serde_json::from_str(request.text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
                let folder = folder.lock().unwrap();
                let (key, ttl) = (asked["public_key"].as_str().unwrap(), asked["ttl"].as_i64().unwrap());
                let expires_at = jiff_now_plus(ttl);
                let credential = if with_certificates() {
                    json!({"type": "certificate", "certificate": signed(&folder, key, &user, ttl)})
                } else {
                    authorize(&folder, key);
                    json!({"type": "key", "certificate": null})
                };
                json!({"error": false, "bundle": {"host": host, "port": port, "user": user, "workdir": workdir,
                    "known_hosts": format!("[{host}]:{port} {host_key}"), "expires_at": expires_at,
                    "credential": credential}})
            } else {
                json!({"error": false, "data": {"workspaces": [{"id": 1, "title": user, "custom_title": "box", "provider": "aws", "current_state": "running"}]}})
            };
            respond(stream, 200, body.to_string().as_bytes());
        })
    }
}

/// A key pair with this passphrase.
pub fn keygen(path: &Path, passphrase: &str) {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", passphrase, "-f"]).arg(path);
    assert!(keygen.status().unwrap().success());
}

impl Drop for RealSshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who runs the tests.
pub fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "root".to_owned())
}

fn authorize(folder: &Path, key: &str) {
    let keys = std::fs::File::options().append(true).open(folder.join("keys"));
    let Ok(mut keys) = keys else { return }; // the test is over
    // In one write: several sessions may be made at the same time.
    keys.write_all(format!("{key}\n").as_bytes()).unwrap();
}

/// A certificate over a key, for `user` and so many seconds, by the CA in `folder`.
fn signed(folder: &Path, key: &str, user: &str, ttl: i64) -> String {
    let public = folder.join("asked.pub");
    std::fs::write(&public, format!("{key}\n")).unwrap();
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-I", "test", "-n", user, "-V", &format!("-60s:+{ttl}s"), "-s"]).arg(folder.join("ca"));
    assert!(sign.arg(&public).status().unwrap().success());
    std::fs::read_to_string(folder.join("asked-cert.pub")).unwrap()
}

/// So many seconds from now.
pub(crate) fn jiff_now_plus(seconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string()
}

/// The processes below `root`, deepest last.
fn descendants(root: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).collect::<Vec<_>>();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(all.iter().copied().filter(|child| parent(*child) == Some(pid)));
        next += 1;
    }
    found.split_off(1)
}
