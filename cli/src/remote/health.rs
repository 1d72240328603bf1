//! What keeps a host of the user's own from working, although ssh gets in.

use std::time::Duration;

use crate::error::Result;
use crate::grant::Workdir;
use crate::remote::answer::answer;
use crate::session::{Session, Sessions};
use crate::sys::random;
use crate::transport::script::ABSOLUTE_PATH;
use crate::transport::{RemoteCommand, Variables};

const PATIENCE: Duration = Duration::from_secs(20);

const SCRIPT: &str = include_str!("health.sh");

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What the login shell prints where nobody asked it to.
    pub noise: Option<String>,
    /// Whether there is a POSIX `sh`.
    pub has_sh: bool,
    /// The folders that nothing can be written to.
    pub full: Vec<String>,
    /// The host's time, in seconds since 1970.
    pub clock: Option<i64>,
}

/// The login folder may be the project.
fn text() -> String {
    [ABSOLUTE_PATH, SCRIPT].concat()
}

/// Asks the host; its connection is up.
pub fn look(sessions: &Sessions<'_>, session: &Session) -> Result<Health> {
    let mark = random::word();
    let echo = RemoteCommand::snippet(None, &Variables::default(), format!("echo {mark}"))?;
    let said = answer(sessions, session, &echo, PATIENCE)?;
    let workdir = session.meta.workdir.as_ref().map_or("", Workdir::as_str);
    let unguessed = random::word();
    let script =
        RemoteCommand::script(&text(), &[mark.as_bytes(), workdir.as_bytes(), unguessed.as_bytes()])?;
    let facts = answer(sessions, session, &script, PATIENCE)?;
    Ok(read(&said, &facts, &mark))
}

fn read(said: &str, facts: &str, mark: &str) -> Health {
    let noise = said.replacen(mark, "", 1);
    let mut health = Health {
        noise: Some(noise.trim().to_owned()).filter(|noise| !noise.is_empty()),
        ..Health::default()
    };
    for fact in facts.lines().filter_map(|line| line.strip_prefix(mark)?.strip_prefix(' ')) {
        match fact.split_once(' ').unwrap_or((fact, "")) {
            ("sh", _) => health.has_sh = true,
            ("full", folder) => health.full.push(folder.to_owned()),
            ("clock", seconds) => health.clock = seconds.parse().ok(),
            _ => {}
        }
    }
    health
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_and_facts_are_told_apart() {
        let facts = "welcome\nM sh\nM room\nM full /tmp\nM clock 1700000000\nX clock 1\n";
        let health = read("welcome\nM\n", facts, "M");
        assert_eq!(
            health,
            Health {
                noise: Some("welcome".to_owned()),
                has_sh: true,
                full: vec!["/tmp".to_owned()],
                clock: Some(1_700_000_000),
            }
        );
        assert_eq!(read("M\n", "", "M"), Health::default());
    }

    #[cfg(unix)]
    #[test]
    fn the_short_script_is_short() {
        crate::transport::script::check(&text(), 700);
    }

    #[cfg(unix)]
    #[test]
    fn the_script_says_what_is_so() {
        let home = tempfile::tempdir();
        let Ok(home) = home else { return };
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", SCRIPT, "sh", "M", "~/none", "word"]);
        sh.env("HOME", home.path()).env("TMPDIR", "/no/such/folder");
        let Ok(output) = sh.output() else { return };
        let health = read("M", &String::from_utf8_lossy(&output.stdout), "M");
        assert!(health.has_sh && health.clock.is_some());
        assert_eq!(health.full, ["/no/such/folder", &format!("{}/none", home.path().display())]);
        assert_eq!(std::fs::read_dir(home.path()).map(Iterator::count).ok(), Some(0), "nothing is left");
    }

    /// Where others may write, they may have put a link or a pipe where a file is to be made.
    #[cfg(unix)]
    #[test]
    fn what_others_put_there_stays() {
        let Ok(home) = tempfile::tempdir() else { return };
        let (victim, link) = (home.path().join("victim"), home.path().join(".runcode-doctor-word"));
        assert!(
            std::fs::write(&victim, "mine").is_ok() && std::os::unix::fs::symlink(&victim, &link).is_ok()
        );
        let mut sh = std::process::Command::new("sh");
        let output = sh.args(["-c", SCRIPT, "sh", "M", "", "word"]).env("HOME", home.path()).output();
        let Ok(output) = output else { return };
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(read("M", &said, "M").full, [home.path().display().to_string()]);
        assert_eq!(std::fs::read(&victim).ok().as_deref(), Some(&b"mine"[..]));
        assert!(link.is_symlink(), "it was removed");
        assert!(!SCRIPT.contains("$$"), "a process id can be guessed");
    }
}
