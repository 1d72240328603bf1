//! Which files count, and whose word.

use super::*;
#[cfg(unix)]
use crate::origin::servers::trail::trail_in;

#[test]
fn the_operators_word_stands() {
    let mut config = Config::default();
    let operators = "[broker]\ncert_ttl_seconds = 60\n[servers.a]\nauth_method = \"ssh\"\nhost = \"a\"\n\
                     [profiles.p]\ntemplate = \"df\"\n";
    assert_eq!(config.add(file("/etc"), operators), []);
    let own = "[broker]\ncert_ttl_seconds = 61\n[servers.a]\nauth_method = \"ssh\"\nhost = \"evil\"\n\
               [profiles.p]\ntemplate = \"rm\"\n[servers.b]\nauth_method = \"ssh\"\nhost = \"b\"\nallowed_profiles = [\"p\"]\n";
    let at = config.add(file("own"), own).into_iter().map(|issue| (issue.at, issue.line)).collect::<Vec<_>>();
    let expected = [("broker.cert_ttl_seconds", 2), ("servers.a", 3), ("profiles.p", 6)];
    assert_eq!(at, expected.map(|(at, line)| (at.to_owned(), line)));
    assert_eq!(config.server("a").unwrap().0.method.host(), "a");
    // What the operator's file refers to stands in it, and not in the user's.
    let mut config = Config::default();
    let refers = "[servers.a]\nauth_method = \"ssh\"\nhost = \"a\"\nallowed_profiles = [\"q\"]\n";
    assert_eq!(config.add(file("/etc"), refers).len(), 1);
}

#[cfg(unix)]
#[test]
fn both_files_are_read_and_judged() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        std::fs::write(at(name), text).unwrap();
        crate::sys::platform::set_mode(&at(name), 0o600).unwrap();
        crate::sys::platform::set_mode(at(name).parent().unwrap(), 0o755).unwrap();
    };
    let places = Places::Usual { operator: at("etc/servers.toml"), user: at("config/servers.toml") };
    assert_eq!(places.load().unwrap().servers().len(), 0);
    write("etc/servers.toml", "[servers.a]\nauth_method = \"ssh\"\nhost = \"a\"\n");
    write("config/servers.toml", "[servers.b]\nauth_method = \"ssh\"\nhost = \"b\"\n");
    let config = places.load().unwrap();
    assert_eq!((config.servers().len(), config.files().len()), (2, 2));
    write("config/servers.toml", "[servers.a]\nauth_method = \"ssh\"\nhost = \"b\"\n");
    let error = places.load().unwrap_err();
    assert_eq!((error.code(), error.each_issue().len()), (Code::BadConfig, 1));
    std::fs::write(at("config/servers.toml"), b"# \xff\n").unwrap();
    crate::sys::platform::set_mode(&at("etc/servers.toml"), 0o666).unwrap();
    let error = places.load().unwrap_err();
    let messages = error.each_issue().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(messages[0].contains("others may write") && messages[1].contains("UTF-8"), "{messages:?}");
    let named = Places::Named { file: at("none"), operator: at("no operator") };
    assert!(named.load().unwrap_err().each_issue()[0].message.contains("is not there"));
}

#[cfg(unix)]
#[test]
fn no_relative_file_counts() {
    use crate::sys::env::{Env, Var};
    let paths = crate::sys::paths::Paths::below(Path::new("/h"));
    let own = |value: Option<&str>| {
        let env = Env::fixed(value.map(|value| (Var::RuncodeServers, value)));
        Places::from_env(None, &env, &paths)
            .map(|places| places.own().to_owned())
            .map_err(|error| error.code())
    };
    assert_eq!(own(None).unwrap(), Path::new("/h/.config/runcode/servers.toml"));
    assert_eq!(own(Some("/x/y.toml")).unwrap(), Path::new("/x/y.toml"));
    assert_eq!(own(Some("servers.toml")), Err(Code::Usage));
    let given = Places::from_env(Some(Path::new("mine.toml")), &Env::fixed::<&str>([]), &paths).unwrap();
    assert_eq!(given.own(), Path::new("mine.toml"));
}

