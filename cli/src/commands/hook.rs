//! `runcode hook`.

use crate::app::{App, Named};
use crate::error::Result;
use crate::hooks::session_start;
use crate::origin::SessionKey;
use crate::output::report::Outcome;
use crate::session::resolve::known_here;
use crate::sys::location::Location;

/// Answer an agent client's hook with JSON. The plugins call it.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    #[command(subcommand)]
    event: Event,
}

#[derive(clap::Subcommand)]
enum Event {
    /// A session starts: says which workspace this folder is attached to, or nothing
    SessionStart,
}

/// Answers; whatever goes wrong, nothing is said.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let Event::SessionStart = args.event;
    Ok(Outcome::Raw(session_start(app).map(|answer| format!("{answer}\n").into_bytes()).unwrap_or_default()))
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
