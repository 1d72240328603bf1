//! What can be seen on this machine alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Check;
use crate::app::App;
use crate::error::Result;
use crate::integrations::shell_word;
use crate::integrations::ssh_config_block::MARKERS;
use crate::integrations::{claude_settings, stable_path};
use crate::openssh::SshBinary;
use crate::openssh::version::{RECOMMENDED, Version};
use crate::output::foreign::FileName as _;
use crate::output::report::issue_line;
use crate::session::mint;
use crate::sys::env::Var;
use crate::sys::paths::home;
use crate::sys::{atomic_file, platform, socket_place};

/// The largest settings file that is read, in bytes.
const MAX_FILE: usize = 16 << 20;

/// Where ssh is, how old, and what is known of it.
pub(super) fn ssh(app: &App) -> Check {
    const NAME: &str = "ssh";
    let found = SshBinary::from_env(app.env()).find().and_then(|path| Ok((Version::of(&path)?, path)));
    let ((version, line), path) = match found {
        Ok(found) => found,
        Err(error) => return Check::failed(NAME, &error),
    };
    let weaknesses = version.map(|version| version.weaknesses(&path)).unwrap_or_default();
    let path = path.display();
    let Some(version) = version else {
        return Check::warn(
            NAME,
            format!("{path}, {line}: not OpenSSH"),
            "put OpenSSH's `ssh` first on PATH",
        );
    };
    let place = format!("{path} {version}");
    let known = weaknesses.iter().map(|weakness| format!("{}: {}", weakness.name, weakness.what));
    let more = known.chain([line.clone()]).collect::<Vec<_>>().join("; ");
    let check = match weaknesses.first() {
        Some(first) if version < RECOMMENDED => {
            Check::warn(NAME, format!("{place} has {}", first.name), upgrade())
        }
        Some(first) => Check::ok(NAME, format!("{place} has {}", first.name)),
        None => Check::ok(NAME, place),
    };
    Check { more: Some(more), ..check }
}

/// The command that brings a newer OpenSSH here.
fn upgrade() -> &'static str {
    const MANAGERS: [(&str, &str); 5] = [
        ("/usr/bin/apt-get", "run `sudo apt-get install --only-upgrade openssh-client`"),
        ("/usr/bin/dnf", "run `sudo dnf upgrade openssh-clients`"),
        ("/usr/bin/zypper", "run `sudo zypper update openssh-clients`"),
        ("/usr/bin/pacman", "run `sudo pacman -Syu openssh`"),
        ("/sbin/apk", "run `sudo apk upgrade openssh-client`"),
    ];
    if cfg!(windows) {
        return "run `winget upgrade Microsoft.OpenSSH.Preview`";
    }
    if cfg!(target_os = "macos") {
        return "run `softwareupdate --install --all`, or `brew install openssh`";
    }
    let here = MANAGERS.iter().find(|(program, _)| Path::new(program).exists());
    here.map_or("upgrade OpenSSH's client with your system's package manager", |(_, command)| command)
}

/// Whether servers.toml is right.
pub(super) fn servers(app: &App) -> Check {
    const NAME: &str = "servers";
    let servers = match app.servers() {
        Ok(servers) => servers,
        Err(error) => return Check::failed(NAME, &error),
    };
    let (config, issues) = servers.places().read();
    match (issues.first(), config.servers().len()) {
        (Some(first), _) => Check::fail(NAME, issue_line(first), "run `runcode servers check`, and fix each"),
        (None, 0) => Check::ok(NAME, "none are named"),
        (None, 1) => Check::ok(NAME, "1 server is named"),
        (None, count) => Check::ok(NAME, format!("{count} servers are named")),
    }
}

/// What this program runs on, and what that brings.
pub(super) fn platform() -> Check {
    let connections = if cfg!(windows) {
        "every command makes a connection of its own"
    } else {
        "commands share one connection"
    };
    let (os, arch, version) = (std::env::consts::OS, std::env::consts::ARCH, env!("CARGO_PKG_VERSION"));
    Check::ok("platform", format!("{os} {arch}, runcode {version}; {connections}"))
}

/// Whose the folders are, and who else may read them.
pub(super) fn cache(app: &App) -> Check {
    const NAME: &str = "cache";
    let paths = match app.paths() {
        Ok(paths) => paths,
        Err(error) => return Check::failed(NAME, &error),
    };
    for path in [paths.cache().to_owned(), paths.config().to_owned(), paths.tokens(), paths.token()] {
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let why = crate::error::reason(&error);
                return Check::fail(
                    NAME,
                    format!("{}: {why}", path.named()),
                    format!("run `ls -ld {}`", shown(&path)),
                );
            }
        };
        if path != paths.token() && !metadata.is_dir() {
            return Check::fail(
                NAME,
                format!("{} is not a folder", path.named()),
                format!("run `mv {0} {0}.old`", shown(&path)),
            );
        }
        if !platform::is_own(&metadata) {
            let mend = format!("run `sudo chown -R \"$(id -un)\" {}`", shown(&path));
            return Check::fail(NAME, format!("{} belongs to another user", path.named()), mend);
        }
        if !platform::is_private(&metadata) {
            let mend = format!("run `chmod go-rwx {}`", shown(&path));
            return Check::warn(NAME, format!("others can read {}", path.named()), mend);
        }
    }
    for (name, path) in [("XDG_CACHE_HOME", paths.cache()), ("XDG_CONFIG_HOME", paths.config())] {
        if let Err((folder, error)) = write_to(path) {
            let why = crate::error::reason(&error);
            let mend = format!("set {name} to a folder of yours that can be written");
            return Check::fail(NAME, format!("nothing can be written in {}: {why}", folder.named()), mend);
        }
    }
    let shown = paths.cache().display();
    if !paths.cache().exists() {
        return Check::ok(NAME, format!("{shown} is created when it is needed"));
    }
    match socket_place::try_out(paths.cache()) {
        Ok(()) => Check::ok(NAME, format!("{shown} is yours alone")),
        Err(_) if takes_short_sockets(app) => {
            Check::ok(NAME, format!("{shown} is yours alone; it takes no sockets, which lie elsewhere"))
        }
        Err(error) => {
            let why = crate::error::reason(&error);
            Check::warn(
                NAME,
                format!("{shown} takes no sockets ({why}), so every command makes a connection of its own"),
                "set XDG_RUNTIME_DIR to a folder of yours that takes them",
            )
        }
    }
}

