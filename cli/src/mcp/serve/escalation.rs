//! As whom a tool runs, and the command line that gets it there.

use std::path::Path;

use nix::unistd::{Uid, User};

use crate::integrations::shell_word;
use crate::mcp::serve::argument::whole;
use crate::mcp::serve::reader::{Node, Table};

/// Reads the variables from stdin, one a line until a `.`, and becomes the command. It holds no value, and uses what every shell
/// has built in.
pub(super) const PRELUDE: &str = r#"while IFS= read -r rc_line; do [ "$rc_line" = . ] && break; rc_name=${rc_line%%=*}; rc_value=$(printf "%b" "${rc_line#*=}X"); export "$rc_name=${rc_value%X}"; done; exec "$@""#;

/// The program that changes the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Sudo,
    Dzdo,
    Pbrun,
    Su,
}

/// Another user, and the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Escalation {
    pub(super) user: String,
    pub(super) method: Method,
    pub(super) flags: Vec<String>,
}

/// What the user is found by.
pub(super) struct Here<'a> {
    pub(super) host: &'a str,
    /// The folder whose owner is `@owner`.
    pub(super) owned: &'a Path,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Escalation {
    /// Whom the tool runs as, if not as the caller. What is wrong is noted.
    pub(super) fn read(table: &Table<'_>, default: Option<&Node<'_>>, here: &Here<'_>) -> Option<Escalation> {
        let own = table.get("run_as");
        let spec = own.as_ref().or(default);
        let method = match table.get("become_method").map(|node| (node.text(), node)) {
            None => Some(Method::Sudo),
            Some((Some(name), node)) => match name.as_str() {
                "sudo" => Some(Method::Sudo),
                "dzdo" => Some(Method::Dzdo),
                "pbrun" => Some(Method::Pbrun),
                "su" => Some(Method::Su),
                other => {
                    node.note(format_args!("is `{other}`, but must be sudo, dzdo, pbrun or su"));
                    None
                }
            },
            Some((None, _)) => None,
        };
        let flags = match table.get("become_flags").and_then(|node| Some((node.text()?, node))) {
            None => Some(Vec::new()),
            Some((text, node)) => {
                let words = shell_word::split(&text);
                if words.is_none() {
                    node.note(format_args!("is `{text}`, which a shell would not take for plain words: a quote is open, or it has an operator or a variable"));
                }
                words
            }
        };
        let name = match spec {
            None => "@owner".to_owned(),
            Some(spec) => named(spec, here)?,
        };
        let name = if name == "@owner" { owner(here.owned) } else { name };
        if name.is_empty() {
            return None;
        }
        let complain = |message: String| match spec {
            Some(spec) => spec.note(message),
            None => table.note(message),
        };
        match User::from_name(&name) {
            Ok(Some(user)) if user.uid == Uid::effective() => None,
            Ok(Some(_)) => Some(Escalation { user: name, method: method?, flags: flags? }),
            Ok(None) => {
                complain(format!("names the user `{name}`, who does not exist on this machine"));
                None
            }
            Err(error) => {
                complain(format!("names the user `{name}`, who cannot be looked up: {}", error.desc()));
                None
            }
        }
    }

    /// The command line that runs `command` as the user.
    pub(super) fn wrap(&self, command: &[String]) -> Vec<String> {
        let mut words = Vec::new();
        let method = match self.method {
            Method::Sudo => "sudo",
            Method::Dzdo => "dzdo",
            Method::Pbrun => "pbrun",
            Method::Su => "su",
        };
        words.push(method.to_owned());
        let is_quiet = self.flags.iter().any(|flag| flag == "-n" || flag == "--non-interactive");
        if matches!(self.method, Method::Sudo | Method::Dzdo) && !is_quiet {
            words.push("-n".to_owned());
        }
        words.extend(self.flags.iter().cloned());
        match self.method {
            Method::Su => {
                let line = runcode_text::sh_words(command.iter().map(String::as_str));
                words.extend(["-c".to_owned(), line, self.user.clone()]);
            }
            method => {
                words.extend(["-u".to_owned(), self.user.clone()]);
                if method != Method::Pbrun {
                    words.push("--".to_owned());
                }
                words.extend(command.iter().cloned());
            }
        }
        words
    }

    /// Whether variables can be handed over on stdin: `su` takes what it finds there for a password, unless it needs none.
    pub(super) fn takes_frame(&self) -> bool {
        self.method != Method::Su || Uid::effective().is_root()
    }
}

/// The variables as [`PRELUDE`] reads them.
pub(super) fn frame<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut frame = String::new();
    for (name, value) in variables.into_iter().filter(|(name, _)| is_variable(name)) {
        frame += name;
        frame.push('=');
        value.bytes().for_each(|byte| frame += &format!("\\0{byte:03o}"));
        frame.push('\n');
    }
    frame += ".\n";
    frame.into_bytes()
}

