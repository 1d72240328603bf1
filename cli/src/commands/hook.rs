//! `runcode hook`.

mod asked;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::app::{App, Named};
use crate::error::{Code, Error, Result};
use crate::hooks::gate::{self, Answer, Project, ToolCall};
use crate::hooks::{asked as words, road, session_start};
use crate::integrations::codex_environments;
use crate::origin::SessionKey;
use crate::output::foreign;
use crate::output::progress::note;
use crate::output::report::Outcome;
use crate::session::attachment::{Attachment, Attachments, elsewhere};
use crate::session::execution::execute;
use crate::session::resolve::known_here;
use crate::session::store::Store;
use crate::sys::env::{Env, Var};
use crate::sys::location::Location;
use crate::sys::paths;
use crate::sys::subprocess;

/// The longest call that is read, in bytes.
const MAX_INPUT: u64 = 64 << 20;

/// The status that makes the client refuse a call.
const BLOCKED: u8 = 2;

/// The status of a shell that did not find a program.
const NOT_FOUND: u8 = 127;

/// How long a shell may take to read a command.
const READING: Duration = Duration::from_secs(4);

/// Answer an agent client's hook with JSON. The plugins call it.
///
/// Without an event it reads the client's document from stdin: the start of a session, or a tool call to decide about.
#[derive(clap::Args)]
#[command(hide = true, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// The client's current folder, by the client's name for it
    #[arg(long, value_name = "DIR")]
    reached: Option<PathBuf>,
    /// It is Codex that asks
    #[arg(long)]
    codex: bool,
    #[command(subcommand)]
    event: Option<Event>,
}

#[derive(clap::Subcommand)]
enum Event {
    /// A session starts: says which workspace this folder is attached to, or nothing
    SessionStart,
    /// Print `on` or `off`: whether the tools of sessions in this project are routed
    Routing {
        /// The project's folder
        project: PathBuf,
    },
    /// Print `here` for a command that belongs on this machine, else `there`
    Where {
        /// The command
        text: String,
    },
    /// Run a command on the workspace that the project is routed to
    Road {
        /// The project's folder
        project: PathBuf,
        /// The command
        text: String,
    },
}

impl Args {
    /// Whether the status is that of a command on the workspace.
    pub fn passes_status(&self) -> bool {
        matches!(self.event, Some(Event::Road { .. }))
    }
}

/// What a client says at an event; the rest of the document is the call.
#[derive(Deserialize)]
struct Happening {
    hook_event_name: String,
    session_id: Option<String>,
    cwd: Option<PathBuf>,
}

/// Answers. A session's start says nothing, whatever goes wrong; a call that nobody can decide is refused.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let line = |text: &str| Ok(Outcome::Raw(format!("{text}\n").into_bytes()));
    match args.event {
        Some(Event::SessionStart) => said(session_start(app)),
        Some(Event::Routing { project }) => {
            line(if routed(&project, None, app)?.is_some() { "on" } else { "off" })
        }
        Some(Event::Where { text }) => line(if asked::is_for_here(&text, app)? { "here" } else { "there" }),
        Some(Event::Road { project, text }) => take_road(&project, &text, app),
        None => {
            happened(args.reached.as_deref(), args.codex, app).map_err(|error| error.ending_with(BLOCKED))
        }
    }
}

fn said(answer: Option<String>) -> Result<Outcome> {
    Ok(Outcome::Raw(answer.map(|answer| format!("{answer}\n").into_bytes()).unwrap_or_default()))
}

fn happened(reached: Option<&Path>, is_codex: bool, app: &App) -> Result<Outcome> {
    let mut input = Vec::new();
    let stdin = std::io::stdin().lock();
    let read = stdin.take(MAX_INPUT + 1).read_to_end(&mut input);
    read.map_err(|error| Error::io("read the call from stdin", error))?;
    let unread = |_| {
        Error::new(Code::Usage, "the client's tool call cannot be read, so nothing was run")
            .hint("tell the user: this version of runcode may not work with their client")
    };
    let happening = serde_json::from_slice::<Happening>(&input).map_err(unread)?;
    let project = app.env().var(Var::ClaudeProjectDir).map(PathBuf::from);
    let project = project.or(happening.cwd).filter(|project| project.is_absolute());
    let project = project.ok_or_else(|| {
        Error::new(Code::Usage, "the client did not name the project folder, so nothing was run")
            .hint("tell the user: this version of runcode may not work with their client")
    })?;
    let event = &*happening.hook_event_name;
    if matches!(event, "SessionStart" | "SubagentStart") {
        let attachment = routed(&project, reached, app).ok().flatten();
        return said(match attachment {
            Some(attachment) => {
                if let (Some(session), Ok(attachments)) = (&happening.session_id, app.attachments()) {
                    attachments.hear(session);
                }
                restart_helper(&attachment, app);
                Some(session_start::answer_routed(event, &attachment.key))
            }
            None if event == "SessionStart" => session_start(app),
            None => None,
        });
    }
    if event != "PreToolUse" {
        return said(None);
    }
    let Some(attachment) = routed(&project, reached, app)? else { return said(None) };
    if let Some(session) = &happening.session_id {
        app.attachments()?.hear(session);
    }
    restart_helper(&attachment, app);
    app.attachments()?.forget_asked(happening.session_id.as_deref().unwrap_or_default());
    refuse_replaced_words()?;
    let call = serde_json::from_slice::<ToolCall>(&input).map_err(unread)?;
    let shown = attachment.shown();
    let names_one = app.named(None).is_some() || call.tool_input.contains_key("workspace");
    let project = around(&project, reached, &attachment, names_one, app)?;
    let answer = match is_codex {
        true if works_there(app.env()) => Answer::Here,
        true => gate::decide_for_codex(&call, &project, &shown),
        false => {
            let answer = gate::decide(&call, &project, is_whole);
            asked::with_word(answer, &call, happening.session_id.as_deref(), app)?
        }
    };
    said(answer.document(&shown).map(|document| document.to_string()))
}

