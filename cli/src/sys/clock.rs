//! Time: the wall clock for expiry, the monotonic one for deadlines.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The wall clock, in whole seconds.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A moment on the monotonic clock after which to give up. Setting the wall clock does not move it.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The moment `after` from now; one too far away to count never comes.
    pub fn after(after: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(after))
    }

    /// How long until then; zero when it is past.
    pub fn remaining(self) -> Duration {
        self.0.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it is past.
    pub fn is_past(self) -> bool {
        self.remaining().is_zero()
    }

    /// Sleeps for `pause`, or until the deadline when that comes first.
    pub fn pause(self, pause: Duration) {
        std::thread::sleep(pause.min(self.remaining()));
    }
}
