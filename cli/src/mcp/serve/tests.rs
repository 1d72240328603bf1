//! What a file says, and what becomes of a call, without a process.
#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::path::Path;

use serde_json::{Value, json};

use crate::mcp::serve::tool::{self, Place, Read};
use crate::mcp::serve::values::words;
use crate::sys::trusted_file::Owner;

fn read_on(text: &str, host: &str, venv: Option<&Path>) -> Read {
    let variable = |name: &str| match name {
        "SELF" => Some(String::new()),
        _ => None,
    };
    let file = Path::new("/etc/runcode/serve.toml");
    let venv = venv.map(|venv| (venv, Owner::User));
    tool::read(text, &Place { file, venv, context: "local", host, variable: &variable })
}

fn read(text: &str) -> Read {
    read_on(text, "h", Some(Path::new("/")))
}

fn issues(text: &str) -> Vec<String> {
    read(text).issues.iter().map(|issue| issue.to_string().replace("/etc/runcode/", "")).collect()
}

/// The words of a call of the first tool, or what is wrong with it.
fn called(read: &Read, arguments: &Value) -> Result<String, String> {
    let words = words(&read.tools[0], arguments.as_object().unwrap());
    let told = |wrong: Vec<crate::mcp::serve::values::Wrong>| {
        let lines = wrong.iter().map(|wrong| format!("{}: {}", wrong.argument, wrong.message));
        lines.collect::<Vec<_>>().join("; ")
    };
    words.map(|words| words.words.join("|")).map_err(told)
}

const DEPLOY: &str = r#"
[config]
autonomy-default = "supervised"
[deploy]
description = "Deploys"
run_as = ""
[deploy.args]
env = {options = ["staging", "production"]}
count = {default = 1, range = [1, 9], description = "How often"}
ratio = 0.5
dry-run = false
note = {type = "str", required = false, pattern = "[a-z-]+", max-length = 5}
tag = {type = "str", multiple = true, required = false}
check = {type = "bool", default = true}
token = {type = "password"}
more = {type = "rest"}
"#;

#[test]
fn a_schema_says_what_the_file_says() {
    let read = read(DEPLOY);
    assert_eq!(read.issues, []);
    let tool = &read.tools[0].listed;
    assert_eq!(
        tool["inputSchema"],
        json!({
            "type": "object",
            "properties": {
                "env": { "type": "string", "enum": ["staging", "production"] },
                "count": { "type": "integer", "minimum": 1, "maximum": 9, "description": "How often", "default": 1 },
                "ratio": { "type": "number", "default": 0.5 },
                "dry-run": { "type": "boolean", "default": false },
                "note": { "type": "string", "pattern": "^(?:[a-z-]+)$", "maxLength": 5 },
                "tag": { "type": "array", "items": { "type": "string" } },
                "check": { "type": "boolean", "default": true },
                "more": { "type": "array", "items": { "type": "string" }, "x-rest": true },
            },
            "required": ["env"],
            "additionalProperties": false,
        })
    );
    assert_eq!((&tool["x-autonomy"], &tool["x-output"]), (&json!("supervised"), &json!("text")));
    let names = tool["inputSchema"]["properties"].as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(names[..3], ["env", "count", "ratio"], "the order of the file");
}

#[test]
fn words_come_in_the_order_of_the_file() {
    let read = read(DEPLOY);
    let given = json!({ "more": ["-x", "y"], "tag": ["a", "-b"], "dry_run": "yes", "count": "3", "env": "staging",
        "check": false, "ratio": 2, "note": null });
    let expected = "--env|staging|--count|3|--ratio|2|--dry-run|--tag|a|--tag=-b|--check|false|--|-x|y";
    assert_eq!(called(&read, &given), Ok(expected.to_owned()));
    assert_eq!(called(&read, &json!({ "env": "staging", "dry-run": false })), Ok("--env|staging".to_owned()));
    let made = words(
        &read.tools[0],
        json!({ "env": "staging", "dry-run": true, "tag": ["a", "b"] }).as_object().unwrap(),
    );
    let variables = made.unwrap().variables;
    assert_eq!(variables[1], ("RUNSPEC_DEPLOY_ARG_DRY_RUN".to_owned(), "1".to_owned()));
    assert_eq!(variables[2].1, "a\nb");
}

