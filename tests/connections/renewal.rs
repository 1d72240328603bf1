//! Sessions in their last moments.

use crate::support::rough::{From, Rough};

/// An HTTP answer, whole.
fn http(status: u16, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[test]
fn a_blip_ends_no_valid_session() {
    let Some(rough) = Rough::new(From::Plane, "") else { return };
    rough.grants(|grants| grants.ttl = 80);
    let rough = rough.connected();
    let json = "application/json";
    let answers = [
        http(429, json, r#"{"message":"slow down"}"#),
        http(500, json, "{}"),
        http(503, "text/html", "<html>maintenance</html>"),
        http(200, "text/html", "<html>log in to the hotel's network</html>"),
        http(200, json, "{\"error\":false,\"bun"),
        b"HTTP/1.1 302 Found\r\nLocation: https://portal.example/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Vec::new(), // it hangs up
        b"SSH-2.0-x\r\n".to_vec(),
    ];
    for answer in answers {
        let asked = rough.asked();
        rough.grants(|grants| grants.instead = Some(answer.clone()));
        let said = rough.world.run(&["exec", "--", "echo ok"]).succeeds();
        assert_eq!((said.text(), rough.asked()), ("ok\n", asked + 1), "{}", String::from_utf8_lossy(&answer));
    }
    // A connection that is gone is made with it, too.
    rough.kill_master();
    assert_eq!(rough.world.run(&["run", "1", "--", "echo ok"]).succeeds().text(), "ok\n");
    // A no is a no.
    for (status, code) in [(401, "unauthorized"), (403, "forbidden"), (404, "not_found"), (409, "conflict")] {
        rough.grants(|grants| grants.instead = Some(http(status, json, "{}")));
        rough.world.run(&["run", "1", "--json", "--", "true"]).fails_as(code, 255);
    }
    rough.grants(|grants| (grants.instead, grants.ttl) = (None, 1800));
    assert_eq!(rough.world.run(&["run", "1", "--", "echo ok"]).succeeds().text(), "ok\n");
}
