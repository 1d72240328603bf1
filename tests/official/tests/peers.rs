//! The official Rust library as a client of `mcp` and `serve`, in every version of the protocol, and as a server for `jump`.
//! `run` starts it, with a control plane that has the workspace `box`.

use std::future::Future;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ClientRequest,
    ErrorCode, Implementation, ProgressNotificationParam, ProtocolVersion,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RoleClient, RunningService, ServiceError};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Value, json};

/// The longest time that one of these may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One tool: a piece of shell.
const SHELL: &str = r#"
[config]
name = "box"
[sh]
command = ["/bin/sh", "-c"]
run_as = ""
[sh.args]
line = {type = "str", position = 1}
"#;

/// The binary with these arguments, in the test's home.
fn runcode(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("RUNCODE_TEST_BIN").unwrap());
    command.args(arguments).current_dir(home());
    command
}

fn home() -> PathBuf {
    std::env::var_os("HOME").unwrap().into()
}

/// Whether a process runs; a zombie does not count.
fn is_running(pid: i32) -> bool {
    let said = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    !said.stdout.is_empty() && !said.stdout.starts_with(b"Z")
}

/// Runs a client to its end.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.unwrap() })
}

/// A client that says which version it speaks, and keeps the progress that it is told.
#[derive(Clone)]
struct Client {
    version: ProtocolVersion,
    told: Arc<Mutex<Vec<String>>>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let client = Implementation::new("rmcp-client", "1");
        ClientConfig::new(ClientCapabilities::default(), client).with_protocol_version(self.version.clone())
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.told.lock().unwrap().extend(params.message);
    }
}

type Session = RunningService<RoleClient, Client>;

/// A session with the program that `command` starts; the process ends with it.
async fn session(command: Command, version: &ProtocolVersion) -> (Session, tokio::process::Child) {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let streams = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let lifecycle = if version.has_initialize() {
        ClientLifecycleMode::Initialize
    } else {
        ClientLifecycleMode::Discover { preferred_versions: vec![version.clone()] }
    };
    let client = Client { version: version.clone(), told: Arc::default() };
    (client.serve_with_lifecycle(streams, lifecycle).await.unwrap(), child)
}

/// Waits, while the session continues.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn params(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone())
}

