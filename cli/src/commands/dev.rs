//! `runcode dev`.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use runcode_gateway::{CredentialMode, Options, Plane, WorkspaceSpec};
use serde_json::json;
use zeroize::Zeroizing;

use crate::app::App;
use crate::error::{Code, Error, Result, without_number};
use crate::grant::SshUser;
use crate::integrations::stable_path;
use crate::origin::SessionKey;
use crate::origin::hosted::{BaseUrl, saved_token};
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::output::progress::note;
use crate::output::report::Outcome;
use crate::output::stdout;
use crate::session::attachment::{Attachment, Attachments};
use crate::session::store::Store;
use crate::sys::atomic_file;
use crate::sys::env::Var;
use crate::sys::interrupt::Interrupt;
use crate::transport::Transport;

/// Where programs are looked for when PATH does not say: confstr(3), `_CS_PATH`.
const DEFAULT_PATH: &str = if cfg!(unix) { "/bin:/usr/bin" } else { "" };

/// Run a control plane and an SSH gateway on this machine.
///
/// Folders of this machine become workspaces: every command works on them, without an account. Both listen on
/// loopback only. Commands on such a workspace run as you, in its folder, and are not confined to it.
///
/// With CMD, runs CMD with runcode configured to use this control plane, then ends everything it started. Without CMD, serves
/// until interrupted, and prints the lines that configure another shell.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode dev -- sh -c 'runcode connect demo && runcode exec -- pwd'
  runcode dev --workspace api=./api --workspace web=./web
  runcode dev                              prints three lines for another shell")]
pub struct Args {
    /// The loopback address to listen on; add a port to fix the API's
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = listen)]
    listen: (IpAddr, u16),
    /// The gateway's port [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    ssh_port: u16,
    /// Serve a folder as a workspace; may be given several times [default: a fresh folder called `demo`, kept below --state]
    #[arg(long, value_name = "NAME=DIR", value_parser = workspace)]
    workspace: Vec<(SshUser, PathBuf)>,
    /// What sessions authenticate with
    #[arg(long, value_name = "KIND", default_value = "key", value_parser = ["key", "certificate"])]
    credential: String,
    /// How long a workspace takes to start and to stop, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    boot_delay: u64,
    /// The longest session that is granted, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=86400))]
    max_ttl: u64,
    /// Keep workspaces, users and keys in this folder across restarts
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Write a line of JSON for every request to this file
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Let `runcode login` succeed without a click in the browser
    #[arg(long)]
    auto_authorize: bool,
    /// The command to run with runcode configured to use this control plane
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    command: Vec<OsString>,
}

fn listen(text: &str) -> Result<(IpAddr, u16), String> {
    let address = text.parse::<SocketAddr>().map(|address| (address.ip(), address.port()));
    let address = address.or_else(|_| text.parse::<IpAddr>().map(|ip| (ip, 0)));
    match address {
        Ok((ip, port)) if ip.is_loopback() => Ok((ip, port)),
        Ok(_) => Err("only loopback addresses are served: 127.0.0.1 or ::1".to_owned()),
        Err(_) => Err("not an address such as 127.0.0.1 or 127.0.0.1:4000".to_owned()),
    }
}

fn workspace(text: &str) -> Result<(SshUser, PathBuf), String> {
    let (name, folder) = text.split_once('=').ok_or("write it as NAME=DIR")?;
    let name = SshUser::parse(name).map_err(|why| format!("the name {why}"))?;
    let folder = std::path::absolute(folder).map_err(|error| crate::error::reason(&error))?;
    if folder.is_dir() { Ok((name, folder)) } else { Err(format!("{} is not a folder", folder.named())) }
}

/// Serves until the command ends, or until interrupted.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let interrupt = Interrupt::listen()?;
    let before = Before::remember(app)?;
    let fresh = atomic_file::temporary_dir(stable_path::DEV_FOLDER)?;
    let plane = Plane::start(options(&args, &fresh)?).map_err(failed)?;
    let outcome = if args.command.is_empty() {
        announce(&plane, app).map(|()| {
            interrupt.wait();
            Outcome::Status(0)
        })
    } else {
        command(&args.command, &plane, fresh.path())
            .and_then(|child| supervise(child, &interrupt))
            .map(Outcome::Status)
    };
    let cleaned = forget(&plane.api_base(), app).and_then(|()| before.restore(app));
    plane.stop();
    cleaned.and(outcome)
}

