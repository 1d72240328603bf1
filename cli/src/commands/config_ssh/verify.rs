//! Whether ssh takes what was written as it was meant.

use std::path::{Path, PathBuf};

use super::Written;
use crate::error::{Error, Result};
use crate::integrations::ssh_config_block::MARKERS;
use crate::openssh::question;
use crate::sys::atomic_file;

/// How many hosts ssh is asked about: two questions each, of some milliseconds.
const MAX_ASKED: usize = 64;

/// As [`MAX_ASKED`], where there are over [`MANY`]: each question takes as long as the file is.
const MAX_ASKED_OF_MANY: usize = 16;

/// How many hosts make a long file.
const MANY: usize = 100;

/// How many of them at a time.
const AT_ONCE: usize = 8;

/// What to say when ssh does not read the file that was written: HOME is not what the password database says.
pub(super) fn another_home(ssh: &Path, written: &Path) -> Option<String> {
    let read = question::home(ssh)?.join(".ssh/config");
    let is_same =
        read == written || read.canonicalize().is_ok_and(|read| written.canonicalize().ok() == Some(read));
    (!is_same).then(|| {
        let (read, written) = (read.display(), written.display());
        format!(
            "ssh reads {read}, whatever HOME says: use `ssh -F {written}`, or run this with your own HOME"
        )
    })
}

/// Asks ssh whether the hosts are what was meant; what it says otherwise is for the user to know, not to fail on.
pub(super) fn verify(ssh: &Path, whole: &[u8], hosts: &[Written]) -> Result<Vec<String>> {
    let folder = atomic_file::temporary_dir("runcode-")?;
    let block = MARKERS.find(whole)?.map(|span| &whole[span]).unwrap_or_default();
    let at = |name: &str, content: &[u8]| -> Result<PathBuf> {
        let path = folder.path().join(name);
        atomic_file::create_new(&path, content, 0o600)
            .map_err(|error| Error::io("write a temporary file", error))?;
        Ok(path)
    };
    let (meant, whole) = (at("meant", block)?, at("whole", whole)?);
    let most = if hosts.len() > MANY { MAX_ASKED_OF_MANY } else { MAX_ASKED };
    let asked = &hosts[..hosts.len().min(most)];
    let mut warnings = Vec::new();
    for some in asked.chunks(AT_ONCE) {
        let ask = |host: &str| question::differences(ssh, &meant, &whole, host);
        let answers = std::thread::scope(|scope| {
            let running = some.iter().map(|host| scope.spawn(move || ask(&host.alias))).collect::<Vec<_>>();
            running.into_iter().map(|answer| answer.join()).collect::<Vec<_>>()
        });
        for (host, answer) in some.iter().zip(answers) {
            match answer {
                Ok(Ok(found)) => warnings.extend(found.into_iter().map(|what| (&host.alias, what))),
                Ok(Err(error)) => return Ok(vec![error.message().to_owned()]),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    }
    let mut told = told_once(&warnings, asked.len());
    if asked.len() < hosts.len() {
        told.push(format!("only the first {most} of {} hosts were checked with ssh", hosts.len()));
    }
    Ok(told)
}

/// One line per difference, with how many hosts it concerns.
fn told_once(warnings: &[(&String, String)], hosts: usize) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for (host, what) in warnings {
        let count = warnings.iter().filter(|(_, other)| other == what).count();
        let whom = if count == hosts && count > 1 { "every host" } else { host.as_str() };
        let line = format!("another part of your ssh config changes this for {whom}: {what}");
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told
}
