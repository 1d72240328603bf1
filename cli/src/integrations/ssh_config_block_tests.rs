#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn host(id: u64, title: &str, note: Option<&str>, folder: &Path) -> Host {
    Host {
        id,
        title: Title::parse(title).unwrap(),
        is_numbered: false,
        is_shared: false,
        note: note.map(Name::from),
        host_key_alias: format!("runcode-ws-{id}"),
        identity: crate::openssh::config::quoted(&folder.join("id_ed25519")).unwrap(),
        known_hosts: crate::openssh::config::quoted(&folder.join("known_hosts")).unwrap(),
    }
}

fn caller(program: &str) -> Caller {
    Caller { program: program.to_owned(), options: Vec::new(), plane: "https://plane.example/api".to_owned() }
}

#[test]
fn a_block_says_whose_hosts_it_has() {
    let hosts = [host(7, "royal-tree", None, Path::new("/h"))];
    let new = block(&hosts, &caller("/x/runcode"), b"Host *\n");
    assert_eq!(plane_of(&new, "https://hosted.invalid").as_deref(), Some("https://plane.example/api"));
    for (line, plane) in [
        ("    ProxyCommand \"/x/runcode\" proxy 7", Some("https://hosted.invalid")),
        (
            "    ProxyCommand \"/x/runcode\" proxy 7 --api-base http://127.0.0.1:7777",
            Some("http://127.0.0.1:7777"),
        ),
        ("  ProxyCommand /x/runcode proxy 7 --api-base \"http://[::1]:7\" --", Some("http://[::1]:7")),
        ("Match all", None),
    ] {
        let old = format!("{}\nHost runcode.x\n{line}\n{}\n", MARKERS.begin, MARKERS.end);
        assert_eq!(plane_of(old.as_bytes(), "https://hosted.invalid").as_deref(), plane, "{line}");
    }
}

fn block(hosts: &[Host], caller: &Caller, rest: &[u8]) -> Vec<u8> {
    MARKERS.insert(Some(rest), &body(hosts, &[], caller).unwrap()).unwrap()
}

