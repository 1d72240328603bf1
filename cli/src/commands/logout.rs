//! `runcode logout`.

use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::origin::hosted::saved_token::{self, Forgotten};
use crate::origin::hosted::{Client, kept_base};
use crate::origin::names::few;
use crate::output::report::{Outcome, Simple};
use crate::sys::env::Var;

/// Forget the saved token.
///
/// Each control plane has its own token; this forgets the selected one's, and has the control plane accept it no more. A
/// control plane that cannot do so is named: revoke the token on its web page. Open sessions may stay until they expire;
/// `runcode clean --all` ends them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode logout                                      the hosted control plane's
  runcode logout --api-base https://plane.example     another one's
  runcode logout --all                                every one")]
pub struct Args {
    /// Forget the tokens of all control planes, and end the approved sessions on servers
    #[arg(long)]
    all: bool,
}

/// What to do where the control plane goes on accepting a token.
const STILL_VALID: &str = "anyone who has a copy of it can use it until you revoke it on the web";

/// Removes saved tokens; fine when there is none. They are gone here whatever their control planes say.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let (paths, base) = (app.paths()?, app.api_base()?);
    let Forgotten { had, tokens, has_unreadable } = saved_token::forget(paths, (!args.all).then_some(base))?;
    kept_base::forget(paths, (!args.all).then_some(base))?;
    if args.all {
        app.sessions()?.end_approved()?;
    }
    let is_sandboxed = app.env().var(Var::CodexSandboxNetworkDisabled).is_some();
    let told = tokens.into_iter().map(|(base, token)| {
        let revoked = Client::new(base.clone(), token).in_sandbox(is_sandboxed).log_out();
        (base, revoked)
    });
    let told = told.collect::<Vec<_>>();
    let left = saved_token::saved_for(paths)?;
    let json = json!({
        "logged_out": had,
        "revoked": had.then(|| !has_unreadable && !told.is_empty() && told.iter().all(|(_, revoked)| matches!(revoked, Ok(true)))),
        "api_base": (!args.all).then(|| base.to_string()),
        "still_logged_in_to": left,
    });
    let mut lines = vec![match (had, args.all) {
        (true, true) => "✓ Logged out: no token is saved any more".to_owned(),
        (true, false) => format!("✓ Logged out of {base}: the saved token is gone"),
        (false, _) if left.is_empty() => "You were not logged in".to_owned(),
        (false, _) => format!("You were not logged in to {base}"),
    }];
    for (base, revoked) in &told {
        lines.push(match revoked {
            Ok(true) => format!("  {base} no longer accepts it"),
            Ok(false) => format!("  {base} cannot be told to revoke it: {STILL_VALID}"),
            Err(error) => format!("  {base} was not told: {}; {STILL_VALID}", error.message()),
        });
    }
    if has_unreadable {
        lines.push(format!("  a saved token could not be read, so it was not revoked: {STILL_VALID}"));
    }
    if !left.is_empty() {
        lines.push(format!(
            "  still saved are tokens for {} (--all forgets them, too)",
            few(left.into_iter())
        ));
    }
    if app.env().var(Var::RuncodeToken).is_some() {
        lines.push("  RUNCODE_TOKEN is set and still used".to_owned());
    }
    Ok(Simple { json, lines }.into())
}
