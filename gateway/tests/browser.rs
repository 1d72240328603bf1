//! The login page in a real browser.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::support::chromium::Chromium;
use crate::support::gateway_fixture::GatewayFixture;
use crate::support::http;

/// Clicks a button on the page that `runcode login` would open; the request that its listener then gets.
fn callback_after(fixture: &GatewayFixture, chromium: &mut Chromium, decision: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    chromium.open(&format!("{}/auth/cli-login/?port={port}&state=abc", fixture.plane.web_base()));
    chromium.evaluate(&format!("document.querySelector('button[value={decision}]').click()"));
    let (mut connection, _) = listener.accept().unwrap();
    let mut request = [0; 4096];
    let read = connection.read(&mut request).unwrap();
    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    assert!(!request.to_lowercase().contains("referer:"), "{request}");
    request.lines().next().unwrap().to_owned()
}

#[test]
fn browser_clicks_approve_or_decline() {
    let Some(mut chromium) = Chromium::start() else {
        // Loud, but no failure: most machines that build this have no browser.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no Chromium on this machine");
        return;
    };
    let fixture = GatewayFixture::new();
    let line = callback_after(&fixture, &mut chromium, "authorize");
    let token = line.split_once("token=").unwrap().1.split('&').next().unwrap();
    assert!(line.starts_with("GET /callback?state=abc&token="), "{line}");
    let list = http::call(&fixture.plane.api_base(), token, "GET", "/workspaces?category=active", "");
    assert_eq!(list.status, 200);
    let line = callback_after(&fixture, &mut chromium, "deny");
    assert_eq!(line, "GET /callback?state=abc&error=access_denied HTTP/1.1");

    let base = fixture.plane.web_base();
    let workspace = fixture.session().bundle["web_url"].as_str().unwrap().to_owned();
    let pages = [
        ("consent", format!("{base}/auth/cli-login/?port=4711&state=abc"), "form", "display: flex"),
        ("workspace", workspace, "pre", "margin-top: 0px"),
    ];
    for (name, url, part, style) in pages {
        chromium.open(&url);
        looks_right(&mut chromium, name, part, style);
    }
}

/// An address that its user opens and that leads here by a redirect looks to the plane like one that they opened here.
#[test]
fn a_redirect_in_a_browser_gets_no_token() {
    let Some(mut chromium) = Chromium::start() else { return };
    let fixture = GatewayFixture::with(|options| options.auto_authorize = true);
    let (caught, evil) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = caught.local_addr().unwrap().port();
    let to = format!("{}/auth/cli-login/?port={port}&state=evil", fixture.plane.web_base());
    let address = evil.local_addr().unwrap();
    let redirect = std::thread::spawn(move || {
        let (mut connection, _) = evil.accept().unwrap();
        let _ = connection.read(&mut [0; 4096]).unwrap();
        let answer =
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.write_all(answer.as_bytes()).unwrap();
    });
    chromium.open(&format!("http://{address}/"));
    redirect.join().unwrap();
    assert_eq!(chromium.evaluate("document.querySelectorAll('button').length"), 2, "it asks");
    caught.set_nonblocking(true).unwrap();
    assert!(caught.accept().is_err(), "nothing was sent to the port of the page's author");
}

/// The page fits every window, and its style is taken.
fn looks_right(chromium: &mut Chromium, name: &str, part: &str, style: &str) {
    for (width, height, scheme) in [(1000, 800, "light"), (1000, 800, "dark"), (360, 740, "light")] {
        chromium.appear(width, height, scheme);
        let wide = chromium.evaluate("document.documentElement.scrollWidth <= window.innerWidth");
        assert_eq!(wide, true, "the page is wider than a window of {width}");
        let (property, value) = style.split_once(": ").unwrap();
        let computed = format!("getComputedStyle(document.querySelector('{part}'))['{property}']");
        assert_eq!(chromium.evaluate(&computed), value, "{name}");
        if let Some(folder) = std::env::var_os("RUNCODE_SCREENSHOTS") {
            chromium.screenshot(&Path::new(&folder).join(format!("{name}-{width}-{scheme}.png")));
        }
    }
}
