//! The project that a command runs in. Whoever writes a checkout controls everything in it, so nothing in it speaks for the user.

use std::path::{Component, Path, PathBuf};

use crate::sys::platform;

/// A project's top folder holds at least one of these.
const MARKS: &[&str] = &[".git", ".claude", ".codex"];

/// The current project: its top folders, with links resolved.
#[derive(Debug, Clone, Default)]
pub struct Project(Vec<PathBuf>);

impl Project {
    /// The project of the working directory.
    pub fn current() -> Project {
        let Some(folder) = std::env::current_dir().ok().and_then(|folder| folder.canonicalize().ok()) else {
            return Project(vec![PathBuf::from("/")]); // nobody can tell where it is, so nothing is outside
        };
        Project::around(&folder, home().as_deref())
    }

    /// The project of the working directory, and that of the folder that a call is about.
    pub fn current_and(folder: Option<&Path>) -> Project {
        let mut current = Project::current();
        if let Some(folder) = folder {
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            current.0.extend(Project::around(&folder, home().as_deref()).0);
        }
        current
    }

    /// The project of `folder`: every folder from it up that holds a mark or, if none does, `folder` itself. The user's home, and
    /// any folder above it, is no project.
    fn around(folder: &Path, home: Option<&Path>) -> Project {
        let is_above_home = |folder: &Path| home.is_some_and(|home| home.starts_with(folder));
        let may_be = |folder: &&Path| folder.parent().is_some() && !is_above_home(folder);
        let is_marked =
            |folder: &&Path| MARKS.iter().any(|mark| folder.join(mark).symlink_metadata().is_ok());
        let mut tops: Vec<_> =
            folder.ancestors().filter(may_be).filter(is_marked).map(Path::to_owned).collect();
        if tops.is_empty() && may_be(&folder) {
            tops.push(folder.to_owned());
        }
        Project(tops)
    }

    /// Whether `path`, or what it leads to, is inside the project. One that means another place in every process may as well
    /// start in the project.
    pub fn holds(&self, path: &Path) -> bool {
        if !is_one_place(path) {
            return true;
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let named = path.parent().and_then(|parent| parent.canonicalize().ok());
        let named = named.zip(path.file_name()).map(|(parent, name)| parent.join(name));
        let places = [path.canonicalize().ok(), named];
        let is_there = places.iter().any(Option::is_some);
        let places = places.into_iter().flatten().chain((!is_there).then(|| to_be(&path)));
        places.into_iter().any(|place| self.0.iter().any(|top| place.starts_with(top)))
    }
}

/// Where `path` will be, of which not even the folder is there: as far as it is there, with links resolved.
fn to_be(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let joined = found.and_then(|(above, real)| Some(real.join(path.strip_prefix(above).ok()?)));
    joined.unwrap_or_else(|| path.to_owned())
}

/// Whether `path` means the same place whoever opens it: `/proc/self/cwd/..` and `/dev/fd/3` do not, though they are absolute.
/// So no path through a file system of processes counts where a relative one would not.
pub fn is_one_place(path: &Path) -> bool {
    const MOST_LINKS: usize = 40; // as many as Linux follows
    let names = |path: &Path| {
        let names = path.components().rev().filter(|name| !matches!(name, Component::CurDir));
        names.map(|name| name.as_os_str().to_owned()).collect::<Vec<_>>()
    };
    let (mut left, mut here, mut links) = (names(path), PathBuf::new(), 0);
    while let Some(name) = left.pop() {
        if name == ".." {
            here.pop();
            continue;
        }
        here.push(name); // the root replaces all
        if platform::shows_processes(&here) {
            return false;
        }
        if let Ok(target) = here.read_link() {
            links += 1;
            if links > MOST_LINKS {
                return false;
            }
            here.pop();
            left.extend(names(&target));
        }
    }
    true
}

/// The user's home folder as the system knows it. A project's settings can set `HOME`, so that does not count.
pub fn home() -> Option<PathBuf> {
    platform::home().filter(|home| home.is_absolute()).map(|home| home.canonicalize().unwrap_or(home))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_project_reaches_up_to_every_mark() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        for folder in
            ["home/.claude", "home/mono/.git", "home/mono/app/.codex", "home/mono/app/src", "home/x/y"]
        {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        std::fs::write(top.join("home/x/.git"), "gitdir: ../mono/.git/worktrees/x").unwrap();
        let home = top.join("home");
        let tops = |folder: &str| Project::around(&top.join(folder), Some(&home)).0;
        let named = |names: &[&str]| names.iter().map(|name| top.join(name)).collect::<Vec<_>>();
        assert_eq!(tops("home/mono/app/src"), named(&["home/mono/app", "home/mono"]));
        assert_eq!(tops("home/x/y"), named(&["home/x"]));
        assert_eq!(tops("home/none"), named(&["home/none"]));
        assert_eq!(tops("home"), named(&[]), "the home is no project, whatever it holds");
        assert_eq!(tops(""), named(&[]), "nor is what holds it");
        assert!(Project::around(Path::new("/"), None).0.is_empty());
    }

    #[test]
    fn a_call_is_about_its_own_project_too() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("app/.git")).unwrap();
        std::fs::create_dir(top.join("app/src")).unwrap();
        let here = std::env::current_dir().unwrap().join("file");
        let holds = |folder: Option<&Path>, file: &Path| Project::current_and(folder).holds(file);
        assert!(holds(None, &here) && holds(Some(&top.join("app/src")), &here));
        assert!(holds(Some(&top.join("app/src")), &top.join("app/file")));
        assert!(!holds(None, &top.join("app/file")) && !holds(Some(&top.join("app")), &top.join("file")));
        assert!(!holds(Some(Path::new("/")), &top.join("app/file")), "no project is known");
    }

    #[test]
    fn paths_through_processes_are_many_places() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        symlink("/proc/self/cwd", top.join("here")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        symlink("own/../proc", top.join("plain")).unwrap();
        let here = top.join("here/../x").display().to_string();
        let looped = top.join("loop/x").display().to_string();
        for path in [
            "/proc/self/cwd/../x/runcode",
            "/proc/thread-self/cwd/x",
            "//proc/self/cwd/x",
            "/./proc/1/root/x",
            "/tmp/../proc/self/fd/3",
            "/dev/fd/3",
            "/dev/./fd/../cwd/x",
            &here,
            &looped,
        ] {
            assert!(!is_one_place(Path::new(path)), "{path}");
            assert!(Project::default().holds(Path::new(path)), "{path}");
        }
        let plain = top.join("plain/x").display().to_string();
        for path in ["/", "/procs/x", "/tmp/proc/x", "/none/proc/x", "/dev/null", &plain] {
            assert!(is_one_place(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn links_on_either_side_hide_nothing() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("app/.git")).unwrap();
        std::fs::create_dir(top.join("own")).unwrap();
        for file in ["app/file", "own/file"] {
            std::fs::write(top.join(file), "").unwrap();
        }
        symlink(top.join("app"), top.join("way")).unwrap();
        symlink(top.join("app/file"), top.join("own/link")).unwrap();
        symlink(top.join("own/file"), top.join("app/link")).unwrap();
        let project = Project::around(&top.join("app"), None);
        for (path, is_held) in [
            ("app/file", true),
            ("way/file", true),
            ("own/link", true),
            ("app/link", true),
            ("own/../app/file", true),
            ("app/none/none", true),
            ("way/none/none", true),
            ("own/none/none", false),
            ("own/file", false),
            ("app/../own/file", false),
            ("app2/file", false),
        ] {
            assert_eq!(project.holds(&top.join(path)), is_held, "{path}");
        }
    }
}
