//! `runcode servers init`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::servers::{Places, STARTER};
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Simple};
use crate::sys::atomic_file;

/// The largest file that is kept beside a new one, in bytes.
const MAX: usize = 1024 * 1024;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Replace the one that is there; it is kept as servers.toml.bak
    #[arg(long)]
    force: bool,
}

/// Writes the starter for the user alone.
pub(super) fn run(args: Args, app: &App) -> Result<Outcome> {
    let places = app.servers()?.places();
    if let Places::Usual { .. } = places {
        atomic_file::private_dir(app.paths()?.config())?;
    }
    let file = places.own();
    let shown = file.display();
    if file.is_symlink() {
        let error = format!("{} is a link, and what it leads to may be somebody else's", file.named());
        return Err(Error::new(Code::Conflict, error)
            .hint("write the file that it leads to yourself, or remove the link"));
    }
    let kept = if args.force { keep(file)? } else { None };
    let written = match kept {
        Some(_) => atomic_file::write(file, STARTER.as_bytes(), 0o600),
        None => {
            atomic_file::create_new(file, STARTER.as_bytes(), 0o600).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => {
                    Error::new(Code::Conflict, format!("{} is there already", file.named()))
                        .hint("edit it, or say --force to begin anew")
                }
                _ => Error::io(format_args!("write {}", file.named()), error),
            })
        }
    };
    written?;
    let json = json!({ "file": file.to_string_lossy(), "kept": kept });
    let mut lines = vec![format!("✓ Wrote {shown}")];
    lines.extend(kept.map(|kept| format!("  the old one is {kept}")));
    lines.push("  name a server in it, then: runcode servers check".to_owned());
    Ok(Simple { json, lines }.into())
}

/// Copies the file beside itself, if there is one; where to.
fn keep(file: &Path) -> Result<Option<String>> {
    let Some(old) = atomic_file::read(file, MAX)? else { return Ok(None) };
    let mut aside = file.as_os_str().to_owned();
    aside.push(".bak");
    let aside = PathBuf::from(aside);
    atomic_file::write(&aside, &old, 0o600)?;
    Ok(Some(aside.display().to_string()))
}
