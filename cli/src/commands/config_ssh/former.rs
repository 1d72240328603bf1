//! The names of hosts that are no longer in the config, because the block was removed or belongs to another control plane now. When the
//! hosts come back, no workspace of another user may take their names.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::error::Result;
use crate::integrations::host_names::Former;
use crate::integrations::ssh_config_block::{gone, names_in};
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::sys::paths::Paths;

const MAX_FILE: usize = 1024 * 1024;

/// The file of a control plane. Its lines are like those of the block.
fn file(paths: &Paths, plane: &str) -> PathBuf {
    paths.former_hosts().join(&sha256(plane.as_bytes())[..32])
}

/// `block`, the names of hosts of `plane` in the config, with the names that are kept. If both have a name, the config is newer.
pub(super) fn with_kept(paths: &Paths, plane: &str, mut block: Vec<Former>) -> Result<Vec<Former>> {
    let kept = atomic_file::read(&file(paths, plane), MAX_FILE)?.unwrap_or_default();
    let known = block.iter().map(|former| former.name.to_lowercase()).collect::<HashSet<_>>();
    block.extend(names_in(&kept).into_iter().filter(|former| !known.contains(&former.name.to_lowercase())));
    Ok(block)
}

/// Keeps the names in `block`, which has the hosts of `plane`, before the block is removed.
pub(super) fn keep(paths: &Paths, plane: &str, block: &[u8]) -> Result<()> {
    let all = with_kept(paths, plane, names_in(block))?;
    if all.is_empty() {
        return Ok(());
    }
    atomic_file::private_dir(&paths.former_hosts())?;
    atomic_file::write(&file(paths, plane), gone(all.iter()).as_bytes(), 0o600)
}
