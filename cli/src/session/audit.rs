//! The audit log: what is about to be done on a workspace, and what became of it.
//!
//! Every command passes `Sessions::start`, which announces it here, unless it is part of something that was announced as a whole
//! ([`Sessions::audited`]). So nobody has to remember to. A profile is announced by `Permit::begin`.

mod action;

use std::path::PathBuf;
use std::time::Instant;

use runcode_audit::{CertificateId, Entry, Failure, Log, Origin, Outcome, Phase, redact};

use crate::error::{Code, Error, Result, reason};
use crate::origin::{OriginId, SessionKey, Trail};
use crate::output::foreign::FileName as _;
use crate::output::progress::note;
use crate::output::sanitize::is_steering;
use crate::session::{Session, Sessions, approved, policy};
use crate::sys::atomic_file;
use crate::sys::env::Var;
use crate::sys::trusted_file::{self, Distrust, Owner};
use crate::transport::{Ended, RemoteCommand, Running, Streams};

pub use action::Action;
pub(super) use action::Command;

/// Something that was announced, and has not ended.
#[derive(Debug)]
pub struct Pending {
    log: Log,
    entry: Entry,
    began: Instant,
    is_open: bool,
}

impl Pending {
    /// Says how a remote command ended.
    fn ended(mut self, ended: &Result<Ended>) {
        let signal = |number: i32| match number {
            1 => "HUP".to_owned(),
            2 => "INT".to_owned(),
            3 => "QUIT".to_owned(),
            15 => "TERM".to_owned(),
            other => other.to_string(),
        };
        match ended {
            Ok(Ended::Status(status)) => self.write(Outcome::Executed, Some(*status), None),
            Ok(Ended::NoStatus) => {
                self.write(Outcome::Failed, None, Some("its status did not arrive".to_owned()))
            }
            Ok(Ended::Interrupted { signal: number, .. }) => {
                self.entry.signal = Some(signal(*number));
                self.write(Outcome::Failed, None, Some("it was interrupted".to_owned()));
            }
            Ok(Ended::TimedOut { .. }) => {
                self.write(Outcome::Failed, None, Some("its time limit passed".to_owned()))
            }
            Err(error) => self.failed(error),
        }
    }

    /// Says by which certificate it was done.
    pub(super) fn by(&mut self, certificate: Option<&CertificateId>) {
        self.entry.certificate = certificate.cloned();
    }

    /// Says why it failed.
    pub(super) fn failed(mut self, error: &Error) {
        self.write(Outcome::Failed, None, Some(told(error)));
    }

    /// Says what became of it.
    pub(super) fn end<T>(mut self, result: &Result<T>, status: impl FnOnce(&T) -> Option<u8>) {
        match result.as_ref().map(status) {
            Ok(None) => self.write(Outcome::Succeeded, None, None),
            Ok(status) => self.write(Outcome::Executed, status, None),
            Err(error) => self.failed(error),
        }
    }

    /// Writes the outcome. What was done is done: that it cannot be written is only said.
    fn write(&mut self, outcome: Outcome, exit_code: Option<u8>, message: Option<String>) {
        self.is_open = false;
        let duration_ms = u64::try_from(self.began.elapsed().as_millis()).ok();
        let entry =
            Entry { phase: Phase::Outcome, outcome, exit_code, message, duration_ms, ..self.entry.clone() };
        let written = Log::event_id().and_then(|id| self.log.append(&id, &entry));
        if let Err(failure) = written {
            let error = failed(failure);
            note(format!("runcode: the outcome of this is not in the audit log: {}", error.message()));
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.is_open {
            self.write(Outcome::Failed, None, Some("nobody waited for its end".to_owned()));
        }
    }
}

/// A failure, in the words of a record.
fn told(error: &Error) -> String {
    redact(&format!("{}: {}", error.code().as_str(), error.message())).text
}

impl Sessions<'_> {
    /// Does something on a workspace that only a free one lets everybody do; the log is told before and after.
    pub fn audited<T>(
        &self,
        key: &SessionKey,
        action: impl FnOnce() -> Action,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.audited_as(key, action, run, |_| None)
    }

    /// As [`Sessions::audited`], for what ends with a remote status.
    pub fn audited_status(
        &self,
        key: &SessionKey,
        action: impl FnOnce() -> Action,
        run: impl FnOnce() -> Result<u8>,
    ) -> Result<u8> {
        self.audited_as(key, action, run, |status| Some(*status))
    }

    fn audited_as<T>(
        &self,
        key: &SessionKey,
        action: impl FnOnce() -> Action,
        run: impl FnOnce() -> Result<T>,
        status: impl FnOnce(&T) -> Option<u8>,
    ) -> Result<T> {
        let Some(pending) = self.announce(key, action)? else { return run() };
        let result = self.covering(run);
        pending.end(&result, status);
        result
    }

