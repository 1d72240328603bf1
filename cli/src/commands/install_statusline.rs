//! `runcode install-statusline`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::App;
use crate::error::Result;
use crate::integrations::claude_settings::{self, Foreign, Hidden, Undone};
use crate::integrations::user_file::UserFile;
use crate::integrations::{shell_word, stable_path};
use crate::output::report::{Outcome, Report, Text};
use crate::sys::atomic_file;

/// The largest backup that is read, in bytes.
const MAX_BACKUP: usize = 16 << 20;

/// Show the attached workspace in Claude Code's status line.
///
/// Sets `statusLine` in Claude Code's settings.json and changes nothing else in it. The old file is kept beside it as
/// settings.json.bak.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode install-statusline               set it
  runcode install-statusline --wrap        keep the existing one, ours in front
  runcode install-statusline --remove      undo it")]
pub struct Args {
    /// Undo it: the file becomes what it was, byte for byte
    #[arg(long, conflicts_with_all = ["force", "wrap"])]
    remove: bool,
    /// Replace another status line
    #[arg(long, conflicts_with = "wrap")]
    force: bool,
    /// Keep another status line, and put ours in front of it
    #[arg(long)]
    wrap: bool,
}

struct Installed {
    settings: PathBuf,
    backup: Option<PathBuf>,
    command: Option<String>,
    is_changed: bool,
    hidden: Option<Hidden>,
}

impl Report for Installed {
    fn json(&self) -> Value {
        json!({
            "installed": self.command.is_some(),
            "changed": self.is_changed,
            "settings": self.settings.to_string_lossy(),
            "command": self.command,
            "hidden": self.hidden.as_ref().map(ToString::to_string),
            "backup": self.backup.as_ref().map(|path| path.to_string_lossy()),
        })
    }

    fn text(&self, text: &mut Text) {
        let settings = self.settings.display();
        text.line(match (self.command.is_some(), self.is_changed) {
            (true, true) if self.hidden.is_some() => format!("✓ Set in {settings}"),
            (true, true) => format!("✓ Claude Code shows the attached workspace ({settings})"),
            (true, false) => format!("✓ Already set ({settings})"),
            (false, true) => format!("✓ Removed it from {settings}"),
            (false, false) => format!("{settings} has no runcode status line"),
        });
        if let Some(hidden) = &self.hidden {
            text.line(format!("  not shown here: {hidden}"));
        }
        if let Some(backup) = &self.backup {
            text.line(format!("  the previous file: {}", backup.display()));
        }
    }
}

/// Edits the settings.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let settings = claude_settings::file(app.env())?;
    let backup = settings.with_file_name("settings.json.bak");
    let file = UserFile::open(&settings)?;
    if args.remove {
        return remove(settings, &backup, &file).map(Into::into);
    }
    let command = format!("{} statusline", shell_word::quote(&stable_path::program(app.env())?)?);
    let foreign = match (args.force, args.wrap) {
        (true, _) => Foreign::Replace,
        (_, true) => Foreign::Wrap,
        _ => Foreign::Refuse,
    };
    let new = claude_settings::install(file.content(), &command, foreign)?;
    let hidden = std::env::current_dir().ok().and_then(|here| claude_settings::hidden(&settings, &here));
    let mut report = Installed { settings, backup: None, command: Some(command), is_changed: false, hidden };
    if file.content() != Some(&new) {
        let is_first = file.content().is_some_and(|old| claude_settings::installed(old).is_none());
        if let Some(old) = file.content().filter(|_| is_first) {
            atomic_file::write(&backup, old, file.mode_or(0o600))?;
            report.backup = Some(backup);
        }
        file.replace(Some(&new), file.mode_or(0o600))?;
        report.is_changed = true;
    }
    Ok(report.into())
}

fn remove(settings: PathBuf, backup: &Path, file: &UserFile) -> Result<Installed> {
    let mut report = Installed { settings, backup: None, command: None, is_changed: true, hidden: None };
    let before = atomic_file::read(backup, MAX_BACKUP)?;
    let undone = file.content().map(|old| claude_settings::undo(old, before.as_deref())).transpose()?;
    match undone.unwrap_or(Undone::Nothing) {
        Undone::Nothing => report.is_changed = false,
        Undone::NoFile => file.replace(None, 0)?,
        Undone::File(bytes) => file.replace(Some(&bytes), file.mode_or(0o600))?,
    }
    Ok(report)
}
