//! What waits in a spare channel: the login shell, and a short script of ours that reads a command and runs it.
//!
//! The script runs only if the command is certain to do the same as in a channel of its own. The shell has to prove that first, after
//! its start-up files have run: whatever they did (options, functions, traps, reading our input), either the proof fails or it does
//! not matter. A shell that is not POSIX fails, too.

/// The longest command that goes to a spare, in bytes. A shell reads a line byte by byte; this much takes about 10 ms.
const MAX_TEXT: usize = 16 * 1024;

/// How a command is given to the login shell, which decides what the shell calls it in its own error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the argument of `eval`: in a spare, the messages are the same in every shell.
    Evaluated,
    /// By itself: in a spare, the messages are the same only in bash.
    Bare,
}

/// What the login shell of a spare is given to run.
///
/// - It ends at once where the command could do something else: restricted, tracing or verbose shells, a forced command, a time limit on
///   `read`, locales in which a line feed may be a part of a character, ksh (which nests the names of its messages), traps for commands,
///   functions in place of the builtins that we use.
/// - `_rf` reads lines up to the token into `_rt`. Without the token, the command did not arrive whole, and the shell is killed so that
///   nobody takes its status for the command's.
/// - The first lines are ours and make the shell answer that all of this works. The next lines are the command.
const WAITING: &str = r#": TOKEN; [ '\\' != "\\" ] || exit 1; case $-:${SSH_ORIGINAL_COMMAND+x}${KSH_VERSION+x}${TMOUT+x}:${LC_ALL:-${LC_CTYPE:-${LANG:-C}}} in *[nrtvx]*:*:*|*:*x*:*) exit 1;; *:C|*:POSIX|*:C.*|*.[Uu][Tt][Ff]8|*.[Uu][Tt][Ff]-8) ;; *) exit 1;; esac; for _rl in read eval unset printf kill exit TRAPDEBUG; do ! typeset -f $_rl >/dev/null 2>&1 || exit 1; done; (IFS=) 2>/dev/null || exit 1; case $(trap) in *DEBUG*|*ERR*|*RETURN*|*EXIT*) exit 1;; esac; _rn=$(printf '\n.'); _rn=${_rn%.}; _rf() { _rt=; while IFS= \read -r _rl; do case $_rl in TOKEN) _rt=${_rt%"$_rn"}; return 0;; esac; _rt=$_rt$_rl$_rn; done; \kill -9 $$; exit 1; }; _rf; eval "$_rt"; _rf; unset -f _rf; eval "unset _rl _rn _rt _rq; $_rt""#;

/// What the login shell of a spare with this token is given to run.
pub(super) fn waiting(token: &str) -> String {
    WAITING.replace("TOKEN", token)
}

/// What is written to the shell first. If a start-up file reads the first line, or lines are joined wrongly, no answer comes.
pub(super) fn question(token: &str) -> String {
    format!("_rq=+ #\nprintf %s {token}$_rq${{BASH_VERSION:+b}}.\n{token}\n")
}

/// The answer in the shell's output, which begins with the output of its start-up files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The rest of the output.
    pub(super) printed: Vec<u8>,
    /// Whether it is bash.
    pub(super) is_bash: bool,
}

/// Looks for the answer.
pub(super) fn answer(printed: &[u8], token: &str) -> Option<Answer> {
    let mark = format!("{token}+");
    let start = printed.windows(mark.len()).position(|part| part == mark.as_bytes())?;
    let rest = &printed[start + mark.len()..];
    let (is_bash, rest) = match rest {
        [b'b', b'.', rest @ ..] => (true, rest),
        [b'.', rest @ ..] => (false, rest),
        _ => return None,
    };
    Some(Answer { printed: [&printed[..start], rest].concat(), is_bash })
}

/// Whether a command may go to a spare at all: a shell reads lines as text.
pub(super) fn fits(text: &[u8]) -> bool {
    text.len() <= MAX_TEXT && std::str::from_utf8(text).is_ok() && !text.contains(&0)
}

/// What makes the waiting shell run `text`, with the command's `own` token replaced by the spare's: on the workspace, that token marks
/// every shell of ours around the command.
pub(super) fn lines(text: &[u8], own: &str, token: &str) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + token.len() + 2);
    let mut rest = text;
    while let Some(at) = rest.windows(own.len()).position(|part| part == own.as_bytes()) {
        lines.extend_from_slice(&rest[..at]);
        lines.extend_from_slice(token.as_bytes());
        rest = &rest[at + own.len()..];
    }
    [&lines, rest, b"\n", token.as_bytes(), b"\n"].concat()
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
