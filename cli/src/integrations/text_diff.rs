//! What would change in a file, as a unified diff of one hunk: everything between the first and the last difference.

/// Lines shown around the change.
const CONTEXT: usize = 3;

/// The diff from `old` to `new`, empty when they are the same. Bytes that are not UTF-8 show as U+FFFD.
pub fn unified(name: &str, old: &[u8], new: &[u8]) -> String {
    if old == new {
        return String::new();
    }
    let (old, new) = (lines(old), lines(new));
    let same_first = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let left = old.len().min(new.len()) - same_first;
    let same_last =
        old.iter().rev().zip(new.iter().rev()).take(left).take_while(|(old, new)| old == new).count();
    let start = same_first.saturating_sub(CONTEXT);
    let after = same_last.min(CONTEXT);
    let (old_end, new_end) = (old.len() - same_last, new.len() - same_last);
    let place = |end: usize| {
        let count = end + after - start;
        format!("{},{count}", if count == 0 { start } else { start + 1 })
    };
    let mut diff = format!("--- {name}\n+++ {name}\n@@ -{} +{} @@\n", place(old_end), place(new_end));
    let mut add = |sign: char, lines: &[String]| {
        for line in lines {
            diff.push(sign);
            diff.push_str(line);
            if !line.ends_with('\n') {
                diff.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    add(' ', &old[start..same_first]);
    add('-', &old[same_first..old_end]);
    add('+', &new[same_first..new_end]);
    add(' ', &old[old_end..old_end + after]);
    diff
}

fn lines(bytes: &[u8]) -> Vec<String> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_hunk_with_context() {
        assert_eq!(
            unified("f", b"1\n2\n3\n4\n5\n6\n7\n8", b"1\n2\n3\n4\nx\n6\n7\n8"),
            "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n\\ No newline at end of file\n"
        );
        assert_eq!(unified("f", b"", b"a\n"), "--- f\n+++ f\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("f", b"a", b"a"), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[cfg(unix)]
        #[test]
        fn git_apply_makes_the_new_text(old in "([ab]\n){0,6}[ab]?", new in "([ab]\n){0,6}[ab]?") {
            prop_assume!(old != new && !old.is_empty() && !new.is_empty());
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("f"), &old).unwrap();
            std::fs::write(folder.path().join("d"), unified("f", old.as_bytes(), new.as_bytes())).unwrap();
            let mut git = std::process::Command::new("git");
            git.args(["apply", "--unidiff-zero", "-p0", "d"]).current_dir(folder.path());
            let output = git.env("GIT_CEILING_DIRECTORIES", "/").output().unwrap();
            prop_assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            prop_assert_eq!(std::fs::read_to_string(folder.path().join("f")).unwrap(), new);
        }
    }
}
