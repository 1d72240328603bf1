//! A workspace's way between stopped and running.

use std::time::{Duration, SystemTime};

/// Where a workspace is. The phases in between end by themselves: `settle` moves on when their time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Off.
    Stopped,
    /// On its way to running.
    Starting {
        /// When it runs.
        until: SystemTime,
    },
    /// On.
    Running,
    /// On its way to stopped.
    Stopping {
        /// When it is stopped.
        until: SystemTime,
    },
}

impl Lifecycle {
    /// The phase at `now`.
    pub(crate) fn settle(self, now: SystemTime) -> Self {
        match self {
            Lifecycle::Starting { until } if now >= until => Lifecycle::Running,
            Lifecycle::Stopping { until } if now >= until => Lifecycle::Stopped,
            other => other,
        }
    }

    /// Begins to start, unless it runs or starts already. One that is stopping starts once it has stopped.
    pub(crate) fn start(self, now: SystemTime, delay: Duration) -> Self {
        match self.settle(now) {
            Lifecycle::Stopped => Lifecycle::Starting { until: now + delay }.settle(now),
            Lifecycle::Stopping { until } => Lifecycle::Starting { until: until + delay },
            other => other,
        }
    }

    /// Begins to stop, unless it is stopped or stopping already.
    pub(crate) fn stop(self, now: SystemTime, delay: Duration) -> Self {
        match self.settle(now) {
            Lifecycle::Running | Lifecycle::Starting { .. } => {
                Lifecycle::Stopping { until: now + delay }.settle(now)
            }
            other => other,
        }
    }

    /// `current_state` and `interim_state` of the wire contract.
    pub(crate) fn wire(self) -> (&'static str, Option<&'static str>) {
        match self {
            Lifecycle::Stopped => ("stopped", None),
            Lifecycle::Starting { .. } => ("stopped", Some("starting")),
            Lifecycle::Running => ("running", None),
            Lifecycle::Stopping { .. } => ("running", Some("stopping")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn starting_takes_the_delay_and_is_idempotent() {
        let now = SystemTime::now();
        let starting = Lifecycle::Stopped.start(now, SECOND);
        assert_eq!(starting.wire(), ("stopped", Some("starting")));
        assert_eq!(starting.start(now, SECOND), starting);
        let running = starting.settle(now + SECOND);
        assert_eq!(running.wire(), ("running", None));
        assert_eq!(running.start(now, SECOND), running);
    }

    #[test]
    fn stopping_takes_the_delay_and_start_waits() {
        let now = SystemTime::now();
        let stopping = Lifecycle::Running.stop(now, SECOND);
        assert_eq!(stopping.wire(), ("running", Some("stopping")));
        assert_eq!(stopping.stop(now, SECOND), stopping);
        assert_eq!(stopping.settle(now + SECOND), Lifecycle::Stopped);
        assert_eq!(stopping.start(now, SECOND), Lifecycle::Starting { until: now + SECOND + SECOND });
        assert_eq!(Lifecycle::Stopped.stop(now, SECOND), Lifecycle::Stopped);
    }

    #[test]
    fn without_a_delay_it_is_there_at_once() {
        let now = SystemTime::now();
        assert_eq!(Lifecycle::Stopped.start(now, Duration::ZERO), Lifecycle::Running);
        assert_eq!(Lifecycle::Running.stop(now, Duration::ZERO), Lifecycle::Stopped);
    }
}
