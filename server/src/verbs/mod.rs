//! The verbs. All but `serve` act as whoever runs them: who reads the database administers it, and the audit says `local:`.

mod hosts;
mod people;
mod records;
mod serve;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::args::{Args, Verb};
use crate::config::Config;
use crate::core::audit::Actor;
use crate::core::links;
use crate::failure::Result;
use crate::site::{self, Site};

/// What a verb prints.
pub(crate) struct Report {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// The exit status.
    pub exit: u8,
}

impl Report {
    fn new(text: impl Into<String>, json: Value) -> Report {
        let mut text = text.into();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Report { text, json, exit: 0 }
    }
}

/// What the verbs stand on.
struct Here {
    site: Arc<Site>,
    actor: Actor,
}

/// Runs a verb.
///
/// # Errors
/// What it says.
pub(crate) fn run(args: Args) -> Result<Report> {
    let env = |name: &str| std::env::var(name).ok();
    let config = Config::load(args.config.as_deref(), &env)?;
    let here = |config: Config| {
        let port = config.listen.port();
        Ok(Here { site: Site::open(config, port)?, actor: Actor::local() })
    };
    match args.verb {
        Verb::Serve => serve::serve(config),
        Verb::Check => {
            crate::http::Tls::open(&config)?;
            let found = site::check(&config)?;
            Ok(Report::new(
                format!("{}\nno mistakes found", found.join("\n")),
                json!({ "ok": true, "found": found }),
            ))
        }
        Verb::Migrate => {
            here(config)?;
            let version = crate::store::SCHEMA_VERSION;
            Ok(Report::new(format!("The database is of version {version}."), json!({ "version": version })))
        }
        Verb::AdminLink { email } => admin_link(&here(config)?, email),
        Verb::Person(verb) => people::person(&here(config)?, verb),
        Verb::Team(verb) => people::team(&here(config)?, verb),
        Verb::Token(verb) => people::token(&here(config)?, verb),
        Verb::Workspace(verb) => hosts::workspace(&here(config)?, verb),
        Verb::Host(verb) => hosts::host(&here(config)?, verb),
        Verb::Grant(verb) => hosts::grant(&here(config)?, verb),
        Verb::Session(verb) => records::session(&here(config)?, verb),
        Verb::Ca(verb) => records::ca(&here(config)?, verb),
        Verb::Audit(verb) => records::audit(&here(config)?, verb),
    }
}

fn admin_link(here: &Here, email: Option<String>) -> Result<Report> {
    let store = &*here.site.store;
    let url = match email {
        Some(email) => format!("{}/link/{}", here.site.base, links::for_person(store, &here.actor, &email)?),
        None => format!("{}/setup/{}", here.site.base, links::for_new_admin(store, &here.actor)?),
    };
    Ok(Report::new(url.clone(), json!({ "url": url })))
}

/// Rows as a table for people: each column as wide as its widest cell.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |row: &[String]| row.iter().map(|cell| crate::core::words::remark(cell)).collect::<Vec<_>>();
    let head = head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let all = std::iter::once(head).chain(rows.iter().map(|row| cells(row))).collect::<Vec<_>>();
    let width =
        |column: usize| all.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths = (0..all.first().map_or(0, Vec::len)).map(width).collect::<Vec<_>>();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    all.iter().map(line).collect()
}
