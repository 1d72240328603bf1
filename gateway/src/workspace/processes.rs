//! The processes that the gateway started, so that all of them can be ended.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::proc;

/// How long an ended session has between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// A session of processes (setsid(2)), named by its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProcessSession(i32);

/// Every session that may still have processes, and the workspace it belongs to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes {
    sessions: Arc<Mutex<HashMap<ProcessSession, u64>>>,
}

impl Processes {
    /// Takes note of the session that the process `leader` leads.
    pub(crate) fn started(&self, leader: u32, workspace: u64) -> ProcessSession {
        let session = ProcessSession(i32::try_from(leader).unwrap_or(i32::MAX));
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        // A number is used again only once nothing is left of the session that had it.
        sessions.retain(|session, _| session.has_group());
        sessions.insert(session, workspace);
        session
    }

    /// Forgets a session that ended by itself, unless something of it goes on in the background.
    pub(crate) fn finished(&self, session: ProcessSession) {
        if !session.has_group() {
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        }
    }

    /// Ends one session, and those that its descendants lead: hangs up, asks, and kills what is left after a grace.
    pub(crate) async fn end(&self, session: ProcessSession) {
        let family: Vec<_> = proc::sessions_of_family(session.0).into_iter().map(ProcessSession).collect();
        family.iter().for_each(|session| session.hang_up());
        let mut waited = Duration::ZERO;
        while family.iter().any(|session| session.is_alive()) && waited < GRACE {
            tokio::time::sleep(POLL).await;
            waited += POLL;
        }
        family.iter().for_each(|session| session.kill());
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    /// Ends every session of the workspace, or of all.
    pub(crate) async fn end_all(&self, workspace: Option<u64>) {
        let sessions: Vec<ProcessSession> = {
            let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let of = |id: u64| workspace.is_none_or(|wanted| wanted == id);
            sessions.iter().filter(|(_, id)| of(**id)).map(|(session, _)| *session).collect()
        };
        let mut ends = tokio::task::JoinSet::new();
        for session in sessions {
            let processes = self.clone();
            ends.spawn(async move { processes.end(session).await });
        }
        while ends.join_next().await.is_some() {}
    }

    /// Ends what left its session (setsid(2), as daemons do) but still bears the mark of a login: its environment.
    /// Known on Linux only.
    pub(crate) async fn end_strays(&self, gateway: SocketAddr, home: Option<&Path>) {
        let strays = || proc::processes_of_gateway(gateway, home);
        if strays().is_empty() {
            return;
        }
        system::signal_each(&strays(), false);
        let mut waited = Duration::ZERO;
        while !strays().is_empty() && waited < GRACE {
            tokio::time::sleep(POLL).await;
            waited += POLL;
        }
        system::signal_each(&strays(), true);
    }
}

#[cfg(unix)]
mod system {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

    use super::super::proc;
    use super::ProcessSession;

    impl ProcessSession {
        /// The process groups of the session: the leader's and, where they can be found, those that a shell made for its jobs.
        fn groups(self) -> Vec<Pid> {
            let mut groups: Vec<i32> = vec![self.0];
            groups.extend(proc::groups_of_session(self.0));
            groups.dedup();
            groups.into_iter().filter(|group| *group > 1).filter_map(Pid::from_raw).collect()
        }

        /// Whether a process of the session is left.
        pub(crate) fn is_alive(self) -> bool {
            self.has_group() || self.groups().into_iter().any(|group| test_kill_process_group(group).is_ok())
        }

        /// Whether a process of the leader's own group is left: the cheap question.
        pub(super) fn has_group(self) -> bool {
            Pid::from_raw(self.0).is_some_and(|group| test_kill_process_group(group).is_ok())
        }

        /// Sends a signal, by its name in RFC 4254, section 6.10, to the leader's group. Unknown names do nothing.
        pub(crate) fn signal(self, name: &str) {
            if let (Some(group), Some(signal)) = (Pid::from_raw(self.0), named(name)) {
                let _ = kill_process_group(group, signal);
            }
        }

        pub(super) fn hang_up(self) {
            for group in self.groups() {
                // A stopped process only hears the others once it goes on.
                for signal in [Signal::HUP, Signal::TERM, Signal::CONT] {
                    let _ = kill_process_group(group, signal);
                }
            }
        }

        pub(super) fn kill(self) {
            for group in self.groups() {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    /// Asks processes to end, or kills them.
    pub(super) fn signal_each(processes: &[i32], kill: bool) {
        let signal = if kill { Signal::KILL } else { Signal::TERM };
        for process in processes.iter().copied().filter_map(Pid::from_raw) {
            let _ = kill_process(process, signal);
        }
    }

    fn named(name: &str) -> Option<Signal> {
        Some(match name {
            "ABRT" => Signal::ABORT,
            "ALRM" => Signal::ALARM,
            "FPE" => Signal::FPE,
            "HUP" => Signal::HUP,
            "ILL" => Signal::ILL,
            "INT" => Signal::INT,
            "KILL" => Signal::KILL,
            "PIPE" => Signal::PIPE,
            "QUIT" => Signal::QUIT,
            "SEGV" => Signal::SEGV,
            "TERM" => Signal::TERM,
            "USR1" => Signal::USR1,
            "USR2" => Signal::USR2,
            _ => return None,
        })
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn signal_each(_processes: &[i32], _kill: bool) {}
}

#[cfg(not(unix))]
impl ProcessSession {
    pub(crate) fn is_alive(self) -> bool {
        false
    }
    fn has_group(self) -> bool {
        false
    }
    pub(crate) fn signal(self, _name: &str) {}
    fn hang_up(self) {}
    fn kill(self) {}
}
