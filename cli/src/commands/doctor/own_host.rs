//! Why a host of the user's own does not work, in the user's words and with the ssh command that shows the same.

use super::Check;
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::grant::Access;
use crate::origin::servers::AuthMethod;
use crate::origin::{OriginId, SessionKey, Terms};
use crate::output::foreign;
use crate::remote::health;
use crate::session::live::Want;
use crate::session::{policy, profile};
use crate::sys::clock;
use crate::transport::Way;

/// How far apart the clocks may be, in seconds.
const CLOCK: i64 = 60;

/// Every check of the host; none stops another that could still tell something.
pub(super) fn checks(app: &App, words: &str) -> Result<Vec<Check>> {
    let key = app.resolve(words)?.key;
    if matches!(key.origin(), OriginId::Plane(_)) {
        return Err(Error::new(
            Code::Usage,
            format!("{} is a workspace; doctor looks at hosts of your own", foreign::word(words)),
        )
        .hint("name a host with ssh:HOST, or a server, or leave it out"));
    }
    let sessions = app.sessions()?;
    let is_new = !sessions.store().has_any(&key);
    let checks = of(app, &key);
    if is_new {
        sessions.drop_session(&key)?;
    }
    Ok(checks)
}

fn of(app: &App, key: &SessionKey) -> Vec<Check> {
    let to = key.id(); // until it is known where that is
    let restricted = match policy::restricted(app, key) {
        Ok(terms) => terms,
        Err(error) => return vec![Check::failed("servers", &error)],
    };
    if let Some(terms) = &restricted
        && terms.server.logs_in_per_run()
    {
        return of_certified(app, terms);
    }
    let session = match app.sessions().and_then(|sessions| Ok(sessions.obtain(key, Want::Fresh)?)) {
        Ok(obtained) => obtained.session,
        Err(error) => return vec![failed("ssh-config", &error, &format!("ssh -G {to}"))],
    };
    let mut checks = Vec::new();
    let to = match session.route().way {
        Way::External(host) => host.shown(),
        Way::Config { .. } => to,
    };
    if let Access::External(it) = &session.meta.access {
        checks.push(Check::ok(
            "ssh-config",
            format!("{}, port {}, as {}", foreign::name(&it.host), it.port, foreign::name(&it.user)),
        ));
    }
    let looked = app.sessions().and_then(|sessions| {
        let session = sessions.revive(&session)?;
        Ok((session, sessions))
    });
    let (session, sessions) = match looked {
        Ok(up) => up,
        Err(error) => {
            checks.push(failed("ssh-login", &error, &format!("ssh -v {to} true")));
            return checks;
        }
    };
    checks.push(Check::ok("ssh-login", "the host lets you in"));
    if let Some(terms) = restricted {
        checks.push(Check::ok("profiles", format!("its shell was not checked ({})", terms.summary())));
        return checks;
    }
    match health::look(&sessions, &session) {
        Ok(health) => checks.extend(of_health(&health, &to)),
        Err(error) => checks.push(failed("ssh-shell", &error, &format!("ssh {to} true"))),
    }
    checks
}

/// A server that a certificate opens for one profile at a time.
fn of_certified(app: &App, terms: &Terms) -> Vec<Check> {
    let (server, name) = (&terms.server, &terms.server.name);
    if matches!(server.method, AuthMethod::LegacyPassword(_)) {
        let login = match terms.refuse() {
            Ok(()) => Check::ok("ssh-login", "not tried: each login with a password needs an approval"),
            Err(error) => Check::failed("ssh-login", &error),
        };
        return vec![login, Check::ok("profiles", terms.summary())];
    }
    let signer = terms.refuse().and_then(|()| match &terms.signer {
        Some(signer) => signer.open(app.env()).map(|_| ()),
        None => Ok(()),
    });
    if let Err(error) = signer {
        return vec![Check::failed("signer", &error)];
    }
    let mut checks = vec![Check::ok(
        "signer",
        format!("{} can be used", server.policy.signer.as_deref().unwrap_or_default()),
    )];
    let ran = app.sessions().and_then(|sessions| profile::try_out(&sessions, name));
    checks.push(match ran {
        Ok(0) => {
            Check::ok("ssh-login", "the host trusts the signer's certificates, and ran a command with one")
        }
        Ok(status) => Check::fail(
            "ssh-login",
            format!("on the host, `true` ended with status {status}"),
            "check its sshd_config for a ForceCommand, and the user's login shell: one of them is the likely reason",
        ),
        Err(error) => Check::failed("ssh-login", &error),
    });
    checks.push(Check::ok("profiles", terms.summary()));
    checks
}

fn of_health(health: &health::Health, to: &str) -> Vec<Check> {
    let shell = match &health.noise {
        _ if !health.has_sh => Check::fail(
            "ssh-shell",
            "the host runs no POSIX `sh`",
            format!(
                "`ssh {to} sh -c true` shows the same; a restricted account or another system is the likely reason"
            ),
        ),
        Some(noise) => Check::warn(
            "ssh-shell",
            format!(
                "its start-up files print text, which mixes with the output of commands: {}",
                foreign::message(noise)
            ),
            format!("`ssh {to} true` shows the same; print only where there is a terminal: `[ -t 1 ] && …`"),
        ),
        None => Check::ok("ssh-shell", "its shell runs commands and adds nothing to their output"),
    };
    let room = match health.full.first() {
        _ if !health.has_sh => None,
        Some(folder) => Some(Check::fail(
            "ssh-room",
            format!("nothing can be written to {}", foreign::path(folder)),
            format!("`ssh {to} df -h` shows whether the disk is full"),
        )),
        None => Some(Check::ok("ssh-room", "there is room to write")),
    };
    let clock = health.clock.map(|theirs| {
        let apart = theirs.saturating_sub(clock::now().as_second());
        match apart.saturating_abs() > CLOCK {
            true => Check::warn(
                "ssh-clock",
                format!(
                    "its clock is {} s {} ours",
                    apart.saturating_abs(),
                    if apart > 0 { "ahead of" } else { "behind" }
                ),
                format!("`ssh {to} date` shows it; certificates and `make` go by it"),
            ),
            false => Check::ok("ssh-clock", "its clock is right"),
        }
    });
    [Some(shell), room, clock].into_iter().flatten().collect()
}

/// A check that failed. `command` shows the same; an error's own hint may have named it without the ` true`.
fn failed(name: &'static str, error: &Error, command: &str) -> Check {
    let shows = format!("`{command}` shows the same");
    let named = format!("`{}`", command.trim_end_matches(" true"));
    let mend = match error.next_step() {
        Some(hint) if hint.contains(&named) => hint.to_owned(),
        Some(hint) => format!("{hint}; {shows}"),
        None => shows,
    };
    Check::fail(name, error.message(), mend)
}