/// Starts the helper for commands in sandboxes unless it runs or the user does not want it. If that fails, those commands say so.
#[cfg(target_os = "linux")]
fn restart_helper(attachment: &Attachment, app: &App) {
    if !attachment.routing().sandboxes {
        return;
    }
    let _ = app.sessions().and_then(|sessions| crate::session::helper::ensure(&sessions, false));
}

/// The sandboxes of other systems have not been tried.
#[cfg(not(target_os = "linux"))]
fn restart_helper(_: &Attachment, _: &App) {}

/// Whether Codex's own tools work on the workspace already, by the variable of `runcode codex` or the file of `install-codex`.
fn works_there(env: &Env) -> bool {
    let by_variable = env.var(Var::CodexExecServerUrl);
    if let Some(address) = by_variable {
        return address.to_string_lossy().starts_with("ws://127.0.0.1:");
    }
    let content = codex_environments::file(env).and_then(|file| Ok(std::fs::read(file)?));
    content.is_ok_and(|content| codex_environments::leads_to_us(&content))
}

/// The attachment that tools in this project are routed to. A project's settings can name another home or cache: if the user's
/// own cache says that the project is routed, that is an error.
fn routed(project: &Path, reached: Option<&Path>, app: &App) -> Result<Option<Attachment>> {
    let names = locations(project, reached);
    if let Some(found) = app.attachments()?.routed(&names)? {
        return Ok(Some(found));
    }
    let own = app.paths()?.cache();
    for paths in elsewhere::caches()?.iter().filter(|paths| paths.cache() != own) {
        if Attachments::new(paths).routed(&names)?.is_some() {
            return Err(Error::new(
                Code::Conflict,
                "this project is routed to a workspace, but HOME or XDG_CACHE_HOME points to another cache, so nothing was run",
            )
            .hint("tell the user: the project's settings may set these variables"));
        }
    }
    Ok(None)
}

/// The project by the client's name for it, and by the name through which the user reached it.
fn locations(project: &Path, reached: Option<&Path>) -> Vec<Location> {
    let named = Location::of(project);
    let reached = reached.filter(|path| path.is_absolute()).map(Location::of);
    let reached = reached.filter(|reached| reached.real().starts_with(named.real()) && *reached != named);
    [Some(named), reached].into_iter().flatten().collect()
}

/// `names_one`: whether the call or a variable names a workspace.
fn around(
    project: &Path,
    reached: Option<&Path>,
    attachment: &Attachment,
    names_one: bool,
    app: &App,
) -> Result<Project> {
    let mut folders = locations(project, reached)
        .iter()
        .flat_map(|it| [Some(it.real().to_owned()), it.given().map(Path::to_owned)])
        .flatten()
        .collect::<Vec<_>>();
    folders.extend([&attachment.folder, &attachment.given].into_iter().flatten().map(PathBuf::from));
    // Most calls name none, and need not wait for that.
    let names = if names_one { asked::names(attachment, app) } else { Vec::new() };
    let session = Store::new(app.paths()?).read(&attachment.key)?;
    let workdir = session.and_then(|session| session.meta.workdir);
    Ok(Project {
        folders,
        workdir: workdir
            .map(|workdir| PathBuf::from(workdir.as_str()))
            .filter(|workdir| workdir.is_absolute()),
        home: paths::home(app.env()).ok(),
        programs: programs(app),
        is_another_named: app.named(None).is_some_and(|named| !names.contains(&named.words)),
        names,
    })
}

