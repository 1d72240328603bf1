//! Parts of a file on stdout.

use super::*;

#[test]
fn a_part_of_a_file_is_exact() {
    for world in World::each() {
        let world = world.connected();
        let content = b"one\r\ntwo\n\xff three\nfour";
        fs::write(world.workspace().join("f"), content).unwrap();
        for (options, wanted) in [
            (&["--lines", "2-3"][..], &content[5..17]),
            (&["--lines", "4-"], &content[17..]),
            (&["--lines", "1"], &content[..5]),
            (&["--lines", "9-12"], b""),
            (&["--offset", "5", "--limit", "3"], b"two"),
            (&["--offset", "-4"], b"four"),
            (&["--offset=-900", "--limit", "3"], b"one"),
            (&["--limit", "3"], b"one"),
            (&["--offset", "900"], b""),
        ] {
            let got = world.run(&[&["get", "f"][..], options].concat()).succeeds();
            assert_eq!(got.stdout, wanted, "{options:?}");
        }
        let large = noise(3_000_000);
        fs::write(world.workspace().join("large"), &large).unwrap();
        let got = world.run(&["get", "large", "--offset", "1000000", "--limit", "1500000"]).succeeds();
        assert!(got.stdout == large[1_000_000..2_500_000]);
        let got = world.run(&["get", "large", "--lines", "2-2000"]).succeeds();
        let lines = large.split_inclusive(|&byte| byte == b'\n').skip(1).take(1999).collect::<Vec<_>>();
        assert!(got.stdout == lines.concat());
        world.run(&["get", "f", "--lines", "3-1", "--json"]).fails_as("usage", 2);
        world.run(&["get", "f", "--lines", "1", "--out", "x", "--json"]).fails_as("usage", 2);
        world.run(&["get", "missing", "--lines", "1", "--json"]).fails_as("not_found", 2);
    }
}

/// What was asked for is the bound, whatever the workspace's programs send.
#[test]
fn a_part_is_no_larger_than_asked() {
    let Some((world, own)) = with_programs() else { return };
    fs::write(world.workspace().join("f"), "f\n").unwrap();
    program(&own, "head", "yes x | /usr/bin/head -c 20000000");
    for (options, most) in [(&["--limit", "10"][..], 10), (&["--lines", "1-4"], 8)] {
        let got = world.run(&[&["get", "f"][..], options].concat());
        assert!(got.status != 0 && got.stdout.len() <= most, "{options:?}: {}", got.stdout.len());
    }
    let change = b"<<<<<<<\nx\n=======\ny\n>>>>>>>\n";
    world.run_with(&["edit", "f", "--all", "--json"], change).fails_as("io", 1);
    assert_eq!(fs::read(world.workspace().join("f")).unwrap(), b"f\n");
}
