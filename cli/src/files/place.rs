//! Where what is fetched goes: the path that the user gave is followed as always, and nothing below it is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::files::local_file::{made_folder, parent_of, write_error};
use crate::files::local_name;
use crate::output::foreign::FileName as _;
use crate::sys::folder::Folder;
use crate::sys::platform;

/// Where what is fetched goes, as the user gave it.
#[derive(Debug, Clone)]
pub enum Place {
    /// To stdout; files alone.
    Stdout,
    /// To this name; a file goes into it when it is a folder.
    As(PathBuf),
    /// Into this folder.
    Into(PathBuf),
}

impl Place {
    /// What a user means by `path`, for one thing or for several.
    pub fn parse(path: &Path, several: bool) -> Place {
        let bytes = path.as_os_str().as_encoded_bytes();
        let last = bytes.rsplit(|&byte| byte == b'/' || (cfg!(windows) && byte == b'\\')).next();
        match last {
            Some(b"" | b"." | b"..") => Place::Into(path.to_owned()),
            _ if several => Place::Into(path.to_owned()),
            _ => Place::As(path.to_owned()),
        }
    }

    /// Where the file that is called `name` on the workspace goes; none for stdout.
    pub(super) fn of_file(&self, name: Option<&[u8]>) -> Result<Option<LocalTarget>> {
        Ok(match self {
            Place::Stdout => None,
            Place::As(path) if !path.is_dir() => Some(LocalTarget::Given(path.clone())),
            Place::As(path) | Place::Into(path) => Some(LocalTarget::Below(path.clone(), local(name)?)),
        })
    }

    /// Where the folder that is called `name` on the workspace goes; none for stdout.
    pub(super) fn of_folder(&self, name: Option<&[u8]>) -> Result<Option<LocalTarget>> {
        Ok(match (self, name) {
            (Place::Stdout, _) => None,
            (Place::As(path), _) | (Place::Into(path), None) => Some(LocalTarget::Given(path.clone())),
            (Place::Into(path), Some(_)) => Some(LocalTarget::Below(path.clone(), local(name)?)),
        })
    }
}

fn local(name: Option<&[u8]>) -> Result<OsString> {
    name.and_then(local_name::component).ok_or_else(|| {
        Error::new(Code::Usage, "what is fetched has no name that this machine can use")
            .hint("name the target: --out NAME")
    })
}

/// A place for one file or folder.
#[derive(Debug, Clone)]
pub(super) enum LocalTarget {
    /// The path that the user gave: links in it are followed, also the last.
    Given(PathBuf),
    /// A name in the folder that the user gave: a link of that name is not followed.
    Below(PathBuf, OsString),
}

impl LocalTarget {
    /// Its path.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            LocalTarget::Given(path) => path.clone(),
            LocalTarget::Below(folder, name) => folder.join(name),
        }
    }

    /// Opens the folder that is there, if it is one. Otherwise, what is below goes into a folder that is made.
    pub(super) fn open(&self) -> Result<Option<Folder>> {
        let path = self.resolved()?;
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            return Ok(None);
        }
        let failed = |error| write_error(&self.path(), error);
        // Nobody else can have put `..` or the root into a folder.
        let Some(name) = path.file_name() else { return Folder::open(&path).map(Some).map_err(failed) };
        let above = Folder::open_to_use(parent_of(&path)).map_err(failed)?;
        open_in(&above, name, &self.path().named()).map(Some)
    }

    /// The path of the file or folder to write, with the user's links resolved. A link to nothing is followed too, as
    /// a shell's `>` does. Nobody else can change where that path leads: each name in it was judged.
    pub(super) fn resolved(&self) -> Result<PathBuf> {
        match self {
            LocalTarget::Given(path) => Ok(judged(path, &look)?.path),
            LocalTarget::Below(folder, name) => {
                let path = judged_folder(folder)?.join(name);
                judge(&path, &look)?;
                Ok(path)
            }
        }
    }
}

