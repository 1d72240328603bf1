#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use super::*;

/// One that answers every name alike.
struct Fake(OriginId, fn(&str) -> Result<Target, Unresolved>);

impl Origin for Fake {
    fn id(&self) -> OriginId {
        self.0.clone()
    }

    fn resolve(&self, name: &str) -> Result<Target, Unresolved> {
        (self.1)(name)
    }

    fn list(&self) -> Result<Vec<Workspace>> {
        Ok(Vec::new())
    }

    fn grant(&self, _: &SessionKey, _: &Request<'_>) -> Result<Grant, Ungranted> {
        Err(Error::new(Code::Error, "it grants nothing").into())
    }
}

struct Both {
    base: BaseUrl,
    plane: Fake,
    own: Fake,
    servers: Fake,
    here: Vec<SessionKey>,
}

impl Origins for Both {
    fn origin(&self, id: &OriginId) -> Result<&dyn Origin> {
        Ok(match id {
            OriginId::Ssh => &self.own,
            OriginId::Server => &self.servers,
            OriginId::Plane(_) => &self.plane,
        })
    }

    fn has_login(&self) -> Result<bool> {
        Ok(true)
    }

    fn selected(&self) -> Result<Selected<'_>> {
        Ok(Selected { base: &self.base, is_given: false })
    }

    fn called_here(&self, _: &str) -> Result<Vec<SessionKey>> {
        Ok(self.here.clone())
    }
}

fn error() -> Error {
    Error::new(Code::NotFound, "the control plane answered 404 Not Found")
}

/// What the words mean where the ssh config has every host, servers.toml has `gpu`, and the control plane answers this.
fn meant(words: &str, plane: fn(&str) -> Result<Target, Unresolved>) -> Result<Target, Unresolved> {
    let base = BaseUrl::parse("https://a.example").unwrap();
    let own = |name: &str| {
        let destination = crate::grant::Destination::parse(name).unwrap();
        Ok(Target { key: SessionKey::ssh(&destination), row: None })
    };
    let plane = Fake(OriginId::Plane(base.clone()), plane);
    let servers = |name: &str| match name {
        "gpu" => Ok(Target { key: SessionKey::server(name).unwrap(), row: None }),
        _ => Err(Unresolved::NotFound(Error::new(Code::NotFound, "no server").hint("there is gpu"))),
    };
    let servers = Fake(OriginId::Server, servers);
    resolve(words, &Both { base, plane, own: Fake(OriginId::Ssh, own), servers, here: Vec::new() })
}

#[test]
fn only_a_name_nobody_has_is_a_host() {
    let found = meant("web", |_| Err(Unresolved::NotFound(error()))).unwrap();
    assert_eq!(*found.key.origin(), OriginId::Ssh);
    // An address that serves something else answers 404 too: which says nothing of the name.
    assert!(matches!(meant("web", |_| Err(Unresolved::Failed(error()))), Err(Unresolved::Failed(_))));
    assert!(matches!(meant("web", |_| Err(Unresolved::Ambiguous(error()))), Err(Unresolved::Ambiguous(_))));
}

fn none(_: &str) -> Result<Target, Unresolved> {
    Err(Unresolved::NotFound(error()))
}

fn workspace(shared: bool) -> Target {
    let key = SessionKey::plane(&BaseUrl::parse("https://a.example").unwrap(), 9).unwrap();
    let row = Workspace {
        key: key.clone(),
        title: "web".into(),
        custom_title: None,
        environment: None,
        state: None,
        shared,
        ssh_capable: true,
    };
    Target { key, row: Some(row) }
}

#[test]
fn a_shared_workspace_takes_no_hosts_name() {
    let Err(Unresolved::Ambiguous(both)) = meant("web", |_| Ok(workspace(true))) else {
        panic!("the host has the name, too")
    };
    assert!(both.message().contains("ssh:web, and also 9,"), "{both}");
    assert_eq!(meant("web", |_| Ok(workspace(false))).unwrap().key.workspace_id(), Some(9));
    // What the ssh config does not name may have a session here.
    for (here, is_free) in
        [(SessionKey::server("web"), false), (Some(workspace(true).key), true), (None, true)]
    {
        let base = BaseUrl::parse("https://a.example").unwrap();
        let origins = Both {
            plane: Fake(OriginId::Plane(base.clone()), none),
            own: Fake(OriginId::Ssh, none),
            servers: Fake(OriginId::Server, none),
            here: here.into_iter().collect(),
            base,
        };
        let found = not_taken("web", workspace(true), none("web"), &origins);
        assert_eq!(found.is_ok(), is_free, "{found:?}");
    }
}

#[test]
fn a_server_comes_first_and_nobody_else_is_asked() {
    let unreachable = |_: &str| -> Result<Target, Unresolved> { Err(Unresolved::Failed(error())) };
    for words in ["gpu", "server:gpu"] {
        assert_eq!(*meant(words, unreachable).unwrap().key.origin(), OriginId::Server, "{words}");
    }
    assert!(matches!(meant("server:web", unreachable), Err(Unresolved::NotFound(_))));
    assert_eq!(*meant("server@gpu", unreachable).unwrap().key.origin(), OriginId::Ssh);
}

#[test]
fn hints_for_tools_are_joined_too() {
    let shell = Error::new(Code::NotFound, "none").hint("run it").for_tools("call it");
    let plain = || Error::new(Code::NotFound, "none").hint("there is gpu");
    let hints = |one: Error, other: Error| match with_hint_of(one, Unresolved::NotFound(other)) {
        Unresolved::NotFound(error) => {
            [error.next_step(), error.next_step_with_tools()].map(|hint| hint.unwrap_or_default().to_owned())
        }
        _ => panic!("another failure"),
    };
    assert_eq!(hints(shell, plain()), ["run it; there is gpu", "call it; there is gpu"]);
    let bare = || Error::new(Code::NotFound, "none");
    let shell = bare().hint("run it").for_tools("call it");
    assert_eq!(hints(bare(), shell), ["run it", "call it"]);
    assert_eq!(hints(bare(), bare()), ["", ""]);
}

#[test]
fn a_port_after_the_host_is_shown_right() {
    for (words, hint) in [
        ("ssh:me@10.0.0.7:2222", "write it as ssh://me@10.0.0.7:2222"),
        ("me@box:22", "write it as ssh://me@box:22"),
        ("ssh:a/b", "write it as ssh:HOST, ssh:USER@HOST or ssh://USER@HOST:PORT"),
    ] {
        let error = SshHosts::explicit(words).unwrap().unwrap_err();
        assert_eq!(error.next_step(), Some(hint), "{words}");
    }
}
