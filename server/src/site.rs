//! An opened state: what serving and the verbs work on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use runcode_sshcert::Authority;
use ssh_key::PrivateKey;

use crate::config::Config;
use crate::core::limits::Limits;
use crate::core::mint::Mint;
use crate::core::{keys, people};
use crate::failure::{Failure, Kind, Result};
use crate::store::{Sqlite, Store, within};

/// Everything that a request needs.
pub(crate) struct Site {
    /// What it was told.
    pub config: Config,
    /// Where the state is.
    pub store: Box<dyn Store>,
    /// What makes certificates.
    pub mint: Mint,
    /// Seals the audit.
    pub audit_key: PrivateKey,
    /// How browsers and clients reach it.
    pub base: String,
    /// Whether it is about to end.
    pub draining: AtomicBool,
}

impl Site {
    /// Opens the state, and makes what is not there yet. `port` is the one that is listened on, for the address.
    ///
    /// # Errors
    /// When the folder is not ours alone, or the database or the keys cannot be used.
    pub(crate) fn open(config: Config, port: u16) -> Result<Arc<Site>> {
        runcode_plane::make_private(&config.state)
            .map_err(|error| Failure::new(Kind::System, error.to_string()))?;
        let store: Box<dyn Store> = Box::new(Sqlite::open(&config.database())?);
        let master = keys::master(&*store, &config.master_key())?;
        let keys = keys::open(&*store, &master)?;
        let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let mint = Mint {
            authority: Authority::new(keys.authority),
            limits: Limits::new(config.limits.clone()),
            ttl: seconds(config.session_ttl),
            max_ttl: seconds(config.session_max_ttl),
        };
        let base = config.base(port);
        Ok(Arc::new(Site {
            config,
            store,
            mint,
            audit_key: keys.audit,
            base,
            draining: AtomicBool::new(false),
        }))
    }

    /// The user CA's public key, as a line.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn authority_line(&self) -> Result<String> {
        let line = self.mint.authority.public_key().to_openssh();
        let line = line.map_err(|_| Failure::new(Kind::Signer, "The authority's key cannot be encoded."))?;
        // Without a comment: hosts compare lines.
        Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    /// Whether anybody can administer it yet.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn has_admin(&self) -> Result<bool> {
        within(&*self.store, people::has_admin)
    }
}

/// Looks at everything that serving needs, and changes nothing.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check(config: &Config) -> Result<Vec<String>> {
    let mut found = vec![format!("address: {}", config.base(config.listen.port()))];
    let database = config.database();
    if !is_there(&database) {
        found.push(format!("state: {} (made at the first start)", config.state.display()));
        return Ok(found);
    }
    let version = Sqlite::look(&database)?;
    found.push(format!("database: {} (version {version})", database.display()));
    if is_there(&config.master_key()) {
        keys::MasterKey::read(&config.master_key())?;
        found.push(format!("master key: {}", config.master_key().display()));
    } else if version > 0 {
        return Err(Failure::new(
            Kind::Usage,
            format!("the master key file {} is missing; put it back", config.master_key().display()),
        ));
    }
    Ok(found)
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.len() > 0)
}
