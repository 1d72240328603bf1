//! `runcode forward`.

use serde_json::{Value, json};

use crate::app::App;
use crate::commands::args::Which;
use crate::error::{Code, Error, Result};
use crate::output::report::{Outcome, Report, Text};
use crate::session::forwards::{self, Kept};
use crate::session::{Session, Sessions, policy};
#[cfg(not(unix))]
use crate::transport::Way;
#[cfg(unix)]
use crate::{
    origin::names::few,
    output::progress::{self, note},
    remote::listening::is_listening,
};

/// Forward ports of the attached workspace to this machine.
///
/// Forwards run in the background, and stay until you end them or detach. If the connection is lost, such as by a sleep of
/// this machine, `--list` and every other command bring them back with it. They listen on this machine's loopback addresses
/// only. Forwarding a port twice is fine.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode forward 5173                    its port 5173 as http://localhost:5173
  runcode forward 3000 --local 8080       its port 3000 as http://localhost:8080
  runcode forward 8080:3000               the same
  runcode forward 5432 --to db.internal   a machine that the workspace reaches
  runcode forward 9000 -R                 its port 9000 leads to this machine's
  runcode forward --list                  what is forwarded
  runcode forward 5173 --cancel           stop forwarding it")]
pub struct Args {
    /// The ports on the workspace; LOCAL:PORT is short for PORT --local LOCAL
    #[arg(value_name = "PORT", value_parser = asked, required_unless_present_any = ["list", "cancel"])]
    ports: Vec<Asked>,
    /// The local port, if not the same one; 0 picks a free one
    #[arg(long, value_name = "PORT")]
    local: Option<u16>,
    /// The host to connect to, named as the other end of the forward knows it
    #[arg(long, value_name = "HOST", default_value = "localhost", value_parser = host)]
    to: String,
    /// Forward the other way: the workspace listens, and connections come to this machine
    #[arg(short = 'R', long)]
    reverse: bool,
    /// Show what is forwarded
    #[arg(long, conflicts_with_all = ["cancel", "local", "reverse", "ports"])]
    list: bool,
    /// End the forwards of these ports, or all
    #[arg(long, conflicts_with = "local")]
    cancel: bool,
    /// Open the forwarded port in the browser
    #[arg(long, conflicts_with_all = ["list", "cancel", "reverse"])]
    open: bool,
    #[command(flatten)]
    which: Which,
}

impl Args {
    /// To forward `port`, to end that, or without a port to list or end all.
    pub fn of(port: Option<u16>, local: Option<u16>, cancel: bool, workspace: Option<String>) -> Args {
        Args {
            ports: port.map(|remote| Asked { local: None, remote }).into_iter().collect(),
            local,
            to: "localhost".to_owned(),
            reverse: false,
            list: port.is_none() && !cancel,
            cancel,
            open: false,
            which: Which::of(workspace),
        }
    }
}

/// A port of the workspace, and the one on this machine when both were given, as docker and kubectl write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    local: Option<u16>,
    remote: u16,
}

fn asked(text: &str) -> Result<Asked, String> {
    let number =
        |text: &str| text.parse::<u16>().map_err(|_| "a port is a number from 1 to 65535".to_owned());
    let port = |text: &str| number(text).and_then(|port| if port > 0 { Ok(port) } else { number("") });
    match text.split(':').collect::<Vec<_>>()[..] {
        [remote] => Ok(Asked { local: None, remote: port(remote)? }),
        ["", remote] => Ok(Asked { local: Some(0), remote: port(remote)? }),
        [local, remote] => Ok(Asked { local: Some(number(local)?), remote: port(remote)? }),
        [local, host, remote] if !host.is_empty() => {
            number(local).and_then(|_| port(remote))?;
            Err(format!("write it as `runcode forward {remote} --to {host} --local {local}`"))
        }
        _ => Err("write it as PORT, or as LOCAL:PORT".to_owned()),
    }
}

/// A host name or address as a master takes it: it ends up in one field of a request, never in a shell.
fn host(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let is_host =
        !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed) && !text.starts_with('-');
    if is_host { Ok(text.to_owned()) } else { Err("is not a valid host name or address") }
}

struct Forwards {
    session: Session,
    rows: Vec<Row>,
    what: What,
}

