//! How a routed command runs on the workspace: in the folder where the session's last one ended.

use std::path::PathBuf;

use crate::hooks::guard::{Whose, take_off};
use crate::hooks::simple_command::first_words;
use crate::session::execution::Execution;
use crate::sys::digest::sha256;
use crate::transport::Variables;

/// Runs a command there as the client would run it here, and remembers the folder.
const SCRIPT: &str = include_str!("road.sh");

const DIGITS: usize = 32;

/// How to run what the client was about to run here: `text`, for the agent session `session`, in the project with these names.
pub fn execution(text: &str, session: Option<&str>, project: &[PathBuf]) -> Execution {
    let (command, whose) = take_off(text);
    let (start, command) = without_local_folder(command, project);
    let kept = session.filter(|_| whose == Whose::Main).map(|session| {
        let digest = sha256(session.as_bytes());
        digest[..DIGITS].to_owned()
    });
    let script = SCRIPT.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let words =
        ["sh", "-c", &script, "runcode", command, &kept.unwrap_or_default(), &start.unwrap_or_default()];
    Execution {
        from_home: false,
        folder: None,
        env: Variables::default(),
        no_stdin: true,
        timeout: None,
        words: words.into_iter().map(Into::into).collect(),
        is_exact: true,
    }
}

/// A leading `cd` to the project's local folder means its folder on the workspace: that folder, relative, and the rest.
fn without_local_folder<'a>(command: &'a str, project: &[PathBuf]) -> (Option<String>, &'a str) {
    let Some((words, rest)) = first_words(command, 2) else { return (None, command) };
    let [verb, folder] = &words[..] else { return (None, command) };
    let rest = match rest.strip_prefix("&&") {
        Some(rest) => rest,
        None if rest.is_empty() || rest.starts_with(['\n', ';']) => rest.get(1..).unwrap_or(":"),
        None => return (None, command),
    };
    let folder = std::path::Path::new(folder);
    let below = project.iter().find_map(|project| folder.strip_prefix(project).ok());
    match below.and_then(|below| below.to_str()) {
        Some(below) if verb == "cd" && folder.is_absolute() => {
            let rest = if rest.trim().is_empty() { ":" } else { rest };
            (Some(format!("./{below}")), rest)
        }
        _ => (None, command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_folder_means_the_workdir() {
        let project = [PathBuf::from("/home/me/p"), PathBuf::from("/disk/p 2")];
        let of = |command| without_local_folder(command, &project);
        for (command, start, rest) in [
            ("cd /home/me/p && make", Some("./"), " make"),
            ("cd /home/me/p/api/v2 && make", Some("./api/v2"), " make"),
            ("cd '/disk/p 2' && ls; cd /x", Some("./"), " ls; cd /x"),
            ("cd /home/me/p\nmake", Some("./"), "make"),
            ("cd /home/me/p; make", Some("./"), " make"),
            ("cd /home/me/p", Some("./"), ":"),
            ("cd /home/me/p-2 && make", None, "cd /home/me/p-2 && make"),
            ("cd /home/me && make", None, "cd /home/me && make"),
            ("cd /home/me/p || make", None, "cd /home/me/p || make"),
            ("cd /home/me/p | make", None, "cd /home/me/p | make"),
            ("cd $X && make", None, "cd $X && make"),
            ("ls /home/me/p && make", None, "ls /home/me/p && make"),
            ("make", None, "make"),
        ] {
            assert_eq!(of(command), (start.map(str::to_owned), rest), "{command}");
        }
    }
}