async fn call(session: &Session, tool: &'static str, arguments: Value) -> CallToolResult {
    session.call_tool(params(tool, arguments)).await.unwrap()
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

/// Ends the session; the program follows by itself.
async fn leave(session: Session, mut child: tokio::process::Child) {
    session.cancel().await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

#[test]
fn mcp_speaks_every_version_with_rmcp() {
    for version in ProtocolVersion::KNOWN_VERSIONS {
        let command = runcode(&["mcp", "-w", "box"]);
        block_on(async {
            let (session, child) = session(command, version).await;
            let info = session.peer_info().unwrap();
            assert_eq!(info.protocol_version, *version);
            assert_eq!(info.server_info.as_ref().unwrap().name, "runcode", "{version}");
            assert!(info.instructions.as_ref().unwrap().len() > 250 && info.capabilities.tools.is_some());
            let tools = session.list_all_tools().await.unwrap();
            assert_eq!((tools.len(), &*tools[0].name), (17, "list"));
            let hints = tools[0].annotations.as_ref().unwrap();
            assert_eq!((hints.read_only_hint, hints.open_world_hint), (Some(true), Some(false)));
            assert!(tools.iter().all(|tool| tool.output_schema.is_none()));
            let said = call(&session, "exec", json!({ "command": "echo to $((6*7)); sleep 0.3" })).await;
            assert!(text(&said).starts_with("to 42\n[exit 0") && said.is_error == Some(false), "{said:?}");
            assert!(said.structured_content.is_none() && said.meta.is_some(), "{said:?}");
            until(|| *session.service().told.lock().unwrap() == ["to 42"]).await;
            let failed = call(&session, "exec", json!({ "argv": ["false"] })).await;
            assert_eq!(failed.is_error, Some(true));
            let unknown = session.call_tool(params("nothing", json!({}))).await.unwrap_err();
            let ServiceError::McpError(unknown) = unknown else { panic!("{unknown}") };
            assert_eq!(unknown.code, ErrorCode::INVALID_PARAMS);
            leave(session, child).await;
        });
    }
}

#[test]
fn serve_speaks_every_version_with_rmcp() {
    let file = home().join("serve.toml");
    std::fs::write(&file, SHELL).unwrap();
    for version in ProtocolVersion::KNOWN_VERSIONS {
        block_on(async {
            let command = runcode(&["serve", "--config", file.to_str().unwrap()]);
            let (session, child) = session(command, version).await;
            let info = session.peer_info().unwrap();
            assert_eq!(info.protocol_version, *version);
            assert_eq!(info.server_info.as_ref().unwrap().name, "box");
            let tools = session.list_all_tools().await.unwrap();
            assert_eq!((tools.len(), &*tools[0].name), (1, "sh"));
            let said = call(&session, "sh", json!({ "line": "echo out; echo err >&2; sleep 0.3" })).await;
            assert_eq!((text(&said), said.is_error), ("out\n", Some(false)));
            until(|| !session.service().told.lock().unwrap().is_empty()).await;
            let failed = call(&session, "sh", json!({ "line": "exit 7" })).await;
            assert!(failed.is_error == Some(true) && text(&failed).starts_with("exit_code: 7"));
            let wrong = call(&session, "sh", json!({ "lines": "exit 7" })).await;
            assert_eq!(wrong.is_error, Some(true));
            leave(session, child).await;
        });
    }
}

#[test]
fn rmcp_cancels_a_command() {
    let file = home().join("box/pid");
    let pid = || std::fs::read_to_string(&file).unwrap_or_default().trim().parse::<i32>().ok();
    for version in [ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28] {
        let command = runcode(&["mcp", "-w", "box"]);
        block_on(async {
            let (session, child) = session(command, &version).await;
            let request = params("exec", json!({ "command": "echo $$ > pid; exec sleep 600" }));
            let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
            let options = PeerRequestOptions::no_options();
            let running = session.send_cancellable_request(request, options).await.unwrap();
            until(|| pid().is_some()).await;
            running.cancel(None).await.unwrap();
            until(|| !pid().is_some_and(is_running)).await;
            let after = call(&session, "exec", json!({ "command": "rm pid; echo still here" })).await;
            assert!(text(&after).starts_with("still here\n"), "{after:?}");
            leave(session, child).await;
        });
    }
}

#[test]
fn jump_calls_a_server_of_rmcp() {
    // It has the name that `jump` looks for.
    let program = home().join("runspec");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_server"), &program).unwrap();
    let jump = |words: &[&str]| {
        let arguments = [&["jump", "--json", "--bin", program.to_str().unwrap(), "box"], words].concat();
        let said = runcode(&arguments).output().unwrap();
        let document = serde_json::from_slice::<Value>(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
        (said.status.code(), document)
    };
    let (status, listed) = jump(&[]);
    assert_eq!((status, &listed["protocol"]), (Some(0), &json!("2025-11-25")), "{listed}");
    assert_eq!(listed["tools"][0]["arguments"][0]["required"], true, "{listed}");
    let (status, said) = jump(&["greet", "--", "--name", "a b"]);
    assert_eq!((status, &said["stdout"]), (Some(0), &json!("hello a b\n")), "{said}");
    let (status, said) = jump(&["greet", "--", "--name=nobody"]);
    assert_eq!((status, &said["is_error"]), (Some(1), &json!(true)), "{said}");
    let (status, said) = jump(&["greet"]);
    assert_eq!((status, &said["error"]), (Some(255), &json!("usage")), "{said}");
}
