#![allow(clippy::unwrap_used)] // a test that cannot go on should say where

use super::*;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    std::fs::write(&file, text).unwrap();
    let env = |name: &str| match variables.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Some((*value).to_owned()),
        None => (name == "STATE_DIRECTORY").then(|| "/state:/other".to_owned()),
    };
    Config::load(Some(&file), &env).map_err(|mut failure| {
        failure.message = failure.message.replace(&folder.path().display().to_string(), "");
        failure
    })
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7070");
    assert_eq!(config.database(), Path::new("/state/plane.sqlite3"));
    assert_eq!(config.master_key(), Path::new("/state/master.key"));
    assert_eq!(config.base(7070), "http://127.0.0.1:7070");
}

#[test]
fn a_variable_overrides_a_value() {
    let variables = [("RUNCODE_SERVER_SESSION_TTL", "5m"), ("RUNCODE_SERVER_LOGIN_LEGACY", "false")];
    let config = load("[session]\nttl = \"10m\"\n", &variables).unwrap();
    assert_eq!((config.session_ttl, config.login_legacy), (Duration::from_secs(300), false));
    let wrong = load("", &[("RUNCODE_SERVER_SESSION_TTL", "soon")]).unwrap_err();
    assert!(wrong.message.starts_with("RUNCODE_SERVER_SESSION_TTL is not a duration"), "{wrong}");
}

#[test]
fn an_error_names_file_line_and_key() {
    for (text, expected) in [
        ("\n[session]\nttl = 5\n", "/server.toml:3: `session.ttl` is not a text"),
        ("listen = \"localhost\"", "/server.toml:1: `listen` is not an address"),
        ("\nlissten = \"x\"", "/server.toml:2: `lissten` is not a known key"),
        ("[sesion]\nttl = \"5m\"", "/server.toml:2: `sesion.ttl` is not a known key"),
        ("[limits]\nwrong_codes = 0", "/server.toml:2: `limits.wrong_codes` is not a whole number above 0"),
        ("[login]\nlegacy = \"no\"", "/server.toml:2: `login.legacy` is neither true nor false"),
        ("a = = 1", "/server.toml:1: "),
        ("public_url = \"https://a.example/x\"", "/server.toml:1: `public_url` is not"),
        ("public_url = \"https://u@a.example\"", "/server.toml:1: `public_url` is not"),
        ("public_url = \"https://a.example/';id'\"", "/server.toml:1: `public_url` is not"),
        ("trusted_proxies = [1]", "/server.toml:1: `trusted_proxies` is not a list of strings"),
        ("[ca]\nmaster_key_file = \"key\"", "/server.toml:2: `ca.master_key_file` is not an absolute path"),
    ] {
        let wrong = load(text, &[]).unwrap_err();
        assert!(wrong.message.starts_with(expected), "{text}: {wrong}");
        assert_eq!(wrong.exit(), 2);
    }
}

#[test]
fn other_machines_are_served_with_tls_only() {
    for bad in [
        "listen = \"0.0.0.0:80\"",
        "listen = \"[::]:80\"\npublic_url = \"https://a.example\"",
        "listen = \"10.0.0.1:80\"\ntrusted_proxies = [\"10.0.0.2\"]\npublic_url = \"http://a.example\"",
        "public_url = \"http://a.example\"",
        "public_url = \"http://127.0.0.1.evil.example\"",
    ] {
        assert_eq!(load(bad, &[]).unwrap_err().kind, Kind::Usage, "{bad}");
    }
    for (text, why) in [
        ("[tls]\ncert = \"/c\"", "belong together"),
        ("listen = \"0.0.0.0:80\"\n[tls]\ncert = \"/c\"\nkey = \"/k\"", "set `public_url`"),
        ("public_url = \"http://localhost\"\n[tls]\ncert = \"/c\"\nkey = \"/k\"", "use https://"),
    ] {
        assert!(load(text, &[]).unwrap_err().message.contains(why), "{text}");
    }
    let tls = load("listen = \"10.0.0.1:443\"\n[tls]\ncert = \"/c\"\nkey = \"/k\"", &[]).unwrap();
    assert_eq!(tls.base(443), "https://10.0.0.1:443");
    let good =
        "listen = \"0.0.0.0:80\"\ntrusted_proxies = [\"10.0.0.2\"]\npublic_url = \"https://a.example\"";
    assert_eq!(load(good, &[]).unwrap().base(80), "https://a.example");
}
