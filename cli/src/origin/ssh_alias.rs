//! A host of the user's own: whatever `ssh DEST` reaches. ssh is asked what the user's config says; we never parse it.

use crate::error::{Code, Error, Result};
use crate::grant::{Credential, Destination, External, Grant, Lifetime, NamedServer};
use crate::openssh::external::OwnHost;
use crate::openssh::question::{self, Resolved};
use crate::openssh::{SshBinary, hosts};
use crate::origin::names::few;
use crate::origin::{Origin, OriginId, Request, SessionKey, Target, Ungranted, Unresolved, Workspace};
use crate::output::foreign;

/// How many names a `not_found` offers.
const NEAREST: usize = 5;

/// The hosts that the user's own ssh knows.
#[derive(Debug, Clone)]
pub struct SshHosts {
    ssh: SshBinary,
}

impl SshHosts {
    /// Those of this ssh; no I/O.
    pub fn new(ssh: SshBinary) -> SshHosts {
        SshHosts { ssh }
    }

    /// The destination that the words name without a doubt: `ssh:DEST`, `ssh://…`, or words with an `@`. `None` for other
    /// words; an error for a destination that is none.
    pub fn explicit(words: &str) -> Option<Result<Destination>> {
        let named = match words.strip_prefix("ssh:") {
            Some(rest) if rest.starts_with("//") => words,
            Some(rest) => rest,
            None if words.contains('@') => words,
            None => return None,
        };
        Some(Destination::parse(named).map_err(|why| {
            Error::new(Code::Usage, format!("the destination {} {why}", foreign::file(named))).hint(
                match with_port(named) {
                    Some(address) => format!("write it as ssh://{address}"),
                    None => "write it as ssh:HOST, ssh:USER@HOST or ssh://USER@HOST:PORT".to_owned(),
                },
            )
        }))
    }

    /// The names in the user's ssh config, for completions and hints. What cannot be read has none.
    pub fn names(&self) -> Vec<Destination> {
        let home = self.ssh.find().ok().and_then(|ssh| question::home(&ssh));
        home.map(|home| hosts::of_user(&home)).unwrap_or_default()
    }

    /// What ends a search: nobody has the name.
    fn not_found(&self, name: &str) -> Unresolved {
        let near = hosts::nearest(name, &self.names(), NEAREST);
        let error = Error::new(
            Code::NotFound,
            format!("{} is neither a server, a workspace nor a host of your ssh config", foreign::file(name)),
        );
        Unresolved::NotFound(if !near.is_empty() {
            error.hint(format!("did you mean {}?", few(near.iter().map(|host| format!("ssh:{host}")))))
        } else if name.len() < 64 && Destination::parse(name).is_ok() {
            error
                .hint(format!("any host that ssh reaches will do: runcode connect ssh:{name}"))
                .for_tools(format!("any host that ssh reaches will do: call `connect` with ssh:{name}"))
        } else {
            error
        })
    }
}

/// The words, if they are a destination and a port, as many other tools write it.
fn with_port(words: &str) -> Option<&str> {
    let (destination, port) = words.rsplit_once(':')?;
    let is_one = Destination::parse(destination).is_ok() && port.parse::<u16>().is_ok_and(|port| port > 0);
    is_one.then_some(words)
}

/// What ssh makes of a destination, and of what servers.toml says of it.
pub(super) fn external(
    ssh: &SshBinary,
    destination: Destination,
    server: Option<NamedServer>,
) -> Result<External> {
    let ssh = ssh.find()?;
    let host = OwnHost { server, ..OwnHost::named(destination) };
    // Before ssh is asked: what changes meanwhile is seen as a change.
    let config = hosts::files(question::home(&ssh).as_deref());
    let user = Resolved::at(&ssh, &host.place(), &host.destination)?;
    let value = |name: &str| user.value(name).unwrap_or_default().to_owned();
    Ok(External {
        host: value("hostname"),
        port: user.value("port").and_then(|port| port.parse().ok()).unwrap_or(22),
        user: value("user"),
        route: user.route(),
        config,
        destination: host.destination,
        server: host.server,
    })
}

impl Origin for SshHosts {
    fn id(&self) -> OriginId {
        OriginId::Ssh
    }

    /// A bare name is one that the user's ssh config knows.
    fn resolve(&self, name: &str) -> Result<Target, Unresolved> {
        let Ok(destination) = Destination::parse(name) else { return Err(self.not_found(name)) };
        // Without ssh, nobody can tell.
        match question::knows(&self.ssh.find()?, &destination)? {
            true => Ok(Target { key: SessionKey::ssh(&destination), row: None }),
            false => Err(self.not_found(name)),
        }
    }

    /// Nobody knows them all: any machine that ssh reaches is one.
    fn list(&self) -> Result<Vec<Workspace>> {
        Ok(Vec::new())
    }

    fn grant(&self, key: &SessionKey, _: &Request<'_>) -> Result<Grant, Ungranted> {
        let destination = Destination::parse(&key.id())
            .map_err(|why| Error::new(Code::Usage, format!("the destination {why}")))?;
        let external = external(&self.ssh, destination.clone(), None)?;
        Ok(Grant {
            title: destination.to_string().into(),
            custom_title: None,
            shared: Some(false),
            credential: Credential::External(external),
            lifetime: Lifetime::Open,
            workdir: None,
            web_url: None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn words_that_name_a_destination() {
        let explicit = |words: &str| {
            SshHosts::explicit(words).map(|it| it.map(|it| it.to_string()).map_err(|it| it.code()))
        };
        for (words, destination) in [
            ("ssh:box", "box"),
            ("ssh:me@box", "me@box"),
            ("me@box", "me@box"),
            ("ssh://me@box:2222", "ssh://me@box:2222"),
            ("ssh:ssh://box", "ssh://box"),
        ] {
            assert_eq!(explicit(words), Some(Ok(destination.to_owned())), "{words}");
        }
        for bare in ["box", "12", "my box", "server:x", "sshd"] {
            assert_eq!(explicit(bare), None, "{bare}");
        }
        for bad in ["ssh:", "ssh:-oProxyCommand=x", "-x@box", "ssh:a b", "ssh://", "me@$(x)"] {
            assert_eq!(explicit(bad), Some(Err(Code::Usage)), "{bad}");
        }
    }
}
