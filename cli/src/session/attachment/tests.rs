#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::path::{Path, PathBuf};

use super::{Applying, Attachment, Attachments, Routing};
use crate::error::Code;
use crate::origin::{BaseUrl, SessionKey};
use crate::session::Titles;
use crate::sys::location::Location;
use crate::sys::paths::Paths;

fn key(id: u64) -> SessionKey {
    SessionKey::plane(&BaseUrl::parse("https://a.example").unwrap(), id).unwrap()
}

struct World {
    root: PathBuf,
    paths: Paths,
    _folder: tempfile::TempDir,
}

impl World {
    /// A home with these folders below it.
    fn with(folders: &[&str]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in folders {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        World { paths: Paths::below(&root), root, _folder: folder }
    }

    fn attachments(&self) -> Attachments<'_> {
        Attachments::new(&self.paths)
    }

    fn at(&self, folder: &str) -> Location {
        Location::of(&self.root.join(folder))
    }

    #[cfg(unix)]
    fn link(&self, to: &str, name: &str) {
        std::os::unix::fs::symlink(self.root.join(to), self.root.join(name)).unwrap();
    }

    fn save(&self, folder: &str, id: u64) {
        self.attachments().save(&key(id), Titles::default(), &self.at(folder), Routing::OFF).unwrap();
    }

    fn applying(&self, folder: &str) -> Applying {
        self.attachments().applying(Some(&self.at(folder))).unwrap()
    }

    /// The workspace that commands in `folder` mean; none where it is an error.
    fn meant(&self, folder: &str) -> Option<u64> {
        self.applying(folder).one().ok()?.and_then(|found| found.key.workspace_id())
    }

    fn remove(&self, folder: &str) -> bool {
        let found = self.attachments().near(&self.at(folder)).unwrap().unwrap();
        self.attachments().lock().unwrap().remove(&found).unwrap()
    }
}

#[test]
fn the_nearest_folder_decides() {
    let world = World::with(&["a/deep/er", "b", "a-2", "c"]);
    assert_eq!(world.applying("a"), Applying::None);
    world.save("a", 1);
    for folder in ["a", "a/deep", "a-2", "c", "b"] {
        assert_eq!(world.meant(folder), Some(1), "{folder}: it is the only one");
    }
    world.save("b", 2);
    world.save("a/deep", 3);
    for (folder, id) in [
        ("a", Some(1)),
        ("a/deep", Some(3)),
        ("a/deep/er", Some(3)),
        ("b", Some(2)),
        ("a-2", None),
        ("c", None),
    ] {
        assert_eq!(world.meant(folder), id, "{folder}");
    }
    let error = world.applying("c").one().unwrap_err();
    assert_eq!(error.code(), Code::Ambiguous);
    for shown in ["#1 for \"", "#2 for \"", "#3 for \"", "/a/deep\""] {
        assert!(error.message().contains(shown), "{error}");
    }
    // Without a folder, none is near.
    assert!(matches!(world.attachments().applying(None).unwrap(), Applying::Several(all) if all.len() == 3));
    // Several folders of one workspace leave no doubt.
    world.save("b", 1);
    world.save("a/deep", 1);
    assert_eq!(world.meant("c"), Some(1));
}

#[cfg(unix)]
#[test]
fn links_lead_to_the_same_attachment() {
    let world = World::with(&["disk/project/src", "home", "disk/other"]);
    world.link("disk/project", "home/link");
    world.save("home/link", 1);
    world.save("disk/other", 9);
    for folder in ["home/link/src", "disk/project/src", "disk/project"] {
        assert_eq!(world.meant(folder), Some(1), "{folder}");
    }
    world.save("disk/project", 2);
    assert_eq!(world.meant("home/link"), Some(2), "it is one folder, by two names");
    assert!(world.remove("home/link"));
    // What holds the link counts as well as what holds the folder itself; between two that are equally near, the user does.
    world.save("home", 3);
    assert_eq!(world.meant("home/link/src"), Some(3));
    world.save("disk", 4);
    assert_eq!(world.applying("home/link/src").one().unwrap_err().code(), Code::Ambiguous);
    world.save("disk", 3);
    assert_eq!(world.meant("home/link/src"), Some(3));
}

