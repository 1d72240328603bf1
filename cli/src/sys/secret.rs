//! Words that prove somebody's identity.

use zeroize::Zeroizing;

/// Visible ASCII that nobody may see: it has no `Debug` and no `Display`, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// Why a text is not a secret, to complete a sentence about it. Shows none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is only white space.
    #[error("is empty")]
    Empty,
    /// It is longer than this many bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// It is not a single word.
    #[error("contains an invalid character")]
    Invalid,
}

impl Secret {
    /// Takes a word of at most `max` bytes; white space around it is ignored.
    pub fn parse(text: &str, max: usize) -> Result<Secret, Unusable> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            Err(Unusable::Empty)
        } else if text.len() > max {
            Err(Unusable::TooLong(max))
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err(Unusable::Invalid)
        } else {
            Ok(Secret(Zeroizing::new(text.to_owned())))
        }
    }

    /// The secret itself, for the only place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
