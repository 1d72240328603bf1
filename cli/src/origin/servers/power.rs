//! `[servers.NAME.power]`: programs of this machine that start a server, stop it, and say what state it is in.
//!
//! So any cloud's own command line will do. They run as the user, without a shell and without stdin, in the folder of the
//! file that names them, in a process group of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::origin::servers::reader::Section;
use crate::output::foreign;
use crate::output::progress::note;
use crate::sys::interrupt::{Cancel, Interrupt};
use crate::sys::program;
use crate::sys::subprocess::{self, Finished, Outcome};
use crate::sys::trusted_file::{self, Distrust, Owner};

/// How many words a command may have.
const MAX_WORDS: usize = 64;

/// The longest word, in bytes.
const MAX_WORD: usize = 4096;

/// How long a server's programs may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadlines {
    /// Starting it.
    pub(super) start: Duration,
    /// Stopping it.
    pub(super) stop: Duration,
    /// Telling its state.
    pub(super) state: Duration,
}

impl Deadlines {
    /// The limits for every machine.
    pub(super) const USUAL: Deadlines = Deadlines {
        start: Duration::from_secs(600),
        stop: Duration::from_secs(120),
        state: Duration::from_secs(10),
    };
}

/// How much of what a program prints is read, in bytes.
const MAX_OUTPUT: usize = 4096;

/// How many programs tell a state at the same time.
const SIDE_BY_SIDE: usize = 32;

/// What starts a machine, stops it, and says what state it is in: each a program and its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Power {
    /// Starts it.
    pub start: Option<Vec<String>>,
    /// Stops it.
    pub stop: Option<Vec<String>>,
    /// Prints its state, one word.
    pub state: Option<Vec<String>>,
}

/// The state of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is up.
    Running,
    /// It is down.
    Stopped,
    /// It is coming up.
    Starting,
    /// It is going down.
    Stopping,
}

impl State {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Starting => "starting",
            State::Stopping => "stopping",
        }
    }

    fn parse(output: &[u8]) -> Option<State> {
        let all = [State::Running, State::Stopped, State::Starting, State::Stopping];
        all.into_iter().find(|state| output.trim_ascii() == state.word().as_bytes())
    }
}

impl Power {
    pub(super) fn read(mut section: Section<'_>) -> Power {
        let mut command = |key| {
            let words = section.texts(key)?;
            let count = words.len();
            let words =
                words.into_iter().map(|word| word.parse(word_of_command)).collect::<Option<Vec<_>>>()?;
            let is_command =
                (1..=MAX_WORDS).contains(&count) && words.first().is_some_and(|word| !word.is_empty());
            if !is_command {
                section.note(key, format_args!("is not a program and its arguments, 1 to {MAX_WORDS} words"));
            }
            is_command.then_some(words)
        };
        let power = Power { start: command("start"), stop: command("stop"), state: command("state") };
        section.finish();
        power
    }
}

fn word_of_command(text: &str) -> Result<String, &'static str> {
    match text.len() > MAX_WORD || text.contains('\0') {
        true => Err("is longer than 4096 bytes, or has a NUL"),
        false => Ok(text.to_owned()),
    }
}

/// A server's programs, and where and how they run.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// The server.
    pub(super) name: String,
    /// Its programs.
    pub(super) power: Power,
    /// The file that names them.
    pub(super) file: PathBuf,
    /// Whose the programs have to be that the file names by a path.
    pub(super) owner: Owner,
    /// Where programs without a path are looked for.
    pub(super) path: Option<OsString>,
    /// Why its programs may not run, if they may not.
    pub(super) distrust: Option<Refusal>,
    /// How long they may take.
    pub(super) deadlines: Deadlines,
}

/// Why a server's programs may not run, and what to do about it.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) why: String,
    pub(super) hint: String,
}

impl Machine {
    /// Starts it.
    pub(super) fn start(&self, within: Duration) -> Result<()> {
        self.act(self.power.start.as_deref(), "start", Code::StartFailed, self.deadlines.start.min(within))
    }

    /// Stops it.
    pub(super) fn stop(&self) -> Result<()> {
        self.act(self.power.stop.as_deref(), "stop", Code::StopFailed, self.deadlines.stop)
    }

    /// Its state; none where no program tells it. What goes wrong is for a note.
    pub(super) fn state(&self) -> Result<Option<State>> {
        let Some(words) = self.power.state.as_deref() else { return Ok(None) };
        let unknown =
            |why: &str| Error::new(Code::Error, format!("the state of `{}` is not known: {why}", self.name));
        let finished =
            match self.run(words, self.deadlines.state).map_err(|error| unknown(error.message()))? {
                Outcome::Finished(finished) if finished.status.success() => finished,
                Outcome::Finished(finished) => return Err(unknown(&said(words, &finished))),
                Outcome::TimedOut => {
                    let seconds = self.deadlines.state.as_secs();
                    return Err(unknown(&format!("{} took longer than {seconds} s", shown(words))));
                }
                Outcome::Cancelled => return Err(Error::interrupted()),
            };
        let state = State::parse(&finished.stdout).ok_or_else(|| {
            unknown(&format!("{} printed none of running, stopped, starting, stopping", shown(words)))
        });
        state.map(Some)
    }

