//! Files and folders on the workspace, as Codex asks for them: what exists, and small changes that need no content.

use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::output::{foreign, sanitize};
use crate::remote::answer::answer_as;
use crate::session::audit::Action;
use crate::session::{Session, Sessions};
use crate::sys::random;
use crate::transport::RemoteCommand;
use crate::transport::script::ABSOLUTE_PATH;

const SCRIPT: &str = include_str!("file_facts.sh");

const PATIENCE: Duration = Duration::from_secs(60);

fn script() -> String {
    [ABSOLUTE_PATH, SCRIPT].concat()
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// Anything else.
    Other,
}

/// What is known of a path; links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it leads to.
    pub kind: Kind,
    /// Whether it is a link itself.
    pub is_link: bool,
    /// Bytes.
    pub size: u64,
    /// When it was last changed, in seconds since 1970; 0 if the workspace does not say.
    pub changed: i64,
}

/// Where commands start on a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A shell that Codex knows: the user's own, if Codex knows it.
    pub shell: String,
    /// The home folder.
    pub home: String,
    /// The workdir, as an absolute path.
    pub workdir: String,
    /// The workdir without links.
    pub real_workdir: String,
    /// The system, such as `Linux`.
    pub system: String,
    /// The machine's name.
    pub host: String,
}

/// The files of one session's workspace.
pub struct Files<'a> {
    /// The sessions.
    pub sessions: &'a Sessions<'a>,
    /// The session whose workspace is meant.
    pub session: &'a Session,
}

impl Files<'_> {
    /// Where commands start; a missing workdir is an error.
    pub fn place(&self) -> Result<Place> {
        let workdir = self.session.meta.workdir.as_ref().map_or("~", |workdir| workdir.as_str());
        let fields = self.ask("info", &[workdir.as_bytes()], || Action::named("query"))?;
        let [shell, home, workdir, real_workdir, system, host] = &fields[..] else { return Err(garbled()) };
        if [shell, home, workdir, real_workdir].iter().any(|path| !path.starts_with('/')) {
            return Err(garbled());
        }
        Ok(Place {
            shell: shell.clone(),
            home: home.clone(),
            workdir: workdir.clone(),
            real_workdir: real_workdir.clone(),
            system: system.clone(),
            host: host.clone(),
        })
    }

    /// What is at `path`.
    pub fn metadata(&self, path: &[u8]) -> Result<Metadata> {
        let fields = self.ask("metadata", &[path], || Action::named("query"))?;
        let [kind, is_link, facts] = &fields[..] else { return Err(garbled()) };
        let (size, changed) = facts.split_once(' ').ok_or_else(garbled)?;
        Ok(Metadata {
            kind: Kind::of(kind)?,
            is_link: is_link == "y",
            size: size.parse().unwrap_or_default(),
            changed: changed.parse().unwrap_or_default(),
        })
    }

    /// The same path without links.
    pub fn canonical(&self, path: &[u8]) -> Result<String> {
        let fields = self.ask("canonicalize", &[path], || Action::named("query"))?;
        fields.into_iter().next().filter(|path| path.starts_with('/')).ok_or_else(garbled)
    }

    /// What a folder holds.
    pub fn entries(&self, path: &[u8]) -> Result<Vec<(Kind, String)>> {
        let fields = self.ask("list", &[path], || Action::named("query"))?;
        let entry = |field: &String| {
            let (kind, name) = field.split_at_checked(1).ok_or_else(garbled)?;
            Ok((Kind::of(kind)?, name.to_owned()))
        };
        fields.iter().map(entry).collect()
    }

    /// Makes a folder; with `parents`, also the folders above it.
    pub fn create_folder(&self, path: &[u8], parents: bool) -> Result<()> {
        self.ask("create", &[path, flag(parents)], || Action::of("create", [lossy(path)])).map(drop)
    }

    /// Removes what is there; a folder with all its content only if `all`. A missing path is an error unless `force`.
    pub fn remove(&self, path: &[u8], all: bool, force: bool) -> Result<()> {
        self.ask("remove", &[path, flag(all), flag(force)], || Action::of("remove", [lossy(path)])).map(drop)
    }

    /// Copies a file, or a folder if `all`.
    pub fn copy(&self, from: &[u8], to: &[u8], all: bool) -> Result<()> {
        let action = || Action::of("copy", [lossy(from), lossy(to)]);
        self.ask("copy", &[from, to, flag(all)], action).map(drop)
    }

    fn ask(&self, what: &str, arguments: &[&[u8]], action: impl FnOnce() -> Action) -> Result<Vec<String>> {
        let mark = random::word();
        let all = [&[mark.as_bytes(), what.as_bytes()], arguments].concat();
        let command = RemoteCommand::script(&script(), &all)?;
        let said = answer_as(self.sessions, self.session, &command, PATIENCE, action)?;
        let path = arguments.first().copied().unwrap_or_default();
        read(&said, &mark, &lossy(path))
    }
}

