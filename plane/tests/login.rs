//! The login page, request by request.

use crate::support::{Fixture, http};

const PATH: &str = "/auth/cli-login/?port=4711&state=st-ate";

/// The page's ticket and the cookie it came with.
fn open(base: &str) -> (String, String) {
    let page = http::request(base, "GET", PATH, &[], "");
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
fn authorizing_hands_out_a_token_that_works_and_the_page_is_spent() {
    let fixture = Fixture::new();
    let base = fixture.plane.web_base();
    let (ticket, cookie) = open(&base);
    let answer = click(&base, &ticket, &cookie, "authorize");
    assert_eq!(answer.status, 303);
    let location = answer.header("location");
    let (_, query) = location.split_once("http://127.0.0.1:4711/callback?state=st-ate&token=").unwrap();
    let (token, email) = query.split_once("&email=").unwrap();
    assert_eq!(email, "you%40localhost");
    assert_ne!(token, fixture.plane.token());
    let list = http::call(&base, token, "GET", "/workspaces?category=active", "");
    assert_eq!(list.status, 200);
    assert_eq!(click(&base, &ticket, &cookie, "authorize").status, 403);
    assert_eq!(http::call(&base, token, "POST", "/logout", "").status, 200);
    assert_eq!(http::call(&base, token, "GET", "/workspaces?category=active", "").status, 401);
}

#[test]
fn denying_says_so_and_strangers_get_nothing() {
    let fixture = Fixture::new();
    let base = fixture.plane.web_base();
    let (ticket, cookie) = open(&base);
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
fn only_a_port_and_a_plain_state_are_taken() {
    let fixture = Fixture::new();
    let queries =
        ["", "?port=1", "?port=0&state=x", "?port=70000&state=x", "?port=1&state=", "?port=1&state=a%0d%0ab"];
    for query in queries {
        let path = format!("/auth/cli-login/{query}");
        assert_eq!(http::request(&fixture.plane.web_base(), "GET", &path, &[], "").status, 400, "{query}");
    }
}

#[test]
fn nobody_is_asked_where_that_was_chosen() {
    let fixture = Fixture::with(|options| options.auto_authorize = true);
    let answer = http::request(&fixture.plane.web_base(), "GET", PATH, &[], "");
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").starts_with("http://127.0.0.1:4711/callback?state=st-ate&token="));
}
