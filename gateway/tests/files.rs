//! Files over `sftp`, `scp` and rsync: the same bytes, names and modes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use crate::support::feed;
use crate::support::gateway_fixture::GatewayFixture;

#[test]
fn scp_copies_trees_in_both_protocols() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    let tree = session.path("tree");
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    let strange = OsStr::from_bytes(b"f \xff'\"$x");
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(tree.join("a").join(strange), &bytes).unwrap();
    std::fs::write(tree.join("a/b/empty"), b"").unwrap();
    std::fs::set_permissions(tree.join("a/b"), std::fs::Permissions::from_mode(0o751)).unwrap();
    for (protocol, target) in [("-s", "sftp"), ("-O", "scp")] {
        let there = session
            .program("scp")
            .args([protocol, "-rp"])
            .arg(&tree)
            .arg(format!("box:{target}"))
            .output()
            .unwrap();
        assert!(there.status.success(), "{there:?}");
        let copy = fixture.folder.path().join(target);
        assert!(std::fs::read(copy.join("a").join(strange)).unwrap() == bytes);
        assert_eq!(std::fs::metadata(copy.join("a/b")).unwrap().permissions().mode() & 0o7777, 0o751);
        let back = session.path(&format!("back-{target}"));
        let back_again = session
            .program("scp")
            .args([protocol, "-rp", &format!("box:{target}")])
            .arg(&back)
            .output()
            .unwrap();
        assert!(back_again.status.success(), "{back_again:?}");
        assert!(std::fs::read(back.join("a").join(strange)).unwrap() == bytes);
    }
}

#[test]
fn sftp_renames_lists_and_refuses() {
    let fixture = GatewayFixture::new();
    let session = fixture.session();
    std::fs::write(fixture.folder.path().join("one"), b"1").unwrap();
    let script = b"pwd\nrename one two\nln -s two three\nmkdir d\ncp two d/four\nchmod 640 d/four\n-rm nothing\nls -1\n";
    let output = feed(session.program("sftp").args(["-q", "-b", "-", "box"]), script);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let home = fixture.folder.path().canonicalize().unwrap();
    assert!(text.contains(&format!("Remote working directory: {}", home.display())), "{text}");
    assert!(text.ends_with("d\nthree\ntwo\n"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such file"));
    assert_eq!(std::fs::read(home.join("three")).unwrap(), b"1");
    assert_eq!(std::fs::metadata(home.join("d/four")).unwrap().permissions().mode() & 0o777, 0o640);
}
