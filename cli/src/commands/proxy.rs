//! `runcode proxy`, the `ProxyCommand` that `config-ssh` writes.

use std::time::Duration;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::{SessionKey, Ungranted};
use crate::output::report::Outcome;
use crate::session::Session;
use crate::session::live::Want;
use crate::sys::env::Var;
use crate::transport::dial::dial;
use crate::transport::relay;

/// How long reaching the gateway may take, all of its addresses together.
const DEADLINE: Duration = Duration::from_secs(15);

/// Relay stdin and stdout to a workspace's gateway, as raw bytes.
///
/// This is what ssh runs for the hosts that `config-ssh` writes. An ssh that waits for it (`ProxyUseFdpass`) is given the
/// connection itself. The session is renewed when it needs to be; a stopped workspace is not started.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The workspace's id
    #[arg(value_parser = clap::value_parser!(u64).range(1..=runcode_wire::MAX_WORKSPACE_ID))]
    id: u64,
    /// Only renew the session, saying nothing: ssh reads key and certificate before it runs its ProxyCommand
    #[arg(long)]
    renew: bool,
}

/// Renews, connects, relays.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if args.renew {
        // Why it fails is for the proxy to say, which runs next and meets the same.
        let is_question = app.env().var(Var::RuncodeNoRenewal).is_some();
        let is_renewed = !is_question && session(args.id, app).is_ok();
        return Ok(Outcome::Status(u8::from(!is_renewed)));
    }
    let session = session(args.id, app).map_err(|error| told_for_ssh(error, args.id))?;
    let route = session.route();
    let gateway = route.gateway().ok_or_else(|| Error::new(Code::Error, "the session has no gateway"))?;
    let connection = dial(gateway, DEADLINE)?;
    #[cfg(unix)]
    if relay::is_handed_over() {
        relay::hand_over(&connection)?;
        return Ok(Outcome::Status(0));
    }
    relay::relay(connection)?;
    Ok(Outcome::Status(0))
}

/// A fresh session with every file in place: other programs hold their paths, and may have lost them to a `clean`.
fn session(id: u64, app: &App) -> Result<Session, Ungranted> {
    let no_id = || Error::new(Code::Usage, format!("no workspace has the id {id}"));
    let key = SessionKey::plane(app.api_base()?, id).ok_or_else(no_id)?;
    Ok(app.sessions()?.obtain(&key, Want::Whole)?.session)
}

/// Whoever reads this sees it between ssh's own lines, in an editor's log perhaps, and has no shell at hand.
fn told_for_ssh(failure: Ungranted, id: u64) -> Error {
    let is_stopped = matches!(failure, Ungranted::NotRunning(_));
    let error = Error::from(failure);
    match error.code() {
        _ if is_stopped => {
            error.hint(format!("start it with `runcode connect {id} --start`, then connect again"))
        }
        Code::NoToken | Code::Unauthorized => error.hint(
            "run `runcode login` in a terminal: RUNCODE_TOKEN from your shell does not reach every program",
        ),
        _ => error,
    }
    .context(format!("workspace #{id}"))
}
