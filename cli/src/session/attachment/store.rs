//! Where attachments are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::origin::SessionKey;
use crate::output::foreign::FileName as _;
use crate::session::Titles;
use crate::session::attachment::{Applying, Attachment, Routing, elsewhere};
use crate::sys::atomic_file;
use crate::sys::digest::sha256;
use crate::sys::location::Location;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Paths;

const MAX_FILE: usize = 64 * 1024;
const SUFFIX: &str = ".json";
const DIGITS: usize = 32;

/// The attachments of one user.
#[derive(Debug, Clone, Copy)]
pub struct Attachments<'a> {
    pub(super) paths: &'a Paths,
}

impl<'a> Attachments<'a> {
    /// Those below these paths; no I/O.
    pub fn new(paths: &'a Paths) -> Attachments<'a> {
        Attachments { paths }
    }

    /// The attachment that applies to commands in `folder`; without a folder, as if none were near.
    pub fn applying(self, folder: Option<&Location>) -> Result<Applying> {
        let nearest = folder.map_or_else(|| Ok(Vec::new()), |folder| self.nearest(folder))?;
        match &nearest[..] {
            [] => {}
            [near] => return Ok(Applying::Near(Box::new(near.clone()))),
            _ => return Ok(Applying::Linked(nearest)),
        }
        let (there, gone): (Vec<_>, _) = self.all()?.into_iter().partition(Attachment::is_folder_there);
        Ok(match &there[..] {
            [] if gone.is_empty() => Applying::None,
            [] => Applying::Gone(gone),
            [first, others @ ..] if others.iter().all(|other| other.key == first.key) => {
                Applying::Only(there)
            }
            _ => Applying::Several(there),
        })
    }

    /// The attachment of the nearest folder that holds this one.
    pub fn near(self, folder: &Location) -> Result<Option<Attachment>> {
        Ok(self.nearest(folder)?.into_iter().next())
    }

    /// As [`Attachments::near`]; several where a link led here, and not all of the ways up mean the same workspace: whoever
    /// wrote the link, such as the author of a checkout, must not choose. A link that the user came through when attaching
    /// the folder was the user's choice.
    pub fn nearest(self, folder: &Location) -> Result<Vec<Attachment>> {
        let mut found = Vec::<Attachment>::new();
        let has_files = atomic_file::is_own_dir(&self.paths.attachments())?;
        let mut older = None; // read where it is needed
        let mut chosen = None; // the user chose it by attaching it there
        for way in folder.ways_up() {
            if way.link.is_some_and(|link| is_chosen_by(chosen.as_ref(), folder, &link)) {
                continue;
            }
            for holder in way.folders {
                let own = if has_files { self.read(&self.file(&holder))? } else { None };
                let own = match own {
                    Some(own) => Some(own),
                    None => {
                        let older = match &older {
                            Some(older) => older,
                            None => older.insert(self.older()?),
                        };
                        older.clone().filter(|older| is_for(older, &holder))
                    }
                };
                if let Some(own) = own {
                    if found.iter().all(|other| other.key != own.key) {
                        found.push(own);
                    }
                    break;
                }
            }
            chosen = chosen.or_else(|| found.first().cloned());
        }
        Ok(found)
    }

    /// Every attachment, by folder.
    pub fn all(self) -> Result<Vec<Attachment>> {
        if !atomic_file::is_own_dir(self.paths.cache())? {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for file in self.files()? {
            all.extend(self.read(&file)?);
        }
        let older = self.older()?;
        let is_replaced =
            |older: &Attachment| all.iter().any(|own| own.folder.is_some() && own.folder == older.folder);
        all.extend(older.filter(|older| !is_replaced(older)));
        all.sort_by(|one, other| (&one.folder, &one.file).cmp(&(&other.folder, &other.file)));
        Ok(all)
    }

    /// Attaches a workspace to a folder; returns what was attached before. A routed folder stays routed: only
    /// [`Locked::route`] and detaching end that.
    pub fn save(
        self,
        key: &SessionKey,
        titles: Titles<'_>,
        folder: &Location,
        wanted: Routing,
    ) -> Result<Option<Attachment>> {
        let file = self.file(folder.real());
        let text = |path: &Path| path.to_str().map(str::to_owned);
        let locked = self.lock()?;
        let older = self.older()?.filter(|older| is_for(older, folder.real()));
        let before = self.read(&file).ok().flatten().or(older.clone());
        let routing = wanted.after(before.as_ref());
        let attachment = Attachment {
            key: key.clone(),
            title: titles.title.cloned(),
            custom_title: titles.custom.cloned(),
            folder: text(folder.real()),
            given: folder.given().and_then(text),
            routing: routing.is_on,
            sandboxes: routing.sandboxes,
            file,
        };
        let bytes = bytes(&attachment)?;
        if attachment.routing {
            elsewhere::remember(self.paths)?;
        }
        atomic_file::private_dir(&self.paths.attachments())?;
        atomic_file::sweep(&attachment.file)?;
        atomic_file::write(&attachment.file, &bytes, 0o600)?;
        if older.is_some() {
            atomic_file::remove(&self.paths.current())?;
        }
        self.forget_told();
        if before.as_ref().is_some_and(|before| before.sandboxes && !routing.sandboxes) {
            locked.forget_heard();
        }
        drop(locked);
        Ok(before)
    }

    /// Puts back an attachment whose folder has none.
    pub fn restore(self, attachment: &Attachment) -> Result<()> {
        let bytes = bytes(attachment)?;
        let _locked = self.lock()?;
        if attachment.file.exists() {
            return Ok(());
        }
        if attachment.file != self.paths.current() {
            atomic_file::private_dir(&self.paths.attachments())?;
        }
        atomic_file::write(&attachment.file, &bytes, 0o600)
    }

    /// Takes the sole right to change attachments, so that what was looked at is what is removed.
    pub fn lock(self) -> Result<Locked<'a>> {
        atomic_file::private_dir(self.paths.cache())?;
        let lock = Lock::acquire(&self.paths.attachments_lock(), lock::PATIENCE)?;
        Ok(Locked { attachments: self, lock: Some(lock) })
    }

    /// Where the attachment of a folder is kept.
    fn file(self, folder: &Path) -> PathBuf {
        let digest = sha256(folder.as_os_str().as_encoded_bytes());
        self.paths.attachments().join(format!("{}{SUFFIX}", &digest[..DIGITS]))
    }

    fn files(self) -> Result<Vec<PathBuf>> {
        let folder = self.paths.attachments();
        if !atomic_file::is_own_dir(&folder)? {
            return Ok(Vec::new());
        }
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(format_args!("read {}", folder.named()), error)),
        };
        let is_name = |name: &str| {
            let digits = name.strip_suffix(SUFFIX);
            digits.is_some_and(|it| it.len() == DIGITS && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let files = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_name));
        Ok(files.map(|entry| entry.path()).collect())
    }

    /// One that cannot be understood is an error: to look further would be to guess.
    pub(super) fn read(self, file: &Path) -> Result<Option<Attachment>> {
        let Some(bytes) = atomic_file::read(file, MAX_FILE)? else { return Ok(None) };
        let attachment = serde_json::from_slice::<Attachment>(&bytes).ok();
        let attachment = attachment.map(|attachment| Attachment { file: file.to_owned(), ..attachment });
        let is_its = |attachment: &Attachment| {
            attachment.folder.as_ref().is_none_or(|folder| self.file(Path::new(folder)) == file)
        };
        attachment.filter(is_its).map(Some).ok_or_else(|| {
            let what = format!("{} is no attachment that this version understands", file.named());
            Error::new(Code::Io, what)
                .hint("upgrade runcode; or forget all attachments with `runcode disconnect --all`")
        })
    }

    /// What a runcode that knew one attachment alone has left. One that cannot be understood is none, as it was there.
    fn older(self) -> Result<Option<Attachment>> {
        if !atomic_file::is_own_dir(self.paths.cache())? {
            return Ok(None);
        }
        let file = self.paths.current();
        let bytes = atomic_file::read(&file, MAX_FILE)?;
        let attachment = bytes.and_then(|bytes| serde_json::from_slice::<Attachment>(&bytes).ok());
        Ok(attachment.map(|attachment| Attachment { file, ..attachment }))
    }
}

