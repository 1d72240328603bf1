//! A session to work with: the one there is, else a new one.

use std::time::Duration;

use runcode_audit::{Entry, Outcome, Phase};

use crate::error::{Code, Error, Result};
use crate::grant::Access;
use crate::origin::{OriginId, SessionKey, Ungranted};
use crate::session::approved::{self, Found};
#[cfg(unix)]
use crate::session::forwards;
#[cfg(target_os = "linux")]
use crate::session::helper;
use crate::session::live::{Sessions, end};
use crate::session::locked::LockedSession;
use crate::session::mint::{self, Order};
use crate::session::policy;
use crate::session::{Session, audit};
use crate::sys::clock;

/// Which session serves.
#[derive(Debug, Clone, Copy)]
pub enum Want {
    /// One with time left.
    Fresh,
    /// One with time left and every file in place, for programs that read them themselves.
    Whole,
    /// One with time left that was asked for with this lifetime.
    Lasting(Duration),
    /// None that there is.
    New(Order),
}

/// How a session came to be had.
#[derive(Debug, Clone)]
pub struct Obtained {
    /// The session.
    pub session: Session,
    /// Whether it was there already.
    pub reused: bool,
}

impl Obtained {
    fn there(session: Session) -> Obtained {
        Obtained { session, reused: true }
    }

    fn minted(session: Session) -> Obtained {
        Obtained { session, reused: false }
    }
}

