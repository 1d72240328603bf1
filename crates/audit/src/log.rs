//! Writing the log: under a lock, synced before it returns, after whatever a crash has left was put in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rand::TryRng as _;

use crate::anchor::{Anchor, Head};
use crate::chain::{Line, MAX_LINE, VERSION, ZEROS, digest, hex};
use crate::failure::{Failure, Loss};
use crate::files::{self, Files, read_at};
use crate::record::{Entry, Outcome, Phase, Record};
use crate::seal::SealKey;
use crate::state::State;
use crate::{LOSS, SEAL, TORN};

/// From this size on, a new log is begun.
const ROTATE_AT: u64 = 64 * 1024 * 1024;

/// How long a record waits for others that are written.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log that is appended to.
#[derive(Debug, Clone)]
pub struct Log {
    files: Files,
    anchor: Option<Anchor>,
    rotate_at: u64,
    patience: Duration,
}

/// A record that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub event_id: String,
    /// Its number and hash.
    pub head: Head,
}

/// The log, opened, in order, and locked.
struct Open {
    log: File,
    state_file: File,
    state: State,
    _lock: File,
}

impl Log {
    /// The log at `path`; no I/O.
    pub fn at(path: impl AsRef<Path>) -> Log {
        Log { files: Files::at(path.as_ref()), anchor: None, rotate_at: ROTATE_AT, patience: PATIENCE }
    }

    /// The same log, whose heads go to `anchor` as well.
    #[must_use]
    pub fn anchored(self, anchor: Option<Anchor>) -> Log {
        Log { anchor, ..self }
    }