/// A forward, whether the connection that is up has it, and whether something listens where it leads, as far as the
/// workspace was asked and says.
struct Row {
    kept: Kept,
    is_active: bool,
    is_listening: Option<bool>,
}

#[derive(PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "nothing can be opened there"))]
enum What {
    Opened,
    Listed,
    Cancelled,
}

/// The port on this machine, and the one on the workspace's side.
fn ports(kept: &Kept) -> (u16, u16) {
    if kept.reverse { (kept.to_port, kept.port) } else { (kept.port, kept.to_port) }
}

impl Report for Forwards {
    fn json(&self) -> Value {
        let row = |Row { kept, is_active, is_listening }: &Row| {
            let (local, remote) = ports(kept);
            json!({
                "port": remote,
                "local": local,
                "to": kept.to_host,
                "reverse": kept.reverse,
                "active": is_active,
                "listening": is_listening,
                "url": (!kept.reverse).then(|| kept.url()),
            })
        };
        let rows = self.rows.iter().map(row).collect::<Vec<_>>();
        let name = if self.what == What::Cancelled { "cancelled" } else { "forwards" };
        let mut report = json!({ name: rows });
        self.session.name_in(&mut report);
        report
    }

    fn text(&self, text: &mut Text) {
        if self.rows.is_empty() {
            return text.line("nothing is forwarded");
        }
        let workspace = self.session.shown();
        for Row { kept, is_active, .. } in &self.rows {
            let (local, remote) = ports(kept);
            let (done, state) = match (&self.what, is_active) {
                (What::Cancelled, _) => ("ended: ", ""),
                (_, false) => ("", "  (comes back with the connection)"),
                (_, true) => ("", ""),
            };
            let host = &kept.to_host;
            text.line(match kept.reverse {
                true => format!("{done}port {remote} of {workspace} → {host}:{local} here{state}"),
                false => format!("{done}{} → {host}:{remote} on {workspace}{state}", kept.url()),
            });
        }
    }
}

/// Opens, lists or ends forwards.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if args.ports.len() > 1 && args.local.is_some_and(|port| port != 0) {
        return Err(Error::new(Code::Usage, "--local takes one port, but several were given")
            .hint("forward them one by one, or say --local 0"));
    }
    if args.reverse && args.local == Some(0) {
        return Err(Error::new(
            Code::Usage,
            "--local 0 picks a local port, but with -R the workspace listens",
        ));
    }
    for asked in args.ports.iter().filter(|asked| !args.cancel && asked.local.is_some()) {
        let (local, remote) = (asked.local.unwrap_or_default(), asked.remote);
        if args.reverse || args.local.is_some() {
            let (why, hint) = if args.reverse {
                (
                    "with -R could mean either way",
                    format!(
                        "runcode forward {local} -R --local {remote} has the workspace listen on {local}, as ssh's -R has it; \
                         runcode forward {remote} -R --local {local}, on {remote}"
                    ),
                )
            } else {
                (
                    "and --local both name a local port",
                    format!("write it as `runcode forward {remote} --local {local}`"),
                )
            };
            return Err(Error::new(Code::Usage, format!("`{local}:{remote}` {why}")).hint(hint));
        }
    }
    let sessions = app.sessions()?;
    let session = app.session(&sessions, args.which.words())?;
    if args.list {
        policy::settle(&sessions, &session.meta.key)?; // listing brings them back
        let row = |(kept, is_active)| Row { kept, is_active, is_listening: None };
        #[cfg(unix)]
        let listed = forwards::bring_back(&sessions, &session)?;
        #[cfg(windows)]
        let listed = forwards::list(&sessions, &session)?;
        let rows = listed.into_iter().map(row).collect();
        return Ok(Forwards { session, rows, what: What::Listed }.into());
    }
    act(&args, app.is_json(), &sessions, session)
}

