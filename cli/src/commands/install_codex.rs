//! `runcode install-codex`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::integrations::user_file::UserFile;
use crate::integrations::{codex_environments, stable_path};
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Report, Text};
use crate::sys::atomic_file;

/// The largest backup that is read, in bytes.
const MAX_BACKUP: usize = 16 << 20;

/// Have every Codex work on the workspace attached to its folder.
///
/// Writes environments.toml in Codex's home folder. From then on, every Codex runs its tools on the workspace attached to the folder that
/// it starts in. In a folder without one, its tools fail. `runcode codex` does the same for one process, without a file.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode install-codex             every Codex that you start from now on
  runcode install-codex --force     replace environments of your own
  runcode install-codex --remove    undo this")]
pub struct Args {
    /// Undo this: the file becomes what it was, byte for byte
    #[arg(long, conflicts_with = "force")]
    remove: bool,
    /// Replace your own environments.toml, and keep it as environments.toml.bak
    #[arg(long)]
    force: bool,
}

struct Installed {
    file: PathBuf,
    is_installed: bool,
    is_changed: bool,
    backup: Option<PathBuf>,
}

impl Report for Installed {
    fn json(&self) -> Value {
        json!({
            "installed": self.is_installed,
            "changed": self.is_changed,
            "file": self.file.to_string_lossy(),
            "backup": self.backup.as_ref().map(|path| path.to_string_lossy()),
        })
    }

    fn text(&self, text: &mut Text) {
        let file = self.file.display();
        text.line(match (self.is_installed, self.is_changed) {
            (true, true) => format!("✓ Every Codex works on the workspace attached to its folder ({file})"),
            (true, false) => format!("✓ Already set ({file})"),
            (false, true) => format!("✓ Removed ({file})"),
            (false, false) => format!("{file} is not runcode's"),
        });
        if self.is_installed {
            text.line("  in a folder without one, Codex's tools fail; its sandbox mode is not enforced on a workspace");
        }
        if let Some(backup) = &self.backup {
            text.line(format!("  the previous file: {}", backup.display()));
        }
    }
}

/// Writes the file, or removes it.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    if cfg!(windows) {
        return Err(Error::new(Code::Unavailable, "on Windows, Codex's tools cannot run on a workspace")
            .hint("use the tools of `runcode mcp`, or use runcode in WSL"));
    }
    let path = codex_environments::file(app.env())?;
    let backup = path.with_file_name("environments.toml.bak");
    let file = UserFile::open(&path)?;
    let is_ours = file.content().is_some_and(codex_environments::leads_to_us);
    let mut report =
        Installed { file: path.clone(), is_installed: !args.remove, is_changed: false, backup: None };
    if args.remove {
        if is_ours {
            let before = atomic_file::read(&backup, MAX_BACKUP)?;
            file.replace(before.as_deref(), file.mode_or(0o600))?;
            atomic_file::remove(&backup)?;
            report.is_changed = true;
        }
        return Ok(report.into());
    }
    let new = codex_environments::content(&stable_path::program(app.env())?);
    if file.content() == Some(&new) {
        return Ok(report.into());
    }
    if let Some(old) = file.content().filter(|_| !is_ours) {
        if !args.force {
            return Err(Error::new(Code::Conflict, format!("{} has environments of your own", path.named()))
                .hint("add --force to replace it with runcode's; --remove brings yours back"));
        }
        atomic_file::write(&backup, old, file.mode_or(0o600))?;
        report.backup = Some(backup);
    }
    file.replace(Some(&new), file.mode_or(0o600))?;
    report.is_changed = true;
    Ok(report.into())
}
