//! What our scripts say went wrong, in the user's words.

use crate::error::{Code, Error};
use crate::output::foreign::{self, Quoted};

/// The error for a script's `E` line: a word, and what the workspace's own tool said.
pub(super) fn of(record: &str, path: &str) -> Error {
    let (word, said) = record.split_once(' ').unwrap_or((record, ""));
    let on = |what: &str| format!("`{path}` on the workspace {what}");
    match word {
        "missing" => {
            Error::new(Code::NotFound, on("does not exist")).hint(if path.contains(['*', '?', '[']) {
                "names are taken as they are, patterns too: fetch the folder, or name each"
            } else {
                "see what is there: runcode exec -- ls"
            })
        }
        "folder" => Error::new(Code::Io, on("is a folder")).hint("name the file: FOLDER/NAME"),
        "file" => Error::new(Code::Io, on("is not a folder")),
        "special" => Error::new(Code::Io, on("is neither a file nor a folder")),
        "denied" => Error::new(Code::Io, on("may not be read: permission denied")),
        "cut" => Error::new(Code::Transport, format!("only a part of `{path}` reached the workspace"))
            .hint("what was there before is unchanged; run the command again"),
        "differs" => {
            Error::new(Code::Io, format!("what reached the workspace is not what was sent for `{path}`"))
                .hint("what was there before is unchanged; run the command again")
        }
        "nohash" => Error::new(Code::Unavailable, "the workspace cannot verify what it gets")
            .hint("it needs one of sha256sum, shasum and openssl"),
        "notar" => Error::new(Code::Unavailable, "`tar` is not installed on the workspace; folders need it"),
        "nostderr" => {
            Error::new(Code::Unavailable, "the workspace has no working /dev/stderr, which folders travel by")
        }
        _ => Error::new(
            Code::Io,
            reason(said).map_or_else(
                || on("could not be written"),
                |why| format!("the workspace says of `{path}`: {why}"),
            ),
        ),
    }
}

/// What a tool says, without the names in front: `cat: write error: No space left on device` → the last part.
fn reason(said: &str) -> Option<Quoted> {
    said.trim().rsplit(": ").next().filter(|last| !last.is_empty()).map(foreign::message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_missing_file_are_told() {
        let full = of("io cat: write error: No space left on device", "a");
        assert_eq!(
            (full.code(), full.message()),
            (Code::Io, "the workspace says of `a`: \"No space left on device\"")
        );
        assert_eq!(of("missing", "a").code(), Code::NotFound);
        assert!(of("io \u{1b}[2J", "a").message().contains("\u{fffd}[2J"));
    }
}
