//! What is said of servers that a certificate opens: plans, lists, checks, `doctor`, `servers ca`.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::certified::{CA_KEY, SAID, calls, certified, left, port, read, run, servers};
use super::{file, with_servers, write};
use crate::support::real_sshd::user;

#[test]
fn what_is_said_of_enforcement_is_true() {
    let Some(mut world) = certified("source_address = [\"127.0.0.0/8\", \"::1\"]") else { return };
    let plan = run(&world, &["say", "--plan", "--json"]).succeeds().json();
    assert_eq!(
        (&plan["enforced"], &plan["signer"], &plan["would_run"]),
        (&json!("key"), &json!("ca"), &json!(true))
    );
    assert_eq!(plan["target"], json!({ "host": "127.0.0.1", "port": port(&world), "user": user() }));
    let dry = run(&world, &["say", "--arg", "word=x y", "--dry-run", "--json"]).succeeds().json();
    assert_eq!((&dry["argv"][0], &dry["argv"][1]), (&json!("ssh"), &json!("-F")));
    let config = dry["config"].as_str().unwrap();
    assert!(config.contains("CertificateFile ") && config.contains("StrictHostKeyChecking yes"), "{config}");
    assert!(dry["forced_command"].as_str().unwrap().starts_with("exec sh -c "), "{dry}");
    assert_eq!((calls(&world), left(&world).len()), (String::new(), 0), "nothing was signed or connected to");
    let rows = world.run(&["servers", "list", "--json"]).succeeds().json();
    assert_eq!((&rows[0]["enforced"], &rows[0]["usable"]), (&json!("key"), &json!(true)));
    let ca = world.run(&["servers", "ca", "--json"]).succeeds().json();
    let public = read(&file(&world).with_file_name("ca.pub"));
    assert!(public.starts_with(ca["public_key"].as_str().unwrap()), "{ca}");
    let forced = world.run(&["servers", "ca", "--forced", "prod", "say"]).succeeds();
    assert_eq!(
        forced.text().trim_end(),
        run(&world, &["say", "--dry-run", "--json"]).json()["forced_command"]
    );
    world.run(&["servers", "check", "prod"]).succeeds();
    assert_eq!(run(&world, &["say"]).succeeds().text(), SAID);
    // From elsewhere the certificate is worth nothing.
    let text = servers(&mut world, "source_address = [\"192.0.2.0/24\"]", CA_KEY);
    write(&world, &text);
    let said = run(&world, &["say", "--json"]).ends_with(255).json();
    assert!(
        said["error"] == "transport" && said["hint"].as_str().unwrap().contains("TrustedUserCAKeys"),
        "{said}"
    );
    let said = world.run(&["servers", "check", "prod", "--json"]).ends_with(2).json();
    assert_eq!(said["errors"][0]["at"], "servers.prod");
}

/// Neither its banner nor what it runs instead.
#[test]
fn a_check_shows_nothing_that_a_host_prints() {
    let Some(mut world) = certified("") else { return };
    let ca = file(&world).with_file_name("ca.pub").display().to_string();
    let trust = format!("TrustedUserCAKeys {ca}\nAuthorizedKeysFile none\n");
    for lines in [trust.clone(), format!("{trust}ForceCommand echo forged; echo forged >&2\n")] {
        world.own_sshd().restart_with(&lines);
        for verb in [&["servers", "check", "prod"][..], &["doctor", "prod"]] {
            let said = world.run(&[verb, &["--json"]].concat()).succeeds();
            assert_eq!((&said.json()["ok"], &*said.stderr), (&json!(true), ""), "{verb:?}");
        }
    }
    world.own_sshd().restart_with(&format!("{trust}ForceCommand exit 7\n"));
    let said = world.run(&["servers", "check", "prod", "--json"]).ends_with(2).json();
    assert!(said["errors"][0]["message"].as_str().unwrap().contains("status 7"), "{said}");
}

