//! When a grant ends.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

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
}
