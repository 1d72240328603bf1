//! Whether the log is what was written: the first record that is changed, missing, swapped or cut.

use std::collections::BTreeMap;
use std::path::Path;

use crate::anchor::Head;
use crate::chain::{Line, Refused, ZEROS};
use crate::failure::Failure;
use crate::reader::Snapshot;
use crate::record::Phase;
use crate::seal::SealKey;
use crate::{LOSS, SEAL};

/// Why a log is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The record was changed, or is none.
    HashMismatch,
    /// The record does not follow the one before it.
    PrevMismatch,
    /// The record has another number than comes next.
    SequenceGap,
    /// The last record is cut short.
    Torn,
    /// The end is missing.
    TailCut,
    /// A file is missing: the log, a part that was rotated away, or the state.
    MissingFile,
    /// The record is not sealed by the key.
    SealMismatch,
    /// A head that was kept elsewhere is not in the log.
    AnchorMismatch,
}

impl Reason {
    /// Its word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::HashMismatch => "hash_mismatch",
            Reason::PrevMismatch => "prev_mismatch",
            Reason::SequenceGap => "sequence_gap",
            Reason::Torn => "torn",
            Reason::TailCut => "tail_cut",
            Reason::MissingFile => "missing_file",
            Reason::SealMismatch => "seal_mismatch",
            Reason::AnchorMismatch => "anchor_mismatch",
        }
    }

    /// What it means, as the rest of a sentence about the record.
    pub fn meaning(self) -> &'static str {
        match self {
            Reason::HashMismatch => "was changed, or is not a record",
            Reason::PrevMismatch => "does not follow the record before it",
            Reason::SequenceGap => "is not where it should be",
            Reason::Torn => "is cut short",
            Reason::TailCut => "is missing, and so is all that followed",
            Reason::MissingFile => "is missing, with the file that it should be in",
            Reason::SealMismatch => "is not sealed by the key",
            Reason::AnchorMismatch => "is not the one that was anchored",
        }
    }
}

/// The first record that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Its number, or the number that should be there.
    pub seq: u64,
    /// What is wrong.
    pub reason: Reason,
}

/// What is known of the seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// The key fits all records that it seals, and these are the latest ones.
    Verified,
    /// There are seals that no key was given for.
    Unchecked,
    /// There are none.
    None,
}

impl Sealed {
    /// Its word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Sealed::Verified => "verified",
            Sealed::Unchecked => "unchecked",
            Sealed::None => "none",
        }
    }
}

/// What a log turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many records there are, up to the first break.
    pub records: u64,
    /// The number of the first one.
    pub first_seq: Option<u64>,
    /// The last one.
    pub head: Option<Head>,
    /// What is known of the seals.
    pub sealed: Sealed,
    /// Actions whose end is not known.
    pub open_intents: Vec<u64>,
    /// Records that say that others before them were lost.
    pub losses: Vec<u64>,
    /// The first record that is not what was written.
    pub first_break: Option<Break>,
}

/// What seals the records from one on.
enum Epoch {
    /// Nothing.
    Unsealed,
    /// A key that was not given.
    Unknown,
    /// This key.
    Known(Box<SealKey>),
}

struct Walk<'a> {
    keys: &'a [SealKey],
    anchors: BTreeMap<u64, &'a str>,
    epoch: Epoch,
    key_used: bool,
    seals: bool,
    part: Option<usize>,
    head: Option<Head>,
    /// Whether the last record that was read fits what the state says.
    state_hash: Option<(u64, String)>,
    state_fits: bool,
    intents: BTreeMap<String, u64>,
    report: Report,
}

/// Reads the log at `path`, and judges it. `keys` were printed when it was sealed; `anchors` are heads that were kept elsewhere.
pub fn verify(path: &Path, keys: &[SealKey], anchors: &[Head]) -> Result<Report, Failure> {
    let snapshot = Snapshot::of(path)?;
    let state = snapshot.state.as_ref();
    let mut walk = Walk {
        keys,
        anchors: anchors.iter().map(|head| (head.seq, head.hash.as_str())).collect(),
        epoch: Epoch::Unsealed,
        key_used: false,
        seals: false,
        part: None,
        head: None,
        state_hash: state.map(|state| (state.seq, state.head.clone())),
        state_fits: state.is_some_and(|state| state.seq == 0),
        intents: BTreeMap::new(),
        report: Report {
            records: 0,
            first_seq: None,
            head: None,
            sealed: Sealed::None,
            open_intents: Vec::new(),
            losses: Vec::new(),
            first_break: None,
        },
    };
    // Two heads of one number, only one of which can be right.
    let contradiction = anchors.iter().find(|head| walk.anchors.get(&head.seq) != Some(&head.hash.as_str()));
    let contradiction = contradiction.map(|head| Break { seq: head.seq, reason: Reason::AnchorMismatch });
    snapshot.lines(|part, bytes, is_whole| {
        let found = walk.take(part, bytes, is_whole);
        walk.report.first_break = found;
        found.is_none()
    })?;
    if walk.report.first_break.is_none() {
        walk.report.first_break = walk.end(&snapshot).or(contradiction);
    }
    Ok(walk.finish())
}

