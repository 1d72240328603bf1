//! `runcode logout`.

use serde_json::json;

use crate::app::App;
use crate::error::Result;
use crate::origin::hosted::token;
use crate::output::report::{Outcome, Simple};

/// Forget the saved token.
///
/// Open sessions stay open until they expire; `runcode clean --all` ends them.
#[derive(clap::Args)]
pub struct Args {}

/// Removes the saved token; fine when there is none.
pub fn run(_args: Args, app: &App) -> Result<Outcome> {
    let had = token::forget(app.paths()?)?;
    let line = if had { "✓ Logged out: the saved token is gone" } else { "You were not logged in" };
    Ok(Simple { json: json!({ "logged_out": had }), lines: vec![line.to_owned()] }.into())
}
