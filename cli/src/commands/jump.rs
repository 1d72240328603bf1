//! `runcode jump`.

use std::ffi::OsString;
use std::io::Read as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::error::{Code, Error, Issue, Result};
use crate::mcp::jump::{Given, Program, Said, Sink, Talk, Tool, Tools, arguments};
use crate::mcp::numbers;
use crate::output::report::{Outcome, Report, Simple, Text};
use crate::output::{foreign, progress, sanitize, stdout};
use crate::session::audit::Action;
use crate::session::live::Want;

/// The longest arguments that stdin brings, in bytes.
const MAX_ARGUMENTS: u64 = 16 << 20;

/// Call the tools that a workspace itself offers (MCP).
///
/// Starts `runspec serve` or `runcode serve` on the workspace and speaks the Model Context Protocol with it. Without TOOL, lists
/// the tools. The exit status is the tool's, or 255 if runcode itself fails. A tool is never called twice.
#[derive(clap::Args)]
#[command(
    override_usage = "runcode jump [OPTIONS] <TARGET> [TOOL] [--] [ARGS]...",
    after_help = "\
Examples:
  runcode jump prod                          the tools of a workspace
  runcode jump me@host deploy -- --help      the arguments of a tool
  runcode jump me@host deploy -- --env production
  runcode jump --bin /opt/venv/bin/runspec prod backup
  runcode jump --args '{\"env\": \"staging\"}' prod deploy"
)]
pub struct Args {
    /// The program on the workspace that serves the tools [env: RUNCODE_JUMP_BIN, RUNSPEC_JUMP_BIN] [default: runspec, else runcode]
    #[arg(long, value_name = "PATH")]
    bin: Option<OsString>,
    /// End the tool if listing and calling together take longer than this
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// All arguments as a JSON object, instead of ARGS; `-` reads it from stdin
    #[arg(long, value_name = "JSON", conflicts_with = "words", requires = "tool")]
    args: Option<String>,
    /// The workspace: its id or title, a server, or a host that ssh reaches
    target: String,
    /// The tool to call
    tool: Option<String>,
    /// The tool's arguments: --name value for each, --flag or --no-flag, bare words where the tool takes them
    #[arg(last = true, value_name = "ARGS", requires = "tool")]
    words: Vec<OsString>,
}

impl Args {
    /// Whether stdin brings the arguments.
    pub fn reads_stdin(&self) -> bool {
        self.args.as_deref() == Some("-")
    }

    fn given(&self) -> Result<Given> {
        let Some(text) = &self.args else {
            let words = self.words.iter().map(|word| word.to_str().map(str::to_owned));
            let words = words.collect::<Option<Vec<_>>>();
            return words.map(Given::Words).ok_or_else(|| {
                Error::new(Code::Usage, "an argument is not valid Unicode")
                    .hint("such bytes cannot be sent as JSON")
            });
        };
        let mut read = Vec::new();
        if self.reads_stdin() {
            let stdin = std::io::stdin().lock().take(MAX_ARGUMENTS + 1).read_to_end(&mut read);
            stdin.map_err(|error| Error::io("read the arguments from stdin", error))?;
        }
        if read.len() as u64 > MAX_ARGUMENTS {
            let what = format!("the arguments on stdin are longer than {} MiB", MAX_ARGUMENTS >> 20);
            return Err(Error::new(Code::Usage, what)
                .hint("the tool was not called; copy large data to the workspace with `runcode put`"));
        }
        let text = if self.reads_stdin() { &read } else { text.as_bytes() };
        if numbers::has_huge(text) {
            return Err(Error::new(Code::Usage, format!("a value in --args {}", numbers::HUGE))
                .hint("if the tool takes text, put it in quotes"));
        }
        match serde_json::from_slice(text) {
            Ok(Value::Object(fields)) => Ok(Given::Object(fields)),
            _ => Err(Error::new(Code::Usage, "--args is not a JSON object")
                .hint("write it like '{\"name\": \"value\"}'")),
        }
    }

    /// Whether the arguments are asked for, not given.
    fn asks_for_help(&self, tool: &Tool) -> bool {
        let mut words = self.words.iter().take_while(|word| *word != "--");
        words.any(|word| word == "--help") && !tool.has("help")
    }
}

/// What a conversation came to.
enum Found {
    Tools(Tools),
    Help(Box<Tool>),
    Said(Box<Said>),
}

/// The list of tools.
struct Listed {
    target: String,
    tools: Tools,
}

