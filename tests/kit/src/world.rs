//! A user with an empty home, a plane with a gateway of its own, and the binary under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use runcode_gateway::{Options, Plane, UserSpec, WorkspaceSpec};

use crate::fake_plane::FakePlane;
use crate::real_sshd::RealSshd;
use crate::{CommandOutput, feed, with_certificates};

/// A user of one plane: a temporary home, nothing of the real environment.
pub struct World {
    home: tempfile::TempDir,
    plane: Option<Plane>,
    sshd: Option<(RealSshd, FakePlane)>,
    api_base: String,
    web_base: String,
    token: String,
    options: Options,
    own_host: Option<OwnHost>,
}

/// A host of the user's own: a real sshd that the user's ssh config calls `box`, without any control plane.
struct OwnHost {
    sshd: RealSshd,
    /// The ssh that reads this user's config: ssh itself takes `~` from the password database, whatever HOME says.
    ssh: PathBuf,
    words: &'static str,
}

impl World {
    /// A plane with one running workspace, `box`, id 1.
    pub fn new() -> World {
        World::with(|_| {})
    }

    /// As [`World::new`], with other options.
    pub fn with(change: impl FnOnce(&mut Options)) -> World {
        let home = tempfile::Builder::new().prefix("rc-").tempdir().unwrap();
        let folder = home.path().join("box");
        std::fs::create_dir(&folder).unwrap();
        let workspace = WorkspaceSpec { running: true, ..WorkspaceSpec::new("box", &folder) };
        let mut options = Options {
            workspaces: vec![workspace],
            boot_delay: Duration::from_millis(100),
            auto_authorize: true,
            ..Options::default()
        };
        if with_certificates() {
            options.credential = runcode_gateway::CredentialMode::Certificate;
        }
        change(&mut options);
        let plane = Plane::start(options.clone()).unwrap();
        let (api_base, web_base, token) = (plane.api_base(), plane.web_base(), plane.token().to_owned());
        World { home, plane: Some(plane), sshd: None, api_base, web_base, token, options, own_host: None }
    }

    /// As [`World::new`], with a second workspace of the same folder: `other`, id 2.
    pub fn two() -> World {
        World::with(|options| {
            let folder = options.workspaces[0].dir.clone();
            options.workspaces.push(WorkspaceSpec { running: true, ..WorkspaceSpec::new("other", folder) });
        })
    }

    /// A world whose workspace `box`, id 1, is behind a real sshd, as the user who runs the tests. `None`, said loudly, where
    /// there is no sshd.
    pub fn real() -> Option<World> {
        World::real_named("127.0.0.1")
    }

    /// The same, whose control plane calls the sshd's host by this name.
    pub fn real_named(host: &str) -> Option<World> {
        let home = tempfile::Builder::new().prefix("rc-").tempdir().unwrap();
        std::fs::create_dir(home.path().join("box")).unwrap();
        let sshd = RealSshd::start(home.path())?;
        let plane = sshd.plane_naming(host);
        Some(World::behind(home, sshd, plane))
    }

    /// The port of the real sshd behind the workspace.
    pub fn sshd_port(&self) -> u16 {
        self.sshd.as_ref().unwrap().0.port()
    }

    /// A world whose workspace is behind this sshd, and granted by this plane.
    pub(crate) fn behind(home: tempfile::TempDir, sshd: RealSshd, plane: FakePlane) -> World {
        let (api_base, token) = (plane.base(), "token".to_owned());
        let web_base = api_base.clone();
        World {
            home,
            plane: None,
            sshd: Some((sshd, plane)),
            api_base,
            web_base,
            token,
            options: Options::default(),
            own_host: None,
        }
    }

    /// A world without a control plane or a login, whose ssh config has a host `box`: a real sshd, as the user who runs the
    /// tests. `None`, said loudly, where there is no sshd.
    pub fn own_host() -> Option<World> {
        let home = tempfile::Builder::new().prefix("rc-").tempdir().unwrap();
        std::fs::create_dir(home.path().join("box")).unwrap();
        let sshd = RealSshd::start(home.path())?;
        let ssh = sshd.client(home.path());
        let text = String::new;
        let (api_base, web_base, token) = (text(), text(), text());
        let own_host = Some(OwnHost { sshd, ssh, words: "ssh:box" });
        Some(World {
            home,
            plane: None,
            sshd: None,
            api_base,
            web_base,
            token,
            options: Options::default(),
            own_host,
        })
    }