/// Whether a shell takes it for the name of a variable.
pub(super) fn is_variable(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_fine) && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// The user that `run_as` names on this machine; an empty name is nobody else.
fn named(spec: &Node<'_>, here: &Here<'_>) -> Option<String> {
    if spec.value.is_str() {
        let text = spec.text()?;
        return match text.strip_prefix('$') {
            Some(variable) => match (here.variable)(variable) {
                Some(user) => fine(spec, &user).then_some(user),
                None => {
                    spec.note(format_args!("is `{text}`, a variable that is not set"));
                    None
                }
            },
            None => fine(spec, &text).then_some(text),
        };
    }
    if !spec.value.is_table() {
        return spec.is_no("a user or a section");
    }
    let table = spec.table()?;
    let mut all_fine = true;
    let mut user = |node: &Node<'_>| {
        let user = node.text().filter(|user| fine(node, user));
        all_fine &= user.is_some();
        user
    };
    let (mut by_host, mut by_pattern) = (None, None);
    for (host, node) in table.table("hosts").map(|hosts| hosts.entries()).unwrap_or_default() {
        by_host = by_host.or(user(&node).filter(|_| host == here.host));
    }
    let mut is_pattern_wrong = false;
    for (pattern, node) in table.table("patterns").map(|all| all.entries()).unwrap_or_default() {
        let user = user(&node);
        match whole(&pattern) {
            Ok(fitting) => by_pattern = by_pattern.or(user.filter(|_| fitting.is_match(here.host))),
            Err(why) => {
                is_pattern_wrong = true;
                node.note(format_args!("{why} (`{pattern}`)"));
            }
        }
    }
    let default = table.get("default").and_then(|node| user(&node));
    let found = by_host.or(by_pattern).or(default).unwrap_or_default();
    (all_fine && !is_pattern_wrong).then_some(found)
}

/// Whether it can be the name of a user; if not, that is noted.
fn fine(node: &Node<'_>, user: &str) -> bool {
    let plain = user.strip_suffix('$').unwrap_or(user);
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_name = plain.bytes().all(is_fine)
        && plain.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && user.len() <= 256;
    let is_fine = user.is_empty() || user == "@owner" || is_name;
    if !is_fine {
        node.note(format_args!("is `{user}`, which is not a valid user name"));
    }
    is_fine
}

/// The owner of a folder, unless it is root.
fn owner(folder: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let uid = std::fs::metadata(folder).map_or(0, |metadata| metadata.uid());
    if uid == 0 || uid == Uid::effective().as_raw() {
        return String::new();
    }
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn by(method: Method, flags: &str) -> String {
        let escalation =
            Escalation { user: "oracle".to_owned(), method, flags: shell_word::split(flags).unwrap() };
        escalation.wrap(&["/opt/x".to_owned(), "--a b".to_owned()]).join("|")
    }

    #[test]
    fn each_method_has_its_command_line() {
        assert_eq!(by(Method::Sudo, "-H"), "sudo|-n|-H|-u|oracle|--|/opt/x|--a b");
        assert_eq!(by(Method::Sudo, "-n -H"), "sudo|-n|-H|-u|oracle|--|/opt/x|--a b");
        assert_eq!(by(Method::Dzdo, ""), "dzdo|-n|-u|oracle|--|/opt/x|--a b");
        assert_eq!(by(Method::Pbrun, "-p 'a b'"), "pbrun|-p|a b|-u|oracle|/opt/x|--a b");
        assert_eq!(by(Method::Su, "-l"), "su|-l|-c|/opt/x '--a b'|oracle");
    }

    #[test]
    fn values_travel_on_stdin_alone() {
        let value = "a'b\"c$d\\ \n é%s";
        let framed = frame([("l", "L"), ("n", "N"), ("v", "V"), ("X", value), ("1BAD", "x"), ("Y", "")]);
        assert!(framed.is_ascii() && framed.ends_with(b"Y=\n.\n"));
        let input = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(input.path(), &framed).unwrap();
        for shell in ["sh", "bash", "dash", "busybox"] {
            let mut command = std::process::Command::new(shell);
            command.args(if shell == "busybox" { &["sh"][..] } else { &[] });
            command.args([
                "-c",
                PRELUDE,
                "sh",
                "sh",
                "-c",
                "printf %s \"$X\"; printf '|%s|' \"$Y$l$n$v\"; cat",
            ]);
            let input = std::fs::File::open(input.path()).unwrap();
            let Ok(said) = command.stdin(input).output() else { continue };
            assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("{value}|LNV|"), "{shell}");
        }
    }
}
