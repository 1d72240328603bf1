//! Whole numbers that do not fit in 64 bits. A JSON parser turns them into floats, which are different numbers.

/// What is wrong with such a number.
pub const HUGE: &str = "is a whole number of more than 64 bits, which cannot be passed on exactly";

/// Whether `text` is such a number.
pub fn is_huge(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
}

/// Whether a JSON document contains such a number.
pub fn has_huge(json: &[u8]) -> bool {
    let (mut is_text, mut is_escaped) = (false, false);
    let mut is_outside = |&byte: &u8| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            _ => return !is_text && (byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)),
        }
        false
    };
    let words = json.split(|byte| !is_outside(byte));
    words.filter_map(|word| std::str::from_utf8(word).ok()).any(is_huge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_more_than_64_bits_are_seen() {
        for (json, expected) in [
            ("18446744073709551615", false),
            ("18446744073709551616", true),
            ("-9223372036854775808", false),
            ("-9223372036854775809", true),
            (r#"{"a":[1,18446744073709551616]}"#, true),
            (r#"{"18446744073709551616":"18446744073709551616"}"#, false),
            (r#"{"a\"":"\\","b":18446744073709551616}"#, true),
            (r#"["\"18446744073709551616"]"#, false),
            ("[1e30,18446744073709551616.5,18446744073709551616e1]", false),
            ("0000000000000000000000000000005", false),
            ("", false),
        ] {
            assert_eq!(has_huge(json.as_bytes()), expected, "{json}");
        }
    }
}
