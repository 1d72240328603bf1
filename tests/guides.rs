//! Every guide in `docs/guides` is run as a reader would run it, and the protocol's examples are read with its types.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ssh_hosts::login::at_terminal;
use crate::support::{CommandOutput, World, until};

/// A fenced block: what stands after the fence, and the text within.
pub struct Block {
    pub kind: String,
    pub text: String,
}

/// The text of the blocks of this kind on a page of the documentation.
pub(crate) fn texts(name: &str, kind: &str) -> Vec<String> {
    blocks(&page(name)).into_iter().filter(|block| block.kind == kind).map(|block| block.text).collect()
}

pub fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

pub fn blocks(page: &str) -> Vec<Block> {
    let fences = page.split("\n```").skip(1).step_by(2);
    let parts = fences.filter_map(|fence| fence.split_once('\n'));
    parts.map(|(kind, text)| Block { kind: kind.to_owned(), text: format!("{text}\n") }).collect()
}

/// A script of all `sh` blocks, which says before each which one it is.
fn script(blocks: &[Block]) -> String {
    let numbered = blocks.iter().enumerate().filter(|(_, block)| block.kind == "sh");
    numbered.map(|(number, block)| format!("echo '@@{number}'\n{}", block.text)).collect()
}

/// Compares what each `sh` block printed with the `text` block that follows it.
fn compare(blocks: &[Block], printed: &str) {
    let mut compared = 0;
    for part in printed.split("@@").skip(1) {
        let (number, output) = part.split_once('\n').unwrap();
        let next = blocks.get(number.parse::<usize>().unwrap() + 1);
        if let Some(expected) = next.filter(|block| block.kind == "text") {
            assert_eq!(output, expected.text);
            compared += 1;
        }
    }
    assert_eq!(compared, blocks.iter().filter(|block| block.kind == "text").count());
}

fn in_folder(world: &World, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.current_dir(folder);
    for variable in ["RUNCODE_API_BASE", "RUNCODE_WEB_BASE", "RUNCODE_TOKEN"] {
        command.env_remove(variable);
    }
    command
}

fn folder_for_guide(world: &World) -> PathBuf {
    let folder = world.home().join("guide");
    std::fs::create_dir_all(folder.join("hello")).unwrap();
    folder
}

#[test]
#[cfg(feature = "dev")]
fn the_first_session_guide_works() {
    let world = World::new();
    let folder = folder_for_guide(&world);
    let blocks = blocks(&page("guides/first-session.md"));
    let (start, rest) = blocks.split_first().unwrap();
    let serve = start.text.lines().find(|line| line.starts_with("runcode dev ")).unwrap();
    let arguments = serve.split(' ').skip(1).chain(["--", "sh", "-ec"]).collect::<Vec<_>>();
    let mut command = in_folder(&world, &folder, &arguments);
    let said = CommandOutput::of(command.arg(script(rest)).output().unwrap()).succeeds();
    compare(rest, said.text());
}

