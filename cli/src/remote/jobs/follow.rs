//! A stream of a job, from any byte on, also while it grows, and over as many connections as that takes.
//!
//! The script says in a line of ours which bytes follow, and how many. So a stream can hold anything, and is resumed at its
//! byte when a connection is cut.

use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::remote::jobs::facts::{Facts, Job, Reader};
use crate::remote::jobs::patient::{Patient, Spent};
use crate::remote::jobs::{Absence, OUTPUT, PATIENCE, command, gave_up, only, refused};
use crate::session::{Session, Sessions};
use crate::sys::random;
use crate::transport::{Ended, Limits, Stream, Streams};

/// The longest line of ours, and the most that a login shell may print before it.
const LINE: u64 = 64 * 1024;
const NOISE: u64 = 1024 * 1024;

/// How long `--follow` waits for more output. A dead connection ends by itself.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How much is passed on at a time.
const PIECE: usize = 64 * 1024;

/// The most that is read where nobody follows: several times what the workspace keeps of a stream.
const MOST: u64 = 64 * 1024 * 1024;

/// What is wanted of a job.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// The job's id or name.
    pub words: &'a str,
    /// Whether it is stderr instead of stdout.
    pub is_stderr: bool,
    /// The first byte.
    pub since: u64,
    /// Whether to go on until the job ends.
    pub follow: bool,
}

/// A piece of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes that were written.
    Bytes(&'a [u8]),
    /// So many bytes are kept no more.
    Lost(u64),
}

/// What became of one connection.
#[derive(Debug)]
enum Served {
    /// All was told.
    Whole(Facts),
    /// It was cut.
    Cut,
    /// It brought nothing for too long, or too much.
    Spent(Spent),
}

/// Why pieces stopped coming.
#[derive(Debug)]
enum Stopped {
    /// The connection ended.
    Cut,
    /// Whoever takes the pieces takes no more.
    Refused(Error),
}

/// Gives `sink` the pieces in their order; the job as it is at the end.
pub fn output(
    sessions: &Sessions<'_>,
    session: &Session,
    want: &Want<'_>,
    sink: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Result<Job> {
    let mut next = want.since;
    let mut absence = Absence::default();
    loop {
        let before = next;
        let failed = match once(sessions, session, want, (&mut next, &mut absence.begun), sink) {
            Ok(Served::Whole(facts)) => {
                return match &facts.refusal {
                    Some(refusal) => Err(refused(refusal, want.words)),
                    None => only(facts),
                };
            }
            Ok(Served::Cut) => {
                Error::new(Code::Transport, "the connection was lost before all output had arrived")
            }
            Ok(Served::Spent(spent)) => {
                let what = match spent {
                    Spent::Silent => format!("the workspace sent nothing for {} s", PATIENCE.as_secs()),
                    Spent::Flooded => "the workspace sent more output than it keeps for a job".to_owned(),
                };
                return Err(Error::new(Code::Transport, what)
                    .hint(format!("continue with --since {next}; --follow has no limit on time or size")));
            }
            Err(error) => error,
        };
        if next > before {
            absence.end();
        }
        let resume = |error: Error| error.hint(format!("continue with --since {next}"));
        absence
            .endure(failed, None)
            .map_err(|error| if next > want.since { resume(error) } else { error })?;
    }
}

/// Over one connection.
fn once(
    sessions: &Sessions<'_>,
    session: &Session,
    want: &Want<'_>,
    (next, begun): (&mut u64, &mut Option<Instant>),
    sink: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Result<Served> {
    let mark = random::word();
    let (stream, follow) =
        (if want.is_stderr { "err" } else { "out" }, if want.follow { "follow" } else { "" });
    let command = command(OUTPUT, &mark, &[want.words, stream, &next.to_string(), follow])?;
    let (output, stdout) = io::pipe()?;
    let (patience, most) = if want.follow { (FOREVER, u64::MAX) } else { (PATIENCE, MOST) };
    let mut output = Patient::new(output, patience, most)?;
    let streams = Streams { stdin: Stream::Null, stdout: stdout.into(), stderr: Stream::Null };
    let running = sessions.start(session, &command, &streams)?;
    *begun = Some(Instant::now());
    drop(streams);
    let is_wanted = AtomicBool::new(true);
    let limits = Limits { timeout: None, interruptible: true };
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| running.wait_while(&limits, || is_wanted.load(Ordering::Relaxed)));
        let read = pieces(&mut output, &mark, next, sink);
        is_wanted.store(false, Ordering::Relaxed);
        match (read, ending.join()) {
            (Ok(facts), _) => Ok(Served::Whole(facts)),
            (Err(Stopped::Refused(error)), _) => Err(error),
            (Err(Stopped::Cut), Ok(Ok(Ended::Interrupted { .. }))) => Err(Error::interrupted()),
            (Err(Stopped::Cut), ended) => match (output.spent, ended) {
                (Some(spent), _) => Ok(Served::Spent(spent)),
                (None, Ok(Ok(Ended::Status(_)))) => Err(gave_up()),
                (None, _) => Ok(Served::Cut),
            },
        }
    })
}

