//! `runcode audit list`.

use std::collections::VecDeque;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use runcode_audit::{Outcome as Fate, Phase, Record, records};
use serde_json::Value;

use crate::error::Result;
use crate::output::report::{Outcome, Report, Text};
use crate::output::sanitize;
use crate::output::table::table;
use crate::session::audit::unreadable;
use crate::sys::clock;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Only those of this server, host (`ssh:HOST`) or workspace number
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only those of this action, such as exec, put or run_execute
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only those since this time: a time such as 2026-01-31T12:00:00Z, or how long ago, such as 30m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// How many at most
    #[arg(short = 'n', value_name = "NUMBER", default_value_t = 50)]
    most: usize,
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let seconds = text.split_at_checked(text.len().saturating_sub(1)).and_then(|(number, unit)| {
        let each =
            [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)].into_iter().find(|(name, _)| *name == unit)?.1;
        number.parse::<u32>().ok().map(|number| i64::from(number) * each)
    });
    let time = seconds.and_then(|ago| clock::now().checked_sub(SignedDuration::from_secs(ago)).ok());
    time.ok_or_else(|| "write a time as 2026-01-31T12:00:00Z, or how long ago as 30m, 2h or 7d".to_owned())
}

struct Listed {
    records: VecDeque<Record>,
}

impl Report for Listed {
    fn json(&self) -> Value {
        self.records.iter().map(|record| serde_json::to_value(record).unwrap_or_default()).collect()
    }

    fn text(&self, text: &mut Text) {
        if self.records.is_empty() {
            return text.line("no records");
        }
        let row = |record: &Record| {
            let entry = &record.entry;
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let fate = match (entry.phase, entry.outcome, entry.exit_code) {
                (Phase::Intent, ..) => "started".to_owned(),
                (_, Fate::Executed, Some(status)) => format!("exit {status}"),
                (_, outcome, _) => word(&serde_json::to_value(outcome).unwrap_or_default()),
            };
            let what = match (&entry.profile, &entry.rendered_command, &entry.message) {
                (_, _, Some(message)) if entry.phase != Phase::Intent => message.clone(),
                (_, Some(command), _) => command.clone(),
                (Some(profile), ..) => profile.clone(),
                _ => String::new(),
            };
            vec![
                record.seq.to_string(),
                record.occurred_at.clone(),
                entry.actor.clone().unwrap_or_default(),
                entry.server_alias.clone().unwrap_or_default(),
                entry.action.clone(),
                fate,
                sanitize::short(&what),
            ]
        };
        let rows = self.records.iter().map(row).collect::<Vec<_>>();
        table(text, &["SEQ", "TIME", "ACTOR", "SERVER", "ACTION", "OUTCOME", "WHAT"], &rows);
    }
}

/// Lists what fits.
pub(super) fn run(args: &Args, log: &Path) -> Result<Outcome> {
    let mut found = VecDeque::new();
    let fits = |record: &Record| {
        let is_named =
            |wanted: &Option<String>, name: Option<&String>| wanted.is_none() || wanted.as_ref() == name;
        is_named(&args.server, record.entry.server_alias.as_ref())
            && is_named(&args.action, Some(&record.entry.action))
            && args
                .since
                .is_none_or(|since| record.occurred_at.parse::<Timestamp>().is_ok_and(|time| time >= since))
    };
    let read = records(log, |record| {
        if args.most > 0 && fits(record) {
            if found.len() == args.most {
                found.pop_front();
            }
            found.push_back(record.clone());
        }
    });
    read.map_err(unreadable)?;
    Ok(Listed { records: found }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let ago = |text| since(text).map(|time| clock::now().as_second() - time.as_second());
        for (text, seconds) in [("5s", 5), ("2m", 120), ("1h", 3600), ("7d", 604_800), ("0m", 0)] {
            assert!(ago(text).is_ok_and(|found| (seconds..seconds + 5).contains(&found)), "{text}");
        }
        assert_eq!(
            since("2026-01-31T12:00:00Z").map(|time| time.to_string()),
            Ok("2026-01-31T12:00:00Z".to_owned())
        );
        for text in ["", "m", "5", "5w", "-5m", "ä", "yesterday", "99999999999d"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
