//! `read`, `write` and `edit`: files of the workspace, without a shell.

use std::io::Cursor;

use base64ct::{Base64, Encoding as _};
use serde_json::json;

use crate::error::{Code, Error, Result};
use crate::files::{self, Change, Content, Exchanges, Found, RemotePath, Search, Writing};
use crate::mcp::workspace::answer::{Answer, MAX};
use crate::mcp::workspace::{Context, search, text};
use crate::output::foreign;
use crate::session::Session;
use crate::session::audit::Action;
use crate::sys::digest::sha256;

/// The largest file that is read, in bytes, and the largest image.
const READ_MAX: u64 = 16 << 20;
const IMAGE_MAX: usize = 2 << 20;

/// How many lines are read unless the call says so.
const LINES: usize = 2000;

/// The longest line that is shown, in characters.
const LINE_MAX: usize = 8000;

impl Context<'_> {
    /// Does something with files of the workspace that the call means.
    pub(super) fn with_files<T>(&self, act: impl FnOnce(&Session, &Exchanges<'_>) -> Result<T>) -> Result<T> {
        let sessions = self.app.sessions()?;
        let session = self.session(&sessions)?;
        let start = |command: &_, streams: &_| sessions.start(&session, command, streams);
        let words = ["path", "local", "remote"].map(|name| self.arguments.text(name));
        let action = || Action::of(self.tool.name, words.into_iter().flatten());
        let act = || act(&session, &Exchanges::new(&start, self.app.env()));
        sessions.audited(&session.meta.key, action, act)
    }

    /// A path on the workspace.
    pub(super) fn remote(&self, name: &str, session: &Session) -> Result<RemotePath> {
        let text = self.arguments.text(name).unwrap_or(".");
        RemotePath::parse(text.as_ref(), session.meta.workdir.as_ref())
    }
}

/// Shows a file by lines, an image as one, or what a folder holds.
pub(super) fn read(context: &Context<'_>) -> Result<Answer> {
    let (shown, content) = context.with_files(|session, exchanges| {
        let remote = context.remote("path", session)?;
        let content = match files::read(exchanges, &remote, READ_MAX + 1)? {
            Content::File(bytes) => Ok(bytes),
            Content::Folder => Err(files::search(exchanges, &remote, &Search::Entries)?),
        };
        Ok((remote.shown(), content))
    })?;
    let bytes = match content {
        Ok(bytes) => bytes,
        Err(entries) => return Ok(folder(&entries)),
    };
    let shown = foreign::file(&shown);
    let usage = |what: String| Error::new(Code::Usage, what);
    if bytes.len() as u64 > READ_MAX {
        return Err(usage(format!("{shown} is larger than 16 MiB"))
            .hint("look at a part of it with exec, or fetch it with get"));
    }
    if let Some(kind) = image(&bytes) {
        if bytes.len() > IMAGE_MAX {
            return Err(usage(format!("{shown} is an image larger than 2 MiB")).hint("fetch it with get"));
        }
        return Ok(Answer::image(kind, &bytes));
    }
    if memchr::memchr(0, bytes.get(..8192).unwrap_or(&bytes)).is_some() {
        return Err(usage(format!("{shown} is not text")).hint("fetch it with get, or look at it with exec"));
    }
    let number = |name: &str| context.arguments.number::<usize>(name);
    Ok(Answer::text(lines(&bytes, number("offset").unwrap_or(1), number("limit").unwrap_or(LINES))))
}