impl Sessions<'_> {
    /// The session of `key` that is wanted: the one there is, when it serves, else a new one.
    ///
    /// That the owner allows none is recorded.
    pub fn obtain(&self, key: &SessionKey, want: Want) -> Result<Obtained, Ungranted> {
        self.obtain_any(key, want).inspect_err(|failure| {
            if let Ungranted::Refused(error) = failure
                && matches!(error.code(), Code::PolicyDenied | Code::SessionExpired)
                && !self.is_covered()
            {
                let message = self.verb().map(|verb| format!("for `{verb}`"));
                let entry = Entry::new(Phase::Event, "session_open", Outcome::Denied);
                audit::refusal(self, key, Entry { message, ..entry }, error);
            }
        })
    }

    /// An approved session is used as long as it stands, whatever is wanted.
    fn obtain_any(&self, key: &SessionKey, want: Want) -> Result<Obtained, Ungranted> {
        // If the session lacks anything by now, the helper obtains it.
        #[cfg(target_os = "linux")]
        if self.is_relayed() {
            let session = self.store().read(key)?;
            return session.map(Obtained::there).ok_or_else(|| Ungranted::Refused(helper::not_routed()));
        }
        let over = match approved::look(self, key)? {
            Found::Standing(session) => return Ok(Obtained::there(*session)),
            Found::Over(error) => Some(error),
            Found::None => None,
        };
        self.obtain_plain(key, want).map_err(|failure| match (over, failure) {
            (Some(over), Ungranted::Refused(error)) if error.code() == Code::PolicyDenied => {
                Ungranted::Refused(over)
            }
            (_, failure) => failure,
        })
    }

    fn obtain_plain(&self, key: &SessionKey, want: Want) -> Result<Obtained, Ungranted> {
        let order = match want {
            Want::New(order) => order,
            Want::Lasting(ttl) => Order { ttl, new_key: false },
            Want::Fresh | Want::Whole => {
                let session = self.fresh(key)?;
                let serves = |session: &Session| matches!(want, Want::Fresh) || session.is_intact();
                return match session.filter(serves) {
                    Some(session) => Ok(Obtained::there(session)),
                    None => self.obtain_locked(key),
                };
            }
        };
        let is_alike = |session: &Session| session.meta.ttl() == order.ttl;
        if matches!(want, Want::Lasting(_))
            && let Some(session) = self.fresh(key)?.filter(is_alike)
        {
            return Ok(Obtained::there(session));
        }
        let locked = self.store().lock(key)?;
        let current = match want {
            Want::Lasting(_) => locked.read()?.filter(Session::is_intact).filter(is_alike),
            _ => None,
        };
        self.unless_refused(self.renew(&locked, key, Some(order)), current)
    }

    fn fresh(&self, key: &SessionKey) -> Result<Option<Session>, Ungranted> {
        let session = self.store().read(key)?.filter(|session| session.is_fresh(clock::now()));
        match session.as_ref().map(|session| self.is_defined_so(session)) {
            None | Some(Ok(true)) => Ok(session),
            Some(Ok(false)) => Ok(None),
            Some(Err(failure)) => {
                // What its owner took out of the file, or restricts, is done with.
                if failure.is_refusal() {
                    let _ = match policy::restricted(self.origins, key) {
                        Ok(Some(_)) => self.end_unrestricted(key),
                        _ => self.retire_connection(key),
                    };
                }
                Err(failure)
            }
        }
    }

    /// Whether the user's own files still say of the session's name what it was made from.
    pub(super) fn is_defined_so(&self, session: &Session) -> Result<bool, Ungranted> {
        let origin = session.meta.key.origin();
        if *origin != OriginId::Server {
            return Ok(true);
        }
        let definition = self.origins.origin(origin)?.definition(&session.meta.key)?;
        Ok(session.meta.access.server().map(|server| &server.definition) == definition.as_ref())
    }

    fn obtain_locked(&self, key: &SessionKey) -> Result<Obtained, Ungranted> {
        let locked = self.store().lock(key)?;
        // Whoever held the lock before us may have minted what we want.
        let current = locked.read()?.filter(Session::is_intact);
        if let Some(session) = current.clone().filter(|session| session.is_fresh(clock::now()))
            && self.is_defined_so(&session)?
        {
            return Ok(Obtained::there(session));
        }
        let renewed = self.renew(&locked, key, None);
        self.unless_refused(renewed, current)
    }

    /// The renewed session, or the current one while it lasts: an origin that is out of reach, too busy, or impersonated has
    /// not refused us.
    fn unless_refused(
        &self,
        renewed: Result<Session, Ungranted>,
        current: Option<Session>,
    ) -> Result<Obtained, Ungranted> {
        match renewed {
            Err(failure) if !failure.is_refusal() => {
                let serves = |session: &Session| {
                    session.is_valid(clock::now())
                        && session.meta.access.is_current()
                        && self.is_defined_so(session).is_ok_and(|is_so| is_so)
                };
                current.filter(serves).map(Obtained::there).ok_or(failure)
            }
            renewed => renewed.map(Obtained::minted),
        }
    }

    /// Mints under the lock. The old connection was made with what is no longer valid: it finishes what runs over it when it
    /// leads to the same place, and is ended when not.
    pub(super) fn renew(
        &self,
        locked: &LockedSession<'_>,
        key: &SessionKey,
        order: Option<Order>,
    ) -> Result<Session, Ungranted> {
        let old = locked.read()?;
        if old.as_ref().is_some_and(|old| old.meta.approved.is_some()) {
            let what = format!("an approved session on `{}` has just been opened", key.words());
            return Err(Ungranted::Refused(Error::new(Code::Conflict, what).hint("run it again")));
        }
        let ttl = old.as_ref().map_or(mint::DEFAULT_TTL, |old| old.meta.ttl());
        let order = order.unwrap_or(Order { ttl, new_key: false });
        // Without a login, or for another control plane than the selected one, nobody may be asked: as good as a no.
        let origin = self.origins.origin(key.origin()).map_err(Ungranted::Refused);
        let minted = origin.and_then(|origin| mint::mint(locked, key, origin, self.env, order));
        // A connection outlives its session's end only where the origin could not be asked: once it has refused to renew an
        // expired one, nothing may go on over it.
        if let (Err(failure), Some(old)) = (&minted, &old)
            && failure.is_refusal()
            && !old.is_valid(clock::now())
        {
            let _ = self.transport(old).end_master();
        }
        let session = minted?;
        let is_external = matches!(session.meta.access, Access::External(_));
        match old {
            // Nothing of it has expired: ssh logged in by itself.
            Some(old) if is_external && leads_to_the_same(&old, &session) => {}
            // Its owner allows only profiles now: nothing that was made before goes on.
            Some(old) if end::was_unrestricted(&old) && !end::was_unrestricted(&session) => {
                self.end_with_forwards(&old)?;
            }
            // Defined anew, a server is another machine: what was forwarded from the old one is not, from this one.
            Some(old) if old.meta.access.server() != session.meta.access.server() => {
                self.retire(&old)?;
                #[cfg(unix)]
                forwards::forget(&session.folder)?;
            }
            Some(old) if is_external || leads_to_the_same(&old, &session) => {
                self.retire(&old)?;
                // They end with it, whether or not the command that renews needs a connection.
                #[cfg(unix)]
                if forwards::are_kept(&session.folder) {
                    let _ = self.start_master(&session); // whoever needs it meets the failure again
                }
            }
            Some(old) => self.transport(&old).end_master().map_err(Error::from)?,
            None => {}
        }
        Ok(session)
    }
}

/// Whether the connection of the one is as good as the other's, save for what has expired.
pub(super) fn leads_to_the_same(old: &Session, new: &Session) -> bool {
    let (old, new) = (&old.meta, &new.meta);
    old.key == new.key
        && old.access.leads_as(&new.access)
        && old.control_path == new.control_path
        && (old.key_created_at == new.key_created_at || matches!(new.access, Access::External(_)))
}
