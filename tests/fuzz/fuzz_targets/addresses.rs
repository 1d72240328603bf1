//! The small values: base URLs, hosts, users, workdirs, web addresses, tokens, rows, expiries. What passes is what we say.
#![no_main]
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use runcode::origin::hosted::workspace::from_row;
use runcode::origin::hosted::{BaseUrl, Token};
use runcode::grant::{Expiry, Host, SshUser, WebUrl, Workdir};
use runcode::integrations::ssh_config_block::Title;

fuzz_target!(|text: &str| {
    if let Ok(base) = BaseUrl::parse(text) {
        let shown = base.to_string();
        assert!(shown.starts_with("https://") || base.is_loopback(), "{shown}");
        assert_eq!(BaseUrl::parse(&shown).unwrap().to_string(), shown);
        assert!(base.is_origin_of(&base.join("/api/rc/x")));
        assert!(!shown.contains(['?', '#', ' ', '\\']) && !shown.split('/').nth(2).unwrap().contains('@'), "{shown}");
    }
    if let Ok(host) = Host::parse(text) {
        assert_eq!(Host::parse(host.as_str()).unwrap(), host);
        assert!(host.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte)));
        if host.as_str().parse::<std::net::IpAddr>().is_err() {
            assert!(host.as_str().len() <= 253 && !host.as_str().starts_with('-'));
            // What a resolver of the C library would read as an address was refused.
            assert!(!url_reads_an_address(host.as_str()), "{host}");
        }
    }
    if let Ok(user) = SshUser::parse(text) {
        assert!(user.as_str() == text && text.len() <= 64 && !text.starts_with(['-', '.']));
    }
    if let Ok(title) = Title::parse(text) {
        assert!(title.as_str() == text && text.is_ascii());
    }
    if let Ok(workdir) = Workdir::parse(text) {
        assert!(workdir.as_str().starts_with('/') && !text.split('/').any(|part| part == ".."));
    }
    if let Ok(url) = WebUrl::parse(text) {
        let shown = url.text();
        assert_eq!(WebUrl::parse(&shown).unwrap().text(), shown);
        assert!(shown.is_ascii() && !shown.contains(['?', '#']));
    }
    if let Ok(token) = Token::parse(text) {
        assert!(token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    if let Ok(expiry) = Expiry::parse(text, now, Duration::from_secs(60)) {
        assert!((0..=60).contains(&expiry.seconds_left(now)) && expiry.time() > now);
    }
    if let Ok(row) = serde_json::from_str::<serde_json::Value>(text)
        && let Ok(base) = BaseUrl::parse(BaseUrl::HOSTED_API)
        && let Some(workspace) = from_row(&row, &base, false)
    {
        let id = workspace.key.workspace_id().unwrap();
        assert!((1..=1 << 53).contains(&id) && workspace.title.raw().chars().count() <= 1024);
    }
});

fn url_reads_an_address(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
