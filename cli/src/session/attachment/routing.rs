//! Routed folders: the tools of an agent that works in one run on the workspace.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::session::attachment::store::bytes;
use crate::session::attachment::{Attachment, Attachments, Locked, elsewhere, linked};
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::sys::location::Location;
use crate::sys::random;

const DIGITS: usize = 32;

/// How the file names of words for commands begin that the user is asked about.
const ASKED: &str = "asked-";

/// How a folder is routed, or is to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Routing {
    /// Whether an agent's tools run on the workspace.
    pub is_on: bool,
    /// Whether a helper runs the commands of agents in sandboxes there, too.
    pub sandboxes: bool,
}

impl Routing {
    /// Neither.
    pub const OFF: Routing = Routing { is_on: false, sandboxes: false };

    /// How a folder is routed that was attached so before: to attach it does not end routing.
    #[must_use]
    pub fn after(self, before: Option<&Attachment>) -> Routing {
        if self.is_on { self } else { before.map_or(Routing::OFF, Attachment::routing) }
    }
}

impl Attachment {
    /// How the folder is routed.
    pub fn routing(&self) -> Routing {
        Routing { is_on: self.routing, sandboxes: self.routing && self.sandboxes }
    }
}

impl Attachments<'_> {
    /// The attachment that a session's tools are routed to, by the names of its project's folder. An error if nobody can
    /// tell, so that nothing runs in the wrong place: an attachment that cannot be read, or several beside a routed one.
    pub fn routed(self, project: &[Location]) -> Result<Option<Attachment>> {
        let mut found = Vec::<Attachment>::new();
        for name in project {
            for near in self.nearest(name)? {
                if !found.contains(&near) {
                    found.push(near);
                }
            }
        }
        routed_one(&found)
    }

    /// Notes that a call of this agent session was heard. A failure to do so shows only in the status line.
    pub fn hear(self, session: &str) {
        let file = self.heard_file(session);
        if !file.exists() && atomic_file::private_dir(&self.paths.heard()).is_ok() {
            let _ = std::fs::File::create_new(&file); // in a folder that only the user can read
        }
    }

    /// Whether a call of this agent session has been heard since the folder was routed.
    pub fn is_heard(self, session: &str) -> bool {
        self.heard_file(session).exists()
    }

    /// Makes the word for a command that the user is about to be asked about. It is good for this command, and until the next call of
    /// the agent session.
    pub fn ask(self, session: &str, command: &str) -> Result<String> {
        let folder = self.paths.heard();
        atomic_file::private_dir(&folder)?;
        let word = random::word();
        let name = format!("{}{}", asked_of(&word, command), suffix_of(session));
        atomic_file::write(&folder.join(name), b"", 0o600)?;
        Ok(word)
    }

    /// Whether this word was made for this command and is still good. It is used then.
    pub fn take_asked(self, word: &str, command: &str) -> Result<bool> {
        let folder = self.paths.heard();
        let start = asked_of(word, command);
        let found = asked_files(&folder).into_iter().find(|name| name.starts_with(&start));
        found.map_or(Ok(false), |name| atomic_file::remove(&folder.join(name)))
    }

    /// Another call of this agent session has come: the user has answered by now, or will be asked again.
    pub fn forget_asked(self, session: &str) {
        let (folder, end) = (self.paths.heard(), suffix_of(session));
        for name in asked_files(&folder).iter().filter(|name| name.ends_with(&end)) {
            let _ = std::fs::remove_file(folder.join(name));
        }
    }

    /// The session's own name for itself may be anything.
    fn heard_file(self, session: &str) -> PathBuf {
        let digest = sha256(session.as_bytes());
        self.paths.heard().join(&digest[..DIGITS])
    }
}

/// The routed attachment of a folder. It is an error if the folder has several, and one of them is routed.
pub fn routed_one(nearest: &[Attachment]) -> Result<Option<Attachment>> {
    match nearest {
        [only] => Ok(only.routing.then(|| only.clone())),
        several if several.iter().any(|near| near.routing) => Err(linked(several)),
        _ => Ok(None),
    }
}

impl Locked<'_> {
    /// Routes an attachment's folder so; says whether it was routed.
    pub fn route(&self, attachment: &Attachment, routing: Routing) -> Result<bool> {
        let Some(current) = self.current(attachment)? else { return Ok(false) };
        let was_on = current.routing;
        if routing.is_on {
            elsewhere::remember(self.attachments.paths)?;
        }
        let changed = Attachment { routing: routing.is_on, sandboxes: routing.sandboxes, ..current };
        atomic_file::write(&changed.file, &bytes(&changed)?, 0o600)?;
        self.forget_heard();
        Ok(was_on)
    }

    /// If nothing is routed, removes everything about routing; if nothing is open to sandboxes, ends the helper.
    pub(super) fn forget_heard(&self) {
        let Ok(all) = self.all() else { return };
        if all.iter().all(|attachment| !attachment.routing) {
            remove_files(&self.attachments.paths.heard());
            elsewhere::forget(self.attachments.paths);
        }
        #[cfg(target_os = "linux")]
        if all.iter().all(|attachment| !attachment.routing().sandboxes) {
            crate::session::helper::end(self.attachments.paths);
        }
    }
}

/// How the file name of a word begins.
fn asked_of(word: &str, command: &str) -> String {
    let digest = sha256(format!("{word} {command}").as_bytes());
    format!("{ASKED}{}", &digest[..DIGITS])
}

/// How it ends.
fn suffix_of(session: &str) -> String {
    format!("-{}", &sha256(session.as_bytes())[..DIGITS])
}

fn asked_files(folder: &Path) -> Vec<String> {
    if !atomic_file::is_own_dir(folder).unwrap_or_default() {
        return Vec::new();
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(ASKED)).collect()
}

fn remove_files(folder: &Path) {
    if atomic_file::is_own_dir(folder).unwrap_or_default() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        let _ = std::fs::remove_dir(folder);
    }
}
