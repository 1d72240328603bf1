//! The `statusLine` of Claude Code's `settings.json`: put in, wrapped around another one, and taken out again, with
//! every other byte of the file as it was.

use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::integrations::json_object::{Object, Problem};
use crate::integrations::shell_word;
use crate::sys::atomic_file;
use crate::sys::env::{Env, Var};
use crate::sys::paths::home;

/// The largest settings of a project that are read, in bytes.
const MAX_PROJECT: usize = 4 << 20;

/// The member that is ours to set.
const KEY: &str = "statusLine";

/// What stands between our command and the one that it wraps, inside the JSON string.
const WRAP: &str = " --wrap '";

/// What to do about a status line that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Fail.
    Refuse,
    /// Put ours in its place.
    Replace,
    /// Keep it, and put ours in front of it.
    Wrap,
}

/// What [`undo`] leaves.
#[derive(Debug, PartialEq, Eq)]
pub enum Undone {
    /// Nothing was ours.
    Nothing,
    /// These bytes.
    File(Vec<u8>),
    /// No file: there was none before.
    NoFile,
}

/// The file's bytes with a status line that runs `command`, which is `"…/runcode" statusline`.
///
/// Fails when `content` is not a JSON object, and when another status line is there and `foreign` says so.
pub fn install(content: Option<&[u8]>, command: &str, foreign: Foreign) -> Result<Vec<u8>> {
    let (mark, content) = after_mark(content.unwrap_or_default());
    // Claude Code takes an empty file for one without settings.
    let content = if content.trim_ascii().is_empty() { b"{}\n" } else { content };
    Ok([mark, &set(content, command, foreign)?].concat())
}

fn set(content: &[u8], command: &str, foreign: Foreign) -> Result<Vec<u8>> {
    let (text, object) = parse(content)?;
    let Some(found) = find(text, &object)? else { return Ok(insert(text, &object, command)) };
    let value = &object.members[found.member].value;
    let splice = |range: std::ops::Range<usize>, new: &str| {
        [&text[..range.start], new, &text[range.end..]].concat().into_bytes()
    };
    let escaped = escape(command);
    match (&found.command, found.shows_runcode(), foreign) {
        (Some(literal), true, _) => {
            let rest = found.ours.as_deref().map_or("", |ours| ours.rest.as_str());
            Ok(splice(literal.clone(), &format!("\"{escaped}{rest}\"")))
        }
        (_, _, Foreign::Replace) => {
            let lead = lead(text, &object, found.member);
            Ok(splice(value.clone(), &statement(command, lead)))
        }
        (Some(literal), _, Foreign::Wrap) => {
            let theirs = wrap(inner(text, literal));
            Ok(splice(literal.clone(), &format!("\"{escaped}{WRAP}{theirs}'\"")))
        }
        (None, _, Foreign::Wrap) => Err(Error::new(
            Code::Error,
            "the status line in settings.json runs no command, so it cannot be wrapped",
        )
        .hint("--force replaces it")),
        (_, _, Foreign::Refuse) => Err(Error::new(Code::Error, "settings.json has another status line")
            .hint("--wrap keeps it and puts this one in front; --force replaces it")),
    }
}

/// Takes out what [`install`] put in. `backup` is the file as it was before, when that is known: after
/// [`Foreign::Replace`] nothing else knows what was replaced.
pub fn undo(content: &[u8], backup: Option<&[u8]>) -> Result<Undone> {
    let (mark, json) = after_mark(content);
    if json.trim_ascii().is_empty() {
        return Ok(Undone::Nothing);
    }
    let (text, object) = parse(json)?;
    let Some(found) = find(text, &object)? else { return Ok(Undone::Nothing) };
    let (Some(ours), Some(literal)) = (found.ours.as_deref(), &found.command) else {
        return Ok(Undone::Nothing);
    };
    if let Some(backup) = backup
        && install(Some(backup), &ours.command, Foreign::Replace).is_ok_and(|bytes| bytes == content)
    {
        return Ok(Undone::File(backup.to_vec()));
    }
    if install(None, &ours.command, Foreign::Refuse)? == content {
        return Ok(Undone::NoFile);
    }
    if let Some(theirs) = ours.rest.strip_prefix(WRAP).and_then(|rest| rest.strip_suffix('\'')) {
        let rest = [&text[..literal.start + 1], &unwrap(theirs), &text[literal.end - 1..]].concat();
        return Ok(Undone::File([mark, rest.as_bytes()].concat()));
    }
    Ok(Undone::File([mark, &cut(text, &object, found.member)].concat()))
}

/// Where Claude Code keeps its settings: in `CLAUDE_CONFIG_DIR`, else in `~/.claude`.
pub fn file(env: &Env) -> Result<PathBuf> {
    let folder = match env.var(Var::ClaudeConfigDir) {
        Some(folder) => PathBuf::from(folder),
        None => home(env)?.join(".claude"),
    };
    Ok(folder.join("settings.json"))
}

