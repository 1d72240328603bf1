#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{
    Anchor, Entry, Failure, Head, Log, Loss, Origin, Outcome, Phase, Reason, Record, Sealed, records, verify,
};

/// A log in a folder of its own.
pub(crate) struct Case {
    folder: TempDir,
    pub(crate) log: Log,
}

impl Case {
    pub(crate) fn new() -> Case {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::at(folder.path().join("audit.jsonl"));
        Case { folder, log }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.at("audit.jsonl")
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes an intent and its outcome.
    pub(crate) fn act(&self, what: &str) {
        let intent = Log::event_id().unwrap();
        self.log.append(&intent, &entry(Phase::Intent, what)).unwrap();
        let outcome = Entry { intent: Some(intent), exit_code: Some(7), ..entry(Phase::Outcome, what) };
        self.log.append(&Log::event_id().unwrap(), &outcome).unwrap();
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let mut found = Vec::new();
        records(&self.path(), |record| found.push(record.clone())).unwrap();
        found
    }

    pub(crate) fn fails(&self, loss: Loss) {
        let again = || self.log.append("e", &entry(Phase::Intent, "exec"));
        for _ in 0..2 {
            assert!(matches!(again(), Err(Failure::Lost(found)) if found == loss), "{:?}", again());
        }
    }

    pub(crate) fn first_break(&self) -> Option<(u64, Reason)> {
        verify(&self.path(), &[], &[]).unwrap().first_break.map(|found| (found.seq, found.reason))
    }
}

pub(crate) fn entry(phase: Phase, action: &str) -> Entry {
    let args = [("hash".to_owned(), "\",\"hash\":\"x".to_owned())].into();
    Entry { origin: Some(Origin::Server), args: Some(args), ..Entry::new(phase, action, Outcome::Started) }
}

fn append(path: &Path, bytes: &[u8]) {
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn records_are_kept_as_they_were_written() {
    let case = Case::new();
    assert_eq!(verify(&case.path(), &[], &[]).unwrap().records, 0);
    assert!(!case.at("audit.lock").exists(), "who only looks makes nothing");
    case.act("exec");
    case.act("put");
    let records = case.records();
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(records[0].entry, entry(Phase::Intent, "exec"));
    assert_eq!(records[3].entry.intent.as_ref(), Some(&records[2].event_id));
    let text = std::fs::read_to_string(case.path()).unwrap();
    let first = text.lines().next().unwrap();
    let names = serde_json::from_str::<serde_json::Map<_, _>>(first).unwrap();
    let names = names.keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(
        names,
        "v seq event_id occurred_at actor os_user host client pid phase action outcome message origin server_alias \
         environment target profile args rendered_command command_sha256 cwd requires_approval approval_reference approval \
         signer certificate auth_method_kind transport enforced exit_code signal duration_ms session_id intent prev hash seal"
    );
    #[cfg(unix)]
    for name in ["audit.jsonl", "audit.state", "audit.lock"] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(case.at(name).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn writers_at_once_keep_one_chain() {
    let case = Case::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..8).for_each(|_| case.act("exec")));
        }
    });
    let report = verify(&case.path(), &[], &[]).unwrap();
    assert_eq!((report.records, report.first_break, &report.open_intents[..]), (128, None, &[][..]));
}

#[test]
fn a_torn_line_is_closed_and_kept() {
    for torn in [&b"{\"v\":1"[..], b"\xff", b"\0\0\0"] {
        let case = Case::new();
        case.act("exec");
        append(&case.path(), torn);
        assert_eq!(case.first_break(), Some((3, Reason::Torn)));
        case.act("exec");
        assert_eq!(
            case.records().iter().map(|record| &*record.entry.action).collect::<Vec<_>>()[2],
            crate::TORN
        );
        assert_eq!((case.records().len(), case.first_break()), (5, None));
        assert_eq!(std::fs::read(case.at("audit.torn-3")).unwrap(), torn);
    }
}

#[test]
fn a_state_that_is_behind_catches_up() {
    for is_sealed in [false, true] {
        let case = Case::new();
        let key = is_sealed.then(|| case.log.seal(&entry(Phase::Event, "x"), false).unwrap());
        case.act("exec");
        let old = std::fs::read(case.at("audit.state")).unwrap();
        case.act("exec");
        std::fs::write(case.at("audit.state"), &old).unwrap();
        let keys = key.into_iter().collect::<Vec<_>>();
        assert_eq!(verify(&case.path(), &keys, &[]).unwrap().first_break, None);
        case.act("exec");
        assert_eq!(verify(&case.path(), &keys, &[]).unwrap().first_break, None);
        // A record that somebody else appended is none.
        append(&case.path(), b"{}\n");
        case.fails(Loss::Changed);
    }
}

