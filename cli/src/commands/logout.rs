//! `runcode logout`.

use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::origin::hosted::saved_token;
use crate::origin::names::few;
use crate::output::report::{Outcome, Simple};
use crate::sys::env::Var;

/// Forget the saved token.
///
/// Each control plane has its own token; this forgets the selected one's. Open sessions stay open until they expire;
/// `runcode clean --all` ends them. The control plane is not told: it accepts the token from anyone who has a copy until
/// you revoke it on the web.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode logout                                      the hosted control plane's
  runcode logout --api-base https://plane.example     another one's
  runcode logout --all                                every one")]
pub struct Args {
    /// Forget the tokens of all control planes
    #[arg(long)]
    all: bool,
}

/// Removes saved tokens; fine when there is none.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let (paths, base) = (app.paths()?, app.api_base()?);
    let had = saved_token::forget(paths, (!args.all).then_some(base))?;
    let left = saved_token::saved_for(paths)?;
    let json = json!({
        "logged_out": had,
        "api_base": (!args.all).then(|| base.to_string()),
        "still_logged_in_to": left,
    });
    let mut lines = vec![match (had, args.all) {
        (true, true) => "✓ Logged out: no token is saved any more".to_owned(),
        (true, false) => format!("✓ Logged out of {base}: the saved token is gone"),
        (false, _) if left.is_empty() => "You were not logged in".to_owned(),
        (false, _) => format!("You were not logged in to {base}"),
    }];
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
