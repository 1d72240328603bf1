//! Which workspace a command means when nobody names one: the attachment of the nearest folder, or the only one there is.
//!
//! `connect` attaches a workspace to a folder. Each attachment is a file of its own below `<cache>/attachments/`, named by a
//! digest of the folder, so that looking for the nearest one reads no other.

pub mod elsewhere;
mod routing;
mod store;
#[cfg(test)]
mod tests;
mod told;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use routing::{Routing, routed_one};
pub use store::{Attachments, Locked};

use crate::error::{Code, Error, Result};
use crate::origin::names::few;
use crate::origin::{SessionKey, Ungranted};
use crate::output::foreign::{self, Name};
use crate::output::progress::note;
use crate::session::{Session, Titles};
use crate::sys::location::Location;

/// A workspace, and the folder whose commands mean it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The attached session.
    #[serde(flatten)]
    pub key: SessionKey,
    /// What the workspace is called; none in files from before that was kept.
    #[serde(default)]
    pub title: Option<Name>,
    /// The name that a user gave the workspace, if it was known when it was attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_title: Option<Name>,
    /// The folder, without links; none when its name is not text.
    pub folder: Option<String>,
    /// The path that the user took to the folder when attaching it, if that path has links in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// Whether the tools of an agent that works in the folder are routed to the workspace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routing: bool,
    /// Whether a helper runs the commands of agents in sandboxes on the workspace, while the folder is routed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sandboxes: bool,
    /// Where it is kept.
    #[serde(skip)]
    file: PathBuf,
}

impl Attachment {
    /// The workspace as a person knows it: `web (#2)`.
    pub fn shown(&self) -> String {
        self.key.shown(self.title.as_ref())
    }

    /// Whether this is one of the workspace's names, ignoring case.
    pub fn is_called(&self, name: &str) -> bool {
        Titles { title: self.title.as_ref(), custom: self.custom_title.as_ref() }.have(name)
    }

    /// The workspace and its folder: ``web (#2) for "/home/me/web"``.
    pub fn shown_with_folder(&self) -> String {
        format!("{} for {}", self.shown(), self.shown_folder())
    }

    /// The folder as a person reads it. A checkout or an archive may have chosen its name.
    pub fn shown_folder(&self) -> String {
        match &self.folder {
            Some(folder) => foreign::path(folder).to_string(),
            None => "a folder whose name is not text".to_owned(),
        }
    }

    /// Why there is no session of it, and what to do next.
    pub fn explain(&self, failure: Ungranted) -> Error {
        match failure {
            Ungranted::Gone(error) => error
                .context(self.shown())
                .hint("`runcode list` shows what there is, and `runcode disconnect` detaches this one")
                .for_tools("`list` says what there is, and `disconnect` detaches this one"),
            other => other.about(&self.key.words()),
        }
    }

    /// Whether the folder is there, as far as its name tells.
    fn is_folder_there(&self) -> bool {
        self.folder.as_ref().is_none_or(|folder| Path::new(folder).is_dir())
    }
}

/// Which attachment applies to a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applying {
    /// That of the nearest folder that holds it.
    Near(Box<Attachment>),
    /// None that is near; but those that there are mean one workspace.
    Only(Vec<Attachment>),
    /// Nothing is attached.
    None,
    /// None that is near, and several workspaces are attached elsewhere.
    Several(Vec<Attachment>),
    /// A link led here, and what holds the link is attached to another workspace than what it leads to.
    Linked(Vec<Attachment>),
    /// The folders of all attachments are gone.
    Gone(Vec<Attachment>),
}

impl Applying {
    /// The attachment that applies; an error where it would be a guess.
    pub fn one(self) -> Result<Option<Attachment>> {
        match self {
            Applying::Near(found) => Ok(Some(*found)),
            Applying::Only(all) => Ok(all.into_iter().next()),
            Applying::None => Ok(None),
            Applying::Several(all) => Err(ambiguous(&all)),
            Applying::Linked(all) => Err(linked(&all)),
            Applying::Gone(all) => Err(gone(&all)),
        }
    }

