#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::path::Path;

use super::*;
#[cfg(unix)]
use crate::error::Code;
use crate::error::Issue;
use crate::sys::trusted_file::Owner;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEe3oXm2oOlvLcJe4QsUTYZhWzFQvuLGTtLPdcqO3IGK";

fn file(path: &str) -> File {
    File { given: path.into(), path: path.into(), owner: Owner::User }
}

fn read(text: &str) -> (Config, Vec<Issue>) {
    let mut config = Config::default();
    let issues = config.add(file("f"), text);
    (config, issues)
}

/// The places of the issues, which the text has and no others.
fn wrong_at(text: &str) -> Vec<String> {
    read(text).1.into_iter().map(|issue| issue.at).collect()
}

#[test]
fn a_whole_file_is_understood() {
    let (config, issues) = read(&format!(
        "[servers.gpu]\nauth_method = \" ssh \"\nhost = \"me@10.0.0.7\"\nport = 2222\nenvironment = \"staging\"\n\
         workdir = \"~/project\"\nhost_keys = [\"{KEY}\", \"@cert-authority {KEY}\"]\n\
         [servers.gpu.power]\nstart = [\"cloud\", \"up\"]\nstate = [\"cloud\", \"state\"]\n\
         [servers.a]\nauth_method = \"ssh\"\nhost = \"ssh://box:2\"\n"
    ));
    assert_eq!(issues, []);
    let names = config.servers().map(|(server, _)| server.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["a", "gpu"]);
    let (gpu, file) = config.server("gpu").unwrap();
    assert_eq!((&*file.path, gpu.method.host(), gpu.method.word()), (Path::new("f"), "me@10.0.0.7", "ssh"));
    assert_eq!(gpu.port.map(|port| port.number()), Some(2222));
    assert_eq!(gpu.host_keys.as_ref().map(|keys| keys.all().len()), Some(2));
    assert_eq!(gpu.power.start.as_deref(), Some(&["cloud".to_owned(), "up".to_owned()][..]));
    assert!(config.usable(gpu).is_ok());
}

