//! asyncssh, paramiko and ansible from PyPI, through the hosts that `config-ssh` wrote. Those that are no OpenSSH read the key
//! before they start the proxy, so that a session has to be there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::editor_fixture::EditorFixture;
use crate::support::{CommandOutput, skipped};

/// The folder of a virtual environment with the clients; `None`, said loudly, where they cannot be had.
fn environment() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-clients");
    // Tests may be processes: one makes it, the others wait.
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let python = folder.join("bin/python");
    let has_all = || {
        let check = Command::new(&python).args(["-c", "import asyncssh, paramiko, ansible"]).output();
        check.is_ok_and(|output| output.status.success()) && folder.join("bin/ansible").exists()
    };
    if has_all() {
        return Some(folder);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "asyncssh",
        "paramiko",
        "ansible-core",
    ];
    let installed = Command::new(&python).args(pip).output();
    if made.is_ok() && installed.is_ok() && has_all() {
        return Some(folder);
    }
    skipped("asyncssh, paramiko and ansible-core cannot be installed from PyPI here");
    None
}

fn python(fixture: &EditorFixture, script: &str) -> Option<CommandOutput> {
    let python = environment()?.join("bin/python").display().to_string();
    let config = fixture.config().display().to_string();
    Some(CommandOutput::of(
        fixture.program(&python, &["-c", script, &config, &fixture.host]).output().unwrap(),
    ))
}

#[test]
fn asyncssh_connects_with_the_config() {
    let script = r#"
import asyncio, asyncssh, sys
async def main():
    config, host = sys.argv[1:]
    async with asyncssh.connect(host, config=[config]) as connection:
        result = await connection.run('cat; exit 3', input='through asyncssh')
        print(result.stdout, result.exit_status)
        async with connection.start_sftp_client() as sftp:
            print(await sftp.exists('/'))
asyncio.run(main())
"#;
    for fixture in EditorFixture::each() {
        fixture.world.run(&["connect", "1"]).succeeds();
        let Some(said) = python(&fixture, script) else { return };
        assert_eq!(said.succeeds().text(), "through asyncssh 3\nTrue\n");
    }
}

#[test]
fn paramiko_connects_with_the_config() {
    let script = r#"
import paramiko, sys
path, host = sys.argv[1:]
config = paramiko.SSHConfig.from_path(path).lookup(host)
client = paramiko.SSHClient()
client.load_host_keys(config['userknownhostsfile'].strip('"'))
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect(config['hostkeyalias'], username=config['user'], key_filename=[p.strip('"') for p in config['identityfile']],
    sock=paramiko.ProxyCommand(config['proxycommand']), look_for_keys=False, allow_agent=False)
stdin, stdout, stderr = client.exec_command('cat; exit 3')
stdin.write('through paramiko')
stdin.channel.shutdown_write()
print(stdout.read().decode(), stdout.channel.recv_exit_status())
client.close()
"#;
    for fixture in EditorFixture::each() {
        fixture.world.run(&["connect", "1"]).succeeds();
        let Some(said) = python(&fixture, script) else { return };
        assert_eq!(said.succeeds().text(), "through paramiko 3\n");
    }
}

#[test]
fn ansible_pings_the_workspace() {
    for fixture in EditorFixture::each() {
        let Some(environment) = environment() else { return };
        let ansible = environment.join("bin/ansible").display().to_string();
        let inventory = format!("{},", fixture.host);
        let arguments = format!("-F {}", fixture.config().display());
        let line = ["-i", &inventory, "all", "-m", "ping", "--ssh-common-args", &arguments];
        let mut command = fixture.program(&ansible, &line);
        let controls = tempfile::Builder::new().prefix("rc").tempdir_in("/tmp").unwrap();
        command.env("ANSIBLE_HOME", fixture.world.home().join("ansible")).env("LC_ALL", "C.UTF-8");
        command
            .env("ANSIBLE_SSH_CONTROL_PATH_DIR", controls.path())
            .env("ANSIBLE_REMOTE_TEMP", fixture.world.workspace());
        let said = CommandOutput::of(command.output().unwrap());
        assert!(said.text().contains("\"ping\": \"pong\""), "{said:?}");
        for socket in std::fs::read_dir(controls.path()).unwrap().flatten() {
            let path = format!("ControlPath={}", socket.path().display());
            let _ = fixture.ssh(&["-o", &path, "-O", "exit", &fixture.host]).output();
        }
    }
}
