//! The requests of the protocol, one by one (draft-ietf-secsh-filexfer-02, section 6).

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

use super::attributes::{self, Attributes};
use super::files::{Files, Folder, Open, bytes_of, path_of};
use super::numbers::{VERSION, open, packet as kinds, status};
use super::packet::{Reader, Writer};
use super::{PACKET_LIMIT, extensions, longname};

/// The longest piece of a file in one answer: OpenSSH's own limit.
pub(super) const READ_LIMIT: usize = PACKET_LIMIT - 1024;
/// How many names a listing gives at a time.
const NAMES_AT_ONCE: usize = 100;

/// What a request is answered with, when it is not an error.
pub(super) enum Answer {
    Done,
    EndOfFile,
    Handle([u8; 4]),
    Data(Vec<u8>),
    Attributes(Metadata),
    /// One name, without attributes.
    Name(Vec<u8>),
    Names(Vec<(Vec<u8>, Metadata)>),
    /// The fields of an extension's own answer.
    Extended(Vec<u64>),
    /// The same, of strings.
    #[cfg_attr(windows, expect(dead_code, reason = "users and groups have no numbers there"))]
    Strings(Vec<Vec<u8>>),
}

/// Answers one packet.
///
/// # Errors
/// When the packet is none that a client may send: the conversation cannot go on.
pub(super) fn answer(files: &mut Files, packet: &mut Reader<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let kind = packet.byte()?;
    if kind == kinds::INIT {
        let mut version = Writer::new(out, kinds::VERSION);
        version.u32(VERSION);
        for (name, data) in extensions::NAMES {
            version.string(name).string(data);
        }
        return Ok(());
    }
    let id = packet.u32()?;
    match perform(files, kind, packet) {
        Ok(answer) => write(out, id, answer),
        Err(e) => write_status(out, id, code(&e)),
    }
    Ok(())
}

fn perform(files: &mut Files, kind: u8, packet: &mut Reader<'_>) -> io::Result<Answer> {
    match kind {
        kinds::OPEN => open_file(files, packet),
        kinds::CLOSE => {
            if files.close(packet.string()?) {
                done()
            } else {
                Err(io::Error::other("invalid handle"))
            }
        }
        kinds::READ => read(files, packet),
        kinds::WRITE => write_file(files, packet),
        kinds::LSTAT => fs::symlink_metadata(files.path(packet.string()?)).map(Answer::Attributes),
        kinds::FSTAT => match files.by_handle(packet.string()?)? {
            Open::File { file, .. } => file.metadata().map(Answer::Attributes),
            Open::Folder(folder) => fs::metadata(&folder.path).map(Answer::Attributes),
        },
        kinds::SETSTAT => {
            let path = files.path(packet.string()?);
            Attributes::read(packet)?.apply_to(&path)?;
            done()
        }
        kinds::FSETSTAT => {
            let handle = packet.string()?;
            let attributes = Attributes::read(packet)?;
            match files.by_handle(handle)? {
                Open::File { file, .. } => attributes.apply(file)?,
                Open::Folder(folder) => attributes.apply_to(&folder.path)?,
            }
            done()
        }
        kinds::OPENDIR => {
            let path = files.path(packet.string()?);
            let entries = fs::read_dir(&path)?;
            files.insert(Open::Folder(Folder { path, dots: vec!["..", "."], entries })).map(Answer::Handle)
        }
        kinds::READDIR => list(files, packet),
        kinds::REMOVE => {
            fs::remove_file(files.path(packet.string()?))?;
            done()
        }
        kinds::MKDIR => {
            let path = files.path(packet.string()?);
            make_folder(&path, Attributes::read(packet)?.mode_or(0o777))?;
            done()
        }
        kinds::RMDIR => {
            fs::remove_dir(files.path(packet.string()?))?;
            done()
        }
        kinds::REALPATH => {
            Files::real(&files.path(packet.string()?)).map(|path| Answer::Name(bytes_of(&path)))
        }
        kinds::STAT => fs::metadata(files.path(packet.string()?)).map(Answer::Attributes),
        kinds::RENAME => {
            let (from, to) = (files.path(packet.string()?), files.path(packet.string()?));
            rename_to_new(&from, &to)?;
            done()
        }
        kinds::READLINK => {
            fs::read_link(files.path(packet.string()?)).map(|path| Answer::Name(bytes_of(&path)))
        }
        kinds::SYMLINK => {
            // OpenSSH's order, which is everybody's: what it leads to, then the link.
            let (target, link) = (path_of(packet.string()?), files.path(packet.string()?));
            make_link(&target, &link)?;
            done()
        }
        kinds::EXTENDED => extensions::perform(files, packet),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

pub(super) fn done() -> io::Result<Answer> {
    Ok(Answer::Done)
}

fn open_file(files: &mut Files, packet: &mut Reader<'_>) -> io::Result<Answer> {
    let path = files.path(packet.string()?);
    let flags = packet.u32()?;
    let attributes = Attributes::read(packet)?;
    let has = |flag: u32| flags & flag != 0;
    let mut options = OpenOptions::new();
    options.read(has(open::READ)).write(has(open::WRITE)).append(has(open::WRITE) && has(open::APPEND));
    if has(open::CREAT) {
        if has(open::EXCL) {
            options.create_new(true)
        } else {
            options.create(true).truncate(has(open::TRUNC))
        };
    } else {
        options.truncate(has(open::TRUNC));
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, attributes.mode_or(0o666));
    #[cfg(not(unix))]
    let _ = attributes;
    let file = options.open(&path)?;
    if file.metadata()?.is_dir() && has(open::WRITE) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    files.insert(Open::File { file, append: has(open::APPEND) }).map(Answer::Handle)
}

fn read(files: &mut Files, packet: &mut Reader<'_>) -> io::Result<Answer> {
    let (file, _) = files.file(packet.string()?)?;
    let (offset, length) = (packet.u64()?, packet.u32()? as usize);
    let mut data = vec![0; length.min(READ_LIMIT)];
    let read = read_at(file, &mut data, offset)?;
    data.truncate(read);
    Ok(if read == 0 && length > 0 { Answer::EndOfFile } else { Answer::Data(data) })
}

fn write_file(files: &mut Files, packet: &mut Reader<'_>) -> io::Result<Answer> {
    let (mut file, append) = files.file(packet.string()?)?;
    let (offset, data) = (packet.u64()?, packet.string()?);
    if append {
        io::Write::write_all(&mut file, data)?
    } else {
        write_at(file, data, offset)?
    }
    done()
}

fn list(files: &mut Files, packet: &mut Reader<'_>) -> io::Result<Answer> {
    let Open::Folder(folder) = files.by_handle(packet.string()?)? else {
        return Err(io::Error::other("not a folder's handle"));
    };
    let mut names = Vec::new();
    while names.len() < NAMES_AT_ONCE {
        let (name, path) = match folder.dots.pop() {
            Some(dot) => (dot.as_bytes().to_vec(), folder.path.join(dot)),
            None => match folder.entries.next().transpose()? {
                Some(entry) => (bytes_of(Path::new(&entry.file_name())), entry.path()),
                None => break,
            },
        };
        // One that vanished meanwhile is not there.
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            names.push((name, metadata));
        }
    }
    Ok(if names.is_empty() { Answer::EndOfFile } else { Answer::Names(names) })
}

/// Renames, unless there is something by the new name already: version 3 of the protocol demands it.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        return match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        };
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        // A file system without hard links, or a link that may not be made.
        Err(_) if fs::symlink_metadata(to).is_err() => fs::rename(from, to),
        Err(e) => Err(e),
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, data: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, data, offset)
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, data: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, data, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, data: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, data, offset)
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, mut data: &[u8], mut offset: u64) -> io::Result<()> {
    while !data.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, data, offset)?;
        data = data.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