    /// As [`Applying::one`], for a verb that ends or removes something: only what is attached to this folder or to one that
    /// holds it. The only attachment elsewhere belongs to other work; `command` is offered, with the name that it needs.
    pub fn here(self, command: &str) -> Result<Option<Attachment>> {
        match self {
            Applying::Only(all) => Err(elsewhere_only(&all, |key| format!("runcode {command} {key}"))),
            other => other.one(),
        }
    }

    /// The attachment that applies, where its folder holds `project` or lies within it.
    pub fn of_project(self, project: &Location) -> Option<Attachment> {
        match self {
            Applying::Near(found) => Some(*found),
            Applying::Only(all) => all.into_iter().find(|attachment| {
                attachment.folder.as_ref().is_some_and(|folder| project.holds(Path::new(folder)))
            }),
            _ => None,
        }
    }
}

/// The error for a choice that only the user can make.
pub fn ambiguous(all: &[Attachment]) -> Error {
    let shown = few(all.iter().map(Attachment::shown_with_folder));
    Error::new(
        Code::Ambiguous,
        format!("several workspaces are attached, none of them to this folder: {shown}"),
    )
    .hint("name one with `-w NAME`, or attach one to this folder with `runcode connect NAME`")
    .for_tools("ask the user which; name it as `workspace`, or attach it with `connect`")
}

/// The error where the folder has no attachment, and one elsewhere is not to be taken for it. `command` acts on it by name.
pub fn elsewhere_only(all: &[Attachment], command: impl Fn(&str) -> String) -> Error {
    let error = Error::new(Code::NotFound, "no workspace is attached to this folder");
    let Some(first) = all.first() else { return error };
    let folders = few(all.iter().map(Attachment::shown_folder));
    let what = format!("{} is attached to {folders}", first.shown());
    let key = first.key.words();
    error.hint(format!("{what}: {}", command(foreign::argument(&key)))).for_tools(format!(
        "{what}: leave it as it is, unless the user means it; then name it as `workspace`"
    ))
}

/// The error for a folder that a link led to, where both ends of the link have an attachment of their own.
pub fn linked(all: &[Attachment]) -> Error {
    let shown = few(all.iter().map(Attachment::shown_with_folder));
    Error::new(
        Code::Ambiguous,
        format!(
            "a link leads to this folder, and its two ends are attached to different workspaces: {shown}"
        ),
    )
    .hint("name one with `-w NAME`")
    .for_tools("ask the user which, and name it as `workspace`")
}

/// The error for attachments whose folders are all gone.
pub fn gone(all: &[Attachment]) -> Error {
    let shown = few(all.iter().map(Attachment::shown_with_folder));
    let what = if all.len() == 1 { "folder no longer exists" } else { "folders no longer exist" };
    let again = all.first().map(|first| first.key.words()).unwrap_or_default();
    Error::new(Code::NotFound, format!("nothing is attached to this folder; {shown} is, but the {what}"))
        .hint(format!(
            "attach it to this folder with `runcode connect {again}`, or forget it with `runcode disconnect`"
        ))
        .for_tools(format!(
            "attach it: call `connect` with `workspace` {again}; or forget it with `disconnect`"
        ))
}

/// Attaches the session's workspace to a folder, and then says what changes for the commands there. Returns how the folder is routed:
/// as `wanted`, or as before.
pub fn attach(
    session: &Session,
    folder: &Location,
    attachments: Attachments<'_>,
    wanted: Routing,
) -> Result<Routing> {
    attach_key(&session.meta.key, session.meta.titles(), folder, attachments, wanted)
}

/// As [`attach`], for a workspace that needs no session.
pub fn attach_key(
    key: &SessionKey,
    titles: Titles<'_>,
    folder: &Location,
    attachments: Attachments<'_>,
    wanted: Routing,
) -> Result<Routing> {
    let around = attachments.near(folder)?;
    let before = attachments.save(key, titles, folder, wanted)?;
    let routing = wanted.after(before.as_ref());
    let name = key.shown(titles.title);
    match (before, around) {
        (Some(before), _) if before.key != *key => {
            note(format!("note: {name} is attached to this folder now, no longer {}", before.shown()));
        }
        (None, Some(around)) if around.key != *key => {
            let folder = around.shown_folder();
            note(format!(
                "note: {name} is attached to this folder only; {} stays attached to {folder}",
                around.shown()
            ));
        }
        _ => {}
    }
    Ok(routing)
}
