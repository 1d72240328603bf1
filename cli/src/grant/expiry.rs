//! When a grant ends.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A moment in the future at the time of parsing, no later than the lifetime that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expiry(Timestamp);

impl Expiry {
    /// Parses an RFC 3339 time. One later than `ttl` from `now` is capped to that: a server cannot make a session
    /// live longer than the user asked, and its clock may run a little ahead.
    pub fn parse(text: &str, now: Timestamp, ttl: Duration) -> Result<Expiry, &'static str> {
        let time = text.parse::<Timestamp>().map_err(|_| "is not an RFC 3339 time")?;
        Expiry::capped(time, now, ttl)
    }

    /// As [`Expiry::parse`], from a number of seconds since 1970 (a certificate's `valid_before`).
    pub fn from_unix(seconds: u64, now: Timestamp, ttl: Duration) -> Result<Expiry, &'static str> {
        let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Expiry::capped(time.unwrap_or(Timestamp::MAX), now, ttl)
    }

    fn capped(time: Timestamp, now: Timestamp, ttl: Duration) -> Result<Expiry, &'static str> {
        if time <= now {
            return Err("is in the past by this machine's clock");
        }
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        let cap = now.checked_add(ttl).unwrap_or(Timestamp::MAX);
        Ok(Expiry(time.min(cap)))
    }

    /// The moment.
    pub fn time(self) -> Timestamp {
        self.0
    }

    /// How long from `now` until then, in whole seconds; zero when it is past.
    pub fn seconds_left(self, now: Timestamp) -> u64 {
        u64::try_from(self.0.duration_since(now).as_secs()).unwrap_or(0)
    }
}

/// How long a grant lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Option<Expiry>")]
pub enum Lifetime {
    /// Until then; it is renewed at the next use after that.
    Until(Expiry),
    /// For as long as the host lets us in: nobody told us of an end.
    Open,
}

impl Lifetime {
    /// The same, told by a clock that is so far behind.
    #[must_use]
    pub fn by_a_clock_behind(self, behind: SignedDuration) -> Lifetime {
        match self {
            Lifetime::Until(Expiry(time)) => {
                Lifetime::Until(Expiry(time.checked_sub(behind).unwrap_or(time)))
            }
            Lifetime::Open => Lifetime::Open,
        }
    }

    /// When it ends, if that is known.
    pub fn expires_at(self) -> Option<Timestamp> {
        match self {
            Lifetime::Until(expiry) => Some(expiry.time()),
            Lifetime::Open => None,
        }
    }

    /// How long it lasts from `now`, in whole seconds; `None` when no end is known.
    pub fn seconds_left(self, now: Timestamp) -> Option<u64> {
        match self {
            Lifetime::Until(expiry) => Some(expiry.seconds_left(now)),
            Lifetime::Open => None,
        }
    }

    /// Whether more than `seconds` are left.
    pub fn outlasts(self, seconds: u64, now: Timestamp) -> bool {
        self.seconds_left(now).is_none_or(|left| left > seconds)
    }

    /// Whether it has ended.
    pub fn is_over(self, now: Timestamp) -> bool {
        !self.outlasts(0, now)
    }
}

impl TryFrom<Value> for Lifetime {
    type Error = serde_json::Error;

    /// An end that is not told is `null`; one that is missing is an error.
    fn try_from(value: Value) -> Result<Lifetime, serde_json::Error> {
        Ok(if value.is_null() { Lifetime::Open } else { Lifetime::Until(serde_json::from_value(value)?) })
    }
}

impl From<Lifetime> for Option<Expiry> {
    fn from(lifetime: Lifetime) -> Option<Expiry> {
        match lifetime {
            Lifetime::Until(expiry) => Some(expiry),
            Lifetime::Open => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn a_time_is_in_the_future_and_capped() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ttl = Duration::from_secs(1800);
        let left = |text| Expiry::parse(text, now, ttl).map(|expiry| expiry.seconds_left(now));
        assert_eq!(left("2026-01-01T00:10:00Z"), Ok(600));
        assert_eq!(left("2026-01-01T02:10:00+02:00"), Ok(600));
        assert_eq!(left("9999-06-01T00:00:00Z"), Ok(1800));
        for bad in [
            "",
            "2026-01-01T00:00:00Z",
            "2025-12-31T23:59:59Z",
            "1800",
            "tomorrow",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
        ] {
            assert!(left(bad).is_err(), "{bad}");
        }
        assert_eq!(Expiry::from_unix(u64::MAX, now, ttl).unwrap().seconds_left(now), 1800);
    }

    #[test]
    fn an_open_lifetime_never_ends() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(Lifetime::Open.outlasts(u64::MAX, now) && !Lifetime::Open.is_over(Timestamp::MAX));
        assert_eq!(serde_json::to_string(&Lifetime::Open).unwrap(), "null");
        #[derive(Debug, Deserialize)]
        struct Kept {
            #[expect(dead_code, reason = "only whether it parses counts")]
            end: Lifetime,
        }
        assert!(serde_json::from_str::<Kept>(r#"{"end":null}"#).is_ok());
        assert!(serde_json::from_str::<Kept>("{}").is_err(), "an end that is missing is not an open one");
        let minute = Lifetime::Until(Expiry::from_unix(u64::MAX, now, Duration::from_secs(60)).unwrap());
        assert!(minute.outlasts(59, now) && !minute.outlasts(60, now));
        let end = minute.expires_at().unwrap();
        assert!(minute.is_over(end) && !minute.is_over(now));
        assert_eq!(serde_json::from_str::<Lifetime>(&format!("\"{end}\"")).unwrap(), minute);
        let hour = SignedDuration::from_hours(1);
        for (behind, left) in [(hour, 0), (-hour, 3660), (SignedDuration::ZERO, 60)] {
            assert_eq!(minute.by_a_clock_behind(behind).seconds_left(now), Some(left), "{behind}");
        }
    }
}
