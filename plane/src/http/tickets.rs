//! Login pages that are open in a browser, waiting for a click.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::login_page::Ask;
use crate::state::token;

/// How long a page may stand open.
const LIFETIME: Duration = Duration::from_secs(600);
/// How many may stand open at once; the oldest goes first.
const LIMIT: usize = 100;

/// The open pages. A ticket is good once, and only with the cookie of the browser that it was shown in.
#[derive(Default)]
pub struct Tickets {
    open: Mutex<HashMap<String, Ticket>>,
}

struct Ticket {
    browser: String,
    ask: Ask,
    since: Instant,
}

impl Tickets {
    /// A ticket for `ask`, shown in `browser`.
    pub(super) fn issue(&self, browser: &str, ask: Ask) -> String {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, ticket| ticket.since.elapsed() < LIFETIME);
        if open.len() >= LIMIT
            && let Some(oldest) = open.iter().min_by_key(|(_, t)| t.since).map(|(name, _)| name.clone())
        {
            open.remove(&oldest);
        }
        let name = token::nonce();
        open.insert(name.clone(), Ticket { browser: browser.to_owned(), ask, since: Instant::now() });
        name
    }

    /// Whether a page is open in this browser: then its cookie is one that was made here.
    pub(super) fn is_known(&self, browser: &str) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|ticket| ticket.browser == browser && ticket.since.elapsed() < LIFETIME)
    }

    /// What the ticket was issued for, if it is good in this browser; it is spent.
    pub(super) fn redeem(&self, name: &str, browser: &str) -> Option<Ask> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let good = open.get(name).is_some_and(|t| t.browser == browser && t.since.elapsed() < LIFETIME);
        if good { open.remove(name).map(|ticket| ticket.ask) } else { None }
    }
}
