//! `runcode audit verify`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use runcode_audit::{Head, Report as Found, SealKey, Sealed, verify};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Report, Text};
use crate::session::audit::unreadable;

/// The largest file of anchors, in bytes.
const MAX_ANCHORS: u64 = 64 * 1024 * 1024;

/// The longest that keys on stdin may be, in bytes.
const MAX_KEYS: u64 = 64 * 1024;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Read the verification key from stdin; if the log was sealed several times, one key per line
    #[arg(long)]
    key_stdin: bool,
    /// Compare the log with the heads in this file: the one that `audit_anchor` names, or an excerpt of the system's log
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    anchor: Option<PathBuf>,
    /// Compare the log with this head, which an export or an earlier `verify` showed; may be given several times
    #[arg(long, value_name = "SEQ:HASH", value_parser = head)]
    head: Vec<Head>,
}

fn head(text: &str) -> Result<Head, &'static str> {
    Head::parse(text).ok_or("a head is a number, a colon and 64 hexadecimal digits")
}

struct Verified {
    log: PathBuf,
    found: Found,
}

impl Report for Verified {
    fn json(&self) -> Value {
        let found = &self.found;
        json!({
            "ok": found.first_break.is_none(),
            "records": found.records,
            "first_seq": found.first_seq,
            "last_seq": found.head.as_ref().map(|head| head.seq),
            "head": found.head.as_ref().map(|head| &head.hash),
            "sealed": found.sealed.as_str(),
            "open_intents": found.open_intents,
            "losses": found.losses,
            "first_break": found.first_break.map(|found| json!({ "seq": found.seq, "reason": found.reason.as_str() })),
        })
    }

    fn text(&self, text: &mut Text) {
        let found = &self.found;
        let log = self.log.named();
        match (&found.first_break, &found.head) {
            (Some(wrong), _) => {
                let (reason, what) = (wrong.reason.as_str(), wrong.reason.meaning());
                text.line(format!("✗ {log}: record {} {what} ({reason})", wrong.seq));
                text.line(format!("  {} records before it are as they were written", found.records));
            }
            (None, None) => text.line(format!("✓ {log}: no records")),
            (None, Some(head)) => {
                text.line(format!("✓ {log}: {} records, each as it was written", found.records));
                text.line(format!("  head: {head}"));
            }
        }
        text.line(match found.sealed {
            Sealed::Verified => "  seals: verified",
            Sealed::Unchecked => {
                "  seals: not checked; with --key-stdin they show whether somebody made the chain anew"
            }
            Sealed::None => "  seals: none, so whoever owns the file could have made the chain anew (`runcode audit seal`)",
        });
        for seq in &found.losses {
            text.line(format!(
                "  record {seq} says that records before it were lost, and that somebody accepted the loss"
            ));
        }
        if let [first, ..] = &found.open_intents[..] {
            let count = found.open_intents.len();
            text.line(format!("  {count} have no outcome: killed, or still running (the first: {first})"));
        }
    }

    fn exit_status(&self) -> u8 {
        u8::from(self.found.first_break.is_some())
    }
}

/// Verifies the log.
pub(super) fn run(args: &Args, log: &Path) -> Result<Outcome> {
    let keys = if args.key_stdin { keys()? } else { Vec::new() };
    let mut heads = args.head.clone();
    if let Some(file) = &args.anchor {
        let failed = |error| Error::io(format_args!("read {}", file.named()), error);
        let mut text = Vec::new();
        let open = std::fs::File::open(file).map_err(failed)?;
        open.take(MAX_ANCHORS + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > MAX_ANCHORS {
            return Err(Error::new(Code::Usage, format!("{} is larger than 64 MiB", file.named()))
                .hint("pass a smaller file with only the lines that hold heads of this log"));
        }
        let before = heads.len();
        heads.extend(Head::find(&String::from_utf8_lossy(&text), owner(log)));
        if heads.len() == before {
            return Err(Error::new(Code::Usage, format!("there is no head of this log in {}", file.named())).hint(
                "a head is a number, a colon and 64 hexadecimal digits, as `runcode audit verify` shows it",
            ));
        }
    }
    let found = verify(log, &keys, &heads).map_err(unreadable)?;
    Ok(Verified { log: log.to_owned(), found }.into())
}

/// Whose log it is; of one that is gone, it was this user's.
#[cfg(unix)]
fn owner(log: &Path) -> Option<u32> {
    let found = std::fs::metadata(log).map(|found| std::os::unix::fs::MetadataExt::uid(&found));
    Some(found.unwrap_or_else(|_| crate::sys::platform::user_id()))
}

#[cfg(windows)]
fn owner(_: &Path) -> Option<u32> {
    None
}

fn keys() -> Result<Vec<SealKey>> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(MAX_KEYS).read_to_string(&mut text)?;
    let keys = text.split_ascii_whitespace().map(SealKey::parse).collect::<Option<Vec<_>>>();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
        Error::new(Code::Usage, "stdin holds no verification key")
            .hint("give what `runcode audit seal` printed: 43 letters, digits, - and _")
    })
}
