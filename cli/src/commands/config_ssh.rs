//! `runcode config-ssh`.

mod former;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::integrations::host_names::{self, Former, Listed, Name, Taken, TitleClash};
use crate::integrations::ssh_config_block::{Caller, HOST, Host, MARKERS, Title, body, names_in, plane_of};
use crate::integrations::user_file::UserFile;
use crate::integrations::{stable_path, text_diff};
use crate::openssh::config::quoted;
use crate::openssh::{SshBinary, hosts};
use crate::origin::Workspace;
use crate::origin::hosted::{BaseUrl, saved_token};
use crate::origin::names::few;
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Report, Text};
use crate::session::store::{IDENTITY, KNOWN_HOSTS, Store, host_key_alias};
use crate::sys::atomic_file;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::{Paths, home};
use crate::sys::project::Project;

/// How many hosts the block has at most: each is about a kilobyte, which every start of ssh reads.
const MAX_HOSTS: usize = 256;

/// How many workspaces that are left out are named, at most.
const MAX_SKIPPED: usize = 100;

/// The hint for a user who has no login.
const NOT_LOGGED_IN: &str = "run `runcode login` first: config-ssh adds the workspaces of a control plane to your ssh config. Hosts of your ssh config are there already, so `ssh HOST` works as it is; for a server of servers.toml there is `runcode shell NAME`";

/// Add your workspaces to ~/.ssh/config, for editors, git, rsync and your terminal.
///
/// Writes one block at the top of ~/.ssh/config, with one host per workspace, and touches nothing else in it. Run it
/// again after you create or rename a workspace. The host of a stopped workspace works once you start the workspace.
/// The block has the workspaces of one control plane; `--replace` makes it another's.
/// If the title of a workspace shared with you could mean another workspace or another host of your ssh config, the name of
/// its host includes the id. `--remove` keeps the names elsewhere, so that this also holds when you write the hosts
/// again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode config-ssh                       write the hosts
  runcode config-ssh --dry-run             show what would change
  ssh runcode.my-ws                        then: a shell on the workspace
  git clone runcode.my-ws:/path/to/repo    and git, scp, rsync, editors
  code --remote ssh-remote+runcode.my-ws /home/ubuntu/workspace
  runcode config-ssh --remove              take the hosts out again")]
pub struct Args {
    /// Remove the block: the rest of the file stays as it was, byte for byte
    #[arg(long)]
    remove: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace the hosts even if they are those of another control plane
    #[arg(long, conflicts_with = "remove")]
    replace: bool,
}

#[derive(Default)]
struct Configured {
    path: PathBuf,
    /// The control plane that the hosts are of.
    plane: Option<String>,
    backup: Option<PathBuf>,
    is_removal: bool,
    is_dry: bool,
    diff: String,
    hosts: Vec<Written>,
    /// Some of those that are left out, and why.
    skipped: Vec<(u64, String)>,
    warnings: Vec<String>,
    note: Option<String>,
}

/// A host that the block has.
struct Written {
    id: u64,
    alias: String,
    is_shared: bool,
}

impl Report for Configured {
    fn json(&self) -> Value {
        let host =
            |host: &Written| json!({ "workspace_id": host.id, "host": host.alias, "shared": host.is_shared });
        let skipped = |(id, why): &(u64, String)| json!({ "workspace_id": id, "reason": why });
        json!({
            "path": self.path.to_string_lossy(),
            "plane": self.plane,
            "changed": !self.diff.is_empty() && !self.is_dry,
            "removed": self.is_removal && !self.diff.is_empty() && !self.is_dry,
            "dry_run": self.is_dry,
            "diff": self.diff,
            "backup": self.backup.as_ref().map(|path| path.to_string_lossy()),
            "hosts": self.hosts.iter().map(host).collect::<Value>(),
            "skipped": self.skipped.iter().map(skipped).collect::<Value>(),
            "warnings": self.warnings,
            "note": self.note,
        })
    }

