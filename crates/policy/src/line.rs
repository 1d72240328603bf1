//! The one line that a host runs for a profile, whatever the login shell is, whether or not a certificate forces it.

use runcode_text::login_word;

/// What supervises the command, as the script of a POSIX `sh` whose first argument is the command.
///
/// The caller holds its stdin open. When that ends (a time limit, Ctrl-C, a killed client, a lost network), the process group gets
/// TERM, and KILL two seconds later: where a command is forced, sshd takes no signal and no second command. The command itself
/// reads nothing: whoever has the key could feed it.
pub const SUPERVISOR: &str = "exec 3<&0; \
    (trap \"\" TERM; cat <&3; kill -TERM 0; sleep 2; kill -KILL 0) >/dev/null 2>&1 & w=$!; exec 3<&-; \
    (eval \"$1\") </dev/null; s=$?; kill -KILL $w; exit $s";

/// What the `sh` of a line that a certificate forces is called by: the line is the same for every run.
pub const NAME: &str = "runcode";

/// The same for a command that reads stdin: it has no such lifeline.
const WITH_STDIN: &str = "eval \"$1\"";

/// The line for a command that was rendered for `sh`. `name` is what that `sh` is called by in the list of processes.
pub fn one_line(rendered: &str, reads_stdin: bool, name: &str) -> String {
    let mut line = b"exec sh -c ".to_vec();
    login_word(&mut line, if reads_stdin { WITH_STDIN } else { SUPERVISOR }.as_bytes());
    line.extend_from_slice(format!(" {name} ").as_bytes());
    login_word(&mut line, rendered.as_bytes());
    String::from_utf8_lossy(&line).into_owned() // it is UTF-8: ASCII was put between whole characters
}
