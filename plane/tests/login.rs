//! The login page, request by request.

use std::net::TcpListener;

use crate::support::{Fixture, http};

/// For what stops before anybody is called back.
const PATH: &str = "/auth/cli-login/?port=4711&state=st-ate";

/// A port on which somebody waits, as `runcode login` does, and the page's path with it.
fn waiting() -> (TcpListener, u16, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port, format!("/auth/cli-login/?port={port}&state=st-ate"))
}

/// The page's ticket and the cookie it came with.
fn open(base: &str, path: &str) -> (String, String) {
    let page = http::request(base, "GET", path, &[], "");
    assert_eq!(page.status, 200, "{}", page.body);
    let (_, rest) = page.body.split_once("name=\"ticket\" value=\"").unwrap();
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    (rest.split('"').next().unwrap().to_owned(), cookie)
}

fn click(base: &str, ticket: &str, cookie: &str, decision: &str) -> http::Answer {
    let headers = [("Cookie", cookie), ("Content-Type", "application/x-www-form-urlencoded")];
    http::request(base, "POST", PATH, &headers, &format!("ticket={ticket}&decision={decision}"))
}

#[test]
fn a_login_page_works_once() {
    let fixture = Fixture::new();
    let base = fixture.plane.web_base();
    let (_listener, port, path) = waiting();
    let (ticket, cookie) = open(&base, &path);
    let answer = click(&base, &ticket, &cookie, "authorize");
    assert_eq!(answer.status, 303);
    let location = answer.header("location");
    let (origin, query) = location.split_once("/callback?state=st-ate&token=").unwrap();
    assert_eq!(origin, format!("http://127.0.0.1:{port}"));
    let (token, email) = query.split_once("&email=").unwrap();
    assert_eq!(email, "you%40localhost");
    assert_ne!(token, fixture.plane.token());
    let list = http::call(&base, token, "GET", "/workspaces?category=active", "");
    assert_eq!(list.status, 200);
    assert_eq!(click(&base, &ticket, &cookie, "authorize").status, 403);
    assert_eq!(http::call(&base, token, "POST", "/logout", "").status, 200);
    assert_eq!(http::call(&base, token, "GET", "/workspaces?category=active", "").status, 401);
}

#[cfg(target_os = "linux")]
#[test]
fn no_token_is_sent_where_nobody_waits() {
    let fixture = Fixture::new();
    let base = fixture.plane.web_base();
    let (listener, _, path) = waiting();
    let (ticket, cookie) = open(&base, &path);
    drop(listener);
    let answer = click(&base, &ticket, &cookie, "authorize");
    assert_eq!((answer.status, answer.header("location")), (409, String::new()));
    assert!(answer.body.contains("Nothing waits on that port any more"), "{}", answer.body);
}

#[test]
fn denied_and_unknown_logins_get_no_token() {
    let fixture = Fixture::new();
    let base = fixture.plane.web_base();
    let (ticket, cookie) = open(&base, PATH);
    let other = format!("runcode_login={}", "0".repeat(32));
    assert_eq!(click(&base, &ticket, &other, "authorize").status, 403);
    assert_eq!(click(&base, &ticket, "", "authorize").status, 403);
    assert_eq!(click(&base, "wrong", &cookie, "authorize").status, 403);
    let answer = click(&base, &ticket, &cookie, "deny");
    assert_eq!(answer.header("location"), "http://127.0.0.1:4711/callback?state=st-ate&error=access_denied");
}

#[test]
fn the_page_is_locked_down() {
    let fixture = Fixture::new();
    let page = http::request(&fixture.plane.web_base(), "GET", PATH, &[], "");
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self' http://127.0.0.1:4711;"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let cookie = page.header("set-cookie");
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
    assert!(
        !page.body.contains("st-ate") && !page.body.contains("http"),
        "nothing of the query, nothing from outside"
    );
}

#[test]
fn only_a_port_and_plain_state_are_accepted() {
    let fixture = Fixture::new();
    let queries =
        ["", "?port=1", "?port=0&state=x", "?port=70000&state=x", "?port=1&state=", "?port=1&state=a%0d%0ab"];
    for query in queries {
        let path = format!("/auth/cli-login/{query}");
        assert_eq!(http::request(&fixture.plane.web_base(), "GET", &path, &[], "").status, 400, "{query}");
    }
}

#[test]
fn auto_authorize_rejects_cross_site_requests() {
    let fixture = Fixture::with(|options| options.auto_authorize = true);
    let base = fixture.plane.web_base();
    let (_listener, port, path) = waiting();
    for from in ["cross-site", "same-site", "same-origin", ""] {
        let answer = http::request(&base, "GET", &path, &[("Sec-Fetch-Site", from)], "");
        assert_eq!((answer.status, answer.header("location")), (403, String::new()), "{from}");
    }
    for headers in [&[][..], &[("Sec-Fetch-Site", "none")]] {
        let answer = http::request(&base, "GET", &path, headers, "");
        assert_eq!(answer.status, 303);
        let callback = format!("http://127.0.0.1:{port}/callback?state=st-ate&token=");
        assert!(answer.header("location").starts_with(&callback));
    }
}
