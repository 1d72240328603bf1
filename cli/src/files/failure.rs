//! What our scripts say went wrong, and what the user is told of it.

use crate::error::{Code, Error};
use crate::output::foreign::{self, Quoted};

/// What went wrong on the workspace, as the script's `E` line has it: a word, and what the workspace's own tool said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    Missing,
    IsFolder,
    NoFolder,
    Special,
    Denied,
    Cut,
    Differs,
    NoHash,
    NoTar,
    NoStderr,
    /// Nothing may be written into the folder.
    Closed,
    /// The file system would treat names that differ only in case as one.
    Twins,
    /// The file has changed since it was read.
    Changed,
    /// Somebody else put something in the place of the folder that is written to first.
    Taken,
    /// Another user owns the file or something on the way to it, or gave it its name, in a folder where others may create
    /// files.
    Planted,
    Io(String),
}

impl FailureKind {
    fn parse(record: &str) -> FailureKind {
        let (word, said) = record.split_once(' ').unwrap_or((record, ""));
        match word {
            "missing" => FailureKind::Missing,
            "folder" => FailureKind::IsFolder,
            "file" => FailureKind::NoFolder,
            "special" => FailureKind::Special,
            "denied" => FailureKind::Denied,
            "cut" => FailureKind::Cut,
            "differs" => FailureKind::Differs,
            "nohash" => FailureKind::NoHash,
            "notar" => FailureKind::NoTar,
            "nostderr" => FailureKind::NoStderr,
            "closed" => FailureKind::Closed,
            "twins" => FailureKind::Twins,
            "changed" => FailureKind::Changed,
            "taken" => FailureKind::Taken,
            "planted" => FailureKind::Planted,
            _ => FailureKind::Io(said.to_owned()),
        }
    }
}

/// A failure that a script told of.
#[derive(Debug)]
pub(super) struct ScriptFailure {
    pub(super) kind: FailureKind,
    path: String,
}

impl ScriptFailure {
    /// Reads the script's record; `path` is what it was at.
    pub(super) fn parse(record: &str, path: &str) -> ScriptFailure {
        ScriptFailure { kind: FailureKind::parse(record), path: path.to_owned() }
    }

    /// A folder is at `path`, where a file is wanted.
    pub(super) fn folder(path: &str) -> ScriptFailure {
        ScriptFailure { kind: FailureKind::IsFolder, path: path.to_owned() }
    }

    /// Whether folders cannot travel to and from this workspace, as opposed to files.
    pub(super) fn is_without_folders(&self) -> bool {
        matches!(self.kind, FailureKind::NoTar | FailureKind::NoStderr)
    }
}

impl From<ScriptFailure> for Error {
    fn from(failure: ScriptFailure) -> Error {
        let path = failure.path;
        let shown = foreign::file(&path);
        let on = |what: &str| format!("{shown} on the workspace {what}");
        let unchanged = "what was there before is unchanged; run the command again";
        match failure.kind {
            FailureKind::Missing => {
                let error = Error::new(Code::NotFound, on("does not exist"));
                if path.contains(['*', '?', '[']) {
                    error.hint("patterns are not expanded: fetch the folder, or name each file")
                } else {
                    error
                        .hint("see what is there: runcode exec -- ls")
                        .for_tools("see what is there: `read` of a folder, or `glob`")
                }
            }
            FailureKind::IsFolder => Error::new(Code::Io, on("is a folder"))
                .hint("name the file: FOLDER/NAME")
                .for_tools("name a file in it: `read` of the folder says what is there"),
            FailureKind::NoFolder => Error::new(Code::Io, on("is not a folder")),
            FailureKind::Special => Error::new(Code::Io, on("is neither a file nor a folder")),
            FailureKind::Denied => Error::new(Code::Io, on("cannot be read: permission denied")),
            FailureKind::Cut => {
                Error::new(Code::Transport, format!("only a part of {shown} reached the workspace"))
                    .hint(unchanged)
            }
            FailureKind::Differs => {
                let what = format!("what reached the workspace is not what was sent for {shown}");
                Error::new(Code::Io, what).hint(unchanged)
            }
            FailureKind::NoHash => Error::new(Code::Unavailable, "the workspace cannot verify what it gets")
                .hint("it needs one of sha256sum, shasum and openssl"),
            FailureKind::NoTar => {
                Error::new(Code::Unavailable, "`tar` is not installed on the workspace; folders need it")
            }
            FailureKind::NoStderr => {
                Error::new(Code::Unavailable, "the workspace has no working /dev/stderr; folders need it")
            }
            FailureKind::Closed => {
                let what = format!("the login may not write to the folder of {shown} on the workspace");
                Error::new(Code::Io, what).hint(
                    "send it to a folder that the login may write to, then move it there: runcode exec -- sudo mv FILE PLACE",
                )
                .for_tools("write to a folder that the login may write to, then move it there with `exec`")
            }
            FailureKind::Twins => {
                Error::new(Code::Io, format!("some names for {shown} differ only in case")).hint(unchanged)
            }
            FailureKind::Changed => Error::new(Code::Conflict, on("has changed since it was read"))
                .hint("nothing was written; read it again"),
            FailureKind::Taken => {
                let what = format!("somebody else changed the folder of {shown} on the workspace meanwhile");
                Error::new(Code::Conflict, what)
                    .hint("nothing was written; use a folder that only you may write to")
            }
            FailureKind::Planted => {
                let what = on(
                    "belongs to another user, or leads through something that does, or has a second name, in a folder that \
                     others may write to",
                );
                Error::new(Code::Conflict, what).hint(
                    "nothing was written there, since that user could read it; use another name or folder, or \
                     remove what is there first, if nobody needs it",
                )
            }
            FailureKind::Io(said) => Error::new(
                Code::Io,
                reason(&said).map_or_else(
                    || on("could not be written"),
                    |why| format!("the workspace says of {shown}: {why}"),
                ),
            ),
        }
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
        let of = |record, path| Error::from(ScriptFailure::parse(record, path));
        let full = of("io cat: write error: No space left on device", "a");
        assert_eq!(
            (full.code(), full.message()),
            (Code::Io, "the workspace says of `a`: \"No space left on device\"")
        );
        assert_eq!(of("missing", "a").code(), Code::NotFound);
        assert!(of("io \u{1b}[2J", "a").message().contains("\u{fffd}[2J"));
    }
}
