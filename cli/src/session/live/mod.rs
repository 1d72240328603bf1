//! Using sessions: reuse what is fresh, mint what is not, heal a dead connection once, before anything ran, and end them.

mod end;
mod external;
mod first;
mod heal;
mod obtain;
mod probe;

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Code, Error, Result};
use crate::origin::{Origins, SLOWEST_GRANT, SessionKey};
use crate::output::progress::note;
use crate::session::Session;
use crate::session::attachment::{Applying, Attachment, Attachments};
use crate::session::mint;
use crate::session::store::Store;
use crate::sys::env::{Env, Var};
use crate::sys::interrupt::Cancel;
use crate::sys::location::Location;
use crate::sys::paths::Paths;
use crate::sys::{clock, lock};
use crate::transport::{Route, SLOWEST_END, SLOWEST_START, Spares, TRIES, Transport};

pub use external::Wish;
pub use obtain::{Obtained, Want};

/// The longest that anybody holds a session's lock is [`Sessions::revive`]: a start that fails, a renewal, and the old
/// connection's end before another start. Whoever waits for the lock has more patience than that.
const _: () = {
    let start = SLOWEST_START.as_secs() + 2 * TRIES.as_secs();
    let renewal = SLOWEST_GRANT.as_secs() + SLOWEST_END.as_secs();
    assert!(2 * start + renewal < lock::PATIENCE.as_secs());
};

/// The sessions of one user.
pub struct Sessions<'a> {
    paths: &'a Paths,
    env: &'a Env,
    origins: &'a dyn Origins,
    cancel: Cancel,
    folder: Option<Location>,
    verb: Option<&'static str>,
    /// How many actions are under way that the audit log knows as a whole.
    covers: AtomicUsize,
}

impl<'a> Sessions<'a> {
    /// The sessions below `paths`, granted by `origins`; no I/O.
    pub fn new(paths: &'a Paths, env: &'a Env, origins: &'a dyn Origins) -> Sessions<'a> {
        let (cancel, folder, verb, covers) = (Cancel::default(), None, None, AtomicUsize::new(0));
        Sessions { paths, env, origins, cancel, folder, verb, covers }
    }

    /// The same sessions, whose commands `cancel` interrupts. What only prepares them, such as a login, is not cut short.
    #[must_use]
    pub fn cancelled_by(self, cancel: Cancel) -> Sessions<'a> {
        Sessions { cancel, ..self }
    }

