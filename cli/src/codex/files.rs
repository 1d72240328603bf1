//! `fs/…`: files of the workspace.

use std::io::Cursor;
use std::os::unix::ffi::OsStrExt as _;

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::codex::environment::Environment;
use crate::codex::message::{INTERNAL, INVALID_PARAMS, NO_METHOD, Params, Refusal};
use crate::error::Result;
use crate::files::{self, Content, Exchanges, RemotePath};
use crate::remote::file_facts::{Files, Kind};
use crate::session::audit::Action;
use crate::sys::interrupt::Cancel;

/// The largest file that is read or written whole, in bytes.
const MAX: u64 = 16 << 20;

#[derive(Deserialize)]
struct Path {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Write {
    path: String,
    data_base64: String,
}

#[derive(Deserialize)]
struct Change {
    path: String,
    #[serde(default)]
    recursive: Option<bool>,
    #[serde(default)]
    force: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Copy {
    source_path: String,
    destination_path: String,
    #[serde(default)]
    recursive: bool,
}

/// What a file request means, before the workspace is asked.
pub(super) enum Request {
    Metadata(Vec<u8>),
    Canonicalize(Vec<u8>),
    List(Vec<u8>),
    Read(Vec<u8>),
    Write(Vec<u8>, Vec<u8>),
    Create(Vec<u8>, bool),
    Remove { path: Vec<u8>, all: bool, force: bool },
    Copy { from: Vec<u8>, to: Vec<u8>, all: bool },
}

impl Request {
    /// Parses a request; `remote` says what an address means.
    pub(super) fn read(
        method: &str,
        params: Params,
        remote: impl Fn(&str) -> Result<Vec<u8>, Refusal>,
    ) -> Result<Request, Refusal> {
        let path = |params: Params| params.read::<Path>().and_then(|read| remote(&read.path));
        Ok(match method {
            "fs/getMetadata" => Request::Metadata(path(params)?),
            "fs/canonicalize" => Request::Canonicalize(path(params)?),
            "fs/readDirectory" => Request::List(path(params)?),
            "fs/readFile" => Request::Read(path(params)?),
            "fs/writeFile" => {
                let Write { path, data_base64 } = params.read()?;
                let data = Base64::decode_vec(&data_base64)
                    .map_err(|_| Refusal::new(INVALID_PARAMS, "runcode: `dataBase64` is not Base64"))?;
                if data.len() as u64 > MAX {
                    return Err(too_large());
                }
                Request::Write(remote(&path)?, data)
            }
            "fs/createDirectory" => {
                let change = params.read::<Change>()?;
                Request::Create(remote(&change.path)?, change.recursive.unwrap_or(true))
            }
            "fs/remove" => {
                let Change { path, recursive, force } = params.read()?;
                let (all, force) = (recursive.unwrap_or(true), force.unwrap_or(true));
                Request::Remove { path: remote(&path)?, all, force }
            }
            "fs/copy" => {
                let Copy { source_path, destination_path, recursive } = params.read()?;
                Request::Copy { from: remote(&source_path)?, to: remote(&destination_path)?, all: recursive }
            }
            _ => {
                return Err(Refusal::new(
                    NO_METHOD,
                    format!("runcode: {} is not supported here", short(method)),
                ));
            }
        })
    }

    /// Does it on the workspace.
    pub(super) fn answer(self, environment: &Environment, cancel: &Cancel) -> Result<Value, Refusal> {
        Ok(match self {
            Request::Read(path) => {
                let content = transfer(environment, cancel, "read", &path, |exchanges, remote| {
                    files::read(exchanges, remote, MAX + 1)
                })?;
                match content {
                    Content::File(bytes) if bytes.len() as u64 > MAX => return Err(too_large()),
                    Content::File(bytes) => json!({ "dataBase64": Base64::encode_string(&bytes) }),
                    Content::Folder => return Err(Refusal::new(INTERNAL, "runcode: this is a folder")),
                }
            }
            Request::Write(path, data) => {
                transfer(environment, cancel, "write", &path, |exchanges, remote| {
                    files::write(exchanges, Cursor::new(data), remote)
                })?;
                json!({})
            }
            other => environment
                .with(cancel, |sessions, session| other.look(environment, &Files { sessions, session }))?,
        })
    }

    fn look(self, environment: &Environment, files: &Files<'_>) -> Result<Value> {
        Ok(match self {
            Request::Metadata(path) => {
                let found = files.metadata(&path)?;
                json!({
                    "isDirectory": found.kind == Kind::Folder,
                    "isFile": found.kind == Kind::File,
                    "isSymlink": found.is_link,
                    "size": found.size,
                    "createdAtMs": 0,
                    "modifiedAtMs": found.changed.saturating_mul(1000),
                })
            }
            Request::Canonicalize(path) => {
                json!({ "path": environment.paths.address(files.canonical(&path)?.as_ref()) })
            }
            Request::List(path) => {
                let entry = |(kind, name): (Kind, String)| json!({ "fileName": name, "isDirectory": kind == Kind::Folder, "isFile": kind == Kind::File });
                json!({ "entries": files.entries(&path)?.into_iter().map(entry).collect::<Vec<_>>() })
            }
            Request::Create(path, parents) => files.create_folder(&path, parents).map(|()| json!({}))?,
            Request::Remove { path, all, force } => files.remove(&path, all, force).map(|()| json!({}))?,
            Request::Copy { from, to, all } => files.copy(&from, &to, all).map(|()| json!({}))?,
            Request::Read(_) | Request::Write(..) => Value::Null, // a transfer
        })
    }
}

fn transfer<T>(
    environment: &Environment,
    cancel: &Cancel,
    name: &'static str,
    path: &[u8],
    act: impl FnOnce(&Exchanges<'_>, &RemotePath) -> Result<T>,
) -> Result<T> {
    environment.with(cancel, |sessions, session| {
        let text = std::ffi::OsStr::from_bytes(path);
        let remote = RemotePath::parse(text, session.meta.workdir.as_ref())?;
        let start = |command: &_, streams: &_| sessions.start(session, command, streams);
        sessions.audited(
            &session.meta.key,
            || Action::of(name, [text]),
            || act(&Exchanges::new(&start, environment.env()), &remote),
        )
    })
}

fn too_large() -> Refusal {
    Refusal::new(INTERNAL, "runcode: the file is larger than 16 MiB; use a command instead")
}

/// The start of a method's name, for a sentence.
pub(super) fn short(method: &str) -> String {
    method.chars().filter(|c| c.is_ascii_graphic()).take(60).collect()
}
