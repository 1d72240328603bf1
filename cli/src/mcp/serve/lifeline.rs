//! Ends the tools if this process is killed before it can do so: a shell that waits for its stdin to end.

use std::io::Write as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use crate::sys::new_session;

/// Reads `+GROUP` and `-GROUP`. At the end of stdin, it ends the remaining process groups, as `serve` does.
const SCRIPT: &str = r#"trap '' HUP INT TERM
groups=' '
while read -r line; do
  group=${line#?}
  case $line in
    +*) groups="$groups$group " ;;
    -*) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
[ "$groups" = ' ' ] && exit
for group in $groups; do kill -s TERM -- "-$group"; done
sleep 2
for group in $groups; do kill -s KILL -- "-$group"; done"#;

/// The shell, started when the first tool is.
#[derive(Debug, Default)]
pub(super) struct Lifeline(Mutex<Option<ChildStdin>>);

impl Lifeline {
    /// Makes this process group end with us, for as long as the value is kept.
    pub(super) fn hold(&self, group: Pid) -> Held<'_> {
        self.tell('+', group);
        Held { lifeline: self, group }
    }

    fn tell(&self, sign: char, group: Pid) {
        let mut shell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shell.is_none() {
            *shell = start();
        }
        // Without a shell, the tools still end in every other way.
        if let Some(stdin) = &mut *shell {
            let _ = stdin.write_all(format!("{sign}{}\n", group.as_raw_nonzero()).as_bytes());
        }
    }
}

/// A process group that ends with us.
#[derive(Debug)]
pub(super) struct Held<'a> {
    lifeline: &'a Lifeline,
    group: Pid,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.lifeline.tell('-', self.group);
    }
}

fn start() -> Option<ChildStdin> {
    let mut shell = Command::new("/bin/sh");
    // It keeps nothing of ours open, nor the folder that we are in.
    shell
        .args(["-c", SCRIPT])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    new_session::lead(&mut shell);
    shell.spawn().ok()?.stdin
}
