//! `runcode context`.

use serde_json::{Value, json};

use crate::app::App;
use crate::commands::args::OneOf;
use crate::error::Result;
use crate::output::foreign;
use crate::output::report::{Outcome, Report, Text};
use crate::remote::context::{self, Context, Space, Unseen};
use crate::session::Session;

/// Describe a workspace: system, project, tools, disk space, listening ports.
///
/// It takes one round trip and changes nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode context
  runcode context my-ws --json")]
pub struct Args {
    #[command(flatten)]
    which: OneOf,
}

impl Args {
    /// Of this workspace, or of the one that is meant without a name.
    pub fn of(workspace: Option<String>) -> Args {
        Args { which: OneOf::of(workspace) }
    }
}

struct Seen {
    session: Session,
    context: Context,
}

fn space(space: Option<Space>) -> Value {
    space.map_or(Value::Null, |space| json!({ "total_bytes": space.total, "free_bytes": space.free }))
}

impl Report for Seen {
    fn json(&self) -> Value {
        let (seen, meta) = (&self.context, &self.session.meta);
        let git = seen.git.as_ref().map(|git| {
            json!({
                "branch": git.branch,
                "dirty": git.dirty.ok(),
                "why": git.dirty.err().map(Unseen::word),
                "remote": git.remote,
                "head": git.head,
            })
        });
        let ports = seen.ports.iter().map(|port| json!({ "port": port.port, "loopback": port.loopback }));
        json!({
            "origin": meta.key.origin().word(),
            "name": meta.title.json(),
            "workspace_id": meta.key.workspace_id(),
            "workdir": meta.workdir,
            "cwd": seen.cwd,
            "in_workdir": seen.in_workdir,
            "os": seen.os,
            "arch": seen.arch,
            "kernel": seen.kernel,
            "distro": seen.distro,
            "user": seen.user,
            "shell": seen.shell,
            "cpus": seen.cpus,
            "memory": space(seen.memory),
            "disk": space(seen.disk),
            "container": seen.container,
            "git": git,
            "markers": seen.markers,
            "tools": seen.tools,
            "ports": ports.collect::<Vec<_>>(),
        })
    }

    fn text(&self, text: &mut Text) {
        let seen = &self.context;
        let known = |value: &Option<String>| value.as_deref().map_or("?".to_owned(), shown);
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
        text.line(format!("{} says of itself:", self.session.shown()));
        let mut row = |name: &str, value: String| {
            if !value.is_empty() {
                text.line(format!("{name:<9} {value}"));
            }
        };
        let missing = if seen.in_workdir { "" } else { " (there is no project folder)" };
        row("folder", format!("{}{missing}", foreign::path(&seen.cwd)));
        row("system", format!("{}, {} {}", known(&seen.distro), known(&seen.os), known(&seen.arch)));
        row("kernel", known(&seen.kernel));
        row("user", format!("{}, {}", known(&seen.user), known(&seen.shell)));
        row("cpus", seen.cpus.map(|count| count.to_string()).unwrap_or_default());
        for (name, space) in [("memory", seen.memory), ("disk", seen.disk)] {
            let told = space.map(|space| format!("{} free of {}", gib(space.free), gib(space.total)));
            row(name, told.unwrap_or_default());
        }
        row("container", seen.container.as_deref().map(shown).unwrap_or_default());
        if let Some(git) = &seen.git {
            let state = match git.dirty {
                Ok(true) => "changed",
                Ok(false) => "clean",
                Err(unseen) => unseen.shown(),
            };
            let branch = git.branch.as_deref().map_or("detached".to_owned(), shown);
            let remote = git.remote.as_deref().map(|remote| format!(", {}", foreign::path(remote)));
            row("git", format!("{branch}, {state}{}", remote.unwrap_or_default()));
        }
        row("project", seen.markers.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" "));
        let tool = |(name, version): (&String, &Option<String>)| match version {
            Some(version) => format!("{name} {}", shown(version)),
            None => name.clone(),
        };
        let mut rows = |name: &str, lines: Vec<String>| {
            for (number, line) in lines.into_iter().enumerate() {
                row(if number == 0 { name } else { "" }, line);
            }
        };
        rows("tools", lines(seen.tools.iter().map(tool), ", "));
        let mut ports = seen.ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>();
        if !ports.is_empty() {
            ports.push("(runcode forward PORT)".to_owned());
        }
        rows("ports", lines(ports.into_iter(), " "));
    }
}

/// A fact as the workspace tells it.
fn shown(fact: &str) -> String {
    foreign::name(fact).to_string()
}

/// The items beside the names of the rows, in lines that 80 columns hold.
fn lines(items: impl Iterator<Item = String>, between: &str) -> Vec<String> {
    const WIDTH: usize = 80 - 10;
    let mut lines = Vec::<String>::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.chars().count() + between.len() + item.chars().count() < WIDTH => {
                *line += between;
                *line += &item;
            }
            last => {
                if let Some(line) = last {
                    *line += between.trim_end();
                }
                lines.push(item);
            }
        }
    }
    lines
}

/// Looks around.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let sessions = app.sessions()?;
    let session = app.session(&sessions, args.which.words())?;
    let context = context::look(&sessions, &session)?;
    Ok(Seen { session, context }.into())
}
