//! Tools that run as other users, by sudo and su themselves, on a machine with users and rules of its own.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guides::{Block, blocks, page};
use crate::support::{CommandOutput, World, is_running, skipped, until};

const TOOLS: &str = r#"
[config]
run_as = "rcoracle"
[show]
command = ["./show"]
[show.args]
text = {type = "str", multiple = true, required = false}
more = {type = "rest"}
[forbidden]
command = ["./forbidden"]
[alone]
command = ["./show"]
env = {SECRET = "x"}
[framed]
command = ["./framed"]
run_as = "rcweb"
env = {SECRET = SECRET_VALUE}
[stays]
command = ["./stays"]
[stubborn]
command = ["./stubborn"]
timeout = 1
[variable]
command = ["./show"]
run_as = "$RC_USER"
[nobody]
command = ["./show"]
run_as = ""
[table]
command = ["./show"]
[table.run_as]
default = ""
hosts = {"db1" = "rcoracle"}
patterns = {"web[0-9]+" = "rcweb"}
[by_su]
command = ["./framed"]
become_method = "su"
env = {SECRET = SECRET_VALUE}
"#;

/// The rules: one program as one user, and the shell that brings variables as another.
const RULES: &str = "Defaults !syslog, !mail_badpass, !mail_no_user, !mail_no_perms, lecture = never, use_pty\n\
                     rcdeploy ALL=(rcoracle) NOPASSWD: /etc/runcode/show, /etc/runcode/stays, /etc/runcode/stubborn\n\
                     rcdeploy ALL=(rcoracle) NOPASSWD: VENV/bin/owned\n\
                     rcdeploy ALL=(rcweb) NOPASSWD: /etc/runcode/show, /bin/sh, /usr/bin/sh\n";

const SECRET: &str = "hunter2 'q' \"d\" $(id) \\ %s\n-x ";

/// Their ids, which Debian never assigns.
const DEPLOY: u32 = 64_101;
const ORACLE: u32 = 64_102;

/// A machine with three users, and with its own `/etc` and sudo rules. `box` is rcdeploy there, `boxroot` is root.
struct Machine {
    world: World,
    venv: PathBuf,
}

impl Machine {
    /// `None`, with a loud message, if there cannot be one.
    fn new() -> Option<Machine> {
        let is_root = cfg!(target_os = "linux") && rustix::process::geteuid().is_root();
        if !is_root || Command::new("sudo").arg("-V").output().is_err() {
            skipped("a machine with users of its own needs Linux, root and sudo");
            return None;
        }
        let mut world = World::own_host()?;
        let (home, etc) = (world.home().to_owned(), world.home().join("etc"));
        let (venv, binary) = (home.join("venv"), home.join("bin/runcode"));
        let person = home.join("deploy");
        for folder in [&person, &home.join("open"), binary.parent().unwrap()] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(&binary, "").unwrap();
        assert!(Command::new("cp").arg("-a").arg("/etc").arg(&etc).status().unwrap().success());
        let append = |name: &str, line: &str| {
            let text = std::fs::read_to_string(etc.join(name)).unwrap();
            std::fs::write(etc.join(name), format!("{text}{line}\n")).unwrap();
        };
        for (name, id) in [("rcdeploy", DEPLOY), ("rcoracle", ORACLE), ("rcweb", ORACLE + 1)] {
            append("passwd", &format!("{name}:x:{id}:{id}::{}:/bin/sh", person.display()));
            append("group", &format!("{name}:x:{id}:"));
            append("shadow", &format!("{name}:*:20000:0:99999:7:::"));
        }
        let rules = RULES.replace("VENV", venv.to_str().unwrap()) + &of_guide("sudoers");
        std::fs::write(etc.join("sudoers"), rules).unwrap();
        mode(&etc.join("sudoers"), 0o440);
        let machine = |name: &str| etc.join("runcode").join(name);
        std::fs::create_dir_all(machine("")).unwrap();
        let secret = serde_json::to_string(SECRET).unwrap();
        std::fs::write(
            machine("serve.toml"),
            TOOLS.replace("SECRET_VALUE", &secret) + &of_guide("toml run_as"),
        )
        .unwrap();
        let open = home.join("open").display().to_string();
        let show = "printf '<%s>' \"$(id -un)\" \"$@\"";
        for (name, text) in [
            ("show", show.to_owned()),
            ("forbidden", format!("touch {open}/forbidden")),
            (
                "framed",
                format!(
                    "touch {open}/begun; until [ -e {open}/go ]; do sleep 0.01; done; printf '<%s>' \"$(id -un)\" \"$SECRET\""
                ),
            ),
            (
                "stubborn",
                format!("trap '' TERM; echo $$ >{open}/pid; until [ -e {open}/go ]; do sleep 0.05; done"),
            ),
            ("stays", format!("echo $$ >{open}/pid; exec sleep 600")),
        ] {
            program(&machine(name), &text);
        }
        environment(&venv, show);
        for (path, bits) in [
            (home.as_path(), 0o755),
            (&home.join("sshd"), 0o755),
            (&home.join("sshd/keys"), 0o644),
            (&home.join("open"), 0o777),
        ] {
            mode(path, bits);
        }
        std::fs::create_dir_all(person.join(".local/bin")).unwrap();
        symlink(&binary, person.join(".local/bin/runcode")).unwrap();
        chown(&person, Some(DEPLOY), Some(DEPLOY)).unwrap();
        let config = home.join(".ssh/config");
        let text = std::fs::read_to_string(&config).unwrap();
        let roots = text.replace("Host box\n", "Host boxroot\n");
        let deploys = text.replace("Host box\n", "Host box db1 db2 db3 db4\n  User rcdeploy\n");
        std::fs::write(&config, format!("{deploys}{roots}")).unwrap();
        let lines = format!("SetEnv HOME={} RC_USER=rcoracle\n", person.display());
        let binds = [(crate::support::binary(), binary), (etc, PathBuf::from("/etc"))];
        let binds = binds.each_ref().map(|(onto, from)| (onto.as_path(), from.as_path()));
        world.own_sshd().restart_seeing(&binds, &lines).then_some(Machine { world, venv })
    }