    /// Does something that needs no permission, such as connecting or starting the machine, and
    /// records it before and after.
    pub fn recorded<T>(
        &self,
        key: &SessionKey,
        action: Action,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let trail = if self.is_covered() { None } else { self.origins().trail(key)? };
        let Some(trail) = trail else { return run() };
        let pending = self.intent(key, &trail, action)?;
        let result = self.covering(run);
        pending.end(&result, |_| None);
        result
    }

    /// As [`Sessions::start`], for what has another name.
    pub fn start_as(
        &self,
        session: &Session,
        command: &RemoteCommand,
        streams: &Streams,
        action: impl FnOnce() -> Action,
    ) -> Result<Running> {
        #[cfg(target_os = "linux")]
        if self.is_relayed() && command.terminal().is_none() {
            return self.relay(session, command, streams); // the helper asks the policy, and records the command
        }
        let pending = self.announce(&session.meta.key, action)?;
        let started = self.start_permitted(session, command, streams);
        let Some(pending) = pending else { return started };
        match started {
            Ok(running) => Ok(running.telling(move |ended| pending.ended(ended))),
            Err(error) => {
                pending.failed(&error);
                Err(error)
            }
        }
    }

    /// Refuses whatever is no profile where only profiles may run, and records that.
    pub fn refuse_unless_free(&self, key: &SessionKey, action: &'static str) -> Result<()> {
        let refused = policy::refuse_unless_free(self, key);
        refused
            .inspect_err(|error| refusal(self, key, Entry::new(Phase::Event, action, Outcome::Denied), error))
    }

    /// Refuses to forward ports if that is not allowed, and records the refusal.
    pub fn refuse_forward(&self, key: &SessionKey) -> Result<()> {
        self.refuse_unless_free(key, "forward")?;
        approved::refuse_forward(self, key).inspect_err(|error| {
            refusal(self, key, Entry::new(Phase::Event, "forward", Outcome::Denied), error);
        })
    }

    /// Says that something is about to be done. Where that cannot be said, it is not done. `None`: nobody wants to know, or it is
    /// part of something that was announced.
    fn announce(&self, key: &SessionKey, action: impl FnOnce() -> Action) -> Result<Option<Pending>> {
        #[cfg(target_os = "linux")]
        if self.is_relayed() {
            return Ok(None); // the helper records each command of it
        }
        if self.is_covered() {
            policy::refuse_unless_free(self, key)?;
            return Ok(None);
        }
        let Some(trail) = self.origins().trail(key)? else {
            policy::refuse_unless_free(self, key)?;
            return Ok(None);
        };
        let action = action();
        self.refuse_unless_free(key, action.name)?;
        self.intent(key, &trail, action).map(Some)
    }

    fn intent(&self, key: &SessionKey, trail: &Trail, action: Action) -> Result<Pending> {
        let entry = action.entry(about(self, key, Entry::new(Phase::Intent, "", Outcome::Started))?);
        begin(self, trail, &Log::event_id().map_err(failed)?, entry)
    }
}

/// Writes an intent.
pub(super) fn begin(sessions: &Sessions<'_>, trail: &Trail, event_id: &str, entry: Entry) -> Result<Pending> {
    let log = open(sessions, trail)?;
    let written = log.append(event_id, &entry).map_err(failed)?;
    let entry = Entry { intent: Some(written.event_id), ..entry };
    Ok(Pending { log, entry, began: Instant::now(), is_open: true })
}

/// Records a refusal, with the reason after what the entry says. It stands whether or not that can be written.
pub(in crate::session) fn refusal(sessions: &Sessions<'_>, key: &SessionKey, entry: Entry, error: &Error) {
    let outcome = match error.code() {
        Code::PolicyDenied => Outcome::Denied,
        Code::ApprovalRequired | Code::ApprovalInvalid => Outcome::Blocked,
        Code::Usage | Code::BadConfig => Outcome::Invalid,
        Code::SessionExpired => Outcome::Expired,
        _ => Outcome::Failed,
    };
    let before = entry.message.as_ref().map(|before| format!("{before}: ")).unwrap_or_default();
    let entry = Entry { outcome, message: Some(before + &told(error)), ..entry };
    if let Err(why) = event(sessions, key, entry) {
        note(format!("runcode: the refusal is not in the audit log: {}", why.message()));
    }
}

/// Records that something happened; where to, if anybody wants to know.
pub(super) fn event(sessions: &Sessions<'_>, key: &SessionKey, entry: Entry) -> Result<Option<PathBuf>> {
    let Some(trail) = sessions.origins().trail(key)? else { return Ok(None) };
    let entry = about(sessions, key, Entry { phase: Phase::Event, ..entry })?;
    let log = open(sessions, &trail)?;
    log.append(&Log::event_id().map_err(failed)?, &entry).map_err(failed)?;
    Ok(Some(log.path().to_owned()))
}

/// Records the end of a session that needed no approval.
pub(super) fn closed(sessions: &Sessions<'_>, key: &SessionKey) {
    ended(sessions, key, Entry::new(Phase::Event, "session_close", Outcome::Succeeded));
}

/// Records the end of a session. The session ends even if the record cannot be written.
pub(super) fn ended(sessions: &Sessions<'_>, key: &SessionKey, entry: Entry) {
    if let Err(why) = event(sessions, key, entry) {
        note(format!("runcode: the end of the session is not in the audit log: {}", why.message()));
    }
}