#[test]
fn the_agents_guide_works() {
    let world = World::new();
    let page = page("guides/agents.md");
    let blocks = blocks(&page);
    let said = run_in(&world, world.home(), &script(&blocks)).succeeds();
    compare(&blocks, said.text());
    let servers = blocks.iter().find(|block| block.kind == "json").unwrap();
    let servers = serde_json::from_str::<serde_json::Value>(&servers.text).unwrap();
    assert_eq!(servers["mcpServers"]["runcode"]["args"], serde_json::json!(["mcp"]));
    // Every tool is in the table, and nothing else is.
    let listed = world
        .run_with(&["mcp"], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n")
        .succeeds()
        .json();
    let tools =
        listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
    let table = page.split("| tool |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().skip(2).map(|row| row.split('|').nth(1).unwrap());
    let named =
        rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(tools.collect::<std::collections::BTreeSet<_>>(), named);
}

#[test]
fn the_box_tools_guide_works() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(world) = own_host_called("buildhost") else { return };
    let folder = world.home().join(".config/runcode");
    std::fs::create_dir_all(&folder).unwrap();
    let blocks = blocks(&page("guides/box-tools.md"));
    std::fs::write(folder.join("serve.toml"), &blocks[0].text).unwrap();
    for name in ["say", "reboot"] {
        let program = blocks.iter().find(|block| block.kind == format!("sh {name}")).unwrap();
        let text = program.text.replace("exec sudo -n /sbin/reboot", "exit 1");
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // The host's home folder has the same files, and the binary.
    let there = world.home().join("sshd");
    std::fs::create_dir_all(there.join(".local/bin")).unwrap();
    std::os::unix::fs::symlink(crate::support::binary(), there.join(".local/bin/runcode")).unwrap();
    std::os::unix::fs::symlink(world.home().join(".config"), there.join(".config")).unwrap();
    let said = run_in(&world, world.home(), &script(&blocks)).succeeds();
    compare(&blocks, said.text());
    let mut command = world.command(&["serve"]);
    command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut peer = crate::mcp::peer::Peer::start(&mut command);
    let said = peer.call("say", serde_json::json!({ "what": "-hi", "times": "2", "loud": true }));
    assert_eq!(said.fine(), "--what=-hi --times 2 --loud\n");
    assert!(peer.call("disk", serde_json::json!({ "folder": "/" })).fine().contains("Filesystem"));
    for (tool, arguments, error) in [
        ("disk", serde_json::json!({ "folder": "-x" }), "invalid_arguments"),
        ("reboot", serde_json::json!({}), "needs_a_human"),
    ] {
        assert_eq!(peer.call(tool, arguments).0["_meta"]["io.runcode/error"]["error"], error);
    }
    drop(peer);
    let file = folder.join("users.toml");
    let table = &blocks.iter().find(|block| block.kind == "toml run_as").unwrap().text;
    let sudo = world.home().join("bin/sudo");
    std::fs::create_dir_all(sudo.parent().unwrap()).unwrap();
    std::fs::write(&sudo, "#!/bin/sh\necho \"sudo $*\"\n").unwrap();
    std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let here = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    for (text, is_other) in
        [(table.clone(), false), (table.replace("db1", &here).replace("oracle", "nobody"), true)]
    {
        std::fs::write(&file, text).unwrap();
        let mut command = world.command(&["serve", "--config", file.to_str().unwrap()]);
        command.env("PATH", format!("{}:/usr/bin:/bin", sudo.parent().unwrap().display()));
        command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        let said = crate::mcp::peer::Peer::start(&mut command).call("whoami", serde_json::json!({}));
        assert_eq!(said.fine() == "sudo -n -u nobody -- /usr/bin/id -un\n", is_other, "{}", said.fine());
    }
}

#[test]
fn the_jobs_guide_works() {
    let world = World::new();
    let blocks = blocks(&page("guides/jobs.md"));
    let said = run_in(&world, world.home(), &script(&blocks)).succeeds();
    compare(&blocks, said.text());
}

#[test]
fn the_protocol_examples_fit_their_types() {
    let page = page("protocol.md");
    let mut read = 0;
    for Block { kind, text } in blocks(&page) {
        match kind.as_str() {
            "json workspaces" => {
                let value = serde_json::from_str::<serde_json::Value>(&text).unwrap();
                let rows = value["data"]["workspaces"].clone();
                serde_json::from_value::<Vec<runcode_wire::WorkspaceRow>>(rows).unwrap();
            }
            "json session-request" => {
                serde_json::from_str::<runcode_wire::SessionRequest>(&text).unwrap();
            }
            "json bundle" => {
                serde_json::from_str::<runcode_wire::Bundle>(&text).unwrap();
            }
            other => panic!("an example of kind `{other}`"),
        }
        read += 1;
    }
    assert_eq!(read, 3);
}

/// A world whose own host is called `name` in its ssh config.
fn own_host_called(name: &str) -> Option<World> {
    let world = World::own_host()?;
    let config = world.home().join(".ssh/config");
    let text = std::fs::read_to_string(&config).unwrap().replace("Host box", &format!("Host {name}"));
    std::fs::write(&config, text).unwrap();
    Some(world)
}

/// Runs the `sh` blocks as one script, with the binary as `runcode`.
fn run_in(world: &World, folder: &Path, script: &str) -> CommandOutput {
    let bin = Path::new(env!("CARGO_BIN_EXE_runcode")).parent().unwrap();
    let mut path = std::ffi::OsString::from(bin);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let ours = world.command::<&str>(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", script]).current_dir(folder);
    shell
        .env_clear()
        .envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", path);
    CommandOutput::of(shell.output().unwrap())
}

#[test]
fn the_any_ssh_host_guide_works() {
    let Some(world) = own_host_called("buildhost") else { return };
    let folder = folder_for_guide(&world);
    let blocks = blocks(&page("guides/any-ssh-host.md"));
    let said = run_in(&world, &folder, &script(&blocks)).succeeds();
    compare(&blocks, said.text());
    assert!(std::fs::read_to_string(folder.join("report")).unwrap().contains("ssh-login"));
}

#[test]
fn the_hpc_guide_works() {
    let Some(mut world) = own_host_called("hpc") else { return };
    if !world.own_sshd().restart_asking_for("314159") {
        return;
    }
    let folder = folder_for_guide(&world);
    let blocks = blocks(&page("guides/hpc-and-2fa.md"));
    let by_hand = blocks.iter().position(|block| block.kind == "console").unwrap();
    let (before, after) = blocks.split_at(by_hand);
    let said = run_in(&world, &folder, &script(before)).succeeds();
    compare(before, said.text());

    let (command, prompt) = after[0].text.strip_prefix("$ runcode ").unwrap().split_once('\n').unwrap();
    let log = world.home().join("typescript");
    let Some(mut person) = at_terminal(&world, &folder, command, &log) else { return };
    let seen = || String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    let prompt = prompt.trim_end().rsplit(' ').next().unwrap();
    until("PAM asks", || seen().contains(prompt));
    person.stdin.as_mut().unwrap().write_all(b"314159\n").unwrap();
    until("it is done", || person.try_wait().unwrap().is_some());

    let said = run_in(&world, &folder, &script(after)).succeeds();
    compare(after, said.text());
}

#[test]
fn the_named_servers_guide_works() {
    let Some(mut world) = World::own_host() else { return };
    let folder = folder_for_guide(&world);
    let blocks = blocks(&page("guides/named-servers.md"));
    // Its server is the one of this world: elsewhere, by another user, and it trusts the CA from the start.
    let ca = world.home().join(".config/runcode/ca.pub");
    world
        .own_sshd()
        .restart_with(&format!("TrustedUserCAKeys {}\nAuthorizedKeysFile none\nBanner none\n", ca.display()));
    let host_key = std::fs::read_to_string(world.own_sshd().file("host_key.pub")).unwrap();
    let host_key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let user = crate::support::real_sshd::user();
    let root = if user == "root" { "\nroot_login_acknowledged = true" } else { "" };
    let port = crate::servers::certified::port(&world);
    let script = script(&blocks)
        .replace("host = \"web1.example\"", &format!("host = \"127.0.0.1\"\nport = {port}"))
        .replace("user = \"deploy\"", &format!("user = \"{user}\"{root}"))
        .replace("# host_keys = [\"ssh-ed25519 AAAA…\"]", &format!("host_keys = [\"{}\"]", host_key.trim()));
    let said = run_in(&world, &folder, &script).succeeds();
    compare(&blocks, said.text());
    for part in [
        "TrustedUserCAKeys",
        "Filesystem",
        "enforced:  key",
        "it lets you in",
        "refused: 255",
        "a second time: 255",
    ] {
        assert!(said.text().contains(part), "{part}: {}", said.text());
    }
}
