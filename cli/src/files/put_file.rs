//! One file to the workspace.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, PipeWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Instant, UNIX_EPOCH};

use crate::error::{Code, Error, Result};
use crate::files::exchange::{CHUNK, Exchange, ExchangeError, Exchanges, Task};
use crate::files::hashing::{self, Stop, pump};
use crate::files::local_file;
use crate::files::progress::Progress;
use crate::files::script::{self, Script, octal};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::files::splice;
use crate::files::watchdog::RemoteEnd;
use crate::files::{Notes, RemotePath, Summary};
use crate::output::foreign::FileName as _;
use crate::sys::{platform, random};

/// Content of so many bytes goes along with the command as well, which saves waiting for a stream of its own where the
/// workspace takes it from there.
const INLINE: usize = 12 * 1024;

/// Content of at most this many bytes, once written for a shell, also comes on stdin, as a line. The shell reads it byte by byte,
/// which takes less time than three programs.
const LINE: usize = 8 * 1024;

/// Sends the file `local` with its mode and time; it becomes `remote`, whole or not at all. Where `remote` is a folder, the
/// file goes into it under `name`, if it has one.
pub(super) fn put(
    exchanges: &Exchanges<'_>,
    local: &Path,
    remote: &RemotePath,
    name: Option<&[u8]>,
) -> Result<Summary> {
    put_opened(exchanges, local_file::open_named(local)?, local, remote, name)
}

/// The same for an open file; messages call it `shown`.
pub(super) fn put_opened(
    exchanges: &Exchanges<'_>,
    file: File,
    shown: &Path,
    remote: &RemotePath,
    name: Option<&[u8]>,
) -> Result<Summary> {
    let doing = || format!("read {}", shown.named());
    let metadata = file.metadata().map_err(|error| Error::io(doing(), error))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let attributes = Attributes {
        mode: Some(platform::mode_of(&metadata) & 0o777),
        modified: modified.map(|since| format!("{}.{:09}", since.as_secs(), since.subsec_nanos())),
        expects: None,
    };
    let total = metadata.is_file().then_some(metadata.len());
    let watched = file.try_clone().ok().map(|file| Watched { file, before: metadata, shown: shown.into() });
    let content = Content { source: Source::File(file), doing: doing(), total, watched };
    send::<io::Empty>(exchanges, content, attributes, remote, name)
}

/// How a file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writing {
    /// Its mode; without one, the old file's.
    pub mode: Option<u32>,
    /// The SHA-256 that the old file must have, or nothing where there must be none; otherwise it stays, and that is a `conflict`.
    pub expects: Option<String>,
}

/// Sends what comes on `source`; it becomes the content of `remote`.
pub(super) fn write(
    exchanges: &Exchanges<'_>,
    source: impl Read + Send + 'static,
    remote: &RemotePath,
    Writing { mode, expects }: Writing,
) -> Result<Summary> {
    let attributes = Attributes { mode, modified: None, expects };
    let content = Content {
        source: Source::Stream(source),
        doing: "read stdin".to_owned(),
        total: None,
        watched: None,
    };
    send(exchanges, content, attributes, remote, None)
}

/// What is sent: whence, what a failure to read it is called, and its length when that is known.
struct Content<R> {
    source: Source<R>,
    doing: String,
    total: Option<u64>,
    watched: Option<Watched>,
}

/// A file that another program may write to while it is read.
struct Watched {
    file: File,
    before: Metadata,
    shown: PathBuf,
}

impl Watched {
    /// The error if the file is not what it was: then it is no wonder that something else arrived.
    fn changed(&self) -> Option<Error> {
        let now = self.file.metadata().ok()?;
        let facts = |metadata: &Metadata| (metadata.len(), metadata.modified().ok());
        (facts(&now) != facts(&self.before)).then(|| {
            let what = format!("{} changed while it was read", self.shown.named());
            Error::new(Code::Io, what)
                .hint("what was there before is unchanged; run the command again once nothing writes to it")
        })
    }
}

/// Whence content comes.
enum Source<R> {
    File(File),
    Stream(R),
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::File(file) => file.read(to),
            Source::Stream(stream) => stream.read(to),
        }
    }
}

impl<R: Read> Content<R> {
    /// Moves it all into `input`, after `head`, which was read before: how many bytes there were, and their SHA-256.
    fn pass(self, head: Vec<u8>, input: &mut RemoteEnd<PipeWriter>) -> Result<(u64, String), Stop> {
        let mut progress = Progress::new(self.total);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let (Source::File(file), Some(total), []) = (&self.source, self.total, &head[..])
            && let Some(sha256) = splice::send(file, total, input.inner(), &mut progress, input.watchdog())?
        {
            return Ok((total, sha256));
        }
        let all = io::Cursor::new(head).chain(input.watchdog().local(self.source));
        pump(&mut BufReader::with_capacity(CHUNK, all), input, &mut progress)
    }
}

/// What the file is to have besides its content; `None` is what the old one has, or what a new one gets.
struct Attributes {
    mode: Option<u32>,
    modified: Option<String>,
    /// The SHA-256 that the old one must have.
    expects: Option<String>,
}

impl Attributes {
    /// The umask to create with, the mode to set, the time. A mode that the umask makes needs no setting.
    fn arguments(&self) -> [Vec<u8>; 3] {
        let time = self.modified.clone().unwrap_or_else(|| "-".to_owned());
        let (umask, mode) = match self.mode {
            None => ("-".to_owned(), "-".to_owned()),
            Some(mode) if mode & 0o111 == 0 => (format!("{:03o}", 0o777 & !mode), String::new()),
            Some(mode) => ("077".to_owned(), format!("{mode:03o}")),
        };
        [umask, mode, time].map(String::into_bytes)
    }
}

