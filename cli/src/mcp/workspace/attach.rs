//! The tools that say which workspaces there are and which one is meant: each is its verb, with the verb's own report.

use serde_json::{Value, json};

use crate::commands::{connect, context, current, disconnect, list, servers, stop};
use crate::error::{Code, Error, Result};
use crate::mcp::workspace::answer::{Answer, MAX};
use crate::mcp::workspace::{Context, text};
use crate::output::report::Outcome;

/// How long `connect` waits, in seconds, unless the call says so.
const PATIENCE: u64 = 180;

/// What there is, and what is attached.
pub(super) fn list(call: &Context<'_>) -> Result<Answer> {
    let named = current::Args::of(call.workspace());
    let attached = match current::run(named, &call.app).and_then(document) {
        Ok(current) if current["named"].is_null() && current["origin"].is_null() => Value::Null,
        Ok(current) => current,
        Err(error) if error.code() == Code::Ambiguous => {
            json!({ "error": error.code().as_str(), "message": error.message(), "hint": error.next_step_with_tools() })
        }
        Err(error) => return Err(error),
    };
    let all = document(list::run(list::Args::default(), &call.app)?)?;
    let all = all.as_array().cloned().unwrap_or_default();
    let (servers, workspaces) = all.into_iter().partition::<Vec<_>, _>(|row| row["origin"] == "server");
    let mut listed = json!({
        "attached": attached,
        "workspaces": workspaces,
        "servers": servers,
        "logged_in": call.app.has_login()?,
    });
    let mut left_out = 0;
    while text::json(&listed).chars().count() > MAX - 100 {
        let longer =
            if listed["workspaces"].as_array().map(Vec::len) > listed["servers"].as_array().map(Vec::len) {
                "workspaces"
            } else {
                "servers"
            };
        let Some(rows) = listed[longer].as_array_mut().filter(|rows| !rows.is_empty()) else { break };
        let gone = rows.len().div_ceil(10);
        rows.truncate(rows.len() - gone);
        left_out += gone;
    }
    if left_out > 0 {
        listed["left_out"] = left_out.into();
    }
    Ok(Answer::json(&listed))
}

/// Attaches a workspace, once it answers.
pub(super) fn connect(call: &Context<'_>) -> Result<Answer> {
    let workspace =
        call.workspace().ok_or_else(|| Error::new(Code::Usage, "connect: `workspace` is missing"))?;
    if call.project.is_none() {
        return Err(Error::new(
            Code::Usage,
            "connect: the project folder is not known, so no workspace can be attached to it",
        )
        .hint(
            "name the workspace in each call, as `workspace`; the user can also start these tools for one workspace: runcode mcp -w NAME",
        ));
    }
    let seconds = call.arguments.number("timeout").unwrap_or(PATIENCE);
    let args = connect::Args::to_wait_for(workspace, call.arguments.flag("start"), seconds);
    let mut report = document(connect::run(args, &call.app)?)?;
    if report["mode"] == "restricted"
        && let Some(server) = report["name"].as_str()
    {
        report["profiles"] = document(servers::profiles(server.to_owned(), &call.app)?)?;
    }
    Ok(Answer::json(&report))
}

/// Detaches the project.
pub(super) fn disconnect(call: &Context<'_>) -> Result<Answer> {
    let args = disconnect::Args::of(call.workspace(), call.arguments.flag("keep"));
    let mut report = document(disconnect::run(args, &call.app)?)?;
    report["detached"] = u8::from(report["disconnected"] == true).into();
    Ok(Answer::json(&report))
}

/// Powers a workspace down.
pub(super) fn stop(call: &Context<'_>) -> Result<Answer> {
    Answer::of(stop::run(stop::Args::of(call.workspace()), &call.app)?)
}

/// Looks around.
pub(super) fn context(call: &Context<'_>) -> Result<Answer> {
    Answer::of(context::run(context::Args::of(call.workspace()), &call.app)?)
}

/// The JSON document of a verb.
pub(super) fn document(outcome: Outcome) -> Result<Value> {
    match outcome {
        Outcome::Report(report) => Ok(report.json()),
        Outcome::Raw(_) | Outcome::Status(_) => Err(Error::new(Code::Error, "there is no report")),
    }
}
