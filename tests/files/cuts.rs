//! Whoever dies, at whatever moment: what is there is the old content or the new one, and nothing else is.

use super::*;
use crate::support::processes_with;

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Client,
    Master,
    /// The shell that the workspace runs for us.
    Shell,
    /// That shell, and all that it has started.
    Box,
}

impl Victim {
    const ALL: [Victim; 4] = [Victim::Client, Victim::Master, Victim::Shell, Victim::Box];
}

const OLD: usize = 100_000;
const NEW: usize = 3_000_000;

/// Whole old or whole new content, told apart by length and by every byte.
fn is_whole(path: &Path, (old, new): (&[u8], &[u8])) -> bool {
    let now = fs::read(path).unwrap();
    now == old || now == new
}

/// The shell that the workspace runs for `world`, below its real sshd or in this process's embedded gateway: it bears a script of
/// ours, and leads a process group.
fn shells(world: &World) -> Vec<i32> {
    let workspace = world.workspace().display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let leads = |pid: &i32| {
        let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let group = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)?.parse().ok());
        text.starts_with("sh\0-c\0n=") && text.contains(&workspace) && group == Some(*pid)
    };
    pids.filter(leads).collect()
}

fn strike(world: &World, victim: Victim, child: &Child) {
    let kill = |pid: i32| {
        let _ =
            Command::new("kill").args(["-s", "KILL", "--", &pid.to_string()]).stderr(Stdio::null()).status();
    };
    match victim {
        Victim::Client => kill(child.id().cast_signed()),
        // There is none while a new one is being made.
        Victim::Master => {
            let pid = fs::read_to_string(world.cache("ws-1/master.pid")).unwrap_or_default();
            pid.trim().parse().into_iter().for_each(kill);
        }
        Victim::Shell => shells(world).into_iter().for_each(kill),
        Victim::Box => shells(world).into_iter().for_each(|leader| kill(-leader)),
    }
}

/// Transfers over old content and strikes after each of these pauses, in milliseconds.
fn under_fire(arguments: &[&str], there: &str, victim: Victim) {
    for world in World::each() {
        let world = world.connected();
        let (old, new) = (noise(OLD), noise(NEW));
        for folder in
            [world.home().join("tree"), world.home().join("source"), world.workspace().join("source")]
        {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a"), &new).unwrap();
            fs::write(folder.join("b"), &new).unwrap();
        }
        for pause in [0, 5, 12, 25, 50, 110] {
            let target = world.home().join(there);
            fs::create_dir_all(&target).unwrap();
            for name in ["a", "b"] {
                fs::write(target.join(name), &old).unwrap();
            }
            let child = world.command(arguments).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(pause)); // when it strikes does not matter to what has to hold
            strike(&world, victim, &child);
            let said = CommandOutput::of(child.wait_with_output().unwrap());
            for name in ["a", "b"] {
                assert!(is_whole(&target.join(name), (&old, &new)), "{victim:?} after {pause} ms: {name}");
            }
            if said.status == 0 && victim != Victim::Client {
                assert!(
                    fs::read(target.join("a")).unwrap() == new,
                    "{victim:?} after {pause} ms: said to be done"
                );
            }
            // A killed process cannot clean up: a killed client leaves its local folder, a killed workspace its remote one.
            let cleans_up = match victim {
                Victim::Client => there.starts_with("box"),
                Victim::Master => true,
                Victim::Shell | Victim::Box => !there.starts_with("box"),
            };
            if cleans_up {
                let what = format!("nothing is left over: {victim:?} after {pause} ms");
                until(&what, || litter(&target).is_empty());
            }
            // What a killed shell had started goes on until its input ends, and writes meanwhile.
            let workspace = world.workspace().display().to_string();
            let what = format!("the workspace has ended: {victim:?} after {pause} ms");
            until(&what, || processes_with(&workspace).is_empty());
            fs::remove_dir_all(&target).unwrap();
        }
    }
}

#[test]
fn a_cut_file_put_is_safe() {
    for victim in Victim::ALL {
        under_fire(&["put", "source/a", "to/a"], "box/to", victim);
    }
}

#[test]
fn a_cut_file_get_is_safe() {
    for victim in Victim::ALL {
        under_fire(&["get", "source/a", "--out", "to/a"], "to", victim);
    }
}

#[test]
fn a_cut_folder_put_is_safe() {
    for victim in Victim::ALL {
        under_fire(&["put", "source", "to"], "box/to", victim);
    }
}

#[test]
fn a_cut_folder_get_is_safe() {
    for victim in Victim::ALL {
        under_fire(&["get", "source", "--out", "to"], "to", victim);
    }
}

/// A finished transfer leaves nothing for the next command to end, however slow it was: that would need a separate command.
#[test]
fn a_slow_transfer_is_no_lost_command() {
    let Some((world, own)) = with_programs() else { return };
    program(&own, "sha256sum", "/bin/sleep 0.2; exec /usr/bin/sha256sum");
    fs::write(world.home().join("f"), "here").unwrap();
    for _ in 0..4 {
        for command in [["put", "f", "f"], ["get", "f", "--out=g"]] {
            world.run(&command).succeeds();
            assert!(!world.cache("ws-1/commands").exists(), "{command:?}");
        }
    }
}