    fn text(&self, text: &mut Text) {
        let path = self.path.display();
        let count = match self.hosts.len() {
            1 => "1 host".to_owned(),
            count => format!("{count} hosts"),
        };
        match (self.diff.is_empty(), self.is_dry, self.is_removal) {
            (true, _, true) => text.line(format!("{path} has no runcode block")),
            (true, _, false) => text.line(format!("✓ {path} is up to date: {count}")),
            (_, true, _) => self.diff.lines().for_each(|line| text.line(line)),
            (_, _, true) => text.line(format!("✓ Removed the hosts from {path}")),
            (_, _, false) => text.line(format!("✓ Wrote {count} into {path}")),
        }
        if let Some(plane) = &self.plane {
            text.line(format!("  the workspaces of {plane}"));
        }
        if !self.is_dry {
            for host in &self.hosts {
                let whose = if host.is_shared { "  (shared with you)" } else { "" };
                text.line(format!("  ssh {}{whose}", host.alias));
            }
        }
        if let Some(backup) = &self.backup {
            text.line(format!("  the previous file: {}", backup.display()));
        }
        for (id, why) in &self.skipped {
            text.line(format!("  #{id} is left out: {why}"));
        }
        self.warnings.iter().chain(&self.note).for_each(|warning| text.line(format!("! {warning}")));
    }
}

/// Writes the block, or takes it out.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let path = home(app.env())?.join(".ssh/config");
    let mut report = Configured {
        is_removal: args.remove,
        is_dry: args.dry_run,
        path: path.clone(),
        ..Configured::default()
    };
    let workspaces = if args.remove { None } else { Some(workspaces(app)?) };
    atomic_file::private_dir(app.paths()?.cache())?;
    let _lock = Lock::acquire(&app.paths()?.cache().join("config-ssh.lock"), lock::PATIENCE)?;
    let file = if args.dry_run { UserFile::look(&path)? } else { UserFile::open(&path).map_err(by_hand)? };
    let old = file.content();
    let here = |error: Error| error.context(format!("{}", file.target().named()));
    let content = old.unwrap_or_default();
    let span = MARKERS.find(content).map_err(here)?.unwrap_or_default();
    let written = content.get(span.clone()).unwrap_or_default();
    let rest = [content.get(..span.start), content.get(span.end..)].map(Option::unwrap_or_default).concat();
    let block =
        workspaces.map(|workspaces| block(app, &workspaces, written, &rest, &mut report)).transpose()?;
    if let Some(plane) = &report.plane
        && let Some(theirs) =
            plane_of(written, BaseUrl::HOSTED_API).filter(|theirs| theirs != plane && !args.replace)
    {
        let what = format!("the hosts in {} are those of {}", path.named(), foreign::word(&theirs));
        if !args.dry_run {
            let hint = "for the user to decide: `runcode config-ssh --replace` puts those of";
            let hint = format!("{hint} {plane} in their place; without RUNCODE_API_BASE they stay");
            return Err(Error::new(Code::Conflict, what).hint(hint));
        }
        report.warnings.push(format!("{what}: only `--replace` replaces them"));
    }
    let new = match (&block, old) {
        (Some(block), _) => Some(MARKERS.insert(old, block).map_err(here)?),
        (None, Some(old)) => MARKERS.remove(old).map_err(here)?,
        (None, None) => None,
    };
    if new.as_deref() != old {
        let name = path.to_string_lossy();
        report.diff = text_diff::unified(&name, old.unwrap_or_default(), new.as_deref().unwrap_or_default());
        if !args.dry_run {
            if let Some(plane) =
                plane_of(written, BaseUrl::HOSTED_API).filter(|old| report.plane.as_ref() != Some(old))
            {
                former::keep(app.paths()?, &plane, written)?; // its block goes
            }
            report.backup = keep_pristine(&path, old)?;
            file.replace(new.as_deref(), 0o600).map_err(by_hand)?;
        }
    }
    if block.is_some() {
        match SshBinary::from_env(app.env()).find() {
            Ok(ssh) => {
                report.warnings.extend(verify::verify(
                    &ssh,
                    new.as_deref().unwrap_or_default(),
                    &report.hosts,
                )?);
                report.note = verify::another_home(&ssh, &path);
            }
            Err(error) => report.warnings.push(format!("not verified: {}", error.message())),
        }
    }
    Ok(report.into())
}

