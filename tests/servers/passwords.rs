//! Servers that a password from the keychain opens.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::certified::{port, read};
use super::{file, with_servers, write};
use crate::support::real_sshd::{RealSshd, keygen, user};
use crate::support::{CommandOutput, World, processes_with, until};

/// Not ASCII, with blanks and quotes.
const PASSWORD: &str = " p'a\"s$(s)\\ é ";

/// A server that takes a password, and a keychain whose entry is the content of the file `secret`.
struct Passworded {
    world: World,
    tries: PathBuf,
}

impl Passworded {
    fn new() -> Option<Passworded> {
        let mut world = with_servers("")?;
        if !world.own_sshd().restart_with_password(PASSWORD) {
            return None;
        }
        let tries = world.own_sshd().file("tries");
        let (port, host_key) = (port(&world), read(&world.own_sshd().file("host_key.pub")));
        let host_key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let (user, root) = (user(), if user() == "root" { "root_login_acknowledged = true\n" } else { "" });
        write(
            &world,
            &format!(
                "[servers.old]\nauth_method = \"legacy_password\"\nlegacy_password_acknowledged = true\n\
                 fail2ban_allowlist_confirmed = true\npassword_secret_ref_env_var = \"OLD_PASSWORD\"\nhost = \"127.0.0.1\"\n\
                 port = {port}\nuser = \"{user}\"\n{root}host_keys = [\"{}\"]\nallowed_profiles = [\"say\", \"read\"]\n\
                 requires_approval = true\nallow_unrestricted_sessions = true\n\
                 [profiles.say]\nargv = [\"echo\", \"{{{{word}}}}\"]\n[profiles.read]\ntemplate = \"cat\"\nstdin = true\n",
                host_key.trim()
            ),
        );
        std::fs::write(
            file(&world).with_file_name(".env"),
            "X=hunter2\nOLD_PASSWORD=os_keychain:runcode:old\n",
        )
        .unwrap();
        let tool = world.home().join("keychain");
        let script = "#!/bin/sh\n[ \"$*\" = 'lookup service runcode account old' ] && exec cat \"${0%/*}/secret\"\nexit 1\n";
        std::fs::write(&tool, script).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let it = Passworded { world, tries };
        it.keychain_has(PASSWORD);
        Some(it)
    }

    fn keychain_has(&self, secret: &str) {
        std::fs::write(self.world.home().join("secret"), secret).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = self.world.command(arguments);
        CommandOutput::of(
            command.env("RUNCODE_TEST_KEYCHAIN", self.world.home().join("keychain")).output().unwrap(),
        )
    }

    fn say(&self, word: &str) -> CommandOutput {
        let word = format!("word={word}");
        self.run(&["run", "old", "--profile", "say", "--arg", &word, "--approval", "TICKET-1", "--json"])
    }

    fn tries(&self) -> usize {
        read(&self.tries).lines().count()
    }
}

#[test]
fn a_password_opens_one_run() {
    let Some(it) = Passworded::new() else { return };
    it.run(&["run", "old", "--profile", "say", "--arg", "word=x", "--json"])
        .fails_as("approval_required", 255);
    assert_eq!(it.tries(), 0);
    assert_eq!(it.say("it's $(id)").succeeds().text(), "it's $(id)\n");
    assert_eq!(it.tries(), 1);
    assert_eq!(it.say("again").succeeds().text(), "again\n");
    assert_eq!(it.tries(), 2, "each run logs in by itself");
    let cache = it.world.cache("");
    until("the connection is gone", || processes_with(cache.to_str().unwrap()).is_empty());
    let plan =
        it.run(&["run", "old", "--profile", "say", "--arg", "word=x", "--plan", "--json"]).succeeds().json();
    assert_eq!(
        (&plan["enforced"], &plan["auth_method"]),
        (&"none".into(), &"legacy_password".into()),
        "{plan}"
    );
    let dry = it.run(&[
        "run",
        "old",
        "--profile",
        "say",
        "--arg",
        "word=x",
        "--approval",
        "T",
        "--dry-run",
        "--json",
    ]);
    let config = dry.succeeds().json()["config"].as_str().unwrap().to_owned();
    assert!(
        config.contains("PreferredAuthentications password") && config.contains("NumberOfPasswordPrompts 1"),
        "{config}"
    );
    // It is nowhere but in the keychain.
    for (path, content) in it.world.snapshot() {
        let is_there = String::from_utf8_lossy(&content).contains("p'a\"s$(s)");
        assert!(!is_there || path.ends_with("secret") || path.ends_with("password"), "{}", path.display());
    }
}

