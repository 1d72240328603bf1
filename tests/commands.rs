//! Every command as a user would type it, against the embedded gateway.

use std::process::Stdio;

use crate::support::{CommandOutput, World, until};

#[test]
fn list_shows_workspaces_and_how_to_connect() {
    let world = World::with(|options| {
        let folder = options.workspaces[0].dir.clone();
        let mut stopped = runcode_gateway::WorkspaceSpec::new("blue-sky", &folder);
        stopped.custom_title = Some("Evil \u{1b}[2Jname".into());
        let mut other = runcode_gateway::WorkspaceSpec::new("no-ssh", &folder);
        other.provider = "gcp".into();
        options.workspaces.extend([stopped, other]);
    });
    let rows = world.run(&["list", "--json"]).succeeds().json();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[0]["id"], 1);
    assert_eq!(rows[0]["connectable"], true);
    assert_eq!(rows[1]["title"], "blue-sky");
    assert_eq!(rows[1]["connectable"], false);
    assert!(!rows.to_string().contains("aws"));
    let text = world.run(&["list"]).succeeds();
    assert!(text.text().contains("runcode connect 1"));
    assert!(text.text().contains("runcode connect 2 --start"));
    assert!(!text.text().contains('\u{1b}'));
    assert_eq!(world.run(&["list", "--all", "--json"]).succeeds().json().as_array().unwrap().len(), 3);
}

