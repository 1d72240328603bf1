//! Sessions on hosts of the user's own: what is remembered of them, and a person's login.

use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::openssh::external::OwnHost;
use crate::origin::SessionKey;
use crate::session::audit::Action;
use crate::session::live::probe::PROBE_DEADLINE;
use crate::session::live::{Obtained, Sessions, Want};
use crate::session::mint::{self, Order};
use crate::session::{Meta, Session};
use crate::sys::clock::Deadline;
use crate::transport::{Ended, Limits, RemoteCommand, Streams, Variables, Way};

/// What `connect` says of a host of the user's own.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Where commands run from now on; none leaves it as it was.
    pub workdir: Option<Workdir>,
    /// The person at this terminal logs in, and the connection stays so many seconds after its last use.
    pub personal_keep: Option<u32>,
    /// A connection that is up is not used.
    pub anew: bool,
}

impl Sessions<'_> {
    /// The session of a host of the user's own, with its connection up and seen to run commands. It is reused when the
    /// connection was up already.
    ///
    /// A host that was never reached leaves nothing behind. Slow start-up files get 15 s, and as long as `goes_on` where the
    /// caller waits.
    pub fn open_external(
        &self,
        key: &SessionKey,
        wish: &Wish,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Obtained> {
        let is_first = self.store().read(key)?.is_none();
        let opened = self.recorded(key, Action::named("session_open"), || self.open(key, wish, goes_on));
        if opened.is_err()
            && is_first
            && self.store().read(key)?.is_some_and(|session| !self.transport(&session).is_warm())
        {
            self.drop_session(key)?;
        }
        opened
    }

    fn open(&self, key: &SessionKey, wish: &Wish, goes_on: &dyn Fn() -> bool) -> Result<Obtained> {
        // What a name means may hang on more than files: `Match exec`, the network.
        let session = self.obtain(key, Want::New(Order::default()))?.session;
        let is_wanted = wish.personal_keep.is_none() || wish.personal_keep == session.meta.personal_keep;
        let reused = is_wanted && !wish.anew && self.transport(&session).is_warm();
        let session = match wish.personal_keep {
            _ if reused => session,
            Some(keep) => self.log_in(session, keep)?,
            None => self.come_up(session, wish.anew)?,
        };
        let workdir = wish.workdir.as_ref().or(session.meta.workdir.as_ref());
        self.probe_in(&session, workdir, goes_on)?;
        let session = match &wish.workdir {
            Some(workdir) => self.amend(&session, |meta| meta.workdir = Some(workdir.clone()))?,
            None => session,
        };
        Ok(Obtained { session, reused })
    }

    /// Brings the connection up without a person. If that works, it may do so again.
    fn come_up(&self, session: Session, anew: bool) -> Result<Session> {
        let mut own = session.clone();
        own.meta.personal_keep = None;
        {
            let _locked = self.store().lock(&session.meta.key)?;
            if anew {
                self.transport(&session).end_master()?;
            }
            self.start_master(&own)?;
        }
        match session.meta.personal_keep {
            Some(_) => self.amend(&session, |meta| meta.personal_keep = None),
            None => Ok(session),
        }
    }

    /// Has the person log in. Meanwhile every command says that this is what is needed, and waits for nobody.
    #[cfg(unix)]
    fn log_in(&self, session: Session, keep: u32) -> Result<Session> {
        let before = session.meta.personal_keep;
        self.retire_connection(&session.meta.key)?;
        let session = self.amend(&session, |meta| meta.personal_keep = Some(keep))?;
        let logged_in = self.transport(&session).log_in(&own_host(&session)?, keep);
        if let Err(error) = logged_in {
            self.amend(&session, |meta| meta.personal_keep = before)?;
            return Err(error);
        }
        let _locked = self.store().lock(&session.meta.key)?;
        self.start_master(&session)?; // it is up: for the forwards that were asked for
        Ok(session)
    }

    #[cfg(windows)]
    fn log_in(&self, _: Session, _: u32) -> Result<Session> {
        Err(Error::new(Code::Unavailable, "OpenSSH for Windows keeps no connection that others could use")
            .hint("load the key into the agent with `ssh-add`"))
    }

    /// Changes what is remembered of a session on a host of the user's own.
    fn amend(&self, session: &Session, change: impl FnOnce(&mut Meta)) -> Result<Session> {
        let locked = self.store().lock(&session.meta.key)?;
        let mut meta = locked.read()?.map_or_else(|| session.meta.clone(), |current| current.meta);
        change(&mut meta);
        let files = mint::external_files(&meta.access)?;
        locked.commit(meta, &files)
    }

    /// Runs a command that does nothing in `workdir`.
    pub(in crate::session) fn probe_in(
        &self,
        session: &Session,
        workdir: Option<&Workdir>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<()> {
        let nothing = RemoteCommand::snippet(workdir, &Variables::default(), "exit 0")?;
        let running = self.start_permitted(session, &nothing, &Streams::null())?;
        let name = session.shown();
        let began = Instant::now();
        let deadline = Deadline::after(PROBE_DEADLINE);
        let limits = Limits { timeout: None, interruptible: false };
        match (running.wait_while(&limits, || !deadline.is_past() || goes_on())?, workdir) {
            (Ended::Status(0), _) => Ok(()),
            (Ended::Status(255), Some(workdir)) => {
                let error =
                    Error::new(Code::NotFound, format!("{name} has no folder {workdir} that you may enter"));
                Err(error
                    .hint("make it with `runcode exec --home -- mkdir -p …`, or name another with --workdir")
                    .ending_with(1))
            }
            (Ended::TimedOut { .. }, _) => {
                let seconds = began.elapsed().as_secs();
                let error = Error::new(
                    Code::Transport,
                    format!("{name} accepts the login, but has run no command in {seconds} s"),
                );
                Err(error.hint(
                    "its shell's start-up files may be slow, or wait for something: `--wait --timeout 120` gives them longer",
                ))
            }
            _ => Err(Error::new(
                Code::Transport,
                format!("{name} accepts the login, but its shell runs no commands"),
            )
            .hint(own_host(session).map_or_else(
                |_| "look at the login shell of its user".to_owned(),
                |host| format!("see what `ssh {} true` says", host.shown()),
            ))),
        }
    }
}

/// How ssh is called for it; an error for a session of another kind.
fn own_host(session: &Session) -> Result<OwnHost> {
    match session.route().way {
        Way::External(host) => Ok(host),
        Way::Config { .. } => {
            Err(Error::new(Code::Error, format!("{} is no host of the user's own", session.shown())))
        }
    }
}
