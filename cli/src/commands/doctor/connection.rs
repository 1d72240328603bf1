//! What the control plane and the attached workspace say.

use std::time::Duration;

use super::{Check, machine};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::integrations::editor_shapes;
use crate::integrations::ssh_config_block::{Caller, Host, MARKERS, Title, body};
use crate::integrations::stable_path;
use crate::openssh::SshBinary;
use crate::openssh::config::quoted;
use crate::origin::SessionKey;
use crate::origin::hosted::saved_token;
use crate::origin::hosted::token::Source;
use crate::origin::names::few;
use crate::output::foreign;
use crate::session::attachment::{Applying, ambiguous, gone, linked};
use crate::session::store::{IDENTITY, KNOWN_HOSTS, host_key_alias};
use crate::session::{Session, policy};
use crate::sys::{atomic_file, clock};
use crate::transport::http_proxy::Proxy;

/// How long a proxy may take to accept a connection.
const PROXY_PATIENCE: Duration = Duration::from_secs(5);

/// Whether a token may be sent there at all.
pub(super) fn api_base(app: &App) -> Check {
    match app.api_base() {
        Ok(base) => Check::ok("api-base", base.to_string()),
        Err(error) => Check::failed("api-base", &error),
    }
}

/// Which proxy leads to gateways, if any is named.
pub(super) fn proxy(app: &App) -> Option<Check> {
    const NAME: &str = "proxy";
    let found = Proxy::of_environment(app.env()).map_err(|error| Check::failed(NAME, &error));
    let detail = |proxy: Proxy| {
        let otherwise = if proxy.is_ours() { "" } else { "; if it refuses, runcode connects without it" };
        match proxy.check(PROXY_PATIENCE) {
            Ok(()) => Check::ok(NAME, format!("gateways are reached through {}{otherwise}", proxy.shown())),
            Err(error) if proxy.is_ours() => Check::failed(NAME, &error),
            Err(error) => {
                let why = format!("{}; runcode connects without it", error.message());
                Check::warn(NAME, why, error.next_step().unwrap_or_default())
            }
        }
    };
    found.map_or_else(Some, |found| found.map(detail))
}

/// Whether there is a token, from where, and to whom it goes; never which.
pub(super) fn token(app: &App) -> Check {
    const NAME: &str = "token";
    let found = app.token_source().and_then(|source| Ok((source, app.api_base()?)));
    let (source, base) = match found {
        Ok(found) => found,
        // Hosts of one's own need none.
        Err(error) if error.code() == Code::NoToken => {
            let mend = "`runcode login` for a control plane's workspaces; a host that your ssh reaches needs none: \
                        `runcode connect ssh:HOST`, and `runcode doctor ssh:HOST` when that fails";
            return with_saved(Check::warn(NAME, error.message(), mend), app);
        }
        Err(error) => return with_saved(Check::failed(NAME, &error), app),
    };
    let is_saved =
        || app.paths().and_then(|paths| saved_token::saved(paths, base)).is_ok_and(|saved| saved.is_some());
    let from = match source {
        Source::Given => "from the command line",
        Source::Variable if is_saved() => "from RUNCODE_TOKEN (one is saved, too)",
        Source::Variable => "from RUNCODE_TOKEN; editors need a saved one: `runcode login`",
        Source::Saved if machine::has_token_variable(app) => {
            "saved by `runcode login`; RUNCODE_TOKEN is for another base"
        }
        Source::Saved => "saved by `runcode login`",
    };
    with_saved(Check::ok(NAME, format!("sent to {base} ({}), {from}", app.base_source())), app)
}

/// Adds which control planes a token is saved for.
fn with_saved(check: Check, app: &App) -> Check {
    match app.paths().and_then(saved_token::saved_for).unwrap_or_default() {
        saved if saved.is_empty() => check,
        saved => {
            let detail = format!("{}; saved for {}", check.detail, few(saved.into_iter()));
            Check { detail, ..check }
        }
    }
}

/// Whether the control plane accepts the token.
pub(super) fn auth(app: &App) -> Check {
    const NAME: &str = "auth";
    let plane = match app.plane() {
        Ok(plane) => plane,
        Err(error) => {
            return Check::warn(NAME, format!("not asked: {}", error.message()), "see the checks above");
        }
    };
    match plane.workspaces() {
        Ok(workspaces) => {
            let usable = workspaces.iter().filter(|workspace| workspace.ssh_capable).count();
            let workspaces = if usable == 1 { "workspace" } else { "workspaces" };
            Check::ok(NAME, format!("the control plane accepts the token; {usable} {workspaces} with SSH"))
        }
        Err(error) => Check::failed(NAME, &error),
    }
}

/// What is attached, and whether its files are whole.
pub(super) fn attached(app: &App) -> Check {
    const NAME: &str = "attached-session";
    attached_session(app, NAME).unwrap_or_else(|error| Check::failed(NAME, &error))
}

