//! The names in the user's own ssh config, for completions and hints.
//!
//! Only ssh knows what a config means (`ssh -G`), and it lists no hosts. So this reads `Host` and `Include` lines for their
//! names alone, and they decide nothing but which names to stay away from.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::grant::Destination;
use crate::sys::watched::Watched;

/// How deep `Include` may nest, as in ssh (readconf.c, `READCONF_MAX_DEPTH`).
const MAX_DEPTH: usize = 16;

/// How many files are read, and how much of each: a completion must not take long.
const MAX_FILES: usize = 200;
const MAX_FILE: u64 = 1024 * 1024;

/// How many names are offered.
const MAX_NAMES: usize = 2000;

/// The system's own config, where ssh was built as most are.
const SYSTEM: &str = "/etc/ssh/ssh_config";

/// The hosts that `<home>/.ssh/config` names without wildcards, sorted. What cannot be read names none.
pub fn of_user(home: &Path) -> Vec<Destination> {
    let mut reader = Reader::default();
    reader.user(home);
    reader.names.into_iter().collect()
}

/// The same, if `config` were the content of `<home>/.ssh/config`.
pub fn of_config(home: &Path, config: &[u8]) -> Vec<Destination> {
    let mut reader = Reader::default();
    let folder = home.join(".ssh");
    reader.lines(&Base { home: Some(home), folder: &folder }, config, 0);
    reader.names.into_iter().collect()
}

/// The files that ssh reads for the user with this home, as they are now, and the folders that an `Include` looks through.
pub fn files(home: Option<&Path>) -> Vec<Watched> {
    let mut reader = Reader::default();
    if let Some(home) = home {
        reader.user(home);
    }
    reader.file(&Base { home, folder: Path::new("/etc/ssh") }, Path::new(SYSTEM), 0);
    reader.read.iter().map(|path| Watched::now(path)).collect()
}

/// What the patterns of an `Include` start at.
struct Base<'a> {
    home: Option<&'a Path>,
    folder: &'a Path,
}

#[derive(Default)]
struct Reader {
    names: BTreeSet<Destination>,
    /// Files, read or not there, and folders that were looked through.
    read: BTreeSet<PathBuf>,
    files: usize,
}

impl Reader {
    fn user(&mut self, home: &Path) {
        let folder = home.join(".ssh");
        self.file(&Base { home: Some(home), folder: &folder }, &folder.join("config"), 0);
    }

    fn file(&mut self, base: &Base<'_>, path: &Path, depth: usize) {
        if depth > MAX_DEPTH || self.files == MAX_FILES {
            return;
        }
        self.read.insert(path.to_owned());
        if !path.is_file() {
            return;
        }
        self.files += 1;
        let mut text = Vec::new();
        let Ok(file) = std::fs::File::open(path) else { return };
        if file.take(MAX_FILE).read_to_end(&mut text).is_err() {
            return;
        }
        self.lines(base, &text, depth);
    }

    fn lines(&mut self, base: &Base<'_>, text: &[u8], depth: usize) {
        for line in String::from_utf8_lossy(text).lines() {
            let words = words(line);
            let Some((keyword, arguments)) = words.split_first() else { continue };
            if keyword.eq_ignore_ascii_case("host") {
                let names =
                    arguments.iter().filter(|name| !name.starts_with('!') && !name.contains(['*', '?']));
                let names = names.filter_map(|name| Destination::parse(name).ok());
                self.names.extend(names.take(MAX_NAMES.saturating_sub(self.names.len())));
            } else if keyword.eq_ignore_ascii_case("include") {
                for pattern in arguments {
                    let pattern = base.place(pattern);
                    if let Some(folder) = pattern.parent() {
                        self.read.extend(glob(folder).into_iter().take(MAX_FILES));
                    }
                    for included in glob(&pattern) {
                        self.file(base, &included, depth + 1);
                    }
                }
            }
        }
    }
}

impl Base<'_> {
    /// Where an `Include` leads (ssh_config(5)).
    fn place(&self, pattern: &str) -> PathBuf {
        match (pattern.strip_prefix("~/"), self.home) {
            (Some(below), Some(home)) => home.join(below),
            _ => self.folder.join(pattern),
        }
    }
}

