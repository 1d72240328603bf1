//! The terminal filter: strings from a server or a workspace lose what could steer a terminal or fake a line.

use std::borrow::Cow;

/// How many characters of one foreign string are shown.
pub const MAX_CHARS: usize = 200;

pub use runcode_text::is_steering;

/// `text` on one line with every steering character as `\u{FFFD}`. Filtering twice changes nothing.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_steering) {
        Cow::Owned(text.chars().map(|c| if is_steering(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// As [`line()`], but line feeds stay: for our own messages of several lines that quote foreign words.
pub fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// As [`line()`], cut to [`MAX_CHARS`] characters with an ellipsis.
pub fn short(text: &str) -> String {
    let mut chars = line(text).chars().collect::<Vec<_>>();
    if chars.len() > MAX_CHARS {
        chars.truncate(MAX_CHARS - 1);
        chars.push('…');
    }
    chars.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_bidi_and_zero_width_are_neutralised() {
        for c in
            "\u{1b}\u{7}\u{9b}\r\n\t\u{7f}\u{202e}\u{2066}\u{200b}\u{2028}\u{e0041}\u{feff}\u{fe0f}".chars()
        {
            assert_eq!(line(&format!("a{c}b")), "a\u{fffd}b", "{:x}", c as u32);
        }
        assert_eq!(line("Grüße, 世界 🦀"), "Grüße, 世界 🦀");
    }

    #[test]
    fn a_long_string_is_cut() {
        let text = short(&"x".repeat(100_000));
        assert_eq!(text.chars().count(), MAX_CHARS);
        assert!(text.ends_with('…'));
    }

    proptest! {
        #[test]
        fn filtering_is_idempotent_and_complete(text in any::<String>()) {
            let once = line(&text).into_owned();
            prop_assert!(!once.chars().any(is_steering));
            prop_assert_eq!(line(&once), once.as_str());
            prop_assert_eq!(short(&short(&text)), short(&text));
        }
    }
}
