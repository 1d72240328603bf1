//! How much is too much: of certificates for a person, of failed attempts from an address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::audit::{self, Actor};
use crate::clock;
use crate::config::Limits as Numbers;
use crate::failure::{Failure, Kind, Result};
use crate::store::{Store, within};
use crate::values;

/// How many persons or addresses are counted at once; when there are more, all counts begin anew.
const MOST: usize = 100_000;

/// Counts in windows of time.
struct Counter<K> {
    window: Duration,
    counts: Mutex<HashMap<K, (Instant, u32)>>,
}

impl<K: Hash + Eq> Counter<K> {
    fn new(window: Duration) -> Counter<K> {
        Counter { window, counts: Mutex::default() }
    }

    /// Counts one more; how many there were in the window with it.
    fn add(&self, key: K) -> u32 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST {
            let window = self.window;
            counts.retain(|_, (began, _)| began.elapsed() < window);
            if counts.len() >= MOST {
                counts.clear();
            }
        }
        let (began, count) = counts.entry(key).or_insert((Instant::now(), 0));
        if began.elapsed() >= self.window {
            (*began, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count
    }
}

/// The counts of this process.
pub(crate) struct Limits {
    numbers: Numbers,
    in_second: Counter<i64>,
    in_minute: Counter<i64>,
    wrong_tokens: Counter<String>,
}

impl Limits {
    /// Nothing counted yet.
    pub(crate) fn new(numbers: Numbers) -> Limits {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        Limits {
            numbers,
            in_second: Counter::new(second),
            in_minute: Counter::new(minute),
            wrong_tokens: Counter::new(minute),
        }
    }

    /// Counts a certificate for a person.
    ///
    /// # Errors
    /// [`Kind::RateLimited`].
    pub(crate) fn mint(&self, person: i64) -> Result<()> {
        let is_within = self.in_second.add(person) <= self.numbers.mints_per_second
            && self.in_minute.add(person) <= self.numbers.mints_per_minute;
        if is_within { Ok(()) } else { Err(too_many("Too many sessions; try again in a minute.")) }
    }

    /// Counts a wrong token. A right one from the same address keeps working.
    ///
    /// # Errors
    /// [`Kind::RateLimited`].
    pub(crate) fn wrong_token(&self, address: &str) -> Result<()> {
        let is_within = self.wrong_tokens.add(network(address)) <= self.numbers.wrong_tokens;
        if is_within { Ok(()) } else { Err(too_many("Too many wrong tokens; try again in a minute.")) }
    }

    /// Counts a wrong code or link over all replicas, and writes its row while there are not too many.
    ///
    /// # Errors
    /// That of `done`, or [`Kind::RateLimited`].
    pub(crate) fn guessed<T>(
        &self,
        store: &dyn Store,
        actor: &Actor,
        act: &str,
        done: Result<T>,
    ) -> Result<T> {
        let Some(why) = done.as_ref().err().filter(|why| why.is_wrong_guess()) else { return done };
        let (minute, network) = (clock::now() / 60, network(&actor.address));
        let is_within = within(store, |step| {
            let insert = "INSERT INTO attempt VALUES ('code', $1, $2, 1)
                ON CONFLICT (purpose, address, minute) DO UPDATE SET failed = attempt.failed + 1";
            step.run(insert, values![&network, minute])?;
            let query = "SELECT failed FROM attempt WHERE purpose = 'code' AND address = $1 AND minute = $2";
            let failed = step.row(query, values![&network, minute])?.map_or(0, |row| row.int(0));
            let is_within = failed <= i64::from(self.numbers.wrong_codes);
            if is_within {
                audit::write(step, actor, act, "-", why.kind.code(), &serde_json::json!({}))?;
            }
            Ok(is_within)
        })?;
        if is_within { done } else { Err(too_many("Too many wrong codes or links; try again in a minute.")) }
    }
}

/// What counts as one address: of IPv6 the network of a customer, who has 2^64 addresses to choose from.
fn network(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.to_string(),
            None => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).to_string(),
        },
        _ => address.to_owned(),
    }
}

fn too_many(message: &str) -> Failure {
    Failure::new(Kind::RateLimited, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_has_a_limit_of_their_own() {
        let numbers = Numbers { mints_per_second: 2, mints_per_minute: 2, wrong_tokens: 1, wrong_codes: 1 };
        let limits = Limits::new(numbers);
        assert!(limits.mint(1).is_ok() && limits.mint(1).is_ok() && limits.mint(2).is_ok());
        assert_eq!(limits.mint(1).map_err(|failure| failure.kind), Err(Kind::RateLimited));
        assert!(limits.wrong_token("2001:db8::1").is_ok());
        assert!(limits.wrong_token("2001:db8::2").is_err(), "the same network");
        assert!(limits.wrong_token("2001:db8:0:1::1").is_ok());
    }
}
