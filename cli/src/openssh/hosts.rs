//! The names in the user's own ssh config, for completions and hints.
//!
//! Only ssh knows what a config means (`ssh -G`), and it lists no hosts. So this reads `Host` and `Include` lines for their
//! names alone, and they decide nothing but which names to stay away from.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::grant::Destination;
use crate::openssh::host_patterns::HostPatterns;
use crate::openssh::pattern;
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

/// What the user's and the system's config say of hosts, if `config` were the content of `<home>/.ssh/config`.
pub fn patterns(home: &Path, config: &[u8]) -> HostPatterns {
    let mut reader = Reader::default();
    let folder = home.join(".ssh");
    reader.lines(&Base { home: Some(home), folder: &folder }, config, 0);
    reader.system(Some(home));
    reader.patterns
}

/// The files that ssh reads for the user with this home, as they are now, and the folders that an `Include` looks through.
pub fn files(home: Option<&Path>) -> Vec<Watched> {
    let mut reader = Reader::default();
    if let Some(home) = home {
        reader.user(home);
    }
    reader.system(home);
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
    patterns: HostPatterns,
    /// Files, read or not there, and folders that were looked through.
    read: BTreeSet<PathBuf>,
    files: usize,
}

impl Reader {
    fn user(&mut self, home: &Path) {
        let folder = home.join(".ssh");
        self.file(&Base { home: Some(home), folder: &folder }, &folder.join("config"), 0);
    }

    fn system(&mut self, home: Option<&Path>) {
        self.file(&Base { home, folder: Path::new("/etc/ssh") }, Path::new(SYSTEM), 0);
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
            self.patterns.add(keyword, arguments);
            if keyword.eq_ignore_ascii_case("host") {
                let names =
                    arguments.iter().filter(|name| !name.starts_with('!') && !name.contains(['*', '?']));
                let names = names.filter_map(|name| Destination::parse(name).ok());
                self.names.extend(names.take(MAX_NAMES.saturating_sub(self.names.len())));
            } else if keyword.eq_ignore_ascii_case("include") {
                for pattern in arguments {
                    let path = base.place(pattern);
                    if let Some(folder) = path.parent() {
                        self.read.extend(pattern::files(folder, MAX_FILES));
                    }
                    for included in pattern::files(&path, MAX_FILES) {
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

/// The words of a config line: the keyword may end in `=`, a word may be quoted with either quote, `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let line = line.trim();
    let end = line.find(|letter: char| letter.is_ascii_whitespace() || letter == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    if keyword.is_empty() || keyword.starts_with('#') {
        return Vec::new();
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let (mut found, mut word, mut quoted) = (vec![keyword.to_owned()], None::<String>, None);
    let mut letters = rest.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' | '\'' if quoted.is_none_or(|quote| quote == letter) => {
                quoted = if quoted.is_some() { None } else { Some(letter) };
                word.get_or_insert_default();
            }
            // In front of another letter it stands for itself (misc.c, `argv_split`).
            '\\' => {
                let next = letters
                    .next_if(|next| matches!(next, '"' | '\'' | '\\') || (*next == ' ' && quoted.is_none()));
                word.get_or_insert_default().push(next.unwrap_or(letter));
            }
            '#' if quoted.is_none() && word.is_none() => break,
            letter if letter.is_ascii_whitespace() && quoted.is_none() => found.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    found.extend(word);
    found
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
                      host\tlast\nHost -oProxyCommand=x 'a;b' 'single'\nMatch host other\nHost *\n";
        assert_eq!(names(&home(&[(".ssh/config", config)])), ["db-1", "last", "quoted", "single", "web"]);
        assert!(names(&home(&[])).is_empty());
    }

    #[test]
    fn included_files_count_too() {
        let home = home(&[
            (
                ".ssh/config",
                "Include conf.d/[a-b].conf ~/elsewhere \"conf.d/with blank\" conf.d/[!a-z].conf\nInclude loop\nHost own\n",
            ),
            (".ssh/conf.d/a.conf", "Host a\n"),
            (".ssh/conf.d/b.conf", "Host b\n"),
            (".ssh/conf.d/7.conf", "Host seven\n"),
            (".ssh/conf.d/d.conf", "Host d\n"),
            (".ssh/conf.d/.hidden.conf", "Host hidden\n"),
            (".ssh/conf.d/c.other", "Host c\n"),
            (".ssh/conf.d/with blank", "Host blank\n"),
            (".ssh/loop", "Include loop loop\nHost loop\n"),
            ("elsewhere", "Host elsewhere\n"),
        ]);
        assert_eq!(names(&home), ["a", "b", "blank", "elsewhere", "loop", "own", "seven"]);
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
