//! The ends of a session: its connection retired or ended, its files kept or removed.

use crate::error::Result;
use crate::origin::SessionKey;
use crate::session::Session;
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
        if let Ok(Some(session)) = locked.read()
            && let Err(Unended::Foreign(error)) = self.transport(&session).end_master()
        {
            return Err(error);
        }
        locked.remove()
    }

    /// Lets the connection finish what runs over it and take nothing new.
    pub fn retire_connection(&self, key: &SessionKey) -> Result<()> {
        let locked = self.store().lock(key)?;
        match locked.read()? {
            Some(session) => self.retire(&session),
            None => Ok(()),
        }
    }

    pub(super) fn retire(&self, session: &Session) -> Result<()> {
        let transport = self.transport(session);
        #[cfg(unix)]
        forwards::release(&transport, &session.folder);
        transport.retire_master()
    }

    /// Ends the connection, keeping the session's files.
    pub fn end_connection(&self, key: &SessionKey) -> Result<()> {
        self.end_master(&self.store().lock(key)?)
    }

    fn end_master(&self, locked: &LockedSession<'_>) -> Result<()> {
        match locked.read()? {
            Some(session) => Ok(self.transport(&session).end_master()?),
            None => Ok(()),
        }
    }
}
