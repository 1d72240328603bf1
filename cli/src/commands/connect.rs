//! `runcode connect`.

mod approved;
mod certified;
mod own_host;
mod patience;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::App;
use crate::commands::connect::own_host::keep_seconds;
use crate::commands::connect::patience::{Patience, Pauses};
use crate::error::{Code, Error, Result};
use crate::grant::WebUrl;
use crate::integrations::claude_settings;
use crate::origin::{OriginId, Origins as _, SessionKey, Target, Terms, Ungranted};
use crate::output::foreign::FileName as _;
use crate::output::foreign::{self, Name};
use crate::output::progress::{Waiting, note};
use crate::output::report::{Outcome, Report, Text};
use crate::session::attachment::{Routing, attach};
use crate::session::audit::Action;
use crate::session::live::{Obtained, Want};
use crate::session::mint::{DEFAULT_TTL, Order};
use crate::session::{Session, Sessions};
use crate::sys::atomic_file;
use crate::sys::clock;
use crate::sys::location::Location;
use crate::transport::Way;

/// Open a session to a workspace and attach it to this folder.
///
/// `exec`, the file verbs and `forward` then work on it, in this folder and below. Every folder can have its own. A session that is still valid is reused. The key is made on
/// this machine; only its public half leaves it.
#[derive(clap::Args, Default)]
#[command(after_help = "\
Examples:
  runcode connect my-ws                   open a session, attach the workspace
  runcode connect my-ws --start --wait    boot it, return when SSH answers
  runcode connect 1234 --json             by id, for programs
  runcode connect my-ws --here ~/proj     attach it to another folder
  runcode connect my-ws --route           and run Claude Code's tools on it
  runcode connect gpu                     a server of your servers.toml
  runcode connect prod --request          ask for more than its profiles
  runcode connect prod --approval ID      open it, once somebody has approved it
  runcode connect buildhost               a host of your ~/.ssh/config
  runcode connect ssh:me@10.0.0.7         any host that ssh reaches
  runcode connect ssh:hpc --interactive --keep 8h
                                          log in once, for your agent")]
pub struct Args {
    /// The workspace: its id, title or custom title; a server; or a host that your ssh reaches
    workspace: String,
    /// Boot the workspace if it is stopped
    #[arg(long)]
    start: bool,
    /// Wait until an SSH command has been answered
    #[arg(long)]
    wait: bool,
    /// How long --start and --wait may take in total, in seconds [default: 180, once the machine was told to start]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: Option<u64>,
    /// The session lifetime to request, in seconds; for an approved session, how long it lasts [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    ttl: Option<u64>,
    /// Make a new key and a new session, even if a valid one exists
    #[arg(long)]
    force: bool,
    /// On a host of your own: the folder where commands run [default: the login folder]
    #[arg(long, value_name = "DIR")]
    workdir: Option<String>,
    /// On a host of your own: log in at this terminal; later commands use that connection
    #[arg(long)]
    interactive: bool,
    /// On a server that requires approvals: use this approval to open a session in which any command may run
    #[arg(long, value_name = "REF", conflicts_with_all = ["request", "interactive", "force"])]
    approval: Option<String>,
    /// Only write the request for such a session, for an approver to sign
    #[arg(long, conflicts_with_all = ["interactive", "force", "start", "wait"])]
    request: bool,
    /// End an approved session after this many seconds without a command [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    idle: Option<u64>,
    /// Route the folder: Claude Code's own tools then run on the workspace; see `runcode route --help`
    #[arg(long, conflicts_with_all = ["approval", "request"])]
    route: bool,
    /// Let agents in sandboxes reach the workspace, through a helper
    #[arg(long, requires = "route")]
    sandboxes: bool,
    /// Attach it to this folder instead of the current one
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    here: Option<PathBuf>,
    /// With --interactive: how long the connection stays after its last use, such as 30m or 8h [default: 5m]
    #[arg(long, value_name = "TIME", requires = "interactive", value_parser = keep_seconds)]
    keep: Option<u32>,
}

