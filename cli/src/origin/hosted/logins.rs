//! The tokens of further control planes: a file each, beside the one that people write by hand.
//!
//! `login` puts the first token into that file; one for another control plane does not take its place. Each file here holds
//! `BASE#TOKEN`, as a token that names its control plane is written anywhere else.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::origin::hosted::BaseUrl;
use crate::origin::hosted::token::{MAX_BYTES, Token};
use crate::output::foreign::FileName as _;
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::sys::paths::Paths;

/// The longest base that is read with a token, in bytes.
const MAX_BASE: usize = 2048;

fn file(paths: &Paths, base: &BaseUrl) -> PathBuf {
    paths.tokens().join(&sha256(base.to_string().as_bytes())[..16])
}

/// The token that `login` saved here for `base`.
pub(super) fn read(paths: &Paths, base: &BaseUrl) -> Result<Option<Token>> {
    Ok(read_file(paths, file(paths, base))?.filter(|(own, _)| own == base).map(|(_, token)| token))
}

/// Anything that is not what was written is none.
fn read_file(paths: &Paths, file: PathBuf) -> Result<Option<(BaseUrl, Token)>> {
    if !atomic_file::is_own_dir(paths.config())? || !atomic_file::is_own_dir(&paths.tokens())? {
        return Ok(None);
    }
    let bytes = atomic_file::read(&file, MAX_BASE + MAX_BYTES)?.map(Zeroizing::new);
    let parsed = || {
        let (base, token) = std::str::from_utf8(bytes.as_deref()?).ok()?.split_once('#')?;
        Some((BaseUrl::parse(base).ok()?, Token::parse(token).ok()?))
    };
    Ok(parsed())
}

/// Saves a token. The caller holds the lock.
pub(super) fn write(paths: &Paths, base: &BaseUrl, token: &Token) -> Result<()> {
    atomic_file::private_dir(&paths.tokens())?;
    let file = file(paths, base);
    atomic_file::sweep(&file)?;
    let content = Zeroizing::new(format!("{base}#{}", token.expose()));
    atomic_file::write(&file, content.as_bytes(), 0o600)
}

/// Removes the token for `base`; says whether there was one. The caller holds the lock.
pub(super) fn remove(paths: &Paths, base: &BaseUrl) -> Result<bool> {
    let file = file(paths, base);
    atomic_file::sweep(&file)?;
    let had = atomic_file::remove(&file)?;
    let _ = fs::remove_dir(paths.tokens()); // where nothing is left
    Ok(had)
}

/// Removes all of them, and what a crash left; says whether there was any. The caller holds the lock.
pub(super) fn remove_all(paths: &Paths) -> Result<bool> {
    let folder = paths.tokens();
    if !fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) {
        return atomic_file::remove(&folder); // a link would lead elsewhere
    }
    let entries =
        fs::read_dir(&folder).map_err(|error| Error::io(format_args!("read {}", folder.named()), error))?;
    let mut had = false;
    for entry in entries.flatten() {
        had |= atomic_file::remove(&entry.path())?;
    }
    let _ = fs::remove_dir(&folder);
    Ok(had)
}

/// The tokens that are here and can be read, and whose they are.
pub(super) fn readable(paths: &Paths) -> Vec<(BaseUrl, Token)> {
    let entries = fs::read_dir(paths.tokens()).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| Some((entry.path(), read_file(paths, entry.path()).ok()??)));
    found.filter(|(path, (base, _))| file(paths, base) == *path).map(|(_, found)| found).collect()
}

/// Whether there is one that cannot be read.
pub(super) fn has_unreadable(paths: &Paths) -> bool {
    let is_ones =
        |name: &OsStr| name.len() == 16 && name.to_string_lossy().bytes().all(|c| c.is_ascii_hexdigit());
    let entries = fs::read_dir(paths.tokens()).into_iter().flatten().flatten();
    entries.filter(|entry| is_ones(&entry.file_name())).count() > readable(paths).len()
}

/// The control planes whose tokens are here.
pub(super) fn bases(paths: &Paths) -> Result<Vec<BaseUrl>> {
    let entries = fs::read_dir(paths.tokens()).into_iter().flatten().flatten();
    let mut bases = Vec::new();
    for entry in entries {
        let found = read_file(paths, entry.path())?;
        bases.extend(found.map(|(base, _)| base).filter(|base| file(paths, base) == entry.path()));
    }
    bases.sort_by_key(ToString::to_string);
    Ok(bases)
}