/// As the parser of an answer: reads all of `input`, from the byte `next` on; `None` where it is cut.
pub fn read_pieces(
    input: impl Read,
    mark: &str,
    next: &mut u64,
    sink: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Option<Facts> {
    pieces(input, mark, next, sink).ok()
}

fn pieces(
    input: impl Read,
    mark: &str,
    next: &mut u64,
    sink: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Result<Facts, Stopped> {
    let (mut input, mut reader) = (BufReader::with_capacity(PIECE, input), Reader::default());
    let (mut line, mut noise, mut is_ours) = (Vec::new(), 0, false);
    let start = format!("{mark} ");
    loop {
        line.clear();
        let read = input.by_ref().take(LINE).read_until(b'\n', &mut line).map_err(|_| Stopped::Cut)?;
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        // A login shell may print something before the first line of ours, also without a line feed.
        let fact = match text.split_once(&start) {
            Some(("", fact)) => fact,
            Some((_, fact)) if !is_ours => fact,
            _ => {
                noise += read as u64;
                if read == 0 || noise > NOISE || is_ours {
                    return Err(Stopped::Cut);
                }
                continue;
            }
        };
        is_ours = true;
        if let Some(span) = fact.strip_prefix("bytes ") {
            let span =
                span.split_once(' ').and_then(|(at, size)| Some((at.parse().ok()?, size.parse().ok()?)));
            pass_on(&mut input, span.ok_or(Stopped::Cut)?, next, sink)?;
        } else if reader.read(fact) {
            return Ok(reader.facts());
        }
    }
}

/// Passes on `size` bytes, of which the first is number `at` of the stream.
fn pass_on(
    input: &mut impl Read,
    (at, size): (u64, u64),
    next: &mut u64,
    sink: &mut dyn FnMut(Piece<'_>) -> Result<()>,
) -> Result<(), Stopped> {
    let lost = at.checked_sub(*next).filter(|_| at.checked_add(size).is_some()).ok_or(Stopped::Cut)?;
    if lost > 0 {
        sink(Piece::Lost(lost)).map_err(Stopped::Refused)?;
        *next = at;
    }
    let (mut left, mut piece) = (size, vec![0; PIECE]);
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = match input.read(piece.get_mut(..room).unwrap_or_default()) {
            Ok(0) => return Err(Stopped::Cut),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Stopped::Cut),
        };
        sink(Piece::Bytes(piece.get(..read).unwrap_or_default())).map_err(Stopped::Refused)?;
        (*next, left) = (*next + read as u64, left - read as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], since: u64) -> (Option<bool>, u64, Vec<u8>, u64) {
        let (mut next, mut bytes, mut lost) = (since, Vec::new(), 0);
        let facts = read_pieces(text, "M", &mut next, &mut |piece| {
            match piece {
                Piece::Bytes(piece) => bytes.extend_from_slice(piece),
                Piece::Lost(count) => lost += count,
            }
            Ok(())
        });
        (facts.map(|facts| facts.jobs.len() == 1), next, bytes, lost)
    }

    #[test]
    fn any_bytes_come_whole_between_our_lines() {
        let text = b"motd\nmotdM bytes 5 9\nM end\n\0\xffxM idle\nM bytes 20 2\nabM job abcdefghjk running - 1 -\nM end\n";
        assert_eq!(read(text, 5), (Some(true), 22, b"M end\n\0\xffxab".to_vec(), 6));
        assert_eq!(read(text, 0), (Some(true), 22, b"M end\n\0\xffxab".to_vec(), 11));
    }

    #[test]
    fn a_cut_is_resumed_at_its_byte() {
        assert_eq!(read(b"M bytes 0 10\nabc", 0), (None, 3, b"abc".to_vec(), 0));
        assert_eq!(read(b"M bytes 0 3\nabc", 0), (None, 3, b"abc".to_vec(), 0));
        assert_eq!(read(b"M bytes 0 3\nabcM end\n", 3), (None, 3, Vec::new(), 0), "bytes that we have");
        assert_eq!(read(b"M bytes 18446744073709551615 2\nabM end\n", 0), (None, 0, Vec::new(), 0));
        assert_eq!(read(b"M bytes 0 1\naforged\nM end\n", 0), (None, 1, b"a".to_vec(), 0));
    }

    proptest! {
        #[test]
        fn no_stream_panics(text: Vec<u8>, since: u64) {
            let marked = [b"M bytes ", &text[..]].concat();
            read(&marked, since);
            prop_assert_eq!(read(&text, since).0, None);
        }
    }
}
