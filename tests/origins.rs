//! An origin is a file: a made-up one, which this test is all of, has sessions with everything that they promise.

use std::cell::Cell;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use runcode::error::{Code, Error, Result};
use runcode::grant::{
    Access, Credential, Destination, External, Gateway, Grant, Lifetime, Pins, SshUser, Trust, Workdir,
};
use runcode::origin::{
    BaseUrl, Origin, OriginId, Origins, Request, Selected, SessionKey, Target, Ungranted, Unresolved,
    Workspace,
};
use runcode::session::Sessions;
use runcode::session::attachment::{Routing, attach};
use runcode::session::live::Want;
use runcode::session::resolve::resolve_here;
use runcode::sys::env::{Env, Var};
use runcode::sys::location::Location;

use runcode::sys::paths::Paths;
use runcode::transport::{Ended, Limits, RemoteCommand, Stream, Streams, Variables};

use crate::support::real_sshd::RealSshd;
use crate::support::{processes_with, with_certificates};

/// Servers: `alpha` and `gamma`, with our key on a real sshd, and `beta`, left to the user's own ssh.
pub(crate) struct Fake<'a> {
    sshd: &'a RealSshd,
    workdir: Workdir,
    base: BaseUrl,
    grants: Cell<u32>,
}

impl<'a> Fake<'a> {
    /// Nothing is granted yet.
    pub(crate) fn new(sshd: &'a RealSshd, workdir: Workdir) -> Fake<'a> {
        let base = BaseUrl::parse(BaseUrl::HOSTED_API).unwrap();
        Fake { sshd, workdir, base, grants: Cell::new(0) }
    }
}

impl Origin for Fake<'_> {
    fn id(&self) -> OriginId {
        OriginId::Server
    }

    fn resolve(&self, name: &str) -> Result<Target, Unresolved> {
        let row = self.list()?.into_iter().find(|row| row.title.raw() == name);
        let none = || Error::new(Code::NotFound, format!("no server is called `{name}`"));
        let row = row.ok_or_else(|| Unresolved::NotFound(none()))?;
        Ok(Target { key: row.key.clone(), row: Some(row) })
    }

    fn list(&self) -> Result<Vec<Workspace>> {
        let server = |name: &str| Workspace {
            key: SessionKey::server(name).unwrap(),
            title: name.to_owned().into(),
            custom_title: None,
            environment: None,
            state: None,
            shared: false,
            ssh_capable: true,
        };
        Ok(["alpha", "beta", "gamma"].map(server).to_vec())
    }

    fn grant(&self, key: &SessionKey, request: &Request<'_>) -> Result<Grant, Ungranted> {
        self.grants.set(self.grants.get() + 1);
        let credential = if key.id() == "beta" {
            let destination = Destination::parse("me@beta").unwrap();
            Credential::External(External {
                destination,
                host: "10.0.0.1".into(),
                port: 22,
                user: "me".into(),
                route: String::new(),
                config: Vec::new(),
                server: None,
            })
        } else {
            let (endpoint, known_hosts) = let_in(self.sshd, &request.key.to_openssh().unwrap());
            let pins = Pins::parse(&known_hosts, &endpoint.host, endpoint.port).unwrap();
            let gateway = Gateway { endpoint, trust: Trust::Pinned(pins) };
            Credential::Key { gateway, certificate: None }
        };
        Ok(Grant {
            title: key.id().into(),
            custom_title: None,
            shared: None,
            credential,
            lifetime: Lifetime::Open,
            workdir: Some(self.workdir.clone()),
            web_url: None,
        })
    }
}

impl Origins for Fake<'_> {
    fn origin(&self, _id: &OriginId) -> Result<&dyn Origin> {
        Ok(self)
    }

    fn selected(&self) -> Result<Selected<'_>> {
        Ok(Selected { base: &self.base, is_given: false })
    }

    fn has_login(&self) -> Result<bool> {
        Ok(false)
    }
}

fn said(sessions: &Sessions<'_>, command: &str) -> String {
    let session = sessions.attached().unwrap();
    let command =
        RemoteCommand::snippet(session.meta.workdir.as_ref(), &Variables::default(), command).unwrap();
    let (mut answer, writer) = std::io::pipe().unwrap();
    let streams = Streams { stdin: Stream::Null, stdout: writer.into(), stderr: Stream::Null };
    let running = sessions.start(&session, &command, &streams).unwrap();
    drop(streams);
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    let ended = running.wait(&Limits { timeout: None, interruptible: false }).unwrap();
    assert!(matches!(ended, Ended::Status(0)), "{ended:?}");
    text
}

