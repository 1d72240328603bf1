//! Using sessions: reuse what is fresh, mint what is not, and heal a dead connection once, before anything ran.

use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::origin::hosted::{BaseUrl, Client, client};
use crate::output::progress::note;
use crate::session::attachment::Attachment;
#[cfg(unix)]
use crate::session::forwards;
use crate::session::mint::{self, Order};
use crate::session::store::{Locked, Session, Store};
use crate::sys::env::Env;
use crate::sys::paths::Paths;
use crate::sys::{clock, lock};
use crate::transport::{
    Cause, Ended, Failure, Limits, RemoteCommand, Running, SLOWEST_END, SLOWEST_START, Streams, Transport,
    Unconnected,
};

/// How long a command that does nothing may take.
const PROBE_DEADLINE: Duration = Duration::from_secs(15);

/// The longest that anybody holds a session's lock is [`Sessions::revive`]: a start that fails, a renewal, and the old
/// connection's end before another start. Whoever waits for the lock has more patience than that.
const _: () = {
    let renewal = client::DEADLINE.as_secs() + SLOWEST_END.as_secs();
    assert!(2 * SLOWEST_START.as_secs() + renewal < lock::PATIENCE.as_secs());
};

/// How a session came to be had.
#[derive(Debug, Clone)]
pub struct Obtained {
    /// The session.
    pub session: Session,
    /// Whether it was there already.
    pub reused: bool,
}

/// Where the control plane's client comes from when something must be asked of it.
pub type PlaneSource<'a> = Box<dyn Fn() -> Result<&'a Client> + 'a>;

/// The sessions of one user with one control plane.
pub struct Sessions<'a> {
    paths: &'a Paths,
    env: &'a Env,
    base: &'a BaseUrl,
    plane: PlaneSource<'a>,
}

