//! What happens to a tool call in a routed project: only the decision.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::hooks::guard::{self, Whose};
use crate::hooks::own_verbs::{self, Effect};
use crate::hooks::simple_command::{self, Redirection, SimpleCommand};

/// Our own tools, for what the client's tools cannot do there.
const TOOLS: &str = "mcp__plugin_runcode_runcode__";

const ANOTHER: &str = "runcode: this may use another workspace than the routed one";

/// A call that the client is about to make.
#[derive(Debug, Deserialize)]
pub struct ToolCall {
    /// The tool.
    pub tool_name: String,
    /// Its arguments.
    pub tool_input: Map<String, Value>,
    /// The folder that the session is in.
    pub cwd: Option<PathBuf>,
    /// The subagent that calls.
    pub agent_id: Option<String>,
}

/// Where a routed project is.
#[derive(Debug, Default)]
pub struct Project {
    /// Its folder, by every name that the user has for it.
    pub folders: Vec<PathBuf>,
    /// The folder on the workspace, if known.
    pub workdir: Option<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// The paths, besides `runcode`, that start this program.
    pub programs: Vec<String>,
    /// Whether `RUNCODE_WORKSPACE`, which a project's settings can set, names another workspace than the routed one.
    pub is_another_named: bool,
    /// The words that name the routed workspace, and no other.
    pub names: Vec<String>,
}

/// The answer.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The call runs on this machine.
    Here,
    /// The call runs with these arguments instead.
    Instead(Map<String, Value>),
    /// The user is asked whether the call runs on this machine, with these arguments if any are given.
    Ask(&'static str, Option<Map<String, Value>>),
    /// The call is refused. The model is told why, and what to do.
    Deny(String),
}

impl Answer {
    /// The answer for the client; `None` if nothing changes.
    pub fn document(&self, shown: &str) -> Option<Value> {
        let event = "PreToolUse";
        Some(match self {
            Answer::Here => return None,
            // Without a decision, so that the user's own rules and questions still apply.
            Answer::Instead(input) => json!({
                "systemMessage": format!("→ {shown}"),
                "hookSpecificOutput": { "hookEventName": event, "updatedInput": input },
            }),
            Answer::Ask(why, input) => {
                let mut output = json!({
                    "hookEventName": event, "permissionDecision": "ask", "permissionDecisionReason": why,
                });
                if let Some(input) = input {
                    output["updatedInput"] = json!(input);
                }
                json!({ "hookSpecificOutput": output })
            }
            Answer::Deny(why) => json!({ "hookSpecificOutput": {
                "hookEventName": event, "permissionDecision": "deny", "permissionDecisionReason": why,
            } }),
        })
    }
}

/// Decides. `is_whole` tells whether a shell reads a text as complete commands.
pub fn decide(call: &ToolCall, project: &Project, is_whole: impl Fn(&str) -> bool) -> Answer {
    match &*call.tool_name {
        "Bash" | "Monitor" => command(call, project, is_whole),
        "Read" | "Edit" | "MultiEdit" | "Write" | "NotebookEdit" | "Glob" | "Grep" => file(call, project),
        // Heard, so that no word outlives a call; its lines come along the road.
        "Skill" => Answer::Here,
        other if other.starts_with(TOOLS) => own_tool(other, call, project),
        "Agent" | "Task" if call.tool_input.get("isolation").and_then(Value::as_str) != Some("worktree") => {
            Answer::Here
        }
        other => Answer::Deny(format!(
            "runcode: this project is routed to a workspace, which {} does not reach; nothing was run. Call \
             {TOOLS}exec, or Bash.",
            match other {
                "PowerShell" => "PowerShell",
                "EnterWorktree" | "Agent" | "Task" => "a worktree of this machine",
                _ => "this tool",
            }
        )),
    }
}

/// A tool of ours: the user is asked where it would end the routing or work on another workspace.
fn own_tool(name: &str, call: &ToolCall, project: &Project) -> Answer {
    let named = call.tool_input.get("workspace").and_then(Value::as_str);
    let is_another =
        named.map_or(project.is_another_named, |named| project.names.iter().all(|own| own != named));
    match name.strip_prefix(TOOLS) {
        Some("disconnect" | "stop") => {
            Answer::Ask("runcode: this ends routing; tools will run on this machine again", None)
        }
        Some("list") => Answer::Here,
        _ if is_another => Answer::Ask(ANOTHER, None),
        _ => Answer::Here,
    }
}