/// Whether a folder outside the cache takes sockets.
fn takes_short_sockets(app: &App) -> bool {
    let takes =
        |folder: &PathBuf| atomic_file::private_dir(folder).is_ok() && socket_place::try_out(folder).is_ok();
    mint::short_folders(app.env()).iter().any(takes)
}

/// Writes a file in the folder, or in the nearest one that is there, and removes it; else that folder, and why.
fn write_to(folder: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    let nearest = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
    let tried = tempfile::NamedTempFile::new_in(nearest).and_then(|mut file| file.write_all(b"runcode"));
    tried.map_err(|error| (nearest.to_owned(), error))
}

/// A path as a shell takes it, between the backticks of the advice.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let word = shell_word::quote(&text).ok().filter(|_| !text.contains('`'));
    word.unwrap_or_else(|| "FOLDER".to_owned())
}

/// Whether Claude Code shows what is attached, and whether the program that it runs for that is still there.
pub(super) fn status_line(app: &App) -> Check {
    const NAME: &str = "status-line";
    let settings = claude_settings::file(app.env())
        .and_then(|path| Ok((path.parent().is_some_and(Path::is_dir), atomic_file::read(&path, MAX_FILE)?)));
    let (has_claude, content) = match settings {
        Ok(found) => found,
        Err(error) => {
            return Check::warn(
                NAME,
                error.message(),
                "fix settings.json, then run `runcode install-statusline`",
            );
        }
    };
    match content.as_deref().and_then(claude_settings::installed) {
        Some(command) => match program_of(&command) {
            Some(program) if !program.is_file() => {
                let gone = format!("Claude Code runs {}, which is gone", program.named());
                Check::warn(NAME, gone, "run `runcode install-statusline`")
            }
            _ => match hidden(app) {
                Some(hidden) => Check::warn(NAME, hidden.to_string(), "change it there to see the workspace"),
                None => Check::ok(NAME, "Claude Code shows the attached workspace"),
            },
        },
        None if has_claude => Check::warn(
            NAME,
            "Claude Code does not show the attached workspace",
            "run `runcode install-statusline`",
        ),
        None => Check::ok(NAME, "Claude Code is not set up for this user"),
    }
}

/// What hides the status line in the current folder's project.
fn hidden(app: &App) -> Option<claude_settings::Hidden> {
    let user = claude_settings::file(app.env()).ok()?;
    claude_settings::hidden(&user, &std::env::current_dir().ok()?)
}

/// Whether the hosts in `~/.ssh/config` lead to a program that is there.
pub(super) fn ssh_config(app: &App) -> Check {
    const NAME: &str = "ssh-config";
    match proxy_program(app) {
        Err(error) => Check::failed(NAME, &error),
        Ok(None) => Check::ok(NAME, "no hosts for other programs (`runcode config-ssh` writes them)"),
        Ok(Some(program)) if program.is_file() => {
            let now = stable_path::program(app.env()).map(PathBuf::from);
            let through = program.display();
            match now {
                Ok(now) if now != program => Check::ok(
                    NAME,
                    format!("hosts in ~/.ssh/config lead through {through}; this is {}", now.display()),
                ),
                _ => Check::ok(NAME, format!("hosts in ~/.ssh/config lead through {through}")),
            }
        }
        Ok(Some(program)) => {
            let gone = format!("hosts in ~/.ssh/config lead through {}, which is gone", program.named());
            Check::fail(NAME, gone, "run `runcode config-ssh`")
        }
    }
}

/// The program of the first ProxyCommand in our block.
fn proxy_program(app: &App) -> Result<Option<PathBuf>> {
    let content = atomic_file::read(&home(app.env())?.join(".ssh/config"), MAX_FILE)?.unwrap_or_default();
    let Some(span) = MARKERS.find(&content)? else { return Ok(None) };
    let block = String::from_utf8_lossy(&content[span]).into_owned();
    let command = block.lines().find_map(|line| line.trim_start().strip_prefix("ProxyCommand "));
    Ok(command.and_then(|command| program_of(&command.replace("%%", "%"))))
}

fn program_of(command: &str) -> Option<PathBuf> {
    shell_word::split(command)?.into_iter().next().map(PathBuf::from)
}

/// The variable that the token of this shell is in.
pub(super) fn has_token_variable(app: &App) -> bool {
    app.env().var(Var::RuncodeToken).is_some()
}