/// The log, in a folder that is there, where nobody else can write it.
pub fn open(sessions: &Sessions<'_>, trail: &Trail) -> Result<Log> {
    let path = trail.log.clone().unwrap_or_else(|| sessions.paths().audit_log());
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        atomic_file::private_dir(folder).map_err(|error| {
            Error::new(Code::AuditFailed, format!("cannot make the folder of the audit log: {}", error.message()))
                .hint("nothing was run; make the folder, or name another log in servers.toml (broker.audit_log_path)")
        })?;
    }
    let located = match trusted_file::locate(&path, Owner::User) {
        // Anyone who may write to the folder could create the log first.
        Err(Distrust::Missing) => {
            path.parent().map_or(Ok(()), |it| trusted_file::judge_folder(it, Owner::User))
        }
        located => located.map(|_| ()),
    };
    match located {
        Ok(()) => Ok(Log::at(&path).anchored(trail.anchor.clone())),
        Err(why) => {
            let what = format!("the audit log {} {why}", path.named());
            Err(Error::new(Code::AuditFailed, what)
                .hint("nothing was run; correct its owner and mode, then run it again"))
        }
    }
}

/// Why nothing was run: the log of it could not be written.
pub fn failed(failure: Failure) -> Error {
    let what = match &failure {
        Failure::Io { doing, path, source } => {
            format!("cannot {doing} {}, the audit log: {}", path.named(), reason(source))
        }
        Failure::Lost(loss) => format!("the audit log has lost records: {loss}"),
        Failure::Busy(path) => format!("another program has held {} for 30 s", path.named()),
        other => format!("the audit log cannot be written: {other}"),
    };
    let hint = match &failure {
        Failure::Lost(_) => {
            "nothing was run; `runcode audit verify` says what is missing. For the user to decide: \
             `runcode audit seal --accept-loss` records the loss and continues the log"
        }
        _ => "nothing was run, as it could not be recorded first; make room there, or make it writable again",
    };
    Error::new(Code::AuditFailed, what).hint(hint).source(failure)
}

/// Why the log cannot be read.
pub fn unreadable(failure: Failure) -> Error {
    match failure {
        Failure::Io { path, source, .. } => Error::io(format_args!("read {}", path.named()), source),
        other => Error::new(Code::Io, other.to_string()),
    }
}

/// Who acts, and on what.
pub(super) fn about(sessions: &Sessions<'_>, key: &SessionKey, entry: Entry) -> Result<Entry> {
    let mut entry = who(sessions, entry);
    entry.origin = Some(match key.origin() {
        OriginId::Plane(_) => Origin::Plane,
        OriginId::Ssh => Origin::Ssh,
        OriginId::Server => Origin::Server,
    });
    entry.server_alias = Some(key.words());
    entry.target = key.api_base().map(ToString::to_string);
    let mut hops = Vec::new();
    if let Some(terms) = policy::terms(sessions.origins(), key)? {
        hops.extend(terms.hop_names().map(str::to_owned));
        let server = &terms.server;
        entry.server_alias = Some(server.name.clone());
        entry.environment = server.environment.clone();
        entry.target = Some(terms.target());
        entry.auth_method_kind = Some(server.method.word().to_owned());
        entry.signer = server.policy.signer.clone();
        entry.enforced = Some(terms.enforced.as_str().to_owned());
        let approved = sessions.store().read(key).ok().flatten().and_then(|session| session.meta.approved);
        entry.session_id = entry.session_id.or(approved.map(|approved| approved.session_id));
    }
    let is_ssh =
        cfg!(windows) || sessions.env().var(Var::RuncodeTransport).is_some_and(|name| name == "openssh");
    let transport = entry.transport.get_or_insert_with(|| if is_ssh { "openssh" } else { "mux" }.to_owned());
    if !hops.is_empty() {
        transport.push_str(&format!(" through {}", hops.join(", ")));
    }
    Ok(entry)
}

/// Who acts.
pub fn who(sessions: &Sessions<'_>, entry: Entry) -> Entry {
    let client = sessions.client();
    let claimed = sessions.env().var(Var::RuncodeActor).and_then(|name| name.into_string().ok());
    let fits = |name: &String| (1..=64).contains(&name.chars().count()) && !name.chars().any(is_steering);
    Entry {
        actor: Some(claimed.filter(fits).unwrap_or_else(|| client.clone())),
        os_user: os_user(),
        host: host(),
        client: Some(client),
        pid: Some(std::process::id()),
        ..entry
    }
}

#[cfg(unix)]
fn os_user() -> Option<String> {
    Some(crate::sys::platform::user_id().to_string())
}

#[cfg(windows)]
fn os_user() -> Option<String> {
    None
}

/// The name of this machine.
fn host() -> Option<String> {
    let name = crate::sys::platform::machine_name();
    Some(String::from_utf8_lossy(&name).into_owned()).filter(|name| !name.is_empty())
}
