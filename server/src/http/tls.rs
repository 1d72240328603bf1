//! TLS: the certificate chain and the key, read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Config;
use crate::failure::{Failure, Kind, Result};

/// What a file was when it was read: when it was changed, and how large it is.
type Stamp = (Option<SystemTime>, u64);

/// The certificate that is served.
pub(crate) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<(Vec<Stamp>, Arc<ServerConfig>)>,
}

impl Tls {
    /// Reads the files that the configuration names, if it names some.
    ///
    /// # Errors
    /// When they are no certificate and its key, or others can read the key.
    pub(crate) fn open(config: &Config) -> Result<Option<Tls>> {
        let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        let current = RwLock::new((stamps(cert, key), load(cert, key)?));
        Ok(Some(Tls { cert: cert.clone(), key: key.clone(), current }))
    }

    /// What the next connection is served with.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Reads files that changed. Those that cannot be used leave what is served.
    pub(super) fn refresh(&self) {
        let found = stamps(&self.cert, &self.key);
        if found == self.current.read().unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        let loaded = load(&self.cert, &self.key);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.0 = found;
        match loaded {
            Ok(config) => current.1 = config,
            Err(why) => crate::log::line(&serde_json::json!({ "tls": "not read again", "why": why.message })),
        }
    }
}

fn stamps(cert: &Path, key: &Path) -> Vec<Stamp> {
    let stamp = |path: &&Path| {
        std::fs::metadata(path).map_or((None, 0), |found| (found.modified().ok(), found.len()))
    };
    [cert, key].iter().map(stamp).collect()
}

fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let wrong = |key: &str, path: &Path, why: String| {
        Failure::new(Kind::Usage, format!("`{key}`, {}, {why}", path.display()))
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let found = std::fs::metadata(key)
            .map_err(|error| wrong("tls.key", key, format!("cannot be read: {error}")))?;
        if found.permissions().mode() & 0o007 != 0 {
            return Err(wrong("tls.key", key, "can be read by everybody; run `chmod o= FILE`".to_owned()));
        }
    }
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain =
        chain.map_err(|error| wrong("tls.cert", cert, format!("is no certificate chain in PEM: {error}")))?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong("tls.key", key, format!("is no private key in PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret));
    let mut config =
        made.map_err(|error| wrong("tls.cert", cert, format!("cannot be served with that key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