/// What ssh makes of `config` for `alias`, as lines in lower case up to the value.
fn resolved(config: &[u8], alias: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config"), config).unwrap();
    let output = Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(folder.path().join("config"))
        .arg(alias)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_block_reads_well() {
    let hosts =
        [host(7, "royal-tree", Some("Prod\n  ProxyCommand evil"), Path::new("/home/u/.cache/runcode/ws-7"))];
    let text = String::from_utf8(body(&hosts, &[], &caller("/home/u/.local/bin/runcode")).unwrap()).unwrap();
    assert!(text.contains("# workspace 7 \"Prod? ProxyCommand evil\"\n"), "{text}");
    assert!(
        text.contains("Host runcode.royal-tree\n    ProxyCommand \"/home/u/.local/bin/runcode\" proxy 7\n"),
        "{text}"
    );
    assert!(!text.contains("HostName") && !text.contains("Match"), "{text}");
    assert!(text.matches('*').count() == 1 && text.ends_with("\nHost *\n"), "{text}");
}

#[test]
fn user_defaults_weaken_nothing_and_stay() {
    let theirs = b"StrictHostKeyChecking no\nServerAliveInterval 7\nHost *\n  User me\n  ProxyJump bastion\n  Port 99\n\
        UserKnownHostsFile /dev/null\n  ControlMaster auto\n  ControlPath /tmp/%C\n  ForwardAgent yes\n  HostKeyAlias x\n";
    let config =
        block(&[host(7, "royal-tree", None, Path::new("/c/ws-7"))], &caller("/usr/bin/false"), theirs);
    let ours = resolved(&config, "runcode.royal-tree");
    for line in [
        "user royal-tree",
        "stricthostkeychecking true",
        "userknownhostsfile /c/ws-7/known_hosts",
        "hostkeyalias runcode-ws-7",
        "proxycommand \"/usr/bin/false\" proxy 7",
        "controlmaster false",
        "forwardagent no",
        "serveraliveinterval 15",
        "hostname runcode.royal-tree",
        "identityfile /c/ws-7/id_ed25519",
        "identityagent none",
        "batchmode yes",
    ] {
        assert!(ours.iter().any(|found| found == line), "{line} not in {ours:#?}");
    }
    assert!(!ours.iter().any(|line| line.starts_with("proxyjump")), "{ours:#?}");
    assert_eq!(resolved(&config, "elsewhere"), resolved(theirs, "elsewhere"));
}

#[test]
fn titles_that_are_no_plain_names_are_refused() {
    for good in ["royal-tree-08189931", "A.b_c", "7"] {
        assert!(Title::parse(good).is_ok(), "{good}");
    }
    for bad in
        ["", "-a", ".a", "_a", "a b", "a\nHost *", "*", "a*", "a,b", "!a", "a\"", "a%h", "é", "a/../b", "a#b"]
    {
        assert!(Title::parse(bad).is_err(), "{bad:?}");
    }
}

/// ssh itself runs the ProxyCommand: what arrives must be what was meant.
fn arrives(name: &str, option: &str) {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(name);
    std::fs::create_dir(&odd).unwrap();
    let (program, seen) = (odd.join("runcode"), folder.path().join("seen"));
    let script = format!("#!/bin/sh\nprintf '%s|' \"$@\" >>'{0}'\necho >>'{0}'\n", seen.display());
    // Written by another process: were it open in this one, a test that forks meanwhile would make it busy (ETXTBSY).
    let mut shell = Command::new("sh");
    shell.args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""]).arg(&program).arg(script);
    assert!(shell.status().unwrap().success());
    let caller = Caller {
        program: program.to_str().unwrap().to_owned(),
        options: vec!["--api-base".to_owned(), option.to_owned()],
        plane: String::new(),
    };
    let config = folder.path().join("config");
    std::fs::write(&config, block(&[host(7, "a", None, folder.path())], &caller, b"Host *\n")).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).arg("runcode.a").env("SHELL", "/bin/sh").output().unwrap();
    let seen = std::fs::read_to_string(&seen).unwrap();
    let seen = seen.replace("|--|\n", "|\n");
    let relayed = format!("proxy|7|--api-base|{option}|");
    assert_eq!(seen.lines().collect::<Vec<_>>(), [relayed.as_str()], "{name:?} {option:?}: {seen}");
}

#[test]
fn odd_paths_and_bases_arrive_as_they_are() {
    for odd in [
        "plain",
        "two words",
        "it's",
        "say \"x\"",
        "$(touch x)",
        "`id`",
        "100%h%%",
        "a\\b",
        "${HOME}!",
        "é",
        "#;&|",
        "*",
    ] {
        arrives(odd, "http://127.0.0.1:1/");
        arrives("plain", odd);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_path_arrives_as_it_is(name in "[ -~&&[^/.]]{1,12}", option in "[ -~é]{1,12}") {
        arrives(&name, &option);
    }

    #[test]
    fn a_comment_is_one_short_quoted_line(note in any::<String>()) {
        let comment = host(7, "a", Some(&note), Path::new("/c")).comment();
        prop_assert!(comment.len() <= "7 \"\"".len() + 64, "{comment}");
        prop_assert!(comment.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{comment}");
        let name = comment.strip_prefix("7 ").unwrap();
        let is_quoted = name.len() > 1 && name.starts_with('"') && name.find('"') != name.rfind('"');
        prop_assert!(is_quoted && name.matches('"').count() == 2 || !name.contains([' ', '"']), "{comment}");
    }

    #[test]
    fn whatever_is_below_the_name_is_ours(note in any::<Option<String>>(), title in "[A-Za-z0-9][A-Za-z0-9._-]{0,20}") {
        let config = block(&[host(7, &title, note.as_deref(), Path::new("/c/ws-7"))], &caller("/usr/bin/false"), b"");
        let ours = resolved(&config, &format!("runcode.{title}"));
        let proxies = ours.iter().filter(|line| line.starts_with("proxycommand"));
        prop_assert_eq!(proxies.collect::<Vec<_>>(), ["proxycommand \"/usr/bin/false\" proxy 7"]);
    }
}