#[test]
fn a_loss_stops_until_it_is_accepted() {
    let full = || {
        let case = Case::new();
        (0..3).for_each(|_| case.act("exec"));
        case
    };
    let cut = |case: &Case, lines: usize| {
        let text = std::fs::read_to_string(case.path()).unwrap();
        let kept = text.split_inclusive('\n').take(lines).collect::<String>();
        std::fs::write(case.path(), kept).unwrap();
    };
    type Damage = fn(&Case);
    let ways: [(Damage, Loss, Reason); 4] = [
        (|case| std::fs::remove_file(case.path()).unwrap(), Loss::Missing, Reason::MissingFile),
        (|case| std::fs::write(case.path(), "").unwrap(), Loss::Cut, Reason::TailCut),
        (|case| std::fs::remove_file(case.at("audit.state")).unwrap(), Loss::State, Reason::MissingFile),
        (|case| std::fs::write(case.at("audit.state"), "x").unwrap(), Loss::State, Reason::MissingFile),
    ];
    for (number, (damage, loss, reason)) in ways.into_iter().enumerate() {
        for is_sealed in [false, true] {
            let case = full();
            let key = is_sealed.then(|| case.log.seal(&entry(Phase::Event, "x"), false).unwrap());
            case.act("exec");
            damage(&case);
            case.fails(loss);
            assert!(case.log.seal(&entry(Phase::Event, "x"), false).is_err());
            assert_eq!(case.first_break().unwrap().1, reason, "{number}");
            let new = case.log.seal(&entry(Phase::Event, "x"), true).unwrap();
            case.act("exec");
            let report = verify(&case.path(), std::slice::from_ref(&new), &[]).unwrap();
            assert_eq!(
                (report.first_break, report.losses.len(), report.sealed),
                (None, 1, Sealed::Verified),
                "{number}"
            );
            // The old key shows what it can: without the state it is gone, and nobody else can seal on.
            if let Some(old) = key {
                let report = verify(&case.path(), &[old, new], &[]).unwrap();
                assert_eq!(
                    report.first_break.is_some(),
                    loss == Loss::State || loss != Loss::State && report.records < 3,
                    "{number}"
                );
            }
        }
    }
    let case = full();
    let key = case.log.seal(&entry(Phase::Event, "x"), false).unwrap();
    case.act("exec");
    cut(&case, 7);
    case.fails(Loss::Cut);
    assert_eq!(case.first_break(), Some((8, Reason::TailCut)));
    let new = case.log.seal(&entry(Phase::Event, "x"), true).unwrap();
    let report = verify(&case.path(), &[key, new], &[]).unwrap();
    assert_eq!((report.first_break, &report.losses[..], report.sealed), (None, &[10][..], Sealed::Verified));
}

#[test]
fn the_chain_goes_on_in_a_new_file() {
    let case = Case::new();
    let log = case.log.clone().rotating_at(3000);
    let case = Case { log, ..case };
    let key = case.log.seal(&entry(Phase::Event, "x"), false).unwrap();
    (0..10).for_each(|_| case.act("exec"));
    assert!(case.path().metadata().unwrap().len() <= 3000);
    let report = verify(&case.path(), std::slice::from_ref(&key), &[]).unwrap();
    assert_eq!((report.records, report.first_break, report.sealed), (21, None, Sealed::Verified));
    let parts = || {
        let names = std::fs::read_dir(case.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        names.filter(|name| name.starts_with("audit-")).collect::<Vec<_>>()
    };
    assert!(parts().len() > 3, "{:?}", parts());
    // Killed after the old file was moved away.
    let first = case.records().last().unwrap().seq;
    let state =
        crate::state::State::read(&std::fs::File::open(case.at("audit.state")).unwrap()).unwrap().unwrap();
    assert!(state.first <= first);
    let moved = case.at(&format!("audit-{}.jsonl", state.first));
    std::fs::rename(case.path(), &moved).unwrap();
    // What was added to it since then is none of ours.
    let whole = std::fs::read(&moved).unwrap();
    append(&moved, b"{}\n");
    case.fails(Loss::Missing);
    std::fs::write(&moved, whole).unwrap();
    case.act("exec");
    assert_eq!(verify(&case.path(), &[key], &[]).unwrap().first_break, None);
    // A part that is gone is missed.
    std::fs::remove_file(case.at(&parts()[0])).unwrap();
    assert_eq!(case.first_break().unwrap().1, Reason::MissingFile);
}

#[test]
fn a_record_that_cannot_be_written_is_an_error() {
    let case = Case::new();
    case.act("exec");
    let long = Entry { message: Some("x".repeat(1 << 20)), ..entry(Phase::Intent, "exec") };
    assert!(matches!(case.log.append("e", &long), Err(Failure::TooLong(_))));
    let elsewhere = Log::at(case.at("none/audit.jsonl"));
    assert!(matches!(elsewhere.append("e", &entry(Phase::Intent, "exec")), Err(Failure::Io { .. })));
    assert!(elsewhere.check().is_err() && case.log.check().is_ok());
    let anchored = case.log.clone().anchored(Some(Anchor::File(case.at("none/anchor"))));
    assert!(matches!(anchored.append("e", &entry(Phase::Intent, "exec")), Err(Failure::Io { .. })));
    assert_eq!((case.records().len(), case.first_break()), (3, None));
}

#[test]
fn an_anchor_gets_every_head() {
    let case = Case::new();
    let log = case.log.clone().anchored(Some(Anchor::File(case.at("anchor"))));
    let case = Case { log, ..case };
    (0..3).for_each(|_| case.act("exec"));
    let text = std::fs::read_to_string(case.at("anchor")).unwrap();
    let heads = Head::find(&text, None).collect::<Vec<_>>();
    assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(verify(&case.path(), &[], &heads).unwrap().first_break, None);
}
