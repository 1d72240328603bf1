//! The audit log of what is done on workspaces that no servers.toml names.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::Result;
use crate::origin::servers::Trail;
use crate::origin::servers::places::{self, Places};
use crate::sys::env::Env;

/// The log of what is done on workspaces that no servers.toml names, if one asks for it: the operator's, even if another file is named,
/// or `own`. Without either file, this costs two look-ups.
pub fn trail_of_all(env: &Env, own: Option<&Path>) -> Result<Option<Trail>> {
    trail_in(&places::operators(env), own)
}

pub(super) fn trail_in(operators: &Path, own: Option<&Path>) -> Result<Option<Trail>> {
    for file in [Some(operators), own] {
        let found =
            file.filter(|file| !std::fs::symlink_metadata(file).is_err_and(|error| is_absent(&error)));
        let Some(file) = found else { continue };
        let places = Places::Named { file: file.to_owned(), operator: operators.to_owned() };
        let (config, mut issues) = places.read();
        // A mistake in the file must not turn recording off.
        issues.retain(|issue| config.is_in_doubt_by(issue));
        if !issues.is_empty() {
            return Err(places::bad_config(issues));
        }
        if config.audits_all() {
            return Ok(Some(config.trail().clone()));
        }
    }
    Ok(None)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