/// Adds a hint to a failed write: another program, such as a package manager, may own the file.
fn by_hand(error: Error) -> Error {
    if error.code() == Code::Io {
        error.hint("`runcode config-ssh --dry-run` shows the lines: if another program writes that file, add them there")
    } else {
        error
    }
}

/// What the control plane lists.
fn workspaces(app: &App) -> Result<Vec<Workspace>> {
    let plane = app.plane().map_err(|error| match error.code() {
        Code::NoToken => error.hint(NOT_LOGGED_IN),
        _ => error,
    })?;
    plane.workspaces()
}

/// The block's lines for these workspaces. `old`: the existing block; `rest`: the rest of the file.
fn block(
    app: &App,
    workspaces: &[Workspace],
    old: &[u8],
    rest: &[u8],
    report: &mut Configured,
) -> Result<Vec<u8>> {
    let (paths, caller) = (app.paths()?, caller(app)?);
    let is_of_this_plane = plane_of(old, BaseUrl::HOSTED_API).as_ref() == Some(&caller.plane);
    let before = if is_of_this_plane { names_in(old) } else { Vec::new() };
    let before = former::with_kept(paths, &caller.plane, before)?;
    let taken = Taken { before, elsewhere: hosts::patterns(&home(app.env())?, rest) };
    let names = host_names::names(&workspaces.iter().filter_map(listed).collect::<Vec<_>>(), &taken);
    let mut hosts = Vec::new();
    let (mut numbered, mut skipped) = (BTreeMap::<TitleClash, Vec<String>>::new(), 0);
    let mut skip = |report: &mut Configured, id: u64, why: String| match report.skipped.len() {
        MAX_SKIPPED.. => skipped += 1,
        _ => report.skipped.push((id, why)),
    };
    // One's own come first where there are too many.
    let mut own_first = workspaces.iter().filter(|workspace| workspace.ssh_capable).collect::<Vec<_>>();
    own_first.sort_by_key(|workspace| workspace.shared);
    for workspace in own_first {
        let Some(id) = workspace.key.workspace_id() else { continue };
        let title = match Title::parse(workspace.title.raw()) {
            Ok(title) => title,
            Err(why) => {
                skip(report, id, format!("its title {why}"));
                continue;
            }
        };
        let is_numbered = match names.get(&id) {
            Some(Name::Taken(why)) => {
                let name = format!("{}-{id}", title.as_str());
                skip(report, id, format!("it is {why}, and {} is your own, too", foreign::word(&name)));
                continue;
            }
            Some(Name::Numbered(why)) => Some(*why),
            Some(Name::Plain) | None => None,
        };
        if hosts.len() == MAX_HOSTS {
            skip(report, id, format!("the block holds at most {} hosts", MAX_HOSTS));
            continue;
        }
        let host =
            host(workspace, id, title, is_numbered.is_some(), &Store::new(paths).folder(&workspace.key))?;
        if let Some(why) = is_numbered {
            numbered.entry(why).or_default().push(host.alias());
        }
        hosts.push((host, workspace.shared));
    }
    hosts.sort_by_key(|(host, _)| host.id);
    let written = |(host, is_shared): &(Host, bool)| Written {
        id: host.id,
        alias: host.alias(),
        is_shared: *is_shared,
    };
    report.hosts = hosts.iter().map(written).collect();
    let told = numbered
        .into_iter()
        .map(|(why, hosts)| format!("with the id in the name: {} ({why})", few(hosts.into_iter())));
    report.warnings.extend(told);
    report.warnings.extend(moved(&report.hosts, &taken.before));
    if skipped > 0 {
        report.warnings.push(format!("{skipped} more workspaces are left out"));
    }
    if saved_token::saved(paths, app.api_base()?).ok().flatten().is_none() {
        let warning =
            "your token is only in this shell's environment; editors need a saved one: run `runcode login`";
        report.warnings.push(warning.to_owned());
    }
    report.plane = Some(caller.plane.clone());
    body(&hosts.into_iter().map(|(host, _)| host).collect::<Vec<_>>(), &taken.before, &caller)
}

