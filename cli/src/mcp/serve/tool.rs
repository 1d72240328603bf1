//! The tools that a file names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use toml::de::DeTable;

use crate::error::Issue;
use crate::mcp::serve::argument::{Arg, Group, Kind};
use crate::mcp::serve::escalation::{Escalation, Here, is_variable};
use crate::mcp::serve::reader::{Node, Notes, Table};
use crate::output::foreign::FileName as _;
use crate::sys::trusted_file::{self, Distrust, Owner};

/// The levels of autonomy, each more restrictive than the one before.
const LEVELS: [&str; 4] = ["autonomous", "confirm", "supervised", "manual"];

/// A program that is offered as a tool.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub(super) name: String,
    /// As the protocol has it.
    pub(super) listed: Value,
    pub(super) args: Vec<Arg>,
    pub(super) groups: Vec<Group>,
    pub(super) program: Vec<String>,
    /// Whether the file names the program itself, which need not know the options of runspec.
    pub(super) is_own: bool,
    pub(super) file: PathBuf,
    pub(super) autonomy: String,
    pub(super) serves_manual: bool,
    pub(super) cwd: Option<PathBuf>,
    pub(super) env: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) max_output: usize,
    pub(super) finishes: bool,
    pub(super) becomes_with_env: bool,
    pub(super) escalation: Option<Escalation>,
}

impl Tool {
    /// Whether a person has to do it, given these arguments.
    pub(super) fn needs_a_human(&self, given: &[String]) -> bool {
        let of_args = self.args.iter().filter(|arg| given.contains(&arg.name)).map(|arg| &arg.autonomy);
        !self.serves_manual && of_args.chain([&self.autonomy]).any(|level| level == "manual")
    }
}

/// Where a file is read, and for whom.
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    /// The environment whose `bin` has the programs, if there is one, and whose files are trusted there.
    pub(super) venv: Option<(&'a Path, Owner)>,
    pub(super) context: &'a str,
    pub(super) host: &'a str,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) name: Option<String>,
    pub(super) tools: Vec<Tool>,
    /// Why tools are left out, a line each.
    pub(super) left_out: Vec<String>,
    pub(super) issues: Vec<Issue>,
}

/// Reads a file.
pub(super) fn read(text: &str, place: &Place<'_>) -> Read {
    let notes = Notes::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(text.len(), |span| span.start);
        notes.add(offset, "", format_args!("is not valid TOML: {}", error.message()));
    }
    let mut read = Read::default();
    let root = Table::root(root.get_ref(), &notes);
    let config = root.get("config").and_then(|node| node.table());
    let config = config.as_ref();
    read.name = config.and_then(|config| config.text("name")).filter(|name| !name.is_empty());
    let autonomy = config.and_then(|config| level(config, "autonomy-default"));
    let mut reader = Reader {
        place,
        autonomy: autonomy.unwrap_or_else(|| "confirm".to_owned()),
        run_as: config.and_then(|config| config.get("run_as")),
        serves_manual: config.and_then(|config| config.flag("serve-manual")) == Some(true),
        read: &mut read,
        escalation: None,
    };
    for (name, node) in root.entries() {
        if name != "config" && node.value.is_table() {
            let Some(table) = node.table() else { continue };
            reader.runnable(&name, &table);
        }
    }
    read.issues = notes.into_issues(text, &place.file.display().to_string());
    read
}

fn level(table: &Table<'_>, key: &str) -> Option<String> {
    let level = table.text(key)?;
    if !level.is_empty() && !LEVELS.contains(&level.as_str()) {
        table.get(key)?.note(format_args!("must be one of {}", LEVELS.join(", ")));
    }
    Some(level)
}

struct Reader<'a, 'b> {
    place: &'b Place<'b>,
    autonomy: String,
    run_as: Option<Node<'a>>,
    serves_manual: bool,
    read: &'b mut Read,
    escalation: Option<Escalation>,
}

/// What a command has from the ones above it.
#[derive(Clone, Default)]
struct Above {
    args: Vec<(String, Option<Arg>)>,
    groups: Vec<(String, Vec<Group>)>,
    program: Option<Vec<String>>,
    cwd: Option<PathBuf>,
    env: Vec<(String, String)>,
    timeout: Option<u64>,
    max_output: Option<u64>,
    finishes: bool,
    becomes_with_env: bool,
}