#[cfg(unix)]
fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(mode).create(path)
}

#[cfg(not(unix))]
fn make_folder(path: &Path, _mode: u32) -> io::Result<()> {
    fs::create_dir(path)
}

#[cfg(unix)]
fn make_link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn make_link(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The status of an error, as sftp-server(8) has it.
fn code(error: &io::Error) -> u32 {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound | Kind::NotADirectory => status::NO_SUCH_FILE,
        Kind::PermissionDenied => status::PERMISSION_DENIED,
        Kind::InvalidInput | Kind::InvalidFilename | Kind::InvalidData => status::BAD_MESSAGE,
        Kind::Unsupported => status::OP_UNSUPPORTED,
        _ => status::FAILURE,
    }
}

fn write_status(out: &mut Vec<u8>, id: u32, code: u32) {
    let message = match code {
        status::OK => "Success",
        status::EOF => "End of file",
        status::NO_SUCH_FILE => "No such file",
        status::PERMISSION_DENIED => "Permission denied",
        status::BAD_MESSAGE => "Bad message",
        status::OP_UNSUPPORTED => "Operation unsupported",
        _ => "Failure",
    };
    Writer::new(out, kinds::STATUS).u32(id).u32(code).string(message.as_bytes()).string(b"");
}

fn write(out: &mut Vec<u8>, id: u32, answer: Answer) {
    match answer {
        Answer::Done => write_status(out, id, status::OK),
        Answer::EndOfFile => write_status(out, id, status::EOF),
        Answer::Handle(handle) => {
            Writer::new(out, kinds::HANDLE).u32(id).string(&handle);
        }
        Answer::Data(data) => {
            Writer::new(out, kinds::DATA).u32(id).string(&data);
        }
        Answer::Attributes(metadata) => {
            let mut packet = Writer::new(out, kinds::ATTRS);
            attributes::write(packet.u32(id), &metadata);
        }
        Answer::Name(name) => {
            let mut packet = Writer::new(out, kinds::NAME);
            packet.u32(id).u32(1).string(&name).string(&name);
            attributes::write_none(&mut packet);
        }
        Answer::Names(names) => {
            let mut packet = Writer::new(out, kinds::NAME);
            packet.u32(id).u32(u32::try_from(names.len()).unwrap_or_default());
            for (name, metadata) in names {
                packet.string(&name).string(&longname::longname(&name, &metadata));
                attributes::write(&mut packet, &metadata);
            }
        }
        Answer::Extended(fields) => {
            let mut packet = Writer::new(out, kinds::EXTENDED_REPLY);
            packet.u32(id);
            for field in fields {
                packet.u64(field);
            }
        }
        Answer::Strings(fields) => {
            let mut packet = Writer::new(out, kinds::EXTENDED_REPLY);
            packet.u32(id);
            for field in fields {
                packet.string(&field);
            }
        }
    }
}
