//! OpenSSH's extensions to the protocol (PROTOCOL, section 4).

use std::fs::{self, File};
use std::io;

use super::PACKET_LIMIT;
use super::attributes::Attributes;
use super::files::{Files, HANDLE_LIMIT, Open, bytes_of};
use super::packet::Reader;
use super::requests::{Answer, READ_LIMIT, done, read_at, write_at};

/// The extensions that are offered, with their versions.
pub(super) const NAMES: &[(&[u8], &[u8])] = &[
    (b"posix-rename@openssh.com", b"1"),
    #[cfg(unix)]
    (b"statvfs@openssh.com", b"2"),
    #[cfg(unix)]
    (b"fstatvfs@openssh.com", b"2"),
    (b"hardlink@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"expand-path@openssh.com", b"1"),
    (b"copy-data", b"1"),
    (b"home-directory", b"1"),
    #[cfg(unix)]
    (b"users-groups-by-id@openssh.com", b"1"),
];

pub(super) fn perform(files: &mut Files, packet: &mut Reader<'_>) -> io::Result<Answer> {
    match packet.string()? {
        b"posix-rename@openssh.com" => {
            let (from, to) = (files.path(packet.string()?), files.path(packet.string()?));
            fs::rename(from, to)?;
            done()
        }
        b"hardlink@openssh.com" => {
            let (from, to) = (files.path(packet.string()?), files.path(packet.string()?));
            fs::hard_link(from, to)?;
            done()
        }
        b"fsync@openssh.com" => {
            files.file(packet.string()?)?.0.sync_all()?;
            done()
        }
        b"lsetstat@openssh.com" => {
            let path = files.path(packet.string()?);
            Attributes::read(packet)?.apply_to_link(&path)?;
            done()
        }
        b"limits@openssh.com" => {
            let size = |limit: usize| limit as u64;
            Ok(Answer::Extended(vec![
                size(PACKET_LIMIT),
                size(READ_LIMIT),
                size(READ_LIMIT),
                size(HANDLE_LIMIT),
            ]))
        }
        b"expand-path@openssh.com" => {
            let path = files.expand(packet.string()?);
            Ok(Answer::Name(bytes_of(&Files::real(&path)?)))
        }
        b"copy-data" => copy(files, packet),
        // Whoever is asked for: there is one user here.
        b"home-directory" => Ok(Answer::Name(bytes_of(&files.expand(b"~")))),
        #[cfg(unix)]
        b"users-groups-by-id@openssh.com" => {
            let (users, groups) = (packet.string()?, packet.string()?);
            Ok(Answer::Strings(vec![names("/etc/passwd", users), names("/etc/group", groups)]))
        }
        #[cfg(unix)]
        b"statvfs@openssh.com" => Ok(space(&rustix::fs::statvfs(files.path(packet.string()?))?)),
        #[cfg(unix)]
        b"fstatvfs@openssh.com" => match files.by_handle(packet.string()?)? {
            Open::File { file, .. } => Ok(space(&rustix::fs::fstatvfs(file)?)),
            Open::Folder(folder) => Ok(space(&rustix::fs::statvfs(&folder.path)?)),
        },
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Copies between two open files without the data's leaving the workspace.
fn copy(files: &mut Files, packet: &mut Reader<'_>) -> io::Result<Answer> {
    let (source, mut from, length) = (packet.string()?, packet.u64()?, packet.u64()?);
    let (target, mut to) = (packet.string()?, packet.u64()?);
    let source = clone(files.by_handle(source)?)?;
    let target = clone(files.by_handle(target)?)?;
    // 0 stands for everything there is.
    let mut left = if length == 0 { u64::MAX } else { length };
    let mut buffer = vec![0; READ_LIMIT];
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = read_at(&source, buffer.get_mut(..most).unwrap_or_default(), from)?;
        if read == 0 {
            return if length == 0 { done() } else { Ok(Answer::EndOfFile) };
        }
        write_at(&target, buffer.get(..read).unwrap_or_default(), to)?;
        (from, to, left) = (from + read as u64, to + read as u64, left - read as u64);
    }
    done()
}

fn clone(open: &Open) -> io::Result<File> {
    match open {
        Open::File { file, .. } => file.try_clone(),
        Open::Folder(_) => Err(io::Error::other("not a file's handle")),
    }
}

/// The names of packed ids, packed; an unknown one has an empty name.
#[cfg(unix)]
fn names(file: &str, ids: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for id in ids.chunks_exact(4).filter_map(|id| id.try_into().ok()).map(u32::from_be_bytes) {
        let name = super::longname::name_in(file, id).unwrap_or_default();
        packed.extend(u32::try_from(name.len()).unwrap_or_default().to_be_bytes());
        packed.extend_from_slice(name.as_bytes());
    }
    packed
}

#[cfg(unix)]
fn space(fs: &rustix::fs::StatVfs) -> Answer {
    use super::numbers::statvfs;
    use rustix::fs::StatVfsMountFlags as Flags;
    let flag = |flag: Flags, bit: u64| if fs.f_flag.contains(flag) { bit } else { 0 };
    Answer::Extended(vec![
        fs.f_bsize,
        fs.f_frsize,
        fs.f_blocks,
        fs.f_bfree,
        fs.f_bavail,
        fs.f_files,
        fs.f_ffree,
        fs.f_favail,
        fs.f_fsid,
        flag(Flags::RDONLY, statvfs::ST_RDONLY) | flag(Flags::NOSUID, statvfs::ST_NOSUID),
        fs.f_namemax,
    ])
}
