//! The text that the workspace's login shell is given to run a command.
//!
//! sshd hands one string to the user's login shell, whichever that is. So the text around the user's own command is
//! written in what POSIX shells, zsh, fish and csh have in common. One line enters the folder and holds the command, so
//! that operators in the command bind to it alone; the last line is `exit`, which keeps the shell in place, for two ends:
//!
//! - its arguments show the command's random [`RemoteCommand::token`] while it runs, by which
//!   `remote_end` finds the process group;
//! - a command that a signal killed has the status 128+n instead of none.

use std::ffi::OsStr;
use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::sys::random;
use crate::transport::env_name::EnvName;
use crate::transport::quote;
use crate::transport::script::shorten;
use crate::transport::snippet::{replaces_its_shell, runs_on};
#[cfg(unix)]
use crate::transport::spare::Form;

/// The longest text that Linux takes as one argument of a program (`MAX_ARG_STRLEN`, execve(2)), less its end mark.
pub const MAX_TEXT: usize = 131_071;

/// Tells shells apart by how they parse text: a start-up file can replace commands or forbid unset variables, but cannot change
/// this. In csh and fish, a backslash means the same in both kinds of quotes.
const IS_POSIX: &str = r#"[ '\\' != "\\" ]"#;

/// The opposite.
const IS_OTHER: &str = r#"[ '\\' = "\\" ]"#;

/// Tells fish from csh: only csh reads `:q` as a modifier.
const IS_FISH: &str = r#"[ "$HOME:q" = "$HOME"':q' ]"#;

/// Only csh loses the status at a bare `exit`; this alias fixes that.
const CSH_EXIT: &str = r#"alias exit 'set _=(\!* $status);exec sh -c "exit $_[1]"'"#;

/// Runs the shell code in `$1` with the login shell, or with `sh` if `SHELL` names no program.
const LOGIN_SHELL: &str =
    "[ -f \"${SHELL-}\" ] && [ -x \"$SHELL\" ] || export SHELL=/bin/sh; exec \"$SHELL\" -c \"$1\"";

/// Takes the secret variables out of [`PRIVATE`], and becomes the command that follows. Where they did not come, it does
/// not run.
const TAKE_SECRETS: &str = "[ -n \"${LC_RUNCODE-}\" ] || { \
    echo \"runcode: this workspace takes no LC_* variables, so --env-secret does not reach the command; it did not run\" >&2; \
    echo \"runcode: add LC_* to AcceptEnv in its sshd_config\" >&2; exit 255; }; \
    eval \"$LC_RUNCODE\"; unset LC_RUNCODE; exec \"$@\"";

/// What every token begins with.
const TOKEN: &str = "runcode-";

/// The longest that secret variables may be together: sshd gives up a connection over more.
const MAX_SECRETS: usize = 100_000;

/// The variables that a command gets besides what it has anyway.
#[derive(Debug, Default)]
pub struct Variables {
    /// What every user of the workspace may see in its list of processes.
    pub plain: Vec<(EnvName, String)>,
    /// What only the command's own user sees there; it is in no command line, here or there.
    pub secret: Vec<(EnvName, Secret)>,
}

