//! `runcode helper`, which folders open to sandboxes need.

use crate::app::App;
use crate::error::Result;
use crate::output::report::Outcome;

/// Run remote commands for agents' sandboxes.
///
/// `connect --route --sandboxes` and the plugins' hooks start this; there is no need to run it yourself.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {}

/// Runs as long as a folder is open to sandboxes and the helper is used.
#[cfg(target_os = "linux")]
pub fn run(Args {}: Args, app: &App) -> Result<Outcome> {
    use crate::app::Reach;
    use crate::session::helper;
    use crate::sys::location::Location;
    let (globals, env) = (app.globals().clone(), app.env().clone());
    let run = move |exchange: &mut crate::transport::helper::Exchange| {
        let (globals, env, cancel) = (globals.clone(), env.clone(), exchange.cancel.clone());
        let app = App::of_call(globals, env, cancel, Location::of(std::path::Path::new("/")), Reach::Known);
        helper::run(&app.sessions()?, exchange)
    };
    helper::keep(app.paths()?, run).map(|()| Outcome::Status(0))
}

/// The sandboxes of other systems have not been tried.
#[cfg(not(target_os = "linux"))]
pub fn run(Args {}: Args, _: &App) -> Result<Outcome> {
    use crate::error::{Code, Error};
    Err(Error::new(Code::Unavailable, "the helper for commands in sandboxes runs only on Linux"))
}
