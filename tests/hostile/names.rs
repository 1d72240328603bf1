//! Names that somebody else could inherit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::fake_plane::{FakePlane, respond};
use crate::support::{World, http};

/// The user calls their own workspace `api`. It is gone; a teammate's workspace has the name now, as its title or as its custom title.
#[test]
fn nobody_inherits_a_custom_title() {
    for (title, custom) in [("API", ""), ("web", "api")] {
        let world = World::new();
        let is_gone = Arc::new(AtomicBool::new(false));
        let (base, token, gone) = (world.base(), world.token().to_owned(), Arc::clone(&is_gone));
        let row = |id: u64, title: &str, custom: &str| json!({"id": id, "title": title, "custom_title": custom, "provider": "aws", "current_state": "running"});
        let (own, theirs) = (row(1, "box", "api"), row(3, title, custom));
        let plane = FakePlane::start(move |request, stream| {
            let is_gone = gone.load(Ordering::SeqCst);
            let rows = match request.line.contains("category=shared") {
                true => json!([theirs]),
                false if is_gone => json!([]),
                false => json!([own]),
            };
            if request.line.starts_with("GET") {
                let list = json!({"error": false, "data": {"workspaces": rows}});
                return respond(stream, 200, list.to_string().as_bytes());
            }
            let asked = request.text.split("\r\n\r\n").nth(1).unwrap();
            let answer = http::call(&base, &token, "POST", "/workspace/1/ssh-session", asked);
            respond(stream, answer.status, answer.body.as_bytes());
        });
        let run = |arguments: &[&str]| world.run_at(&plane.base(), arguments);
        run(&["connect", "Api"]).succeeds();
        run(&["connect", "1", "--force"]).succeeds(); // reads no list
        is_gone.store(true, Ordering::SeqCst);
        let is_refused = |what: &str| {
            for (arguments, status) in [
                (&["connect", "api", "--json"][..], 2),
                (&["run", "api", "--json", "--", "true"], 255),
                (&["exec", "-w", "API", "--json", "--", "true"], 255),
            ] {
                let said = run(arguments).fails_as("ambiguous", status).json();
                let message = said["message"].as_str().unwrap();
                assert!(message.contains("is 1, and also 3, which someone else shares"), "{what}: {message}");
            }
        };
        is_refused("a session knows the name");
        let session = world.session_file("meta.json");
        std::fs::remove_dir_all(session.parent().unwrap()).unwrap();
        is_refused("the attachment knows the name");
        assert!(plane.seen().iter().all(|request| !request.line.contains("/3/")));
    }
}
