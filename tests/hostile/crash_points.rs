//! What the crash tests stand on: `kill -9` on the way into every system call of a command that changes the disk, one
//! after the other, by strace.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{names, program, skipped, wrapped};
use crate::support::CommandOutput;

/// The calls that change the disk, or lie between two that do.
const CALLS: [&str; 20] = [
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
    "fsync",
    "fdatasync",
    "fchmod",
    "chmod",
    "fchmodat",
    "ftruncate",
    "write",
    "flock",
    "symlink",
    "sendmsg",
];

/// The calls of one kind that are counted; no command comes near.
const MANY: usize = 400;

/// Whether there is what this needs; says so when not.
pub(super) fn can_kill(test: &str) -> bool {
    let can = program("strace").is_some();
    if !can {
        skipped(test, "there is no strace");
    }
    can
}

/// Which points of a command are tried.
#[derive(Clone, Copy)]
pub(super) struct Points {
    /// How many, evenly spread, unless `HOSTILE_STEPS` is another number, or `all`.
    pub(super) usual: usize,
    /// Whether those of its other threads count. Those of programs that it starts do then, too.
    pub(super) of_threads: bool,
}

impl Points {
    fn wanted(self) -> usize {
        match std::env::var("HOSTILE_STEPS").as_deref() {
            Ok("all") => usize::MAX,
            Ok(number) => number.parse().unwrap(),
            Err(_) => self.usual,
        }
    }

    fn strace(self, log: &Path) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-o"]).arg(log).args(self.of_threads.then_some("-f"));
        strace
    }
}

/// Runs `command` again and again, each time from what it prepares, killed on the way into each of its calls in turn; after
/// each, `check` is told which. How often it was killed.
pub(super) fn killed_at(
    which: Points,
    mut command: impl FnMut() -> Command,
    mut check: impl FnMut(&str),
) -> usize {
    let points = points(which, command());
    let count = which.wanted().min(points.len());
    let mut kills = 0;
    for taken in 0..count {
        let (call, number) = &points[taken * points.len() / count];
        let mut strace = which.strace(Path::new("/dev/null"));
        strace.arg("-e").arg(format!("trace={call}"));
        strace.arg("-e").arg(format!("inject={call}:signal=KILL:when={number}")).arg("--");
        let output = wrapped(strace, &command()).output().unwrap();
        // strace dies as its child did. A call that did not come this time (a retry, a wait) was none to be killed at.
        if std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9) {
            kills += 1;
            check(&format!("{call} {number}"));
        } else {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!words.contains("invalid system call"), "{words}");
        }
    }
    kills
}

/// The calls that `command` makes when nobody kills it, each with how many of its kind came before in its thread, counted
/// from one: strace counts so too, and the first thread to get so far is where it kills.
fn points(which: Points, command: Command) -> Vec<(String, usize)> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = which.strace(trace.path());
    // What this machine's kernel does not have is left out, as the question mark says.
    strace.arg("-e").arg(format!("trace=?{}", CALLS.join(",?"))).arg("--");
    CommandOutput::of(wrapped(strace, &command).output().unwrap()).succeeds();
    let text = std::fs::read_to_string(trace.path()).unwrap();
    let mut seen = std::collections::BTreeMap::<(&str, &str), usize>::new();
    let mut points = Vec::new();
    for line in text.lines() {
        let Some((start, _)) = line.split_once('(') else { continue };
        let (thread, name) = start.rsplit_once(' ').unwrap_or(("", start));
        let Some(call) = CALLS.into_iter().find(|known| *known == name) else { continue };
        let number = seen.entry((thread.trim(), call)).or_default();
        *number += 1;
        let point = (call.to_owned(), *number);
        if *number < MANY && !points.contains(&point) {
            points.push(point);
        }
    }
    points
}

/// Makes what is hidden in `folder` two minutes older, as if the next command came so much later: only what has lain there
/// for a while is taken for what the killed left.
pub(super) fn age(folder: &Path) {
    let earlier = SystemTime::now() - Duration::from_secs(120);
    for name in names(folder).into_iter().filter(|name| name.starts_with('.')) {
        std::fs::File::open(folder.join(name)).unwrap().set_modified(earlier).unwrap();
    }
}