/// Opens the folder `name`, unless another user has put it there; in errors it is `shown`.
pub(super) fn open_in(above: &Folder, name: &OsStr, shown: &impl std::fmt::Display) -> Result<Folder> {
    let folder = above.folder(name).map_err(|error| Error::io(format_args!("write {shown}"), error))?;
    let about = |folder: &Folder| folder.as_file()?.metadata().ok();
    let is_planted =
        about(&folder).zip(about(above)).is_some_and(|(found, above)| platform::is_planted(&found, &above));
    if is_planted { Err(planted(shown)) } else { Ok(folder) }
}

/// How many links are followed, as many as Linux does.
const CHAIN: usize = 40;

fn endless(path: &Path) -> Error {
    write_error(path, io::Error::other("too many levels of symbolic links"))
}

/// The error about what another user has put into a folder that others may write to.
pub(super) fn planted(shown: impl std::fmt::Display) -> Error {
    let what = format!("{shown} belongs to another user, in a folder that others may write to");
    Error::new(Code::Conflict, what)
        .hint("nothing was written; name another place, or remove what is there, if nobody needs it")
}

/// What is known about a name, whatever it stands for. A test lets others change it in between.
type Look<'a> = &'a dyn Fn(&Path) -> io::Result<Metadata>;

fn look(path: &Path) -> io::Result<Metadata> {
    fs::symlink_metadata(path)
}

/// A path whose existing parts were all judged, including links and what they lead to.
struct Judged {
    /// Where it leads, without links. A second look might find other links.
    path: PathBuf,
    /// Whether all of it exists.
    is_there: bool,
}

/// What is at `path`, if it exists; an error if another user has put it into a folder that others may write to.
fn judge(path: &Path, look: Look<'_>) -> Result<Option<Metadata>> {
    let Ok(found) = look(path) else { return Ok(None) };
    match fs::metadata(parent_of(path)) {
        Ok(above) if platform::is_planted(&found, &above) => Err(planted(path.named())),
        _ => Ok(Some(found)),
    }
}

/// Judges every existing part of a path, following links.
fn judged(path: &Path, look: Look<'_>) -> Result<Judged> {
    let names = |path: &Path| path.iter().rev().map(OsString::from).collect::<Vec<_>>();
    let (mut left, mut here, mut links) = (names(path), PathBuf::new(), 0);
    while let Some(name) = left.pop() {
        let next = here.join(&name); // the root replaces all
        if next.file_name().is_none_or(|last| last != name) || name == "." {
            here = next;
            continue;
        }
        let Some(found) = judge(&next, look)? else {
            left.push(name);
            let path = left.iter().rev().fold(here, |path, name| path.join(name));
            return Ok(Judged { path, is_there: false });
        };
        match fs::read_link(&next) {
            Ok(_) if links == CHAIN => return Err(endless(path)),
            Ok(leads) => left.extend(names(&leads)),
            Err(_) => here = next,
        }
        links += usize::from(found.is_symlink());
    }
    Ok(Judged { path: here, is_there: true })
}

