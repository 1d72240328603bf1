//! `statusline`, with what Claude Code really sends.

use serde_json::{Value, json};

use crate::support::{CommandOutput, World};

/// What Claude Code 2.1 writes to its status line's stdin.
fn asking(project: &str, current: &str) -> Vec<u8> {
    json!({
        "session_id": "0b5c…", "transcript_path": "/home/u/.claude/projects/x.jsonl", "cwd": current,
        "model": {"id": "claude-opus-4", "display_name": "Opus"},
        "workspace": {"current_dir": current, "project_dir": project, "added_dirs": []},
        "version": "2.1.329", "output_style": {"name": "default"},
        "cost": {"total_cost_usd": 0.01, "total_duration_ms": 1200, "total_api_duration_ms": 300, "total_lines_added": 0, "total_lines_removed": 0},
        "exceeds_200k_tokens": false,
    })
    .to_string()
    .into_bytes()
}

fn shown(world: &World, project: &str, arguments: &[&str]) -> String {
    let arguments = [&["statusline"], arguments].concat();
    let said = world.run_with(&arguments, &asking(project, project)).succeeds();
    assert_eq!(said.stderr, "");
    said.text().to_owned()
}

fn live(seconds: i64) -> World {
    let world = World::new().connected();
    let path = world.cache("ws-1/meta.json");
    let mut meta: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    meta["web_url"] = json!("https://royal-tree.ws.runcode.io/");
    meta["expires_at"] =
        json!((jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string());
    std::fs::write(&path, meta.to_string()).unwrap();
    world
}

#[test]
fn statusline_shows_workspace_and_minutes_left() {
    for (seconds, colour, minutes) in [(1650, 42, 27), (290, 43, 4), (110, 41, 1), (20, 41, 1)] {
        let world = live(seconds);
        let home = world.home().to_str().unwrap().to_owned();
        let line = format!("\u{1b}[1;30;{colour}m ⬡ working-on:box · ~{minutes}m \u{1b}[0m\n");
        assert_eq!(shown(&world, &home, &[]), line);
        let plain = format!("working-on:box ~{minutes}m\n");
        assert_eq!(shown(&world, &home, &["--plain"]), plain);
    }
}

#[test]
fn statusline_shows_only_in_its_project() {
    let world = live(1650);
    let home = world.home().to_str().unwrap().to_owned();
    let around = world.home().parent().unwrap().to_str().unwrap().to_owned();
    for (project, is_shown) in [
        (home.clone(), true),
        (format!("{home}/sub/folder"), true),
        (around, true),
        (format!("{home}-2"), false),
        ("/nowhere".into(), false),
    ] {
        assert_eq!(!shown(&world, &project, &[]).is_empty(), is_shown, "{project}");
    }
    // Somewhere else for the moment, in the same project.
    let said = world.run_with(&["statusline"], &asking(&home, "/tmp")).succeeds();
    assert!(said.text().contains("working-on:"));
}

#[test]
fn statusline_is_empty_without_a_session() {
    let world = live(-5);
    let home = world.home().to_str().unwrap().to_owned();
    assert_eq!(shown(&world, &home, &[]), "");
    let world = live(1650);
    let home = world.home().to_str().unwrap().to_owned();
    world.run(&["disconnect", "--keep"]).succeeds();
    assert_eq!(shown(&world, &home, &[]), "");
    let never = World::new();
    assert_eq!(shown(&never, never.home().to_str().unwrap(), &[]), "");
}

#[test]
fn statusline_prints_nothing_for_garbage() {
    let world = live(1650);
    for garbage in
        [&b"{"[..], b"[]", b"null", b"\xff\xfe\x00", b"{\"cwd\": 7}", b"{\"workspace\": \"x\"}", b"hello"]
    {
        let said = world.run_with(&["statusline"], garbage).succeeds();
        assert_eq!((said.text(), said.stderr.as_str()), ("", ""));
    }
    for (is_meta, content) in [(false, &b"{broken"[..]), (true, b"\x00"), (false, b"")] {
        let world = live(1650);
        let file = if is_meta { world.cache("ws-1/meta.json") } else { world.attachment() };
        std::fs::write(file, content).unwrap();
        assert_eq!(shown(&world, world.home().to_str().unwrap(), &[]), "");
    }
    let homeless =
        CommandOutput::of(world.command(&["statusline"]).env("HOME", "relative").output().unwrap());
    assert_eq!((homeless.status, homeless.text(), homeless.stderr.as_str()), (0, "", ""));
}

#[test]
fn statusline_wraps_another_one() {
    let world = live(1650);
    let home = world.home().to_str().unwrap().to_owned();
    let wrapped =
        shown(&world, &home, &["--plain", "--wrap", "printf 'theirs %s' \"$(grep -o 2.1.329)\"; exit 3"]);
    assert_eq!(wrapped, "working-on:box ~27m theirs 2.1.329");
    assert_eq!(shown(&world, "/nowhere", &["--wrap", "echo theirs"]), "theirs\n");
    assert_eq!(shown(&world, "/nowhere", &["--wrap", "/no/such/program 2>/dev/null"]), "");
}

#[test]
fn statusline_does_not_wait_for_an_open_pipe() {
    let world = live(1650);
    let mut child =
        world.command(&["statusline", "--plain"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let said = CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
    assert!(said.text().starts_with("working-on:"), "without input it goes by its own folder: {said:?}");
    drop(stdin);
}
