//! What the control plane answers, as JSON: only what we need is read, and no more of it than is bounded.

use std::fmt;

use reqwest::StatusCode;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Code, Error, Result};
use crate::origin::Ungranted;
use crate::output::foreign;

/// How many workspaces of one list are read.
pub(super) const MAX_ROWS: usize = 4096;

/// Whose words the message of an answer is.
const WHO: &str = "the control plane";

/// What the body of a refusal says: its `message`, else its `detail`, else a string `error`.
pub(super) fn words(body: &[u8]) -> Option<String> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    let words = ["message", "detail", "error"].into_iter().find_map(|field| body.get(field)?.as_str())?;
    (!words.trim().is_empty()).then(|| foreign::said(WHO, words))
}

/// An answer is an object; serde would also take an array in its place.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    let odd = || {
        Error::new(Code::BadResponse, "the control plane's answer does not follow its protocol")
            .hint("check that RUNCODE_API_BASE points to a RunCode control plane")
    };
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(odd());
    }
    serde_json::from_slice(body).map_err(|error| odd().source(error))
}

/// What every answer with status 200 may say of itself.
pub(super) trait Answer {
    fn refusal(&self) -> Option<&Value>;
    fn message(&self) -> Option<&Value>;

    /// An answer that says `"error": true` (or a message there) is a refusal, with `code`.
    fn check(&self, code: Code) -> Result<()> {
        match self.refusal() {
            None | Some(Value::Null | Value::Bool(false)) => Ok(()),
            Some(error) => {
                let words = self
                    .message()
                    .or(Some(error))
                    .and_then(Value::as_str)
                    .map(|words| foreign::said(WHO, words));
                Err(Error::new(
                    code,
                    words.unwrap_or_else(|| "the control plane refused, without saying why".to_owned()),
                ))
            }
        }
    }
}

macro_rules! answer {
    ($name:ident { $($field:ident: $type:ty),* }) => {
        #[derive(Deserialize)]
        pub(super) struct $name {
            #[serde(default)]
            error: Option<Value>,
            #[serde(default)]
            message: Option<Value>,
            $(#[serde(default)] pub(super) $field: $type,)*
        }

        impl Answer for $name {
            fn refusal(&self) -> Option<&Value> {
                self.error.as_ref()
            }

            fn message(&self) -> Option<&Value> {
                self.message.as_ref()
            }
        }
    };
}

answer!(Plain {});
answer!(Listing { data: Option<Rows> });
answer!(BundleAnswer { bundle: Option<Box<RawValue>> });

#[derive(Deserialize)]
pub(super) struct Rows {
    #[serde(default)]
    pub(super) workspaces: Few,
}

/// The first [`MAX_ROWS`] rows of a list.
#[derive(Default)]
pub(super) struct Few {
    pub(super) first: Vec<Value>,
    pub(super) has_more: bool,
}

impl<'de> Deserialize<'de> for Few {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Few;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Few, A::Error> {
                let mut few = Few::default();
                while few.first.len() < MAX_ROWS {
                    let Some(row) = rows.next_element()? else { return Ok(few) };
                    few.first.push(row);
                }
                while rows.next_element::<IgnoredAny>()?.is_some() {
                    few.has_more = true;
                }
                Ok(few)
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

/// Why a call has no answer to read.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The control plane could not be reached, or its answer broke off.
    Unreachable(Error),
    /// It refused with this status.
    Refused(StatusCode, Error),
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Unanswered {
        Unanswered::Failed(error)
    }
}

impl From<Unanswered> for Error {
    fn from(failure: Unanswered) -> Error {
        match failure {
            Unanswered::Unreachable(error) | Unanswered::Refused(_, error) | Unanswered::Failed(error) => {
                error
            }
        }
    }
}

impl From<Unanswered> for Ungranted {
    fn from(failure: Unanswered) -> Ungranted {
        match failure {
            Unanswered::Unreachable(error) => Ungranted::Unreachable(error),
            Unanswered::Refused(StatusCode::CONFLICT, error) => Ungranted::NotRunning(error),
            Unanswered::Refused(StatusCode::NOT_FOUND, error) => Ungranted::Gone(error),
            Unanswered::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, error) => {
                Ungranted::Refused(error)
            }
            Unanswered::Refused(_, error) | Unanswered::Failed(error) => Ungranted::Failed(error),
        }
    }
}