/// The lines from `first` on, each with its number, and what they are of. They are exact, so that they can be edited; what would
/// show nothing is written out, but for tabs and the CR of a line end.
fn lines(bytes: &[u8], first: usize, limit: usize) -> String {
    let hash = sha256(bytes);
    if bytes.is_empty() {
        return format!("[empty; sha256 {hash}]");
    }
    let all = bytes.split_inclusive(|&byte| byte == b'\n').collect::<Vec<_>>();
    let (mut shown, mut length, mut last) = (String::new(), 0, first.saturating_sub(1));
    let (mut is_lossy, mut is_written_out) = (false, false);
    for (index, raw) in all.iter().enumerate().skip(last).take(limit) {
        let (raw, end) = match raw.strip_suffix(b"\r\n") {
            Some(raw) => (raw, "\r"),
            None => (raw.strip_suffix(b"\n").unwrap_or(raw), ""),
        };
        let text = String::from_utf8_lossy(raw);
        let mut line = format!("{}\t", index + 1);
        let (mut rest, mut room) = (text.chars(), LINE_MAX);
        while room > 0
            && let Some(c) = rest.next()
        {
            room = room.saturating_sub(text::push(&mut line, c));
        }
        let more = rest.count();
        line += &if more > 0 { format!(" [{more} more characters]\n") } else { format!("{end}\n") };
        length += line.chars().count();
        if length > MAX - 500 {
            break;
        }
        shown.push_str(&line);
        last = index + 1;
        is_lossy |= matches!(text, std::borrow::Cow::Owned(_));
        is_written_out |= text.chars().any(text::is_written_out);
    }
    let total = all.len();
    let range = match last < first {
        true => format!("no lines from {first} on"),
        false => format!("lines {first}-{last}"),
    };
    let lossy = if is_lossy {
        "; not all of it is UTF-8, and edit cannot find what is shown as \u{fffd}"
    } else {
        ""
    };
    let written_out = if is_written_out {
        "; it has characters that show nothing, written here as \\u{\u{2026}}: give edit the characters themselves"
    } else {
        ""
    };
    let end = if bytes.ends_with(b"\n") { "" } else { "; no line end at its end" };
    let next =
        if last < total && last >= first { format!("; next offset {}", last + 1) } else { String::new() };
    format!("{shown}[{range} of {total}; sha256 {hash}{lossy}{written_out}{end}{next}]")
}

fn folder(entries: &Found) -> Answer {
    const SHOWN: usize = 1000;
    let names = entries.entries();
    let all = names.each;
    let mut shown = String::new();
    let mut count = 0;
    for line in all.iter().take(SHOWN).map(|line| text::exact(line)) {
        if shown.len() + line.len() > MAX - 500 {
            break;
        }
        shown += &line;
        shown.push('\n');
        count += 1;
    }
    let more = if all.len() > count { ", and more" } else { "" };
    let odd = search::left_out(names.left_out);
    Answer::text(format!("{shown}[a folder: {count} entries{more}{odd}]"))
}