/// The words of a config line: the keyword may end in `=`, a word may be quoted, `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let line = line.trim();
    let end = line.find(|letter: char| letter.is_ascii_whitespace() || letter == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    if keyword.is_empty() || keyword.starts_with('#') {
        return Vec::new();
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let (mut found, mut word, mut quoted) = (vec![keyword.to_owned()], None::<String>, false);
    for letter in rest.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted && word.is_none() => break,
            letter if letter.is_ascii_whitespace() && !quoted => found.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    found.extend(word);
    found
}

/// The files that a pattern with `*` and `?` stands for, sorted, as glob(7) does: a leading dot has to be written.
fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let Some(text) = part.to_str().filter(|text| text.contains(['*', '?'])) else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let mut next = Vec::new();
        for folder in &found {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_NAMES);
            let mut names: Vec<_> =
                entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.retain(|name| name.starts_with('.') == text.starts_with('.') && is_like(name, text));
            names.sort_unstable();
            next.extend(names.iter().map(|name| folder.join(name)));
        }
        next.truncate(MAX_FILES);
        found = next;
    }
    found
}

/// Whether `name` is what `pattern` stands for. Linear in their product: only the last `*` is gone back to.
fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern) = (name.as_bytes(), pattern.as_bytes());
    let (mut at, mut of, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((at, of));
                of += 1;
            }
            Some(&letter) if letter == b'?' || letter == name[at] => (at, of) = (at + 1, of + 1),
            _ => match &mut star {
                Some((from, back)) => {
                    *from += 1;
                    (at, of) = (*from, *back + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|&letter| letter == b'*')
}

/// Those of `hosts` that `name` is most like, best first: for `not_found`.
pub fn nearest(name: &str, hosts: &[Destination], most: usize) -> Vec<Destination> {
    let name = name.get(..64).unwrap_or(name).to_ascii_lowercase(); // nobody mistypes more
    let mut ranked = hosts
        .iter()
        .map(|host| (distance(&name, &host.as_str().to_ascii_lowercase()), host))
        .filter(|(distance, host)| *distance <= name.len().max(host.as_str().len()).div_ceil(2))
        .collect::<Vec<_>>();
    ranked.sort();
    ranked.into_iter().take(most).map(|(_, host)| host.clone()).collect()
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other = other.as_bytes();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = line + 1;
        for (column, wanted) in other.iter().enumerate() {
            let changed = corner + usize::from(letter != *wanted);
            corner = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        home
    }

    fn names(home: &tempfile::TempDir) -> Vec<String> {
        of_user(home.path()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn hosts_are_named_without_wildcards() {
        let config = "# Host no\nHost web db-1 !old *.corp b?x\n  HostName ten\nHOST=\"quoted\" # not this\n\
                      host\tlast\nHost -oProxyCommand=x 'a;b'\nMatch host other\nHost *\n";
        assert_eq!(names(&home(&[(".ssh/config", config)])), ["db-1", "last", "quoted", "web"]);
        assert!(names(&home(&[])).is_empty());
    }

    #[test]
    fn included_files_count_too() {
        let home = home(&[
            (
                ".ssh/config",
                "Include conf.d/*.conf ~/elsewhere \"conf.d/with blank\"\nInclude loop\nHost own\n",
            ),
            (".ssh/conf.d/a.conf", "Host a\n"),
            (".ssh/conf.d/b.conf", "Host b\n"),
            (".ssh/conf.d/.hidden.conf", "Host hidden\n"),
            (".ssh/conf.d/c.other", "Host c\n"),
            (".ssh/conf.d/with blank", "Host blank\n"),
            (".ssh/loop", "Include loop loop\nHost loop\n"),
            ("elsewhere", "Host elsewhere\n"),
        ]);
        assert_eq!(names(&home), ["a", "b", "blank", "elsewhere", "loop", "own"]);
    }

    #[test]
    fn patterns_are_those_of_glob() {
        for (name, pattern, is) in [
            ("a.conf", "*.conf", true),
            ("a.conf", "a?conf", true),
            ("aaab", "*a*b", true),
            ("", "*", true),
            ("", "?", false),
            ("ab", "a", false),
            ("a", "ab", false),
            ("abc", "*b", false),
        ] {
            assert_eq!(is_like(name, pattern), is, "{name} {pattern}");
        }
    }

    #[test]
    fn the_nearest_hosts_come_first() {
        let hosts: Vec<_> =
            ["web-1", "web-2", "build", "x"].map(|it| Destination::parse(it).unwrap()).to_vec();
        let near = |name| nearest(name, &hosts, 3).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(near("wbe-2"), ["web-2", "web-1"]);
        assert_eq!(near("bulid"), ["build"]);
        assert!(near("something-else").is_empty());
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "ab")), (3, 2, 0));
    }
}