fn send<R: Read + Send + 'static>(
    exchanges: &Exchanges<'_>,
    mut content: Content<R>,
    attributes: Attributes,
    remote: &RemotePath,
    name: Option<&[u8]>,
) -> Result<Summary> {
    let began = Instant::now();
    let mut head = Vec::new();
    let total = content.total;
    if total.is_none_or(|total| total <= INLINE as u64) {
        (&mut content.source)
            .take(INLINE as u64 + 1)
            .read_to_end(&mut head)
            .map_err(|error| Error::io(&content.doing, error))?;
    }
    let is_whole = !head.is_empty() || total == Some(0) || total.is_none();
    let mut arguments = vec![remote.argument()];
    arguments.extend(attributes.arguments());
    arguments.push(name.map_or_else(|| b"-".to_vec(), script::argument));
    arguments.push(attributes.expects.unwrap_or_else(|| "-".to_owned()).into_bytes());
    // The name that it is written under at first; of a small file, all there is.
    let mut private = random::word();
    let mut small = None;
    if is_whole && head.len() <= INLINE {
        let sha256 = hashing::sha256(&head);
        private += &format!(" {sha256} {}", String::from_utf8_lossy(&octal(&head)));
        let line = (private.len() <= LINE).then(|| private.clone());
        small = Some(Small { bytes: head.len() as u64, sha256, line });
    }
    let comes_as = if small.as_ref().is_some_and(|small| small.line.is_some()) { "line" } else { "-" };
    arguments.push(comes_as.into());
    let shown = remote.shown();
    let task = Task { script: Script::PutFile, arguments: &arguments, private: Some(&private), path: &shown };
    let sent = stream(exchanges, &task, head, content, small)?;
    let to = match name {
        Some(name) if sent.went_into => remote.join(name).shown(),
        _ => remote.shown(),
    };
    let mut summary = Summary::new(to, began);
    (summary.files, summary.is_new) = (1, sent.is_new);
    (summary.bytes, summary.sha256, summary.notes) = (sent.bytes, Some(sent.sha256), sent.notes);
    Ok(summary)
}

/// A file that may have gone along with the command.
struct Small {
    bytes: u64,
    sha256: String,
    /// What comes on stdin instead of the content.
    line: Option<String>,
}

/// What was sent.
struct Sent {
    bytes: u64,
    sha256: String,
    /// Whether it went into a folder.
    went_into: bool,
    /// Whether there was no such file before.
    is_new: bool,
    notes: Notes,
}

/// Waits until all is done; whether the file went into a folder, and whether it is new.
fn finish(exchange: &mut Exchange) -> Result<(bool, bool), ExchangeError> {
    let (mut went_into, mut is_new) = (false, false);
    loop {
        match exchange.record()?.as_str() {
            "ok" => return Ok((went_into, is_new)),
            "into" => went_into = true,
            "new" => is_new = true,
            _ => {}
        }
    }
}

/// Sends it on stdin, where a `small` one does not need to come from.
fn stream(
    exchanges: &Exchanges<'_>,
    task: &Task<'_>,
    head: Vec<u8>,
    mut content: Content<impl Read + Send + 'static>,
    mut small: Option<Small>,
) -> Result<Sent> {
    let (doing, watched) = (content.doing.clone(), content.watched.take());
    let done = exchanges.run(task, move |exchange| {
        let (mark, input) = (exchange.mark.clone(), exchange.input.take());
        let (sender, sent) = std::sync::mpsc::channel();
        let line = small.as_mut().and_then(|small| small.line.take());
        std::thread::spawn(move || {
            let Some(mut input) = input else { return };
            if let Some(line) = line {
                let _ = input.write_all(format!("{mark} {line}\n").as_bytes()); // may be there already
                return;
            }
            let moved = content.pass(head, &mut input).and_then(|(bytes, sha256)| {
                let end = format!("{mark} {bytes:020} {sha256}\n");
                input.write_all(end.as_bytes()).map_err(Stop::Write)?;
                Ok((bytes, sha256))
            });
            let _ = sender.send(moved); // before the end of the input, so that it is there when the workspace answers
            drop(input);
        });
        let done = finish(exchange);
        let notes = std::mem::take(&mut exchange.notes);
        if let (&Ok((went_into, is_new)), Some(Small { bytes, sha256, .. })) = (&done, small) {
            return Ok(Sent { bytes, sha256, went_into, is_new, notes });
        }
        // Why the stream stopped says more than that it did; one that the workspace no longer takes says nothing.
        match (done, sent.try_recv()) {
            (Ok((went_into, is_new)), Ok(Ok((bytes, sha256)))) => {
                Ok(Sent { bytes, sha256, went_into, is_new, notes })
            }
            (_, Ok(Err(Stop::Read(error)))) => Err(Error::io(doing, error).into()),
            (Err(fault), _) if fault.is_about_content() => {
                Err(watched.and_then(|watched| watched.changed()).map_or(fault, ExchangeError::from))
            }
            (Err(fault), _) => Err(fault),
            (Ok(_), _) => Err(ExchangeError::Cut),
        }
    });
    Ok(done?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_file_that_others_write_to_is_blamed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"before").unwrap();
        let opened = File::open(file.path()).unwrap();
        let before = opened.metadata().unwrap();
        let watched = Watched { file: opened, before, shown: PathBuf::from("big") };
        assert!(watched.changed().is_none());
        file.write_all(b" and after").unwrap();
        assert!(watched.changed().unwrap().message().contains("changed while it was read"));
    }
}
