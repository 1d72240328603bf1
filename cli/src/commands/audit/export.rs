//! `runcode audit export`.

use std::path::Path;

use runcode_audit::{Head, read};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::output::report::Outcome;
use crate::session::audit::unreadable;
use crate::sys::clock;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How the records are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// The lines of the log as they are; the last line is the head
    #[default]
    Jsonl,
    /// A table for spreadsheets; the last line is the head
    Csv,
}

/// Writes every record, and the head.
pub(super) fn run(args: &Args, log: &Path) -> Result<Outcome> {
    let (mut text, mut head, mut has_names) = (Vec::new(), None::<Head>, false);
    let written = read(log, |bytes, line| {
        head = Some(Head { seq: line.record.seq, hash: line.hash.clone() });
        match args.format {
            Format::Jsonl => text.extend_from_slice(bytes),
            Format::Csv => {
                let members = serde_json::from_slice::<Map<String, Value>>(bytes).unwrap_or_default();
                if !std::mem::replace(&mut has_names, true) {
                    text.extend_from_slice(row(members.keys().map(|name| cell(name))).as_bytes());
                    text.push(b'\n');
                }
                text.extend_from_slice(row(members.values().map(shown)).as_bytes());
            }
        }
        text.push(b'\n');
    });
    written.map_err(unreadable)?;
    let (seq, hash) = head.map_or((None, None), |head| (Some(head.seq), Some(head.hash)));
    let end = json!({ "export": { "head": hash, "last_seq": seq, "at": clock::now().to_string() } });
    let end = match args.format {
        Format::Jsonl => end.to_string(),
        Format::Csv => format!("{},{}", cell("export"), cell(&end["export"].to_string())),
    };
    text.extend_from_slice(end.as_bytes());
    text.push(b'\n');
    Ok(Outcome::Raw(text))
}

fn row(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(",")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        other => cell(&other.to_string()),
    }
}

/// A cell as RFC 4180 has it. One that a spreadsheet would take for a formula is text.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if is_formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text() {
        for (text, expected) in
            [("a", "\"a\""), ("a\"b,c", "\"a\"\"b,c\""), ("=1+1", "\"'=1+1\""), ("", "\"\"")]
        {
            assert_eq!(cell(text), expected);
        }
        assert_eq!(row([json!(null), json!(7), json!(["x"])].iter().map(shown)), ",\"7\",\"[\"\"x\"\"]\"");
    }
}