fn command(call: &ToolCall, project: &Project, is_whole: impl Fn(&str) -> bool) -> Answer {
    let Some(text) = call.tool_input.get("command").and_then(Value::as_str) else {
        // It only listens on the network.
        if call.tool_name == "Monitor" && call.tool_input.contains_key("ws") {
            return Answer::Here;
        }
        return Answer::Deny(format!(
            "runcode: this project is routed to a workspace, and this call has no command to run there; nothing was \
             run. Call {} with a command.",
            call.tool_name
        ));
    };
    if cfg!(windows) {
        return Answer::Deny(format!(
            "runcode: this project is routed to a workspace, and Bash cannot be routed on Windows; nothing was run. Call \
             {TOOLS}exec."
        ));
    }
    let own = own_command(text, &project.programs);
    let sent = match own.as_ref().map(|command| what_it_runs(text, command)) {
        None => text.to_owned(),
        Some(Some(sent)) => sent,
        Some(None) => {
            return match own.map_or(Effect::Harmless, |command| own_verbs::effect(&command)) {
                Effect::Harmless if project.is_another_named => Answer::Ask(ANOTHER, None),
                Effect::Harmless => Answer::Here,
                Effect::Asked(why) => Answer::Ask(why, None),
                Effect::Refused(why) => Answer::Deny(format!(
                    "runcode: this project is routed to a workspace, and this command would run here: {why}; nothing was run."
                )),
            };
        }
    };
    if guard::may_close(&sent) && !is_whole(&sent) {
        return Answer::Deny(
            "runcode: a shell does not read this as complete commands (a quote, `if` or here-document is not closed, or \
             `fi` or `else` stands alone), so nothing was run. Complete it, or put it in a script."
                .to_owned(),
        );
    }
    let is_apart = call.agent_id.is_some()
        || call.tool_name == "Monitor"
        || call.tool_input.get("run_in_background").is_some_and(|value| *value == Value::Bool(true));
    let whose = if is_apart { Whose::Apart } else { Whose::Main };
    let mut input = call.tool_input.clone();
    input.insert("command".to_owned(), guard::put_on(&sent, whose).into());
    Answer::Instead(input)
}

/// Decides for Codex, which cannot be led elsewhere from a hook: in a routed project, nothing but a command of ours runs on this
/// machine.
pub fn decide_for_codex(call: &ToolCall, project: &Project, shown: &str) -> Answer {
    let text = call.tool_input.get("command").and_then(Value::as_str).filter(|_| call.tool_name == "Bash");
    match text.and_then(|text| own_command(text, &project.programs)) {
        Some(command) => match own_verbs::effect(&command) {
            Effect::Harmless if !project.is_another_named => Answer::Here,
            Effect::Harmless | Effect::Asked(_) | Effect::Refused(_) => Answer::Deny(
                "runcode: this project is routed, and this is for the user: tell them to run it in a terminal".to_owned(),
            ),
        },
        None => Answer::Deny(format!(
            "runcode: this project is routed to {shown}, so nothing was run on this machine. Run commands there with \
             `runcode exec -- …`, or the tools of runcode; tell the user to start Codex with `runcode codex`, whose own tools work there."
        )),
    }
}

/// The single runcode command in `text`, which runs on this machine.
pub fn own_command(text: &str, programs: &[String]) -> Option<SimpleCommand> {
    let command = simple_command::parse(text)?;
    let program = command.words.first()?.value.as_deref()?;
    (program == "runcode" || programs.iter().any(|own| own == program)).then_some(command)
}

/// What `runcode exec -- X` runs: sent as X, so that the user's rules for X apply. `None` if the command says more than X: another
/// workspace or folder, a job, variables, a file on this machine.
fn what_it_runs(text: &str, command: &SimpleCommand) -> Option<String> {
    let words = &command.words;
    let is = |at: usize, word: &str| words.get(at).is_some_and(|it| it.value.as_deref() == Some(word));
    if !is(1, "exec") {
        return None;
    }
    let mut at = 2;
    while is(at, "-n") || is(at, "--no-stdin") {
        at += 1;
    }
    let has_end = is(at, "--");
    if has_end {
        at += 1;
    }
    let sent = words.get(at..).filter(|sent| !sent.is_empty())?;
    let as_written = |range: std::ops::Range<usize>| text.get(range);
    let mut written = match sent {
        [snippet] => snippet.value.clone()?,
        several => {
            let words =
                several.iter().map(|word| as_written(word.range.clone())).collect::<Option<Vec<_>>>()?;
            words.join(" ")
        }
    };
    let starts_with_option = sent.first()?.value.as_deref().is_none_or(|first| first.starts_with('-'));
    if starts_with_option && !has_end {
        return None;
    }
    let mut bodies = String::new();
    for redirection in &command.redirections {
        match redirection {
            Redirection::File => return None,
            Redirection::Descriptor(range) => {
                written = format!("{written} {}", as_written(range.clone())?);
            }
            Redirection::Here { opening, body } => {
                // It feeds the shell that reads a snippet, so the snippet must be one command.
                if let [_] = sent {
                    simple_command::parse(&written)?;
                }
                written = format!("{written} {}", as_written(opening.clone())?);
                bodies = format!("{bodies}\n{}", as_written(body.clone())?);
            }
        }
    }
    Some(written + &bodies)
}

