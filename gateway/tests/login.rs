//! The login page, request by request.

use std::net::TcpListener;

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::http;

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
    let fixture = GatewayFixture::new();
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
    let api = fixture.plane.api_base();
    let list = http::call(&api, token, "GET", "/workspaces?category=active", "");
    assert_eq!(list.status, 200);
    assert_eq!(click(&base, &ticket, &cookie, "authorize").status, 403);
    assert_eq!(http::call(&api, token, "POST", "/logout", "").status, 200);
    assert_eq!(http::call(&api, token, "GET", "/workspaces?category=active", "").status, 401);
}

#[cfg(target_os = "linux")]
#[test]
fn no_token_is_sent_where_nobody_waits() {
    let fixture = GatewayFixture::new();
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
    let fixture = GatewayFixture::new();
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
    let fixture = GatewayFixture::new();
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
    let fixture = GatewayFixture::new();
    let queries =
        ["", "?port=1", "?port=0&state=x", "?port=70000&state=x", "?port=1&state=", "?port=1&state=a%0d%0ab"];
    for query in queries {
        let path = format!("/auth/cli-login/{query}");
        assert_eq!(http::request(&fixture.plane.web_base(), "GET", &path, &[], "").status, 400, "{query}");
    }
}

/// What `runcode login` sends before it opens the page.
fn start(base: &str, port: u16, state: &str, headers: &[(&str, &str)]) -> u16 {
    let body = format!("{{\"port\":{port},\"state\":\"{state}\"}}");
    http::request(base, "POST", "/auth/cli-login/started", headers, &body).status
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn auto_authorize_answers_a_started_login_once() {
    let fixture = GatewayFixture::with(|options| options.auto_authorize = true);
    let base = fixture.plane.web_base();
    let (_listener, port, path) = waiting();
    assert_eq!(start(&base, port, "st-ate", &[JSON]), 200);
    for other in [format!("port={port}&state=other"), "port=4711&state=st-ate".to_owned()] {
        open(&base, &format!("/auth/cli-login/?{other}"));
    }
    let answer = http::request(&base, "GET", &path, &[], "");
    let callback = format!("http://127.0.0.1:{port}/callback?state=st-ate&token=");
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").starts_with(&callback));
    open(&base, &path);
}

/// An address that redirects here is opened by its user, as far as a browser tells; a token must not follow from it.
#[test]
fn auto_authorize_asks_about_any_other_login() {
    let fixture = GatewayFixture::with(|options| options.auto_authorize = true);
    let base = fixture.plane.web_base();
    let (_listener, _, path) = waiting();
    for from in ["none", "cross-site", "same-site", "same-origin"] {
        let page = http::request(&base, "GET", &path, &[("Sec-Fetch-Site", from)], "");
        assert_eq!((page.status, page.header("location")), (200, String::new()), "{from}");
    }
}

#[test]
fn a_web_page_cannot_start_a_login() {
    let fixture = GatewayFixture::with(|options| options.auto_authorize = true);
    let base = fixture.plane.web_base();
    let (_listener, port, path) = waiting();
    let page = [JSON, ("Origin", "http://evil.example")];
    assert_eq!(start(&base, port, "st-ate", &page), 403);
    assert_eq!(start(&base, port, "st-ate", &[JSON, ("Origin", "null")]), 403);
    assert_eq!(start(&base, port, "st-ate", &[JSON, ("Sec-Fetch-Site", "same-origin")]), 403);
    for simple in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(start(&base, port, "st-ate", &[("Content-Type", simple)]), 400, "{simple}");
    }
    assert_eq!(start(&fixture.plane.api_base(), port, "st-ate", &[JSON]), 404);
    assert_eq!(start(&base, port, "st ate", &[JSON]), 400);
    let preflight = http::request(&base, "OPTIONS", "/auth/cli-login/started", &page, "");
    assert_eq!(preflight.header("access-control-allow-origin"), "");
    assert_eq!(http::request(&base, "GET", &path, &[], "").status, 200);
}

#[test]
fn no_page_opens_without_its_secret() {
    let fixture = GatewayFixture::new();
    let (api, web) = (fixture.plane.api_base(), fixture.plane.web_base());
    let secret = web.strip_prefix(&api).unwrap();
    let status = |path: String| http::request(&api, "GET", &path, &[], "").status;
    assert_eq!(status(format!("{secret}{PATH}")), 200);
    let url = fixture.session().bundle["web_url"].as_str().unwrap().to_owned();
    let workspaces = url.strip_prefix(&api).unwrap().strip_suffix("/w/box-1").unwrap().to_owned();
    assert_eq!(status(format!("{workspaces}/w/box-1")), 200);
    assert_ne!(secret, workspaces);
    let (shorter, upper) = (&secret[..secret.len() - 1], secret.to_uppercase());
    let longer = format!("{secret}0");
    for wrong in ["", "/dev-", "/..", shorter, &upper, &longer, &workspaces] {
        assert_eq!(status(format!("{wrong}{PATH}")), 404, "{wrong}");
    }
    assert_eq!((status("/w/box-1".into()), status(format!("{secret}/w/box-1"))), (404, 404));
    let hint = http::request(&api, "GET", PATH, &[], "");
    assert!(hint.body.contains("RUNCODE_WEB_BASE"), "{}", hint.body);
}

#[test]
fn only_a_cookie_that_was_made_here_counts() {
    let fixture = GatewayFixture::new();
    let base = fixture.plane.web_base();
    let (_listener, _, path) = waiting();
    let foreign = format!("runcode_login={}", "a".repeat(32));
    let page = http::request(&base, "GET", &path, &[("Cookie", &foreign)], "");
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_ne!(cookie, foreign);
    let ticket = |page: &http::Answer| {
        page.body.split_once("name=\"ticket\" value=\"").unwrap().1.split('"').next().unwrap().to_owned()
    };
    assert_eq!(click(&base, &ticket(&page), &foreign, "authorize").status, 403);
    // Two pages in one browser, and one in another.
    let second = http::request(&base, "GET", &path, &[("Cookie", &cookie)], "");
    let (_, elsewhere) = open(&base, &path);
    assert_eq!(click(&base, &ticket(&page), &elsewhere, "authorize").status, 403);
    for page in [page, second] {
        assert_eq!(click(&base, &ticket(&page), &cookie, "authorize").status, 303);
    }
    let later = http::request(&base, "GET", &path, &[("Cookie", &cookie)], "");
    assert!(!later.header("set-cookie").starts_with(&cookie), "no page is open in that browser any more");
}

#[test]
fn the_log_holds_no_secret() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let fixture = GatewayFixture::with(|options| options.access_log = Some(log.path().to_owned()));
    open(&fixture.plane.web_base(), PATH);
    let url = fixture.session().bundle["web_url"].as_str().unwrap().to_owned();
    assert_eq!(http::request(&url, "GET", "", &[], "").status, 200);
    let page = url.rsplit_once("/w/").unwrap().0.replacen("/dev-", "/%64ev-", 1);
    for path in ["/w/box-1", "/W/box-1", ""] {
        http::request(&page, "GET", path, &[], "");
    }
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(!text.contains("64ev-"), "{text}");
    assert!(text.contains("\"/auth/cli-login/\"") && text.contains("\"/w/box-1\""), "{text}");
    assert!(!text.contains("dev-"), "{text}");
}
