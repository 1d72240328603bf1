//! Words that every login shell reads alike: POSIX shells, zsh, fish and csh.

/// Appends `word`, quoted so that any of these shells reads exactly its bytes as one word.
///
/// What is literal inside `'…'` everywhere goes there; `'`, `\` and `!` are written outside, behind a backslash
/// (fish escapes inside single quotes, csh expands `!` there). A line feed stays as it is, which csh alone refuses:
/// see [`on_one_line`].
pub fn word(text: &mut Vec<u8>, word: &[u8]) {
    let mut open = false;
    for &byte in word {
        let escaped = matches!(byte, b'\'' | b'\\' | b'!');
        if escaped == open {
            text.push(b'\''); // changes sides
            open = !open;
        }
        if escaped {
            text.push(b'\\');
        }
        text.push(byte);
    }
    if open {
        text.push(b'\'');
    } else if word.is_empty() {
        text.extend_from_slice(b"''");
    }
}

/// A simple command of quoted words, as text without a line feed: one that has any goes through `sh`, which decodes it.
/// `name` is what that `sh` is called by in the list of processes.
pub fn on_one_line(command: Vec<u8>, name: &str) -> Vec<u8> {
    if !command.contains(&b'\n') {
        return command;
    }
    let mut encoded = Vec::with_capacity(command.len());
    for byte in command {
        match byte {
            b'\n' => encoded.extend_from_slice(b"\\n"),
            b'\\' => encoded.extend_from_slice(b"\\\\"),
            byte => encoded.push(byte),
        }
    }
    let mut text = format!("sh -c 'eval \"$(printf %b \"$1\")\"' {name} ").into_bytes();
    word(&mut text, &encoded);
    text
}

#[cfg(all(test, unix))]
#[path = "quote_tests.rs"]
mod tests;
