//! The ends of a session: its connection retired or ended, its files kept or removed.

use crate::error::Result;
use crate::grant::Access;
use crate::origin::SessionKey;
use crate::session::Session;
use crate::session::approved::{self, Found, Why};
use crate::session::audit;
#[cfg(unix)]
use crate::session::forwards;
use crate::session::live::Sessions;
use crate::session::locked::LockedSession;
use crate::session::store::Remains;
use crate::transport::Unended;

impl Sessions<'_> {
    /// Ends the connection and removes the session.
    pub fn drop_session(&self, key: &SessionKey) -> Result<()> {
        let locked = self.store().lock(key)?;
        let folder = locked.folder().to_owned();
        self.drop_locked(locked)?;
        // Two commands that made it while another control plane's was removed may have made it in two places.
        match self.store().read(key)? {
            Some(other) if other.folder != folder => self.drop_locked(self.store().lock(key)?),
            _ => Ok(()),
        }
    }

    /// As [`Sessions::drop_session`], for whatever is left in a folder.
    pub fn drop_remains(&self, remains: &Remains) -> Result<()> {
        self.drop_locked(self.store().lock_remains(remains)?)
    }

    fn drop_locked(&self, locked: LockedSession<'_>) -> Result<()> {
        // What cannot be read has to be removable all the same.
        let session = locked.read().ok().flatten();
        if let Some(session) = &session {
            approved::close(self, session)?;
        }
        if let Some(session) = &session
            && let Err(Unended::Foreign(error)) = self.transport(session).end_master()
        {
            return Err(error);
        }
        locked.remove()?;
        if let Some(session) = session.filter(|session| session.meta.approved.is_none()) {
            audit::closed(self, &session.meta.key);
        }
        Ok(())
    }

    /// Lets the connection finish what runs over it and take nothing new.
    pub fn retire_connection(&self, key: &SessionKey) -> Result<()> {
        // What was approved for a time ends with it, finished or not.
        if self.store().read(key)?.is_some_and(|session| session.meta.approved.is_some()) {
            return approved::look(self, key).map(|_| ());
        }
        let locked = self.store().lock(key)?;
        match locked.read()? {
            Some(session) => self.retire(&session),
            None => Ok(()),
        }
    }

    /// Ends a connection that was made before the server's owner allowed only profiles there, with all that runs and is forwarded
    /// over it, and forgets those forwards.
    pub fn end_unrestricted(&self, key: &SessionKey) -> Result<()> {
        if !self.store().read(key)?.is_some_and(|session| was_unrestricted(&session)) {
            return Ok(());
        }
        let locked = self.store().lock(key)?;
        match locked.read()?.filter(was_unrestricted) {
            Some(session) => self.end_with_forwards(&session),
            None => Ok(()),
        }
    }

    /// As [`Sessions::end_unrestricted`]; the caller holds the lock.
    pub(in crate::session) fn end_with_forwards(&self, session: &Session) -> Result<()> {
        self.transport(session).end_master()?;
        #[cfg(unix)]
        forwards::forget(&session.folder)?;
        Ok(())
    }

    pub(super) fn retire(&self, session: &Session) -> Result<()> {
        let transport = self.transport(session);
        #[cfg(unix)]
        forwards::release(&transport, &session.folder);
        transport.retire_master()
    }

    /// Ends every approved session.
    pub fn end_approved(&self) -> Result<()> {
        let all = self.store().sessions()?.into_iter().filter(|session| session.meta.approved.is_some());
        all.map(|session| session.meta.key).try_for_each(|key| self.drop_session(&key))
    }

    /// Ends the connection, keeping the session's files.
    pub fn end_connection(&self, key: &SessionKey) -> Result<()> {
        if let Found::Standing(session) = approved::look(self, key)? {
            return approved::end(self, &session, Why::Ended);
        }
        self.end_master(&self.store().lock(key)?)
    }

    fn end_master(&self, locked: &LockedSession<'_>) -> Result<()> {
        match locked.read()? {
            Some(session) => Ok(self.transport(&session).end_master()?),
            None => Ok(()),
        }
    }
}

/// Whether any command was allowed when the session was made: by the owner of its server, or because ssh alone knew the host.
pub(super) fn was_unrestricted(session: &Session) -> bool {
    match &session.meta.access {
        Access::Gateway(_) | Access::Certified(_) => false,
        Access::External(external) => external.server.as_ref().is_none_or(|server| !server.is_restricted),
    }
}
