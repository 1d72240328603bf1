//! Which certificate authorities vouch that a server is the one that is meant.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::sys::project::Project;

/// What the TLS library reads from the environment in place of this machine's authorities.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Refuses authorities that come with the current project: with a proxy that its settings name too, whoever wrote it could
/// read the token.
pub(super) fn refuse_the_projects() -> Result<()> {
    refuse_those_of(&Project::current())
}

/// The same for the project that a call is about.
pub fn refuse_authorities_of(folder: &Path) -> Result<()> {
    refuse_those_of(&Project::current_and(Some(folder)))
}

fn refuse_those_of(project: &Project) -> Result<()> {
    for name in VARIABLES {
        // The library reads the environment of the process, whatever ours is.
        let Some(value) = std::env::var_os(name) else { continue };
        if leads_into(project, &value) {
            return Err(Error::new(
                Code::InsecureBase,
                format!("{name} points into the current project, and a project must not choose which certificates to trust"),
            )
            .hint(format!("for the user to decide: unset {name}, or give it a path outside the project")));
        }
    }
    Ok(())
}

/// `SSL_CERT_DIR` may name several folders.
fn leads_into(project: &Project, value: &OsStr) -> bool {
    std::env::split_paths(value).any(|path| !path.as_os_str().is_empty() && project.holds(&path))
        || (!value.is_empty() && project.holds(Path::new(value)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_project_names_no_authorities() {
        let project = Project::current(); // that of the crate
        for (value, is_inside) in [
            ("ca.pem", true),
            ("/proc/self/cwd/ca.pem", true),
            (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), true),
            (concat!("/etc/ssl/certs:", env!("CARGO_MANIFEST_DIR")), true),
            ("/etc/ssl/cert.pem", false),
            ("/etc/ssl/certs:/usr/share/ca-certificates", false),
            ("", false),
        ] {
            assert_eq!(leads_into(&project, OsStr::new(value)), is_inside, "{value}");
        }
    }
}