impl Walk<'_> {
    /// Takes a line in; what is wrong with it.
    fn take(&mut self, part: usize, bytes: &[u8], is_whole: bool) -> Option<Break> {
        let next = self.head.as_ref().map_or(1, |head| head.seq + 1);
        let is_new_part = self.part.replace(part) != Some(part);
        let wrong = |seq, reason| Some(Break { seq, reason });
        if !is_whole {
            return wrong(next, Reason::Torn);
        }
        let line = match Line::parse(bytes) {
            Ok(line) => line,
            Err(Refused::Hash | Refused::Malformed) => return wrong(next, Reason::HashMismatch),
        };
        let (record, is_loss) = (&line.record, line.record.entry.action == LOSS);
        let is_gap = record.seq > next && is_loss;
        if record.seq != next && !is_gap {
            let is_missing = is_new_part && record.seq > next;
            return wrong(next, if is_missing { Reason::MissingFile } else { Reason::SequenceGap });
        }
        let before = self.head.as_ref().map_or(ZEROS, |head| head.hash.as_str());
        if record.prev != before {
            return wrong(record.seq, Reason::PrevMismatch);
        }
        let anchor = self.anchors.remove(&record.seq);
        // Those of lost records are missing for good.
        let lost = self.anchors.range(..record.seq).next().map(|(seq, _)| *seq);
        if let Some(seq) = lost {
            return wrong(seq, Reason::AnchorMismatch);
        }
        if anchor.is_some_and(|hash| hash != line.hash) {
            return wrong(record.seq, Reason::AnchorMismatch);
        }
        if !self.is_sealed(&line, record.seq - next) {
            return wrong(record.seq, Reason::SealMismatch);
        }
        if let Some((seq, hash)) = &self.state_hash {
            if record.seq == *seq && line.hash != *hash {
                return wrong(record.seq, Reason::HashMismatch);
            }
            self.state_fits |= record.seq == *seq;
        }
        if is_loss {
            self.report.losses.push(record.seq);
        }
        match (record.entry.phase, &record.entry.intent) {
            (Phase::Intent, _) => {
                self.intents.insert(record.event_id.clone(), record.seq);
            }
            (_, Some(intent)) => {
                self.intents.remove(intent);
            }
            _ => {}
        }
        self.report.records += 1;
        self.report.first_seq.get_or_insert(record.seq);
        self.head = Some(Head { seq: record.seq, hash: line.hash });
        None
    }

    /// Whether the record is sealed as it has to be; the key moves on. `skipped`: how many records before it are lost.
    fn is_sealed(&mut self, line: &Line, skipped: u64) -> bool {
        self.seals |= line.seal.is_some();
        let mut fits = true;
        if let Epoch::Known(key) = &mut self.epoch {
            for _ in 0..skipped {
                **key = key.next();
            }
            fits = line.seal.is_some() && line.seal == key.seal(&line.hash);
            **key = key.next();
        }
        if line.record.entry.action == SEAL {
            let id = line.record.entry.args.as_ref().and_then(|args| args.get("key_id"));
            let known = self.keys.iter().find(|key| id.is_some_and(|id| key.id() == *id));
            self.key_used |= known.is_some();
            self.epoch = known.map_or(Epoch::Unknown, |key| Epoch::Known(Box::new(key.clone())));
        }
        fits
    }

    /// What is wrong with the end.
    fn end(&mut self, snapshot: &Snapshot) -> Option<Break> {
        let last = self.head.as_ref().map_or(0, |head| head.seq);
        let wrong = |seq, reason| Some(Break { seq, reason });
        let Some(state) = &snapshot.state else {
            let is_gone = (last > 0).then_some(Break { seq: last, reason: Reason::MissingFile });
            let anchored = self.anchors.first_key_value();
            return is_gone.or(anchored.map(|(seq, _)| Break { seq: *seq, reason: Reason::AnchorMismatch }));
        };
        if state.seq > last {
            let is_there = snapshot.has_log || state.size == 0;
            return wrong(last + 1, if is_there { Reason::TailCut } else { Reason::MissingFile });
        }
        if !self.state_fits {
            return wrong(state.seq, Reason::TailCut);
        }
        if let Some((seq, _)) = self.anchors.pop_first() {
            return wrong(seq, Reason::AnchorMismatch);
        }
        if let Epoch::Known(key) = &self.epoch {
            let mut present = state.key.clone();
            for _ in state.seq..last {
                present = present.map(|key| key.next());
            }
            if present.is_none_or(|present| present != **key) {
                return wrong(last, Reason::SealMismatch);
            }
        }
        // A key that seals nothing here: what it sealed is gone.
        (!self.keys.is_empty() && !self.key_used).then_some(Break { seq: last, reason: Reason::SealMismatch })
    }

    fn finish(self) -> Report {
        let sealed = match self.epoch {
            Epoch::Known(_) => Sealed::Verified,
            Epoch::Unknown => Sealed::Unchecked,
            Epoch::Unsealed if self.seals => Sealed::Unchecked,
            Epoch::Unsealed => Sealed::None,
        };
        let mut open_intents = self.intents.into_values().collect::<Vec<_>>();
        open_intents.sort_unstable();
        Report { head: self.head, sealed, open_intents, ..self.report }
    }
}
