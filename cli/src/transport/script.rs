//! Scripts of ours: written to be read, shortened for the wire.
//!
//! A script is POSIX sh in short lines. So that it can be shortened without being understood, it keeps to this:
//!
//! - A comment has a line to itself.
//! - A line holds whole quotes and `case` arms, and there are no here-documents: lines are joined. One that ends in `\` goes
//!   on in the next.
//! - Its own variables and functions have names of lower-case words joined by `_`, and nothing else in it looks so, in
//!   quotes and comments neither: each is sent as one letter, wherever it stands.

use std::collections::BTreeMap;

/// What a script begins with that runs programs in a folder of the user's project.
pub const ABSOLUTE_PATH: &str = include_str!("absolute_path.sh");

/// What stands for names. Not `r`: that is an alias in ksh.
const LETTERS: &[u8] = b"abcdefghijklmnopqstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// What ends a line that goes on in the next one: no `;` comes after it.
const OPEN: [&str; 12] = ["then", "do", "else", "in", "{", "(", "|", "||", "&&", "&", ";;", ";"];

/// The script in as few bytes as these rules allow, on one line.
pub fn shorten(source: &str) -> String {
    rename(&join(source))
}

fn join(source: &str) -> String {
    let mut joined = String::with_capacity(source.len());
    for line in source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(line) = line.strip_suffix('\\') {
            joined.push_str(line);
            continue;
        }
        joined.push_str(line);
        let last = line.rsplit(' ').next().unwrap_or_default();
        if !OPEN.contains(&last) && !line.ends_with('(') {
            joined.push(';');
        } else if last.ends_with(|end: char| end.is_ascii_alphabetic() || end == '{') {
            joined.push(' ');
        }
    }
    joined
}

fn rename(script: &str) -> String {
    let mut letters = LETTERS.iter().copied().map(char::from);
    let mut names = BTreeMap::<&str, Option<char>>::new();
    let mut renamed = String::with_capacity(script.len());
    let is_of_a_word = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let mut rest = script;
    while let Some(start) = rest.find(is_of_a_word) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_of_a_word(c)).unwrap_or(from.len()));
        renamed.push_str(before);
        match is_own(word).then(|| *names.entry(word).or_insert_with(|| letters.next())).flatten() {
            Some(letter) => renamed.push(letter),
            None => renamed.push_str(word),
        }
        rest = after;
    }
    renamed + rest
}

/// Whether a word is a name of the script's own.
fn is_own(word: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    word.contains('_') && word.split('_').all(is_plain)
}

/// Asserts that a script keeps to the rules, that `sh` understands it in both forms, and that no more than `limit` bytes of it
/// are sent.
#[cfg(all(test, unix))]
pub fn check(source: &str, limit: usize) {
    let short = shorten(source);
    assert!(short.len() <= limit, "{} bytes are sent", short.len());
    for text in [source, &short] {
        let sh = std::process::Command::new("sh").args(["-n", "-c", text]).status();
        assert!(sh.is_ok_and(|status| status.success()), "{text}");
    }
    let is_named_by_a_letter = |(at, _): (usize, &str)| {
        let mut after = source[at + 1..].trim_start_matches('{').chars();
        after.next().is_some_and(|c| c.is_ascii_alphabetic())
            && !after.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(!source.match_indices('$').any(is_named_by_a_letter), "names have two words");
    assert!(!short.contains('\n'), "{short}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_absolute_folders_are_looked_through() {
        let longest = ["/b"; 200].join(":");
        let script = format!("{ABSOLUTE_PATH}echo \"$PATH\"; echo \"${{LD_LIBRARY_PATH-none}}\"");
        check(&script, 600);
        for (given, kept) in [
            ("/usr/bin:/bin", "/usr/bin:/bin"),
            (".:/bin", "/bin"),
            (":/bin", "/bin"),
            ("/bin:", "/bin"),
            ("/a b::/bin:.:x/bin:./y:~/z:../w:*", "/a b:/bin"),
            ("/a*:/[x]:$(touch x)", "/a*:/[x]"),
            (&longest, &longest),
            (".", ""),
            ("", ""),
        ] {
            for shell in ["dash", "bash", "busybox", "zsh", "ksh", "mksh", "yash"] {
                let folders = std::env::var_os("PATH").unwrap();
                let found =
                    std::env::split_paths(&folders).map(|folder| folder.join(shell)).find(|it| it.exists());
                let Some(found) = found.filter(|_| shell != "zsh" || !given.is_empty()) else { continue }; // zsh has a default
                for text in [&script, &shorten(&script)] {
                    let mut sh = std::process::Command::new(&found);
                    sh.args((shell == "busybox").then_some("sh")).args(["-c", text]);
                    sh.env_clear().env("PATH", given).env("LD_LIBRARY_PATH", given);
                    let said = String::from_utf8(sh.output().unwrap().stdout).unwrap();
                    let libraries = if kept.is_empty() && !given.is_empty() { "none" } else { kept };
                    let path = if kept.is_empty() { "/usr/bin:/bin" } else { kept };
                    assert_eq!(said, format!("{path}\n{libraries}\n"), "{shell} {given}");
                }
            }
        }
    }

    #[test]
    fn lines_become_one_and_names_one_letter() {
        let source = "
# What it is: say_it is not sent.
say_it() {
  printf \"%s\\n\" \"$1\"
}

if [ -n \"$HOME\" ]; then
  all_words=$(
    say_it \"${the_words-} and_so_on\" &&
      say_it b
  )
fi
case $all_words in
  *a) say_it \"$all_words\" ;;
esac
wait_for_it \
  again &
docker_2=A_B
";
        let short = "a() { printf \"%s\\n\" \"$1\";};if [ -n \"$HOME\" ]; then b=$(a \"${c-} d\" &&a b;);fi;\
            case $b in *a) a \"$b\" ;;esac;e again &docker_2=A_B;";
        assert_eq!(shorten(source), short);
    }
}