    fn command(&self, options: &[&str], target: &str, words: &[&str]) -> Command {
        let binary = self.world.home().join("bin/runcode").display().to_string();
        let bin = if options.contains(&"--bin") { vec![] } else { vec!["--bin", &binary] };
        self.world.command(&[&["jump"], &*bin, options, &[target], words].concat())
    }

    fn jump(&self, words: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(&[], "box", words).output().unwrap())
    }

    fn open(&self, name: &str) -> PathBuf {
        self.world.home().join("open").join(name)
    }
}

/// A block of the guide, with the users of this test.
fn of_guide(kind: &str) -> String {
    let found = blocks(&page("guides/box-tools.md")).into_iter().find(|block| block.kind == kind);
    let Block { text, .. } = found.unwrap_or_else(|| panic!("no block of kind {kind}"));
    text.replace("oracle", "rcoracle").replace("deploy", "rcdeploy").replace("www-data", "rcweb")
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    mode(path, 0o755);
}

/// A Python environment of rcoracle's, whose tool says nothing about users.
fn environment(venv: &Path, text: &str) {
    let site = venv.join("lib/python3.11/site-packages");
    let (info, bin) = (site.join("owned-1.dist-info"), venv.join("bin"));
    std::fs::create_dir_all(&info).unwrap();
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(venv.join("pyvenv.cfg"), "").unwrap();
    std::fs::write(info.join("METADATA"), "Name: owned\nRequires-Dist: runspec\n").unwrap();
    std::fs::write(info.join("RECORD"), "runspec.toml,,\n").unwrap();
    std::fs::write(site.join("runspec.toml"), "[owned]\n").unwrap();
    program(&bin.join("owned"), text);
    symlink("../../bin/runcode", bin.join("runspec")).unwrap();
    assert!(
        Command::new("chown")
            .args(["-Rh", &format!("{ORACLE}:{ORACLE}")])
            .arg(venv)
            .status()
            .unwrap()
            .success()
    );
}

/// Whether a process has this in its command line, which every user may read.
fn is_in_a_command_line(text: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.into_iter().any(|line| line.windows(text.len()).any(|part| part == text.as_bytes()))
}

#[test]
fn sudo_needs_a_rule_for_the_program_alone() {
    let Some(machine) = Machine::new() else { return };
    let odd =
        ["a  b", "'", "\"", "two\nlines", "-u", "--", "$(id)", "`id`", "*", "\\", "é", "", "a;id", "!x"];
    let options = odd.iter().map(|text| format!("--text={text}")).collect::<Vec<_>>();
    let mut words = vec!["show", "--"];
    words.extend(options.iter().map(String::as_str));
    words.push("--");
    words.extend(odd);
    let mut expected = "<rcoracle>".to_owned();
    for text in odd {
        expected +=
            &if text.starts_with('-') { format!("<--text={text}>") } else { format!("<--text><{text}>") };
    }
    expected += &format!("<-->{}", odd.map(|text| format!("<{text}>")).concat());
    assert_eq!(machine.jump(&words).succeeds().text(), expected);
    // The rule covers neither another program, nor one in a shell that brings it variables.
    for tool in ["forbidden", "alone"] {
        let said = machine.jump(&[tool]).ends_with(1);
        assert!(said.text().is_empty() && said.stderr.contains("sudo: "), "{said:?}");
    }
    assert!(!machine.open("forbidden").exists());
}