/// Whether the user came through `link` when attaching this, and comes through it again now.
fn is_chosen_by(attachment: Option<&Attachment>, folder: &Location, link: &Path) -> bool {
    let names =
        attachment.and_then(|it| Some((Path::new(it.given.as_ref()?), Path::new(it.folder.as_ref()?))));
    names.is_some_and(|(given, real)| given.starts_with(link) && folder.is_within(given, real))
}

/// An attachment as its file holds it.
pub(super) fn bytes(attachment: &Attachment) -> Result<Vec<u8>> {
    serde_json::to_vec(attachment).map_err(|error| Error::new(Code::Error, error.to_string()))
}

fn is_for(attachment: &Attachment, folder: &Path) -> bool {
    attachment.folder.as_ref().is_some_and(|own| Path::new(own) == folder)
}

/// The sole right to change attachments, until dropped.
#[derive(Debug)]
pub struct Locked<'a> {
    pub(super) attachments: Attachments<'a>,
    lock: Option<Lock>,
}

impl Locked<'_> {
    /// Every attachment.
    pub fn all(&self) -> Result<Vec<Attachment>> {
        self.attachments.all()
    }

    /// The other folders that are there and have `key` attached.
    pub fn others(&self, attachment: &Attachment) -> Result<Vec<Attachment>> {
        let is_other = |other: &Attachment| {
            other.key == attachment.key && other.file != attachment.file && other.is_folder_there()
        };
        Ok(self.all()?.into_iter().filter(is_other).collect())
    }

    /// An attachment as it is now, unless its folder has since been attached to another workspace.
    pub(super) fn current(&self, attachment: &Attachment) -> Result<Option<Attachment>> {
        let current = match attachment.file == self.attachments.paths.current() {
            true => self.attachments.older()?,
            false => self.attachments.read(&attachment.file)?,
        };
        Ok(current.filter(|current| current.key == attachment.key))
    }

    /// Removes an attachment, unless its folder has since been attached to another workspace; returns whether it did.
    pub fn remove(&self, attachment: &Attachment) -> Result<bool> {
        if self.current(attachment)?.is_none() {
            return Ok(false);
        }
        atomic_file::sweep(&attachment.file)?;
        let is_removed = atomic_file::remove(&attachment.file)?;
        self.attachments.forget_told();
        self.forget_heard();
        Ok(is_removed)
    }

    /// Removes all of them, also what cannot be understood, and what a crash left.
    pub fn remove_all(&self) -> Result<()> {
        let paths = self.attachments.paths;
        let folder = paths.attachments();
        let metadata = fs::symlink_metadata(&folder);
        if metadata.as_ref().is_ok_and(|metadata| !metadata.is_dir()) {
            atomic_file::remove(&folder)?; // a link would lead out of the cache
        }
        for entry in metadata.and_then(|_| fs::read_dir(&folder)).into_iter().flatten().flatten() {
            atomic_file::remove(&entry.path())?;
        }
        self.forget_heard();
        self.attachments.forget_told();
        atomic_file::sweep(&paths.current())?;
        atomic_file::remove(&paths.current()).map(|_| ())
    }
}

impl Drop for Locked<'_> {
    /// With nothing attached, nothing is left.
    fn drop(&mut self) {
        let paths = self.attachments.paths;
        let is_empty = match fs::remove_dir(paths.attachments()) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_empty
            && fs::symlink_metadata(paths.current()).is_err()
            && let Some(lock) = self.lock.take()
        {
            let _ = lock.remove();
        }
    }
}