    /// The same log, which begins anew from this size on.
    #[must_use]
    pub fn rotating_at(self, bytes: u64) -> Log {
        Log { rotate_at: bytes, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.files.log()
    }

    /// A name for a record.
    pub fn event_id() -> Result<String, Failure> {
        let mut bytes = [0; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|_| Failure::NoRandom)?;
        Ok(hex(&bytes))
    }

    /// Appends a record. When this returns, it is on disk; when it fails, nothing may be done that the record was to announce.
    pub fn append(&self, event_id: &str, entry: &Entry) -> Result<Written, Failure> {
        let mut open = self.open(entry)?;
        self.put(&mut open, event_id, entry)
    }

    /// Whether a record could be appended now.
    pub fn check(&self) -> Result<(), Failure> {
        let who = Entry::new(Phase::Event, TORN, Outcome::Succeeded);
        self.open(&who).map(|_| ())
    }

    /// Seals what follows with a new key, which verifies it. With `accepts_loss`, a log that has lost records goes on, and says
    /// that it has.
    pub fn seal(&self, who: &Entry, accepts_loss: bool) -> Result<SealKey, Failure> {
        let key = SealKey::generate()?;
        let mut open = match self.open(who) {
            Err(Failure::Lost(_)) if accepts_loss => self.go_on(who)?,
            opened => opened?,
        };
        let args = BTreeMap::from([("key_id".to_owned(), key.id())]);
        let entry = Entry { args: Some(args), ..event(who, SEAL, "a new key seals the records that follow") };
        let (seq, line, hash) = self.write(&mut open, &Log::event_id()?, &entry)?;
        open.state.advance(seq, hash, line);
        open.state.key = Some(key.clone());
        self.settle(&open)?;
        Ok(key)
    }

    fn put(&self, open: &mut Open, event_id: &str, entry: &Entry) -> Result<Written, Failure> {
        let (seq, length, hash) = self.write(open, event_id, entry)?;
        let head = Head { seq, hash: hash.clone() };
        open.state.advance(seq, hash, length);
        self.settle(open)?;
        Ok(Written { event_id: event_id.to_owned(), head })
    }

    /// Appends the line of a record, synced: its number, its length, its hash. What cannot be written whole is taken back.
    fn write(&self, open: &mut Open, event_id: &str, entry: &Entry) -> Result<(u64, u64, String), Failure> {
        let seq = open.state.seq + 1;
        let record = Record {
            v: VERSION,
            seq,
            event_id: event_id.to_owned(),
            occurred_at: format!("{:.3}", Timestamp::now()),
            entry: entry.clone(),
            prev: open.state.head.clone(),
        };
        let failed = |error: std::io::Error| Failure::io("write", self.path(), error);
        let key = open.state.key.clone();
        let written = Line::write(&record, |hash| key.and_then(|key| key.seal(hash)));
        let (line, hash) = written.map_err(|error| failed(error.into()))?;
        if line.len() > MAX_LINE {
            return Err(Failure::TooLong(MAX_LINE));
        }
        let length = line.len() as u64;
        if open.state.size > 0 && open.state.size + length > self.rotate_at {
            // On each side of the move, a power cut leaves a state that fits the files.
            self.sync_state(open)?;
            self.files.rotate(open.state.first)?;
            (open.log, _) = self.files.open_log()?;
            (open.state.first, open.state.size) = (seq, 0);
            self.settle(open)?;
            self.sync_state(open)?;
        }
        let sought = open.log.seek(SeekFrom::Start(open.state.size));
        let appended = sought.and_then(|_| open.log.write_all(&line)).and_then(|()| open.log.sync_data());
        if let Err(error) = appended {
            let _ = open.log.set_len(open.state.size);
            return Err(failed(error));
        }
        Ok((seq, length, hash))
    }

    /// Writes down where the log stands now.
    fn settle(&self, open: &Open) -> Result<(), Failure> {
        let state = &open.state;
        state.write(&open.state_file).map_err(|error| Failure::io("write", &self.files.state(), error))?;
        match &self.anchor {
            Some(anchor) if state.size > 0 => {
                anchor.send(&Head { seq: state.seq, hash: state.head.clone() }, files::owner(&open.log))
            }
            _ => Ok(()),
        }
    }

    fn sync_state(&self, open: &Open) -> Result<(), Failure> {
        let synced = open.state_file.sync_all();
        synced.map_err(|error| Failure::io("write", &self.files.state(), error))?;
        self.files.sync_folder();
        Ok(())
    }

    /// Opens the log, and puts in order what a crash has left. `who`: whose records say so.
    fn open(&self, who: &Entry) -> Result<Open, Failure> {
        let lock = self.files.lock(self.patience)?;
        let (state_file, state) = self.state()?;
        let (log, is_new) = self.files.open_log()?;
        let mut open = Open { log, state_file, state, _lock: lock };
        let length = self.length(&open.log)?;
        if length < open.state.size {
            // It was about to be rotated.
            let segment = self.files.segment(open.state.first);
            let is_whole = std::fs::metadata(&segment).is_ok_and(|found| found.len() == open.state.size);
            let is_rotated = length == 0 && is_whole && self.is_at(&segment, &open.state);
            if !is_rotated {
                // What was made here must not stand for what is gone.
                if is_new {
                    let _ = std::fs::remove_file(self.path());
                }
                return Err(Failure::Lost(if is_new { Loss::Missing } else { Loss::Cut }));
            }
            (open.state.first, open.state.size) = (open.state.seq + 1, 0);
        }
        if open.state.size > 0 && !self.is_at(self.path(), &open.state) {
            return Err(Failure::Lost(Loss::Changed));
        }
        if length > open.state.size {
            self.catch_up(&mut open, length, who)?;
        }
        Ok(open)
    }

    fn state(&self) -> Result<(File, State), Failure> {
        let failed = |error| Failure::io("write", &self.files.state(), error);
        let is_empty = || -> Result<bool, Failure> {
            let length = std::fs::metadata(self.path()).map_or(0, |log| log.len());
            Ok(length == 0 && self.files.segments()?.is_empty())
        };
        let found = match self.files.open_state(false)? {
            Some(file) => Some((State::read(&file).map_err(failed)?, file)),
            None => None,
        };
        let file = match found {
            Some((Some(state), file)) => return Ok((file, state)),
            _ if !is_empty()? => return Err(Failure::Lost(Loss::State)),
            Some((None, file)) => file,
            None => self.files.open_state(true)?.ok_or(Failure::Lost(Loss::State))?,
        };
        // Before the first record: a record without a state would look like a loss.
        let state = State::empty();
        state.write(&file).and_then(|()| file.sync_data()).map_err(failed)?;
        Ok((file, state))
    }

    fn length(&self, log: &File) -> Result<u64, Failure> {
        let metadata = log.metadata().map_err(|error| Failure::io("read", self.path(), error))?;
        Ok(metadata.len())
    }

    /// Whether the file ends, at the state's size, with the state's head.
    fn is_at(&self, path: &Path, state: &State) -> bool {
        const END: u64 = 200;
        let end =
            File::open(path).and_then(|file| read_at(&file, state.size.saturating_sub(END), state.size));
        let end = end.unwrap_or_default();
        let head = format!(",\"hash\":\"{}\",\"seal\":", state.head);
        end.ends_with(b"}\n") && end.windows(head.len()).any(|window| window == head.as_bytes())
    }

    /// Takes in the records that the state does not know of, and closes a line that was cut short.
    fn catch_up(&self, open: &mut Open, length: u64, who: &Entry) -> Result<(), Failure> {
        let bytes = read_at(&open.log, open.state.size, length);
        let bytes = bytes.map_err(|error| Failure::io("read", self.path(), error))?;
        let mut rest = &bytes[..];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let Some(line) = next(&open.state, &rest[..end]) else {
                return Err(Failure::Lost(Loss::Changed));
            };
            let is_seal = line.record.entry.action == SEAL;
            open.state.advance(line.record.seq, line.hash, end as u64 + 1);
            if is_seal {
                open.state.key = None; // nobody has seen that key
            }
            rest = &rest[end + 1..];
        }
        if rest.is_empty() {
            return self.settle(open);
        }
        self.files.keep_torn(open.state.seq + 1, rest)?;
        let cut = open.log.set_len(open.state.size);
        cut.map_err(|error| Failure::io("write", self.path(), error))?;
        let args = BTreeMap::from([
            ("sha256".to_owned(), digest(rest)),
            ("bytes".to_owned(), rest.len().to_string()),
        ]);
        let entry = Entry { args: Some(args), ..event(who, TORN, "a record was cut short here") };
        self.put(open, &Log::event_id()?, &entry).map(|_| ())
    }