#[test]
fn plain_ssh_works_with_the_connect_config() {
    let world = World::new();
    let report = world.run(&["connect", "box", "--json"]).succeeds().json();
    for field in [
        "alias",
        "config",
        "command",
        "host",
        "port",
        "user",
        "workdir",
        "expires_at",
        "started",
        "reused",
        "workspace_id",
        "statusline_installed",
        "web_url",
    ] {
        assert!(report.get(field).is_some(), "{field}");
    }
    assert_eq!(
        (&report["alias"], &report["reused"], &report["started"]),
        (&"runcode-box".into(), &false.into(), &false.into())
    );
    let command =
        report["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(command[..2], ["ssh", "-F"]);
    let output = std::process::Command::new(command[0])
        .args(&command[1..])
        .arg("echo plain")
        .env("HOME", world.home())
        .output()
        .unwrap();
    assert_eq!(CommandOutput::of(output).succeeds().text(), "plain\n");
    assert_eq!(world.run(&["connect", "1", "--json"]).succeeds().json()["reused"], true);
    assert_eq!(world.run(&["connect", "box", "--force", "--json"]).succeeds().json()["reused"], false);
}

#[test]
fn a_session_healed_while_waiting_is_new() {
    let mut world = World::new().connected();
    for wait in [&["--wait"][..], &[]] {
        world.restart_plane();
        let arguments = [&["connect", "box", "--json"], wait].concat();
        assert_eq!(world.run(&arguments).succeeds().json()["reused"], false, "{wait:?}");
    }
}

#[test]
fn exec_keeps_status_streams_and_arguments() {
    for world in World::each().into_iter().map(World::connected) {
        world.run(&["exec", "--", "exit 42"]).ends_with(42);
        world.run(&["exec", "--", "exit 255"]).ends_with(255);
        let both = world.run(&["exec", "--", "echo out; echo err >&2"]).succeeds();
        assert_eq!((both.text(), both.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(world.run(&["exec", "--", "sh", "-c", "echo one two"]).succeeds().text(), "one two\n");
        assert_eq!(
            world.run(&["exec", "echo", "-n", "--json", "a  b", "", "$HOME", "*", "'q'"]).succeeds().text(),
            "--json a  b  $HOME * 'q'"
        );
        let random = (0..3_000_000_u32)
            .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3..].to_vec())
            .collect::<Vec<u8>>();
        assert!(world.run_with(&["exec", "--", "cat"], &random).succeeds().stdout == random);
        assert_eq!(world.run(&["exec", "--", "true && echo yes || echo no"]).succeeds().text(), "yes\n");
        assert_eq!(world.run(&["exec", "--env", "A=b c", "--", "echo \"$A\""]).succeeds().text(), "b c\n");
    }
}

#[test]
fn exec_runs_only_in_its_workdir() {
    for world in World::each().into_iter().map(World::connected) {
        let pwd = world.run(&["exec", "--", "pwd"]).succeeds();
        assert_eq!(
            std::fs::canonicalize(pwd.text().trim()).unwrap(),
            std::fs::canonicalize(world.workspace()).unwrap()
        );
        let said =
            world.run(&["exec", "--json", "--cwd", "no", "--", "ls"]).fails_as("not_found", 255).json();
        assert!(said["hint"].as_str().unwrap().contains("use --home alone"), "{said}");
        assert_eq!(world.run(&["exec", "--json", "--", "exit 255"]).ends_with(255).text(), "");
        std::fs::rename(world.workspace(), world.home().join("gone")).unwrap();
        let said = world.run(&["exec", "--", "false || echo ran"]).ends_with(255);
        assert!(!said.text().contains("ran") && !said.stderr.is_empty(), "{said:?}");
    }
}

#[test]
fn option_like_words_reach_the_command() {
    for world in World::each().into_iter().map(World::connected) {
        let mark = world.home().join("mark");
        let evil = format!("-oProxyCommand=touch {}", mark.display());
        world.run(&["exec", "--", evil.as_str()]).ends_with(127);
        world.run(&["exec", "--", "-E", mark.to_str().unwrap()]).ends_with(127);
        assert!(!mark.exists());
    }
}

#[test]
fn no_stdin_leaves_input_unread() {
    let world = World::new().connected();
    let script = "while read line; do \"$0\" exec -n -- echo \"$line\"; done";
    let mut shell = world.command::<&str>(&[]);
    let binary = shell.get_program().to_owned();
    shell = {
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(script).arg(binary).env_clear();
        for (name, value) in shell.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = shell.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"a\nb\nc\n").unwrap();
    assert_eq!(CommandOutput::of(child.wait_with_output().unwrap()).succeeds().text(), "a\nb\nc\n");
}

#[test]
fn stopped_workspaces_start_only_on_request() {
    let world = World::with(|options| options.workspaces[0].running = false);
    world.run(&["connect", "box", "--json"]).fails_as("conflict", 2);
    assert!(!world.cache("attachments").exists());
    let report = world.run(&["connect", "box", "--start", "--wait", "--json"]).succeeds().json();
    assert_eq!((&report["started"], &report["reused"]), (&true.into(), &false.into()));
    world.run(&["exec", "--", "true"]).succeeds();
    assert_eq!(world.run(&["connect", "box", "--start", "--json"]).succeeds().json()["started"], false);
}

#[test]
fn a_workspace_that_never_boots_is_not_ready() {
    let world = World::with(|options| {
        options.workspaces[0].running = false;
        options.boot_delay = std::time::Duration::from_secs(600);
    });
    world.run(&["connect", "box", "--start", "--timeout", "1", "--json"]).fails_as("not_ready", 1);
}

#[test]
fn current_and_status_follow_disconnect() {
    let world = World::new();
    assert!(world.run(&["current"]).succeeds().text().starts_with("no attached workspace"));
    assert!(world.run(&["status"]).succeeds().text().starts_with("no active"));
    assert_eq!(world.run(&["status", "--json"]).succeeds().text(), "[]\n");
    let world = world.connected();
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["workspace_id"], 1);
    let status = world.run(&["status", "--json"]).succeeds().json();
    assert_eq!((&status[0]["workspace_id"], &status[0]["attached"]), (&1.into(), &true.into()));
    assert_eq!(world.run(&["disconnect", "--keep", "--json"]).succeeds().json()["disconnected"], true);
    assert!(world.cache("ws-1/meta.json").exists() && !world.cache("attachments").exists());
    let world = world.connected();
    world.run(&["disconnect"]).succeeds();
    assert!(!world.cache("ws-1").exists());
    assert_eq!(world.run(&["disconnect", "--json"]).succeeds().json()["disconnected"], false);
    assert_eq!(world.run(&["exec", "--json", "--", "true"]).json()["error"], "not_found");
}

