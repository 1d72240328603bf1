//! One file to the box.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;
use std::time::{Instant, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::sys::platform;
use crate::transport::files::flow::{self, Stop, pump};
use crate::transport::files::progress::Progress;
use crate::transport::files::script::{Script, octal};
use crate::transport::files::talk::{CHUNK, Fault, Start, talk};
use crate::transport::files::{RemotePath, Summary};

/// Content of so many bytes goes along with the command, which saves the turns of a stream of its own.
const INLINE: usize = 12 * 1024;

/// Sends the file `local` with its mode and time; it becomes `remote`, whole or not at all.
pub(super) fn put(start: Start<'_>, local: &Path, remote: &RemotePath) -> Result<Summary> {
    let doing = || format!("read `{}`", local.display());
    let file = File::open(local).map_err(|error| Error::io(doing(), error))?;
    let metadata = file.metadata().map_err(|error| Error::io(doing(), error))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let attributes = Attributes {
        mode: Some(platform::mode_of(&metadata) & 0o777),
        modified: modified.map(|since| format!("{}.{:09}", since.as_secs(), since.subsec_nanos())),
    };
    send(start, file, doing(), metadata.is_file().then_some(metadata.len()), attributes, remote)
}

/// Sends what comes on `source`; it becomes the content of `remote`, whose mode stays.
pub(super) fn write(
    start: Start<'_>,
    source: impl Read + Send + 'static,
    remote: &RemotePath,
) -> Result<Summary> {
    let attributes = Attributes { mode: None, modified: None };
    send(start, source, "read stdin".to_owned(), None, attributes, remote)
}

/// What the file is to have besides its content; `None` is what the old one has, or what a new one gets.
struct Attributes {
    mode: Option<u32>,
    modified: Option<String>,
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

fn send(
    start: Start<'_>,
    mut source: impl Read + Send + 'static,
    doing: String,
    total: Option<u64>,
    attributes: Attributes,
    remote: &RemotePath,
) -> Result<Summary> {
    let began = Instant::now();
    let mut head = Vec::new();
    if total.is_none_or(|total| total <= INLINE as u64) {
        (&mut source)
            .take(INLINE as u64 + 1)
            .read_to_end(&mut head)
            .map_err(|error| Error::io(&doing, error))?;
    }
    let is_whole = !head.is_empty() || total == Some(0) || total.is_none();
    let mut arguments = vec![remote.argument()];
    arguments.extend(attributes.arguments());
    let (bytes, sha256) = if is_whole && head.len() <= INLINE {
        let sha256 = flow::sha256(&head);
        arguments.extend([b"inline".to_vec(), octal(&head), sha256.clone().into_bytes()]);
        talk(start, Script::PutFile, &arguments, &remote.shown(), |talk| {
            talk.input = None;
            talk.done()
        })?;
        (head.len() as u64, sha256)
    } else {
        arguments.push(b"stream".to_vec());
        stream(start, &arguments, io::Cursor::new(head).chain(source), doing, total, remote)?
    };
    let mut summary = Summary::new(remote.shown(), began);
    summary.files = 1;
    summary.bytes = bytes;
    summary.sha256 = Some(sha256);
    Ok(summary)
}

fn stream(
    start: Start<'_>,
    arguments: &[Vec<u8>],
    source: impl Read + Send + 'static,
    doing: String,
    total: Option<u64>,
    remote: &RemotePath,
) -> Result<(u64, String)> {
    talk(start, Script::PutFile, arguments, &remote.shown(), move |talk| {
        let (mark, input) = (talk.mark.clone(), talk.input.take());
        let (sender, sent) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let Some(mut input) = input else { return };
            let moved =
                pump(&mut BufReader::with_capacity(CHUNK, source), &mut input, &mut Progress::new(total))
                    .and_then(|(bytes, sha256)| {
                        input
                            .write_all(format!("{mark} {bytes:020} {sha256}\n").as_bytes())
                            .map_err(Stop::Write)?;
                        Ok((bytes, sha256))
                    });
            let _ = sender.send(moved); // before the end of the input, so that it is there when the box answers
            drop(input);
        });
        let done = talk.done();
        // Why the stream stopped says more than that it did; one that the box no longer takes says nothing.
        match (done, sent.try_recv()) {
            (Ok(()), Ok(Ok(moved))) => Ok(moved),
            (_, Ok(Err(Stop::Read(error)))) => Err(Error::io(doing, error).into()),
            (Err(fault), _) => Err(fault),
            (Ok(()), _) => Err(Fault::Cut),
        }
    })
}
