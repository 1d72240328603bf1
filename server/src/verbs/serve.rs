//! `serve`

use std::io::Write as _;

use serde_json::json;
use tokio::net::TcpListener;

use super::Report;
use crate::config::Config;
use crate::core::audit::Actor;
use crate::core::links;
use crate::failure::{Failure, Kind, Result};
use crate::http;
use crate::site::Site;

/// Serves until a signal. The one line on stdout says where, and is the setup link while there is no administrator.
pub(super) fn serve(config: Config) -> Result<Report> {
    let system = |what: &str, error: std::io::Error| Failure::new(Kind::System, format!("{what}: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| system("cannot start", error))?;
    runtime.block_on(async {
        let address = config.listen;
        let tls = http::Tls::open(&config)?;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            system(&format!("cannot listen on {address}; choose another `listen`"), error)
        })?;
        let port = listener.local_addr().map_err(|error| system("cannot listen", error))?.port();
        let site = Site::open(config, port)?;
        let line = if site.has_admin()? {
            site.base.clone()
        } else {
            let actor = Actor { name: "system".into(), way: "system", ..Actor::local() };
            format!("{}/setup/{}", site.base, links::for_new_admin(&*site.store, &actor)?)
        };
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        drop(out);
        http::serve(site, listener, tls).await.map_err(|error| system("cannot wait for signals", error))?;
        Ok(Report::new("", json!({ "ended": true })))
    })
}
