//! `runcode statusline`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::app::App;
use crate::output::report::Outcome;
use crate::session::Session;
use crate::session::attachment::{Attachment, routed_one};
use crate::session::resolve::known_here;
use crate::session::store::Store;
use crate::sys::env::Env;
use crate::sys::location::Location;
use crate::sys::{clock, standard_input};

/// The most that is read from stdin, in bytes.
const MAX_INPUT: usize = 1 << 20;

/// Print the attached workspace, for a status line.
///
/// Reads Claude Code's JSON from stdin. Prints nothing unless the attached session is live and the project is the one
/// that it is attached to. It does not use the network, and it never fails.
#[derive(clap::Args, Default)]
#[command(after_help = "\
Examples:
  runcode install-statusline               the easy way
  runcode statusline --plain               for other status lines, no colours")]
pub struct Args {
    /// Without colours
    #[arg(long)]
    plain: bool,
    /// Another status-line command to run; ours goes in front of its output
    #[arg(long, value_name = "COMMAND")]
    wrap: Option<String>,
}

/// What Claude Code says about who asks; everything else in it is ignored.
#[derive(Debug, Default, Deserialize)]
struct Asking {
    session_id: Option<String>,
    workspace: Option<Folders>,
    cwd: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct Folders {
    project_dir: Option<PathBuf>,
    current_dir: Option<PathBuf>,
}

/// Looks at what is attached. Whatever goes wrong, the line is empty.
pub fn run(args: Args, app: &App) -> crate::error::Result<Outcome> {
    let input = standard_input::read_if_given(MAX_INPUT);
    let own = asking(&input, app.env()).and_then(|asking| segment(&asking, args.plain, app));
    let Some(theirs) = &args.wrap else {
        return Ok(Outcome::Raw(own.map(|own| format!("{own}\n").into_bytes()).unwrap_or_default()));
    };
    let mut line = own.map(|own| format!("{own} ").into_bytes()).unwrap_or_default();
    line.extend(output_of(theirs, &input));
    Ok(Outcome::Raw(line))
}

/// The agent's session that asks: its project folder, and the folder where its commands run now.
#[derive(Debug, PartialEq)]
struct Place {
    session: Option<String>,
    project: Location,
    current: Location,
}

/// The place of the session that asks; without input, our own working directory.
fn asking(input: &[u8], env: &Env) -> Option<Place> {
    if input.trim_ascii().is_empty() {
        let current = Location::current(env).ok()?;
        return Some(Place { session: None, project: current.clone(), current });
    }
    let asking = serde_json::from_slice::<Asking>(input).ok()?;
    let folders = asking.workspace.unwrap_or_default();
    let current = folders.current_dir.or(asking.cwd);
    let project = folders.project_dir.or(current.clone())?;
    let current = current.filter(|current| current.starts_with(&project) && *current != project);
    let project = Location::of(&project);
    let current = current.map_or_else(|| project.clone(), |current| Location::of(&current));
    Some(Place { session: asking.session_id, project, current })
}

fn segment(place: &Place, is_plain: bool, app: &App) -> Option<String> {
    let attachments = app.attachments().ok()?;
    // Read once: the two folders are nearly always the same one.
    let nearest = attachments.nearest(&place.project).ok();
    let routed = nearest.as_deref().and_then(|nearest| routed_one(nearest).ok().flatten());
    routed
        .and_then(|routed| routed_segment(&routed, place, is_plain, app))
        .or_else(|| attached_segment(nearest, place, is_plain, app))
}

/// In a routed project the line is always shown, whatever the session's state, since commands go nowhere else.
fn routed_segment(
    attachment: &Attachment,
    Place { session, .. }: &Place,
    is_plain: bool,
    app: &App,
) -> Option<String> {
    let attachments = app.attachments().ok()?;
    let known = Store::new(app.paths().ok()?).read(&attachment.key).ok().flatten();
    let name = match &known {
        Some(session) => place_of(session),
        None => attachment.title.as_ref().map_or_else(|| attachment.key.shown(None), ToString::to_string),
    };
    // The client calls the gate first, and then redraws the line.
    if session.as_ref().is_some_and(|session| !attachments.is_heard(session)) {
        return Some(painted(&format!("NOT ROUTED to {name}: /clear or restart"), 41, is_plain));
    }
    let known = known.filter(|known| known.is_valid(clock::now()));
    let seconds = known.as_ref().and_then(|known| known.meta.lifetime.seconds_left(clock::now()));
    let colour = if known.is_some() { colour(seconds) } else { 43 };
    Some(painted(&format!("all commands, also !, → {name}{}", left(seconds, is_plain)), colour, is_plain))
}

/// The workspace as the line shows it.
fn place_of(session: &Session) -> String {
    match (session.meta.shared, session.meta.key.workspace_id()) {
        // Whoever shares a workspace chooses its title.
        (Some(true), Some(id)) => format!("{} (#{id}, shared)", session.meta.title),
        (None, Some(id)) => format!("{} (#{id})", session.meta.title),
        _ => session.meta.title.to_string(),
    }
}

fn painted(text: &str, colour: u8, is_plain: bool) -> String {
    if is_plain { text.to_owned() } else { format!("\u{1b}[1;30;{colour}m ⬡ {text} \u{1b}[0m") }
}

fn colour(seconds: Option<u64>) -> u8 {
    match seconds {
        Some(0..120) => 41,
        Some(120..300) => 43,
        _ => 42,
    }
}

fn left(seconds: Option<u64>, is_plain: bool) -> String {
    let minutes = seconds.map(|seconds| (seconds / 60).max(1));
    let before = if is_plain { " ~" } else { " · ~" };
    minutes.map(|minutes| format!("{before}{minutes}m")).unwrap_or_default()
}

/// `nearest`: the attachments of the project's folder.
fn attached_segment(
    nearest: Option<Vec<Attachment>>,
    Place { project, current, .. }: &Place,
    is_plain: bool,
    app: &App,
) -> Option<String> {
    let key = match (app.named(None), nearest.as_deref()) {
        (Some(named), _) => known_here(&named.words, &app.sessions().ok()?).ok()??,
        (None, Some([only])) if project == current => only.key.clone(),
        (None, _) => app.attachments().ok()?.applying(Some(current)).ok()?.of_project(project)?.key,
    };
    let session = Store::new(app.paths().ok()?).read(&key).ok()??;
    session.is_valid(clock::now()).then(|| render(&session, is_plain))
}

fn render(session: &Session, is_plain: bool) -> String {
    let place = place_of(session);
    let seconds = session.meta.lifetime.seconds_left(clock::now());
    painted(&format!("working-on:{place}{}", left(seconds, is_plain)), colour(seconds), is_plain)
}

/// What another status-line command prints for the same input; nothing when it cannot be run.
fn output_of(command: &str, input: &[u8]) -> Vec<u8> {
    let mut shell = Command::new("sh"); // Claude Code runs them with Git's sh on Windows too
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = shell.spawn() else { return Vec::new() };
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| std::io::Write::write_all(&mut stdin, input)));
        child.wait_with_output().map(|output| output.stdout).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_project_is_what_claude_code_says_it_is() {
        let real = br#"{"session_id":"1","transcript_path":"/t","cwd":"/home/u/p/src","model":{"id":"m","display_name":"M"},
            "workspace":{"current_dir":"/home/u/p/src","project_dir":"/home/u/p","added_dirs":[]},"version":"2.1.329",
            "output_style":{"name":"default"},"cost":{"total_cost_usd":0.1},"exceeds_200k_tokens":false}"#;
        let env = Env::fixed::<&str>([]);
        let asking = |input: &[u8]| super::asking(input, &env);
        let of = |folder: &str| Location::of(Path::new(folder));
        let both = |project: &str, current: &str| {
            Some(Place { session: None, project: of(project), current: of(current) })
        };
        let session = Some("1".to_owned());
        assert_eq!(asking(real), both("/home/u/p", "/home/u/p/src").map(|place| Place { session, ..place }));
        for (input, expected) in [
            (r#"{"cwd":"/c","workspace":{"current_dir":"/d"}}"#, both("/d", "/d")),
            (r#"{"cwd":"/c"}"#, both("/c", "/c")),
            (r#"{"workspace":{"current_dir":"/tmp","project_dir":"/p"}}"#, both("/p", "/p")),
            (r#"{"workspace":{"current_dir":"/p2","project_dir":"/p"}}"#, both("/p", "/p")),
        ] {
            assert_eq!(asking(input.as_bytes()), expected, "{input}");
        }
        assert_eq!(asking(b" \n").map(|place| place.project), Location::current(&env).ok());
        for garbage in [&b"{"[..], b"[]", b"null", b"\xff\xfe", b"{\"cwd\":7}", b"{}", b"{\"workspace\":[]}"]
        {
            assert_eq!(asking(garbage), None, "{garbage:?}");
        }
    }
}
