//! Python environments whose packages describe tools.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::call;
use crate::mcp::peer::Peer;
use crate::support::World;

struct Environment {
    world: World,
    folder: PathBuf,
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

/// What pip records about an editable package.
fn direct_url(source: &Path) -> String {
    let url = format!("file://{}", source.display()).replace(' ', "%20");
    json!({ "url": url, "dir_info": { "editable": true } }).to_string()
}

fn tool(name: &str) -> String {
    format!("[{name}]\n[{name}.args]\nwho = \"me\"\n")
}

impl Environment {
    fn new() -> Environment {
        let world = World::new();
        let folder = world.home().join("prod");
        write(&folder.join("pyvenv.cfg"), "");
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        Environment { world, folder }
    }

    fn site(&self) -> PathBuf {
        self.folder.join("lib/python3.11/site-packages")
    }

    /// Installs a package, with what it requires and what its RECORD lists. Returns the folder of its metadata.
    fn install(&self, package: &str, requires: &str, record: &str) -> PathBuf {
        let info = self.site().join(format!("{package}-1.dist-info"));
        let metadata = format!("Name: {package}\nRequires-Dist: {requires}\n\nRequires-Dist: runspec\n");
        write(&info.join("METADATA"), &metadata);
        write(&info.join("RECORD"), record);
        info
    }

    fn program(&self, name: &str) -> PathBuf {
        let path = self.folder.join("bin").join(name);
        write(&path, "#!/bin/sh\necho \"$1 $2 ${RUNSPEC_CONFIG##*/}\"\n");
        mode(&path, 0o755);
        path
    }

    fn check(&self) -> crate::support::CommandOutput {
        self.world.run(&["serve", "--check", "--venv", self.folder.to_str().unwrap()])
    }
}

#[test]
fn an_environment_is_served_as_it_is() {
    let made = Environment::new();
    for (package, requires) in [("one", "runspec>=0.5"), ("two", "requests")] {
        made.install(package, requires, &format!("{package}/runspec.toml,sha256=x,1\n"));
        write(&made.site().join(package).join("runspec.toml"), &tool(package));
    }
    made.program("one");
    let link = made.folder.join("bin/runspec");
    symlink(crate::support::binary(), &link).unwrap();
    // Under the name that the other program's `jump` looks for, and without options.
    let ours = made.world.command(&["serve"]);
    let mut command = Command::new(link);
    command.arg("serve").env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut peer = Peer::start(&mut command);
    let listed = peer.ask("tools/list", &json!({}))["result"]["tools"].clone();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!("one")));
    assert_eq!(
        call(&mut peer, "one", json!({ "who": "you" }))["content"][0]["text"],
        "--who you runspec.toml\n"
    );
}

#[test]
fn an_editable_package_is_found_in_its_source() {
    let made = Environment::new();
    let source = made.world.home().join("a source");
    // What setuptools and hatchling write: a path or a finder for Python, and where the source is.
    let record = "__editable__.one-1.pth,sha256=x,1\n__editable___one_1_finder.py,,\none-1.dist-info/direct_url.json,,\n";
    let info = made.install("one", "runspec", record);
    write(&info.join("direct_url.json"), &direct_url(&source));
    for (folder, name) in [("one", "one"), ("more", "two"), (".venv", "hidden"), ("src/deep", "deep")] {
        write(&source.join(folder).join("runspec.toml"), &tool(name));
    }
    let said = made.check().succeeds();
    assert_eq!(said.text(), "two\none\n", "one level below the source, and no hidden folder");
    // A second package from the same source adds nothing, and does not clash.
    let second = made.install("second", "runspec", record);
    write(&second.join("direct_url.json"), &direct_url(&source));
    let said = made.check().succeeds();
    assert_eq!((said.text(), said.stderr.as_str()), ("two\none\n", ""));
    std::fs::remove_dir_all(second).unwrap();
    // What is installed with the package takes precedence over its source.
    write(&info.join("RECORD"), &format!("{record}\"one/runspec.toml\",,\n"));
    write(&made.site().join("one/runspec.toml"), &tool("installed"));
    assert_eq!(made.check().succeeds().text(), "installed\n");
}

#[test]
fn an_environment_others_may_write_is_refused() {
    let made = Environment::new();
    let source = made.world.home().join("source");
    let info = made.install("one", "runspec", "one/runspec.toml,,\n");
    let editable = made.install("two", "runspec", "");
    write(&editable.join("direct_url.json"), &direct_url(&source));
    let file = made.site().join("one/runspec.toml");
    write(&file, &tool("one"));
    write(&source.join("two/runspec.toml"), &tool("two"));
    let program = made.program("one");
    assert_eq!(made.check().succeeds().text(), "one\ntwo\n");
    for (path, right) in [
        (&made.folder, 0o755),
        (&made.site(), 0o755),
        (&info, 0o755),
        (&file, 0o644),
        (&program, 0o755),
        (&made.folder.join("bin"), 0o755),
        (&source, 0o755),
        (&source.join("two/runspec.toml"), 0o644),
    ] {
        mode(path, right | 0o022);
        let said = made.check().ends_with(2);
        assert!(said.stderr.contains("others may write"), "{}: {}", path.display(), said.stderr);
        mode(path, right);
    }
    made.check().succeeds();
    if rustix::process::geteuid().is_root() {
        // The environment's owner is trusted, and nobody else.
        let nobody = 65_534;
        std::os::unix::fs::chown(&program, Some(nobody), None).unwrap();
        assert!(made.check().ends_with(2).stderr.contains("another user"));
        std::os::unix::fs::chown(&made.folder, Some(nobody), None).unwrap();
        made.check().succeeds();
    }
}
