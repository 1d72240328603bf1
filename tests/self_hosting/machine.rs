//! A machine with a stock sshd: a mount namespace (mount_namespaces(7)) with an /etc/ssh and accounts of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{CommandOutput, Site, skipped, until};
use crate::support::real_sshd::keygen;

/// The user `dev`; no number of a real one.
const DEV: u32 = 61_234;

const CONFIG: &str = "Include /etc/ssh/sshd_config.d/*.conf\nListenAddress 127.0.0.1\nHostKey /etc/ssh/ssh_host_ed25519_key\n\
    PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nSubsystem sftp internal-sftp\nMaxSessions 100\n";

/// What the namespace has in the place of the system's, before sshd starts.
const ENTER: &str = "
for name in etc/ssh etc/passwd etc/shadow etc/group etc/cron.d usr/local/sbin var/log srv; do
  [ ! -e \"/$name\" ] || mount --bind \"$1/$name\" \"/$name\"
done
[ ! -d /run/systemd ] || mount -t tmpfs none /run/systemd
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -E \"$1/log\"
";

/// A running one; it ends when dropped.
pub struct Machine {
    root: PathBuf,
    port: u16,
    sshd: Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

impl Machine {
    /// Starts one below `folder`. `None`, said loudly, where only root may do so or there is no sshd.
    pub fn start(folder: &Path) -> Option<Machine> {
        use std::os::unix::fs::PermissionsExt as _;
        let may =
            Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
        if !rustix::process::geteuid().is_root() || !may || !Path::new("/usr/sbin/sshd").exists() {
            skipped("a machine of its own needs root, mount namespaces and sshd");
            return None;
        }
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let root = folder.join("machine");
        for name in ["etc/ssh/sshd_config.d", "etc/cron.d", "usr/local/sbin", "var/log", "srv", "home"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let own = [
            ("passwd", format!("dev:x:{DEV}:{DEV}::{}:/bin/sh\n", root.join("home").display())),
            ("shadow", "dev:*:1::::::\n".to_owned()),
            ("group", format!("dev:x:{DEV}:\n")),
        ];
        for (name, line) in own {
            let there = std::fs::read_to_string(Path::new("/etc").join(name)).unwrap();
            std::fs::write(root.join("etc").join(name), there + &line).unwrap();
        }
        let ssh = root.join("etc/ssh");
        keygen(&ssh.join("ssh_host_ed25519_key"), "");
        keygen(&root.join("own"), "");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!("{CONFIG}Port {port}\nPidFile {}\n", root.join("pid").display());
        std::fs::write(ssh.join("sshd_config"), config).unwrap();
        let mut sshd = Command::new("unshare");
        sshd.args(["--mount", "sh", "-ec", ENTER, "sh"]).arg(&root);
        let sshd = sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let machine = Machine { root, port, sshd };
        machine.own_home();
        machine.answers();
        Some(machine)
    }

    fn answers(&self) {
        until("the machine answers", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// The home folder of `dev`.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Gives everything there to `dev`.
    pub fn own_home(&self) {
        let mut chown = Command::new("chown");
        assert!(chown.arg("-R").arg(format!("{DEV}:{DEV}")).arg(self.home()).status().unwrap().success());
    }

    /// A command that sees what the machine sees.
    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.sshd.id().to_string(), "--"]).args(words);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", "/root")
            .stdin(Stdio::null());
        command
    }

    /// Runs the enrolment script as root, as `sudo sh enroll.sh …` does.
    pub fn enroll(&self, script: &Path, arguments: &[&str]) -> CommandOutput {
        let mut command = self.inside(&["sh"]);
        CommandOutput::of(command.arg(script).args(arguments).output().unwrap())
    }

    /// Runs it as `dev`, with `--user`.
    pub fn enroll_as_user(&self, script: &Path, arguments: &[&str]) -> CommandOutput {
        let ids = [format!("--reuid={DEV}"), format!("--regid={DEV}")];
        let mut command = self.inside(&["setpriv", &ids[0], &ids[1], "--clear-groups", "sh"]);
        command.arg(script).arg("--user").args(arguments).env("HOME", self.home());
        CommandOutput::of(command.output().unwrap())
    }

    /// Writes what sshd said of a login into the system's log, as syslog does: with the number of the process that serves it.
    pub fn log_login(&self, serial: &str) {
        let log = std::fs::read_to_string(self.root.join("log")).unwrap();
        let of_it = |line: &&str| {
            line.starts_with("Accepted publickey") && line.contains(&format!("(serial {serial})"))
        };
        let line = log.lines().find(of_it).unwrap_or_else(|| panic!("no login by {serial}: {log}"));
        let pids = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
        let read =
            |pid: u32, name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let serves = |pid: &u32| {
            let parent = read(*pid, "stat")
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split(' ').nth(2)?.parse().ok());
            parent == Some(self.sshd.id()) && read(*pid, "cmdline").contains("dev [priv]")
        };
        let pid = pids.into_iter().find(serves).expect("a connection stands");
        let line = format!("Nov 30 00:00:00 machine sshd[{pid}]: {line}\n");
        std::fs::write(self.root.join("var/log/auth.log"), line).unwrap();
    }

    /// What the timer does once a minute.
    pub fn sync(&self) {
        CommandOutput::of(self.inside(&["/usr/local/sbin/runcode-host-sync"]).output().unwrap()).succeeds();
    }

    /// Every file that an enrolment could change, with its content; a folder has none.
    pub fn etc(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders =
            ["etc/ssh", "etc/cron.d", "usr/local/sbin"].map(|name| self.root.join(name)).to_vec();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path.clone());
                    found.insert(path, None);
                } else {
                    found.insert(path.clone(), Some(std::fs::read(path).unwrap()));
                }
            }
        }
        found
    }

    /// Sets these lines of the administrator's own, in a file that comes before ours; an empty text takes them away.
    pub fn configure(&self, lines: &str) {
        let file = self.root.join("etc/ssh/sshd_config.d/05-own.conf");
        if lines.is_empty() {
            std::fs::remove_file(file).unwrap()
        } else {
            std::fs::write(file, lines).unwrap()
        }
    }

    fn ssh(&self, key: &Path, user: &str) -> bool {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
        ]);
        ssh.args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-p",
            &self.port.to_string(),
            "-i",
        ]);
        ssh.arg(key).arg(format!("{user}@127.0.0.1")).arg("true").env_remove("SSH_AUTH_SOCK");
        ssh.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Whether an ordinary key, which was always there, lets `dev` in.
    pub fn own_key_works(&self) -> bool {
        let folder = self.home().join(".ssh");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(self.root.join("own.pub"), folder.join("authorized_keys")).unwrap();
        self.own_home();
        self.ssh(&self.root.join("own"), "dev")
    }

    /// Whether the certificate of the client's session opens a new connection.
    pub fn lets_in(&self, site: &Site) -> bool {
        let sessions = std::fs::read_dir(site.world.cache("")).unwrap().flatten().map(|entry| entry.path());
        let mut keys = sessions.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
        let key =
            keys.find(|entry| entry.file_name().to_string_lossy().ends_with("-cert.pub")).unwrap().path();
        let private = key.to_string_lossy().trim_end_matches("-cert.pub").to_owned();
        self.ssh(Path::new(&private), "dev")
    }
}
