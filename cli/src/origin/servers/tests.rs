#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

mod places;

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

/// A server with a certificate, reached through another one.
fn behind(name: &str, jump: &str) -> String {
    let jump = if jump.is_empty() { String::new() } else { format!("jump = \"{jump}\"\n") };
    format!("[servers.{name}]\nhost = \"{name}\"\nuser = \"me\"\nsigner = \"ca\"\n{jump}")
}

#[test]
fn a_way_through_others_has_an_end() {
    let ca = "[signers.ca]\nkind = \"ca_key\"\nkey = \"ca\"\n";
    let way = |servers: &[(&str, &str)]| {
        let text = servers.iter().map(|(name, jump)| behind(name, jump)).collect::<String>();
        read(&format!("{ca}{text}[servers.old]\nauth_method = \"ssh\"\nhost = \"old\"\n"))
    };
    let (config, issues) = way(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "")]);
    assert_eq!(issues, []);
    let hops = config.hops_to(config.server("a").unwrap().0);
    assert_eq!(hops.iter().map(|hop| hop.name.as_str()).collect::<Vec<_>>(), ["e", "d", "c", "b"]);
    for (servers, said) in [
        (&[("a", "a")][..], "is the server itself"),
        (&[("a", "b"), ("b", "a")], "leads in a circle: a → b → a"),
        (&[("a", "b"), ("b", "c"), ("c", "b")], "leads in a circle: a → b → c → b"),
        (&[("a", "none")], "is not a server of this file"),
        (&[("a", "old")], "is `old`, which has auth_method = \"ssh\""),
        (
            &[("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "")],
            "leads through more than 4 others",
        ),
    ] {
        let (_, issues) = way(servers);
        let first = issues.iter().find(|issue| issue.at == "servers.a.jump");
        assert!(first.is_some_and(|issue| issue.message.starts_with(said) && issue.line > 0), "{issues:?}");
    }
    // Your own ssh finds its way by itself, and no file leads through another one's servers.
    let (_, issues) = read(&format!(
        "{ca}{}[servers.x]\nauth_method = \"ssh\"\nhost = \"x\"\njump = \"b\"\n",
        behind("b", "")
    ));
    assert!(issues[0].message.contains("ProxyJump"), "{issues:?}");
    let (mut config, issues) = read(&format!("{ca}{}", behind("b", "")));
    assert_eq!(issues, []);
    let file = config.files()[0].clone();
    let issues = config.add(file, &behind("a", "b"));
    assert_eq!(issues[0].message, "is not a server of this file");
}

#[test]
fn too_much_is_told() {
    let many = |count: usize, of: &dyn Fn(usize) -> String| (0..count).map(of).collect::<String>();
    let server = |number| format!("[servers.s{number}]\nauth_method = \"ssh\"\nhost = \"h\"\n");
    let profile = |number| format!("[profiles.p{number}]\ntemplate = \"true\"\n");
    let signer = |number| format!("[signers.s{number}]\nkind = \"ca_key\"\nkey = \"ca\"\n");
    let argument = |number| format!("[profiles.p.args.a{number}]\n");
    for (most, of, at) in [
        (1000, &server as &dyn Fn(usize) -> String, "servers"),
        (1000, &profile, "profiles"),
        (64, &signer, "signers"),
    ] {
        assert_eq!(wrong_at(&many(most, of)), Vec::<String>::new());
        assert_eq!(wrong_at(&many(most + 1, of)), [at]);
    }
    let words = |count| many(count, &|number| format!(" {{{{a{number}}}}}"));
    let arguments =
        |count| format!("[profiles.p]\ntemplate = \"x{}\"\n{}", words(count), many(count, &argument));
    assert_eq!(wrong_at(&arguments(64)), Vec::<String>::new());
    assert!(wrong_at(&arguments(65)).iter().any(|at| at.starts_with("profiles.p.")));
}
