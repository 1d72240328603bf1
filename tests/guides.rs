//! Every guide in `docs/guides` is run as a reader would run it, and the protocol's examples are read with its types.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Said, World};

/// A fenced block: what stands after the fence, and the text within.
struct Block {
    kind: String,
    text: String,
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
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
    let said = Said::of(command.arg(script(rest)).output().unwrap()).succeeds();
    compare(rest, said.text());
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
                serde_json::from_value::<Vec<runcode_wire::Workspace>>(rows).unwrap();
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

#[test]
fn the_any_ssh_host_guide_works() {
    let Some(world) = World::own_host() else { return };
    let config = world.home().join(".ssh/config");
    let text = std::fs::read_to_string(&config).unwrap().replace("Host box", "Host buildhost");
    std::fs::write(&config, text).unwrap();
    let folder = folder_for_guide(&world);
    let blocks = blocks(&page("guides/any-ssh-host.md"));
    let bin = Path::new(env!("CARGO_BIN_EXE_runcode")).parent().unwrap();
    let mut path = std::ffi::OsString::from(bin);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let ours = world.command::<&str>(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script(&blocks)]).current_dir(&folder);
    shell
        .env_clear()
        .envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", path);
    let said = Said::of(shell.output().unwrap()).succeeds();
    compare(&blocks, said.text());
    assert!(std::fs::read_to_string(folder.join("report")).unwrap().contains("ssh-login"));
}
