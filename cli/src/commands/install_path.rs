//! `runcode install-path`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::integrations::shell_path::{self, MARKERS, Shell};
use crate::integrations::stable_path;
use crate::integrations::user_file::UserFile;
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Report, Simple, Text};
use crate::sys::atomic_file;
use crate::sys::env::Var;
use crate::sys::paths::home;
use crate::sys::project::Project;

/// Put `runcode` on your own PATH: a small wrapper, ~/.local/bin/runcode.
///
/// Agents already have it on theirs. The wrapper keeps working when the plugin is updated.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode install-path                     write it, say whether PATH has it
  runcode install-path --profile           also edit your startup file
  runcode install-path --remove            take both out again")]
pub struct Args {
    /// Remove the wrapper, and our lines from the shells' startup files
    #[arg(long, conflicts_with = "profile")]
    remove: bool,
    /// Also put ~/.local/bin on PATH in your shell's startup file
    #[arg(long)]
    profile: bool,
}

struct Installed {
    wrapper: PathBuf,
    is_on_path: bool,
    profile: Option<PathBuf>,
    shell: Shell,
    startup_file: PathBuf,
}

impl Report for Installed {
    fn json(&self) -> Value {
        json!({
            "installed": true,
            "path": self.wrapper.to_string_lossy(),
            "on_path": self.is_on_path,
            "profile": self.profile.as_ref().map(|path| path.to_string_lossy()),
            "advice": (!self.is_on_path && self.profile.is_none()).then(|| self.advice()),
        })
    }

    fn text(&self, text: &mut Text) {
        text.line(format!("✓ {}", self.wrapper.display()));
        match &self.profile {
            Some(profile) => {
                text.line(format!("  {} puts its folder on PATH; open a new shell", profile.display()));
            }
            None if self.is_on_path => text.line("  its folder is on PATH: `runcode` works in this shell"),
            None => {
                text.line("  its folder is not on PATH yet; this puts it there:");
                text.line(format!("    {}", self.advice()));
                text.line("  or run `runcode install-path --profile`");
            }
        }
    }
}

impl Installed {
    /// One line to paste.
    fn advice(&self) -> String {
        let line = shell_path::single_quoted(self.shell.line());
        format!("echo {line} >> {}", shell_path::single_quoted(&self.startup_file.to_string_lossy()))
    }
}

/// Writes the wrapper, or takes it out.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let wrapper = shell_path::wrapper_path(app.env())?;
    if cfg!(windows) {
        return instruct(app);
    }
    let folder = wrapper.parent().unwrap_or(&wrapper).to_owned();
    let is_there = std::fs::symlink_metadata(&wrapper).is_ok();
    if is_there && !shell_path::is_own_wrapper(&wrapper) {
        return Err(Error::new(
            Code::Error,
            format!("{} was not written by `runcode install-path`", wrapper.named()),
        )
        .hint("move it away, for instance to `runcode.old`"));
    }
    let home = home(app.env())?;
    if args.remove {
        return remove(&wrapper, is_there, &home);
    }
    let content = shell_path::wrapper(launcher(app).as_deref(), &stable_path::this_program()?)?;
    if !folder.is_dir() {
        std::fs::create_dir_all(&folder)
            .map_err(|error| Error::io(format_args!("make the folder {}", folder.named()), error))?;
    }
    atomic_file::write(&wrapper, &content, 0o755)?;
    let shell = Shell::of_user(app.env());
    let startup_file = shell.startup_file(&home);
    if args.profile {
        edit(&startup_file, |old| MARKERS.insert(old, format!("{}\n", shell.line()).as_bytes()).map(Some))?;
    }
    let profile = args.profile.then(|| startup_file.clone());
    let is_on_path = shell_path::is_on_path(app.env(), &folder);
    Ok(Installed { wrapper, is_on_path, profile, shell, startup_file }.into())
}

/// The launcher that started us. The variable is for anybody to set, a project's settings among them, and what it names is to run
/// from now on: so it counts where the file bears a launcher's mark, and is not the project's.
fn launcher(app: &App) -> Option<PathBuf> {
    let launcher = app.env().var(Var::RuncodeLauncher).map(PathBuf::from)?;
    let is_ours = launcher.is_absolute() && shell_path::is_launcher(&launcher);
    (is_ours && !Project::current().holds(&launcher)).then_some(launcher)
}

fn remove(wrapper: &Path, is_there: bool, home: &Path) -> Result<Outcome> {
    if is_there {
        atomic_file::remove(wrapper)?;
    }
    let mut lines = vec![if is_there {
        format!("✓ Removed {}", wrapper.display())
    } else {
        format!("there is no {}", wrapper.display())
    }];
    let mut profiles = Vec::new();
    for file in Shell::ALL.map(|shell| shell.startup_file(home)) {
        if edit(&file, |old| old.map_or(Ok(None), |old| MARKERS.remove(old)))? {
            lines.push(format!("✓ Removed our lines from {}", file.display()));
            profiles.push(file.to_string_lossy().into_owned());
        }
    }
    let json = json!({
        "installed": false,
        "removed": is_there,
        "path": wrapper.to_string_lossy(),
        "profiles": profiles,
    });
    Ok(Simple { json, lines }.into())
}

/// Changes a file of the user's; says whether there was anything to change.
fn edit(path: &Path, change: impl FnOnce(Option<&[u8]>) -> Result<Option<Vec<u8>>>) -> Result<bool> {
    let file = UserFile::open(path)?;
    let new = change(file.content()).map_err(|error| error.context(format!("{}", file.target().named())))?;
    let is_changed = new.as_deref() != file.content();
    if is_changed {
        file.replace(new.as_deref(), file.mode_or(0o644))?;
    }
    Ok(is_changed)
}

/// On Windows, PATH is a setting of the account, which the user changes.
fn instruct(app: &App) -> Result<Outcome> {
    let program = launcher(app).map_or_else(stable_path::this_program, Ok)?;
    let folder = program.parent().unwrap_or(&program).display().to_string();
    let advice = format!(
        "[Environment]::SetEnvironmentVariable('Path', [Environment]::GetEnvironmentVariable('Path', 'User') + ';{}', 'User')",
        folder.replace('\'', "''")
    );
    let lines = vec!["run this in PowerShell, then open a new terminal:".to_owned(), format!("  {advice}")];
    Ok(Simple { json: json!({ "installed": false, "on_path": false, "advice": advice }), lines }.into())
}
