#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OURS: &str = "\"/home/u/.local/bin/runcode\" statusline";

fn put(content: &str, foreign: Foreign) -> String {
    String::from_utf8(install(Some(content.as_bytes()), OURS, foreign).unwrap()).unwrap()
}

fn undone(content: &str) -> String {
    match undo(content.as_bytes(), None).unwrap() {
        Undone::File(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn line_of(text: &str) -> Value {
    let object = Object::parse(text).unwrap();
    let member = object.named(text, KEY).next().unwrap();
    serde_json::from_str(&text[object.members[member].value.clone()]).unwrap()
}

#[test]
fn the_member_is_added_in_the_files_own_style() {
    let text = put("{\n    \"model\": \"opus\",\n    \"a\": [1, 2]\n}\n", Foreign::Refuse);
    assert_eq!(
        text,
        "{\n    \"model\": \"opus\",\n    \"a\": [1, 2],\n    \"statusLine\": {\n        \"type\": \"command\",\n        \
         \"command\": \"\\\"/home/u/.local/bin/runcode\\\" statusline\",\n        \"padding\": 0\n    }\n}\n"
    );
    assert_eq!(line_of(&text), json!({"type": "command", "command": OURS, "padding": 0}));
    let text = put("{\"a\":1}", Foreign::Refuse);
    assert!(text.starts_with("{\"a\":1,\"statusLine\": {\"type\""), "{text}");
    let text = put("{\r\n\t\"a\": 1\r\n}", Foreign::Refuse);
    assert!(!text.replace("\r\n", "").contains('\n'), "{text:?}");
}

#[test]
fn a_file_that_was_not_there_goes_again() {
    let made = install(None, OURS, Foreign::Refuse).unwrap();
    assert!(made.ends_with(b"\n  }\n}\n"));
    assert_eq!(undo(&made, None).unwrap(), Undone::NoFile);
    assert_eq!(undo(&made, Some(b"{}\n")).unwrap(), Undone::File(b"{}\n".to_vec()));
    assert_eq!(undo(&made, Some(b"{\"stale\":1}")).unwrap(), Undone::NoFile);
}

#[test]
fn another_status_line_is_kept_by_default() {
    let theirs = "{\"statusLine\": {\"type\":\"command\" , \"command\": \"~/x.sh 'a' \\u0027 \\\"q\\\" \\/\", \"padding\":2}}";
    assert!(install(Some(theirs.as_bytes()), OURS, Foreign::Refuse).is_err());
    let replaced = put(theirs, Foreign::Replace);
    assert_eq!(line_of(&replaced)["command"], OURS);
    assert_eq!(undo(replaced.as_bytes(), Some(theirs.as_bytes())).unwrap(), Undone::File(theirs.into()));
    let wrapped = put(theirs, Foreign::Wrap);
    let command = line_of(&wrapped)["command"].as_str().unwrap().to_owned();
    assert_eq!(shell_word::split(&command).unwrap()[2..], ["--wrap", "~/x.sh 'a' ' \"q\" /"]);
    assert_eq!(put(&wrapped, Foreign::Wrap), wrapped, "wrapping twice changes nothing");
    assert_eq!(undone(&wrapped), theirs);
    for odd in [
        "{\"statusLine\":null}",
        "{\"statusLine\":{\"type\":\"static\"}}",
        "{\"statusLine\":{\"command\":7}}",
    ] {
        assert!(install(Some(odd.as_bytes()), OURS, Foreign::Wrap).is_err(), "{odd}");
        assert_eq!(undo(odd.as_bytes(), None).unwrap(), Undone::Nothing, "{odd}");
    }
}

#[test]
fn our_line_at_another_path_keeps_its_options() {
    let old = r#"{"statusLine": {"command": "/old/runcode statusline --plain --wrap 'x'", "padding": 3}}"#;
    let new = put(old, Foreign::Refuse);
    assert_eq!(line_of(&new), json!({"command": format!("{OURS} --plain --wrap 'x'"), "padding": 3}));
    assert_eq!(installed(new.as_bytes()).as_deref(), Some(OURS));
}

#[test]
fn what_is_no_json_object_is_refused() {
    for bad in
        ["[]", "null", "{broken", "\u{feff}[]", "{} x", "// c\n{}", "{\"statusLine\":1,\"statusLine\":2}"]
    {
        assert!(install(Some(bad.as_bytes()), OURS, Foreign::Replace).is_err(), "{bad:?}");
        assert!(undo(bad.as_bytes(), None).is_err(), "{bad:?}");
    }
    assert!(install(Some(b"{\"a\":\"\xff\"}"), OURS, Foreign::Replace).is_err());
}

/// A settings file in some style; `line` is a status line of somebody else's, when there is one.
fn settings(line: Option<String>) -> impl Strategy<Value = String> {
    let space = prop_oneof![
        Just(""),
        Just(" "),
        Just("\n"),
        Just("\n  "),
        Just("\r\n\t"),
        Just("\n\n    "),
        Just("\t")
    ];
    let value = prop_oneof![
        Just("1e5".to_owned()),
        Just("[ ]".to_owned()),
        Just("{\"statusLine\":{\"command\":\"x\"}}".to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        Just("\"\\ud800\\/\"".to_owned()),
    ];
    let member = (space.clone(), "[a-z]{1,5}", space.clone(), space.clone(), value, space.clone());
    (prop::collection::vec(member, 0..4), any::<prop::sample::Index>(), space.clone(), space).prop_map(
        move |(members, place, within, after)| {
            let mut members = members
                .into_iter()
                .map(|(a, key, b, c, value, d)| format!("{a}\"{key}\"{b}:{c}{value}{d}"))
                .collect::<Vec<_>>();
            if let Some(line) = &line {
                members.insert(place.index(members.len() + 1), format!("\"statusLine\":{within}{line}"));
            }
            let inside = if members.is_empty() { within.to_owned() } else { members.join(",") };
            format!("{after}{{{inside}}}{after}")
        },
    )
}

/// The inside of a JSON string: letters, quotes and escapes of every kind.
fn literal() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a"),
        Just(" "),
        Just("'"),
        Just("\\u0027"),
        Just("\\\\"),
        Just("\\\""),
        Just("\\n"),
        Just("é"),
        Just("\\/"),
        Just("$x"),
        Just("'\\\\''"),
        Just("--wrap '"),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn line() -> impl Strategy<Value = String> {
    literal().prop_map(|command| format!("{{ \"type\": \"command\",\"command\" : \"{command}\" }}"))
}

proptest! {
    #[test]
    fn removing_gives_the_old_bytes_back(old in settings(None)) {
        let new = put(&old, Foreign::Refuse);
        prop_assert_eq!(line_of(&new), json!({"type": "command", "command": OURS, "padding": 0}));
        prop_assert_eq!(&put(&new, Foreign::Refuse), &new);
        match undo(new.as_bytes(), Some(old.as_bytes())).unwrap() {
            Undone::File(bytes) => prop_assert_eq!(String::from_utf8(bytes).unwrap(), old.clone()),
            other => prop_assert!(false, "{:?}", other),
        }
        // Without the backup too, but for the one text that looks like a file of our own making.
        if old != "{}\n" {
            prop_assert_eq!(undone(&new), old);
        }
    }

    #[test]
    fn unwrapping_and_restoring_give_the_old_bytes(old in line().prop_flat_map(|line| settings(Some(line)))) {
        let wrapped = put(&old, Foreign::Wrap);
        prop_assert_eq!(undone(&wrapped), old.clone());
        let replaced = put(&old, Foreign::Replace);
        prop_assert_eq!(undo(replaced.as_bytes(), Some(old.as_bytes())).unwrap(), Undone::File(old.into_bytes()));
    }

    #[test]
    fn a_wrapped_command_reaches_the_shell_unchanged(command in literal()) {
        let decoded = serde_json::from_str::<String>(&format!("\"{command}\"")).unwrap();
        let wrapped = put(&format!("{{\"statusLine\":{{\"command\":\"{command}\"}}}}"), Foreign::Wrap);
        let words = shell_word::split(line_of(&wrapped)["command"].as_str().unwrap()).unwrap();
        prop_assert_eq!(&words[2..], ["--wrap".to_owned(), decoded]);
    }
}

#[test]
fn a_byte_order_mark_stays() {
    let marked = "\u{feff}{\"model\":\"x\"}\n";
    let set = put(marked, Foreign::Refuse);
    assert!(set.starts_with('\u{feff}') && installed(set.as_bytes()).is_some(), "{set:?}");
    assert_eq!(undone(&set), marked);
    assert_eq!(undo("\u{feff}".as_bytes(), None).unwrap(), Undone::Nothing);
}

#[test]
fn an_empty_file_has_no_settings() {
    for empty in ["", "\n", " \r\n", "\u{feff}"] {
        let set = put(empty, Foreign::Refuse);
        assert_eq!(installed(set.as_bytes()).as_deref(), Some(OURS), "{empty:?}");
        assert_eq!(undo(set.as_bytes(), Some(empty.as_bytes())).unwrap(), Undone::File(empty.into()));
    }
}

#[test]
fn utf_16_is_told_and_not_touched() {
    for content in [b"\xff\xfe{\0}\0".as_slice(), b"\xfe\xff\0{\0}"] {
        let error = install(Some(content), OURS, Foreign::Replace).unwrap_err();
        assert!(error.message().contains("UTF-16"), "{}", error.message());
    }
}

#[test]
fn what_hides_the_status_line_is_found() {
    let top = tempfile::tempdir().unwrap();
    let (user, project) = (top.path().join("home/.claude/settings.json"), top.path().join("home/project"));
    let below = project.join("src/deep");
    for folder in [user.parent().unwrap(), &below, &project.join(".claude")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let settings = |name: &str, text: &str| std::fs::write(project.join(".claude").join(name), text).unwrap();
    std::fs::write(&user, put("{}", Foreign::Refuse)).unwrap();
    assert_eq!(hidden(&user, &below), None);
    settings("settings.json", r#"{"statusLine":{"type":"command","command":"theirs"}}"#);
    assert_eq!(hidden(&user, &below), Some(Hidden::Project(project.join(".claude/settings.json"))));
    assert_eq!(hidden(&user, &top.path().join("home")), None);
    settings("settings.local.json", r#"{"disableAllHooks":true}"#);
    assert_eq!(hidden(&user, &project), Some(Hidden::Disabled(project.join(".claude/settings.local.json"))));
    settings("settings.local.json", &put("{}", Foreign::Refuse));
    settings("settings.json", "not JSON");
    assert_eq!(hidden(&user, &project), None);
    std::fs::write(&user, r#"{"disableAllHooks":true}"#).unwrap();
    assert_eq!(hidden(&user, &project), Some(Hidden::Disabled(user.clone())));
}