/// The paths of the plugin's launcher, for a shell that does not find `runcode`.
fn programs(app: &App) -> Vec<String> {
    let launcher = app.env().var(Var::RuncodeLauncher).map(PathBuf::from);
    let root = launcher.and_then(|launcher| launcher.parent()?.parent()?.canonicalize().ok());
    let programs = root.map(|root| root.join("bin/runcode").to_string_lossy().into_owned());
    programs.into_iter().collect()
}

/// Words of the road and the guard that bash would take from a variable instead, as functions (bash(1), `export -f`).
const REPLACEABLE: [&str; 16] = [
    ".",
    "[",
    "builtin",
    "command",
    "echo",
    "eval",
    "exec",
    "exit",
    "false",
    "printf",
    "return",
    "runcode_routed",
    "runcode_routed_apart",
    "set",
    "test",
    "type",
];

/// Refuses variables that change what the words of the road and the guard do. A project's settings can set them.
fn refuse_replaced_words() -> Result<()> {
    let is_replacing = |name: &str| {
        let function =
            name.strip_prefix("BASH_FUNC_").map(|rest| rest.trim_end_matches("%%").trim_end_matches("()"));
        function.is_some_and(|function| REPLACEABLE.contains(&function))
            || matches!(name, "SHELLOPTS" | "BASHOPTS")
    };
    let found =
        std::env::vars_os().find_map(|(name, _)| name.into_string().ok().filter(|name| is_replacing(name)));
    match found {
        None => Ok(()),
        Some(name) => Err(Error::new(
            Code::Conflict,
            format!(
                "the variable {} changes what the shell's own words do, so nothing was run",
                foreign::word(&name)
            ),
        )
        .hint("tell the user: unset it, or look where the project's settings set it")),
    }
}

/// Whether the shells that may read a command read it as complete commands. They run nothing.
fn is_whole(command: &str) -> bool {
    let reads = |shell: &str, options: &[&str]| {
        let mut reader = Command::new(shell);
        // As the client's shell reads it, whatever options variables set.
        let path = std::env::var_os("PATH").unwrap_or_default();
        reader.args(options).args(["-n", "-c", command]).env_clear().env("PATH", path);
        match subprocess::run(&mut reader, READING, 4096) {
            Ok(finished) => finished.is_some_and(|finished| finished.status.success()),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    };
    // Whichever of the two the client takes: it does not always go by SHELL.
    reads("bash", &["--norc"]) && reads("zsh", &["-f"])
}

/// Whatever fails, tells the model what to do.
fn take_road(project: &Path, text: &str, app: &App) -> Result<Outcome> {
    travel(project, text, app).map_err(|error| match error.next_step() {
        Some(_) => error,
        None => error
            .hint("it was not run on this machine either; tell the user that `runcode doctor` shows more"),
    })
}

fn travel(project: &Path, text: &str, app: &App) -> Result<Outcome> {
    if gate::own_command(words::take_off(text).0, &programs(app)).is_some() {
        return Err(Error::new(
            Code::Conflict,
            "this command would run on this machine, and the user has not been asked, so nothing was run",
        )
        .hint("run it with the Bash tool, by itself"));
    }
    let attachment = routed(project, None, app)?.ok_or_else(|| {
        Error::new(Code::Conflict, "routing has just been turned off, so nothing was run")
            .hint("run it again")
    })?;
    let sessions = app.sessions()?;
    let session = sessions.attached_by(&attachment)?;
    let names = [&attachment.folder, &attachment.given].into_iter().flatten().map(PathBuf::from);
    let names = names.chain([project.to_owned()]).collect::<Vec<_>>();
    let agent = app.env().var(Var::ClaudeCodeSessionId).map(|id| id.to_string_lossy().into_owned());
    let execution = road::execution(text, agent.as_deref(), &names);
    let status = execute(&sessions, &session, &execution)?;
    if status == NOT_FOUND && text.contains("runcode ") {
        note(
            "runcode: this was sent to the workspace; a runcode command runs on this machine only if it stands alone",
        );
    }
    Ok(Outcome::Status(status))
}

fn session_start(app: &App) -> Option<String> {
    let folder = Location::current(app.env()).ok()?;
    let key = match app.named(None) {
        Some(named) => with_session(&named, app)?,
        None => app.attachments().ok()?.applying(Some(&folder)).ok()?.of_project(&folder)?.key,
    };
    Some(session_start::answer(&key))
}

/// The workspace that a variable names, where it has a session here: a project's settings can make up any other word, and a
/// model reads the answer as ours.
fn with_session(named: &Named, app: &App) -> Option<SessionKey> {
    let sessions = app.sessions().ok()?;
    let key = known_here(&named.words, &sessions).ok()??;
    Some(sessions.store().read(&key).ok()??.meta.key)
}