    /// The same sessions, for a command that is about `folder` instead of the current one.
    #[must_use]
    pub fn about(self, folder: Option<Location>) -> Sessions<'a> {
        Sessions { folder, ..self }
    }

    /// The same sessions, for a command of this name.
    #[must_use]
    pub fn for_verb(self, verb: Option<&'static str>) -> Sessions<'a> {
        Sessions { verb, ..self }
    }

    /// The name of the command that they are for, if it is known.
    pub(in crate::session) fn verb(&self) -> Option<&'static str> {
        self.verb
    }

    /// Where they are kept.
    pub fn store(&self) -> Store<'a> {
        Store::new(self.paths)
    }

    /// Who grants them.
    pub fn origins(&self) -> &'a dyn Origins {
        self.origins
    }

    /// The connection of a session.
    pub fn transport(&self, session: &Session) -> Transport {
        let transport = Transport::new(session.route(), self.env).cancelled_by(self.cancel.clone());
        transport.with_spares(self.spares(session))
    }

    fn spares(&self, session: &Session) -> Spares {
        match session.may_have_spare() {
            false => Spares::Never,
            true if self.env.var(Var::RuncodeSpare).is_none_or(|value| value != "on") => Spares::Off,
            true => Spares::On,
        }
    }

    /// The connection along a route that is no session's.
    pub(in crate::session) fn along(&self, route: Route) -> Transport {
        Transport::new(route, self.env).cancelled_by(self.cancel.clone())
    }

    /// Where things are kept.
    pub(in crate::session) fn paths(&self) -> &'a Paths {
        self.paths
    }

    /// The environment.
    pub(in crate::session) fn env(&self) -> &'a Env {
        self.env
    }

    /// The agent on whose behalf sessions are made.
    pub(in crate::session) fn client(&self) -> String {
        mint::client_name(self.env)
    }

    /// Does what is part of something that the audit log knows already.
    pub(in crate::session) fn covering<T>(&self, run: impl FnOnce() -> T) -> T {
        self.covers.fetch_add(1, Ordering::SeqCst);
        let result = run();
        self.covers.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// Whether what is done now is part of such a thing.
    pub(in crate::session) fn is_covered(&self) -> bool {
        self.covers.load(Ordering::SeqCst) > 0
    }

    /// What is attached to which folder.
    pub fn attachments(&self) -> Attachments<'a> {
        Attachments::new(self.paths)
    }

    /// The attachment that applies to the folder that this command is about.
    pub fn applying(&self) -> Result<Applying> {
        // From a folder that is gone, the way to the nearest one is, too.
        let folder = self.folder.clone().or_else(|| Location::current(self.env).ok());
        self.attachments().applying(folder.as_ref())
    }

    /// The attached workspace's session. One of another control plane serves as long as it lasts, unless the user named
    /// a control plane that it does not belong to.
    pub fn attached(&self) -> Result<Session> {
        self.attached_by(&self.attachment()?)
    }

    /// As [`Sessions::attached`], for one of the attachments.
    pub fn attached_by(&self, attachment: &Attachment) -> Result<Session> {
        let key = &attachment.key;
        #[cfg(target_os = "linux")]
        if self.is_relayed()
            && let Some(session) = self.store().read(key)?
        {
            return Ok(session);
        }
        let selected = self.origins.selected()?;
        let base = match key.api_base() {
            Some(base) if !selected.covers(key.origin()) => base,
            _ => {
                let obtained = self.obtain(key, Want::Fresh);
                return Ok(obtained.map_err(|failure| attachment.explain(failure))?.session);
            }
        };
        let session = if selected.is_given { None } else { self.store().read(key)? };
        session.filter(|session| session.is_fresh(clock::now())).ok_or_else(|| selected.elsewhere(base))
    }

    /// The attachment that applies here; none is an error that says what to do.
    pub fn attachment(&self) -> Result<Attachment> {
        let applying = self.applying()?;
        if let Applying::Only(all) = &applying {
            self.tell_of(all);
        }
        applying.one()?.ok_or_else(none_attached)
    }

    /// Tells the user, once, that commands in this folder reach what is attached to another one. A caller with folders of its
    /// own says so in its own way.
    fn tell_of(&self, only: &[Attachment]) {
        let folder = if self.folder.is_none() { Location::current(self.env).ok() } else { None };
        let told = folder.zip(only.first()).and_then(|(folder, only)| self.attachments().tell(&folder, only));
        if let Some(line) = told {
            note(line);
        }
    }

    /// The attached workspace, as far as this command may ask its origin.
    pub fn attached_key(&self) -> Result<SessionKey> {
        self.askable(self.attachment()?.key)
    }

    /// As [`Sessions::attached_key`], for `command`, which ends something: the only attachment elsewhere is not enough.
    pub fn key_here(&self, command: &str) -> Result<SessionKey> {
        let attachment = self.applying()?.here(command)?.ok_or_else(none_attached)?;
        self.askable(attachment.key)
    }

    fn askable(&self, key: SessionKey) -> Result<SessionKey> {
        let selected = self.origins.selected()?;
        match key.api_base() {
            Some(base) if !selected.covers(key.origin()) => Err(selected.elsewhere(base)),
            _ => Ok(key),
        }
    }
}

/// The error where nothing is attached anywhere.
fn none_attached() -> Error {
    Error::new(Code::NotFound, "no workspace is attached")
        .hint("run `runcode connect <workspace>` first")
        .for_tools("call `connect` first; `list` says what there is")
}