#[test]
fn another_origin_has_whole_sessions() {
    if with_certificates() {
        return; // this origin knows keys alone
    }
    let home = tempfile::Builder::new().prefix("rc-").tempdir().unwrap();
    let Some(sshd) = RealSshd::start(home.path()) else { return };
    std::fs::create_dir(home.path().join("project")).unwrap();
    let workdir = Workdir::parse(home.path().join("project").to_str().unwrap()).unwrap();
    let fake = Fake::new(&sshd, workdir);
    let (paths, env) = (Paths::below(home.path()), env(home.path()));
    let sessions = Sessions::new(&paths, &env, &fake);

    let key = fake.resolve("alpha").unwrap().key;
    let first = sessions.obtain(&key, Want::Fresh).unwrap();
    assert!(!first.reused && first.session.folder.ends_with("srv-alpha"));
    attach(&first.session, &Location::of(home.path()), sessions.attachments(), Routing::OFF).unwrap();
    assert_eq!(said(&sessions, "pwd"), format!("{}\n", home.path().join("project").display()));
    let master = sessions.transport(&first.session).master_pid();
    assert_eq!(said(&sessions, "echo again"), "again\n");
    assert!(master.is_some() && sessions.transport(&first.session).master_pid() == master);

    // A lifetime without an end needs no renewal, also where programs read the files themselves.
    assert!(sessions.obtain(&key, Want::Whole).unwrap().reused);
    assert_eq!((fake.grants.get(), first.session.meta.lifetime.expires_at()), (1, None));

    // The connection is healed without asking for another grant.
    sessions.end_connection(&key).unwrap();
    assert_eq!(said(&sessions, "echo back"), "back\n");
    assert_eq!(fake.grants.get(), 1);

    // Everything that looks at what is here sees it.
    assert_eq!(resolve_here("ALPHA", &sessions).unwrap(), key);
    let attachment = sessions.attachment().unwrap();
    assert_eq!(attachment.shown(), "alpha");
    assert_eq!(sessions.store().sessions().unwrap().len(), 1);

    assert!(sessions.attachments().lock().unwrap().remove(&attachment).unwrap());
    sessions.drop_session(&key).unwrap();
    assert_eq!(std::fs::read_dir(paths.cache()).unwrap().count(), 0);
    assert_eq!(processes_with(&paths.cache().to_string_lossy()), Vec::<String>::new());
    for refused in [fake.start(&key, Duration::MAX), fake.stop(&key)] {
        assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    }
}

#[test]
fn an_external_session_has_no_key_of_ours() {
    let home = tempfile::Builder::new().prefix("rc-").tempdir().unwrap();
    let Some(sshd) = RealSshd::start(home.path()) else { return };
    let fake = Fake::new(&sshd, Workdir::default());
    let (paths, env) = (Paths::below(home.path()), env(home.path()));
    let sessions = Sessions::new(&paths, &env, &fake);
    let key = fake.resolve("beta").unwrap().key;
    let session = sessions.obtain(&key, Want::Fresh).unwrap().session;
    let names = std::fs::read_dir(&session.folder).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["meta.json"]);
    let read = sessions.store().read(&key).unwrap().unwrap();
    assert!(read.meta == session.meta && read.is_intact() && matches!(read.meta.access, Access::External(_)));
    assert_eq!((read.route().destination(), read.route().gateway()), ("me@beta", None));
    sessions.drop_session(&key).unwrap();
}

fn env(home: &Path) -> Env {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A keeper would be this test's own program.
    let no_spare = (Var::RuncodeSpare, "off".into());
    Env::fixed([(Var::Home, home.as_os_str().to_owned()), (Var::Path, path), no_spare])
}

/// What it takes to let somebody in, as any origin would find out in its own way.
fn let_in(sshd: &RealSshd, key: &str) -> (runcode::grant::Endpoint, String) {
    let (port, host_key) = sshd.authorize(key);
    let user = SshUser::parse(&crate::support::real_sshd::user()).unwrap();
    let endpoint = runcode::grant::Endpoint {
        host: runcode::grant::Host::parse("127.0.0.1").unwrap(),
        port: u64::from(port).try_into().unwrap(),
        user,
    };
    (endpoint, format!("[127.0.0.1]:{port} {host_key}"))
}
