//! Folders that have no attachment of their own.

use super::Projects;

#[test]
fn the_only_attachment_serves_elsewhere() {
    let it = Projects::new();
    it.at(&it.a, &["connect", "box"]).succeeds();
    assert_eq!(it.reached(&it.c, &[]), "box");
    let current = it.at(&it.c, &["current", "--json"]).succeeds().json();
    assert_eq!((&current["attached"], &current["near"]), (&true.into(), &false.into()));
    assert_eq!(it.at(&it.a, &["current", "--json"]).succeeds().json()["near"], true);
    assert!(it.at(&it.c, &["current"]).succeeds().text().contains("the only attachment there is"));
    assert_eq!(it.at(&it.c, &["statusline"]).succeeds().text(), "", "it is another project's");
    it.at(&it.b, &["connect", "box"]).succeeds();
    assert_eq!(it.reached(&it.c, &[]), "box", "two folders, one workspace");
    it.at(&it.c, &["disconnect", "--json"]).fails_as("not_found", 2);
}

/// Whoever ends a session does not make the commands of another project go elsewhere.
#[test]
fn stop_and_clean_redirect_no_other_project() {
    let it = Projects::connected();
    let said = it.at(&it.b, &["stop", "box", "--json"]).succeeds().json();
    assert_eq!((&said["name"], &said["detached"]), (&"box".into(), &false.into()));
    let said = it.at(&it.a, &["exec", "--json", "--", "cat", "name"]).fails_as("conflict", 255).json();
    assert!(said["hint"].as_str().unwrap().contains("runcode connect 1 --start"), "{said}");
    it.at(&it.a, &["connect", "box", "--start", "--wait"]).succeeds();
    it.at(&it.b, &["clean", "box"]).succeeds();
    assert!(!it.world.cache("ws-1").exists());
    assert!(it.at(&it.a, &["current"]).succeeds().text().contains("session made at next use"));
    assert_eq!(it.reached(&it.a, &[]), "box");
    // In its own folder, both detach it.
    it.at(&it.a, &["clean"]).succeeds();
    assert_eq!(it.at(&it.a, &["current", "--json"]).succeeds().json()["name"], "other");
    assert_eq!(it.at(&it.b, &["stop", "--json"]).succeeds().json()["detached"], true);
    assert!(!it.world.cache("attachments").exists());
}

/// The same command again, such as Up and Enter, must not end another project's work.
#[test]
fn nothing_ends_what_is_attached_elsewhere() {
    let it = Projects::connected();
    let b = it.b.canonicalize().unwrap().display().to_string();
    for verb in ["stop", "clean", "disconnect"] {
        it.at(&it.a, &["connect", "box", "--start", "--wait"]).succeeds();
        let said = it.at(&it.a, &[verb]).succeeds();
        assert!(said.text().contains(&format!("commands here reach other (#2) for \"{b}\" now")), "{said:?}");
        let said = it.at(&it.a, &[verb, "--json"]).fails_as("not_found", 2).json();
        assert_eq!(said["message"], "no workspace is attached to this folder", "{verb}");
        let hint = said["hint"].as_str().unwrap();
        assert!(hint.starts_with(&format!("other (#2) is attached to \"{b}\": ")), "{hint}");
        let next = if verb == "disconnect" { "run it there; " } else { &format!("runcode {verb} 2") };
        assert!(hint.contains(next), "{hint}");
        assert_eq!(it.at(&it.b, &["current", "--json"]).succeeds().json()["name"], "other", "{verb}");
    }
    // By name, too, a folder is detached only in itself.
    let said = it.at(&it.a, &["disconnect", "other", "--json"]).fails_as("not_found", 2).json();
    assert!(said["message"].as_str().unwrap().contains(&format!("attached to \"{b}\"")), "{said}");
    let said = it.at(&it.b, &["disconnect", "other"]).succeeds();
    assert!(
        said.text()
            .contains(&format!("Detached from other (#2); it keeps running\n  it was attached to \"{b}\"")),
        "{said:?}"
    );
}

/// Whoever types on in a folder that has lost its workspace sees once where that goes.
#[test]
fn a_command_says_once_that_it_goes_elsewhere() {
    let it = Projects::connected();
    let note = |folder| it.at(folder, &["exec", "--", "true"]).succeeds().stderr;
    assert_eq!(note(&it.a), "");
    it.at(&it.a, &["disconnect"]).succeeds();
    let said = note(&it.a);
    assert!(
        said.starts_with("note: nothing is attached to this folder; commands here reach other (#2)"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(note(&it.a), "", "once is enough");
    assert_ne!(note(&it.c), "", "another folder's user has not been told");
    it.at(&it.a, &["connect", "box"]).succeeds();
    assert_eq!(note(&it.a), "");
    it.at(&it.a, &["stop"]).succeeds();
    assert_ne!(note(&it.a), "", "it went elsewhere again");
    it.at(&it.b, &["disconnect"]).succeeds();
    assert_eq!(std::fs::read_dir(it.world.cache("")).unwrap().count(), 0);
}