/// The type of an image, by its first bytes.
fn image(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Makes or replaces a file.
pub(super) fn write(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let mode = arguments.text("mode").map(|mode| {
        let is_octal = mode.bytes().all(|byte| matches!(byte, b'0'..=b'7')); // no sign
        let parsed = u32::from_str_radix(mode, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        parsed.ok_or_else(|| Error::new(Code::Usage, "write: `mode` must be an octal number, such as 644"))
    });
    let writing = Writing { mode: mode.transpose()?, expects: expected(context)? };
    let is_only_new = arguments.flag("create_only");
    if is_only_new && arguments.has("expect_sha256") {
        return Err(Error::new(Code::Usage, "write: `create_only` and `expect_sha256` exclude each other"));
    }
    let writing = if is_only_new { Writing { expects: Some(String::new()), ..writing } } else { writing };
    let content = Cursor::new(arguments.text("content").unwrap_or_default().as_bytes().to_vec());
    let mut shown = String::new();
    let summary = context.with_files(|session, exchanges| {
        let remote = context.remote("path", session)?;
        shown = remote.shown();
        if remote.names_a_folder() {
            return Err(Error::new(Code::Usage, format!("{} names a folder", foreign::file(&shown)))
                .hint("name the file; folders are made as they are needed"));
        }
        let summary = files::write_as(exchanges, content, &remote, writing)?;
        Ok((session.clone(), summary))
    });
    match summary {
        Ok((session, summary)) => {
            let mut report = json!({
                "path": summary.to,
                "bytes": summary.bytes,
                "sha256": summary.sha256,
                "created": summary.is_new,
            });
            summary.notes.name_in(&mut report);
            session.name_in(&mut report);
            Ok(Answer::json(&report))
        }
        Err(error) if is_only_new && error.code() == Code::Conflict => {
            Err(Error::new(Code::Conflict, format!("{} is there already", foreign::file(&shown)))
                .hint("nothing was written; leave out `create_only` to replace it"))
        }
        Err(error) => Err(error),
    }
}

/// Replaces a text in a file.
pub(super) fn edit(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let text = |name: &str| arguments.text(name).unwrap_or_default().as_bytes().to_vec();
    let change = Change::new(text("old"), text("new"))?;
    let expects = expected(context)?;
    let (edited, mut report) = context.with_files(|session, exchanges| {
        let remote = context.remote("path", session)?;
        let edited = files::edit(exchanges, &remote, &change, arguments.flag("all"), expects.as_deref())?;
        let mut report = json!({
            "path": edited.summary.to,
            "replaced": edited.replaced,
            "sha256": edited.summary.sha256,
        });
        session.name_in(&mut report);
        Ok((edited, report))
    })?;
    edited.summary.notes.name_in(&mut report);
    let mut shown = text::json(&report);
    for (number, line) in &edited.lines {
        let line = text::exact(line.strip_suffix('\r').unwrap_or(line));
        let line = line.chars().take(500).collect::<String>();
        shown += &format!("\n{number}\t{line}");
    }
    Ok(Answer::text(shown.chars().take(MAX).collect::<String>()))
}

/// The SHA-256 that the file must have.
fn expected(context: &Context<'_>) -> Result<Option<String>> {
    let given = context.arguments.text("expect_sha256").map(str::to_lowercase);
    let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match given {
        Some(text) if !is_hash(&text) => {
            Err(Error::new(Code::Usage, "`expect_sha256` must be 64 hexadecimal digits"))
        }
        given => Ok(given),
    }
}

impl Answer {
    /// An image.
    fn image(kind: &str, bytes: &[u8]) -> Answer {
        Answer::block(json!({ "type": "image", "data": Base64::encode_string(bytes), "mimeType": kind }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_exact_and_numbered() {
        let of = |text: &str| sha256(text.as_bytes());
        assert_eq!(lines(b"", 1, 9), format!("[empty; sha256 {}]", of("")));
        let text = "a\r\n\tb  c\nend";
        let shown = "1\ta\r\n2\t\tb  c\n3\tend\n";
        assert_eq!(
            lines(text.as_bytes(), 1, 9),
            format!("{shown}[lines 1-3 of 3; sha256 {}; no line end at its end]", of(text))
        );
        assert!(lines(b"1\n2\n3\n4\n", 2, 2).starts_with("2\t2\n3\t3\n[lines 2-3 of 4; sha256 "));
        assert!(lines(b"1\n2\n3\n4\n", 2, 2).ends_with("; next offset 4]"));
        assert!(lines(b"1\n", 7, 2).starts_with("[no lines from 7 on of 1; sha256 "));
        assert!(lines(b"\xff\n", 1, 2).contains("not all of it is UTF-8"));
        let long = "x".repeat(100) + "\n";
        let page = lines(long.repeat(1000).as_bytes(), 1, 2000);
        assert!(page.chars().count() <= MAX && page.contains("; next offset "), "{}", page.len());
        let wide = lines("y".repeat(50_000).as_bytes(), 1, 2000);
        assert!(wide.contains(" [42000 more characters]\n") && wide.chars().count() <= MAX);
    }

    #[test]
    fn no_line_steers_or_hides() {
        let odd = "\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}1m \r2\tx\u{2028}\u{202e}\u{200b}\u{feff}\u{e0041}\u{0}\r\r\nnext\r";
        let shown = lines(odd.as_bytes(), 1, 9);
        let (text, last) = shown.rsplit_once('\n').unwrap_or_default();
        assert!(!text.replace("\r\n", "").chars().any(text::is_written_out), "{text:?}");
        assert!(
            text.contains("\\u{1b}[2J\\u{1b}]0;t\\u{7}\\u{9b}1m \\u{d}2\tx\\u{2028}\\u{202e}"),
            "{text:?}"
        );
        assert!(text.ends_with("\\u{e0041}\\u{0}\\u{d}\r\n2\tnext\\u{d}"), "{text:?}");
        assert!(
            last.contains("written here as \\u{\u{2026}}: give edit the characters themselves"),
            "{last}"
        );
        assert!(!lines("Gr\u{fc}\u{df}e \u{1f980}\tx\r\n".as_bytes(), 1, 9).contains("written here"));
        // A line of them alone is cut as any other is.
        let long = lines("\u{e0041}".repeat(50_000).as_bytes(), 1, 9);
        assert!(
            long.contains(" more characters]\n[lines 1-1 of 1;") && long.chars().count() <= MAX,
            "{long}"
        );
    }
}
