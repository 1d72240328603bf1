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
    let path = context.arguments.text("path").unwrap_or(".").trim_end_matches('/');
    let path = path.strip_prefix("./").unwrap_or(path);
    if path.is_empty() || path == "." { String::new() } else { format!("{path}/") }
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
    let mut paths = found.text.split(|&byte| byte == b'\n').filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (time, path) = line.split_once(' ')?;
        let path = path.strip_prefix("./").unwrap_or(path);
        matcher.is_match(path).then(|| Some((time.parse::<i64>().ok()?, path.to_owned())))?
    });
    let mut paths = paths.by_ref().collect::<Vec<_>>();
    paths.sort_unstable_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    paths.dedup();
    let prefix = prefix(context);
    let lines = paths.iter().take(PATHS).map(|(_, path)| text::line(format!("{prefix}{path}").as_bytes()));
    let (shown, count) = fit(lines);
    let of = if count < paths.len() {
        format!("{count} of {} files, newest first", paths.len())
    } else {
        format!("{count} files")
    };
    let cut = if found.is_cut { "; not all were looked at" } else { "" };
    Ok(Answer::text(format!("{shown}[{of}, by {}{cut}]", found.tool)))
}

/// Finds lines of files.
pub(super) fn grep(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
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
    let (found, is_file) = context.with_files(|session, exchanges| {
        let remote = context.remote("path", session)?;
        let found = files::search(exchanges, &remote, &Search::Lines(lines))?;
        Ok((found, remote.file_name().map(<[u8]>::to_vec)))
    })?;
    Ok(report(&found, &prefix(context), is_file.as_deref(), mode, usize::try_from(limit).unwrap_or_default()))
}

/// What was found, each line below `prefix`; where that names the one file that was looked at, its last name is `name`.
fn report(found: &Found, prefix: &str, name: Option<&[u8]>, mode: &str, limit: usize) -> Answer {
    let all = found.text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let all = all.filter(|line| mode != "count" || !line.ends_with(b":0")).collect::<Vec<_>>();
    // Of a single file, the tool shows its own name, which the prefix ends with.
    let own = prefix.trim_end_matches('/');
    let folder = own.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let lines = all.iter().take(limit).map(|line| {
        if *line == b"--" {
            return "--".to_owned(); // between lines that are apart
        }
        let line = text::line(line.strip_prefix(b"./").unwrap_or(line));
        let is_of_file = name.is_some_and(|name| {
            let rest = line.as_bytes().strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || matches!(rest.first(), Some(b':' | b'-')))
        });
        let line =
            if is_of_file && !own.is_empty() { format!("{folder}{line}") } else { format!("{prefix}{line}") };
        cut(&line)
    });
    let (shown, count) = fit(lines);
    let mut last = match (all.len() > count, all.is_empty()) {
        (true, _) => format!("{count} lines, and more"),
        (_, true) => "nothing found".to_owned(),
        _ => format!("{count} lines"),
    };
    last += &format!(", by {}", found.tool);
    // An expression that is none, or what could not be read.
    if let Some(said) = found.said.first() {
        last += &format!("; {}", foreign::said(&found.tool, &sanitize::short(said)));
    }
    let answer = Answer::text(format!("{shown}[{last}]"));
    let is_failed = all.is_empty() && !found.said.is_empty() && found.status.is_none_or(|status| status > 0);
    if is_failed { answer.unsuccessful() } else { answer }
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
        let shown = |found: &Found, prefix, name: Option<&str>| {
            text(report(found, prefix, name.map(str::as_bytes), "lines", 2))
        };
        let two = found("./a.rs:1:x\n./b/c.rs-2-y\n");
        assert_eq!(shown(&two, "src/", Some("src")).0, "src/a.rs:1:x\nsrc/b/c.rs-2-y\n[2 lines, by grep]");
        assert_eq!(shown(&two, "", None).0, "a.rs:1:x\nb/c.rs-2-y\n[2 lines, by grep]");
        let one = found("./a.rs:1:\u{1b}[1mx\n");
        assert_eq!(shown(&one, "src/a.rs/", Some("a.rs")).0, "src/a.rs:1:x\n[1 lines, by grep]");
        assert_eq!(shown(&one, "a.rs/", Some("a.rs")).0, "a.rs:1:x\n[1 lines, by grep]");
        assert_eq!(shown(&found("a\nb\nc\n"), "", None).0, "a\nb\n[2 lines, and more, by grep]");
        assert_eq!(shown(&found(""), "", None), ("[nothing found, by grep]".to_owned(), false));
        let bad = Found { said: vec!["regex parse error".to_owned()], status: Some(2), ..found("") };
        assert_eq!(
            shown(&bad, "", None),
            ("[nothing found, by grep; grep says: \"regex parse error\"]".to_owned(), true)
        );
        let long = shown(&found(&"x".repeat(2000)), "", None).0;
        assert!(long.starts_with(&format!("{}\u{2026}\n", "x".repeat(500))));
    }
}
