//! `runcode proxy`, the `ProxyCommand` that `config-ssh` writes.

use std::time::Duration;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::grant::{Endpoint, Host, Port, SshUser};
use crate::origin::{SessionKey, Ungranted};
use crate::output::report::Outcome;
use crate::session::Session;
use crate::session::audit::Action;
use crate::session::live::Want;
use crate::sys::env::Var;
use crate::transport::dial::dial;
use crate::transport::http_proxy::Proxy;
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
    #[arg(
        value_parser = clap::value_parser!(u64).range(1..=runcode_wire::MAX_WORKSPACE_ID),
        required_unless_present = "to"
    )]
    id: Option<u64>,
    /// Connect to this host instead, through the proxy that the environment names
    #[arg(long, value_name = "HOST", requires = "port", conflicts_with_all = ["id", "renew"], value_parser = Host::parse)]
    to: Option<Host>,
    /// Its port
    #[arg(long, requires = "to", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Only renew the session, saying nothing: ssh reads key and certificate before it runs its ProxyCommand
    #[arg(long)]
    renew: bool,
}

/// Renews, connects, relays.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if let (Some(host), Some(port)) = (args.to, args.port) {
        let port = Port::try_from(u64::from(port)).map_err(|why| Error::new(Code::Usage, why))?;
        let user = SshUser::parse("runcode").map_err(|why| Error::new(Code::Usage, why))?; // ssh says who it is
        connect(&Endpoint { host, port, user }, app)?;
        return Ok(Outcome::Status(0));
    }
    let id = args.id.unwrap_or_default();
    if args.renew {
        // Why it fails is for the proxy to say, which runs next and meets the same.
        let is_question = app.env().var(Var::RuncodeNoRenewal).is_some();
        let is_renewed = !is_question && session(id, app).is_ok();
        return Ok(Outcome::Status(u8::from(!is_renewed)));
    }
    let session = session(id, app).map_err(|error| told_for_ssh(error, id))?;
    let route = session.route();
    let gateway = route.gateway().ok_or_else(|| Error::new(Code::Error, "the session has no gateway"))?;
    // What the other ssh does over it is not ours to see.
    app.sessions()?.audited(&session.meta.key, || Action::named("proxy"), || connect(gateway, app))?;
    Ok(Outcome::Status(0))
}

/// Gives the ssh that started us a connection to the gateway.
fn connect(gateway: &Endpoint, app: &App) -> Result<()> {
    let proxy = Proxy::to(gateway, app.env())?;
    let connection = dial(gateway, proxy.as_ref(), DEADLINE)?;
    #[cfg(unix)]
    if relay::is_handed_over() {
        return relay::hand_over(&connection);
    }
    relay::relay(connection)
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