    fn act(&self, words: Option<&[String]>, key: &str, code: Code, patience: Duration) -> Result<()> {
        let name = &self.name;
        let Some(words) = words else {
            let error = format!("servers.toml names no program that can {key} `{name}`");
            return Err(Error::new(Code::Unavailable, error)
                .hint(format!("add it: {key} = [\"PROGRAM\", \"ARGUMENT\"] below [servers.{name}.power]")));
        };
        self.check()?;
        note(match code {
            Code::StopFailed => format!("stopping {name}…"),
            _ => format!("starting {name}…"),
        });
        let failed = |why: String| Error::new(code, format!("`{name}` did not {key}: {why}"));
        match self.run(words, patience)? {
            Outcome::Finished(finished) if finished.status.success() => Ok(()),
            Outcome::Finished(finished) => Err(failed(said(words, &finished))),
            Outcome::TimedOut => Err(failed(format!(
                "{} took longer than {} s, and was killed",
                shown(words),
                patience.as_secs()
            ))),
            Outcome::Cancelled => Err(Error::new(
                Code::Interrupted,
                format!("interrupted: {} was ended; `{name}` may {key} all the same", shown(words)),
            )),
        }
    }

    /// Whether its programs may run.
    fn check(&self) -> Result<()> {
        match &self.distrust {
            Some(Refusal { why, hint }) => Err(Error::new(Code::BadConfig, why).hint(hint)),
            None => Ok(()),
        }
    }

    fn run(&self, words: &[String], patience: Duration) -> Result<Outcome> {
        self.check()?;
        let mut command = Command::new(self.program(words)?);
        command.args(words.iter().skip(1));
        command.current_dir(self.file.parent().unwrap_or(Path::new("/")));
        let interrupt = Interrupt::of_command(&Cancel::default())?;
        let outcome = subprocess::run_unless(&mut command, patience, MAX_OUTPUT, &|| interrupt.has_any());
        let outcome = outcome.map_err(|error| Error::io(format_args!("run {}", shown(words)), error))?;
        match outcome {
            Outcome::Cancelled => drop(interrupt.take()),
            Outcome::Finished(_) | Outcome::TimedOut => drop(interrupt.let_pass()),
        }
        Ok(outcome)
    }

    /// A program without a slash is the user's own, from PATH. One with a path starts at the file, and nobody else may write it.
    fn program(&self, words: &[String]) -> Result<PathBuf> {
        let name = words.first().map(String::as_str).unwrap_or_default();
        let missing = || Distrust::Missing.to_string();
        let found = if name.contains('/') || (cfg!(windows) && name.contains('\\')) {
            let path = self.file.parent().unwrap_or(Path::new("/")).join(name);
            trusted_file::locate(&path, self.owner).map_err(|why| why.to_string())
        } else {
            program::find(name, self.path.as_deref()).ok_or_else(missing)
        };
        found.map_err(|why| {
            let error = format!("{}, which servers.toml names for `{}`, {why}", shown(words), self.name);
            Error::new(Code::BadConfig, error).hint("a name without a slash is looked for on PATH")
        })
    }
}

/// The program as a person reads it.
fn shown(words: &[String]) -> String {
    foreign::name(words.first().map(String::as_str).unwrap_or_default()).to_string()
}

/// Why a program failed, in its own last words.
fn said(words: &[String], finished: &Finished) -> String {
    let text = String::from_utf8_lossy(&finished.last_words);
    match text.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => foreign::said(&shown(words), line),
        None => format!("{} ended with {}, and said nothing", shown(words), finished.status),
    }
}

/// The states of many machines, asked side by side: by name, those that are known, and what went wrong.
pub(super) fn states(machines: Vec<Machine>) -> (BTreeMap<String, State>, Vec<Error>) {
    let count = machines.len().min(SIDE_BY_SIDE);
    let (left, found) = (Mutex::new(machines.into_iter()), Mutex::new((BTreeMap::new(), Vec::new())));
    let work = || {
        loop {
            let Some(machine) = left.lock().unwrap_or_else(PoisonError::into_inner).next() else { return };
            let state = machine.state();
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match state {
                Ok(state) => found.0.extend(state.map(|state| (machine.name, state))),
                Err(error) => found.1.push(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
