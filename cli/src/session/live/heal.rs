//! A connection that is dead before a command started is made anew, once.

use crate::error::{Code, Error, Result};
use crate::grant::{Access, Lifetime};
use crate::origin::Ungranted;
use crate::output::progress::note;
use crate::session::audit::Action;
#[cfg(unix)]
use crate::session::forwards;
use crate::session::live::first;
use crate::session::live::obtain::leads_to_the_same;
use crate::session::live::{Obtained, Sessions};
use crate::session::mint;
use crate::session::{Session, approved};
use crate::sys::clock::{self, Deadline};
use crate::transport::{
    Cause, Failure, RemoteCommand, Running, Streams, TRIES, Unconnected, Way, login_required,
};
#[cfg(unix)]
use crate::transport::{Late, Settled};

impl Sessions<'_> {
    /// Starts a command, where the owner of the workspace allows any, after the audit log was told. A connection that is dead
    /// before the command started is made anew once, with a renewed session where that is what it takes; a command that may have
    /// started is never started again.
    pub fn start(&self, session: &Session, command: &RemoteCommand, streams: &Streams) -> Result<Running> {
        self.start_as(session, command, streams, || Action::sent(command))
    }

    /// As [`Sessions::start`], for a command that the policy has permitted, and for probes of ours that do nothing.
    pub(in crate::session) fn start_permitted(
        &self,
        session: &Session,
        command: &RemoteCommand,
        streams: &Streams,
    ) -> Result<Running> {
        approved::use_once(self, session)?;
        let first = match self.transport(session).start(command, streams) {
            Ok(running) => return Ok(running),
            Err(failure @ (Failure::MayHaveStarted(_) | Failure::Busy(_) | Failure::Interrupted(_))) => {
                return Err(failure.into_error());
            }
            #[cfg(unix)]
            Err(Failure::Late(late)) => return self.start_late(session, command, streams, late),
            #[cfg(windows)]
            Err(Failure::Late(late)) => match late {},
            Err(Failure::NoMaster(error) | Failure::NotStarted(error)) => error,
        };
        let session = self.revive(session).map_err(|error| {
            // In a sandbox, the user can fix the first error (sockets are forbidden), but not the second (the cache is read-only).
            let is_first_better = error.code() == Code::Io && first.next_step().is_some();
            if is_first_better { first } else { error }
        })?;
        self.start_revived(&session, command, streams)
    }

    fn start_revived(
        &self,
        session: &Session,
        command: &RemoteCommand,
        streams: &Streams,
    ) -> Result<Running> {
        let transport = self.transport(session);
        match transport.start(command, streams) {
            #[cfg(unix)]
            Err(Failure::Late(late)) => transport.wait_out(late).map_err(Failure::into_error),
            started => started.map_err(Failure::into_error),
        }
    }

    /// Starts a command that its connection, which may be dead, has not confirmed: on that connection, or on a new one that
    /// replaces it, but never on both.
    #[cfg(unix)]
    fn start_late(
        &self,
        session: &Session,
        command: &RemoteCommand,
        streams: &Streams,
        late: Late,
    ) -> Result<Running> {
        let transport = self.transport(session);
        // If a person had to log in for this connection, we cannot open another one beside it.
        let resolved = match self.store().lock(&session.meta.key) {
            Ok(_locked) if session.meta.personal_keep.is_none() => {
                let resolved = transport.resolve(late);
                if let Ok(Settled::Replaced) = resolved {
                    first::served(session);
                    forwards::restore(&transport, &session.folder);
                }
                resolved
            }
            _ => transport.wait_out(late).map(|running| Settled::Started(Box::new(running))),
        };
        match resolved {
            Ok(Settled::Started(running)) => return Ok(*running),
            Ok(Settled::Replaced) => return self.start_revived(session, command, streams),
            // Its connection ended, or another process replaced it.
            Ok(Settled::Refused) | Err(Failure::NoMaster(_) | Failure::NotStarted(_) | Failure::Busy(_)) => {}
            Err(failure) => return Err(failure.into_error()),
        }
        let session = self.revive(session)?;
        self.start_revived(&session, command, streams)
    }

    /// The session with its connection up: started, or renewed and started, under the lock.
    pub fn revive(&self, session: &Session) -> Result<Session> {
        if session.meta.approved.is_some() {
            return approved::revive(self, session);
        }
        let key = &session.meta.key;
        let is_askable = self.origins.selected()?.covers(key.origin());
        let locked = self.store().lock(key)?;
        let current = locked.read()?;
        let mut failure = None;
        // A short session that was just minted is not fresh, and yet the best there is.
        let serves = |current: &Session| {
            let now = clock::now();
            current.is_fresh(now) || current.meta == session.meta && current.is_valid(now)
        };
        let current = current.filter(|current| serves(current) && current.is_intact());
        if let Some(current) = current
            && self.is_defined_so(&current)?
        {
            leads_where(session, &current)?;
            match self.start_master(&current) {
                Ok(()) => return Ok(current),
                Err(failed) if matches!(failed.cause, Cause::NoClient | Cause::Forbidden) => {
                    return Err(failed.error);
                }
                // The next session has its socket elsewhere.
                Err(failed) if failed.cause == Cause::NoSocket && is_askable => {
                    mint::put_sockets_elsewhere(self.store().cache())?;
                    failure = Some((failed, current));
                }
                // This session was just granted, so another grant would do no better.
                Err(failed) if first::is_new(&current, clock::now()) => return Err(failed.error),
                // Nobody is there to ask, or there is nothing that a new grant would change.
                Err(failed) if !is_askable || current.meta.lifetime == Lifetime::Open => {
                    return Err(failed.error);
                }
                Err(failed) => failure = Some((failed, current)),
            }
        }
        let renewed = match (self.renew(&locked, key, None), failure) {
            (Ok(renewed), Some((failed, old)))
                if failed.cause.is_out_of_reach() && leads_to_the_same(&old, &renewed) =>
            {
                return Err(failed.error); // where nothing answers, a new session changes nothing
            }
            (Ok(renewed), _) => renewed,
            // Without the origin, why ssh failed says more than that it cannot be reached.
            (Err(Ungranted::Unreachable(_)), Some((failed, _))) => return Err(failed.error),
            (Err(failure), _) => return Err(failure.about(&key.words())),
        };
        leads_where(session, &renewed)?;
        self.start_master(&renewed)?;
        Ok(renewed)
    }

    /// Brings a master up, with the forwards that were asked for. The caller holds the lock.
    pub(in crate::session) fn start_master(&self, session: &Session) -> Result<(), Unconnected> {
        let transport = self.transport(session);
        if session.meta.personal_keep.is_some()
            && let Way::External(host) = session.route().way
            && !transport.is_warm()
        {
            let why = format!("the connection to `{}` that a person logged in for is gone", host.name());
            let error = login_required(why, &host, "");
            return Err(Unconnected { cause: Cause::AuthRejected, error });
        }
        let (is_new, patience) = (first::is_new(session, clock::now()), Deadline::after(TRIES));
        let mut tries = 0;
        while let Err(failed) = transport.start_master() {
            let pause = failed.cause.pause(tries, is_new).filter(|_| !patience.is_past());
            let Some(pause) = pause else { return Err(failed) };
            std::thread::sleep(pause);
            tries += 1;
        }
        first::served(session);
        #[cfg(unix)]
        forwards::restore(&transport, &session.folder);
        Ok(())
    }

    /// Brings the connection up so that the first command finds it warm, healing the session where that is what it takes.
    /// A failure that may pass is only noted: whoever needs the connection will meet it again.
    pub fn warm(&self, obtained: Obtained) -> Result<Obtained> {
        let key = obtained.session.meta.key.clone();
        self.recorded(&key, Action::named("session_open"), || self.warm_up(obtained))
    }

    fn warm_up(&self, obtained: Obtained) -> Result<Obtained> {
        let was_up = self.transport(&obtained.session).is_warm();
        let warmed = self.revive(&obtained.session).and_then(|session| {
            // What its master says about a connection may be long out of date.
            if was_up {
                self.answers(&session)?;
            }
            Ok(session)
        });
        match warmed {
            Ok(session) => {
                let reused = obtained.reused && session.meta == obtained.session.meta;
                Ok(Obtained { session, reused })
            }
            Err(error) if matches!(error.code(), Code::SshMissing | Code::Unavailable | Code::Io) => {
                Err(error)
            }
            Err(error) => {
                note(format!("note: SSH does not answer yet: {} (--wait waits for it)", error.message()));
                Ok(obtained)
            }
        }
    }
}

/// An error where the name of a host of the user's own came to mean another machine while a command was using it: what it does
/// next was meant for the first one.
fn leads_where(session: &Session, now: &Session) -> Result<()> {
    let is_external = matches!(session.meta.access, Access::External(_));
    if !is_external || now.meta.access.leads_as(&session.meta.access) {
        return Ok(());
    }
    let error = format!("{} has come to lead elsewhere since this command began", session.shown());
    Err(Error::new(Code::Conflict, error).hint("run it again, if it is meant for where it leads now"))
}
