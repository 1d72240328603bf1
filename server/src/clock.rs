//! The time, as the database and people see it.

use std::time::{Duration, SystemTime};

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    millis() / 1000
}

/// Milliseconds since 1970.
pub(crate) fn millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339, to the second.
pub(crate) fn shown(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "never".to_owned(), |time| time.to_string())
}

/// A duration such as `30m`: a whole number of `s`, `m`, `h` or `d`, at least a second.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix(['s', 'm', 'h', 'd'])?;
    if number.is_empty() || number.len() > 9 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        _ => 86400,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=100 * 366 * 86400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// A duration in the largest unit that says it whole.
pub(crate) fn shown_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 86400 == 0 => format!("{} d", seconds / 86400),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit_and_a_second_at_least() {
        for (text, seconds) in [("2s", 2), ("10m", 600), ("8h", 28800), ("30d", 2_592_000)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "0s", "s", "5", "-5s", "+5s", "1.5h", "5 m", "5w", "9999999999d", "999999999d", "1m30s"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