#[test]
fn doctor_knows_what_a_certificate_opens() {
    let Some(world) = certified("") else { return };
    let names = |said: &Value| {
        let checks = said["checks"].as_array().unwrap().iter();
        checks
            .map(|check| format!("{} {}", check["name"].as_str().unwrap(), check["status"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let said = world.run(&["doctor", "prod", "--json"]).succeeds().json();
    assert_eq!(names(&said)[1..], ["signer ok", "ssh-login ok", "profiles ok"], "{said}");
    world.run(&["connect", "prod"]).succeeds();
    let said = world.run(&["doctor", "--editors", "--json"]).succeeds().json();
    assert!(names(&said).contains(&"editors ok".to_owned()), "{said}");
    std::fs::remove_file(file(&world).with_file_name("ca")).unwrap();
    let said = world.run(&["doctor", "prod", "--json"]).ends_with(1).json();
    assert_eq!(names(&said)[1..], ["signer fail"], "{said}");
}

#[test]
fn a_forced_text_is_the_same_in_every_run() {
    let more = "\n[profiles.key]\nargv = [\"echo\", \"{{key}}\"]\nargs.key = { secret = true, default = \"hunter2\" }\n";
    let Some(world) = certified("") else { return };
    let text = read(&file(&world)).replace("\"wait\"]", "\"wait\", \"key\"]");
    write(
        &world,
        &format!(
            "{text}{more}[servers.own]\nauth_method = \"ssh\"\nhost = \"box\"\nallowed_profiles = [\"say\"]\n"
        ),
    );
    for (words, code, part) in [
        (["prod", "key"], "unavailable", "secret argument `key`"),
        (["prod", "wait"], "unavailable", "`seconds`"),
        (["prod", "none"], "policy_denied", "does not allow"),
        (["own", "say"], "unavailable", "has no signer (auth_method = \"ssh\")"),
        (["nobody", "say"], "not_found", "nobody"),
    ] {
        let said = world.run(&[&["servers", "ca", "--json", "--forced"], &words[..]].concat());
        let json = said.json();
        assert_eq!(json["error"], code, "{words:?} {json}");
        assert!(
            json["message"].as_str().unwrap().contains(part) && json["hint"].is_string(),
            "{words:?} {json}"
        );
        assert!(!json.to_string().contains("hunter2"));
    }
    write(&world, "");
    let said = world.run(&["servers", "ca", "--json"]).fails_as("not_found", 2).json();
    assert!(said["message"] == "servers.toml names no signer" && said["hint"].is_string(), "{said}");
}

/// What cannot be used enforces nothing, and nothing that is known stays unsaid.
#[test]
fn what_cannot_be_used_enforces_nothing() {
    let Some(world) = with_servers(
        "[signers.v]\nkind = \"plane\"\n[signers.a]\nkind = \"ca_key\"\nkey = \"ca\"\n[profiles.say]\ntemplate = \"echo\"\n\
         [servers.one]\nhost = \"127.0.0.1\"\nuser = \"me\"\nsigner = \"v\"\nallowed_profiles = [\"say\"]\n\
         [servers.two]\nhost = \"127.0.0.1\"\nuser = \"me\"\nsigner = \"a\"\n",
    ) else {
        return;
    };
    let rows = world.run(&["servers", "list", "--json"]).succeeds().json();
    for (row, enforced) in [(0, "none"), (1, "key")] {
        assert_eq!((&rows[row]["enforced"], &rows[row]["port"]), (&json!(enforced), &json!(22)), "{rows}");
    }
    let plan = world.run(&["run", "one", "--profile", "say", "--plan", "--json"]).succeeds().json();
    assert_eq!(
        (&plan["enforced"], &plan["would_run"], &plan["target"]["port"]),
        (&json!("none"), &json!(false), &json!(22))
    );
    let said = world.run(&["run", "one", "--profile", "say", "--plan"]).succeeds();
    assert!(
        said.text().contains("enforced:  none\n") && said.text().contains("It would not run"),
        "{}",
        said.text()
    );
    let said = world.run(&["run", "one", "--profile", "say", "--json"]).ends_with(255).json();
    assert_eq!(said["error"], "unavailable");
    // A server without profiles runs nothing, and says so.
    let said = world.run(&["servers", "profiles", "two"]).succeeds();
    assert!(said.text().contains("nothing can run there"), "{}", said.text());
    assert_eq!(world.run(&["servers", "profiles", "two", "--json"]).succeeds().json(), json!([]));
}

/// A host may say as much as it likes before it lets anybody in.
#[test]
fn a_long_banner_delays_nothing() {
    let Some(mut world) = certified("") else { return };
    let banner = world.home().join("banner");
    std::fs::write(&banner, "0123456789abcde\n".repeat(75 * 64)).unwrap();
    let ca = file(&world).with_file_name("ca.pub").display().to_string();
    world.own_sshd().restart_with(&format!(
        "TrustedUserCAKeys {ca}\nAuthorizedKeysFile none\nBanner {}\n",
        banner.display()
    ));
    let said = run(&world, &["say"]).succeeds();
    assert_eq!(said.text(), SAID);
    assert!(said.stderr.contains("0123456789abcde"));
    // The command's output comes also while nobody takes what the host said before.
    let mut command = world.command(&["run", "prod", "--profile", "say"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = vec![0; SAID.len()];
    child.stdout.take().unwrap().read_exact(&mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), SAID);
    drop(child.stderr.take());
    child.wait().unwrap();
}
