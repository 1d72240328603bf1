//! `shell`, and what needs a terminal.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{CommandOutput, World, skipped, until};

/// `runcode shell` on a terminal, with these lines typed.
fn typed(world: &World, lines: &str) -> Option<CommandOutput> {
    let ours = world.command(&["shell"]);
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{} shell", ours.get_program().display()), "/dev/null"]);
    script.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.current_dir(world.home()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = script.spawn() else {
        skipped("there is no script(1)");
        return None;
    };
    child.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    Some(CommandOutput::of(child.wait_with_output().unwrap()))
}

#[test]
fn a_shell_ends_without_a_word_of_ours() {
    for world in World::each().into_iter().map(World::connected) {
        let Some(said) = typed(&world, "exit 7\n") else { return };
        let said = said.ends_with(7);
        assert!(!said.text().contains("closed") && !said.text().contains("runcode: "), "{said:?}");
        // 255 is a status like any other.
        let mut child = world.command(&["shell"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"exit 255\n").unwrap();
        let said = CommandOutput::of(child.wait_with_output().unwrap()).ends_with(255);
        assert!(!said.stderr.contains("runcode: "), "{said:?}");
    }
}

#[test]
fn a_dropped_shell_says_so_in_one_line() {
    for world in World::each().into_iter().map(World::connected) {
        let mut child = world.command(&["shell"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let here = world.workspace();
        stdin.write_all(format!("touch {}/here\n", here.display()).as_bytes()).unwrap();
        until("the shell runs", || here.join("here").exists());
        let pid = std::fs::read_to_string(world.cache("ws-1/master.pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.split_whitespace().next().unwrap().parse().unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
        let said = CommandOutput::of(child.wait_with_output().unwrap()).ends_with(255);
        let ours = said.stderr.lines().filter(|line| line.starts_with("runcode: ")).collect::<Vec<_>>();
        assert_eq!(ours, ["runcode: the connection was lost, and the shell with it"], "{said:?}");
        drop(stdin);
    }
}

#[test]
fn exec_names_programs_that_want_a_terminal() {
    let world = World::new().connected();
    for (arguments, is_named) in [
        (&["exec", "-n", "--", "/no/such/top", "-d"][..], true),
        (&["exec", "-n", "--", "/no/such/vim x; exit 3"], true),
        (&["exec", "-n", "--", "exit 3"], false),
        (&["exec", "-n", "--", "sh", "-c", "exit 3", "top"], false),
    ] {
        let said = world.run(arguments);
        assert_ne!(said.status, 0);
        assert_eq!(said.stderr.contains("open `runcode shell`"), is_named, "{arguments:?}: {said:?}");
    }
}
