//! The guard around a routed command: the command runs only if the session's environment file has brought the road.
//!
//! The client matches the user's permission rules against each part of it, and this form needs no permission of its own. The road
//! takes the guard off again and sends its content to the workspace. Without a road, the shell reads the guard and runs
//! nothing, as long as the command does not close it: [`may_close`].

/// Whose command it is; this decides in which folder it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The main session's: it starts where its last one ended.
    Main,
    /// A subagent's, or one in the background: it starts in the project folder, and moves no other.
    Apart,
}

const MAIN: &str = "if type runcode_routed >/dev/null; then\n";
const APART: &str = "if type runcode_routed_apart >/dev/null; then\n";
/// Two line feeds: a backslash at the end of the command takes one away.
const END: &str = "\n\nelse echo 'runcode: this session is not routed; nothing was run: /clear or restart it' >&2; false\nfi";

/// The command in its guard.
pub fn put_on(command: &str, whose: Whose) -> String {
    let start = match whose {
        Whose::Main => MAIN,
        Whose::Apart => APART,
    };
    format!("{start}{command}{END}")
}

/// The command without its guard. If it has none, it is the user's own, or another hook took the guard off.
pub fn take_off(text: &str) -> (&str, Whose) {
    let inner = |start| text.strip_prefix(start).and_then(|rest: &str| rest.strip_suffix(END));
    match (inner(MAIN), inner(APART)) {
        (Some(command), _) => (command, Whose::Main),
        (_, Some(command)) => (command, Whose::Apart),
        (None, None) => (text, Whose::Main),
    }
}

/// Whether `command` has a word that could end the guard's `if`, or open its other half. A backslash at the end of a line joins words.
pub fn may_close(command: &str) -> bool {
    let joined = command.replace("\\\n", "");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    joined.split(|c| !is_word(c)).any(|word| matches!(word, "fi" | "else" | "elif"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_comes_off_as_it_went_on() {
        for command in ["ls", "cat <<'E'\nx\nE", "", "if a; then b; fi", &put_on("inner", Whose::Main)] {
            for whose in [Whose::Main, Whose::Apart] {
                assert_eq!(take_off(&put_on(command, whose)), (command, whose));
            }
        }
        assert_eq!(take_off("ls"), ("ls", Whose::Main));
        assert_eq!(take_off(MAIN), (MAIN, Whose::Main));
    }

    #[test]
    fn words_that_close_it_are_found() {
        for command in ["true\nfi\nrm x\nif :; then", "f\\\ni", "else", "a;elif b", "'fi'", "x=$(fi)"] {
            assert!(may_close(command), "{command}");
        }
        for command in ["ls -la", "config", "wifi", "elsewhere", "fi_x", "git fire"] {
            assert!(!may_close(command), "{command}");
        }
    }

    /// Without the road, a shell runs nothing inside the guard, whatever it is, if it has none of those words.
    #[test]
    fn without_the_road_nothing_runs() {
        for shell in ["bash", "zsh"] {
            for command in [
                "echo ran >&3",
                "echo '",
                "echo \"",
                "echo \\",
                "echo $(",
                "cat <<'E'\nx",
                "echo ran >&3 #",
                "}; echo ran >&3; {",
                "); echo ran >&3; (",
                "done; echo ran >&3",
                "echo `",
                "${",
                "$((",
                "case x in",
                "cat <<\"else echo 'runcode: this session is not routed; nothing was run: /clear or restart it' >&2; false\"",
                "echo ran >&3 ' ; echo ran >&3",
                "\u{1}",
                "esac; echo ran >&3",
                "then echo ran >&3",
            ] {
                assert!(!may_close(command) || command.contains("else"), "{command}");
                let script = "exec 3>&1 1>/dev/null 2>/dev/null; eval \"$1\"";
                let mut run = std::process::Command::new(shell);
                let Ok(output) = run.args(["-c", script, "x", &put_on(command, Whose::Main)]).output() else {
                    continue;
                };
                assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{shell}: {command}");
                // These swallow the guard's other half.
                let takes_more = command.ends_with('\\') || command.contains("else");
                assert!(takes_more || !output.status.success(), "{shell}: {command}");
            }
        }
    }
}
