//! Servers with names of one's own: servers.toml, and every verb on what it names.

mod approvals;
mod approved;
mod audit;
pub(crate) mod certified;
mod expired;
mod jump;
mod logins;
mod names;
mod passwords;
mod pins;
mod power;
mod profiles;
mod real_signers;
mod recorded;
mod sessions;
mod shown;
mod signers;
mod told;
mod tools;
mod wrong_signers;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{CommandOutput, World};

/// A world whose user has this servers.toml.
fn with_servers(text: &str) -> Option<World> {
    let world = World::own_host()?;
    write(&world, text);
    Some(world)
}

fn file(world: &World) -> PathBuf {
    world.home().join(".config/runcode/servers.toml")
}

fn write(world: &World, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = file(world);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    for (path, mode) in [(file.parent().unwrap(), 0o700), (&file, 0o600)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn init_writes_a_starter_and_keeps_the_old_one() {
    let world = World::new();
    assert_eq!(world.run(&["servers", "check", "--json"]).succeeds().json()["files"], json!([]));
    let said = world.run(&["servers", "init", "--json"]).succeeds().json();
    assert_eq!(said["file"], file(&world).to_str().unwrap());
    assert_eq!((mode(&file(&world)), mode(file(&world).parent().unwrap())), (0o600, 0o700));
    assert_eq!(world.run(&["servers", "check", "--json"]).succeeds().json()["ok"], true);
    let starter = std::fs::read(file(&world)).unwrap();
    world.run(&["servers", "init", "--json"]).fails_as("conflict", 2);
    std::fs::write(file(&world), "# mine\n").unwrap();
    world.run(&["servers", "init", "--json"]).fails_as("conflict", 2);
    assert_eq!(std::fs::read(file(&world)).unwrap(), b"# mine\n");
    let kept = world.run(&["servers", "init", "--force", "--json"]).succeeds().json()["kept"].clone();
    assert_eq!(std::fs::read(kept.as_str().unwrap()).unwrap(), b"# mine\n");
    assert_eq!(std::fs::read(file(&world)).unwrap(), starter);
    // What a link leads to is not ours to replace.
    let other = world.home().join("other");
    std::fs::write(&other, "# other\n").unwrap();
    std::fs::remove_file(file(&world)).unwrap();
    std::os::unix::fs::symlink(&other, file(&world)).unwrap();
    world.run(&["servers", "init", "--force", "--json"]).fails_as("conflict", 2);
    assert_eq!(std::fs::read(&other).unwrap(), b"# other\n");
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let Some(world) = with_servers(
        "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\nport = 70000\npassword = \"hunter2\"\n[serves.x]\n",
    ) else {
        return;
    };
    let said = world.run(&["servers", "check", "--json"]).ends_with(2).json();
    let at = |list: &Value| {
        let rows = list.as_array().unwrap().iter();
        rows.map(|row| row["at"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected = ["servers.gpu.port", "servers.gpu.password", "serves"];
    assert_eq!(
        (said["ok"].clone(), at(&said["errors"])),
        (json!(false), expected.map(str::to_owned).to_vec())
    );
    assert_eq!(said["errors"][0]["line"], 4);
    // Whatever needs the file fails with all of it, and no secret is shown.
    let said = world.run(&["servers", "list", "--json"]).fails_as("bad_config", 2);
    assert_eq!(at(&said.json()["issues"]), expected);
    let said = world.run(&["servers", "list"]).ends_with(2);
    assert!(said.stderr.contains(&format!("{}:4: servers.gpu.port is not between", file(&world).display())));
    for shown in [world.run(&["servers", "check"]), said] {
        let all = format!("{} {}", shown.text(), shown.stderr);
        assert!(all.contains("servers.gpu.password") && !all.contains("hunter2"), "{all}");
    }
}

#[test]
fn no_servers_toml_of_a_project_counts() {
    let world = World::new();
    let servers = "[servers.evil]\nauth_method = \"ssh\"\nhost = \"box\"\n";
    std::fs::write(world.home().join("servers.toml"), servers).unwrap();
    assert_eq!(world.run(&["servers", "list", "--json"]).succeeds().json(), json!([]));
    let named = world.run(&["servers", "list", "--servers", "servers.toml", "--json"]);
    assert_eq!(named.succeeds().json()[0]["name"], "evil");
    let project = world.home().join("project");
    std::fs::create_dir(&project).unwrap();
    for path in ["servers.toml", "/proc/self/cwd/../servers.toml", "/dev/fd/../cwd/../servers.toml"] {
        let mut variable = world.command(&["servers", "list", "--json"]);
        variable.env("RUNCODE_SERVERS", path).current_dir(&project);
        CommandOutput::of(variable.output().unwrap()).fails_as("usage", 2);
    }
    world.run(&["servers", "list", "--servers", "none.toml", "--json"]).fails_as("bad_config", 2);
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(world) = with_servers("[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n") else { return };
    world.run(&["servers", "list"]).succeeds();
    for (path, mode) in [(file(&world), 0o620), (file(&world).parent().unwrap().to_owned(), 0o777)] {
        let before = path.metadata().unwrap().permissions();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let said = world.run(&["servers", "list", "--json"]).fails_as("bad_config", 2).json();
        assert!(said["issues"][0]["message"].as_str().unwrap().contains("others may write"), "{said}");
        std::fs::set_permissions(&path, before).unwrap();
    }
}

/// Whoever may replace a link on the way chooses what is read, whether it is the file's or a folder's.
#[test]
fn no_link_on_the_way_is_another_users() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let Some(world) = with_servers("[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\n") else { return };
    let shared = world.home().join("shared");
    std::fs::create_dir(&shared).unwrap();
    symlink(file(&world), shared.join("current")).unwrap();
    symlink(file(&world).parent().unwrap(), shared.join("folder")).unwrap();
    symlink("shared/current", world.home().join("link")).unwrap();
    for way in ["link", "shared/folder/servers.toml"] {
        let list = ["servers", "list", "--servers", way, "--json"];
        world.run(&list).succeeds();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).unwrap();
        let said = world.run(&list).fails_as("bad_config", 2).json();
        assert!(said["issues"][0]["message"].as_str().unwrap().contains("others may write"), "{said}");
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn list_shows_servers_and_what_keeps_them() {
    let Some(world) = with_servers(
        "[servers.gpu]\nauth_method = \"ssh\"\nhost = \"box\"\nport = 22\nenvironment = \"staging\"\n\
         [servers.old]\nauth_method = \"ssh\"\nhost = \"box\"\nrequires_approval = true\n",
    ) else {
        return;
    };
    let rows = world.run(&["servers", "list", "--json"]).succeeds().json();
    let field = |row: usize, name: &str| rows[row][name].clone();
    assert_eq!(
        (field(0, "name"), field(0, "usable"), field(0, "environment")),
        (json!("gpu"), json!(true), json!("staging"))
    );
    assert_eq!(
        (field(1, "name"), field(1, "usable"), field(1, "requires_approval")),
        (json!("old"), json!(false), json!(true))
    );
    let text = world.run(&["servers", "list"]).succeeds();
    assert!(text.text().contains("runcode connect gpu"), "{}", text.text());
    let warnings = world.run(&["servers", "check", "--json"]).succeeds().json()["warnings"].clone();
    assert!(warnings[0]["message"].as_str().unwrap().contains("requires_approval"), "{warnings}");
}