/// The command of the status line when it is ours.
pub fn installed(content: &[u8]) -> Option<String> {
    let (text, object) = parse(after_mark(content).1).ok()?;
    Some(find(text, &object).ok()??.ours?.command)
}

/// What keeps the user's status line from being shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// These settings of a project have a status line of their own, which wins.
    Project(PathBuf),
    /// These settings have `disableAllHooks`, which takes the status line along.
    Disabled(PathBuf),
}

impl std::fmt::Display for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Hidden::Project(path) => {
                write!(
                    f,
                    "this project has a status line of its own ({}), which is shown instead",
                    path.display()
                )
            }
            Hidden::Disabled(path) => {
                write!(f, "`disableAllHooks` in {} turns every status line off", path.display())
            }
        }
    }
}

/// Whether something hides the user's status line in the project that `folder` lies in. Claude Code asks a project's
/// `.claude/settings.local.json`, then its `.claude/settings.json`, then the user's. What cannot be read hides nothing.
pub fn hidden(user: &Path, folder: &Path) -> Option<Hidden> {
    let of = |path: &Path| {
        let content = atomic_file::read(path, MAX_PROJECT).ok()??;
        serde_json::from_slice::<serde_json::Value>(after_mark(&content).1).ok()
    };
    let project = folder.ancestors().map(|folder| folder.join(".claude"));
    let project =
        project.take_while(|claude| Some(claude.as_path()) != user.parent()).find(|claude| claude.is_dir());
    let names = ["settings.local.json", "settings.json"];
    let files = project.iter().flat_map(|claude| names.map(|name| claude.join(name)));
    for path in files.chain([user.to_owned()]) {
        let Some(settings) = of(&path) else { continue };
        if settings["disableAllHooks"] == true {
            return Some(Hidden::Disabled(path));
        }
        let command = settings["statusLine"]["command"].as_str();
        if path != user && !settings["statusLine"].is_null() && !command.is_some_and(is_ours) {
            return Some(Hidden::Project(path));
        }
    }
    None
}

/// Whether a status line's command shows what is attached.
fn is_ours(command: &str) -> bool {
    recognise(&escape(command)).is_some()
}

/// The byte order mark that some editors put before UTF-8, and what follows it.
fn after_mark(content: &[u8]) -> (&[u8], &[u8]) {
    content.split_at(if content.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 })
}

fn parse(content: &[u8]) -> Result<(&str, Object)> {
    let refuse = |why: String| {
        Error::new(Code::Error, format!("settings.json {why}; it was not touched"))
            .hint("fix it by hand, then try again")
    };
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        let error =
            Error::new(Code::Error, "settings.json is UTF-16, which cannot be edited; it was not touched");
        return Err(error.hint("save it as UTF-8, then try again"));
    }
    let text = std::str::from_utf8(content).map_err(|_| refuse("is not UTF-8".to_owned()))?;
    let object = Object::parse(text).map_err(|problem| match problem {
        Problem::NotJson(error) => refuse(format!("is not valid JSON ({error})")),
        Problem::NotAnObject => refuse("is not a JSON object".to_owned()),
    })?;
    Ok((text, object))
}

/// The status line that is there.
struct Found {
    member: usize,
    /// Where its `command` string is.
    command: Option<std::ops::Range<usize>>,
    /// What it says when it is ours.
    ours: Option<Box<Ours>>,
}

/// A command of ours.
struct Ours {
    /// `"…/runcode" statusline`.
    command: String,
    /// What follows it inside the JSON string: our options, and what is wrapped.
    rest: String,
}

impl Found {
    fn shows_runcode(&self) -> bool {
        self.ours.is_some()
    }
}

fn find(text: &str, object: &Object) -> Result<Option<Found>> {
    let twice = |key: &str| {
        Error::new(Code::Error, format!("settings.json has `{key}` twice; it was not touched"))
            .hint("keep one of them, then try again")
    };
    let mut members = object.named(text, KEY);
    let Some(member) = members.next() else { return Ok(None) };
    if members.next().is_some() {
        return Err(twice(KEY));
    }
    let span = object.members[member].value.clone();
    let value = &text[span.clone()];
    let Ok(line) = Object::parse(value) else { return Ok(Some(Found { member, command: None, ours: None })) };
    let mut commands = line.named(value, "command");
    let command = commands.next().map(|index| line.members[index].value.clone());
    if commands.next().is_some() {
        return Err(twice("statusLine.command"));
    }
    let command = command
        .map(|range| range.start + span.start..range.end + span.start)
        .filter(|range| text[range.clone()].starts_with('"'));
    let ours = command.as_ref().and_then(|literal| recognise(inner(text, literal))).map(Box::new);
    Ok(Some(Found { member, command, ours }))
}

