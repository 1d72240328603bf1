//! What proc(5) says about the machine's processes; elsewhere than on Linux, nothing.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The process groups of a session that have a living process.
pub(super) fn groups_of_session(session: i32) -> Vec<i32> {
    let mut groups: Vec<i32> = folders()
        .filter_map(|folder| {
            let stat = Stat::read(&folder)?;
            (stat.session == session && stat.alive).then_some(stat.group)
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The session, and those that its processes and their descendants lead (setsid(2), `start_new_session`).
pub(super) fn sessions_of_family(session: i32) -> Vec<i32> {
    let all: Vec<(i32, Stat)> = folders()
        .filter_map(|folder| Some((folder.file_name()?.to_str()?.parse().ok()?, Stat::read(&folder)?)))
        .collect();
    let (mut family, mut sessions, mut known) = (HashSet::new(), HashSet::from([session]), 0);
    loop {
        for (process, stat) in &all {
            if sessions.contains(&stat.session) || family.contains(&stat.parent) {
                family.insert(*process);
            }
            if stat.session == *process && family.contains(process) {
                sessions.insert(stat.session);
            }
        }
        if family.len() == known {
            return sessions.into_iter().collect();
        }
        known = family.len();
    }
}

/// The living processes whose environment says that they were logged in at `gateway`, and at `home` if given.
pub(super) fn processes_of_gateway(gateway: SocketAddr, home: Option<&Path>) -> Vec<i32> {
    let end = format!(" {} {}", gateway.ip(), gateway.port());
    let home = home.map(|home| [b"HOME=", home.as_os_str().as_encoded_bytes()].concat());
    let own = std::process::id();
    folders()
        .filter(|folder| Stat::read(folder).is_some_and(|stat| stat.alive))
        .filter_map(|folder| {
            let process: i32 = folder.file_name()?.to_str()?.parse().ok()?;
            let environment = std::fs::read(folder.join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            let marked = variables.any(|v| v.starts_with(b"SSH_CONNECTION=") && v.ends_with(end.as_bytes()));
            let at_home =
                home.as_ref().is_none_or(|home| environment.split(|byte| *byte == 0).any(|v| v == home));
            (marked && at_home && process.unsigned_abs() != own).then_some(process)
        })
        .collect()
}

/// One folder per process.
fn folders() -> impl Iterator<Item = PathBuf> {
    let entries = if cfg!(target_os = "linux") { std::fs::read_dir("/proc").ok() } else { None };
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
    })
}

struct Stat {
    alive: bool,
    parent: i32,
    group: i32,
    session: i32,
}

impl Stat {
    /// Fields 3 to 6; the name before them may hold anything.
    fn read(folder: &Path) -> Option<Stat> {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let alive = fields.next()? != "Z";
        let mut number = || fields.next()?.parse().ok();
        Some(Stat { alive, parent: number()?, group: number()?, session: number()? })
    }
}
