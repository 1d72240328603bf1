//! Where the members of a JSON object are in its text, so that one can be changed and every other byte kept.

use std::ops::Range;

use serde::de::IgnoredAny;

/// A member: byte ranges of its key and value in the text, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The key, a JSON string.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// An object: its members in the order of the text, and where its braces are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The position of `{`.
    pub open: usize,
    /// The members.
    pub members: Vec<Member>,
    /// The position of `}`.
    pub close: usize,
}

/// Why a text has no members to offer.
#[derive(Debug)]
pub enum Problem {
    /// It is not JSON (RFC 8259), with the place where that shows.
    NotJson(serde_json::Error),
    /// It is JSON, but no object.
    NotAnObject,
}

impl Object {
    /// Parses `text`, the whole of it.
    pub fn parse(text: &str) -> Result<Object, Problem> {
        serde_json::from_str::<IgnoredAny>(text).map_err(Problem::NotJson)?;
        Scanner { bytes: text.as_bytes(), at: 0 }.object().ok_or(Problem::NotAnObject)
    }

    /// The members named `name` in `text`, the text that this object was parsed from.
    pub fn named<'a>(&'a self, text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_named = move |member: &Member| {
            text.get(member.key.clone()).and_then(|key| serde_json::from_str::<String>(key).ok()).as_deref()
                == Some(name)
        };
        self.members.iter().enumerate().filter(move |(_, member)| is_named(member)).map(|(index, _)| index)
    }
}

/// Walks a text that is known to be JSON.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn object(mut self) -> Option<Object> {
        self.space();
        let open = self.at;
        if self.peek()? != b'{' {
            return None;
        }
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.space();
            match self.peek()? {
                b'}' => return Some(Object { open, members, close: self.at }),
                b',' => self.at += 1,
                _ => {
                    let key = self.value()?;
                    self.space();
                    self.at += 1; // the colon
                    self.space();
                    members.push(Member { key, value: self.value()? });
                }
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Passes one value: a string, something in brackets, or a word up to what ends it.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ if depth > 0 => self.at += 1,
                _ => {
                    while self
                        .peek()
                        .is_some_and(|byte| !byte.is_ascii_whitespace() && !b",}]".contains(&byte))
                    {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(start..self.at);
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_found_whatever_their_values_hold() {
        let text = r#" { "a" :{"}":[1,"]\""]},"b\u0063":-1.5e3 , "s":"\\" } "#;
        let object = Object::parse(text).unwrap();
        let parts =
            object.members.iter().map(|member| (&text[member.key.clone()], &text[member.value.clone()]));
        assert_eq!(
            parts.collect::<Vec<_>>(),
            [(r#""a""#, r#"{"}":[1,"]\""]}"#), (r#""b\u0063""#, "-1.5e3"), (r#""s""#, r#""\\""#)]
        );
        assert_eq!(&text[object.open..=object.close], text.trim());
        assert_eq!(object.named(text, "bc").collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn other_json_and_no_json_are_told_apart() {
        assert!(matches!(Object::parse("[]"), Err(Problem::NotAnObject)));
        for bad in ["", "{", "{broken", "{\"a\":1,}", "// x\n{}", "\u{feff}{}", "{} {}", "{'a':1}"] {
            assert!(matches!(Object::parse(bad), Err(Problem::NotJson(_))), "{bad}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_members_are_those_that_serde_sees(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let Some(map) = value.as_object() else {
                prop_assert!(matches!(Object::parse(&text), Err(Problem::NotAnObject)));
                return Ok(());
            };
            let object = Object::parse(&text).unwrap();
            let seen = object.members.iter().map(|member| (
                serde_json::from_str::<String>(&text[member.key.clone()]).unwrap(),
                serde_json::from_str::<serde_json::Value>(&text[member.value.clone()]).unwrap(),
            )).collect::<Vec<_>>();
            let expected = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>();
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[{}\\[\\]\",:\\\\a1 \n\u{fe}]{0,24}") {
            let _ = Object::parse(&text);
        }
    }
}
