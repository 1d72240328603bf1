//! What the tools are, without a workspace.
#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use serde_json::{Map, Value, json};

use crate::args::Globals;
use crate::mcp::Service as _;
use crate::mcp::workspace::arguments::Arguments;
use crate::mcp::workspace::table::{Tool, tools};
use crate::mcp::workspace::{Options, Workspace};
use crate::sys::env::Env;

fn service(is_read_only: bool) -> Workspace {
    let options = Options { read_only: is_read_only, ..Options::default() };
    Workspace::new(Globals::default(), Env::fixed::<&str>([]), options)
}

fn names(service: &Workspace) -> Vec<&str> {
    service.tools().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[test]
fn the_list_of_tools_is_short() {
    let listed = Value::from(service(false).tools().to_vec()).to_string();
    assert!(listed.len() <= 12 << 10, "{}", listed.len());
    assert!(tools(false).count() <= 17 && listed.is_ascii());
    for tool in service(false).tools() {
        assert_eq!(tool["inputSchema"]["additionalProperties"], false);
        assert!(tool["annotations"]["readOnlyHint"].is_boolean() && tool["title"].is_string());
        assert!(tool.get("outputSchema").is_none());
        let takes = tool["inputSchema"]["properties"].get("workspace").is_some();
        assert_eq!(takes, tool["name"] != "list", "{}", tool["name"]);
    }
}

#[test]
fn read_only_offers_nothing_that_writes() {
    let (all, few) = (service(false), service(true));
    for name in names(&few) {
        let tool = all.tool(name).unwrap();
        assert!(tool.listed()["annotations"]["destructiveHint"] != true, "{name}");
    }
    for gone in ["exec", "kill", "stop", "write", "edit", "put", "get", "forward"] {
        assert!(!few.has(gone), "{gone}");
    }
    assert!(few.has("connect") && few.has("context") && few.has("output") && few.has("jobs"));
    let starts = |service: &Workspace| {
        let connect = service.tools().iter().find(|tool| tool["name"] == "connect").unwrap();
        connect.to_string().contains("start")
    };
    assert!(starts(&all) && !starts(&few));
}

#[test]
fn the_hints_tell_the_truth() {
    let service = service(false);
    let hint = |name: &str, hint: &str| service.tool(name).unwrap().listed()["annotations"][hint].clone();
    assert_eq!((hint("exec", "destructiveHint"), hint("exec", "openWorldHint")), (true.into(), true.into()));
    assert_eq!(
        (hint("list", "readOnlyHint"), hint("connect", "destructiveHint")),
        (true.into(), false.into())
    );
    for open in ["connect", "forward", "exec", "kill", "write", "edit", "put", "get"] {
        assert_eq!(hint(open, "openWorldHint"), true, "{open}");
    }
    assert_eq!((hint("kill", "destructiveHint"), hint("jobs", "readOnlyHint")), (true.into(), true.into()));
    let stop = service.tool("stop").unwrap().listed();
    assert_eq!(stop["_meta"]["anthropic/requiresUserInteraction"], true);
}

fn check(tool: &Tool, given: Value) -> Result<(), String> {
    let given: Map<String, Value> = given.as_object().unwrap().clone();
    Arguments::check(tool, &given).map(drop).map_err(|error| error.message().to_owned())
}

#[test]
fn only_content_has_nul_in_it() {
    let find = |name: &str| tools(false).find(|tool| tool.name == name).unwrap();
    let (exec, write, edit) = (find("exec"), find("write"), find("edit"));
    assert_eq!(check(write, json!({ "path": "x", "content": "a\0b" })), Ok(()));
    assert_eq!(check(edit, json!({ "path": "x", "old": "a\0", "new": "\0" })), Ok(()));
    for (tool, given) in [
        (write, json!({ "path": "a\0b", "content": "" })),
        (exec, json!({ "command": "a\0b" })),
        (exec, json!({ "command": "a", "cwd": "\0" })),
        (exec, json!({ "argv": ["a\0b"] })),
        (exec, json!({ "command": "a", "env": { "A": "\0" } })),
    ] {
        assert!(check(tool, given.clone()).unwrap_err().contains("NUL"), "{given}");
    }
}

#[test]
fn wrong_arguments_are_told_all_at_once() {
    let tool = tools(false).find(|tool| tool.name == "exec").unwrap();
    assert_eq!(check(tool, json!({ "command": "ls", "timeout": 3600, "cwd": null })), Ok(()));
    assert_eq!(check(tool, json!({ "argv": ["ls"], "env": { "A": "b" }, "timeout": 5.0 })), Ok(()));
    let given = json!({ "command": 7, "timeout": 0, "env": { "A": 1 }, "argv": [], "rm\u{1b}": 1, "stdin": "x".repeat(2 << 20) });
    let told = check(tool, given).unwrap_err();
    for part in [
        "`command` must be a string",
        "`timeout` must be from 1 to 3600",
        "`env` must be an object",
        "`argv` must be an array",
        "there is no argument \"rm\u{fffd}\"",
        "`stdin` is longer than",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let output = tools(false).find(|tool| tool.name == "output").unwrap();
    assert_eq!(check(output, json!({})).unwrap_err(), "output: `id` is missing");
    assert!(
        check(output, json!({ "id": "x", "stream": "both" })).unwrap_err().contains("one of stdout, stderr")
    );
    for odd in [json!("5"), json!(1.5), json!(true), json!(1e300), json!([])] {
        assert!(check(tool, json!({ "command": "x", "timeout": odd })).is_err(), "{odd}");
    }
}
