//! What `runcode mcp` offers: the workspace as tools. A tool does what the verb of its name does, by the same functions.
//!
//! Nothing of a workspace is kept between two calls, so that several servers and the command line always agree. Each call has
//! an [`App`] of its own, as each command line has.

mod answer;
mod arguments;
mod attach;
mod capture;
mod exec;
mod files;
mod instructions;
mod jobs;
mod local;
mod outlasting;
mod output;
mod pages;
mod project;
mod search;
mod shelf;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod transfer;

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::app::{App, Reach, is_client_name};
use crate::args::Globals;
use crate::error::{Code, Error, Result};
use crate::mcp::workspace::answer::Answer;
use crate::mcp::workspace::arguments::Arguments;
use crate::mcp::workspace::shelf::Shelf;
use crate::mcp::workspace::table::{Hints, Tool, tools};
use crate::mcp::{Call, Client, Service};
use crate::session::{Session, Sessions};
use crate::sys::env::{Env, Var};

/// How the server was started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The workspace of calls that name none.
    pub workspace: Option<String>,
    /// Whether no tool that changes the workspace is offered.
    pub read_only: bool,
    /// Folders of this machine that `put` and `get` may use, besides the project.
    pub local_roots: Vec<PathBuf>,
}

/// The service.
pub struct Workspace {
    globals: Globals,
    env: Env,
    options: Options,
    project: Option<PathBuf>,
    homes: Vec<PathBuf>,
    shelf: Shelf,
    tools: Vec<&'static Tool>,
    listed: Vec<Value>,
}

/// What a tool may use.
struct Context<'a> {
    app: App,
    call: &'a Call,
    tool: &'static Tool,
    arguments: &'a Arguments,
    service: &'a Workspace,
    /// The folder of the project, where that is known.
    project: Option<PathBuf>,
    /// The workspace of the call, if it is somebody else's.
    shared: RefCell<Option<String>>,
}

impl Context<'_> {
    /// The workspace that the call names, or the one that the server was started for.
    fn workspace(&self) -> Option<String> {
        self.arguments.text("workspace").map(str::to_owned).or_else(|| self.service.options.workspace.clone())
    }

    /// The session of the workspace that the call means.
    fn session(&self, sessions: &Sessions<'_>) -> Result<Session> {
        let session = self.app.session(sessions, self.workspace().as_deref())?;
        if session.meta.shared == Some(true) {
            *self.shared.borrow_mut() = Some(session.shown());
        }
        Ok(session)
    }
}

impl Workspace {
    /// The service for calls with these global options; no I/O but to see where it was started.
    pub fn new(mut globals: Globals, env: Env, options: Options) -> Workspace {
        globals.json = true;
        let tools = tools(options.read_only).collect::<Vec<_>>();
        let listed = tools.iter().map(|tool| tool.listed()).collect();
        let (project, homes) = (project::of_process(&env), project::homes(&env));
        Workspace { globals, env, options, project, homes, shelf: Shelf::default(), tools, listed }
    }

    fn tool(&self, name: &str) -> Option<&'static Tool> {
        self.tools.iter().find(|tool| tool.name == name).copied()
    }

    /// What changes nothing is called without asking the user, and ssh reaches any host: the user has to have connected it. The
    /// command line that started the server is the user's own.
    fn reach(&self, tool: &Tool, arguments: &Arguments) -> Reach {
        let at_start = self.options.workspace.as_deref();
        let is_named_at_start =
            at_start.is_some() && arguments.text("workspace").is_none_or(|it| Some(it) == at_start);
        let is_unasked = self.options.read_only || tool.hints == Hints::Reads;
        if is_unasked && !is_named_at_start { Reach::Known } else { Reach::Any }
    }

    fn run(&self, call: &Call, client: &Client) -> Result<Answer> {
        let unknown = || Error::new(Code::Usage, "there is no such tool");
        let tool = self.tool(&call.tool).ok_or_else(unknown)?;
        let arguments = Arguments::check(tool, &call.arguments)?;
        let project = project::of_call(&call.meta).or_else(|| self.project.clone());
        let project = project.filter(|folder| !project::holds_a_home(folder, &self.homes));
        let folder = project::location(project.as_deref());
        let env = match client.name.as_deref().filter(|name| is_client_name(name)) {
            Some(name) if self.env.var(Var::RuncodeClient).is_none() => {
                self.env.clone().with(Var::RuncodeClient, name)
            }
            _ => self.env.clone(),
        };
        let app = App::of_call(
            self.globals.clone(),
            env,
            call.cancel.clone(),
            folder,
            self.reach(tool, &arguments),
        );
        let shared = RefCell::default();
        let context = Context { app, call, tool, arguments: &arguments, service: self, project, shared };
        let answer = (tool.run)(&context)?;
        Ok(match context.shared.take() {
            // A title is chosen by whoever shares the workspace: the model may have meant the user's own.
            Some(shown) => {
                answer.and(format!("note: {shown} is someone else's workspace, shared with the user"))
            }
            None => answer,
        })
    }
}

impl Service for Workspace {
    fn capabilities(&self) -> Value {
        // Codex then says with each call which folder its conversation is about.
        json!({ "tools": {}, "experimental": { "codex/sandbox-state-meta": {} } })
    }

    fn instructions(&self) -> &str {
        instructions::TEXT
    }

    fn tools(&self) -> &[Value] {
        &self.listed
    }

    fn has(&self, tool: &str) -> bool {
        self.tool(tool).is_some()
    }

    fn call(&self, call: &Call, client: &Client) -> Map<String, Value> {
        self.run(call, client).unwrap_or_else(|error| Answer::failed(&error)).result()
    }

    fn busy(&self) -> Map<String, Value> {
        let error =
            Error::new(Code::Unavailable, "16 calls are running and 64 are waiting; this one was not begun")
                .hint("wait for an answer, then call again");
        Answer::failed(&error).result()
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(1500)
    }
}
