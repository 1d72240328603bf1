//! What a workspace tells of its jobs, as types. All of it is hostile until it is parsed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::output::foreign::Name;
use crate::output::sanitize;
use crate::sys::random;

/// How many jobs are believed.
const MANY: usize = 1000;

/// The letters of an id: those that nobody takes for others.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How long an id is.
const LENGTH: usize = 10;

/// What a job is told by: chosen here before it starts, so that a start that is cut can be asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(String);

impl JobId {
    /// One that no job has.
    pub(super) fn new() -> JobId {
        let mut bits = u128::from_str_radix(&random::word(), 16).unwrap_or_default();
        let letters = (0..LENGTH).map(|_| {
            let letter = LETTERS.get((bits % 32) as usize).copied().unwrap_or(b'a');
            bits /= 32;
            char::from(letter)
        });
        JobId(letters.collect())
    }

    /// Parses what a workspace says; `None` where it is no id.
    pub fn parse(text: &str) -> Option<JobId> {
        let is_id = text.len() == LENGTH && text.bytes().all(|byte| LETTERS.contains(&byte));
        is_id.then(|| JobId(text.to_owned()))
    }

    /// As text: letters and digits alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was claimed, and its command is about to start.
    Starting,
    /// It runs.
    Running,
    /// It ended, with this status.
    Exited(u8),
    /// It is gone without a status: it was killed together with what supervised it.
    Lost,
    /// The workspace has restarted since.
    Rebooted,
}

impl State {
    fn parse(word: &str, code: &str) -> Option<State> {
        Some(match word {
            "starting" => State::Starting,
            "running" => State::Running,
            "exited" => State::Exited(code.parse().ok()?),
            "lost" => State::Lost,
            "rebooted" => State::Rebooted,
            _ => return None,
        })
    }

    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Running => "running",
            State::Exited(_) => "exited",
            State::Lost => "lost",
            State::Rebooted => "rebooted",
        }
    }

    /// The exit status of a job that has one.
    pub fn code(self) -> Option<u8> {
        match self {
            State::Exited(code) => Some(code),
            _ => None,
        }
    }

    /// Whether more may come.
    pub fn is_over(self) -> bool {
        !matches!(self, State::Starting | State::Running)
    }
}

/// How much a stream of a job was, and how much of it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// The bytes that were written until now.
    pub bytes: u64,
    /// The first of them that is kept.
    pub first: u64,
    /// Whether nothing went missing for another reason than its age, such as a full disk.
    pub is_whole: bool,
}

/// A job. Its texts came from the workspace; they are cut, and nothing in them steers a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The name that it was given.
    pub name: Option<Name>,
    /// Its command, shortened, on one line.
    pub command: String,
    /// What became of it.
    pub state: State,
    /// When it started, by the workspace's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended, likewise.
    pub ended_at: Option<Timestamp>,
    /// Its stdout.
    pub stdout: Kept,
    /// Its stderr.
    pub stderr: Kept,
}

/// Why a script did nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such job.
    None,
    /// Several jobs have the name.
    Several(Vec<JobId>),
    /// The folder of jobs is a link, or others may change it. Its path.
    Foreign(String),
    /// A folder or a file could not be made. Its path.
    NotMade(String),
    /// The connection was cut before all of the command had come.
    Cut,
    /// Nothing could be started there.
    NotBegun,
}

/// Everything that a script told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The jobs, the newest first.
    pub jobs: Vec<Job>,
    /// Why nothing was done.
    pub refusal: Option<Refusal>,
    /// The job that was started.
    pub started: Option<JobId>,
    /// The jobs that were removed.
    pub removed: Vec<JobId>,
    /// The jobs that could not be removed.
    pub kept: Vec<JobId>,
    /// How many more jobs there are than are told here.
    pub more: usize,
    /// Whether another job has the name, too.
    pub is_reused: bool,
    /// Whether the job asked about never started, and never will.
    pub is_void: bool,
    /// Whether the signal reached nobody.
    pub is_unsent: bool,
    /// Whether systemd ends the job when its user logs out, and whether the user lingers then.
    pub killed_at_logout: Option<bool>,
    /// The byte of the stream that comes next.
    pub next: Option<u64>,
}

impl Facts {
    /// Reads the lines that begin with `mark`; `None` where the last one is missing. Of what is told twice, the first counts.
    pub fn parse(text: &str, mark: &str) -> Option<Facts> {
        let mut reader = Reader::default();
        for line in text.lines() {
            let Some((_, fact)) = line.split_once(mark) else { continue };
            let Some(fact) = fact.strip_prefix(' ') else { continue };
            if reader.read(fact) {
                return Some(reader.facts());
            }
        }
        None
    }
}