#[test]
fn run_attaches_nothing() {
    let world = World::two();
    assert_eq!(world.run(&["run", "BOX", "--", "echo hi"]).succeeds().text(), "hi\n");
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["attached"], false);
    world.run(&["exec", "--json", "--", "true"]).fails_as("not_found", 255);
    let world = world.connected();
    assert_eq!(world.run(&["run", "other", "--", "echo hi"]).succeeds().text(), "hi\n");
    assert_eq!(world.run(&["current", "--json"]).succeeds().json()["workspace_id"], 1);
}

#[test]
fn stop_powers_down_and_detaches() {
    let world = World::new().connected();
    let report = world.run(&["stop", "--json"]).succeeds().json();
    let expected = serde_json::json!({"stopped": true, "workspace_id": 1, "detached": true, "name": "box"});
    assert_eq!(report, expected);
    assert!(!world.cache("ws-1").exists());
    until("it is stopped", || world.run(&["list", "--json"]).json()[0]["state"] == "stopped");
    world.run(&["stop", "box", "--json"]).succeeds();
}

#[test]
fn clean_never_follows_a_link_out() {
    let world = World::new().connected();
    let outside = world.home().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    std::os::unix::fs::symlink(&outside, world.cache("ws-9")).unwrap();
    std::fs::create_dir(world.cache("bin")).unwrap();
    world.run(&["clean", "--all"]).succeeds();
    assert!(outside.join("precious").exists() && world.cache("bin").exists());
    assert!(
        !world.cache("ws-1").exists()
            && !world.cache("ws-9").exists()
            && !world.cache("attachments").exists()
    );
}

#[test]
fn login_saves_the_token_from_the_browser() {
    let world = World::new();
    let mut child = world.command(&["login", "--no-browser"]).env_remove("RUNCODE_TOKEN").spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let url = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("http")).unwrap();
    let (port, state) =
        (url.split("port=").nth(1).unwrap().split('&').next().unwrap(), url.split("state=").nth(1).unwrap());
    let get = |path: &str, host: &str| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let _idle = std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    let host = format!("127.0.0.1:{port}");
    assert!(get("/callback?state=wrong&token=evil", &host).starts_with("HTTP/1.1 400"));
    assert!(get(&format!("/callback?state={state}&token=evil"), "evil.example").starts_with("HTTP/1.1 400"));
    assert!(get("/", &host).starts_with("HTTP/1.1 404"));
    let token = world.plane().token();
    let answer = get(&format!("/callback?state={state}&token={token}&email=you%40localhost"), &host);
    assert!(
        answer.starts_with("HTTP/1.1 200")
            && answer.contains("no-store")
            && answer.contains("no-referrer")
            && !answer.contains(token)
    );
    assert!(lines.map(Result::unwrap).any(|line| line == "✓ Logged in as you@localhost"));
    assert!(child.wait().unwrap().success());
    let file = world.home().join(".config/runcode/token");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), token);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    CommandOutput::of(world.command(&["list"]).env_remove("RUNCODE_TOKEN").output().unwrap()).succeeds();
    world.run(&["logout"]).succeeds();
    world.run(&["logout"]).succeeds();
    CommandOutput::of(
        world.command(&["connect", "1", "--json"]).env_remove("RUNCODE_TOKEN").output().unwrap(),
    )
    .fails_as("no_token", 1);
}

#[test]
fn a_pasted_token_is_checked_before_it_is_saved() {
    let world = World::new();
    world.run_with(&["login", "--paste", "--json"], b"wrong\n").fails_as("unauthorized", 2);
    assert!(!world.home().join(".config/runcode/token").exists());
    let token = format!("{}\n", world.plane().token());
    assert_eq!(
        world.run_with(&["login", "--paste"], token.as_bytes()).succeeds().text().lines().next(),
        Some("✓ Logged in")
    );
}

#[test]
fn stop_reports_what_it_did() {
    let world = World::new();
    let said = world.run(&["stop", "box"]).succeeds();
    assert!(said.text().contains("box (#1) is stopping") && said.text().contains("connect box --start"));
    until("it is stopped", || world.run(&["list", "--json"]).json()[0]["state"] == "stopped");
    for name in ["box", "1"] {
        let said = world.run(&["stop", name]).succeeds();
        assert!(said.text().contains("box (#1) was stopped already"), "{said:?}");
    }
}

