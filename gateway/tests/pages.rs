//! The page of a workspace.

use std::time::Duration;

use runcode_gateway::WorkspaceSpec;

use crate::support::gateway_fixture::GatewayFixture;
use crate::support::http;

/// What people may call their workspaces, and what would happen if it were taken for more than text.
const HOSTILE: [&str; 6] = [
    "</title><script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "{{nonce}}{{command}}",
    "&lt;b&gt; \u{202e}evil\u{202c} \u{1b}[2J",
    "</style><img src=http://127.0.0.1:1/x>",
];

/// What stands before the path of a workspace's page: its address is in every bundle.
fn pages_of(fixture: &GatewayFixture) -> String {
    let bundle = fixture.session().bundle;
    bundle["web_url"].as_str().unwrap().strip_suffix("/w/box-1").unwrap().to_owned()
}

#[test]
fn a_page_shows_its_workspace_and_commands() {
    let fixture = GatewayFixture::with(|options| {
        options.boot_delay = Duration::from_secs(60);
        let folder = options.workspaces[0].dir.clone();
        let mut other = |title: &str, provider: &str| {
            let mut spec = WorkspaceSpec::new(title, &folder);
            spec.provider = provider.to_owned();
            options.workspaces.push(spec);
        };
        other("asleep", "aws");
        other("no-ssh", "docker");
    });
    let base = pages_of(&fixture);
    let page = http::request(&base, "GET", "/w/box-1", &[], "");
    assert_eq!((page.status, page.header("content-type").as_str()), (200, "text/html; charset=utf-8"));
    let said = |path: &str, texts: &[&str]| {
        let page = http::request(&base, "GET", path, &[], "");
        for text in texts {
            assert!(page.body.contains(text), "{path}: {text}: {}", page.body);
        }
        for secret in [fixture.plane.token(), "docker", "aws", fixture.folder.path().to_str().unwrap()] {
            assert!(!page.body.contains(secret), "{path}: {}", page.body);
        }
        page.status
    };
    assert_eq!(said("/w/box-1", &["box-1", ">running<", ">runcode connect box-1<"]), 200);
    assert_eq!(said("/w/asleep", &["asleep", ">stopped<", ">runcode connect asleep --start<"]), 200);
    assert_eq!(said("/w/no-ssh", &["no-ssh", "It has no SSH"]), 200);
    let token = fixture.plane.token();
    http::call(&fixture.plane.api_base(), token, "GET", "/workspace/start?workspace_id=2", "");
    assert_eq!(said("/w/asleep", &[">starting<"]), 200);
    for path in ["/w/none", "/w/%3Cscript%3E", "/w/..%2f..%2fetc", "/w/%ff%fe", "/w/box-1%00"] {
        assert_eq!(said(path, &["There is no such workspace"]), 404, "{path}");
    }
    let foreign = http::request(&base, "GET", "/w/box-1", &[("Host", "evil.example")], "");
    assert_eq!(foreign.status, 421);
}

#[test]
fn a_page_escapes_names_and_is_locked_down() {
    let fixture = GatewayFixture::with(|options| {
        let folder = options.workspaces[0].dir.clone();
        for (n, name) in HOSTILE.iter().enumerate() {
            let mut spec = WorkspaceSpec::new(format!("evil-{n}"), &folder);
            spec.custom_title = Some((*name).to_owned());
            options.workspaces.push(spec);
        }
    });
    let base = pages_of(&fixture);
    let harmless = http::request(&base, "GET", "/w/box-1", &[], "");
    let marks = |body: &str| body.chars().filter(|c| "<>\"'".contains(*c)).collect::<String>();
    for n in 0..HOSTILE.len() {
        let page = http::request(&base, "GET", &format!("/w/evil-{n}"), &[], "");
        assert_eq!(page.status, 200);
        assert_eq!(marks(&page.body), marks(&harmless.body), "{}", page.body);
        assert!(!page.body.contains('\u{1b}') && page.body.contains("<h1><bdi>"), "{}", page.body);
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "'nonce-",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(
            !page.body.contains(policy.split("'nonce-").nth(1).unwrap()),
            "the nonce is in the style alone"
        );
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("set-cookie", ""),
        ] {
            assert_eq!(page.header(name), value, "{name}");
        }
    }
}