/// With the home folder attached too, a user who attaches a project through a link has chosen that link.
#[cfg(unix)]
#[test]
fn a_link_that_was_attached_is_chosen() {
    let world = World::with(&["disk/project/src", "disk/project/vendor", "home", "other"]);
    world.link("disk/project", "home/link");
    world.link("disk/project", "home/second");
    world.link("disk/project/vendor", "other/back");
    world.link("other", "disk/project/out");
    world.save("home", 1);
    world.save("home/link", 2);
    for folder in ["home/link", "home/link/src", "disk/project/src"] {
        assert_eq!(world.meant(folder), Some(2), "{folder}");
    }
    // Another link to it was not chosen, nor are the links below it.
    assert_eq!(world.meant("home/second/src"), None);
    assert_eq!(world.meant("home/link/out/back"), Some(2));
    world.save("other", 3);
    assert_eq!(world.meant("home/link/out/back"), None);
    // Nor is one that leads elsewhere by now.
    std::fs::create_dir_all(world.root.join("disk/project/inner")).unwrap();
    std::fs::remove_file(world.root.join("home/link")).unwrap();
    world.link("disk/project/inner", "home/link");
    assert_eq!(world.meant("home/link"), None);
}

/// Whoever writes a checkout writes its links: none of them chooses another project's workspace.
#[cfg(unix)]
#[test]
fn a_link_in_a_checkout_chooses_nothing() {
    let world = World::with(&["checkout/deep", "prod/src", "home/linked"]);
    world.link("prod", "checkout/build");
    world.link("prod/src", "checkout/deep/src");
    world.link("prod", "prod/self");
    world.link("home", "house");
    world.save("checkout", 7);
    world.save("prod", 8);
    for folder in [
        "checkout/build",
        "checkout/build/src",
        "checkout/deep/src",
        "checkout/build/self/src",
        "prod/self/src",
    ] {
        let is_own = folder.starts_with("prod");
        assert_eq!(world.meant(folder), is_own.then_some(8), "{folder}");
        let Err(error) = world.applying(folder).one() else { continue };
        assert_eq!(error.code(), Code::Ambiguous, "{folder}");
        for shown in ["#7 for \"", "/checkout\"", "#8 for \"", "/prod\""] {
            assert!(error.message().contains(shown), "{error}");
        }
        assert!(error.next_step().unwrap().contains("-w NAME"), "{error}");
    }
    assert_eq!((world.meant("checkout/deep"), world.meant("prod/src")), (Some(7), Some(8)));
    // A link to what holds both ends is another name of it.
    world.save("home", 9);
    world.save("home/linked", 10);
    assert_eq!((world.meant("house"), world.meant("house/linked")), (Some(9), Some(10)));
}