impl Kind {
    fn of(letter: &str) -> Result<Kind> {
        match letter {
            "d" => Ok(Kind::Folder),
            "f" => Ok(Kind::File),
            "o" => Ok(Kind::Other),
            _ => Err(garbled()),
        }
    }
}

/// The fields of a whole answer.
fn read(said: &str, mark: &str, path: &str) -> Result<Vec<String>> {
    let mut fields = said.split('\0').skip_while(|field| *field != mark).skip(1);
    let how = fields.next();
    let mut answer = Vec::new();
    loop {
        match fields.next() {
            Some(field) if field == mark => break,
            Some(field) => answer.push(field.to_owned()),
            None => return Err(garbled()),
        }
    }
    let path = foreign::file(&sanitize::line(path)).to_string();
    match (how, answer.first()) {
        (Some("ok"), _) => Ok(answer),
        (Some("missing"), _) => Err(Error::new(Code::NotFound, format!("{path} is not on the workspace"))),
        (Some("failed"), Some(why)) => {
            Err(Error::new(Code::Io, format!("{path} on the workspace: {}", sanitize::short(why))))
        }
        _ => Err(garbled()),
    }
}

fn garbled() -> Error {
    Error::new(Code::Transport, "the workspace's answer was not whole, or was not understood")
}

fn flag(is_set: bool) -> &'static [u8] {
    if is_set { b"y" } else { b"" }
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let fields = |said: &str| read(said, "M", "/x").map_err(|error| error.code());
        assert_eq!(fields("noise M\n\0M\0ok\0a\0\0M\0"), Ok(vec!["a".to_owned(), String::new()]));
        assert_eq!(fields("\0M\0ok\0M\0"), Ok(vec![]));
        assert_eq!(fields("\0M\0missing\0M\0"), Err(Code::NotFound));
        assert_eq!(fields("\0M\0failed\0it is full\0M\0"), Err(Code::Io));
        for cut in ["", "M", "\0M\0", "\0M\0ok", "\0M\0ok\0a", "\0N\0ok\0N\0", "\0M\0other\0M\0"] {
            assert_eq!(fields(cut), Err(Code::Transport), "{cut:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_short_script_is_short() {
        crate::transport::script::check(&script(), 2540);
    }

    #[cfg(unix)]
    #[test]
    fn the_script_does_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let short = crate::transport::script::shorten(&script());
        for shell in [&["sh"][..], &["busybox", "sh"], &["bash"]] {
            let ask = |words: &[&str]| {
                let mut command = std::process::Command::new(shell[0]);
                let output = command.args(&shell[1..]).args(["-c", &short, "sh", "M"]).args(words).output();
                let output = output.ok()?;
                Some(read(&String::from_utf8_lossy(&output.stdout), "M", words[1]).map_err(|e| e.code()))
            };
            if ask(&["info", "/"]).is_none() {
                continue; // that shell is not installed
            }
            let ask = |words: &[&str]| ask(words).unwrap();
            assert_eq!(ask(&["create", &at("a/b"), ""]), Err(Code::NotFound), "{shell:?}");
            assert_eq!(ask(&["create", &at("a/b c"), "y"]), Ok(vec![]));
            std::fs::write(at("a/-n\n*"), "12345").unwrap();
            std::os::unix::fs::symlink(at("a/-n\n*"), at("link")).unwrap();
            let found = ask(&["metadata", &at("link")]).unwrap();
            assert_eq!((&*found[0], &*found[1], found[2].starts_with("5 1")), ("f", "y", true), "{found:?}");
            assert_eq!(ask(&["metadata", &at("none")]), Err(Code::NotFound));
            assert_eq!(ask(&["canonicalize", &at("link")]), Ok(vec![at("a/-n\n*")]));
            let mut entries = ask(&["list", &at("a")]).unwrap();
            entries.sort();
            assert_eq!(entries, ["db c", "f-n\n*"]);
            assert_eq!(ask(&["copy", &at("a"), &at("copy"), ""]), Err(Code::Io));
            assert_eq!(ask(&["copy", &at("a"), &at("copy"), "y"]), Ok(vec![]));
            assert_eq!(std::fs::read(at("copy/-n\n*")).unwrap(), b"12345");
            assert_eq!(ask(&["remove", &at("a"), "", ""]), Err(Code::Io));
            assert_eq!(ask(&["remove", &at("none"), "", ""]), Err(Code::NotFound));
            assert_eq!(ask(&["remove", &at("none"), "", "y"]), Ok(vec![]));
            for gone in ["link", "a", "copy"] {
                assert_eq!(ask(&["remove", &at(gone), "y", ""]), Ok(vec![]));
            }
            assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
            assert_eq!(ask(&["info", &at("none")]), Err(Code::NotFound));
        }
    }
}
