//! Files of the workspace.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::peer::{Peer, address};
use crate::support::World;

fn at(world: &World, below: &str) -> Value {
    json!({ "path": address(world, below), "sandbox": null })
}

#[test]
fn a_patch_reads_and_writes_there() {
    for world in World::each().into_iter().chain(World::own_host()) {
        let world = world.connected();
        let mut peer = Peer::of(&world);
        let all = (0..=255).cycle().take(300_000).collect::<Vec<u8>>();
        std::fs::write(world.home().join("local.txt"), "of this machine").unwrap();
        for name in ["local.txt", "none/x"] {
            assert_eq!(peer.refused("fs/readFile", at(&world, name)).0, -32004, "{name}");
            assert_eq!(peer.refused("fs/getMetadata", at(&world, name)).0, -32004, "{name}");
        }
        let mut write = at(&world, "a%20b/deep/%C3%A9");
        write["dataBase64"] = Base64::encode_string(&all).into();
        peer.ask("fs/createDirectory", json!({ "path": address(&world, "a%20b/deep"), "recursive": true }));
        peer.ask("fs/writeFile", write);
        let file = world.workspace().join("a b/deep/é");
        assert_eq!(std::fs::read(&file).unwrap(), all);
        let read = peer.ask("fs/readFile", at(&world, "a%20b/deep/%C3%A9"));
        assert_eq!(read["dataBase64"], Base64::encode_string(&all));
        let found = peer.ask("fs/getMetadata", at(&world, "a%20b/deep/%C3%A9"));
        assert_eq!((&found["isFile"], &found["size"]), (&json!(true), &json!(300_000)));
        assert!(found["modifiedAtMs"].as_i64().unwrap() > 1_000_000_000_000, "{found}");
        let entries = peer.ask("fs/readDirectory", at(&world, "a%20b"));
        assert_eq!(entries["entries"], json!([{ "fileName": "deep", "isDirectory": true, "isFile": false }]));
        std::os::unix::fs::symlink("a b", world.workspace().join("link")).unwrap();
        let real = peer.ask("fs/canonicalize", at(&world, "link/deep"));
        assert_eq!(real["path"], address(&world, "a%20b/deep"));
        let copy = json!({ "sourcePath": address(&world, "a%20b"), "destinationPath": address(&world, "copy"), "recursive": true });
        peer.ask("fs/copy", copy);
        assert_eq!(std::fs::read(world.workspace().join("copy/deep/é")).unwrap(), all);
        let mut remove = at(&world, "a%20b");
        remove["recursive"] = false.into();
        assert_eq!(peer.refused("fs/remove", remove.clone()).0, -32603);
        remove["recursive"] = true.into();
        peer.ask("fs/remove", remove.clone());
        remove["force"] = false.into();
        assert_eq!(peer.refused("fs/remove", remove).0, -32004);
        assert!(!file.exists() && world.home().join("local.txt").exists());
        assert_eq!(peer.refused("fs/readFile", at(&world, "copy")).0, -32603, "a folder");
        assert!(!world.home().join("copy").exists(), "it was made here");
    }
}