#[test]
fn disconnect_unattached_points_to_clean() {
    let world = World::with(|options| {
        let mut web = options.workspaces[0].clone();
        web.title = "web".into();
        options.workspaces.push(web);
    })
    .connected();
    let said = world.run(&["disconnect", "web", "--json"]).fails_as("not_found", 2).json();
    assert!(said["message"].as_str().unwrap().contains("box (#1) is"), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("runcode clean web"), "{said}");
    assert!(world.cache("attachments").exists() && world.cache("ws-1").exists());
    let said = world.run(&["disconnect", "box"]).succeeds();
    assert!(said.text().contains("Detached from box (#1)") && said.text().contains("runcode stop 1"));
    assert!(!world.cache("attachments").exists());
}

#[test]
fn clean_counts_what_it_removes() {
    let world = World::new().connected();
    let said = world.run(&["clean", "box"]).succeeds();
    assert!(said.text().starts_with("✓ Removed the session of box (#1)\n✓ Detached \"/"), "{said:?}");
    assert_eq!(world.run(&["clean", "box"]).succeeds().text(), "there was nothing to clean\n");
    assert_eq!(world.run(&["clean", "1", "--json"]).succeeds().text(), "{\"cleaned\":[]}\n");
}

#[test]
fn an_interrupted_start_says_boot_continues() {
    let world = World::with(|options| {
        options.workspaces[0].running = false;
        options.boot_delay = std::time::Duration::from_secs(600);
    });
    for json in [&[][..], &["--json"]] {
        let arguments = [&["connect", "box", "--start"], json].concat();
        let mut child = world.command(&arguments).spawn().unwrap();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut told).unwrap();
        assert!(told.starts_with("starting workspace #1"), "{told}");
        until("the plane starts it", || world.run(&["list", "--json"]).json()[0]["state"] == "starting");
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        std::io::Read::read_to_string(&mut stderr, &mut told).unwrap();
        let said = CommandOutput::of(child.wait_with_output().unwrap());
        if json.is_empty() {
            assert!(told.contains("`box` keeps booting") && told.contains("runcode stop box"), "{told}");
            said.ends_with(130);
        } else {
            let said = said.fails_as("interrupted", 130).json();
            assert!(said["message"].as_str().unwrap().contains("keeps booting"), "{said}");
        }
        assert!(!world.cache("attachments").exists());
    }
}

/// As `runcode … | head`, whose reader may have gone before the first byte comes.
#[test]
fn a_closed_stdout_ends_quietly() {
    let world = World::new().connected();
    std::fs::write(world.workspace().join("file"), vec![b'x'; 1 << 20]).unwrap();
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["list", "--nope", "--json"],
        &["--help"],
        &["man"],
        #[cfg(feature = "dev")]
        &["demo"],
        &["get", "file"],
        &["exec", "--", "yes"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said = CommandOutput::of(world.command(arguments).stdout(writer).output().unwrap());
        assert!(!said.stderr.contains("runcode:"), "{arguments:?}: {said:?}");
        let status = if arguments.contains(&"--nope") { 2 } else { 141 };
        assert_eq!(said.status, status, "{arguments:?}: {said:?}");
    }
}

#[test]
#[cfg(feature = "dev")]
fn demo_json_is_one_document() {
    let world = World::new();
    let mut command = world.command(&["demo", "--json"]);
    let said = CommandOutput::of(command.env_remove("RUNCODE_TOKEN").output().unwrap()).succeeds();
    assert_eq!(said.json()["ok"], true);
    let commands = said.json()["steps"].as_array().unwrap().clone();
    assert!(commands.len() > 5 && commands.iter().all(|step| step["command"].is_string()), "{commands:?}");
    for line in said.stderr.lines().filter(|line| !line.is_empty()) {
        let is_told = line.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit());
        let is_told =
            is_told || ["just ", "below ", "`runcode login` for"].iter().any(|words| line.starts_with(words));
        assert!(is_told || line.starts_with("   "), "{line:?} stands alone in {}", said.stderr);
    }
    let narrow = said.stderr.lines().filter(|line| !line.contains(" works in ") && !line.contains("http://"));
    assert!(narrow.clone().all(|line| line.chars().count() <= 82), "{}", said.stderr);
}