/// Facts as they come, line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    facts: Facts,
    jobs: BTreeMap<JobId, Job>,
}

impl Reader {
    /// Takes in a line of ours, without its mark; whether it is the last one.
    pub(super) fn read(&mut self, fact: &str) -> bool {
        let (kind, rest) = fact.split_once(' ').unwrap_or((fact, ""));
        match kind {
            "job" => self.job(rest),
            "name" | "command" | "file" => self.of_a_job(kind, rest),
            "failed" => {
                let refusal = refusal(rest);
                self.facts.refusal.get_or_insert(refusal);
            }
            "started" => self.facts.started = self.facts.started.take().or_else(|| JobId::parse(rest)),
            "removed" if self.facts.removed.len() < MANY => self.facts.removed.extend(JobId::parse(rest)),
            "kept" if self.facts.kept.len() < MANY => self.facts.kept.extend(JobId::parse(rest)),
            "reused" => self.facts.is_reused = true,
            "void" => self.facts.is_void = true,
            "unsent" => self.facts.is_unsent = true,
            "killed-at-logout" => {
                self.facts.killed_at_logout.get_or_insert(rest.trim() == "Linger=yes");
            }
            "next" => self.facts.next = self.facts.next.or_else(|| rest.parse().ok()),
            "end" => return true,
            _ => {}
        }
        false
    }

    /// Everything that was told.
    pub(super) fn facts(self) -> Facts {
        let mut jobs = self.jobs.into_values().collect::<Vec<_>>();
        jobs.sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| a.id.cmp(&b.id)));
        Facts { jobs, ..self.facts }
    }

    /// `ID STATE CODE STARTED ENDED`.
    fn job(&mut self, rest: &str) {
        let words = rest.split(' ').collect::<Vec<_>>();
        let [id, state, code, started, ended] = words[..] else { return };
        let (Some(id), Some(state)) = (JobId::parse(id), State::parse(state, code)) else { return };
        if self.jobs.len() >= MANY && !self.jobs.contains_key(&id) {
            self.facts.more = self.facts.more.saturating_add(1);
            return;
        }
        let time = |text: &str| Timestamp::from_second(text.parse().ok()?).ok();
        self.jobs.entry(id.clone()).or_insert_with(|| Job {
            id,
            name: None,
            command: String::new(),
            state,
            started_at: time(started),
            ended_at: time(ended),
            stdout: Kept::default(),
            stderr: Kept::default(),
        });
    }

    /// `ID VALUE`, of a job that was told before.
    fn of_a_job(&mut self, kind: &str, rest: &str) {
        let (id, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let Some(job) = JobId::parse(id).and_then(|id| self.jobs.get_mut(&id)) else { return };
        match kind {
            "name" => {
                job.name.get_or_insert_with(|| sanitize::short(value.trim()).into());
            }
            "command" if job.command.is_empty() => job.command = sanitize::short(value.trim()),
            "file" => job.file(value),
            _ => {}
        }
    }
}

impl Job {
    /// `out.BYTE SIZE`, a part of a stream that begins with that byte; or `out.whole SIZE`.
    fn file(&mut self, value: &str) {
        let Some((name, size)) = value.split_once(' ') else { return };
        let Some((stream, part)) = name.split_once('.') else { return };
        let kept = match stream {
            "out" => &mut self.stdout,
            "err" => &mut self.stderr,
            _ => return,
        };
        if part == "whole" {
            kept.is_whole = true;
        }
        let (Ok(start), Ok(size)) = (part.parse::<u64>(), size.parse::<u64>()) else { return };
        let Some(end) = start.checked_add(size).filter(|_| size > 0) else { return };
        kept.first = if kept.bytes == 0 { start } else { kept.first.min(start) };
        kept.bytes = kept.bytes.max(end);
    }
}

fn refusal(rest: &str) -> Refusal {
    let (kind, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let path = || sanitize::short(value);
    match kind {
        "none" => Refusal::None,
        "several" => match value.split(' ').filter_map(JobId::parse).take(MANY).collect::<Vec<_>>() {
            ids if ids.is_empty() => Refusal::None,
            ids => Refusal::Several(ids),
        },
        "foreign" => Refusal::Foreign(path()),
        "cut" => Refusal::Cut,
        "not-begun" => Refusal::NotBegun,
        _ => Refusal::NotMade(path()),
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
