//! Owners, modes and processes on Unix.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The user id of this process.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// This user's home folder in the password database, which no variable changes.
pub fn home() -> Option<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten();
    user.map(|user| user.dir)
}

/// What this machine calls itself, to tell it from others that share a folder.
pub fn machine_name() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}

/// Whether processes are found below the folder, the one that looks among them.
pub fn shows_processes(folder: &Path) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == rustix::fs::PROC_SUPER_MAGIC) {
        return true;
    }
    folder == Path::new("/proc") || folder == Path::new("/dev/fd")
}

/// Whether what is in a folder may be another user's trap, as the kernel judges links (`fs.protected_symlinks`, proc(5)): the
/// folder is sticky, others may write to it, and the owner is neither this user nor root nor the folder's owner.
pub fn is_planted(found: &Metadata, folder: &Metadata) -> bool {
    let is_trusted = is_own(found) || is_roots(found) || found.uid() == folder.uid();
    is_sticky(folder) && is_writable_by_others(folder) && !is_trusted
}

/// Whether this process's user owns the file.
pub fn is_own(metadata: &Metadata) -> bool {
    is_of_user(metadata, user_id())
}

/// Whether the user with this id owns the file.
pub fn is_of_user(metadata: &Metadata, user: u32) -> bool {
    metadata.uid() == user
}

/// Whether nobody but the owner may do anything with the file.
pub fn is_private(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 == 0
}

/// Whether anybody but the owner may change what is in the folder.
pub fn is_writable_by_others(metadata: &Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

/// Whether others than the owner may read the file.
pub fn is_readable_by_others(metadata: &Metadata) -> bool {
    metadata.mode() & 0o044 != 0
}

/// Whether root owns the file.
pub fn is_roots(metadata: &Metadata) -> bool {
    metadata.uid() == 0
}

/// Whether only its owner may replace what somebody else put into the folder.
pub fn is_sticky(metadata: &Metadata) -> bool {
    metadata.mode() & 0o1000 != 0
}

/// Opens a file to read, without waiting for a pipe's other side, and never through a symbolic link.
pub fn open_unwaited(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Sees to it that a crash writes no memory, and so no secret, to a file.
pub fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
}

/// Creates one folder for the owner alone.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)?;
    set_mode(path, 0o700) // the umask may have taken bits that the owner needs
}

/// Sets the permission bits of a file or folder.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The permissions that stand for `mode`.
pub fn permissions(mode: u32) -> Option<Permissions> {
    Some(Permissions::from_mode(mode))
}

/// The permission bits of a file.
pub fn mode_of(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// Opens or creates a file for the owner alone, never through a symbolic link.
pub fn open_private(path: &Path) -> io::Result<File> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow)
        .open(path)?;
    let metadata = file.metadata()?;
    if mode_of(&metadata) != 0o600 && is_own(&metadata) {
        file.set_permissions(Permissions::from_mode(0o600))?; // the umask may have taken bits that the owner needs
    }
    Ok(file)
}

/// Makes a rename or removal inside the folder durable.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Lets two files change names in one step (renameat2(2), renamex_np(2)); `false` where that cannot be done.
pub fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    {
        let _ = (one, other);
        Ok(false)
    }
}

/// Whether the open file is still what `path` names.
pub fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(named.ino() == open.ino() && named.dev() == open.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sends a child process the signal that we got. SIGINT of a terminal has reached it already.
pub fn pass_on(child: &mut std::process::Child, signal: i32) -> io::Result<()> {
    let signal = rustix::process::Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
    if signal == rustix::process::Signal::INT && rustix::termios::isatty(io::stdin()) {
        return Ok(());
    }
    let pid = rustix::process::Pid::from_child(child);
    match rustix::process::kill_process(pid, signal) {
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