#[test]
fn each_signer_is_read_or_told() {
    let vault = "kind = \"vault\"\nurl = \"https://vault.example:8200\"\nrole = \"a-{server}-{profile}\"\n";
    let step = "kind = \"step-ca\"\nca_url = \"https://ca.example\"\n";
    let all = format!("user_ca = \"{KEY}\"\n");
    let digest = "AB:".repeat(31) + "ab";
    for right in [
        format!(
            "{vault}{all}mount = \"ssh/prod\"\nnamespace = \"a/b\"\nca = \"ca.pem\"\nauth = \"token\"\noptions = \"expect\"\n"
        ),
        format!("{vault}auth = \"approle\"\nrole_id = \"x-y\"\nsecret_id_ref = \"os_keychain:a:b\"\n"),
        format!("{vault}auth = \"jwt\"\njwt_role = \"ci\"\njwt_env = \"JOB_TOKEN\"\noptions = \"ask\"\n"),
        format!(
            "{step}{all}provisioner = \"a b\"\nsubject = \"a@b\"\nroot = \"root.pem\"\nkey = \"key.jwk\"\n"
        ),
        format!("{step}fingerprint = \"{digest}\"\npassword_ref = \"os_keychain:a:b\"\n"),
        format!("{step}token_env = \"STEP_TOKEN\"\n"),
    ] {
        let (config, issues) = read(&format!("[signers.x]\n{right}"));
        assert_eq!((issues, config.signers().len()), (Vec::new(), 1), "{right}");
    }
    for (lines, key) in [
        (vault.replace("https://", "http://"), "url"),
        (vault.replace("https://", "https://me:hunter2@"), "url"),
        (vault.replace("https://", ""), "url"),
        (vault.replace("{server}", "{host}"), "role"),
        (vault.replace("a-", "a/"), "role"),
        (vault.replace("role", "#"), "role"),
        (format!("{vault}mount = \"/ssh\""), "mount"),
        (format!("{vault}mount = \"a/../b\""), "mount"),
        (format!("{vault}mount = \"a?b\""), "mount"),
        (format!("{vault}namespace = \"a\\nb\""), "namespace"),
        (format!("{vault}ca = \"\""), "ca"),
        (format!("{vault}auth = \"ldap\""), "auth"),
        (format!("{vault}auth = \"approle\"\nrole_id = \"x\""), "secret_id_ref"),
        (format!("{vault}auth = \"approle\"\nrole_id = \"x\"\nsecret_id_ref = \"hunter2\""), "secret_id_ref"),
        (format!("{vault}auth = \"approle\"\nsecret_id_ref = \"os_keychain:a:b\""), "role_id"),
        (format!("{vault}auth = \"jwt\"\njwt_role = \"x\""), "jwt_env"),
        (format!("{vault}auth = \"jwt\"\njwt_role = \"x\"\njwt_env = \"a.b.c\""), "jwt_env"),
        (format!("{vault}auth = \"jwt\"\njwt_env = \"X\""), "jwt_role"),
        (format!("{vault}role_id = \"x\""), "role_id"),
        (
            format!(
                "{vault}auth = \"approle\"\nrole_id = \"x\"\nsecret_id_ref = \"os_keychain:a:b\"\njwt_env = \"X\""
            ),
            "jwt_env",
        ),
        (format!("{vault}options = \"both\""), "options"),
        (format!("{vault}user_ca = \"hunter2\""), "user_ca"),
        (format!("{vault}token = \"hunter2\""), "token"),
        (step.replace("https", "ftp"), "ca_url"),
        ("kind = \"step-ca\"".to_owned(), "ca_url"),
        (format!("{step}fingerprint = \"ab\""), "fingerprint"),
        (format!("{step}root = \"x\"\nfingerprint = \"{digest}\""), "fingerprint"),
        (format!("{step}key = \"x\"\ntoken_env = \"X\""), "token_env"),
        (format!("{step}password_ref = \"hunter2\""), "password_ref"),
        (format!("{step}provisioner = \"\""), "provisioner"),
        (format!("{step}subject = \"a\\u202eb\""), "subject"),
        (format!("{step}user_ca = 7"), "user_ca"),
    ] {
        let (config, issues) = read(&format!("[signers.x]\n{lines}"));
        let found = issues.iter().map(|issue| issue.at.as_str()).collect::<Vec<_>>();
        assert_eq!(found, [format!("signers.x.{key}")], "{lines}");
        assert!(issues[0].line > 0 && !issues[0].to_string().contains("hunter2"), "{issues:?} {config:?}");
    }
}

/// The file of the seed, as its README has it, with the legacy server uncommented.
#[test]
fn a_brokers_file_loads_as_it_is() {
    let (config, issues) = read(include_str!("broker.toml"));
    assert_eq!(issues, []);
    let usable = config.servers().filter(|(server, _)| config.usable(server).is_ok()).count();
    assert_eq!((config.servers().len(), usable), (3, if cfg!(windows) { 2 } else { 3 }));
    let (production, _) = config.server("prod-web-1").unwrap();
    let policy = &production.policy;
    assert!(policy.requires_approval && policy.signer.as_deref() == Some("step_ca"));
    assert_eq!(config.usable(production), Ok(()));
}