/// Reads the inside of a JSON string as a command of ours.
fn recognise(inner: &str) -> Option<Ours> {
    let verb = " statusline";
    let end = inner.find(verb)? + verb.len();
    let (head, rest) = inner.split_at(end);
    let command = serde_json::from_str::<String>(&format!("\"{head}\"")).ok()?;
    let is_word = rest.is_empty() || rest.starts_with(' ');
    (is_word && shell_word::is_runcode(&command, "statusline"))
        .then(|| Ours { command, rest: rest.to_owned() })
}

fn inner<'a>(text: &'a str, literal: &std::ops::Range<usize>) -> &'a str {
    &text[literal.start + 1..literal.end - 1]
}

fn escape(text: &str) -> String {
    let literal = serde_json::Value::from(text).to_string();
    literal[1..literal.len() - 1].to_owned()
}

/// The status line's value: over several lines when `lead` (the white space before its key) breaks one.
fn statement(command: &str, lead: &str) -> String {
    let command = escape(command);
    let Some(newline) = newline(lead) else {
        return format!(r#"{{"type": "command", "command": "{command}", "padding": 0}}"#);
    };
    let indent = lead.rsplit('\n').next().unwrap_or_default();
    let unit = if indent.is_empty() { "  " } else { indent };
    let line = format!("{newline}{indent}{unit}");
    format!(r#"{{{line}"type": "command",{line}"command": "{command}",{line}"padding": 0{newline}{indent}}}"#)
}

fn newline(space: &str) -> Option<&'static str> {
    if space.contains("\r\n") {
        Some("\r\n")
    } else if space.contains('\n') {
        Some("\n")
    } else {
        None
    }
}

/// The white space before the key of a member.
fn lead<'a>(text: &'a str, object: &Object, member: usize) -> &'a str {
    let start = match member.checked_sub(1).and_then(|before| object.members.get(before)) {
        Some(before) => before.value.end,
        None => object.open + 1,
    };
    let gap = &text[start..object.members[member].key.start];
    gap.rsplit(',').next().unwrap_or_default()
}

/// Adds the member as the last one.
fn insert(text: &str, object: &Object, command: &str) -> Vec<u8> {
    let (at, added) = match object.members.last() {
        Some(last) => {
            let lead = lead(text, object, object.members.len() - 1);
            // On one line, the members' own spacing; over several, one line break however many there were.
            let lead = match newline(lead) {
                Some(newline) => format!("{newline}{}", lead.rsplit('\n').next().unwrap_or_default()),
                None => lead.to_owned(),
            };
            (last.value.end, format!(",{lead}\"{KEY}\": {}", statement(command, &lead)))
        }
        None => {
            let newline = newline(&text[object.open..object.close]).unwrap_or("\n");
            let lead = format!("{newline}  ");
            (object.open + 1, format!("{lead}\"{KEY}\": {}{newline}", statement(command, &lead)))
        }
    };
    [&text[..at], &added, &text[at..]].concat().into_bytes()
}

/// Takes the member out, and with it what [`insert`] added around it.
fn cut(text: &str, object: &Object, member: usize) -> Vec<u8> {
    let members = &object.members;
    let (start, end) = if let Some(before) = member.checked_sub(1) {
        (members[before].value.end, members[member].value.end)
    } else if let Some(next) = members.get(1) {
        (members[member].key.start, next.key.start)
    } else {
        let newline = newline(lead(text, object, member)).unwrap_or("\n");
        let end = members[member].value.end;
        let has_ours = text[end..].starts_with(newline);
        (object.open + 1, if has_ours { end + newline.len() } else { end })
    };
    [&text[..start], &text[end..]].concat().into_bytes()
}

/// The inside of a JSON string, as it stands inside single quotes of a shell. Quotes written as escapes stay escapes,
/// so that [`unwrap`] knows them.
fn wrap(inner: &str) -> String {
    translate(inner, [("\\u0027", "\\u0027\\\\\\u0027\\u0027"), ("'", "'\\\\''")])
}

fn unwrap(wrapped: &str) -> String {
    translate(wrapped, [("\\u0027\\\\\\u0027\\u0027", "\\u0027"), ("'\\\\''", "'")])
}

/// Replaces whole characters of a JSON string, an escape being one.
fn translate(inner: &str, pairs: [(&str, &str); 2]) -> String {
    let mut new = String::new();
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        if let Some((from, to)) = pairs.iter().find(|(from, _)| rest.starts_with(from)) {
            new.push_str(to);
            rest = &rest[from.len()..];
            continue;
        }
        let escaped = if first == '\\' { rest[1..].chars().next().map_or(0, char::len_utf8) } else { 0 };
        let (unit, after) = rest.split_at(first.len_utf8() + escaped);
        new.push_str(unit);
        rest = after;
    }
    new
}

#[cfg(test)]
#[path = "claude_settings_tests.rs"]
mod tests;