fn options(args: &Args, fresh: &tempfile::TempDir) -> Result<Options> {
    let mut served = args.workspace.clone();
    if served.is_empty()
        && let Some(demo) = demo(args.state.as_deref(), fresh)?
    {
        served.push((SshUser::parse("demo").map_err(|why| Error::new(Code::Error, why))?, demo));
    }
    let spec = |(name, folder): (SshUser, PathBuf)| WorkspaceSpec {
        running: true,
        ..WorkspaceSpec::new(name, folder)
    };
    let credential =
        if args.credential == "certificate" { CredentialMode::Certificate } else { CredentialMode::Key };
    let (listen, http_port) = args.listen;
    Ok(Options {
        listen,
        http_port,
        ssh_port: args.ssh_port,
        workspaces: served.into_iter().map(spec).collect(),
        boot_delay: Duration::from_secs(args.boot_delay),
        credential,
        max_ttl: Duration::from_secs(args.max_ttl),
        auto_authorize: args.auto_authorize,
        state: args.state.clone(),
        access_log: args.access_log.clone(),
        ..Options::default()
    })
}

/// The folder of the default workspace, which lasts as long as the plane's state does. Where that knows of others, there is
/// none unless there was.
fn demo(state: Option<&Path>, fresh: &tempfile::TempDir) -> Result<Option<PathBuf>> {
    let Some(state) = state else {
        let demo = fresh.path().join("demo");
        std::fs::create_dir(&demo).map_err(|error| Error::io("make a temporary folder", error))?;
        return Ok(Some(demo));
    };
    let demo = state.join("demo");
    if !state.join(runcode_gateway::STATE_FILE).exists() {
        atomic_file::private_dir(&demo)?;
    }
    Ok(demo.is_dir().then_some(demo))
}

fn failed(error: runcode_gateway::Error) -> Error {
    let failed = Error::new(Code::Error, format!("cannot serve: {}", without_number(&error)));
    match error {
        runcode_gateway::Error::Bind { .. } => {
            failed.hint("choose another port, or leave it out to use a free one")
        }
        _ => failed,
    }
}

/// What points `runcode` at the plane.
fn environment(plane: &Plane) -> [(&'static str, String); 3] {
    [
        (Var::RuncodeApiBase.name(), plane.api_base()),
        (Var::RuncodeWebBase.name(), plane.web_base()),
        (Var::RuncodeToken.name(), plane.token().to_owned()),
    ]
}

fn announce(plane: &Plane, app: &App) -> Result<()> {
    let mut text = environment(plane).map(|(name, value)| format!("export {name}={value}\n")).concat();
    if app.is_json() {
        let [(_, api_base), (_, web_base), (_, token)] = environment(plane);
        let gateway = plane.gateway_addr().to_string();
        text = format!(
            "{}\n",
            json!({ "api_base": api_base, "web_base": web_base, "token": token, "gateway": gateway })
        );
    }
    stdout::write(text.as_bytes())?;
    note(format!(
        "serving on this machine only: API {}, SSH gateway {}",
        plane.api_base(),
        plane.gateway_addr()
    ));
    note("commands on the workspaces run as you; point a shell here with the lines above; Ctrl-C ends it");
    Ok(())
}

/// Starts the command with `runcode` pointed at the plane, and this very binary first on PATH under that name: in a folder
/// below `fresh` that holds nothing else, since anything may lie beside the binary.
fn command(words: &[OsString], plane: &Plane, fresh: &Path) -> Result<Child> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Error::new(Code::Usage, "there is no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment(plane)).env_remove(Var::RuncodeClient.name());
    let folder = fresh.join("bin");
    atomic_file::private_dir(&folder)?;
    link(&folder).map_err(|error| Error::io("put this program into a temporary folder", error))?;
    command.env(Var::Path.name(), path_with(folder, std::env::var_os(Var::Path.name()))?);
    command.spawn().map_err(|error| not_run(&program.to_string_lossy(), error))
}

/// Makes this very binary available as `runcode` in `folder`: by a link, or by a copy where there are none.
fn link(folder: &Path) -> std::io::Result<()> {
    let own = std::env::current_exe()?;
    let name = folder.join("runcode").with_extension(std::env::consts::EXE_EXTENSION);
    #[cfg(unix)]
    return std::os::unix::fs::symlink(own, name);
    #[cfg(not(unix))]
    return std::fs::hard_link(&own, &name).or_else(|_| std::fs::copy(&own, &name).map(drop));
}

/// `folder`, and then what PATH has. An empty one would name the working directory, where anything may lie.
fn path_with(folder: PathBuf, path: Option<OsString>) -> Result<OsString> {
    let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.into());
    let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).map_err(|error| {
        Error::new(Code::Error, "the path of the temporary folder cannot be used in PATH")
            .hint("set TMPDIR to a folder with a plainer name")
            .source(error)
    })
}