#[cfg(unix)]
fn act(args: &Args, is_json: bool, sessions: &Sessions<'_>, session: Session) -> Result<Outcome> {
    let is_read = is_json || progress::is_watched();
    if args.cancel {
        let listed =
            forwards::list(sessions, &session)?.into_iter().map(|(kept, _)| kept).collect::<Vec<_>>();
        // A port of this machine before one of the workspace: the same number may be both, of two forwards.
        let mine = listed.iter().map(|kept| ports(kept).0).collect::<Vec<_>>();
        let is_meant = |asked: &Asked, kept: &Kept| {
            let (local, remote) = ports(kept);
            args.reverse == kept.reverse
                && match asked.local {
                    Some(here) => (here, asked.remote) == (local, remote),
                    None => asked.remote == local || (asked.remote == remote && !mine.contains(&remote)),
                }
        };
        // Before any of them ends: who mistypes one of several is told so with all of them as they were.
        let is_unknown = |asked: &&Asked| !listed.iter().any(|kept| is_meant(asked, kept));
        if let Some(unknown) = args.ports.iter().find(is_unknown) {
            return Err(not_forwarded(*unknown, &listed, &session));
        }
        let chosen =
            |kept: &Kept| args.ports.is_empty() || args.ports.iter().any(|asked| is_meant(asked, kept));
        let ended = forwards::cancel(sessions, &session, chosen)?;
        let row = |kept| Row { kept, is_active: false, is_listening: None };
        let rows = ended.into_iter().map(row).collect();
        return Ok(Forwards { session, rows, what: What::Cancelled }.into());
    }
    sessions.refuse_forward(&session.meta.key)?;
    let mut rows = Vec::new();
    for &asked in &args.ports {
        // Before the forward: on this machine's own gateway, it is itself what listens there afterwards. Who reads
        // the answer is told; a script that just connects finds out by itself, and is spared the round trip.
        let is_asked =
            is_read && !args.reverse && ["localhost", "127.0.0.1", "::1"].contains(&args.to.as_str());
        let is_listening = is_asked.then(|| is_listening(sessions, &session, asked.remote)).flatten();
        let kept = forwards::add(sessions, &session, wanted(args, asked))?;
        if is_listening == Some(false) {
            note(format!(
                "note: nothing listens on port {} of the workspace yet; once something does, you can reach it here",
                asked.remote
            ));
        }
        if args.open {
            browse(&kept.url());
        }
        rows.push(Row { kept, is_active: true, is_listening });
    }
    Ok(Forwards { session, rows, what: What::Opened }.into())
}

/// The error for a port that leads nowhere, so that nothing can be ended.
#[cfg(unix)]
fn not_forwarded(asked: Asked, listed: &[Kept], session: &Session) -> Error {
    let port = match asked.local {
        Some(local) => format!("{local}:{}", asked.remote),
        None => asked.remote.to_string(),
    };
    let error = Error::new(Code::NotFound, format!("{port} is no forward of {}", session.shown()));
    if listed.is_empty() {
        return error.hint("nothing is forwarded");
    }
    let shown = listed.iter().map(|kept| {
        let (local, remote) = ports(kept);
        format!("{local}:{remote}{}", if kept.reverse { " (-R)" } else { "" })
    });
    error.hint(format!("what is forwarded, as LOCAL:PORT: {}", few(shown)))
}

#[cfg(unix)]
fn wanted(args: &Args, asked: Asked) -> Kept {
    let port = asked.remote;
    let local = asked.local.or(args.local).unwrap_or(port);
    let (port, to_port) = if args.reverse { (port, local) } else { (local, port) };
    Kept { reverse: args.reverse, port, to_host: args.to.clone(), to_port, master: 0, only: None }
}

#[cfg(unix)]
fn browse(url: &str) {
    if open::that_detached(url).is_err() {
        note(format!("note: no browser could be opened; go to {url}"));
    }
}

/// There are no masters on Windows: the line that does it in a terminal of its own.
#[cfg(not(unix))]
fn act(args: &Args, _is_json: bool, _sessions: &Sessions<'_>, session: Session) -> Result<Outcome> {
    let side = if args.reverse { 'R' } else { 'L' };
    let forwards = args.ports.iter().map(|asked| {
        let port = asked.remote;
        let local = asked.local.or(args.local).unwrap_or(port);
        let (listen, to) = if args.reverse { (port, local) } else { (local, port) };
        format!("-{side} 127.0.0.1:{listen}:{}:{to}", args.to)
    });
    let route = session.route();
    let config = match &route.way {
        Way::Config { config, .. } => format!("-F \"{}\" ", config.display()),
        Way::External { .. } => String::new(),
    };
    let forwards = forwards.collect::<Vec<_>>().join(" ");
    let line = format!("ssh {config}-N {forwards} {}", route.destination());
    let error = Error::new(Code::Unavailable, "ports cannot be forwarded in the background on Windows");
    Err(error.hint(format!("keep this running in a terminal of its own: {line}")))
}