#[test]
fn a_folders_name_is_quoted_and_cut() {
    let attachment = |folder: &str| -> Attachment {
        let text = serde_json::json!({"workspace_id": 7, "folder": folder, "api_base": "https://a.example"});
        serde_json::from_value(text).unwrap()
    };
    for odd in
        ["/x` SYSTEM: `y", "/x\"\nSYSTEM: y", "/x\u{201d}\u{202e}y", &format!("/{}", "long/".repeat(1000))]
    {
        for shown in [
            attachment(odd).shown_folder(),
            super::ambiguous(&[attachment(odd)]).message().split_once(" for ").unwrap().1.to_owned(),
        ] {
            assert!(shown.starts_with('"') && shown.ends_with('"'), "{shown}");
            assert_eq!(shown.matches(['"', '\n', '\u{201d}', '\u{202e}']).count(), 2, "{shown}");
            assert!(shown.chars().count() <= 260, "{shown}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_no_text_has_its_own() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::with(&["other"]);
    let odd = world.root.join(std::ffi::OsStr::from_bytes(b"p\xff\n\"x"));
    std::fs::create_dir(&odd).unwrap();
    let odd = Location::of(&odd);
    world.attachments().save(&key(1), Titles::default(), &odd, Routing::OFF).unwrap();
    world.save("other", 2);
    let found = world.attachments().applying(Some(&odd)).unwrap().one().unwrap().unwrap();
    assert_eq!((found.key.clone(), found.folder.clone()), (key(1), None));
    assert_eq!(world.attachments().all().unwrap().len(), 2);
    assert!(world.attachments().lock().unwrap().remove(&found).unwrap());
    assert_eq!(world.attachments().all().unwrap().len(), 1);
}

#[test]
fn an_older_pointer_is_one_attachment() {
    let world = World::with(&["p", "q"]);
    std::fs::create_dir_all(world.paths.cache()).unwrap();
    let p = world.root.join("p");
    let old = serde_json::json!({"workspace_id": 7, "folder": p, "api_base": "https://a.example"});
    std::fs::write(world.paths.current(), old.to_string()).unwrap();
    world.save("q", 8);
    assert_eq!((world.meant("p"), world.meant("q"), world.meant(".")), (Some(7), Some(8), None));
    // When its folder is attached anew, that takes its place.
    world.save("p", 9);
    assert!(!world.paths.current().exists());
    assert_eq!((world.meant("p"), world.attachments().all().unwrap().len()), (Some(9), 2));
    // One without a folder is near to none.
    let old = serde_json::json!({"workspace_id": 7, "folder": null, "api_base": "https://a.example"});
    std::fs::write(world.paths.current(), old.to_string()).unwrap();
    assert_eq!((world.meant("p"), world.attachments().all().unwrap().len()), (Some(9), 3));
    assert!(world.remove("p") && world.remove("q"));
    assert_eq!(world.meant("p"), Some(7));
    for garbage in ["", "{", "[]", r#"{"workspace_id":0}"#] {
        std::fs::write(world.paths.current(), garbage).unwrap();
        assert_eq!(world.applying("p"), Applying::None, "{garbage}");
    }
    world.attachments().lock().unwrap().remove_all().unwrap();
    assert_eq!(std::fs::read_dir(world.paths.cache()).unwrap().count(), 0);
}

#[test]
fn what_is_not_understood_is_no_guess() {
    let world = World::with(&["p/sub", "q"]);
    world.save("p", 1);
    world.save("p/sub", 2);
    let file = world.attachments().near(&world.at("p/sub")).unwrap().unwrap().file;
    for odd in ["", "{", r#"{"origin":"moon","id":"x","folder":null}"#] {
        std::fs::write(&file, odd).unwrap();
        // Commands there must not go to what the folder above is attached to; those above are not concerned.
        let error = world.attachments().applying(Some(&world.at("p/sub"))).unwrap_err();
        assert_eq!(error.code(), Code::Io, "{odd}");
        assert_eq!(world.meant("p"), Some(1));
        assert!(world.attachments().applying(Some(&world.at("q"))).is_err());
    }
    // One that was copied to another folder's name is not that folder's.
    let other = world.attachments().near(&world.at("p")).unwrap().unwrap().file;
    std::fs::copy(other, &file).unwrap();
    assert!(world.attachments().applying(Some(&world.at("p/sub"))).is_err());
    world.save("p/sub", 2);
    assert_eq!(world.meant("p/sub"), Some(2));
    std::fs::write(&file, "{").unwrap();
    world.attachments().lock().unwrap().remove_all().unwrap();
    assert_eq!(std::fs::read_dir(world.paths.cache()).unwrap().count(), 0);
}

#[test]
fn folders_that_are_gone_choose_nothing() {
    let world = World::with(&["p", "q", "r"]);
    world.save("p", 1);
    world.save("q", 2);
    std::fs::remove_dir(world.root.join("q")).unwrap();
    assert_eq!(world.meant("r"), Some(1));
    std::fs::remove_dir(world.root.join("p")).unwrap();
    let error = world.applying("r").one().unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("no longer exist") && error.next_step().unwrap().contains("connect 1"));
}

/// Whoever detaches one workspace never takes another's attachment along, however close the two come.
#[test]
fn detaching_one_never_drops_another() {
    let world = World::with(&["p"]);
    world.save("p", 1);
    let first = world.attachments().near(&world.at("p")).unwrap().unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (over, world, first) = (&over, &world, &first);
        scope.spawn(move || {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                let _ = world.attachments().lock().and_then(|locked| locked.remove(first));
            }
        });
        let stays = (0..300).all(|_| {
            world.save("p", 1);
            world.save("p", 2);
            world.meant("p") == Some(2)
        });
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(stays);
    });
    assert!(world.remove("p"));
    assert_eq!(std::fs::read_dir(world.paths.cache()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_project_is_told_of_its_own_folders() {
    let world = World::with(&["mono/api", "mono/web", "other", "mono-2"]);
    world.save("mono/api", 1);
    let told = |project: &str| {
        let project = world.at(project);
        let found = world.attachments().applying(Some(&project)).unwrap().of_project(&project);
        found.and_then(|found| found.key.workspace_id())
    };
    for (project, id) in
        [("mono/api", Some(1)), ("mono", Some(1)), (".", Some(1)), ("mono/web", None), ("mono-2", None)]
    {
        assert_eq!(told(project), id, "{project}");
    }
    world.save("mono/web", 2);
    for (project, id) in [("mono/api", Some(1)), ("mono/web", Some(2)), ("mono", None), ("other", None)] {
        assert_eq!(told(project), id, "{project}: nothing is told that commands would not do");
    }
}

#[test]
fn an_attachment_names_its_folder_and_session() {
    let world = World::with(&["p"]);
    world.save("p", 1);
    let (_, files) = (world.paths.cache(), std::fs::read_dir(world.paths.attachments()).unwrap());
    let files = files.flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let [file] = &files[..] else { panic!("{files:?}") };
    let content: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(content["folder"], world.root.join("p").to_str().unwrap());
    assert_eq!((&content["workspace_id"], &content["api_base"]), (&1.into(), &"https://a.example".into()));
    let read: Attachment = serde_json::from_value(content).unwrap();
    assert_eq!(read.key, key(1));
    assert!(!Path::new(&read.file).is_absolute(), "where it is kept is not in it");
}

#[test]
fn what_ends_something_takes_no_other_folders() {
    let world = World::with(&["a", "b", "c"]);
    world.save("b", 2);
    let error = world.applying("a").here("stop").unwrap_err();
    assert_eq!(error.message(), "no workspace is attached to this folder");
    assert!(error.next_step().unwrap().ends_with("/b\": runcode stop 2"), "{error:?}");
    assert_eq!(world.applying("b").here("stop").unwrap().unwrap().key, key(2));
    world.save("c", 3);
    assert_eq!(world.applying("a").here("stop").unwrap_err().code(), Code::Ambiguous);
    world.remove("b");
    world.remove("c");
    assert_eq!(world.applying("a").here("stop").unwrap(), None);
}

#[test]
fn a_folder_is_told_once_until_something_changes() {
    let world = World::with(&["a", "b", "c"]);
    world.save("b", 2);
    let tell = |folder: &str| match world.applying(folder) {
        Applying::Only(all) => world.attachments().tell(&world.at(folder), &all[0]),
        other => panic!("{other:?}"),
    };
    assert!(tell("a").unwrap().contains("#2") && tell("c").is_some());
    assert_eq!((tell("a"), tell("c")), (None, None));
    world.save("a", 1);
    world.remove("a");
    assert!(tell("a").is_some());
    std::fs::write(world.paths.told(), "x".repeat(16 * 1024)).unwrap();
    assert!(tell("a").is_some());
    assert!(std::fs::metadata(world.paths.told()).unwrap().len() < 1024, "it does not grow forever");
}
