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

/// Words as a shell would read them, each quoted only where it has to be. `[` and `]` stay bare, for `[redacted]`.
pub fn sh_words<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let is_bare = |word: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:=@+,%-[]".contains(&byte);
        !word.is_empty() && word.bytes().all(is_plain)
    };
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        match is_bare(word) {
            true => text.push_str(word),
            false => sh_word(&mut text, word),
        }
    }
    text
}

/// Whether `c` does something other than show itself: C0 and C1 controls, DEL, bidirectional and zero-width controls, line
/// separators, tags, variation selectors (Unicode TR 36, CVE-2021-42574), and all else with `Default_Ignorable_Code_Point`
/// (Unicode 16, DerivedCoreProperties.txt). Also what is drawn empty or not at all without that property: the blank Braille
/// pattern, a musical null note head, and the controls and modifiers of Egyptian hieroglyphs.
pub fn is_steering(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_known() {
        for range in [
            0xad..=0xad,
            0x34f..=0x34f,
            0x61c..=0x61c,
            0x115f..=0x1160,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x200b..=0x200f,
            0x202a..=0x202e,
            0x2060..=0x206f,
            0x2800..=0x2800,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfff8,
            0x13430..=0x1345f,
            0x1bca0..=0x1bca3,
            0x1d159..=0x1d159,
            0x1d173..=0x1d17a,
            0xe0000..=0xe0fff,
        ] {
            assert!(range.clone().filter_map(char::from_u32).all(is_steering), "{range:x?}");
        }
        for shown in " a\u{e9}\u{2801}\u{1f980}\u{4e16}\u{1100}\u{13000}\u{1d15e}".chars() {
            assert!(!is_steering(shown), "{shown:?}");
        }
    }
}