/// A value that is never shown.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the value over.
    pub fn new(value: String) -> Secret {
        Secret(Zeroizing::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Variables {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.secret.is_empty()
    }

    /// What sets the secret ones in a POSIX shell; `None` without any.
    fn secrets(&self) -> Result<Option<Zeroizing<String>>> {
        if self.secret.is_empty() {
            return Ok(None);
        }
        let mut text = Zeroizing::new(b"export".to_vec());
        for (name, value) in &self.secret {
            text.extend_from_slice(format!(" {}=", name.as_str()).as_bytes());
            quote::word(&mut text, value.0.as_bytes());
        }
        if text.len() > MAX_SECRETS || text.contains(&0) {
            return Err(Error::new(
                Code::Usage,
                format!("--env-secret takes {MAX_SECRETS} bytes in all, and no NUL byte"),
            )
            .hint("send it as input instead"));
        }
        Ok(String::from_utf8(text.to_vec()).ok().map(Zeroizing::new))
    }

    /// What comes before a program and its arguments.
    fn prefix(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if !self.secret.is_empty() {
            text.extend_from_slice(b"sh -c ");
            quote::word(&mut text, TAKE_SECRETS.as_bytes());
            text.extend_from_slice(b" runcode ");
        }
        if !self.plain.is_empty() {
            text.extend_from_slice(b"env ");
        }
        for (name, value) in &self.plain {
            quote::word(&mut text, format!("{}={value}", name.as_str()).as_bytes());
            text.push(b' ');
        }
        text
    }
}

/// A command, as the text that the login shell gets.
#[derive(Clone)]
pub struct RemoteCommand {
    text: Vec<u8>,
    token: String,
    private: Option<Zeroizing<String>>,
    terminal: Option<String>,
    #[cfg(unix)]
    form: Form,
    #[cfg(unix)]
    may_use_spare: bool,
}

impl RemoteCommand {
    /// A piece of shell, run by the login shell in `workdir` (in the home folder when `None`).
    pub fn snippet(
        workdir: Option<&Workdir>,
        env: &Variables,
        snippet: impl AsRef<OsStr>,
    ) -> Result<RemoteCommand> {
        let snippet = bytes(snippet.as_ref())?;
        let token = token();
        let is_wrapped = !env.is_empty() || replaces_its_shell(snippet);
        let is_evaluated = !is_wrapped && (runs_on(snippet) || !snippet.contains(&b'\n'));
        let text = hidden_if_it_fits(|quote| {
            let mut text = opening(&token, workdir, quote);
            if is_wrapped {
                let mut command = env.prefix();
                command.extend_from_slice(b"sh -c ");
                quote::word(&mut command, LOGIN_SHELL.as_bytes());
                command.extend_from_slice(b" runcode ");
                quote(&mut command, snippet);
                text.append(&mut quote::on_one_line(command, &token));
            } else if is_evaluated {
                // Not as an option of eval's, of which some shells have none and others do not know `--`.
                let separator: &[u8] = if snippet.starts_with(b"-") { b" " } else { b"" };
                text.extend_from_slice(b"eval ");
                quote(&mut text, &[separator, snippet].concat());
            } else {
                text.extend_from_slice(snippet); // csh takes no line feed in a word
            }
            text.extend_from_slice(b"\nexit");
            text
        });
        RemoteCommand::checked(text, token, env.secrets()?).map(|command| command.evaluated(is_evaluated))
    }

    /// A program and its exact arguments, in `workdir` (in the home folder when `None`).
    pub fn arguments<A: AsRef<OsStr>>(
        workdir: Option<&Workdir>,
        env: &Variables,
        arguments: &[A],
    ) -> Result<RemoteCommand> {
        let token = token();
        let arguments = arguments.iter().map(|word| bytes(word.as_ref())).collect::<Result<Vec<_>>>()?;
        let text = hidden_if_it_fits(|quote| {
            let mut text = opening(&token, workdir, quote);
            let mut command = env.prefix();
            for (position, argument) in arguments.iter().enumerate() {
                if position > 0 {
                    command.push(b' ');
                }
                quote(&mut command, argument);
            }
            text.append(&mut quote::on_one_line(command, &token));
            text.extend_from_slice(b"\nexit");
            text
        });
        RemoteCommand::checked(text, token, env.secrets()?)
    }

    /// A script of ours (see [`crate::transport::script`]) and its arguments (`$1`…), run by the workspace's `sh` in the home
    /// folder, whatever the login shell is. A line feed in an argument is fine, and costs less than a fork.
    pub fn script(script: &str, arguments: &[&[u8]]) -> Result<RemoteCommand> {
        let token = token();
        let mut command = b"sh -c ".to_vec();
        quote::word(&mut command, shorten(script).as_bytes());
        command.push(b' ');
        command.extend_from_slice(token.as_bytes());
        for argument in arguments {
            command.push(b' ');
            quote::word(&mut command, argument);
        }
        // The token comes first: we learn from ssh's log that the command was sent, and the log has only its beginning.
        let mut text = format!(": {token}; exec ").into_bytes();
        text.append(&mut quote::on_one_line(command, &token));
        RemoteCommand::checked(text, token, None)
    }

    /// A command that was rendered for `sh`, supervised (see [`runcode_policy::one_line`]), in the login folder. It is one line:
    /// nothing that was rendered has a line feed.
    pub fn supervised(rendered: &str, reads_stdin: bool) -> Result<RemoteCommand> {
        let token = token();
        let line = runcode_policy::one_line(rendered, reads_stdin, &token);
        RemoteCommand::checked(format!(": {token}; {line}").into_bytes(), token, None)
    }

    /// What is sent where a certificate forces the command: a word that means nothing, and that no log can be forged with.
    pub fn forced() -> RemoteCommand {
        let token = token();
        RemoteCommand::plain(token.clone().into_bytes(), token, None)
    }

    fn plain(text: Vec<u8>, token: String, private: Option<Zeroizing<String>>) -> RemoteCommand {
        RemoteCommand {
            text,
            token,
            private,
            terminal: None,
            #[cfg(unix)]
            form: Form::Bare,
            #[cfg(unix)]
            may_use_spare: false,
        }
    }

    #[cfg(unix)]
    fn evaluated(self, is_evaluated: bool) -> RemoteCommand {
        RemoteCommand { form: if is_evaluated { Form::Evaluated } else { Form::Bare }, ..self }
    }

    #[cfg(windows)]
    fn evaluated(self, _: bool) -> RemoteCommand {
        self
    }

    /// The same, allowed to run in the session's spare channel. It must not replace its shell, whose arguments carry the token.
    #[must_use]
    pub fn may_use_spare(self) -> RemoteCommand {
        #[cfg(unix)]
        return RemoteCommand { may_use_spare: true, ..self };
        #[cfg(windows)]
        self
    }

    /// How the login shell gets the command, if it may run in a spare channel.
    #[cfg(unix)]
    pub(super) fn spare_form(&self) -> Option<Form> {
        (self.may_use_spare && self.private.is_none() && self.terminal.is_none()).then_some(self.form)
    }

    /// The text that the login shell is given, for a report.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    fn checked(text: Vec<u8>, token: String, private: Option<Zeroizing<String>>) -> Result<RemoteCommand> {
        if text.contains(&0) {
            return Err(Error::new(Code::Usage, "the command contains a NUL byte"));
        }
        if text.len() > MAX_TEXT {
            let over = text.len() - MAX_TEXT;
            return Err(Error::new(
                Code::Usage,
                format!("the command is {over} bytes too long (a workspace accepts {MAX_TEXT} in all)"),
            )
            .hint(
                "send it as input instead: runcode exec -- sh < script, or runcode exec -- xargs < arguments",
            ));
        }
        Ok(RemoteCommand::plain(text, token, private))
    }

    /// A command that another runcode process sent; `None` if it is not valid.
    #[cfg(target_os = "linux")]
    pub(super) fn received(
        text: Vec<u8>,
        token: String,
        private: Option<Zeroizing<String>>,
    ) -> Option<RemoteCommand> {
        let word = token.strip_prefix(TOKEN)?;
        let is_word = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_private = private.as_ref().is_none_or(|it| !it.contains('\0') && it.len() <= 2 * MAX_SECRETS);
        let is_text = !text.contains(&0) && text.len() <= MAX_TEXT;
        (is_word && is_private && is_text).then(|| RemoteCommand::plain(text, token, private))
    }

    /// The same with what no other user may see: unlike its arguments, a process's environment is for its user alone. Where
    /// the workspace does not take it, it is not there. Without NUL bytes.
    pub fn with_private(mut self, private: String) -> RemoteCommand {
        self.private = Some(Zeroizing::new(private));
        self
    }

    /// The same on a terminal of this type (`TERM`) on the workspace: stdout and stderr are one stream.
    pub fn on_terminal(mut self, kind: &str) -> RemoteCommand {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        let kind =
            if !kind.is_empty() && kind.len() <= 64 && kind.chars().all(is_plain) { kind } else { "dumb" };
        self.terminal = Some(kind.to_owned());
        self
    }

    /// The type of its terminal, if it gets one.
    pub fn terminal(&self) -> Option<&str> {
        self.terminal.as_deref()
    }

    /// What is private to it, for the variable [`crate::openssh::config::PRIVATE`].
    pub fn private(&self) -> Option<&str> {
        self.private.as_ref().map(|private| private.as_str())
    }

    /// What the login shell gets.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// A random word that is among the arguments of the command's outermost process for as long as it runs.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for RemoteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteCommand({:?})", String::from_utf8_lossy(&self.text))
    }
}

