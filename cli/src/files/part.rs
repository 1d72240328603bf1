//! A part of a file that is fetched: bytes or lines.

use crate::error::{Code, Error, Result};
use crate::output::foreign;

/// Which part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// Bytes.
    Bytes {
        /// How many bytes come before it; a negative number counts from the end.
        offset: i64,
        /// How many there are at most.
        limit: Option<u64>,
    },
    /// Lines, the first of which is 1.
    Lines {
        /// The first.
        first: u64,
        /// The last; without it, all that follow.
        last: Option<u64>,
    },
}

impl Part {
    /// Reads `A-B`, `A-` or `A`.
    pub fn lines(text: &str) -> Result<Part> {
        let parsed = match text.split_once('-') {
            Some((first, "")) => first.parse().ok().map(|first| (first, None)),
            Some((first, last)) => first.parse().ok().zip(last.parse().ok().map(Some)),
            None => text.parse().ok().map(|line| (line, Some(line))),
        };
        match parsed {
            Some((first, last)) if first > 0 && last.is_none_or(|last| last >= first) => {
                Ok(Part::Lines { first, last })
            }
            _ => Err(Error::new(Code::Usage, format!("--lines {} names no lines", foreign::word(text)))
                .hint("write it as A-B, A- or A; the first line is 1")),
        }
    }

    /// Whether it is not all of the file.
    pub(super) fn is_less(self) -> bool {
        self != Part::Whole
    }

    /// How many bytes of a file of `size` bytes may come at most. The kernel's own files have no size; a log may grow by
    /// `growth` meanwhile.
    pub(super) fn at_most(self, size: u64, growth: u64) -> u64 {
        match self {
            Part::Whole if size == 0 => u64::MAX,
            Part::Whole => size,
            Part::Bytes { limit: Some(limit), .. } => limit,
            Part::Bytes { .. } | Part::Lines { .. } => size.saturating_add(growth),
        }
    }

    /// How many lines it has at most.
    pub(super) fn lines_at_most(self) -> u64 {
        match self {
            Part::Lines { first, last: Some(last) } => (last - first).saturating_add(1),
            _ => u64::MAX,
        }
    }

    /// As arguments of our script: unit, start, number.
    pub(super) fn arguments(self) -> [Vec<u8>; 3] {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let (unit, start, count) = match self {
            Part::Whole => ("-", "-".to_owned(), None),
            Part::Bytes { offset, limit } if offset < 0 => ("c", offset.to_string(), limit),
            Part::Bytes { offset, limit } => ("c", offset.saturating_add(1).to_string(), limit),
            Part::Lines { first, last } => ("n", first.to_string(), last.map(|last| last - first + 1)),
        };
        [unit.to_owned(), start, number(count)].map(String::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn lines_are_named_as_people_write_them() {
        for (text, arguments) in [("3-5", ["n", "3", "3"]), ("7", ["n", "7", "1"]), ("2-", ["n", "2", "-"])] {
            let found = Part::lines(text).unwrap().arguments();
            assert_eq!(found.map(|word| String::from_utf8(word).unwrap()), arguments);
        }
        for bad in ["", "0", "0-1", "5-3", "-3", "a", "1-b", "1-2-3", "99999999999999999999"] {
            assert!(Part::lines(bad).is_err(), "{bad}");
        }
    }
}