/// A file belongs to the workspace if it is in the project's folder, or if a path on the workspace names it.
fn file(call: &ToolCall, project: &Project) -> Answer {
    let cwd = call.cwd.clone().unwrap_or_default();
    let absolute = |path: &str| match (path.strip_prefix('~'), &project.home) {
        (Some(below), Some(home)) if below.is_empty() || below.starts_with('/') => {
            home.join(below.trim_start_matches('/'))
        }
        _ => cwd.join(path),
    };
    let given = |name: &str| call.tool_input.get(name).and_then(Value::as_str);
    // Each name that a tool may read: which of them it does is the client's affair.
    let named = ["file_path", "notebook_path", "path"].into_iter().filter_map(given);
    let named = named.flat_map(|path| [path, trimmed(path)]).map(absolute);
    let mut paths = named.collect::<Vec<_>>();
    let searches = matches!(&*call.tool_name, "Glob" | "Grep");
    if paths.is_empty() {
        paths.push(cwd.clone());
    }
    if searches {
        // Where a pattern's plain beginning leads, from each place where the search may start.
        let patterns = if call.tool_name == "Glob" { &["pattern", "glob"][..] } else { &["glob"] };
        let begun = patterns.iter().filter_map(|name| given(name));
        let begun =
            begun.map(|pattern| trimmed(pattern).split(['*', '?', '[', '{']).next().unwrap_or_default());
        let starts = paths.clone();
        paths.extend(
            begun.flat_map(|begun| starts.iter().map(move |start| start.join(begun)).collect::<Vec<_>>()),
        );
    }
    let names = paths.iter().flat_map(|path| names(path)).collect::<Vec<_>>();
    // A search from above comes into the project, too; so may a pattern that is no plain name below.
    let holds = |name: &PathBuf| searches && project.folders.iter().any(|folder| folder.starts_with(name));
    let leads_out = |name| {
        given(name)
            .is_some_and(|pattern| trimmed(pattern).starts_with(['/', '~', '{']) || pattern.contains(".."))
    };
    let is_theirs = names.iter().any(|name| is_in_project(name, project) || holds(name));
    if !(is_theirs || (searches && (leads_out("pattern") && call.tool_name == "Glob" || leads_out("glob")))) {
        return Answer::Here;
    }
    let way = match &*call.tool_name {
        "Read" => format!("{TOOLS}read, or Bash with `cat`"),
        "Glob" | "Grep" => format!("{TOOLS}glob and {TOOLS}grep, or Bash with `find` and `grep`"),
        "Write" => format!("{TOOLS}write, or Bash with a here-document"),
        _ => format!("{TOOLS}edit and {TOOLS}write, or Bash"),
    };
    Answer::Deny(format!(
        "runcode: this project is routed to a workspace, and {} works on this machine; nothing was read or changed. Use {way}, \
         with a path relative to the project's folder there.",
        call.tool_name
    ))
}

/// Without the blanks around it, which the client drops: those of Unicode, and the one that JavaScript counts besides.
fn trimmed(path: &str) -> &str {
    path.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

fn is_in_project(path: &Path, project: &Project) -> bool {
    // The client's own memory, plans and skills, in case the project contains the home folder.
    let clients_own = project.home.as_ref().map(|home| home.join(".claude"));
    let holds_home = |folder: &&PathBuf| project.home.as_ref().is_some_and(|home| home.starts_with(folder));
    let folders = project.folders.iter().chain(&project.workdir);
    let mut holders =
        folders.filter(|folder| folder.parent().is_some() && path.starts_with(folder)).peekable();
    let is_own = clients_own.is_some_and(|own| path.starts_with(own));
    holders.peek().is_some() && !(is_own && holders.all(|folder| holds_home(&folder)))
}

/// A path without `.` and `..`, and where it really leads, as far as it exists.
fn names(path: &Path) -> Vec<PathBuf> {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    let real = |path: &Path| {
        path.ancestors().find_map(|holder| {
            let below = path.strip_prefix(holder).ok()?;
            Some(holder.canonicalize().ok()?.join(below))
        })
    };
    // What follows a missing folder leads nowhere, even with `..`.
    let real =
        |path: &Path| real(path).filter(|real| !real.components().any(|part| part == Component::ParentDir));
    let found = [real(path), real(&plain)].into_iter().flatten();
    found.chain([plain.clone()]).collect()
}