fn attached_session(app: &App, name: &'static str) -> Result<Check> {
    if let Some(named) = app.named(None) {
        let words = foreign::word(&named.words);
        return Ok(Check::ok(name, format!("RUNCODE_WORKSPACE names {words}, whatever is attached")));
    }
    let sessions = app.sessions()?;
    let attachment = match sessions.applying()? {
        // Nothing is wrong with that: commands elsewhere know which one they mean.
        Applying::Several(all) => return Ok(Check::ok(name, ambiguous(&all).message())),
        Applying::Linked(all) => return Ok(Check::ok(name, linked(&all).message())),
        Applying::Gone(all) => {
            let gone = gone(&all);
            return Ok(Check::warn(name, gone.message(), gone.next_step().unwrap_or_default()));
        }
        applying => match applying.one()? {
            Some(attachment) => attachment,
            None => return Ok(Check::ok(name, "no workspace is attached")),
        },
    };
    let shown = attachment.shown();
    Ok(match sessions.store().read(&attachment.key)? {
        // Each run of a profile logs in by itself.
        None if is_certified(app, &attachment.key) => {
            Check::ok(name, format!("{shown}; no session is needed"))
        }
        None => Check::ok(name, format!("{shown}; its session is made at the next use")),
        Some(session) if !session.is_intact() => {
            let damaged = format!("{shown}: the session's files have been changed");
            Check::fail(name, damaged, format!("run `runcode connect {} --force`", attachment.key.words()))
        }
        Some(session) => {
            let shown = session.shown();
            Check::ok(
                name,
                match session.meta.lifetime.seconds_left(clock::now()) {
                    Some(seconds) => {
                        format!("{shown}, {} min left; renewed at the next use after that", seconds / 60)
                    }
                    None => shown,
                },
            )
        }
    })
}

/// Whether a certificate opens the server for one profile at a time.
fn is_certified(app: &App, key: &SessionKey) -> bool {
    let terms = policy::restricted(app, key).ok().flatten();
    terms.is_some_and(|terms| terms.server.logs_in_per_run())
}

/// Connects to the attached workspace as editors do, through a block like that of `config-ssh`.
pub(super) fn editors(app: &App) -> Vec<Check> {
    // What is not meant for editors has not failed.
    let attached = app.sessions().and_then(|sessions| sessions.applying()?.one());
    if let Ok(Some(attachment)) = attached
        && app.named(None).is_none()
        && let Ok(Some(terms)) = policy::restricted(app, &attachment.key)
    {
        let detail = format!("not tried on {} ({})", attachment.shown(), terms.summary());
        return vec![Check::ok("editors", detail)];
    }
    let prepared = (|| -> Result<_> {
        let session = app.session(&app.sessions()?, None)?;
        let ssh = SshBinary::from_env(app.env()).find()?;
        let folder = atomic_file::temporary_dir("runcode-")?;
        let (config, host) = config(app, &session)?;
        let path = folder.path().join("config");
        atomic_file::create_new(&path, &config, 0o600)
            .map_err(|error| Error::io("write a temporary file", error))?;
        Ok((ssh, path, host, folder))
    })();
    let (ssh, config, host, _folder) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return vec![Check::failed("editors", &error)],
    };
    let shapes = editor_shapes::replay(&ssh, &config, &host);
    let check = |shape: editor_shapes::Shape| match shape.outcome {
        Ok(said) => Check::ok(shape.name, said),
        Err(why) => Check::fail(shape.name, why, format!("run `ssh -v {host}` and read why")),
    };
    shapes.into_iter().map(check).collect()
}

fn config(app: &App, session: &Session) -> Result<(Vec<u8>, String)> {
    let meta = &session.meta;
    let (Some(id), Some(base)) = (meta.key.workspace_id(), meta.key.api_base()) else {
        let what = format!("{} is reached by your own ssh config, as editors do", session.shown());
        return Err(Error::new(Code::Unavailable, what));
    };
    let title = Title::parse(meta.title.raw())
        .map_err(|why| Error::new(Code::Error, format!("the title {} {why}", meta.title)))?;
    let host = Host {
        id,
        title,
        is_numbered: false,
        is_shared: false,
        note: None,
        host_key_alias: host_key_alias(&session.folder),
        identity: quoted(&session.folder.join(IDENTITY))?,
        known_hosts: quoted(&session.folder.join(KNOWN_HOSTS))?,
    };
    let alias = host.alias();
    let options = ["--api-base".to_owned(), base.to_string()].to_vec();
    let caller = Caller { program: stable_path::program(app.env())?, options, plane: base.to_string() };
    Ok((MARKERS.insert(None, &body(&[host], &[], &caller)?)?, alias))
}