impl Reader<'_, '_> {
    fn runnable(&mut self, name: &str, table: &Table<'_>) {
        let contexts = match table.get("serve") {
            Some(node) if node.value.is_bool() => node.flag().map(|is_served| (is_served, Vec::new())),
            Some(node) => node.texts().map(|contexts| {
                let is_fine = |context: &String| context == "local" || context == "remote";
                if contexts.is_empty() || !contexts.iter().all(is_fine) {
                    node.note("must be true, false or a list of local and remote");
                }
                (contexts.iter().any(|context| context == self.place.context), contexts)
            }),
            None => None,
        };
        let is_served = contexts.is_none_or(|(is_served, _)| is_served);
        let is_hidden = table.flag("discoverable") == Some(false);
        let hosts = table.texts("hosts").unwrap_or_default();
        if !is_served || is_hidden || !(hosts.is_empty() || hosts.iter().any(|host| host == self.place.host))
        {
            return;
        }
        let folder = self.place.file.parent().unwrap_or(Path::new("/"));
        let here = Here {
            host: self.place.host,
            owned: self.place.venv.map_or(folder, |(venv, _)| venv),
            variable: self.place.variable,
        };
        self.escalation = Escalation::read(table, self.run_as.as_ref(), &here);
        let program = self.place.venv.map(|(venv, owner)| {
            let path = venv.join("bin").join(name);
            if let Err(why @ (Distrust::Owner(_) | Distrust::Writable(_))) =
                trusted_file::locate(&path, owner)
            {
                table.note(format_args!("has the program {}, which {why}", path.named()));
            }
            vec![path.display().to_string()]
        });
        self.command(name, name, table, Above { program, ..Above::default() });
    }

