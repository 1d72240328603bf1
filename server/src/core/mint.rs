//! Certificates: who asks is checked, the certificate signed, the session and its audit row written, in one transaction.

use runcode_sshcert::{Authority, Terms};
use serde_json::json;
use ssh_key::{HashAlg, PublicKey};

use super::access::{self, Level};
use super::audit::{Actor, Done, act, no_workspace};
use super::limits::Limits;
use super::people::Role;
use super::workspaces::{self, Workspace};
use super::{tokens, words};
use crate::clock;
use crate::failure::{Failure, Kind, Result};
use crate::store::{Step, Store};
use crate::values;

/// The start of 2026, from which serial numbers count, in milliseconds since 1970.
const EPOCH: i64 = 1_767_225_600_000;
/// How many random bits a serial number ends with; 41 bits of milliseconds come before them.
const RANDOM_BITS: u32 = 22;
/// How far in the past a certificate begins, for clocks that are late.
const EARLY: i64 = 60;
/// What a session may do: a terminal, and forwarding, which editors need.
const EXTENSIONS: [&str; 2] = ["permit-port-forwarding", "permit-pty"];

/// A request for a certificate.
pub(crate) struct Ask<'a> {
    /// The token that came with it.
    pub token: &'a str,
    /// The workspace's number, as asked.
    pub workspace: i64,
    /// The key to certify.
    pub key: &'a PublicKey,
    /// How long, in seconds.
    pub ttl: u64,
    /// The agent that asks, as it calls itself.
    pub client: &'a str,
}

/// What a person was given.
pub(crate) struct Minted {
    /// The certificate's line.
    pub certificate: String,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
    /// Where it leads.
    pub workspace: Workspace,
    /// The address of its host.
    pub address: String,
    /// The host's keys.
    pub host_keys: Vec<String>,
}

/// What certificates are made with.
pub(crate) struct Mint {
    /// Signs.
    pub authority: Authority,
    /// What counts as too much.
    pub limits: Limits,
    /// How long a session lasts at most where its workspace says nothing, in seconds.
    pub ttl: i64,
    /// How long a workspace may let one last, in seconds.
    pub max_ttl: i64,
}

impl Mint {
    /// Makes a certificate.
    ///
    /// # Errors
    /// What the contract's table says: 401, 403, 404, 409, 429, 503.
    pub(crate) fn make(&self, store: &dyn Store, actor: &Actor, ask: &Ask<'_>) -> Result<Minted> {
        act(store, actor, "session.mint", &format!("workspace {}", ask.workspace), |step| {
            let caller = tokens::find(step, ask.token)?;
            self.limits.mint(caller.person.id)?;
            let workspace = may_open(step, &caller, ask.workspace)?;
            let (address, host_keys) = host_of(step, &workspace)?;
            let now = clock::now();
            let longest = workspace.max_ttl.unwrap_or(self.ttl).min(self.max_ttl);
            let expires = now + i64::try_from(ask.ttl).unwrap_or(i64::MAX).min(longest);
            let serial = serial();
            let client = words::client(ask.client);
            let key_id = format!("{} {client}", caller.person.email);
            let certificate = self.sign(&workspace, ask.key, serial, &key_id, expires, &[], &EXTENSIONS)?;
            let fingerprint = ask.key.fingerprint(HashAlg::Sha256).to_string();
            let insert = "INSERT INTO session VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)";
            let values = values![
                serial,
                workspace.id,
                caller.person.id,
                &caller.token,
                &client,
                &fingerprint,
                now,
                expires
            ];
            step.run(insert, values)?;
            tokens::note_use(step, &caller.token, &actor.address)?;
            let detail = json!({
                "serial": serial.to_string(), "client": client, "key": fingerprint, "token": caller.token,
                "expires": clock::shown(expires),
            });
            let object = workspace.title.clone();
            Ok(Done::on(object, Minted { certificate, expires, workspace, address, host_keys })
                .saying(detail))
        })
    }