impl<'a> Sessions<'a> {
    /// The sessions below `paths` that `base` grants; no I/O.
    pub fn new(paths: &'a Paths, env: &'a Env, base: &'a BaseUrl, plane: PlaneSource<'a>) -> Sessions<'a> {
        Sessions { paths, env, base, plane }
    }

    /// Where they are kept.
    pub fn store(&self) -> Store<'a> {
        Store::new(self.paths)
    }

    /// The connection of a session.
    pub fn transport(&self, session: &Session) -> Transport {
        Transport::new(session.route(), self.env)
    }

    /// A fresh session of the workspace: the one there is, else a new one.
    pub fn obtain(&self, id: u64) -> Result<Obtained> {
        match self.usable(self.store().read(id)?) {
            Some(session) => Ok(Obtained { session, reused: true }),
            None => self.obtain_whole(id),
        }
    }

    /// As [`Sessions::obtain`], for programs that read the session's files themselves: every one of them is in place.
    pub fn obtain_whole(&self, id: u64) -> Result<Obtained> {
        if let Some(session) = self.usable(self.store().read(id)?).filter(Session::is_intact) {
            return Ok(Obtained { session, reused: true });
        }
        let locked = self.store().lock(id)?;
        // Whoever held the lock before us may have minted what we want.
        let current = locked.read()?.filter(Session::is_intact);
        if let Some(session) = self.usable(current.clone()) {
            return Ok(Obtained { session, reused: true });
        }
        match self.renew(&locked, id, None) {
            // A session in its last moments is better than none while the control plane is out of reach.
            Err(error) if error.code() == Code::Network => {
                let lasting =
                    current.filter(|session| self.is_ours(session) && session.is_valid(clock::now()));
                lasting.map(|session| Obtained { session, reused: true }).ok_or(error)
            }
            renewed => renewed.map(|session| Obtained { session, reused: false }),
        }
    }

    /// As [`Sessions::obtain`]; when a lifetime is given, only a session that was asked for with it is reused.
    pub fn obtain_for(&self, id: u64, ttl: Option<Duration>) -> Result<Obtained> {
        let Some(ttl) = ttl else {
            return self.obtain(id);
        };
        match self.usable(self.store().read(id)?).filter(|session| session.meta.ttl() == ttl) {
            Some(session) => Ok(Obtained { session, reused: true }),
            None => self.obtain_new(id, Order { ttl, new_key: false }),
        }
    }

    /// A newly minted session, whatever there is.
    pub fn obtain_new(&self, id: u64, order: Order) -> Result<Obtained> {
        let locked = self.store().lock(id)?;
        self.renew(&locked, id, Some(order)).map(|session| Obtained { session, reused: false })
    }

    /// The attached workspace's session. One of another control plane serves as long as it lasts, unless the user
    /// named a control plane that it does not belong to.
    pub fn attached(&self, is_base_given: bool) -> Result<Session> {
        let attachment = self.attachment()?;
        let id = attachment.workspace_id;
        if attachment.api_base == self.base.to_string() {
            return Ok(self.obtain(id)?.session);
        }
        let session = self.store().read(id)?.filter(|session| session.meta.api_base == attachment.api_base);
        match session.filter(|session| !is_base_given && session.is_fresh(clock::now())) {
            Some(session) => Ok(session),
            None => Err(self.elsewhere(&attachment)),
        }
    }

    /// What is attached; nothing is an error that says what to do.
    pub fn attachment(&self) -> Result<Attachment> {
        Attachment::read(self.paths)?.ok_or_else(|| {
            Error::new(Code::NotFound, "no workspace is attached")
                .hint("run `runcode connect <workspace>` first")
        })
    }

    /// What is attached, when it belongs to the control plane that is asked for.
    pub fn attachment_here(&self) -> Result<Attachment> {
        let attachment = self.attachment()?;
        if attachment.api_base == self.base.to_string() {
            Ok(attachment)
        } else {
            Err(self.elsewhere(&attachment))
        }
    }

    fn elsewhere(&self, attachment: &Attachment) -> Error {
        let (id, theirs) = (attachment.workspace_id, &attachment.api_base);
        Error::new(
            Code::NotFound,
            format!("the attached workspace #{id} belongs to {theirs}, and {} is asked for", self.base),
        )
        .hint(format!("set RUNCODE_API_BASE={theirs}, or run `runcode connect <workspace>` again"))
    }

    /// Starts a command. A connection that is dead before the command started is made anew once, with a renewed
    /// session where that is what it takes; a command that may have started is never started again.
    pub fn start(&self, session: &Session, command: &RemoteCommand, streams: &Streams) -> Result<Running> {
        match self.transport(session).start(command, streams) {
            Ok(running) => return Ok(running),
            Err(Failure::MayHaveStarted(error) | Failure::Busy(error)) => return Err(error),
            Err(Failure::NoMaster(_) | Failure::NotStarted(_)) => {}
        }
        let session = self.revive(session)?;
        self.transport(&session).start(command, streams).map_err(Failure::into_error)
    }

    /// The session with its connection up: started, or renewed and started, under the lock.
    pub fn revive(&self, session: &Session) -> Result<Session> {
        let id = session.meta.workspace_id;
        let is_ours = self.is_ours(session);
        let locked = self.store().lock(id)?;
        let current = locked.read()?.filter(|current| current.meta.api_base == session.meta.api_base);
        let mut failure = None;
        // A short session that was just minted is not fresh, and yet the best there is.
        let serves = |current: &Session| {
            let now = clock::now();
            current.is_fresh(now) || current.meta == session.meta && current.is_valid(now)
        };
        if let Some(current) = current.filter(|current| serves(current) && current.is_intact()) {
            match self.start_master(&current) {
                Ok(()) => return Ok(current),
                Err(failed) if matches!(failed.cause, Cause::NoClient | Cause::Forbidden) || !is_ours => {
                    return Err(failed.error);
                }
                Err(failed) => failure = Some((failed, current)),
            }
        }
        let renewed = match (self.renew(&locked, id, None), failure) {
            (Ok(renewed), Some((failed, old)))
                if failed.cause == Cause::Unreachable && leads_to_the_same(&old, &renewed) =>
            {
                return Err(failed.error); // where nothing answers, a new session changes nothing
            }
            (Ok(renewed), _) => renewed,
            // Without the control plane, why ssh failed says more than that it cannot be reached.
            (Err(error), Some((failed, _))) if error.code() == Code::Network => return Err(failed.error),
            (Err(error), _) => return Err(error),
        };
        self.start_master(&renewed)?;
        Ok(renewed)
    }

    /// Brings a master up, with the forwards that were asked for. The caller holds the lock.
    fn start_master(&self, session: &Session) -> Result<(), Unconnected> {
        let transport = self.transport(session);
        transport.start_master()?;
        #[cfg(unix)]
        forwards::restore(&transport, &session.folder);
        Ok(())
    }

    /// Brings the connection up so that the first command finds it warm, healing the session where that is what it takes.
    /// A failure is only noted: whoever needs the connection will meet it again.
    pub fn warm(&self, obtained: Obtained) -> Obtained {
        match self.revive(&obtained.session) {
            Ok(session) => {
                let reused = obtained.reused && session.meta == obtained.session.meta;
                Obtained { session, reused }
            }
            Err(error) => {
                note(format!("note: SSH does not answer yet: {} (--wait waits for it)", error.message()));
                obtained
            }
        }
    }

    /// Runs a command that does nothing, to see that commands are answered.
    pub fn probe(&self, session: &Session) -> Result<()> {
        let transport = self.transport(session);
        {
            let _locked = self.store().lock(session.meta.workspace_id)?;
            self.start_master(session)?;
        }
        let nothing = RemoteCommand::snippet(None, &[], "exit 0")?;
        let running = transport.start(&nothing, &Streams::null()).map_err(Failure::into_error)?;
        match running.wait(&Limits { timeout: Some(PROBE_DEADLINE), interruptible: false })? {
            Ended::Status(0) => Ok(()),
            _ => Err(Error::new(Code::Transport, "SSH answers, but does not run commands yet")),
        }
    }

    /// Ends the connection and removes the session.
    pub fn drop_session(&self, id: u64) -> Result<()> {
        let locked = self.store().lock(id)?;
        match self.end_master(&locked) {
            Err(error) if error.code() != Code::Io => return Err(error),
            _ => {} // a session that cannot be read has to be removable all the same
        }
        locked.remove()
    }

    /// Lets the connection finish what runs over it and take nothing new.
    pub fn retire_connection(&self, id: u64) -> Result<()> {
        let locked = self.store().lock(id)?;
        match locked.read()? {
            Some(session) => self.retire(&session),
            None => Ok(()),
        }
    }

    fn retire(&self, session: &Session) -> Result<()> {
        let transport = self.transport(session);
        #[cfg(unix)]
        forwards::release(&transport, &session.folder);
        transport.retire_master()
    }

    /// Ends the connection, keeping the session's files.
    pub fn end_connection(&self, id: u64) -> Result<()> {
        self.end_master(&self.store().lock(id)?)
    }

    fn end_master(&self, locked: &Locked<'_>) -> Result<()> {
        match locked.read()? {
            Some(session) => self.transport(&session).end_master(),
            None => Ok(()),
        }
    }

    /// A connection outlives its session's end only where the control plane could not be asked: once it has refused to
    /// renew an expired one, nothing may go on over it.
    fn end_if_refused(&self, error: &Error, old: &Session) {
        if is_refusal(error.code()) && old.meta.expires_at.seconds_left(clock::now()) == 0 {
            let _ = self.transport(old).end_master();
        }
    }

    fn usable(&self, session: Option<Session>) -> Option<Session> {
        session.filter(|session| self.is_ours(session) && session.is_fresh(clock::now()))
    }

    /// Whether the workspace's session here is one of this control plane.
    pub fn grants(&self, id: u64) -> bool {
        self.store().read(id).ok().flatten().is_some_and(|session| self.is_ours(&session))
    }

    fn is_ours(&self, session: &Session) -> bool {
        session.meta.api_base == self.base.to_string()
    }

    /// Mints under the lock. The old connection was made with what is no longer valid: it finishes what runs over it when it
    /// leads to the same place, and is ended when not.
    fn renew(&self, locked: &Locked<'_>, id: u64, order: Option<Order>) -> Result<Session> {
        let old = locked.read()?;
        let is_ours = old.as_ref().is_none_or(|old| self.is_ours(old));
        let ttl = old.as_ref().filter(|_| is_ours).map_or(mint::DEFAULT_TTL, |old| old.meta.ttl());
        let mut order = order.unwrap_or(Order { ttl, new_key: false });
        order.new_key |= !is_ours;
        let minted = (self.plane)().and_then(|plane| mint::mint(locked, id, plane, self.env, order));
        if let (Err(error), Some(old)) = (&minted, &old) {
            self.end_if_refused(error, old);
        }
        let session = minted?;
        match old {
            Some(old) if leads_to_the_same(&old, &session) => {
                self.retire(&old)?;
                // They end with it, whether or not the command that renews needs a connection.
                #[cfg(unix)]
                if forwards::are_kept(&session.folder) {
                    let _ = self.start_master(&session); // whoever needs it meets the failure again
                }
            }
            Some(old) => self.transport(&old).end_master()?,
            None => {}
        }
        Ok(session)
    }
}

/// Whether the control plane said no, as opposed to saying nothing.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Unauthorized
            | Code::Forbidden
            | Code::NotFound
            | Code::Conflict
            | Code::UnsafeBundle
            | Code::NoToken
    )
}

fn leads_to_the_same(old: &Session, new: &Session) -> bool {
    let (old, new) = (&old.meta, &new.meta);
    old.endpoint == new.endpoint
        && old.pins == new.pins
        && old.control_path == new.control_path
        && old.key_created_at == new.key_created_at
        && old.api_base == new.api_base
}