    /// One command, or all that are below it.
    fn command(&mut self, name: &str, word: &str, table: &Table<'_>, mut above: Above) {
        for (name, node) in table.table("args").map(|args| args.entries()).unwrap_or_default() {
            let arg = Arg::read(&name, &node);
            match above.args.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = arg,
                None => above.args.push((name, arg)),
            }
        }
        for (name, node) in table.table("groups").map(|groups| groups.entries()).unwrap_or_default() {
            let groups = node.table().map(|group| Group::read(&group)).unwrap_or_default();
            above.groups.retain(|(known, _)| *known != name);
            above.groups.push((name, groups));
        }
        if let Some(node) = table.get("command").filter(|_| self.place.venv.is_none()) {
            above.program = node.texts().and_then(|words| self.program(&node, words)).or(Some(Vec::new()));
        } else if word != name && !word.is_empty() {
            above.program.iter_mut().filter(|program| !program.is_empty()).for_each(|program| {
                program.push(word.to_owned());
            });
        }
        self.settings(table, &mut above);
        let commands = table.table("commands").map(|commands| commands.entries()).unwrap_or_default();
        if commands.is_empty() {
            return self.tool(name, table, above);
        }
        for (sub, node) in commands {
            if let Some(table) = node.table() {
                self.command(&format!("{name}_{sub}"), &sub, &table, above.clone());
            }
        }
    }

    fn settings(&self, table: &Table<'_>, above: &mut Above) {
        let folder = self.place.file.parent().unwrap_or(Path::new("/"));
        above.cwd = table.text("cwd").map(|cwd| folder.join(cwd)).or(above.cwd.take());
        above.timeout = table.number("timeout", 1).or(above.timeout);
        above.max_output = table.number("max-output", 0).or(above.max_output);
        above.becomes_with_env = table.flag("become_env").unwrap_or(above.becomes_with_env);
        if let Some(node) = table.get("on-disconnect") {
            match node.text().as_deref() {
                Some("finish") => above.finishes = true,
                Some("end") => above.finishes = false,
                Some(_) => node.note("must be `finish` or `end`"),
                None => {}
            }
        }
        for (name, node) in table.table("env").map(|env| env.entries()).unwrap_or_default() {
            let Some(value) = node.text() else { continue };
            if !is_variable(&name) || value.contains('\0') {
                node.note("is not a valid environment variable");
            }
            above.env.retain(|(known, _)| *known != name);
            above.env.push((name, value));
        }
    }

    /// The program, absolute or beside the file, which nobody else may have written.
    fn program(&self, node: &Node<'_>, mut words: Vec<String>) -> Option<Vec<String>> {
        if words.iter().any(|word| word.contains('\0')) {
            node.note("has a NUL in it");
            return None;
        }
        let Some(first) = words.first_mut().filter(|first| first.contains('/')) else {
            node.note("must begin with the path of a program, such as /usr/bin/df");
            return None;
        };
        let path = self.place.file.parent().unwrap_or(Path::new("/")).join(&*first);
        if let Err(why) = trusted_file::locate(&path, Owner::User) {
            node.note(format_args!("names a program that {why}"));
            return None;
        }
        *first = path.display().to_string();
        // It may be an interpreter, whose script is the program.
        for word in words.iter().skip(1).map(Path::new).filter(|word| word.is_absolute()) {
            if let Err(why @ Distrust::Writable(_)) = trusted_file::locate(word, Owner::User) {
                node.note(format_args!("has the file {}, which {why}", word.named()));
                return None;
            }
        }
        Some(words)
    }

    fn tool(&mut self, name: &str, table: &Table<'_>, above: Above) {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(1..=128).contains(&name.len()) || !name.bytes().all(is_fine) {
            return table
                .note("gives an invalid tool name: use at most 128 letters, digits, `_`, `-` and `.`");
        }
        if self.read.tools.iter().any(|known| known.name == name) {
            table.note(format_args!("defines a second tool called {name}"));
        }
        let autonomy = level(table, "autonomy").unwrap_or_else(|| self.autonomy.clone());
        let args = above.args.into_iter().filter_map(|(_, arg)| arg).collect::<Vec<_>>();
        let groups = above.groups.into_iter().flat_map(|(_, groups)| groups).collect::<Vec<_>>();
        let same = |arg: &Arg, name: &str| arg.name.replace('_', "-") == name.replace('_', "-");
        for name in groups.iter().flat_map(Group::names) {
            if !args.iter().any(|arg| same(arg, name)) {
                table.note(format_args!("has a group with `{name}`, which is not one of its arguments"));
            }
        }
        for arg in args.iter().filter(|arg| !arg.autonomy.is_empty()) {
            if !LEVELS.contains(&arg.autonomy.as_str()) {
                table.note(format_args!("has an argument `{}` with an unknown autonomy level", arg.name));
            }
        }
        let Some(program) = above.program else {
            return table.note("has no `command`: name its program, such as command = [\"/usr/bin/df\"]");
        };
        if let Some((arg, why)) = args.iter().find_map(|arg| Some((arg, arg.schema.as_ref().err()?))) {
            self.read.left_out.push(format!("{name} is left out: the argument `{}`: {why}", arg.name));
            return;
        }
        let listed = listed(name, table, &autonomy, &args);
        self.read.tools.push(Tool {
            name: name.to_owned(),
            listed,
            args,
            groups,
            program,
            is_own: self.place.venv.is_none(),
            file: self.place.file.to_owned(),
            autonomy,
            serves_manual: self.serves_manual,
            cwd: above.cwd,
            env: above.env,
            timeout: above.timeout.map(Duration::from_secs),
            max_output: above.max_output.map_or(8 << 20, |max| usize::try_from(max).unwrap_or(usize::MAX)),
            finishes: above.finishes,
            becomes_with_env: above.becomes_with_env,
            escalation: self.escalation.clone(),
        });
    }
}

/// A tool as the protocol has it.
fn listed(name: &str, table: &Table<'_>, autonomy: &str, args: &[Arg]) -> Value {
    let shown = args.iter().filter(|arg| arg.kind != Kind::Password);
    let properties =
        shown.clone().filter_map(|arg| Some((arg.name.clone(), arg.schema.as_ref().ok()?.clone())));
    let required = shown.filter(|arg| arg.is_required).map(|arg| arg.name.clone()).collect::<Vec<_>>();
    let mut schema = json!({ "type": "object", "properties": Map::from_iter(properties) });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema["additionalProperties"] = false.into();
    let mut tool = json!({
        "name": name,
        "description": table.text("description").unwrap_or_default(),
        "x-autonomy": autonomy,
        "x-output": table.text("output").unwrap_or_else(|| "text".to_owned()),
        "inputSchema": schema,
    });
    if let Some(reason) = table.text("autonomy-reason") {
        tool["x-autonomy-reason"] = reason.into();
    }
    let mut annotations = Map::new();
    if let Some(title) = table.text("title") {
        tool["title"] = title.as_str().into();
        annotations.insert("title".to_owned(), title.into());
    }
    for (key, hint) in [("read-only", "readOnlyHint"), ("destructive", "destructiveHint")] {
        annotations.extend(table.flag(key).map(|flag| (hint.to_owned(), flag.into())));
    }
    if !annotations.is_empty() {
        tool["annotations"] = annotations.into();
    }
    tool
}
