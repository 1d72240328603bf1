//! Words that every login shell reads alike: POSIX shells, zsh, fish and csh.

pub use runcode_text::login_word as word;

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
