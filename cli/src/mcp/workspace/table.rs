//! The tools: one row each, in the order of the list that a client gets.

use serde_json::{Value, json};

use crate::error::Result;
use crate::mcp::workspace::answer::Answer;
use crate::mcp::workspace::arguments::{Arg, Kind, schema};
use crate::mcp::workspace::{Context, attach, exec, files, jobs, output, search, transfer};
use crate::remote::jobs::SIGNALS;

/// A tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) hints: Hints,
    pub(super) found: Found,
    pub(super) args: &'static [Arg],
    pub(super) run: fn(&Context<'_>) -> Result<Answer>,
}

/// What a client may believe of a tool before it lets a model call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hints {
    /// It changes nothing.
    Reads,
    /// It changes what this machine knows of workspaces, and nothing on them; whether it may reach any host.
    Attaches { is_open: bool },
    /// As an open [`Hints::Attaches`], and it opens a port of this machine.
    Forwards,
    /// It may destroy, on any host; whether twice is as once.
    Writes { is_idempotent: bool },
    /// As an idempotent [`Hints::Writes`], and a person is to be asked each time.
    Stops,
}

/// How a client that shows names alone finds it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    /// It is always shown.
    Always,
    /// By these words.
    By(&'static str),
}

impl Tool {
    /// Whether it is offered where nothing on a workspace may change, and no port is opened.
    fn is_harmless(&self) -> bool {
        matches!(self.hints, Hints::Reads | Hints::Attaches { .. })
    }

    /// Its row in the list.
    pub(super) fn listed(&self) -> Value {
        let annotations = match self.hints {
            Hints::Reads => json!({ "readOnlyHint": true, "openWorldHint": false }),
            Hints::Attaches { is_open } => annotations(false, true, is_open),
            Hints::Forwards => annotations(false, true, true),
            Hints::Writes { is_idempotent } => annotations(true, is_idempotent, true),
            Hints::Stops => annotations(true, true, false),
        };
        let mut meta = match self.found {
            Found::Always => json!({ "anthropic/alwaysLoad": true }),
            Found::By(words) => json!({ "anthropic/searchHint": words }),
        };
        if self.hints == Hints::Stops {
            meta["anthropic/requiresUserInteraction"] = true.into();
        }
        json!({
            "name": self.name,
            "title": self.title,
            "description": self.about,
            "inputSchema": schema(self.args),
            "annotations": annotations,
            "_meta": meta,
        })
    }
}

fn annotations(is_destructive: bool, is_idempotent: bool, is_open: bool) -> Value {
    json!({
        "readOnlyHint": false,
        "destructiveHint": is_destructive,
        "idempotentHint": is_idempotent,
        "openWorldHint": is_open,
    })
}

const fn arg(name: &'static str, kind: Kind, about: &'static str) -> Arg {
    Arg { name, kind, is_required: false, about }
}

const fn needed(name: &'static str, kind: Kind, about: &'static str) -> Arg {
    Arg { name, kind, is_required: true, about }
}

const NAME: Kind = Kind::Text(4096);
const SMALL: Kind = Kind::Text(256 << 10);
const CONTENT: Kind = Kind::Data(1 << 20);

/// Which workspace.
const WORKSPACE: Arg = arg("workspace", NAME, "Instead of the attached one");

/// A file or folder of the workspace.
const PATH: Arg = needed("path", NAME, "From the workdir");
const FOLDER: Arg = arg("path", NAME, "Folder or file; the workdir by default");
const HASH: Arg = arg("expect_sha256", Kind::Text(64), "Fail if the file there is another");

/// The workspace to attach.
const CONNECTED: Arg = needed("workspace", NAME, "Id, title, server, or ssh:HOST");
const PATIENCE: Arg = arg("timeout", Kind::Number(1, 300), "Seconds; 180 by default");

/// The `connect` of a server that changes nothing: it boots nothing.
static CONNECT_ONLY: Tool = Tool {
    name: "connect",
    title: "Connect a workspace",
    about: "Attach a running workspace to this project and wait until it answers. It cannot boot one: ask the user to.",
    hints: Hints::Attaches { is_open: true },
    found: Found::By("attach a remote workspace, server or SSH host"),
    args: &[CONNECTED, PATIENCE],
    run: attach::connect,
};