    /// A certificate of a minute that runs nothing: by it an enrolment finds out whether the host lets anybody in.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn trial(&self, workspace: &Workspace, key: &PublicKey) -> Result<String> {
        let only = [("force-command", "echo runcode-trial")];
        self.sign(workspace, key, serial(), "runcode-server enrolment-trial", clock::now() + 60, &only, &[])
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a certificate")]
    fn sign(
        &self,
        workspace: &Workspace,
        key: &PublicKey,
        serial: i64,
        key_id: &str,
        expires: i64,
        critical_options: &[(&str, &str)],
        extensions: &[&str],
    ) -> Result<String> {
        let signed = self.authority.sign(&Terms {
            key: key.key_data(),
            serial: serial.cast_unsigned(),
            key_id,
            principal: &workspace.principal,
            valid_after: (clock::now() - EARLY).cast_unsigned(),
            valid_before: expires.cast_unsigned(),
            critical_options,
            extensions,
        });
        let signed = signed
            .map_err(|_| Failure::new(Kind::Signer, "The certificate could not be signed. Try again."))?;
        Ok(signed.as_str().to_owned())
    }
}

/// The workspace, if the caller may open a session there. What they may not see does not exist.
fn may_open(step: &mut Step<'_>, caller: &tokens::Caller, id: i64) -> Result<Workspace> {
    let found = workspaces::by_id(step, id)?;
    let level = access::level(step, caller.person.id, id)?;
    let Some(workspace) = found else { return Err(no_workspace()) };
    if level.is_none() && caller.person.role == Role::Member {
        return Err(no_workspace());
    }
    if !caller.scopes.may_open(id) {
        return Err(Failure::new(
            Kind::Scope,
            "This token may not open sessions here; use one with the scope `session`.",
        ));
    }
    match level {
        Some(Level::Owner | Level::Use) => Ok(workspace),
        Some(Level::Run) => Err(Failure::new(
            Kind::ProfileOnly,
            "You may only run profiles here; ask an owner for the role `use`.",
        )),
        Some(Level::See) => Err(Failure::new(
            Kind::Forbidden,
            "You may only see this workspace; ask an owner for the role `use`.",
        )),
        None => Err(Failure::new(
            Kind::Forbidden,
            "You have no grant for this workspace; grant yourself the role `use` first.",
        )),
    }
}

/// The address and the keys of a workspace's host.
fn host_of(step: &mut Step<'_>, workspace: &Workspace) -> Result<(String, Vec<String>)> {
    let not_enrolled = || {
        Failure::new(
            Kind::NotEnrolled,
            "The workspace's host has not been enrolled yet; run the line of `host add` there.",
        )
    };
    let row = step.row("SELECT state, host_keys FROM host WHERE workspace = $1", values![workspace.id])?;
    let row = row.ok_or_else(not_enrolled)?;
    match row.text(0).as_str() {
        "enrolled" => {}
        "changed" => {
            return Err(Failure::new(
                Kind::HostChanged,
                format!(
                    "The host shows other keys than before; an administrator must look: `runcode-server host accept {}`.",
                    workspace.title
                ),
            ));
        }
        _ => return Err(not_enrolled()),
    }
    let address = workspace.address.clone().ok_or_else(not_enrolled)?;
    Ok((address, row.text(1).lines().map(str::to_owned).collect()))
}

/// A number that no other certificate has: milliseconds, then random bits; 63 bits in all.
fn serial() -> i64 {
    let random = i64::from(rand::random::<u32>() >> (u32::BITS - RANDOM_BITS));
    ((clock::millis() - EPOCH).max(0) << RANDOM_BITS & i64::MAX) | random
}

#[cfg(test)]
mod tests {
    use super::serial;

    #[test]
    fn serials_are_positive_and_unlike() {
        let (first, second) = (serial(), serial());
        assert!(first > 0 && second > 0 && first != second);
    }
}
