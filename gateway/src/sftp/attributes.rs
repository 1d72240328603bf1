//! File attributes (draft-ietf-secsh-filexfer-02, section 5).

use std::fs::{File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::packet::{Reader, Writer};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// Those attributes of a file that a packet names.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) permissions: Option<u32>,
    /// Access and modification, in seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

impl Attributes {
    pub(super) fn read(reader: &mut Reader<'_>) -> io::Result<Self> {
        let flags = reader.u32()?;
        let mut attributes = Attributes::default();
        if flags & SIZE != 0 {
            attributes.size = Some(reader.u64()?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some((reader.u32()?, reader.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            attributes.permissions = Some(reader.u32()?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some((reader.u32()?, reader.u32()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..reader.u32()? {
                reader.string()?;
                reader.string()?;
            }
        }
        Ok(attributes)
    }

    /// The mode bits to create a file with.
    pub(super) fn mode_or(&self, default: u32) -> u32 {
        self.permissions.map_or(default, |mode| mode & 0o7777)
    }

    /// Sets the attributes of an open file.
    pub(super) fn apply(&self, file: &File) -> io::Result<()> {
        if let Some(size) = self.size {
            file.set_len(size)?;
        }
        if let Some(mode) = self.permissions {
            file.set_permissions(permissions(mode, file)?)?;
        }
        if let Some(times) = self.file_times() {
            file.set_times(times)?;
        }
        #[cfg(unix)]
        if let Some((user, group)) = self.owner {
            std::os::unix::fs::fchown(file, Some(user), Some(group))?;
        }
        Ok(())
    }

    /// Sets the attributes of what a name leads to.
    pub(super) fn apply_to(&self, path: &Path) -> io::Result<()> {
        if let Some(size) = self.size {
            OpenOptions::new().write(true).open(path)?.set_len(size)?;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if let Some(mode) = self.permissions {
                std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7777))?;
            }
            if let Some(times) = self.times {
                set_times(path, times, rustix::fs::AtFlags::empty())?;
            }
            if let Some((user, group)) = self.owner {
                std::os::unix::fs::chown(path, Some(user), Some(group))?;
            }
        }
        #[cfg(not(unix))]
        if let Some(times) = self.file_times() {
            OpenOptions::new().write(true).open(path)?.set_times(times)?;
        }
        Ok(())
    }

    /// Sets owner and times of a symbolic link itself.
    #[cfg(unix)]
    pub(super) fn apply_to_link(&self, path: &Path) -> io::Result<()> {
        if let Some(times) = self.times {
            set_times(path, times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if let Some((user, group)) = self.owner {
            std::os::unix::fs::lchown(path, Some(user), Some(group))?;
        }
        Ok(())
    }

    #[cfg(not(unix))]
    pub(super) fn apply_to_link(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn file_times(&self) -> Option<FileTimes> {
        let at = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
        self.times.map(|(accessed, modified)| {
            FileTimes::new().set_accessed(at(accessed)).set_modified(at(modified))
        })
    }
}

#[cfg(unix)]
fn permissions(mode: u32, _file: &File) -> io::Result<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Ok(Permissions::from_mode(mode & 0o7777))
}

#[cfg(not(unix))]
fn permissions(mode: u32, file: &File) -> io::Result<Permissions> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    Ok(permissions)
}

#[cfg(unix)]
fn set_times(path: &Path, (accessed, modified): (u32, u32), flags: rustix::fs::AtFlags) -> io::Result<()> {
    let at = |seconds: u32| rustix::fs::Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: at(accessed), last_modification: at(modified) };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags)?)
}

/// Appends the attributes of a file as it is.
pub(super) fn write(writer: &mut Writer<'_>, metadata: &Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
        writer
            .u32(SIZE | OWNER | PERMISSIONS | TIMES)
            .u64(metadata.len())
            .u32(metadata.uid())
            .u32(metadata.gid())
            .u32(metadata.mode())
            .u32(seconds(metadata.atime()))
            .u32(seconds(metadata.mtime()));
    }
    #[cfg(not(unix))]
    {
        let kind = if metadata.is_dir() { 0o040_000 } else { 0o100_000 };
        let mode = kind | if metadata.permissions().readonly() { 0o555 } else { 0o755 };
        let since = |time: io::Result<SystemTime>| {
            let age = time.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            age.and_then(|age| u32::try_from(age.as_secs()).ok()).unwrap_or_default()
        };
        writer
            .u32(SIZE | PERMISSIONS | TIMES)
            .u64(metadata.len())
            .u32(mode)
            .u32(since(metadata.accessed()))
            .u32(since(metadata.modified()));
    }
}

/// Appends attributes that say nothing.
pub(super) fn write_none(writer: &mut Writer<'_>) {
    writer.u32(0);
}
