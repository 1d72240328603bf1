//! The protocol's own Python library as a client, in both eras.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{CommandOutput, World, binary, skipped};

/// The Python of a virtual environment with the library; `None`, said loudly, where it cannot be had.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp-client");
    // Tests may be processes: one makes it, the others wait.
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let python = folder.join("bin/python");
    let has_it =
        || Command::new(&python).args(["-c", "import mcp"]).output().is_ok_and(|it| it.status.success());
    if has_it() {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "mcp"];
    let installed = Command::new(&python).args(pip).output();
    if made.is_ok() && installed.is_ok() && has_it() {
        return Some(python);
    }
    skipped("mcp cannot be installed from PyPI here");
    None
}

const SCRIPT: &str = r#"
import anyio, json, os, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main(runcode, how):
    server = StdioServerParameters(command=runcode, args=["mcp"], env=dict(os.environ), cwd=os.getcwd())
    async with stdio_client(server) as (reader, writer):
        async with ClientSession(reader, writer) as session:
            await getattr(session, how)()
            print(session.protocol_version, session.server_info.name, len(session.instructions) > 250)
            tools = (await session.list_tools()).tools
            print(len(tools), tools[0].name)
            told = []
            async def progress(value, total, message):
                told.append(message)
            result = await session.call_tool("exec", {"command": "echo to $((6*7)); sleep 0.3"}, progress_callback=progress)
            print(result.content[0].text.splitlines()[0], told)
            failed = await session.call_tool("exec", {"argv": ["false"]})
            print(json.dumps([failed.content[0].text.startswith("[no output"), failed.model_dump(by_alias=True)["isError"]]))

anyio.run(main, *sys.argv[1:])
"#;

#[test]
fn the_official_client_speaks_both_eras() {
    let Some(python) = python() else { return };
    let world = World::new().connected();
    for (how, version) in [("initialize", "2025-11-25"), ("discover", "2026-07-28")] {
        let ours = world.command::<&str>(&[]);
        let mut command = Command::new(&python);
        command.args(["-c", SCRIPT]).arg(binary()).arg(how).current_dir(world.home());
        command.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = CommandOutput::of(command.output().unwrap()).succeeds();
        let expected = format!("{version} runcode True\n17 list\nto 42 ['to 42']\n[true, true]\n");
        assert_eq!(said.text(), expected);
    }
}
