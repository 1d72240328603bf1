//! Words that every login shell reads alike: POSIX shells, zsh, fish and csh.

pub use runcode_text::login_word as word;

/// As [`word`], so that no three letters of the word stand together in the text: whoever looks for a process by its arguments
/// (`pgrep -f`) does not find the shell around a command. Twice as long.
pub fn hidden_word(text: &mut Vec<u8>, word: &[u8]) {
    const PIECE: usize = 2;
    let (mut quote, mut length) = (None, 0);
    for &byte in word {
        let is_escaped = matches!(byte, b'\'' | b'\\' | b'!');
        let is_plain = byte.is_ascii_alphanumeric() || b" .,/_-=:+@%".contains(&byte);
        // Quotes take turns: zsh may read two single ones in a row as a quote. Bytes of one character stay together.
        let next = match quote {
            _ if is_escaped => None,
            None => Some(b'\''),
            Some(quote) if byte & 0xC0 == 0x80 => Some(quote),
            Some(b'"') if length >= PIECE || !is_plain => Some(b'\''),
            Some(b'\'') if length >= PIECE && is_plain => Some(b'"'),
            same => same,
        };
        if next != quote {
            text.extend(quote);
            text.extend(next);
            (quote, length) = (next, 0);
        }
        if is_escaped {
            text.push(b'\\');
        }
        text.push(byte);
        length += 1;
    }
    text.extend(quote);
    if word.is_empty() {
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