#[test]
fn a_wrong_argument_is_told_before_it_runs() {
    let read = read(DEPLOY);
    for (given, wrong) in [
        (json!({}), "env: is required"),
        (json!({ "env": "prod" }), "env: must be one of staging, production"),
        (json!({ "env": "staging", "count": 10 }), "count: is not between 1 and 9"),
        (json!({ "env": "staging", "count": 1.5 }), "count: must be a whole number"),
        (json!({ "env": "staging", "ratio": "nan" }), "ratio: must be a number"),
        (json!({ "env": "staging", "dry-run": "maybe" }), "dry-run: must be true or false"),
        (json!({ "env": "staging", "note": "a1" }), "note: does not match its pattern"),
        (json!({ "env": "staging", "note": "abcdef" }), "note: is longer than 5 characters"),
        (json!({ "env": "staging", "tag": "a\0" }), "tag: contains a NUL byte, which no argument can"),
        (json!({ "env": "staging", "token": "x" }), "token: is a secret and cannot be given in a call"),
        (json!({ "env": ["staging"] }), "env: takes one value, not a list"),
        (json!({ "env": "staging", "dry-run": true, "dry_run": true }), "dry_run: is given twice"),
        (
            json!({ "x": 1, "count": 0 }),
            "x: is not an argument of this tool; count: is not between 1 and 9; env: is required",
        ),
        (
            json!({ "env": "staging", "tag": "x".repeat(131_072) }),
            ": an argument is longer than 131071 bytes",
        ),
        (json!({ "env": "staging", "more": vec!["x".repeat(60_000); 2] }), ""),
    ] {
        match wrong {
            "" => assert!(called(&read, &given).is_ok()),
            wrong => assert_eq!(called(&read, &given), Err(wrong.to_owned())),
        }
    }
}