/// What the operator restricts stays so, whatever file is named, and whatever it calls the server.
#[cfg(unix)]
#[test]
fn a_named_file_lifts_no_restriction() {
    use crate::sys::env::{Env, Var};
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let write = |name: &str, text: &str| {
        std::fs::write(at(name), text).unwrap();
        crate::sys::platform::set_mode(&at(name), 0o600).unwrap();
    };
    crate::sys::platform::set_mode(home.path(), 0o700).unwrap();
    write("config", "Host box mine\n  HostName 10.0.0.1\n  User me\nHost *\n  User other\n");
    write("ssh", &format!("#!/bin/sh\nexec ssh -F '{}' \"$@\"\n", at("config").display()));
    crate::sys::platform::set_mode(&at("ssh"), 0o700).unwrap();
    let env = Env::fixed([
        (Var::RuncodeSsh, at("ssh").into_os_string()),
        (Var::Path, std::env::var_os("PATH").unwrap()),
    ]);
    if std::process::Command::new("ssh").arg("-V").output().is_err() {
        return;
    }
    let restricted = "[profiles.p]\ntemplate = \"df\"\n[servers.prod]\nauth_method = \"ssh\"\nhost = \"box\"\nallowed_profiles = [\"p\"]\n";
    write("operator.toml", restricted);
    let refusal = |places: Places, words: &str| {
        let key = match words.strip_prefix("ssh:") {
            Some(destination) => SessionKey::ssh(&Destination::parse(destination).unwrap()),
            None => SessionKey::server(words).unwrap(),
        };
        Servers::new(places, &env).refuse_other_name(&key).err().map(|error| error.code())
    };
    let named = || Places::Named { file: at("named.toml"), operator: at("operator.toml") };
    for (server, is_refused) in [
        ("[servers.x]\nhost = \"box\"\n", true),
        ("[servers.x]\nhost = \"mine\"\n", true),
        ("[servers.x]\nhost = \"me@10.0.0.1\"\n", true),
        ("[servers.x]\nhost = \"ME.example\"\n", false),
        ("[servers.x]\nhost = \"other@box\"\n", false),
        ("[servers.x]\nhost = \"me@box\"\nport = 23\n", false),
        ("[profiles.q]\ntemplate = \"id\"\n[servers.x]\nallowed_profiles = [\"q\"]\nhost = \"mine\"\n", true),
    ] {
        write("named.toml", &server.replace("[servers.x]\n", "[servers.x]\nauth_method = \"ssh\"\n"));
        let refused = is_refused.then_some(Code::PolicyDenied);
        assert_eq!(refusal(named(), "x"), refused, "{server}");
        let usual = Places::Usual { operator: at("operator.toml"), user: at("named.toml") };
        assert_eq!(refusal(usual, "x"), refused, "{server}");
        assert_eq!(refusal(named(), "ssh:mine"), Some(Code::PolicyDenied));
    }
    write("named.toml", "[servers.prod]\nauth_method = \"ssh\"\nhost = \"elsewhere\"\n");
    assert_eq!(refusal(named(), "prod"), Some(Code::PolicyDenied), "by its name");
    let operators = Places::Named { file: at("operator.toml"), operator: at("operator.toml") };
    assert_eq!(refusal(operators, "prod"), None, "it is that server");
    // What the user's own file says is the user's to change, and holds against hosts that ssh alone knows.
    write("named.toml", &format!("{restricted}[servers.free]\nauth_method = \"ssh\"\nhost = \"box\"\n"));
    let own = || Places::Named { file: at("named.toml"), operator: at("none") };
    assert_eq!((refusal(own(), "free"), refusal(own(), "prod")), (None, None));
    for (words, is_refused) in [
        ("ssh:box", true),
        ("ssh:box.", true),
        ("ssh:BOX", true),
        ("ssh:mine", true),
        ("ssh:me@10.0.0.1", true),
        ("ssh:ssh://me@10.0.0.1:22", true),
        ("ssh:ssh://me@10.0.0.1:23", false),
        ("ssh:other@box", false),
        ("ssh:10.0.0.1", false),
        ("ssh:10.0.0.2", false),
    ] {
        assert_eq!(refusal(own(), words), is_refused.then_some(Code::PolicyDenied), "{words}");
    }
    // The operator's demands hold too.
    write("operator.toml", "[broker]\nrequire_enforcement = true\n");
    let (config, issues) = named().read();
    assert_eq!((issues.len(), config.requires_enforcement()), (0, true));
    assert!(config.server("prod").is_some());
}

#[cfg(unix)]
#[test]
fn a_mistake_does_not_end_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let (operators, none) = (folder.path().join("operators.toml"), folder.path().join("none"));
    let own = folder.path().join("own.toml");
    let said = |at: &Path, text: &str| {
        std::fs::write(at, text).unwrap();
        let (operators, own) = if at == own { (&none, Some(&*own)) } else { (&operators, None) };
        trail_in(operators, own).map(|trail| trail.is_some()).map_err(|error| error.code())
    };
    let refused = Err(Code::BadConfig);
    for at in [&operators, &own] {
        for (text, expected) in [
            ("", Ok(false)),
            ("[broker]\naudit_all = true\n", Ok(true)),
            ("[broker]\naudit_all = true\n[servers.a]\nhost = 7\n", Ok(true)),
            ("[broker]\naudit_al = true\n", refused),
            ("[broker]\naudit_all = \"true\"\n", refused),
            ("[brokers]\naudit_all = true\n", refused),
            ("audit_all = true\n", refused),
            ("[servers.a]\nhost = \"a\n[broker]\naudit_all = true\n", refused),
            ("[broker]\naudit_all = true\naudit_log_path = 7\n", refused),
        ] {
            assert_eq!(said(at, text), expected, "{text}");
        }
    }
    std::fs::write(&operators, b"\xff").unwrap();
    assert!(trail_in(&operators, None).is_err());
}