#[test]
fn the_starter_is_right_as_it_is_and_uncommented() {
    assert_eq!(read(STARTER).1, []);
    let text = STARTER.replace("\n# [", "\n[").replace("AAAA...", KEY.split(' ').nth(1).unwrap());
    let lines = text.lines().map(|line| {
        match line.strip_prefix("# ").filter(|rest| rest.contains(['=', '"', ']'])) {
            Some(setting) => setting,
            None => line,
        }
    });
    let (config, issues) = read(&lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(issues, []);
    let (gpu, _) = config.server("gpu").unwrap();
    assert!(config.usable(gpu).is_ok() && gpu.power.stop.is_some());
}

#[test]
fn each_mistake_is_told_at_its_key() {
    let ssh = |lines: &str| format!("[servers.x]\nauth_method = \"ssh\"\nhost = \"box\"\n{lines}");
    for (lines, key) in [
        ("port = 0", "port"),
        ("port = \"22\"", "port"),
        ("port = 65536", "port"),
        ("port = 22.0", "port"),
        ("user = \"-x\"", "user"),
        ("user = \"1a\"", "user"),
        ("user = \"a b\"", "user"),
        ("user = \"root\"", "root_login_acknowledged"),
        ("root_login_acknowledged = true", "root_login_acknowledged"),
        ("environment = \"\"", "environment"),
        ("environment = \"a\\u202eb\"", "environment"),
        ("workdir = \"relative\"", "workdir"),
        ("host_keys = []", "host_keys"),
        ("host_keys = [\"box ssh-ed25519 AAAA\"]", "host_keys[0]"),
        ("password = \"hunter2\"", "password"),
        ("password_env_var = \"hunter2\"", "password_env_var"),
        ("legacy_password_acknowledged = false", "legacy_password_acknowledged"),
        ("allowed_profiles = [\"none\"]", "allowed_profiles[0]"),
        ("allow_unrestricted_sessions = true", "allow_unrestricted_sessions"),
        ("jump = \"x\"", "jump"),
        ("source_address = [\"10.0.0.0/33\"]", "source_address[0]"),
        ("max_ttl_seconds = 3601", "max_ttl_seconds"),
        ("approvals_needed = 9", "approvals_needed"),
        ("Port = 22", "Port"),
        ("power = { start = [] }", "power.start"),
        ("power = { start = [\"\"] }", "power.start"),
        ("power = { start = \"reboot\" }", "power.start"),
        ("power = { boot = [\"x\"] }", "power.boot"),
    ] {
        let (_, issues) = read(&ssh(lines));
        let found = issues.iter().map(|issue| (issue.at.as_str(), issue.line)).collect::<Vec<_>>();
        assert!(found.iter().any(|(at, _)| *at == format!("servers.x.{key}")), "{lines}: {issues:?}");
        assert!(!issues.iter().any(|issue| issue.to_string().contains("hunter2")), "{issues:?}");
    }
    for (text, at) in [
        ("[servers.x]\nauth_method = \"ssh\"\nhost = \"-oProxyCommand=x\"", "servers.x.host"),
        ("[servers.x]\nauth_method = \"ssh\"", "servers.x.host"),
        ("[servers.x]\nauth_method = \"ssh\"\nhost = \"ssh://box:1\"\nport = 2", "servers.x.port"),
        ("[servers.x]\nauth_method = \"ssh\"\nhost = \"root@box\"", "servers.x.root_login_acknowledged"),
        ("[servers.x]\nauth_method = \"telnet\"\nhost = \"box\"\nuser = \"me\"", "servers.x.auth_method"),
        ("[servers.Up]\nhost = \"box\"", "servers.Up"),
        ("[servers]\nx = 1", "servers.x"),
        ("servers = 1", "servers"),
        ("[sever.x]\nhost = 1", "sever"),
        ("[broker]\ncert_ttl_seconds = 3601", "broker.cert_ttl_seconds"),
        ("[broker]\ndefault_signer = \"none\"", "broker.default_signer"),
        ("[signers.x]\nkind = \"magic\"", "signers.x.kind"),
        ("[signers.x]", "signers.x.kind"),
        ("[profiles.x]", "profiles.x.template"),
        ("[profiles.x]\ntemplate = \"a\"\nargv = [\"a\"]", "profiles.x.template"),
        ("[profiles.x]\ntemplate = \"a\"\n[profiles.x.args.1]\n", "profiles.x.args.1"),
        ("[profiles.x]\ntemplate = \"a | b\"", "profiles.x.template"),
        ("[profiles.x]\nargv = []", "profiles.x.argv"),
        ("[profiles.x]\nargv = [\"a\", \"{{B}}\"]", "profiles.x.argv"),
        ("[profiles.x]\ntemplate = \"a\"\n[profiles.x.args.b]\n", "profiles.x.args"),
        ("[profiles.x]\ntemplate = \"a {{b}}\"\nargs.b = { pattern = \"(\" }", "profiles.x.args.b.pattern"),
        (
            "[profiles.x]\ntemplate = \"a {{b}}\"\nargs.b = { type = \"int\", default = \"x\" }",
            "profiles.x.args",
        ),
        ("[profiles.x]\ntemplate = \"a {{b}}\"\nargs.b = { choices = [] }", "profiles.x.args.b.choices"),
        (
            "[profiles.x]\ntemplate = \"a {{a}}\"\n[profiles.x.args.a]\ntype = \"float\"",
            "profiles.x.args.a.type",
        ),
    ] {
        assert_eq!(wrong_at(text), [at], "{text}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let at = wrong_at("[servers.x]\nport = 0\nport = 1\nfoo = 1\n[servers.y]\nhost = 7\n[bar]\n");
    for place in ["servers.x.port", "servers.x.foo", "servers.x.host", "servers.x.user", "servers.x.signer"] {
        assert!(at.iter().any(|found| found == place), "{place}: {at:?}");
    }
    assert!(at.contains(&"servers.y.host".to_owned()) && at.contains(&"bar".to_owned()), "{at:?}");
}

#[test]
fn no_restriction_is_passed_over() {
    let profile = "[profiles.p]\ntemplate = \"df\"\n";
    let server = "[servers.x]\nauth_method = \"ssh\"\nhost = \"box\"\n";
    let why = |text: &str| {
        let (config, issues) = read(text);
        assert_eq!(issues, [], "{text}");
        let (server, _) = config.server("x").unwrap();
        config.usable(server)
    };
    // On a server that runs only profiles, these hold: no session is there to limit, and each run asks for its approval.
    for key in
        ["requires_approval = true", "approvers = \"f\"", "approvals_needed = 2", "max_ttl_seconds = 60"]
    {
        let text = format!("{server}allowed_profiles = [\"p\"]\n{key}\n{profile}");
        assert_eq!(why(&text), Ok(()), "{key}");
    }
    for key in [
        "requires_approval = true",
        "approvers = \"f\"",
        "approvals_needed = 2",
        "source_address = [\"10.0.0.0/8\", \"::1\"]",
        "allow_unrestricted_sessions = false",
        "allow_forwarding = false",
        "max_ttl_seconds = 60",
        "max_idle_seconds = 60",
    ] {
        let name = key.split(' ').next().unwrap();
        assert!(why(&format!("{server}{key}\n{profile}")).unwrap_err().contains(name), "{key}");
    }
    for fine in [
        "requires_approval = false",
        "allow_forwarding = true",
        "allowed_profiles = [\"p\"]",
        "",
        "[broker]\naudit_all = true\naudit_log_path = \"a\"\naudit_anchor = \"syslog\"",
    ] {
        assert_eq!(why(&format!("{server}{fine}\n{profile}")), Ok(()), "{fine}");
    }
}

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

/// A server without end: each of its programs is killed, with all that it started, when its time is up.
#[cfg(unix)]
#[test]
fn each_program_has_its_deadline() {
    let seconds = Duration::from_secs;
    assert_eq!(Deadlines::USUAL, Deadlines { start: seconds(600), stop: seconds(120), state: seconds(10) });
    let forever = Some(["sh", "-c", "sleep 600 & wait"].map(str::to_owned).to_vec());
    let short = Duration::from_millis(200);
    let machine = |start, stop, state| Machine {
        name: "gpu".to_owned(),
        power: Power { start: forever.clone(), stop: forever.clone(), state: forever.clone() },
        file: "/servers.toml".into(),
        owner: Owner::User,
        path: std::env::var_os("PATH"),
        distrust: None,
        deadlines: Deadlines { start, stop, state },
    };
    let long = seconds(600);
    for (code, error) in [
        (Code::StartFailed, machine(short, long, long).start(long).unwrap_err()),
        (Code::StartFailed, machine(long, long, long).start(short).unwrap_err()),
        (Code::StopFailed, machine(long, short, long).stop().unwrap_err()),
        (Code::Error, machine(long, long, short).state().unwrap_err()),
    ] {
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains("took longer than"), "{error}");
    }
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
