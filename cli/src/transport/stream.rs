//! What a remote command's input and outputs are connected to.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::process::Stdio;

#[cfg(unix)]
use std::os::fd::OwnedFd as Handle;
#[cfg(windows)]
use std::os::windows::io::OwnedHandle as Handle;

/// One end of a stream.
#[derive(Debug)]
pub enum Stream {
    /// This process's own.
    Inherit,
    /// Nothing to read, and nobody who reads.
    Null,
    /// A pipe or file. Whoever waits for the other end of a pipe to close has to drop this one first.
    Given(Handle),
}

impl Stream {
    pub(super) fn to_stdio(&self) -> io::Result<Stdio> {
        Ok(match self {
            Stream::Inherit => Stdio::inherit(),
            Stream::Null => Stdio::null(),
            Stream::Given(handle) => handle.try_clone()?.into(),
        })
    }
}

impl From<PipeReader> for Stream {
    fn from(end: PipeReader) -> Stream {
        Stream::Given(end.into())
    }
}

impl From<PipeWriter> for Stream {
    fn from(end: PipeWriter) -> Stream {
        Stream::Given(end.into())
    }
}

impl From<File> for Stream {
    fn from(file: File) -> Stream {
        Stream::Given(file.into())
    }
}

/// The three streams of a remote command.
#[derive(Debug)]
pub struct Streams {
    /// What it reads.
    pub stdin: Stream,
    /// Where its output goes.
    pub stdout: Stream,
    /// Where its errors go.
    pub stderr: Stream,
}

impl Streams {
    /// This process's own three.
    pub fn inherit() -> Streams {
        Streams { stdin: Stream::Inherit, stdout: Stream::Inherit, stderr: Stream::Inherit }
    }

    /// None.
    pub fn null() -> Streams {
        Streams { stdin: Stream::Null, stdout: Stream::Null, stderr: Stream::Null }
    }
}