#[test]
fn no_value_is_in_a_command_line() {
    let Some(machine) = Machine::new() else { return };
    for (target, tool, user) in [("box", "framed", "rcweb"), ("boxroot", "by_su", "rcoracle")] {
        let child = machine.command(&[], target, &[tool]).spawn().unwrap();
        until("the tool runs", || {
            assert!(!is_in_a_command_line("hunter2"));
            machine.open("begun").exists()
        });
        assert!(is_in_a_command_line("/framed") && !is_in_a_command_line("hunter2"));
        std::fs::write(machine.open("go"), "").unwrap();
        let said = CommandOutput::of(child.wait_with_output().unwrap()).succeeds();
        assert_eq!(said.text(), format!("<{user}><{SECRET}>"));
        for name in ["begun", "go"] {
            std::fs::remove_file(machine.open(name)).unwrap();
        }
    }
}

#[test]
fn each_way_to_name_the_user_works() {
    let Some(mut machine) = Machine::new() else { return };
    for (tool, user) in [("show", "rcoracle"), ("variable", "rcoracle"), ("nobody", "rcdeploy")] {
        assert_eq!(machine.jump(&[tool]).succeeds().text(), format!("<{user}>"), "{tool}");
    }
    for (host, user) in
        [("db1", "rcoracle"), ("db1.example", "rcdeploy"), ("db2", "rcdeploy"), ("web7", "rcweb")]
    {
        machine.world.own_sshd().rename_machine(host);
        assert_eq!(machine.jump(&["table"]).succeeds().text(), format!("<{user}>"), "{host}");
    }
    // The owner of the environment in which the program is called.
    let bin = machine.venv.join("bin/runspec").display().to_string();
    let said = CommandOutput::of(machine.command(&["--bin", &bin], "box", &["owned"]).output().unwrap());
    assert_eq!(said.succeeds().text(), "<rcoracle>");
}

#[test]
fn one_host_of_four_has_another_user() {
    let Some(mut machine) = Machine::new() else { return };
    let (console, bin) = (of_guide("console"), "~/.local/bin/runcode");
    let (line, printed) = console.split_once('\n').unwrap();
    let (hosts, command) = line.strip_prefix("$ for host in ").unwrap().split_once("; do ").unwrap();
    assert_eq!(command, "runcode jump \"$host\" whoami; done");
    let mut all = String::new();
    for host in hosts.split(' ') {
        machine.world.own_sshd().rename_machine(host);
        let mut jump = machine.world.command(&["jump", host, "whoami"]);
        all += CommandOutput::of(jump.env("RUNCODE_JUMP_BIN", bin).output().unwrap()).succeeds().text();
    }
    assert_eq!(all, printed);
}

#[test]
fn sudo_ends_what_it_started() {
    let Some(machine) = Machine::new() else { return };
    let pid = || {
        let text = || std::fs::read_to_string(machine.open("pid")).unwrap_or_default();
        until("the tool runs", || text().ends_with('\n'));
        text().trim().parse::<i32>().unwrap()
    };
    let late = machine.command(&["--json", "--timeout", "3"], "box", &["stays"]).spawn().unwrap();
    let first = pid();
    CommandOutput::of(late.wait_with_output().unwrap()).fails_as("timed_out", 255);
    until("the tool is gone", || !is_running(first));
    std::fs::remove_file(machine.open("pid")).unwrap();
    let cut = machine.command(&["--json"], "box", &["stays"]).spawn().unwrap();
    let second = pid();
    let words = format!("{}\0serve\0", machine.world.home().join("bin/runcode").display());
    let serves = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == words.as_bytes())
    });
    let serves = serves.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap());
    let [serve] = serves.collect::<Vec<i32>>()[..] else { panic!("not one server") };
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(serve).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    CommandOutput::of(cut.wait_with_output().unwrap()).fails_as("transport", 255);
    until("the tool is gone", || !is_running(second));
}

#[test]
fn what_outlives_sudo_is_told() {
    let Some(machine) = Machine::new() else { return };
    let said = machine.jump(&["stubborn"]);
    let pid = std::fs::read_to_string(machine.open("pid")).unwrap().trim().parse().unwrap();
    let is_told = said.stderr.contains("but may still be running on the workspace");
    assert_eq!((said.status, is_told), (137, true), "{said:?}");
    assert!(is_running(pid));
    std::fs::write(machine.open("go"), "").unwrap();
    until("it ends by itself", || !is_running(pid));
}
