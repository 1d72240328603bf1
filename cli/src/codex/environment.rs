//! The attached workspace, as it was when Codex began: what every request is about.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::app::{App, Reach};
use crate::args::Globals;
use crate::codex::paths::{self, Paths};
use crate::error::{Code, Error, Result};
use crate::origin::SessionKey;
use crate::output::foreign;
use crate::remote::file_facts::{Files, Place};
use crate::session::attachment::{Applying, Attachment};
use crate::session::{Session, Sessions};
use crate::sys::env::{Env, Var};
use crate::sys::interrupt::Cancel;
use crate::sys::location::Location;

/// Where Codex's tools run.
pub struct Environment {
    globals: Globals,
    env: Env,
    folder: Location,
    key: SessionKey,
    shown: String,
    place: Place,
    pub(super) paths: Paths,
}

impl Environment {
    /// The environment of the workspace attached to the current folder, or to a folder above it. Connects, and finds where commands start.
    pub fn open(app: &App) -> Result<Environment> {
        if app.env().var(Var::RuncodeWorkspace).is_some() {
            let what = "RUNCODE_WORKSPACE names a workspace, but Codex works on the one that is attached to this folder";
            return Err(Error::new(Code::Usage, what).hint("unset it"));
        }
        let sessions = app.sessions()?;
        let attachment = attached(&sessions)?;
        let session = sessions.attached()?;
        let place = Files { sessions: &sessions, session: &session }.place().map_err(|error| match error
            .code()
        {
            Code::NotFound => Error::new(
                Code::NotFound,
                format!("the workdir of {} does not exist", attachment.shown()),
            )
            .hint(
                "create it: runcode exec --home -- mkdir -p DIR; or connect with another one: --workdir DIR",
            ),
            _ => error,
        })?;
        let folder = app.folder()?;
        let names = [attachment.folder.as_ref(), attachment.given.as_ref()];
        let mut folders = names.into_iter().flatten().map(PathBuf::from).collect::<Vec<_>>();
        if folders.is_empty() {
            return Err(Error::new(
                Code::Usage,
                "the attached folder's name is not valid Unicode, so Codex cannot work in it",
            )
            .hint("rename the folder and connect again"));
        }
        if let Some(given) =
            folders.get(1).filter(|given| folder.given().is_some_and(|path| path.starts_with(given)))
        {
            let given = given.clone();
            folders.insert(0, given); // as Codex will call it
        }
        let workdirs = vec![PathBuf::from(&place.workdir), PathBuf::from(&place.real_workdir)];
        Ok(Environment {
            globals: app.globals().clone(),
            env: app.env().clone(),
            folder,
            shown: attachment.shown(),
            key: attachment.key,
            paths: Paths::new(folders, workdirs),
            place,
        })
    }

    /// The workspace and its workdir, for a person: `web (#2): "/home/me/web"`.
    pub fn shown(&self) -> String {
        format!("{}: {}", self.shown, foreign::path(&self.place.workdir))
    }

    /// Runs what needs the session, in a world of its own that `cancel` interrupts. The session of another workspace than the one
    /// that Codex began with is an error: half of what Codex knows would be wrong.
    pub(super) fn with<T, E: From<Error>>(
        &self,
        cancel: &Cancel,
        run: impl FnOnce(&Sessions<'_>, &Session) -> Result<T, E>,
    ) -> Result<T, E> {
        let (globals, env) = (self.globals.clone(), self.env.clone());
        let app = App::of_call(globals, env, cancel.clone(), self.folder.clone(), Reach::Known);
        let sessions = app.sessions()?;
        let attachment = attached(&sessions)?;
        if attachment.key != self.key {
            let what =
                format!("this folder is now attached to {}, no longer to {}", attachment.shown(), self.shown);
            return Err(Error::new(Code::Conflict, what).hint("nothing was done; start Codex again").into());
        }
        let session = sessions.attached()?;
        run(&sessions, &session)
    }

    /// The environment of this process.
    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// What Codex is told first.
    pub(super) fn info(&self) -> Value {
        let shell = &self.place.shell;
        let system = match self.place.system.as_str() {
            "Darwin" => "macos",
            _ => "linux",
        };
        json!({
            "shell": { "name": shell.rsplit('/').next().unwrap_or("sh"), "path": shell },
            // This does not depend on which Codex asks.
            "executorVersion": env!("CARGO_PKG_VERSION"),
            "cwd": self.paths.address(self.place.workdir.as_ref()),
            "userHomeDir": self.home(),
            "platformOs": system,
            "capabilities": {},
        })
    }

    /// The answer to `environmentConfig/read`: nothing on the workspace configures Codex.
    pub(super) fn config(&self) -> Value {
        let none = json!({ "layers": [], "cloudInsertionIndex": 0 });
        json!({
            "userHomeDir": self.home(),
            "codexHomeDir": self.home().map(|home| format!("{home}/.codex")),
            "hostname": self.place.host,
            "config": none,
            "requirements": none,
        })
    }

    fn home(&self) -> Option<String> {
        paths::address_of(self.place.home.as_ref())
    }
}

/// The attachment of the current folder, or of a folder above it. The only attachment elsewhere is not enough: the paths of this
/// folder would mean nothing there.
fn attached(sessions: &Sessions<'_>) -> Result<Attachment> {
    match sessions.applying()? {
        Applying::Near(found) => Ok(*found),
        Applying::Only(_) | Applying::None | Applying::Several(_) => {
            Err(Error::new(Code::NotFound, "no workspace is attached to this folder")
                .hint("run `runcode connect <workspace>` in the project's folder first"))
        }
        other => {
            other.one()?.ok_or_else(|| Error::new(Code::NotFound, "no workspace is attached to this folder"))
        }
    }
}
