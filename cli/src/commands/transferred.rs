//! The report of `put`, `get` and `write`: what a transfer did, and with which workspace.

use serde_json::Value;

use crate::files::Summary;
use crate::output::foreign;
use crate::output::progress::note;
use crate::output::report::{Report, Text};
use crate::session::Session;

/// A transfer that ended well.
pub struct Transferred {
    summary: Summary,
    session: Session,
    /// The word between where it went and the workspace.
    preposition: &'static str,
}

impl Transferred {
    /// What was sent to the session's workspace.
    pub fn sent(session: Session, summary: Summary) -> Transferred {
        warn(&summary);
        Transferred { summary, session, preposition: "on" }
    }

    /// What was fetched from the session's workspace.
    pub fn fetched(session: Session, summary: Summary) -> Transferred {
        warn(&summary);
        Transferred { summary, session, preposition: "from" }
    }
}

/// Says what is missing on stderr too: a script that throws the report away still fails.
fn warn(summary: &Summary) {
    let unread = &summary.missing.unread;
    if unread.count > 0 {
        let more = if unread.count > unread.named.len() as u64 { ", and more" } else { "" };
        note(format!("runcode: could not be read: {}{more}", unread.named.join(", ")));
    }
}

impl Report for Transferred {
    fn json(&self) -> Value {
        let mut report = self.summary.json();
        self.session.name_in(&mut report);
        report
    }

    fn text(&self, text: &mut Text) {
        let to =
            format!("{} {} {}", foreign::place(&self.summary.to), self.preposition, self.session.shown());
        self.summary.text_of(text, &to);
    }

    fn exit_status(&self) -> u8 {
        self.summary.exit_status()
    }
}