impl Args {
    /// To attach `workspace` once it answers, within so many seconds; booted first where it is to `start`.
    pub fn to_wait_for(workspace: String, start: bool, seconds: u64) -> Args {
        Args { workspace, start, wait: true, timeout: Some(seconds), ..Args::default() }
    }
}

struct Connected {
    session: Session,
    folder: Location,
    reused: bool,
    started: bool,
    statusline_installed: bool,
    /// Whether the folder should be routed, and afterwards whether it is.
    routing: bool,
    /// Likewise, whether agents in sandboxes should reach the workspace, and whether they do.
    helper: bool,
    /// On a server that runs only its profiles: what its owner allows.
    terms: Option<Terms>,
}

impl Report for Connected {
    fn json(&self) -> Value {
        let meta = &self.session.meta;
        let route = self.session.route();
        let (config, arguments) = match &route.way {
            Way::Config { config, alias, .. } => {
                (Some(config), vec!["-F".into(), config.into(), alias.into()])
            }
            Way::External(host) => (None, host.arguments().unwrap_or_default()),
        };
        let words = ["ssh".into()].into_iter().chain(arguments);
        let command = words.map(|word: OsString| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
        // If only profiles may run, say nothing about ways around them or around the audit log.
        let approved = meta.approved.as_ref();
        let is_free = self.terms.is_none() && approved.is_none();
        let config = config.filter(|_| is_free);
        let mode = match (&self.terms, approved) {
            (Some(_), _) => Some("restricted"),
            (None, Some(_)) => Some("unrestricted"),
            (None, None) => None,
        };
        json!({
            "origin": meta.key.origin().word(),
            "name": meta.title.json(),
            "alias": is_free.then_some(&meta.alias),
            "environment": meta.access.server().and_then(|it| it.environment.as_ref()).map(Name::json),
            "config": config.map(|config| config.to_string_lossy()),
            "command": is_free.then_some(command),
            "host": meta.access.host(),
            "port": meta.access.port(),
            "user": meta.access.user(),
            "web_url": meta.web_url.as_ref().map(WebUrl::text),
            "workdir": meta.workdir,
            "expires_at": meta.lifetime.expires_at().map(|end| end.to_string()),
            "started": self.started,
            "reused": self.reused,
            "workspace_id": meta.key.workspace_id(),
            "shared": meta.shared,
            "statusline_installed": self.statusline_installed,
            "folder": self.folder.real().to_str(),
            "mode": mode,
            "session_id": approved.map(|approved| &approved.session_id),
            "ttl_seconds": approved.map(|_| meta.ttl_seconds),
            "idle_seconds": approved.map(|approved| approved.idle_seconds),
            "routing": self.routing,
            "sandboxes_reach_it": self.helper,
        })
    }

    fn text(&self, text: &mut Text) {
        let meta = &self.session.meta;
        let how = match (&self.terms, self.reused) {
            (Some(_), _) => "for its profiles, without a connection",
            (None, true) => "session reused",
            (None, false) => "new session",
        };
        if let (Some(approved), Some(end)) = (&meta.approved, meta.lifetime.expires_at()) {
            text.line(format!(
                "✓ Attached {}: approved, any command until {}",
                self.session.shown(),
                end.strftime("%H:%M:%S UTC")
            ));
            text.line(format!("  also ends after {} s without a command", approved.idle_seconds));
            return text.line("  next: runcode exec -- ls");
        }
        let left = match (meta.lifetime.seconds_left(clock::now()), meta.personal_keep) {
            (Some(seconds), _) => format!(", {} min left", seconds.div_ceil(60)),
            (None, Some(keep)) if keep % 3600 == 0 => {
                format!(", kept for {} h after its last use", keep / 3600)
            }
            (None, Some(keep)) => format!(", kept for {} min after its last use", keep / 60),
            (None, None) => String::new(),
        };
        text.line(format!("✓ Attached {}: {how}{left}", self.session.shown()));
        if let Some(environment) = meta.access.server().and_then(|it| it.environment.as_ref()) {
            text.line(format!("  environment: {environment}"));
        }
        if let Some(url) = &meta.web_url {
            text.line(format!("  on the web: {url}"));
        }
        if let Some(workdir) = &meta.workdir {
            text.line(format!("  works in {workdir}"));
        }
        match &self.terms {
            Some(terms) => {
                text.line(format!("  {}", terms.summary()));
                text.line(format!("  next: {}", terms.next_step()));
            }
            None if self.routing => {
                text.line("  routed: Claude Code's Bash, Monitor and `!` in this folder run there");
                if self.helper {
                    text.line("  so do commands in agents' sandboxes, through a helper; nobody is asked about those");
                }
                text.line("  to stop routing: runcode route off");
            }
            None => text.line("  next: runcode exec -- ls"),
        }
    }
}

/// Boots when asked, mints or reuses, waits when asked, attaches.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let patience = Patience::new(&args.workspace, args.timeout, args.start || args.wait, app.cancel())?;
    let folder = folder(args.here.as_deref(), app)?;
    // Other ways have words of their own.
    let is_silent = !(args.start || args.wait || args.interactive);
    let waited = || format!("connecting to {}…", foreign::word(&args.workspace));
    let _waiting = is_silent.then(|| Waiting::begin(waited()));
    let sessions = app.sessions()?;
    let target = app.resolve(&args.workspace)?;
    if matches!(target.key.origin(), OriginId::Ssh | OriginId::Server) {
        return own_host::connect(&args, app, &target, folder, &patience);
    }
    own_host::refuse_options(&args)?;
    let started = args.start && boot(app, &target, &patience)?;
    let obtained = open(&args, &sessions, &target.key, started, &patience);
    let obtained = obtained.map_err(|failure| failure.about(&args.workspace))?;
    let Obtained { session, reused } = if args.wait {
        let meta = obtained.session.meta.clone();
        let session = wait(&sessions, obtained.session, &patience)?;
        Obtained { reused: obtained.reused && session.meta == meta, session }
    } else {
        sessions.warm(obtained)?
    };
    patience.check()?;
    let connected = Connected {
        session,
        folder,
        reused,
        started,
        statusline_installed: false,
        routing: args.route,
        helper: args.sandboxes,
        terms: None,
    };
    attached(app, connected)
}

