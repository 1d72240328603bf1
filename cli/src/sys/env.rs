//! Every environment variable that `runcode` reads, in one table.

use std::collections::HashMap;
use std::ffi::OsString;

macro_rules! variables {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// An environment variable that `runcode` reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Var {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Var {
            /// Every variable.
            pub const ALL: &'static [Var] = &[$(Var::$variant),+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Var::$variant => $name,)+ }
            }

            /// What it is for.
            pub const fn meaning(self) -> &'static str {
                match self { $(Var::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

variables! {
    /// The API token; wins over the saved one.
    RuncodeToken = "RUNCODE_TOKEN";
    /// The control plane's API base; https, or http to a literal loopback address.
    RuncodeApiBase = "RUNCODE_API_BASE";
    /// The web host that serves the consent page of `runcode login`.
    RuncodeWebBase = "RUNCODE_WEB_BASE";
    /// The workspace that commands mean when none is named with `-w`.
    RuncodeWorkspace = "RUNCODE_WORKSPACE";
    /// The name of the agent on whose behalf sessions are made.
    RuncodeClient = "RUNCODE_CLIENT";
    /// Who says to act, for the audit log.
    RuncodeActor = "RUNCODE_ACTOR";
    /// `openssh` runs every remote command through the ssh client, also where the connection's own socket could serve.
    RuncodeTransport = "RUNCODE_TRANSPORT";
    /// `off` turns off the spare channel that waits for the next command.
    RuncodeSpare = "RUNCODE_SPARE";
    /// The proxy to gateways: `http://`, `socks5://` or `socks5h://`, instead of the usual variables.
    RuncodeProxy = "RUNCODE_PROXY";
    /// The proxy for all programs; used for the connection to a gateway.
    AllProxy = "ALL_PROXY";
    /// The same.
    AllProxyLower = "all_proxy";
    /// The proxy for encrypted traffic of all programs; used for the connection to a gateway.
    HttpsProxy = "HTTPS_PROXY";
    /// The same.
    HttpsProxyLower = "https_proxy";
    /// The hosts that are reached without a proxy.
    NoProxy = "NO_PROXY";
    /// The same.
    NoProxyLower = "no_proxy";
    /// The ssh client to use instead of the first `ssh` on PATH; an absolute path.
    RuncodeSsh = "RUNCODE_SSH";
    /// The server that `jump` starts on a workspace: `runspec` or `runcode`, with its path there.
    RuncodeJumpBin = "RUNCODE_JUMP_BIN";
    /// The same, as runspec's own `jump` has it.
    RunspecJumpBin = "RUNSPEC_JUMP_BIN";
    /// The file that names servers, instead of the usual ones; an absolute path.
    RuncodeServers = "RUNCODE_SERVERS";
    /// The file that describes the tools of `serve`, instead of the usual ones.
    RuncodeServeConfig = "RUNCODE_SERVE_CONFIG";
    /// `local` or `remote`: which of the tools `serve` offers, where they say so.
    RunspecServeContext = "RUNSPEC_SERVE_CONTEXT";
    /// Set by sshd: `serve` offers the tools of `remote`.
    SshConnection = "SSH_CONNECTION";
    /// How many seconds a workspace may be silent during a transfer before it is given up; 120 unless set.
    RuncodePatience = "RUNCODE_PATIENCE";
    /// Set by the launcher: its own absolute path, the stable one to write into other programs' settings.
    RuncodeLauncher = "RUNCODE_LAUNCHER";
    /// Set while `config-ssh` and `doctor` ask ssh what it would do: no session is renewed for a mere question.
    RuncodeNoRenewal = "RUNCODE_NO_RENEWAL";
    /// Set for the `ssh` that logs in with a password: the socket that provides it, once.
    RuncodeAskpass = "RUNCODE_ASKPASS";
    /// Set by a shell that completes a command line: its name.
    RuncodeComplete = "RUNCODE_COMPLETE";
    /// The working directory by the name that a shell keeps for it; ignored when that is another folder.
    Pwd = "PWD";
    /// The user's home folder.
    Home = "HOME";
    /// The user's home folder on Windows.
    UserProfile = "USERPROFILE";
    /// Where configuration lives; ignored when not absolute (XDG Base Directory Specification).
    XdgConfigHome = "XDG_CONFIG_HOME";
    /// Where caches live; ignored when not absolute.
    XdgCacheHome = "XDG_CACHE_HOME";
    /// The XDG state folder.
    XdgStateHome = "XDG_STATE_HOME";
    /// A short private folder for sockets; ignored when not absolute.
    XdgRuntimeDir = "XDG_RUNTIME_DIR";
    /// Where configuration lives on Windows.
    AppData = "APPDATA";
    /// Where caches live on Windows.
    LocalAppData = "LOCALAPPDATA";
    /// Where the operator's configuration lives on Windows.
    ProgramData = "PROGRAMDATA";
    /// Where programs are looked for.
    Path = "PATH";
    /// The extensions of programs on Windows.
    PathExt = "PATHEXT";
    /// The user's login shell, for the advice of `install-path`.
    Shell = "SHELL";
    /// Claude Code's settings folder, instead of `~/.claude`.
    ClaudeConfigDir = "CLAUDE_CONFIG_DIR";
    /// Set by Claude Code: the folder of the project.
    ClaudeProjectDir = "CLAUDE_PROJECT_DIR";
    /// Set by Claude Code: the conversation.
    ClaudeCodeSessionId = "CLAUDE_CODE_SESSION_ID";
    /// Set by Codex: its home folder.
    CodexHome = "CODEX_HOME";
    /// Set by Codex: the conversation.
    CodexThreadId = "CODEX_THREAD_ID";
    /// Set by Codex: where it is installed.
    CodexManagedPackageRoot = "CODEX_MANAGED_PACKAGE_ROOT";
    /// Where Codex's tools run: what `runcode codex` sets.
    CodexExecServerUrl = "CODEX_EXEC_SERVER_URL";
    /// Set by Codex when it runs unattended.
    CodexCi = "CODEX_CI";
    /// Set by Codex when its sandbox forbids network access.
    CodexSandboxNetworkDisabled = "CODEX_SANDBOX_NETWORK_DISABLED";
    /// Set by Claude Code in its sandbox, which forbids sockets unless its settings allow them.
    SandboxRuntime = "SANDBOX_RUNTIME";
    /// The user's ssh-agent.
    SshAuthSock = "SSH_AUTH_SOCK";
    /// The token for a signer of the kind `vault`.
    VaultToken = "VAULT_TOKEN";
    /// The same, under OpenBao's name.
    BaoToken = "BAO_TOKEN";
}

/// The environment that a command sees: the process's own, or a fixed one in tests.
#[derive(Debug, Clone, Default)]
pub struct Env {
    fixed: Option<HashMap<String, OsString>>,
    /// What is known better than the environment says it.
    known: Vec<(Var, OsString)>,
}

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Env {
        Env::default()
    }

    /// Whether it is this process's own, so that what the system knows of the user goes with it.
    pub fn is_of_process(&self) -> bool {
        self.fixed.is_none()
    }

    /// A fixed environment.
    pub fn fixed<V: Into<OsString>>(pairs: impl IntoIterator<Item = (Var, V)>) -> Env {
        let pairs = pairs.into_iter().map(|(var, value)| (var.name().to_owned(), value.into()));
        Env { fixed: Some(pairs.collect()), known: Vec::new() }
    }

    /// The same environment, where `var` has this value.
    #[must_use]
    pub fn with(mut self, var: Var, value: impl Into<OsString>) -> Env {
        self.known.push((var, value.into()));
        self
    }

    /// The home folder that a test puts in the place of the password database's, which tests must not touch. A release has no such
    /// variable: whoever runs a command chooses its environment.
    pub fn test_home() -> Option<OsString> {
        if cfg!(debug_assertions) { std::env::var_os("RUNCODE_TEST_HOME") } else { None }
    }

    /// How many seconds a spare waits in a test. A release does not read this variable.
    pub fn test_idle() -> Option<OsString> {
        if cfg!(debug_assertions) { std::env::var_os(Env::TEST_IDLE) } else { None }
    }

    /// The name of that variable.
    pub const TEST_IDLE: &str = "RUNCODE_TEST_IDLE";

    /// What a test uses in place of `/etc`, likewise.
    pub fn test_etc() -> Option<OsString> {
        if cfg!(debug_assertions) { std::env::var_os("RUNCODE_TEST_ETC") } else { None }
    }

    /// The program that a test uses in place of the one that asks the system's keychain. A release has no such variable.
    pub fn test_keychain() -> Option<OsString> {
        if cfg!(debug_assertions) { std::env::var_os("RUNCODE_TEST_KEYCHAIN") } else { None }
    }

    /// The value of a variable that a file of the user's or the operator's names; an empty one counts as unset.
    pub fn named(&self, name: &str) -> Option<OsString> {
        let value = match &self.fixed {
            None => std::env::var_os(name),
            Some(map) => map.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The value of `var`; an empty one counts as unset.
    pub fn var(&self, var: Var) -> Option<OsString> {
        if let Some((_, value)) = self.known.iter().rev().find(|(known, _)| *known == var) {
            return Some(value.clone()).filter(|value| !value.is_empty());
        }
        self.named(var.name())
    }
}