    /// Goes on after a loss: with what is left, and a record of what is not.
    fn go_on(&self, who: &Entry) -> Result<Open, Failure> {
        let lock = self.files.lock(self.patience)?;
        let failed = |path: PathBuf| move |error| Failure::io("write", &path, error);
        let state_file = match self.files.open_state(false)? {
            Some(file) => file,
            None => self.files.open_state(true)?.ok_or(Failure::Lost(Loss::State))?,
        };
        let known = State::read(&state_file).map_err(failed(self.files.state()))?;
        let (log, _) = self.files.open_log()?;
        let length = self.length(&log)?;
        let bytes = read_at(&log, 0, length).map_err(failed(self.path().to_owned()))?;
        let (mut found, kept) = last_whole(&bytes);
        let first = found.as_ref().map(|(first, _)| *first);
        if found.is_none() {
            let segments = self.files.segments()?;
            let last = segments.last().map(|(_, path)| std::fs::read(path).map_err(failed(path.clone())));
            found = last.transpose()?.and_then(|bytes| last_whole(&bytes).0);
        }
        let (found_seq, head) = found.map_or((0, ZEROS.to_owned()), |(_, head)| (head.seq, head.hash));
        let known_seq = known.as_ref().map_or(0, |state| state.seq);
        let seq = known_seq.max(found_seq);
        if kept < bytes.len() {
            self.files.keep_torn(seq + 1, &bytes[kept..])?;
            log.set_len(kept as u64).map_err(failed(self.path().to_owned()))?;
        }
        let mut key = known.as_ref().and_then(|state| state.key.clone());
        for _ in known_seq..seq {
            key = key.map(|key| key.next());
        }
        let args = BTreeMap::from([
            ("found_seq".to_owned(), found_seq.to_string()),
            ("known_seq".to_owned(), known_seq.to_string()),
            ("known_head".to_owned(), known.map_or_else(String::new, |state| state.head)),
        ]);
        let state = State { seq, head, first: first.unwrap_or(seq + 1), size: kept as u64, key };
        let mut open = Open { log, state_file, state, _lock: lock };
        let entry = Entry { args: Some(args), ..event(who, LOSS, "records were lost before this one") };
        self.put(&mut open, &Log::event_id()?, &entry)?;
        Ok(open)
    }
}

/// The line, if it is the record that follows.
fn next(state: &State, line: &[u8]) -> Option<Line> {
    let line = Line::parse(line).ok()?;
    let seal = state.key.as_ref().and_then(|key| key.seal(&line.hash));
    let is_next = line.record.seq == state.seq + 1 && line.record.prev == state.head && line.seal == seal;
    is_next.then_some(line)
}

/// The number of the first record and the head of the last one, as far as the lines are records; and where these end.
fn last_whole(bytes: &[u8]) -> (Option<(u64, Head)>, usize) {
    let (mut found, mut kept) = (None::<(u64, Head)>, 0);
    while let Some(end) = bytes[kept..].iter().position(|&byte| byte == b'\n') {
        let Ok(line) = Line::parse(&bytes[kept..kept + end]) else { break };
        let first = match &found {
            Some((_, last)) if line.record.prev != last.hash => break,
            Some((first, _)) => *first,
            None => line.record.seq,
        };
        found = Some((first, Head { seq: line.record.seq, hash: line.hash }));
        kept += end + 1;
    }
    (found, kept)
}

/// A record of the log about itself.
fn event(who: &Entry, action: &str, message: &str) -> Entry {
    Entry {
        actor: who.actor.clone(),
        os_user: who.os_user.clone(),
        host: who.host.clone(),
        client: who.client.clone(),
        pid: who.pid,
        message: Some(message.to_owned()),
        ..Entry::new(Phase::Event, action, Outcome::Succeeded)
    }
}