/// Makes a folder if it is missing, at the place that [`LocalTarget::resolved`] names.
pub(super) fn judged_folder(folder: &Path) -> Result<PathBuf> {
    let found = judged(folder, &look)?;
    if found.is_there {
        return Ok(found.path);
    }
    made_folder(&found.path)?;
    match judged(&found.path, &look)? {
        Judged { path, is_there: true } => Ok(path),
        Judged { .. } => Err(write_error(folder, io::ErrorKind::NotFound.into())),
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    /// Another user makes it where everybody may make files, and waits for somebody to fetch something to that name.
    #[test]
    fn no_link_of_another_user_is_followed() {
        if !rustix::process::geteuid().is_root() {
            return; // only root can make one
        }
        use std::os::unix::fs::PermissionsExt as _;
        let top = tempfile::tempdir().unwrap();
        let (shared, own) = (top.path().join("shared"), top.path().join("own"));
        for folder in [&shared, &own] {
            fs::create_dir(folder).unwrap();
        }
        let link = shared.join("notes");
        symlink(&own, &link).unwrap();
        let given = LocalTarget::Given(link.clone());
        // A link of one's own that leads to theirs, and what is below their folder.
        let chained = top.path().join("chained");
        symlink(&link, &chained).unwrap();
        let below = shared.join("theirs/deeper/file");
        fs::create_dir_all(below.parent().unwrap()).unwrap();
        let others = [
            LocalTarget::Given(chained),
            LocalTarget::Given(link.join("x")),
            LocalTarget::Given(below),
            LocalTarget::Below(shared.join("theirs"), "new".into()),
        ];
        for (owner, mode, is_refused) in
            [(65_534, 0o1777, true), (65_534, 0o1770, true), (0, 0o1777, false), (65_534, 0o755, false)]
        {
            std::os::unix::fs::lchown(&link, Some(owner), None).unwrap();
            fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(given.resolved().is_err(), is_refused, "{owner} {mode:o}");
            assert_eq!(given.open().is_err(), is_refused, "{owner} {mode:o}");
            std::os::unix::fs::lchown(shared.join("theirs"), Some(owner), None).unwrap();
            for other in &others {
                assert_eq!(other.resolved().is_err(), is_refused, "{other:?} {owner} {mode:o}");
                assert_eq!(other.open().is_err(), is_refused, "{other:?} {owner} {mode:o}");
            }
        }
    }

    /// Others replace the name with a link just after it was judged: it is not looked at again.
    #[test]
    fn a_link_that_comes_in_between_leads_nowhere() {
        let top = tempfile::tempdir().unwrap();
        let real = top.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name);
        for folder in ["victim", "shared/own"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(at("shared/note"), at("mine")).unwrap();
        // The name itself, the user's own link to it, and a folder on the way.
        for (given, missing, leads) in [
            ("shared/note", "shared/note", "shared/note"),
            ("mine", "shared/note", "shared/note"),
            ("shared/own/../note/x", "shared/note", "shared/note/x"),
        ] {
            let late = |path: &Path| {
                let found = look(path);
                if found.is_err() && path.file_name() == at(missing).file_name() {
                    symlink(at("victim"), at(missing)).unwrap();
                }
                found
            };
            let found = judged(&at(given), &late).unwrap();
            assert!(at(missing).is_symlink(), "{given}");
            let path = found.path.iter().filter(|part| *part != "own" && *part != "..").collect::<PathBuf>();
            assert_eq!((path, found.is_there), (at(leads), false), "{given}");
            fs::remove_file(at(missing)).unwrap();
        }
    }

    #[test]
    fn given_links_are_followed_and_others_not() {
        let top = tempfile::tempdir().unwrap();
        let real = top.path().canonicalize().unwrap();
        let at = |name: &str| real.join(name);
        fs::create_dir(at("d")).unwrap();
        symlink("d", at("l")).unwrap();
        symlink("l/file", at("f")).unwrap();
        symlink("f", at("g")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let given = |name: &str| LocalTarget::Given(at(name));
        assert_eq!(given("g").resolved().unwrap(), at("d/file"));
        assert!(given("loop").resolved().is_err());
        assert!(given("l").open().unwrap().is_some());
        let below = |name: &str| LocalTarget::Below(real.clone(), name.into());
        assert_eq!(below("g").resolved().unwrap(), at("g"));
        assert!(below("l").open().unwrap().is_none() && below("none").open().unwrap().is_none());
        assert!(below("d").open().unwrap().is_some());
        let place = Place::parse(&at("l/"), false);
        assert!(matches!(place.of_file(Some(b"x")).unwrap(), Some(LocalTarget::Below(..))));
        assert!(place.of_file(Some(b"..")).is_err() && place.of_file(None).is_err());
    }
}
