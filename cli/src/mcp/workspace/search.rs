//! `glob` and `grep`: files of the workspace by their names and by their lines.

use globset::GlobBuilder;

use crate::error::{Code, Error, Result};
use crate::files::{self, Found, Lines, Search};
use crate::mcp::workspace::answer::{Answer, MAX};
use crate::mcp::workspace::{Context, text};
use crate::output::{foreign, sanitize};

/// How many paths are shown.
const PATHS: usize = 500;

/// How many lines are shown unless the call says so.
const LINES: u32 = 200;

/// The longest line, in characters.
const LINE_MAX: usize = 500;

/// How paths below the argument `path` are shown: as they are from where that path starts.
fn prefix(context: &Context<'_>) -> String {
    below(context.arguments.text("path").unwrap_or("."))
}

fn below(path: &str) -> String {
    let given = path.trim_end_matches('/');
    let path = if given.is_empty() { path.get(..1).unwrap_or_default() } else { given };
    match path.strip_prefix("./").unwrap_or(path) {
        "" | "." => String::new(),
        "/" => "/".to_owned(),
        path => format!("{path}/"),
    }
}

/// Finds files by name, newest first.
pub(super) fn glob(context: &Context<'_>) -> Result<Answer> {
    let pattern = context.arguments.text("pattern").unwrap_or_default();
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let deep = if pattern.contains('/') { pattern.to_owned() } else { format!("**/{pattern}") };
    let matcher = GlobBuilder::new(&deep).literal_separator(true).build().map_err(|error| {
        Error::new(
            Code::Usage,
            format!("glob: `pattern` is not one: {}", foreign::message(&error.kind().to_string())),
        )
        .hint("it has **, *, ?, {a,b} and [a-z], and starts at `path`")
    })?;
    let matcher = matcher.compile_matcher();
    let found = context.with_files(|session, exchanges| {
        files::search(exchanges, &context.remote("path", session)?, &Search::Names)
    })?;
    let names = found.names();
    let mut paths = names.each.into_iter().filter(|(_, path)| matcher.is_match(path)).collect::<Vec<_>>();
    paths.sort_unstable_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    paths.dedup();
    let prefix = prefix(context);
    let lines =
        paths.iter().take(PATHS).map(|(_, path)| text::exact(&format!("{prefix}{path}")).into_owned());
    let (shown, count) = fit(lines);
    let of = if count < paths.len() {
        format!("{count} of {} files, newest first", paths.len())
    } else {
        format!("{count} files")
    };
    let cut = if found.is_cut { "; not all were looked at" } else { "" };
    let odd = left_out(names.left_out);
    Ok(Answer::text(format!("{shown}[{of}, by {}{odd}{cut}]", found.tool)))
}

/// What the last line says of names that are not shown.
pub(super) fn left_out(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; left out: 1 name with a line feed in it".to_owned(),
        _ => format!("; left out: {count} names with a line feed in them"),
    }
}

/// Finds lines of files.
pub(super) fn grep(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    if arguments.text("path").is_some_and(|path| path.contains('\n')) {
        return Err(Error::new(
            Code::Usage,
            "grep: `path` has a line feed in it, so hits could not be told apart",
        )
        .hint("search the folder above, or use exec"));
    }
    let limit = arguments.number("limit").unwrap_or(LINES);
    let mode = match arguments.text("mode") {
        Some("files") => "files",
        Some("count") => "count",
        _ => "lines",
    };
    let lines = Lines {
        pattern: arguments.text("pattern").unwrap_or_default().to_owned(),
        files: arguments.text("glob").map(str::to_owned),
        ignore_case: arguments.flag("ignore_case"),
        mode,
        context: arguments.number("context").unwrap_or(0),
        limit: limit.saturating_add(1),
    };
    let found = context.with_files(|session, exchanges| {
        files::search(exchanges, &context.remote("path", session)?, &Search::Lines(lines))
    })?;
    Ok(report(&found, &prefix(context), usize::try_from(limit).unwrap_or_default()))
}