#[test]
fn numbers_and_texts_stay_what_they_are() {
    let read = read(
        "[t]\nrun_as = \"\"\n[t.args]\ntext = {type = \"str\", required = false}\nmore = {type = \"rest\"}\n\
         whole = {type = \"int\", options = [9007199254740993], required = false}\n\
         any = {type = \"int\", required = false}\nratio = {type = \"float\", required = false}\n",
    );
    for text in ["0005", "1e3", "true", "1.0", "18446744073709551616", "0x10", "null"] {
        let expected = format!("--text|{text}|--|{text}");
        assert_eq!(called(&read, &json!({ "text": text, "more": [text] })), Ok(expected));
    }
    for (given, expected) in [
        (json!({ "any": u64::MAX }), Ok("--any|18446744073709551615")),
        (json!({ "any": "18446744073709551615" }), Ok("--any|18446744073709551615")),
        (json!({ "any": i64::MIN }), Ok("--any=-9223372036854775808")),
        (json!({ "any": "0005" }), Ok("--any|0005")),
        (
            json!({ "any": "18446744073709551616" }),
            Err("any: is a whole number of more than 64 bits, which cannot be passed on exactly"),
        ),
        (json!({ "whole": 9_007_199_254_740_993_u64 }), Ok("--whole|9007199254740993")),
        (json!({ "whole": 9_007_199_254_740_992_u64 }), Err("whole: must be one of 9007199254740993")),
        (json!({ "ratio": "18446744073709551616" }), Ok("--ratio|18446744073709551616")),
        (json!({ "text": true }), Err("text: must be a string")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(called(&read, &given), expected, "{given}");
    }
    let huge = "[t]\nrun_as = \"\"\n[t.args]\nx = 18446744073709551616\n";
    assert!(issues(huge)[0].ends_with("which cannot be passed on exactly"), "{:?}", issues(huge));
}

#[test]
fn groups_hold() {
    let rule = |rule: &str| {
        read(&format!(
            "[t]\nrun_as = \"\"\n[t.args]\na = {{type = \"str\", required = false}}\nb = {{type = \"str\", required = false}}\n\
             [t.groups.g]\nargs = [\"a\", \"b\"]\n{rule}\n"
        ))
    };
    let (none, one, both) = (json!({}), json!({ "a": "1" }), json!({ "a": "1", "b": "2" }));
    for (text, fitting) in [
        ("exclusive = true", [true, true, false]),
        ("inclusive = true", [true, false, true]),
        ("at-least-one = true", [false, true, true]),
        ("exactly-one = true", [false, true, false]),
        ("if = \"a\"\nrequires = [\"b\"]", [true, false, true]),
    ] {
        let read = rule(text);
        assert_eq!(read.issues, [], "{text}");
        assert_eq!([&none, &one, &both].map(|given| called(&read, given).is_ok()), fitting, "{text}");
    }
    assert_eq!(rule("").issues.len(), 1);
}

#[test]
fn commands_inherit_what_is_above() {
    let read = read(
        "[api]\nrun_as = \"\"\n[api.args]\nmodel = \"x\"\nsize = 1\n[api.commands.get.args]\nsize = \"big\"\n\
         [api.commands.put.commands.all]\ndescription = \"All\"\n",
    );
    let seen = read.tools.iter().map(|tool| (tool.name.as_str(), tool.program.join(" "))).collect::<Vec<_>>();
    let expected = [("api_get", "/bin/api get".to_owned()), ("api_put_all", "/bin/api put all".to_owned())];
    assert_eq!(seen, expected);
    assert_eq!(read.tools[0].listed["inputSchema"]["properties"]["size"]["type"], "string");
    assert_eq!(read.tools[1].listed["inputSchema"]["properties"]["size"]["type"], "integer");
}

#[test]
fn every_mistake_has_its_line() {
    let text = "[t]\nserve = \"local\"\nbecome_method = \"doas\"\nbecome_flags = \"'x\"\ntimeout = 0\nautonomy = \"maybe\"\n\
                [t.args]\nx = {type = \"text\"}\ny = {range = [1]}\n\"a b\" = 1\nrunspec_z = 1\n";
    let found = issues(text);
    for start in [
        "serve.toml:2: t.serve must be a list",
        "serve.toml:3: t.become_method is `doas`",
        "serve.toml:4: t.become_flags is `'x`",
        "serve.toml:5: t.timeout must be",
        "serve.toml:6: t.autonomy must be one of",
        "serve.toml:8: t.args.x.type must be str",
        "serve.toml:9: t.args.y.range must be a list of two numbers",
        "serve.toml:10: t.args.a b has an invalid name",
        "serve.toml:11: t.args.runspec_z has a name that is reserved",
    ] {
        assert!(found.iter().any(|issue| issue.starts_with(start)), "{start}: {found:#?}");
    }
    assert!(issues("[t\n")[0].starts_with("serve.toml:1: is not valid TOML"));
    let twice = issues("[a]\nrun_as = \"\"\n[a.commands.b_c]\n[a.commands.b.commands.c]\n");
    assert_eq!(twice, ["serve.toml:4: a.commands.b.commands.c defines a second tool called a_b_c"]);
}

#[test]
fn an_impossible_tool_is_left_out() {
    for pattern in ["(?=a)b", "a)|(b", "["] {
        let text =
            format!("[a]\nrun_as = \"\"\n[a.args]\nx = {{pattern = '{pattern}'}}\n[b]\nrun_as = \"\"\n");
        let read = read(&text);
        assert_eq!((read.tools.len(), read.left_out.len(), read.issues.len()), (1, 1, 0), "{pattern}");
    }
    assert!(
        read("[a]\nrun_as = \"\"\n[a.args]\nx = {pattern = '(?<!a)b'}").left_out[0].contains("look-around")
    );
}

#[test]
fn where_a_tool_is_served_is_honoured() {
    let names = |text: &str| read(text).tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>();
    let text = "[b]\nserve = [\"remote\"]\n[a]\nrun_as = \"\"\nserve = [\"local\"]\n[c]\ndiscoverable = false\n\
                [d]\nhosts = [\"other\"]\n[e]\nserve = false\n[f]\nhosts = [\"h\"]\nrun_as = \"\"\n";
    assert_eq!(names(text), ["a", "f"]);
}

#[test]
fn run_as_means_one_user_or_none() {
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name;
    let other = if me == "nobody" { "daemon" } else { "nobody" };
    let user = |spec: &str, host: &str| {
        let text = format!("[t]\n{spec}\n").replace("OTHER", other).replace("SELF_NAME", &me);
        let read = read_on(&text, host, Some(Path::new("/")));
        let issues = read.issues.iter().map(ToString::to_string).collect::<Vec<_>>();
        let found = read.tools.first().and_then(|tool| tool.escalation.clone());
        (found.map(|found| found.user), issues)
    };
    let table = "run_as.default = \"OTHER\"\nrun_as.hosts.\"h\" = \"\"\nrun_as.patterns.\"[pq]rod\" = \"SELF_NAME\"\n\
                 run_as.patterns.\"p.*\" = \"OTHER\"";
    for (spec, host, expected) in [
        ("run_as = \"OTHER\"", "h", Some(other)),
        ("run_as = \"SELF_NAME\"", "h", None),
        ("run_as = \"\"", "h", None),
        ("run_as = \"$SELF\"", "h", None),
        ("", "h", None), // the folder is root's
        (table, "h", None),
        (table, "prod", None),
        (table, "prod1", Some(other)),
        (table, "x", Some(other)),
    ] {
        assert_eq!(user(spec, host), (expected.map(str::to_owned), Vec::new()), "{spec} {host}");
    }
    for (spec, said) in [
        ("run_as = \"$UNSET\"", "a variable that is not set"),
        ("run_as = \"no such\"", "not a valid user name"),
        ("run_as = \"-u\"", "not a valid user name"),
        ("run_as = \"nobody-at-all-here\"", "does not exist"),
        ("run_as = 0", "must be a user"),
        ("run_as.default = \"$SELF\"", "not a valid user name"),
        ("run_as.patterns.\"(\" = \"OTHER\"", "pattern"),
    ] {
        let (found, issues) = user(spec, "h");
        assert!(found.is_none() && issues[0].contains(said), "{spec}: {issues:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_file_and_no_call_panics(text in "([\\[\\]={}\",'\n .a-c0-9]|args|type|\\[t\\]|\\[t.args\\]|true)*", name in "[a-c]?", value in "[-a0]*") {
        super::fuzz(&text, &[(name, json!(value))].into_iter().collect());
    }
}