/// How a word is written into the text.
type Quote = fn(&mut Vec<u8>, &[u8]);

/// The text with its words hidden from `pgrep -f`, which may match what the user runs but not our shell around that; with plain
/// words where the hidden ones are too long.
fn hidden_if_it_fits(text: impl Fn(Quote) -> Vec<u8>) -> Vec<u8> {
    let hidden = text(quote::hidden_word);
    if hidden.len() <= MAX_TEXT { hidden } else { text(quote::word) }
}

pub(super) fn token() -> String {
    format!("{TOKEN}{}", random::word())
}

/// The bytes of an argument. On Windows it has to be Unicode: there is no other way to tell the workspace what is meant.
fn bytes(text: &OsStr) -> Result<&[u8]> {
    if cfg!(unix) {
        return Ok(text.as_encoded_bytes());
    }
    let text = text.to_str().ok_or_else(|| Error::new(Code::Usage, "an argument is not valid Unicode"))?;
    Ok(text.as_bytes())
}

/// The token, a repair of `exit` for the last line, and the change to `workdir`.
///
/// A start-up file may have turned `cd` and `exit` into functions or aliases, and may have set `-e` or `-u`. Quoting `cd` avoids
/// the alias, but csh cannot run a quoted `cd`. If `cd` is a function, we check where it led. A restricted shell runs neither
/// `cd` nor `exec`.
fn opening(token: &str, workdir: Option<&Workdir>, quote: Quote) -> Vec<u8> {
    let mut text = format!(": {token}; {IS_POSIX} || {IS_FISH} || {CSH_EXIT}; ").into_bytes();
    let own_exit = "eval 'unset -f exit; unalias exit' 2>/dev/null";
    text.extend_from_slice(format!("{IS_OTHER} || {own_exit} || [ x ]; ").as_bytes());
    let Some(workdir) = workdir else { return text };
    // Every shell reads an unquoted `~/` as the home folder.
    let (home, path) = match workdir.below_home() {
        Some(below) => ("~/", below),
        None => ("", workdir.as_str()),
    };
    let mut say = |before: &str, quote: Quote, word: &[u8]| {
        text.extend_from_slice(before.as_bytes());
        quote(&mut text, word);
    };
    // csh gives up if its own `cd` fails, so check the folder first.
    say(&format!("[ -x {home}"), quote, format!("{path}/.").as_bytes());
    say(
        " ] || exec sh -c ",
        quote::word,
        b"printf \"runcode: cannot enter %s on the workspace: it is not a folder, or you may not enter it\\n\" \"$1\" >&2; \
          echo \"  hint: name a folder that is there, or use --home alone to start in the home folder\" >&2; exit 255",
    );
    say(" runcode ", quote, workdir.brief().as_bytes());
    say(&format!("; {IS_POSIX} || cd {home}"), quote, path.as_bytes());
    say(&format!(" >/dev/null || exec sh -c 'exit 255'; {IS_OTHER} || 'cd' {home}"), quote, path.as_bytes());
    say(&format!(" >/dev/null || [ x ]; {IS_OTHER} || [ . -ef {home}"), quote, path.as_bytes());
    say(
        " ] || sh -c ",
        quote::word,
        b"echo \"runcode: the login shell did not enter the folder on the workspace: it may be restricted, or a start-up \
          file may redefine cd\" >&2; exit 255",
    );
    text.extend_from_slice(b" || exit 255");
    text.extend_from_slice(b"; ");
    text
}

#[cfg(all(test, unix))]
#[path = "command_tests.rs"]
mod tests;