    /// As [`World::own_host`], where servers.toml names the host: `box` is a server there.
    pub fn server() -> Option<World> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut world = World::own_host()?;
        let folder = world.home().join(".config/runcode");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "[servers.box]\nauth_method = \"ssh\"\nhost = \"box\"\nworkdir = \"{}\"\n",
            world.workspace().display()
        );
        let file = folder.join("servers.toml");
        std::fs::write(&file, text).unwrap();
        for (path, mode) in [(folder.as_path(), 0o700), (&file, 0o600)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        world.own_host.as_mut().unwrap().words = "server:box";
        Some(world)
    }

    /// The words that `box` is told by, whatever else has its name.
    pub fn words(&self) -> &'static str {
        self.own_host.as_ref().map_or("1", |own_host| own_host.words)
    }

    /// Whether it is a host of the user's own.
    pub fn is_own_host(&self) -> bool {
        self.own_host.is_some()
    }

    /// Whether a plane of ours grants the sessions, which can do all that planes can.
    pub fn is_own_plane(&self) -> bool {
        self.plane.is_some()
    }

    /// The sshd of a host of the user's own.
    pub fn own_sshd(&mut self) -> &mut RealSshd {
        &mut self.own_host.as_mut().unwrap().sshd
    }

    /// A file of the folder that holds the only session.
    pub fn session_file(&self, name: &str) -> PathBuf {
        let folders = std::fs::read_dir(self.cache("")).unwrap().flatten().map(|entry| entry.path());
        let mut folders = folders.filter(|path| path.join("meta.json").exists());
        let folder = folders.next().unwrap();
        assert_eq!(folders.next(), None, "there are several sessions");
        folder.join(name)
    }

    /// One world for each kind of gateway there is here.
    pub fn each() -> Vec<World> {
        [Some(World::new()), World::real()].into_iter().flatten().collect()
    }

    /// Its API base.
    pub fn base(&self) -> String {
        self.api_base.clone()
    }

    /// The token of its user.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Ends the plane: nothing answers any more.
    pub fn stop_plane(&mut self) {
        self.sshd = None;
        if let Some(plane) = self.plane.take() {
            plane.stop();
        }
    }

    /// Ends the plane and starts one with the same ports and the same token, which knows nothing of old sessions and has
    /// another host key. A real sshd is restarted as it was.
    pub fn restart_plane(&mut self) {
        if let Some((sshd, _)) = &mut self.sshd {
            return sshd.restart();
        }
        if let Some(own_host) = &mut self.own_host {
            return own_host.sshd.restart();
        }
        self.options.http_port = self.api_base.rsplit(':').next().unwrap().parse().unwrap();
        self.options.ssh_port = self.plane().gateway_addr().port();
        self.options.users =
            vec![UserSpec { email: "you@localhost".into(), token: Some(self.token.clone()) }];
        self.stop_plane();
        let plane = Plane::start(self.options.clone()).unwrap();
        self.web_base = plane.web_base();
        self.plane = Some(plane);
    }

    /// The plane.
    pub fn plane(&self) -> &Plane {
        self.plane.as_ref().unwrap()
    }

    /// The user's home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder of the workspace `box`.
    pub fn workspace(&self) -> PathBuf {
        self.home().join("box")
    }

    /// A file or folder in the user's cache.
    pub fn cache(&self, name: &str) -> PathBuf {
        self.home().join(".cache/runcode").join(name)
    }

    /// The file of the attachment of the only folder that has one.
    pub fn attachment(&self) -> PathBuf {
        let files = std::fs::read_dir(self.cache("attachments")).unwrap().flatten().map(|entry| entry.path());
        let files = files.collect::<Vec<_>>();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    /// As [`World::run`], in this folder.
    pub fn run_in<A: AsRef<OsStr>>(&self, folder: &Path, arguments: &[A]) -> CommandOutput {
        CommandOutput::of(self.command(arguments).current_dir(folder).output().unwrap())
    }

    /// The binary with these arguments, in this world's environment.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        hear_signals();
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home())
            .env("RUNCODE_TEST_HOME", self.home())
            .env("RUNCODE_TEST_ETC", self.home().join("etc"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match &self.own_host {
            Some(own_host) => command.env("RUNCODE_SSH", &own_host.ssh),
            None => command
                .env("RUNCODE_API_BASE", &self.api_base)
                .env("RUNCODE_WEB_BASE", &self.web_base)
                .env("RUNCODE_TOKEN", &self.token),
        };
        // What a test counts or kills is its own alone; tests of spare channels turn them on.
        command.env("RUNCODE_SPARE", "off");
        for variable in ["LLVM_PROFILE_FILE", "RUNCODE_TRANSPORT", "RUNCODE_SPARE"] {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
        command
    }

    /// Runs the binary and returns what it said.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> CommandOutput {
        CommandOutput::of(self.command(arguments).output().unwrap())
    }

    /// As [`World::run`], with these bytes on stdin.
    pub fn run_with<A: AsRef<OsStr>>(&self, arguments: &[A], input: &[u8]) -> CommandOutput {
        CommandOutput::of(feed(&mut self.command(arguments), input))
    }

    /// The binary pointed at another control plane.
    pub fn run_at<A: AsRef<OsStr>>(&self, base: &str, arguments: &[A]) -> CommandOutput {
        CommandOutput::of(self.command(arguments).env("RUNCODE_API_BASE", base).output().unwrap())
    }

    /// Every file below the cache with its content, to see that nothing changed.
    pub fn snapshot(&self) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
        let mut found = std::collections::BTreeMap::new();
        let mut folders = vec![self.home().join(".cache")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => folders.push(path),
                    kind if kind.is_file() && !path.to_string_lossy().ends_with(".lock") => {
                        found.insert(path.clone(), std::fs::read(path).unwrap());
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// Attaches `box`.
    pub fn connected(self) -> World {
        self.connect();
        self
    }

    /// As [`World::connected`].
    pub fn connect(&self) {
        match self.is_own_host() {
            true => self.run(&["connect", "box", "--workdir", self.workspace().to_str().unwrap()]).succeeds(),
            false => self.run(&["connect", "box"]).succeeds(),
        };
    }
}

impl Drop for World {
    /// Ends the masters; the plane ends its own processes.
    fn drop(&mut self) {
        let _ = self.command(&["clean", "--all"]).output();
    }
}

/// The binary under test, which cargo builds beside the folder of the tests' own binaries.
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join(format!("runcode{}", std::env::consts::EXE_SUFFIX))
}

/// Whoever runs the tests may ignore interrupts (a script's `&`) or hangups (nohup), and whatever they start would as well;
/// a signal that has a handler here is an ordinary one there.
fn hear_signals() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
            let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
            signal_hook::flag::register_conditional_default(signal, always).unwrap();
        }
    });
}