/// The folder to attach to. That there is one is seen before anything is made.
fn folder(here: Option<&Path>, app: &App) -> Result<Location> {
    let Some(here) = here else {
        return app.folder().map_err(|error| error.hint("name the folder to attach to with --here DIR"));
    };
    let doing = |error| Error::io(format_args!("read {}", here.named()), error);
    if !std::fs::metadata(here).map_err(doing)?.is_dir() {
        return Err(Error::new(Code::Usage, format!("--here {} is not a folder", here.named())));
    }
    Ok(Location::of(&std::path::absolute(here).map_err(doing)?))
}

/// Attaches, and says so.
fn attached(app: &App, connected: Connected) -> Result<Outcome> {
    let wanted = Routing { is_on: connected.routing, sandboxes: connected.helper };
    let routing = attach(&connected.session, &connected.folder, app.attachments()?, wanted)?;
    let helper = routing.sandboxes && app.start_helper();
    if let Some(named) = app.named(None) {
        let words = foreign::word(&named.words);
        note(format!("note: RUNCODE_WORKSPACE is set, so commands mean {words} and not what is attached"));
    }
    Ok(Connected {
        statusline_installed: is_statusline_installed(app),
        routing: routing.is_on,
        helper,
        ..connected
    }
    .into())
}

/// Whether Claude Code's settings show our status line already. What cannot be read counts as no.
fn is_statusline_installed(app: &App) -> bool {
    let settings = claude_settings::file(app.env()).ok();
    let content = settings.and_then(|path| atomic_file::read(&path, 4 * 1024 * 1024).ok().flatten());
    content.is_some_and(|content| claude_settings::installed(&content).is_some())
}