/// A command that could not be started ends as a shell ends then: 127 when there is none of that name, else 126.
fn not_run(program: &str, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::new(Code::NotFound, format!("there is no program {} on PATH", foreign::word(program)))
            .hint("to run a line of shell: runcode dev -- sh -c '…'")
            .source(error)
            .ending_with(127);
    }
    Error::io(format_args!("run {}", foreign::word(program)), error).ending_with(126)
}

/// Waits for the command. A Ctrl-C reaches it by itself, being of the same terminal; another signal is passed on.
fn supervise(mut child: Child, interrupt: &Interrupt) -> Result<u8> {
    let failed = |error| Error::io("wait for the command", error);
    let mut passed_on = false;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status_of(status));
        }
        if !passed_on && let Some(signal) = interrupt.signal() {
            passed_on = true;
            crate::sys::platform::pass_on(&mut child, signal).map_err(failed)?;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn status_of(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(255);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// What the user had before: a command that connects or logs in within takes its place, and it comes back afterwards.
struct Before {
    attachments: Vec<Attachment>,
    files: Vec<(PathBuf, Option<Zeroizing<Vec<u8>>>)>,
}

impl Before {
    fn remember(app: &App) -> Result<Before> {
        let paths = app.paths()?;
        let read =
            |path: PathBuf| Ok((path.clone(), atomic_file::read(&path, 64 * 1024)?.map(Zeroizing::new)));
        let files = [paths.token_origin(), paths.token()];
        let files = files.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Before { attachments: Attachments::new(paths).all().unwrap_or_default(), files })
    }

    /// Puts back what is gone.
    fn restore(self, app: &App) -> Result<()> {
        let attachments = app.attachments()?;
        self.attachments.iter().try_for_each(|attachment| attachments.restore(attachment))?;
        for (path, content) in self.files {
            if let Some(content) = content.filter(|_| !path.exists()) {
                atomic_file::write(&path, &content, 0o600)?;
            }
        }
        Ok(())
    }
}

/// Drops what was made with the plane: its sessions and their connections, its attachments, a token of its.
fn forget(api_base: &str, app: &App) -> Result<()> {
    let paths = app.paths()?;
    let store = Store::new(paths);
    let is_its = |key: &SessionKey| key.api_base().is_some_and(|base| base.to_string() == api_base);
    let locked = app.attachments()?.lock()?;
    for attachment in locked.all().unwrap_or_default().iter().filter(|attachment| is_its(&attachment.key)) {
        locked.remove(attachment)?;
    }
    drop(locked);
    for session in store.sessions()?.into_iter().filter(|session| is_its(&session.meta.key)) {
        let locked = store.lock(&session.meta.key)?;
        Transport::new(session.route(), app.env()).end_master()?;
        locked.remove()?;
    }
    saved_token::forget(paths, Some(&BaseUrl::parse(api_base)?)).map(|_| ())
}
