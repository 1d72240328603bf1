//! Logins that `runcode login` says it has started: the ones that `--auto-authorize` answers without a click.
//!
//! A web page can send a browser to the login page, directly or by a redirect, and no header tells that for sure. What
//! it cannot do is post JSON to another origin: that takes a preflight request, which is never granted (Fetch, 4.9).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::login_page::Ask;

/// How long a login is waited for.
const LIFETIME: Duration = Duration::from_secs(600);
/// How many are remembered; the oldest goes first.
const LIMIT: usize = 100;

/// The logins under way, oldest first.
#[derive(Default)]
pub struct Started {
    logins: Mutex<VecDeque<(Ask, Instant)>>,
}

impl Started {
    pub(super) fn remember(&self, ask: Ask) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= LIMIT {
            logins.pop_front();
        }
        logins.push_back((ask, Instant::now()));
    }

    /// Whether this very login was started; it is forgotten with the answer.
    pub(super) fn take(&self, ask: &Ask) -> bool {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|(_, since)| since.elapsed() < LIFETIME);
        let at = logins.iter().position(|(started, _)| started == ask);
        at.is_some_and(|at| logins.remove(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(port: u16, state: &str) -> Ask {
        Ask { port, state: state.to_owned() }
    }

    #[test]
    fn a_login_is_answered_once_and_exactly() {
        let started = Started::default();
        started.remember(ask(1, "a"));
        assert!(!started.take(&ask(2, "a")) && !started.take(&ask(1, "b")));
        assert!(started.take(&ask(1, "a")));
        assert!(!started.take(&ask(1, "a")));
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let started = Started::default();
        (1..=101).for_each(|port| started.remember(ask(port, "a")));
        assert!(!started.take(&ask(1, "a")) && started.take(&ask(2, "a")));
    }
}
