//! Reading the log, rotated parts first.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::chain::{Line, MAX_LINE};
use crate::failure::Failure;
use crate::files::Files;
use crate::record::Record;
use crate::state::State;

/// How long a reader waits for a record that is being written.
const PATIENCE: Duration = Duration::from_secs(5);

/// What there is to read: nothing that is written from now on.
pub(crate) struct Snapshot {
    /// The parts, the rotated ones first, and up to where each is read.
    pub(crate) parts: Vec<(PathBuf, u64)>,
    /// The state; `None` if there is none, or it is damaged.
    pub(crate) state: Option<State>,
    /// Whether there is a log that is not rotated away.
    pub(crate) has_log: bool,
}

impl Snapshot {
    pub(crate) fn of(path: &Path) -> Result<Snapshot, Failure> {
        let files = Files::at(path);
        // Who may only read takes what there is at the moment.
        let _lock = files.state().exists().then(|| files.lock(PATIENCE).ok());
        let mut paths = files.segments()?.into_iter().map(|(_, path)| path).collect::<Vec<_>>();
        paths.push(files.log().to_owned());
        let (mut parts, mut has_log) = (Vec::new(), false);
        for path in paths {
            match std::fs::metadata(&path) {
                Ok(metadata) => {
                    has_log |= path == files.log();
                    parts.push((path, metadata.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::io("read", &path, error)),
            }
        }
        let state = match File::open(files.state()) {
            Ok(file) => State::read(&file).map_err(|error| Failure::io("read", &files.state(), error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::io("read", &files.state(), error)),
        };
        Ok(Snapshot { parts, state, has_log })
    }

    /// Calls `each` with every line, the number of its part, and whether it has its line feed, until that says to stop.
    pub(crate) fn lines(&self, mut each: impl FnMut(usize, &[u8], bool) -> bool) -> Result<(), Failure> {
        for (part, (path, length)) in self.parts.iter().enumerate() {
            let failed = |error| Failure::io("read", path, error);
            let mut reader = BufReader::new(File::open(path).map_err(failed)?.take(*length));
            let mut line = Vec::new();
            loop {
                line.clear();
                reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(failed)?;
                if line.is_empty() {
                    break;
                }
                let is_whole = line.pop_if(|last| *last == b'\n').is_some();
                if !each(part, &line, is_whole) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Whether anything of a log is at `path`: the log itself, its state, or a part that was rotated away.
pub fn is_there(path: &Path) -> bool {
    let files = Files::at(path);
    let is_rotated = || files.segments().is_ok_and(|segments| !segments.is_empty());
    path.exists() || files.state().exists() || is_rotated()
}

/// Calls `each` with every line that is a record, oldest first. What is none is left to [`crate::verify()`].
pub fn read(path: &Path, mut each: impl FnMut(&[u8], &Line)) -> Result<(), Failure> {
    Snapshot::of(path)?.lines(|_, bytes, _| {
        if let Ok(line) = Line::parse(bytes) {
            each(bytes, &line);
        }
        true
    })
}

/// Calls `each` with every record, oldest first.
pub fn records(path: &Path, mut each: impl FnMut(&Record)) -> Result<(), Failure> {
    read(path, |_, line| each(&line.record))
}