/// The hosts that now lead to another workspace, if any.
fn moved(hosts: &[Written], before: &[Former]) -> Option<String> {
    let name_of = |alias: &str| alias.strip_prefix(HOST).unwrap_or(alias).to_lowercase();
    let moved = hosts.iter().filter_map(|host| {
        let name = name_of(&host.alias);
        let Former { id, .. } = before.iter().find(|old| old.name.to_lowercase() == name)?;
        (*id != host.id).then(|| format!("{} now leads to #{}, no longer to #{id}", host.alias, host.id))
    });
    let moved = moved.collect::<Vec<_>>();
    (!moved.is_empty()).then(|| few(moved.into_iter()))
}

/// A workspace as far as its name goes. Those without SSH count: their names are theirs, too.
fn listed(workspace: &Workspace) -> Option<Listed<'_>> {
    Some(Listed {
        id: workspace.key.workspace_id()?,
        title: Title::parse(workspace.title.raw()).ok(),
        custom_title: workspace.custom_title.as_ref().map(foreign::Name::raw),
        is_own: !workspace.shared,
    })
}

fn host(workspace: &Workspace, id: u64, title: Title, is_numbered: bool, folder: &Path) -> Result<Host> {
    Ok(Host {
        id,
        title,
        is_numbered,
        is_shared: workspace.shared,
        note: workspace.custom_title.clone().filter(|_| !workspace.shared),
        host_key_alias: host_key_alias(folder),
        identity: quoted(&folder.join(IDENTITY))?,
        known_hosts: quoted(&folder.join(KNOWN_HOSTS))?,
    })
}

/// What the proxy has to be told because the program that runs it may have another environment than this shell.
fn caller(app: &App) -> Result<Caller> {
    let mut options = Vec::new();
    let base = app.api_base()?.to_string();
    if base != BaseUrl::HOSTED_API {
        options.extend(["--api-base".to_owned(), base.clone()]);
    }
    let project = Project::current();
    let (paths, home) = (app.paths()?, home(app.env())?);
    let usual = Paths::below(&home);
    for (option, folder, usual) in
        [("--config-dir", paths.config(), usual.config()), ("--cache-dir", paths.cache(), usual.cache())]
    {
        if folder != usual {
            if project.holds(folder) {
                let what = format!(
                    "{} is inside this project, and your ssh config would name it for good",
                    folder.named()
                );
                return Err(Error::new(Code::Conflict, what)
                    .hint("unset XDG_CONFIG_HOME and XDG_CACHE_HOME, or run it in another folder"));
            }
            let folder = folder.to_str().ok_or_else(|| {
                Error::new(Code::Io, format!("{} is not UTF-8", folder.named()))
                    .hint("set XDG_CONFIG_HOME and XDG_CACHE_HOME to folders with plainer names")
            })?;
            options.extend([option.to_owned(), folder.to_owned()]);
        }
    }
    Ok(Caller { program: stable_path::program(app.env())?, options, plane: base })
}

/// Keeps the file as it was before the first block; a backup that is there already stays.
fn keep_pristine(path: &Path, old: Option<&[u8]>) -> Result<Option<PathBuf>> {
    let backup = path.with_file_name("config.bak");
    let Some(old) = old.filter(|old| matches!(MARKERS.find(old), Ok(None))) else { return Ok(None) };
    match atomic_file::create_new(&backup, old, 0o600) {
        Ok(()) => Ok(Some(backup)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(Error::io(format_args!("write {}", backup.named()), error)),
    }
}