impl Report for Listed {
    fn json(&self) -> Value {
        let mut document = json!({ "target": sanitize::line(&self.target) });
        if let (Value::Object(document), Value::Object(fields)) = (&mut document, self.tools.json()) {
            document.extend(fields);
        }
        document
    }

    fn text(&self, text: &mut Text) {
        self.tools.lines().iter().for_each(|line| text.line(line));
    }
}

/// A call, as a document.
struct Called(Box<Said>);

impl Report for Called {
    fn json(&self) -> Value {
        self.0.json()
    }

    fn text(&self, _: &mut Text) {}

    fn exit_status(&self) -> u8 {
        self.0.status
    }
}

/// Starts the server, asks it for its tools, and calls one.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let program = Program::named(args.bin.clone(), app.env())?;
    let mut given = Some(args.given()?);
    let target = app.resolve(&args.target)?;
    let sessions = app.sessions()?;
    let session = sessions.obtain(&target.key, Want::Fresh)?.session;
    let object = match &given {
        Some(Given::Object(object)) if args.args.is_some() => Some(Value::Object(object.clone()).to_string()),
        _ => None,
    };
    let action = || {
        let object = object.iter().flat_map(|object| ["--args", object]).map(OsString::from);
        let words = [program.word(), "serve"].map(OsString::from).into_iter();
        Action::of(
            "jump",
            words.chain(args.tool.iter().map(OsString::from)).chain(args.words.iter().cloned()).chain(object),
        )
    };
    let mut found = None;
    let timeout = args.timeout.map(Duration::from_secs);
    sessions.audited_status(&session.meta.key, action, || {
        let mut talk = Talk::start(&sessions, &session, program.clone(), timeout, app.cancel())?;
        let spoken = speak(&args, given.take(), &mut talk, app.is_json());
        talk.end();
        let status = match found.insert(spoken?) {
            Found::Said(said) => said.status,
            Found::Tools(_) | Found::Help(_) => 0,
        };
        Ok(status)
    })?;
    match found {
        Some(Found::Tools(tools)) => Ok(Listed { target: args.target, tools }.into()),
        Some(Found::Help(tool)) => Ok(Simple { json: tool.json(), lines: tool.lines() }.into()),
        Some(Found::Said(said)) if app.is_json() => {
            said.note.iter().for_each(|note| progress::note(format!("runcode: {note}")));
            Ok(Called(said).into())
        }
        Some(Found::Said(said)) => {
            stdout::write(&said.stdout)?;
            let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), &said.stderr);
            said.note.iter().for_each(|note| progress::note(format!("runcode: {note}")));
            said.shown().map(|()| Outcome::Status(said.status))
        }
        None => Err(Error::new(Code::Error, "the server said nothing")),
    }
}

fn speak(args: &Args, given: Option<Given>, talk: &mut Talk, is_json: bool) -> Result<Found> {
    let tools = talk.tools()?;
    let Some(name) = &args.tool else { return Ok(Found::Tools(tools)) };
    let Some(tool) = tools.all().iter().find(|tool| tool.is_called(name)) else {
        return Err(missing(name, &tools));
    };
    if args.asks_for_help(tool) {
        return Ok(Found::Help(Box::new(tool.clone())));
    }
    let given = given.unwrap_or(Given::Object(Map::new()));
    let values = arguments(tool, given).map_err(|mistakes| {
        let issue = |(at, message)| Issue { file: name.clone(), line: 0, at, message };
        let what = format!("wrong arguments for {}, which was not called", foreign::word(name));
        let target = foreign::argument(&args.target);
        Error::new(Code::Usage, what)
            .issues(mistakes.into_iter().map(issue).collect())
            .hint(format!("see `runcode jump {target} {} -- --help`", foreign::argument(name)))
    })?;
    let mut sink = if is_json { Sink::Kept(Default::default()) } else { Sink::Live };
    talk.call(name, values, &mut sink).map(|said| Found::Said(Box::new(said)))
}

fn missing(name: &str, tools: &Tools) -> Error {
    let what = format!("the server has no tool {}", foreign::word(name));
    let names = tools.all().iter().map(|tool| foreign::name(tool.name()).to_string());
    let hint = match tools.all() {
        [] => "it has no tools at all".to_owned(),
        _ => format!("it has: {}", crate::origin::names::few(names)),
    };
    Error::new(Code::NotFound, what).hint(hint)
}
