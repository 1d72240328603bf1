//! `install-codex`: in and out again, byte for byte.

use crate::support::World;

#[test]
fn environments_come_back_byte_for_byte() {
    let world = World::new();
    let file = world.home().join(".codex/environments.toml");
    assert_eq!(world.run(&["install-codex", "--json"]).json()["changed"], true);
    let ours = std::fs::read_to_string(&file).unwrap();
    assert!(ours.contains("include_local = false") && ours.contains("codex-environment"), "{ours}");
    assert_eq!(world.run(&["install-codex", "--json"]).json()["changed"], false);
    assert_eq!(world.run(&["install-codex", "--remove", "--json"]).json()["changed"], true);
    assert!(!file.exists());
    let own = b"# mine\r\ninclude_local = true\n\xff".as_slice();
    std::fs::write(&file, own).unwrap();
    world.run(&["install-codex", "--json"]).fails_as("conflict", 2);
    assert_eq!(world.run(&["install-codex", "--remove", "--json"]).json()["changed"], false);
    assert_eq!(std::fs::read(&file).unwrap(), own);
    world.run(&["install-codex", "--force"]).succeeds();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ours);
    world.run(&["install-codex", "--remove"]).succeeds();
    assert_eq!(std::fs::read(&file).unwrap(), own);
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "the backup is gone");
    // What has been changed since belongs to the user.
    std::fs::remove_file(&file).unwrap();
    world.run(&["install-codex"]).succeeds();
    let changed = ours.replace("false", "true");
    std::fs::write(&file, &changed).unwrap();
    assert_eq!(world.run(&["install-codex", "--remove", "--json"]).json()["changed"], false);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), changed);
}
