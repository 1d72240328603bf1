//! `runcode-server`, from nothing to the first command on a machine with a stock sshd, by the commands of the guide.

mod machine;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::guides::texts;
use crate::support::http::{Answer, request};
use crate::support::{CommandOutput, World, binary, skipped, until};
use machine::Machine;

/// A server, a user and a browser.
struct Site {
    world: World,
    base: String,
    port: u16,
    serving: Child,
    cookie: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.serving.kill();
        let _ = self.serving.wait();
    }
}

fn server_binary() -> PathBuf {
    let path = binary().with_file_name("runcode-server");
    assert!(path.exists(), "there is no {}; build the whole workspace", path.display());
    path
}

fn server(world: &World, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(server_binary());
    command
        .args(arguments)
        .env_clear()
        .env("HOME", world.home())
        .env("RUNCODE_SERVER_LISTEN", format!("127.0.0.1:{port}"));
    command
}

fn first_line(out: ChildStdout) -> String {
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// What stands in a hidden field of a page.
fn field(page: &str, name: &str) -> String {
    let rest = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no {name} in {page}"))
        .1;
    rest.split('"').next().unwrap().to_owned()
}

impl Site {
    /// A server whose first administrator is `ann@example.com`, signed in.
    fn start() -> Site {
        let world = World::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(world.home().join("server.log")).unwrap();
        let mut command = server(&world, port, &["serve"]);
        let mut serving = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let link = first_line(serving.stdout.take().unwrap());
        let base = format!("http://127.0.0.1:{port}");
        let path = link.strip_prefix(&base).unwrap_or_else(|| panic!("{link}")).to_owned();
        let mut site = Site { world, base, port, serving, cookie: String::new() };
        assert_eq!(site.get(&path).status, 200);
        let answer = site.form(&path, "email=Ann%40example.com&name=Ann");
        assert_eq!(answer.status, 303, "{}", answer.body);
        site.cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        assert_eq!(site.form(&path, "email=eve%40example.com&name=Eve").status, 410);
        site
    }

    fn get(&self, path: &str) -> Answer {
        request(&self.base, "GET", path, &[("Cookie", &self.cookie)], "")
    }

    fn form(&self, path: &str, body: &str) -> Answer {
        let headers = [
            ("Cookie", self.cookie.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", self.base.as_str()),
        ];
        request(&self.base, "POST", path, &headers, body)
    }

    fn server(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let output = server(&self.world, self.port, &arguments).output().unwrap();
        CommandOutput::of(output).succeeds().json()
    }

    /// A client whose environment names no control plane.
    fn runcode(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        for variable in ["RUNCODE_API_BASE", "RUNCODE_WEB_BASE", "RUNCODE_TOKEN"] {
            command.env_remove(variable);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(self.runcode(arguments).output().unwrap())
    }

    /// Runs `runcode login`, and does in the browser what a person does.
    fn log_in(&self, arguments: &[&str], decision: &str) -> CommandOutput {
        let arguments = [arguments, &["--no-browser"]].concat();
        let mut login = self.runcode(&arguments).spawn().unwrap();
        let mut out = BufReader::new(login.stdout.take().unwrap());
        let mut url = String::new();
        while !url.starts_with("http") {
            url.clear();
            assert_ne!(out.read_line(&mut url).unwrap(), 0, "no address was printed");
        }
        let path = url.trim().strip_prefix(&self.base).unwrap().to_owned();
        let page = self.get(&path);
        assert_eq!(page.status, 200, "{}", page.body);
        let value = |name: &str| format!("{name}={}", field(&page.body, name));
        let values = ["port", "state", "challenge", "form"].map(value);
        let answer = self.form("/auth/cli-login/", &format!("{}&decision={decision}", values.join("&")));
        let location = answer.header("location");
        let callback =
            location.strip_prefix("http://127.0.0.1:").unwrap_or_else(|| panic!("{}", answer.body));
        assert!(!callback.contains("token="), "a token in a URL");
        let (port, path) = callback.split_once('/').unwrap();
        request(&format!("http://127.0.0.1:{port}"), "GET", &format!("/{path}"), &[], "");
        std::io::copy(&mut out, &mut std::io::sink()).unwrap();
        CommandOutput::of(login.wait_with_output().unwrap())
    }

    /// The enrolment script, as the guide's reader gets it.
    fn script(&self, digest: &str) -> PathBuf {
        let script = self.world.home().join("enroll.sh");
        let url = format!("{}/enroll.sh", self.base);
        let curl = Command::new("curl").args(["-fsS", &url, "-o"]).arg(&script).status().unwrap();
        assert!(curl.success());
        let sum = Command::new("sha256sum").arg(&script).output().unwrap();
        assert!(String::from_utf8_lossy(&sum.stdout).starts_with(digest));
        script
    }
}

/// The lines of the guide, which hold every command that the test runs.
fn is_in_guide(line: &str) {
    let blocks = texts("guides/self-hosting.md", "sh");
    assert!(
        blocks.iter().any(|block| block.lines().any(|own| own == line)),
        "the guide has no line `{line}`"
    );
}

fn standing() -> Option<(Site, Machine)> {
    let site = Site::start();
    let machine = Machine::start(site.world.home())?;
    Some((site, machine))
}

#[test]
fn from_nothing_to_the_first_command() {
    let Some((site, machine)) = standing() else { return };
    let before = machine.etc();
    for line in [
        "runcode-server serve",
        "runcode-server host add web --account dev --workdir /srv --owner ann@example.com",
        "curl -fsS http://127.0.0.1:7070/enroll.sh -o enroll.sh && less enroll.sh && sudo sh enroll.sh CODE",
        "runcode login http://127.0.0.1:7070",
        "runcode connect web",
        "runcode exec -- whoami",
        "runcode-server session list",
        "runcode-server session revoke ID",
        "sudo sh enroll.sh --uninstall",
    ] {
        is_in_guide(line);
    }
    let added = site.server(&[
        "host",
        "add",
        "web",
        "--account",
        "dev",
        "--workdir",
        "/srv",
        "--owner",
        "ann@example.com",
    ]);
    let (code, script) = (added["code"].as_str().unwrap(), site.script(added["sha256"].as_str().unwrap()));
    let login = ["login", &site.base];
    site.log_in(&login, "authorize").succeeds();
    // Nobody gets in before the host is enrolled, and a dry run spends nothing.
    site.run(&["connect", "web", "--json"]).fails_as("unavailable", 2);
    machine.enroll(&script, &["-n", code]).succeeds();
    assert_eq!(machine.etc(), before);
    machine.enroll(&script, &[code]).succeeds();
    machine.enroll(&script, &[code]).succeeds();
    assert!(machine.own_key_works(), "ordinary logins go on");
    site.run(&["connect", "web"]).succeeds();
    assert_eq!(site.run(&["exec", "--", "whoami; pwd"]).succeeds().text(), "dev\n/srv\n");
    let listed = site.run(&["list", "--json"]).succeeds().json();
    assert_eq!(listed[0]["title"], "web");

    let sessions = site.server(&["session", "list"]);
    let id = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(site.server(&["session", "revoke", &id])["reaches_host"], true);
    assert!(machine.lets_in(&site), "until the host hears of it");
    let mut standing = site.runcode(&["exec", "--", "echo begun; sleep 600"]).spawn().unwrap();
    assert_eq!(first_line(standing.stdout.take().unwrap()), "begun");
    machine.log_login(&id);
    machine.sync();
    assert!(!standing.wait().unwrap().success(), "the standing connection was ended");
    assert!(!machine.lets_in(&site), "the host has the new list");
    assert!(machine.own_key_works());
    machine.enroll(&script, &["--uninstall"]).succeeds();
    assert_eq!(machine.etc(), before, "every byte is back");
    assert!(machine.own_key_works());
    let verified = site.server(&["audit", "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
    site.run(&["logout"]).succeeds();
    assert_eq!(site.server(&["token", "list", "ann@example.com"])["tokens"], serde_json::json!([]));
}

#[test]
fn a_denied_login_says_so() {
    let site = Site::start();
    site.log_in(&["login", &site.base], "deny").ends_with(2);
    assert!(!site.world.home().join(".config/runcode/token").exists());
}

#[test]
fn a_failing_enrolment_changes_nothing() {
    let Some((site, machine)) = standing() else { return };
    let before = machine.etc();
    let added = site.server(&["host", "add", "web", "--account", "dev", "--owner", "ann@example.com"]);
    let (code, script) = (added["code"].as_str().unwrap(), site.script(added["sha256"].as_str().unwrap()));
    machine.enroll(&script, &["A123456789012345678901234567890123456789012"]).ends_with(1);
    assert_eq!(machine.etc(), before);
    // A CA that is there already would be switched off by ours.
    machine.configure("TrustedUserCAKeys /etc/ssh/other.pub\n");
    let with_other = machine.etc();
    machine.enroll(&script, &[code]).ends_with(3);
    assert_eq!(machine.etc(), with_other);
    machine.configure("");
    // The trial finds what `sshd -t` does not: the account may not log in.
    machine.configure("AllowUsers root\n");
    machine.enroll(&script, &[code]).ends_with(1);
    machine.configure("");
    assert_eq!(machine.etc(), before);
    // The code is still good.
    machine.enroll(&script, &[code]).succeeds();
    machine.enroll(&script, &["--uninstall"]).succeeds();
    assert_eq!(machine.etc(), before);
}

#[test]
fn without_root_one_line_is_enough() {
    let Some((site, machine)) = standing() else { return };
    let added = site.server(&["host", "add", "web", "--account", "dev", "--owner", "ann@example.com"]);
    let (code, script) = (added["code"].as_str().unwrap(), site.script(added["sha256"].as_str().unwrap()));
    let keys = machine.home().join(".ssh/authorized_keys");
    for before in [None, Some("# mine\n"), Some("# no line break at its end")] {
        if let Some(text) = before {
            std::fs::create_dir_all(keys.parent().unwrap()).unwrap();
            std::fs::write(&keys, text).unwrap();
            machine.own_home();
        }
        let code = match before {
            None => code.to_owned(),
            Some(_) => site.server(&["host", "code", "web"])["code"].as_str().unwrap().to_owned(),
        };
        machine.enroll_as_user(&script, &[&code]).succeeds();
        machine.enroll_as_user(&script, &[&code]).succeeds();
        site.log_in(&["login", &site.base], "authorize").succeeds();
        site.run(&["connect", "web"]).succeeds();
        let home = std::fs::canonicalize(machine.home()).unwrap();
        let said = site.run(&["exec", "--", "whoami; pwd"]).succeeds();
        assert_eq!(said.text(), format!("dev\n{}\n", home.display()));
        site.run(&["disconnect"]);
        machine.enroll_as_user(&script, &["--uninstall"]).succeeds();
        let after = std::fs::read_to_string(&keys).ok();
        assert_eq!(after.as_deref(), before);
        assert!(!machine.home().join(".ssh/runcode-host").exists());
    }
}