/// What was found, each line below `prefix`.
fn report(found: &Found, prefix: &str, limit: usize) -> Answer {
    let all = found.text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
    // Of a single file, the tool shows its own name, which the prefix ends with.
    let folder = prefix.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
    let start = match (found.is_of_file, folder, prefix.starts_with('/')) {
        (false, ..) => prefix.to_owned(),
        (true, "", is_at_root) => if is_at_root { "/" } else { "" }.to_owned(),
        (true, folder, _) => format!("{folder}/"),
    };
    let lines = all.iter().take(limit).map(|line| {
        if *line == b"--" {
            return "--".to_owned(); // between lines that are apart
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        cut(&text::exact(&hit(line.strip_prefix(b"./").unwrap_or(line), &start)))
    });
    let (shown, count) = fit(lines);
    let mut last = match (all.len() > count, all.is_empty()) {
        (true, _) => format!("{count} lines, and more"),
        (_, true) => "nothing found".to_owned(),
        _ => format!("{count} lines"),
    };
    last += &format!(", by {}{}", found.tool, left_out(found.left_out));
    // An expression that is none, or what could not be read.
    if let Some(said) = found.said.first() {
        last += &format!("; {}", foreign::said(&found.tool, &sanitize::short(said)));
    }
    let answer = Answer::text(format!("{shown}[{last}]"));
    let is_failed = all.is_empty() && !found.said.is_empty() && found.status.is_none_or(|status| status > 0);
    if is_failed { answer.unsuccessful() } else { answer }
}

/// A line, whose name comes after `start`. If the tool says where the name ends, a name that seems to contain a line number
/// gets quotes.
fn hit(line: &[u8], start: &str) -> String {
    let text = String::from_utf8_lossy;
    let Some((name, rest)) = memchr::memchr(0, line).map(|at| line.split_at(at)) else {
        return format!("{start}{}", text(line));
    };
    let rest = rest.get(1..).unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    // After the number: a colon for a hit, a hyphen for a line around one. One tool writes another NUL.
    let (mark, between, rest) = match rest.split_first() {
        Some((0, rest)) => (":", ":", rest),
        Some((b'-', _)) => ("-", "", rest),
        _ => (":", "", rest),
    };
    let name = format!("{start}{}", text(name));
    let quotes = if name.contains(':') || name.starts_with('"') { "\"" } else { "" };
    format!("{quotes}{name}{quotes}{mark}{}{between}{}", text(number), text(rest))
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}\u{2026}", &line[..end]),
        None => line.to_owned(),
    }
}

/// As many of the lines as a result may have, and how many those are.
fn fit(lines: impl Iterator<Item = String>) -> (String, usize) {
    let (mut shown, mut length, mut count) = (String::new(), 0, 0);
    for line in lines {
        length += line.chars().count() + 1;
        if length > MAX - 1000 {
            break;
        }
        shown += &line;
        shown.push('\n');
        count += 1;
    }
    (shown, count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn lines_are_shown_from_where_the_path_starts() {
        let found = |text: &str| Found { tool: "grep".to_owned(), text: text.into(), ..Found::default() };
        let text = |answer: Answer| {
            let result = answer.result();
            (result["content"][0]["text"].as_str().unwrap().to_owned(), result["isError"].as_bool().unwrap())
        };
        let shown = |found: &Found, path| text(report(found, &below(path), 2));
        let two = found("./a.rs:1:x\n./b/c.rs-2-y\n");
        assert_eq!(shown(&two, "src").0, "src/a.rs:1:x\nsrc/b/c.rs-2-y\n[2 lines, by grep]");
        assert_eq!(shown(&two, ".").0, "a.rs:1:x\nb/c.rs-2-y\n[2 lines, by grep]");
        assert_eq!(shown(&two, "//").0, "/a.rs:1:x\n/b/c.rs-2-y\n[2 lines, by grep]");
        // A file that is called as the folder that it is in.
        assert_eq!(shown(&found("./src:1:x\n"), "./src/").0, "src/src:1:x\n[1 lines, by grep]");
        let one = Found { is_of_file: true, ..found("./a.rs:1:\u{1b}[1mx\r\n") };
        for path in ["src/a.rs", "a.rs", "/a.rs", "/b/a.rs"] {
            assert_eq!(shown(&one, path).0, format!("{path}:1:\\u{{1b}}[1mx\n[1 lines, by grep]"));
        }
        // What a file says does not take the place of its name.
        let forged = Found { left_out: 1, ..found("./a.rs:1:x\rb.rs:2:y\n") };
        let last = "[1 lines, by grep; left out: 1 name with a line feed in it]";
        assert_eq!(shown(&forged, "").0, format!("a.rs:1:x\\u{{d}}b.rs:2:y\n{last}"));
        assert_eq!(shown(&found("a\nb\nc\n"), "").0, "a\nb\n[2 lines, and more, by grep]");
        // The tool says where names end, so a name that looks like a hit gets quotes.
        for (line, hit) in [
            ("./a.rs\x0012:x:y", "s/a.rs:12:x:y"),
            ("./a.rs\x0012-x", "s/a.rs-12-x"),
            ("./a.rs\x0012\0:x", "s/a.rs:12::x"),
            ("./a.rs\x007", "s/a.rs:7"),
            ("./a.rs:3:x\x001:y", "\"s/a.rs:3:x\":1:y"),
        ] {
            assert_eq!(shown(&found(line), "s").0, format!("{hit}\n[1 lines, by grep]"));
        }
        assert_eq!(shown(&found(""), ""), ("[nothing found, by grep]".to_owned(), false));
        let bad = Found { said: vec!["regex parse error".to_owned()], status: Some(2), ..found("") };
        assert_eq!(
            shown(&bad, ""),
            ("[nothing found, by grep; grep says: \"regex parse error\"]".to_owned(), true)
        );
        let long = shown(&found(&"x".repeat(2000)), "").0;
        assert!(long.starts_with(&format!("{}\u{2026}\n", "x".repeat(500))));
    }
}