#[test]
fn the_guides_password_server_is_right() {
    let blocks = crate::guides::texts("guides/named-servers.md", "toml");
    let block = blocks.iter().find(|block| block.starts_with("[servers.old]")).unwrap();
    let Some(world) = with_servers("") else { return };
    let approvers = file(&world).with_file_name("approvers");
    std::fs::write(&approvers, "").unwrap();
    std::fs::set_permissions(&approvers, std::fs::Permissions::from_mode(0o600)).unwrap();
    write(&world, &format!("{block}[profiles.disk]\ntemplate = \"df -h\"\n"));
    assert_eq!(world.run(&["servers", "check", "--json"]).succeeds().json()["errors"], serde_json::json!([]));
    let doctor = world.run(&["doctor", "old"]);
    assert!(doctor.text().contains("not tried: each login with a password needs an approval"), "{doctor:?}");
}

#[test]
fn a_wrong_password_is_tried_once() {
    let Some(it) = Passworded::new() else { return };
    it.keychain_has("wrong");
    let said = it.say("x").fails_as("transport", 255);
    assert!(said.json()["message"].as_str().unwrap().contains("does not accept the password"), "{said:?}");
    it.keychain_has(PASSWORD);
    let said = it.say("x").fails_as("transport", 255);
    assert!(said.json()["message"].as_str().unwrap().contains("does not try again for"), "{said:?}");
    // Another cache or state folder does not make it forget.
    let elsewhere = it.world.home().join("elsewhere");
    let mut command =
        it.world.command(&["run", "old", "--profile", "say", "--arg", "word=x", "--approval", "T", "--json"]);
    command.env("RUNCODE_TEST_KEYCHAIN", it.world.home().join("keychain"));
    command.env("XDG_CACHE_HOME", &elsewhere).env("XDG_STATE_HOME", &elsewhere);
    let said = CommandOutput::of(command.output().unwrap()).fails_as("transport", 255);
    assert!(said.json()["message"].as_str().unwrap().contains("does not try again for"), "{said:?}");
    assert_eq!(it.tries(), 1);
}

#[test]
fn no_password_is_no_connection() {
    let Some(it) = Passworded::new() else { return };
    std::fs::remove_file(it.world.home().join("secret")).unwrap();
    it.say("x").fails_as("unavailable", 255);
    for bad in ["", "two\nlines"] {
        it.keychain_has(bad);
        it.say("x").fails_as("unavailable", 255);
    }
    std::fs::write(file(&it.world).with_file_name(".env"), "OLD_PASSWORD=hunter2\n").unwrap();
    let said = it.say("x").fails_as("bad_config", 255);
    assert!(!said.text().contains("hunter2") && !said.stderr.contains("hunter2"), "{said:?}");
    assert_eq!(it.tries(), 0);
}

#[test]
fn a_password_opens_an_approved_session() {
    let Some(it) = Passworded::new() else { return };
    it.run(&["connect", "old", "--approval", "TICKET-2", "--ttl", "60"]).succeeds();
    for word in ["one", "two"] {
        assert_eq!(it.run(&["exec", "--", "echo", word]).succeeds().text(), format!("{word}\n"));
    }
    assert_eq!(it.tries(), 1, "it is asked for once");
    it.run(&["disconnect"]).succeeds();
    let cache = it.world.cache("");
    until("nothing is left", || processes_with(cache.to_str().unwrap()).is_empty());
}

/// What a bastion refuses is not the password, and the password passes it unseen.
#[test]
fn a_password_passes_a_bastion() {
    let Some(it) = Passworded::new() else { return };
    let folder = it.world.home().join("jump");
    std::fs::create_dir(&folder).unwrap();
    let Some(mut bastion) = RealSshd::start(&folder) else { return };
    let ca = file(&it.world).with_file_name("ca");
    keygen(&ca, "");
    let (port, host_key) = bastion.authorize("");
    let host_key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let (user, root) = (user(), if user() == "root" { "root_login_acknowledged = true\n" } else { "" });
    let text = read(&file(&it.world)).replace("[servers.old]\n", "[servers.old]\njump = \"bastion\"\n");
    write(
        &it.world,
        &format!(
            "{text}[signers.ca]\nkind = \"ca_key\"\nkey = \"ca\"\n[servers.bastion]\nsigner = \"ca\"\nhost = \"127.0.0.1\"\n\
             port = {port}\nuser = \"{user}\"\n{root}host_keys = [\"{}\"]\n",
            host_key.trim()
        ),
    );
    bastion.restart_with("AuthorizedKeysFile none\nBanner none\n");
    let said = it.say("x").fails_as("transport", 255).json();
    assert_eq!((said["hop"].as_str(), it.tries()), (Some("bastion"), 0), "{said}");
    bastion.restart_with(&format!(
        "TrustedUserCAKeys {}.pub\nAuthorizedKeysFile none\nBanner none\n",
        ca.display()
    ));
    assert_eq!(it.say("x").succeeds().text(), "x\n");
    assert_eq!(it.tries(), 1);
}