/// Boots the workspace unless it is up, and waits until it is; says whether it had to.
fn boot(app: &App, target: &Target, patience: &Patience) -> Result<bool> {
    let origin = app.origin(target.key.origin())?;
    let listed = match target.row.as_ref().and_then(|row| row.state.clone()) {
        Some(state) => Some(state),
        None => origin.state(&target.key)?,
    };
    if listed.as_ref().is_some_and(|state| state.raw() == "running") {
        return Ok(false);
    }
    let start = || origin.start(&target.key, patience.for_start());
    app.sessions()?.recorded(&target.key, Action::named("start"), start)?;
    patience.starts();
    // One whose state nobody tells (a team's workspace) cannot be watched: whether it is up shows when the session is asked for.
    if listed.is_none() {
        return Ok(true);
    }
    let mut pauses = Pauses::new();
    loop {
        match origin.state(&target.key)? {
            Some(state) if state.raw() == "running" => return Ok(true),
            state if patience.is_over() => {
                let (name, state) = (target.key.shown(None), state.unwrap_or_else(|| "gone".into()));
                return Err(not_ready(&format!("workspace {name} is still {state}")));
            }
            _ => pauses.next(patience)?,
        }
    }
}

/// The session. Right after a boot the control plane may take a moment to grant one.
fn open(
    args: &Args,
    sessions: &Sessions<'_>,
    key: &SessionKey,
    started: bool,
    patience: &Patience,
) -> Result<Obtained, Ungranted> {
    let asked = args.ttl.map(Duration::from_secs);
    if !args.force && !started {
        return sessions.obtain(key, asked.map_or(Want::Fresh, Want::Lasting));
    }
    let order = Order { ttl: asked.unwrap_or(DEFAULT_TTL), new_key: true };
    let mut pauses = Pauses::new();
    loop {
        match sessions.obtain(key, Want::New(order)) {
            Err(Ungranted::NotRunning(_)) if started && !patience.is_over() => pauses.next(patience)?,
            Err(Ungranted::NotRunning(error)) if started => return Err(not_ready(error.message()).into()),
            done => return done,
        }
    }
}

/// Waits until a command has been answered. The session is healed once, at the first try.
fn wait(sessions: &Sessions<'_>, session: Session, patience: &Patience) -> Result<Session> {
    let goes_on = || !patience.is_over() && patience.check().is_ok();
    let probed = sessions.revive(&session).and_then(|session| {
        sessions.probe(&session, &goes_on)?;
        Ok(session)
    });
    let mut failure = match probed {
        Ok(session) => return Ok(session),
        Err(error) if error.code() != Code::Transport => return Err(error),
        Err(error) => error,
    };
    patience.check()?;
    refuse_dead_proxy(sessions, &session)?;
    note("waiting for SSH…");
    let mut pauses = Pauses::new();
    while !patience.is_over() {
        pauses.next(patience)?;
        let current = sessions.store().read(&session.meta.key)?.unwrap_or_else(|| session.clone());
        match sessions.probe(&current, &goes_on) {
            Ok(()) => return Ok(current),
            Err(error) => failure = error,
        }
        refuse_dead_proxy(sessions, &current)?;
    }
    Err(not_ready(failure.message()))
}

/// Fails if the proxy does not answer: then waiting is of no use.
fn refuse_dead_proxy(sessions: &Sessions<'_>, session: &Session) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let transport = sessions.transport(session);
    let proxy = transport.proxy().filter(|proxy| proxy.is_ours());
    proxy.map_or(Ok(()), |proxy| proxy.check(PATIENCE))
}

fn not_ready(why: &str) -> Error {
    Error::new(Code::NotReady, format!("the workspace was not ready in time: {why}"))
        .hint("try again, or raise --timeout")
}