static TOOLS: &[Tool] = &[
    Tool {
        name: "list",
        title: "List workspaces",
        about: "Workspaces and servers there are, and the one attached to this project. Start here.",
        hints: Hints::Reads,
        found: Found::Always,
        args: &[],
        run: attach::list,
    },
    Tool {
        name: "connect",
        title: "Connect a workspace",
        about: "Attach a workspace to this project and wait until it answers. It must be running unless start is true, which \
                boots it and may cost money: ask the user first. Names the profiles of a server that runs only those.",
        hints: Hints::Attaches { is_open: true },
        found: Found::By("attach a remote workspace, server or SSH host"),
        args: &[CONNECTED, arg("start", Kind::Flag, "Boot it if it is stopped"), PATIENCE],
        run: attach::connect,
    },
    Tool {
        name: "disconnect",
        title: "Disconnect the workspace",
        about: "Detach this project from its workspace, which keeps running.",
        hints: Hints::Attaches { is_open: false },
        found: Found::By("detach the remote workspace"),
        args: &[arg("keep", Kind::Flag, "Keep the session for later"), WORKSPACE],
        run: attach::disconnect,
    },
    Tool {
        name: "stop",
        title: "Stop the workspace",
        about: "Power a workspace down; its disk stays. Everything that runs there ends. Ask the user first.",
        hints: Hints::Stops,
        found: Found::By("shut down the remote workspace"),
        args: &[WORKSPACE],
        run: attach::stop,
    },
    Tool {
        name: "context",
        title: "Describe the workspace",
        about: "System, project folder, git state, tools, disk, listening ports.",
        hints: Hints::Reads,
        found: Found::By("what the remote workspace is and has"),
        args: &[WORKSPACE],
        run: attach::context,
    },
    Tool {
        name: "exec",
        title: "Run a command on the workspace",
        about: "Run a command in the workdir: `command` for a piece of shell, or `argv` for a program and its exact arguments. \
                Each call is a new shell. Text: stdout, then [stderr], then [exit N, seconds, id].",
        hints: Hints::Writes { is_idempotent: false },
        found: Found::Always,
        args: &[
            arg("command", SMALL, "A piece of shell"),
            arg("argv", Kind::Words, "A program and its arguments"),
            arg("profile", NAME, "On a server with profiles: one of those that connect names"),
            arg("args", Kind::Pairs, "Of the profile"),
            arg(
                "approval",
                NAME,
                "Id of the approval, if the profile needs one: the refusal says how to get one",
            ),
            arg("cwd", NAME, "Folder; relative to the workdir"),
            arg("env", Kind::Pairs, "Variables"),
            arg("stdin", CONTENT, "Its input; none by default"),
            arg("timeout", Kind::Number(1, 3600), "Seconds until it is ended; 240 by default"),
            arg(
                "background",
                Kind::FlagOr("auto"),
                "Start it as a job, which outlives the connection, and return its id; auto: only if it outlasts timeout",
            ),
            WORKSPACE,
        ],
        run: exec::run,
    },
    Tool {
        name: "output",
        title: "Read earlier output",
        about: "Read what a past exec printed, in parts, by the id at its end, or what a job has printed so far.",
        hints: Hints::Reads,
        found: Found::By("page through long output of a remote command"),
        args: &[
            needed("id", NAME, ""),
            arg("stream", Kind::Word(&["stdout", "stderr"]), "stdout by default"),
            arg("offset", Kind::Number(i64::MIN, i64::MAX), "Bytes before it; negative: from the end"),
            arg("limit", Kind::Number(1, output::LIMIT), "Bytes"),
            arg("wait", Kind::Number(0, 240), "First wait up to this many seconds for the job to end"),
            WORKSPACE,
        ],
        run: output::run,
    },
    Tool {
        name: "jobs",
        title: "List jobs",
        about: "Commands that exec started in the background, newest first: state, exit code, bytes.",
        hints: Hints::Reads,
        found: Found::By("background jobs of the remote workspace"),
        args: &[WORKSPACE],
        run: jobs::list,
    },
    Tool {
        name: "kill",
        title: "End a job",
        about: "Signal all of a job's processes. TERM is followed by KILL after 5 s.",
        hints: Hints::Writes { is_idempotent: true },
        found: Found::By("end or signal a background job"),
        args: &[needed("id", NAME, ""), arg("signal", Kind::Word(&SIGNALS), "TERM by default"), WORKSPACE],
        run: jobs::kill,
    },
    Tool {
        name: "read",
        title: "Read a file of the workspace",
        about: "Read a text file, as numbered exact lines, an image (png, jpeg, gif, webp), or a folder's entries.",
        hints: Hints::Reads,
        found: Found::By("read, view or open a remote file"),
        args: &[
            PATH,
            arg("offset", Kind::Number(1, i64::MAX), "First line; 1 by default"),
            arg("limit", Kind::Number(1, 100_000), "Lines; 2000 by default"),
            WORKSPACE,
        ],
        run: files::read,
    },
    Tool {
        name: "write",
        title: "Write a file of the workspace",
        about: "Make or replace a file, in one step; folders are made as needed, and an old file's mode stays.",
        hints: Hints::Writes { is_idempotent: true },
        found: Found::By("create or overwrite a remote file"),
        args: &[
            PATH,
            needed("content", CONTENT, ""),
            arg("mode", Kind::Text(8), "Octal, such as 755"),
            arg("create_only", Kind::Flag, "Fail if it is there"),
            HASH,
            WORKSPACE,
        ],
        run: files::write,
    },
    Tool {
        name: "edit",
        title: "Edit a file of the workspace",
        about: "Replace an exact text, which must be in the file once, or each occurrence with all. Everything else stays, byte \
                for byte. Up to 4 MiB.",
        hints: Hints::Writes { is_idempotent: false },
        found: Found::By("change, patch or replace text in a remote file"),
        args: &[
            PATH,
            needed("old", CONTENT, "As it is there, spaces and line ends included"),
            needed("new", CONTENT, ""),
            arg("all", Kind::Flag, ""),
            HASH,
            WORKSPACE,
        ],
        run: files::edit,
    },
    Tool {
        name: "glob",
        title: "Find files on the workspace",
        about: "Find files by name, newest first, 500 at most; what git ignores is left out. A pattern without a slash matches \
                at any depth.",
        hints: Hints::Reads,
        found: Found::By("find remote files by name"),
        args: &[needed("pattern", NAME, "With **, *, ?, {a,b}, [a-z]"), FOLDER, WORKSPACE],
        run: search::glob,
    },
    Tool {
        name: "grep",
        title: "Search files on the workspace",
        about: "Find lines that match a regular expression, as path:line:text.",
        hints: Hints::Reads,
        found: Found::By("search text in remote files"),
        args: &[
            needed("pattern", NAME, "Extended regular expression"),
            FOLDER,
            arg("glob", NAME, "Only these files, such as *.rs"),
            arg("ignore_case", Kind::Flag, ""),
            arg("context", Kind::Number(0, 10), "Lines around each"),
            arg("mode", Kind::Word(&["lines", "files", "count"]), ""),
            arg("limit", Kind::Number(1, 2000), "Lines; 200 by default"),
            WORKSPACE,
        ],
        run: search::grep,
    },
    Tool {
        name: "put",
        title: "Send a file to the workspace",
        about: "Send a file or folder of this machine, below the project.",
        hints: Hints::Writes { is_idempotent: true },
        found: Found::By("upload or copy local files to the remote workspace"),
        args: &[
            needed("local", NAME, "From the project folder"),
            needed("remote", NAME, "From the workdir"),
            arg("git", Kind::Flag, "Leave out what git ignores, and .git"),
            WORKSPACE,
        ],
        run: transfer::put,
    },
    Tool {
        name: "get",
        title: "Fetch a file from the workspace",
        about: "Fetch a file or folder to this machine, below the project. Anything below a .git is left out. In a local folder that already exists, so is what other programs obey, such as .envrc.",
        hints: Hints::Writes { is_idempotent: true },
        found: Found::By("download remote files to this machine"),
        args: &[
            needed("remote", NAME, "From the workdir"),
            needed("local", NAME, "From the project folder; a folder if it ends in /"),
            WORKSPACE,
        ],
        run: transfer::get,
    },
    Tool {
        name: "forward",
        title: "Forward a port of the workspace",
        about: "Make a port of the workspace a local one and say its URL; without port, list what is forwarded.",
        hints: Hints::Forwards,
        found: Found::By("port forward, tunnel, open a remote web server"),
        args: &[
            arg("port", Kind::Number(1, 65535), "On the workspace"),
            arg("local", Kind::Number(0, 65535), "Here; 0 is any free one"),
            arg("cancel", Kind::Flag, "End it; without port, all"),
            WORKSPACE,
        ],
        run: transfer::forward,
    },
];

/// Every tool, or those that change nothing.
pub(super) fn tools(is_read_only: bool) -> impl Iterator<Item = &'static Tool> {
    TOOLS
        .iter()
        .filter(move |tool| !is_read_only || tool.is_harmless())
        .map(move |tool| if is_read_only && tool.name == CONNECT_ONLY.name { &CONNECT_ONLY } else { tool })
}
