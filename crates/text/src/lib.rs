//! Text that other programs read: words for shells, and characters that do not show themselves.

/// Appends `word`, quoted so that every login shell (POSIX shells, zsh, fish and csh) reads exactly its bytes as one word.
///
/// What is literal inside `'…'` everywhere goes there; `'`, `\` and `!` are written outside, behind a backslash
/// (fish escapes inside single quotes, csh expands `!` there). A line feed stays as it is, which csh alone refuses.
pub fn login_word(text: &mut Vec<u8>, word: &[u8]) {
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

/// Appends `word`, quoted for POSIX `sh` alone: in `'…'`, with each `'` as `'\''`.
pub fn sh_word(text: &mut String, word: &str) {
    text.push('\'');
    text.push_str(&word.replace('\'', "'\\''"));
    text.push('\'');
}

/// Whether `c` does something other than show itself: C0 and C1 controls, DEL, bidirectional and zero-width
/// controls, line separators, interlinear and tag characters, variation selectors (Unicode TR 36, CVE-2021-42574).
pub fn is_steering(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
