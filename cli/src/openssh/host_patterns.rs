//! Which host names the `Host` and `Match` lines of an ssh config match, as far as the lines alone can tell.

use std::collections::HashSet;

use crate::openssh::pattern::Pattern;

/// How many names and patterns are kept.
const MAX_PATTERNS: usize = 2000;

/// A name that no host has: a pattern that matches it matches every name.
const NOBODY: &str = "0123456789-nobody-0123456789";

/// Lines with names and patterns. The case of names does not matter: not to ssh in some places, and not to people anywhere.
#[derive(Debug, Clone, Default)]
pub struct HostPatterns {
    names: HashSet<String>,
    lines: Vec<Line>,
}

/// The patterns of a line. It matches a name that at least one of `fits` and none of `unless` matches.
#[derive(Debug, Clone, Default)]
struct Line {
    fits: Vec<Pattern>,
    unless: Vec<Pattern>,
}

impl HostPatterns {
    /// Adds a config line, given as words. Keywords other than `Host` and `Match` are ignored.
    pub fn add(&mut self, keyword: &str, arguments: &[String]) {
        if keyword.eq_ignore_ascii_case("host") {
            self.add_list(arguments.iter().map(String::as_str));
        } else if keyword.eq_ignore_ascii_case("match") {
            // Each criterion by itself: runcode cannot tell whether the others hold.
            let mut words = arguments.iter().map(String::as_str);
            while let Some(word) = words.next() {
                let (criterion, mut list) =
                    word.split_once('=').map_or((word, None), |(name, list)| (name, Some(list)));
                let criterion = criterion.to_ascii_lowercase();
                if matches!(&*criterion, "all" | "canonical" | "final" | "!all" | "!canonical" | "!final") {
                    continue;
                }
                list = list.or_else(|| words.next());
                if let ("host" | "originalhost", Some(list)) = (&*criterion, list) {
                    self.add_list(list.split(',').map(str::trim));
                }
            }
        }
    }

    fn add_list<'a>(&mut self, patterns: impl Iterator<Item = &'a str>) {
        let mut line = Line::default();
        let room = MAX_PATTERNS.saturating_sub(self.names.len() + self.lines.len());
        for text in patterns.take(room) {
            let text = text.to_lowercase();
            match text.strip_prefix('!') {
                Some(text) => line.unless.push(Pattern::host(text)),
                None => line.fits.push(Pattern::host(&text)),
            }
        }
        self.names.extend(line.fits.iter().filter_map(Pattern::literal));
        line.fits.retain(|pattern| pattern.literal().is_none());
        if !line.fits.is_empty() {
            self.lines.push(line);
        }
    }

    /// Whether a line has exactly this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name.to_lowercase())
    }

    /// Whether a line has a pattern that matches this name, except for patterns that match every name, such as `*`. A pattern that
    /// begins with `ours` counts even if it matches every such name.
    pub fn fit(&self, name: &str, ours: &str) -> bool {
        let name = name.to_lowercase();
        let is_about = |pattern: &Pattern| {
            pattern.fits(&name) && (pattern.starts_with(ours) || !pattern.fits(&format!("{ours}{NOBODY}")))
        };
        self.lines.iter().any(|line| {
            line.fits.iter().any(is_about) && !line.unless.iter().any(|pattern| pattern.fits(&name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> HostPatterns {
        let mut all = HostPatterns::default();
        for line in lines {
            let words = line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            all.add(&words[0], &words[1..]);
        }
        all
    }

    #[test]
    fn names_and_patterns_count() {
        let all = of(&[
            "Host web Runcode.X",
            "match user me originalhost RUNCODE.y,z",
            "Match host=q",
            "User runcode.no",
        ]);
        for (name, is) in [
            ("runcode.x", true),
            ("RUNCODE.Y", true),
            ("z", true),
            ("q", true),
            ("runcode.no", false),
            ("me", false),
        ] {
            assert_eq!(all.has(name), is, "{name}");
        }
        for (line, name, is) in [
            ("Host runcode.ap?", "runcode.API", true),
            ("Host runcode.ap?", "runcode.ap", false),
            ("Host runcode.*", "runcode.x", true),
            ("Host *.api", "runcode.api", true),
            ("Host *", "runcode.x", false),
            ("Host *.*", "runcode.x", false),
            ("Host r*", "runcode.x", false),
            ("Host * !runcode.x", "runcode.y", false),
            ("Host runcode.* !runcode.x", "runcode.x", false),
            ("Host runcode.* !runcode.x", "runcode.y", true),
            ("Match originalhost a,runcode.?", "runcode.x", true),
            ("Match !originalhost runcode.?", "runcode.x", false),
            ("Match exec runcode.? all host runcode.z*", "runcode.x", false),
            ("Match canonical host runcode.x?,!runcode.xy", "runcode.xy", false),
            ("Match final !exec true host runcode.x?", "runcode.xy", true),
            ("Host runcode.[a-z]", "runcode.x", false),
        ] {
            assert_eq!(of(&[line]).fit(name, "runcode."), is, "{line} {name}");
        }
    }
}
