//! TLS in front of a server that speaks plain text, with a certificate for 127.0.0.1 by an authority that is in `fixtures`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves until it is dropped.
pub struct TlsFront {
    port: u16,
    is_over: Arc<AtomicBool>,
}

/// A file of this crate's fixtures.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

impl TlsFront {
    /// In front of the server at this base, which reads one request per connection.
    pub fn before(base: &str) -> TlsFront {
        let server = base.strip_prefix("http://").unwrap().to_owned();
        let chain = ["tls_server.pem", "tls_ca.pem"]
            .map(|name| CertificateDer::from_pem_file(fixture(name)).unwrap())
            .to_vec();
        let key = PrivateKeyDer::from_pem_file(fixture("tls_server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (config, server) = (Arc::clone(&config), server.clone());
                std::thread::spawn(move || serve(stream, config, &server));
            }
        });
        TlsFront { port, is_over }
    }

    /// Its base URL.
    pub fn base(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Passes on one request, then its answer.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, server: &str) {
    let mut client = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&text) {
        match client.read(&mut piece) {
            Ok(read) if read > 0 => text.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let mut server = TcpStream::connect(server).unwrap();
    server.write_all(&text).unwrap();
    let mut answer = Vec::new();
    let _ = server.read_to_end(&mut answer);
    let _ = client.write_all(&answer);
    client.conn.send_close_notify();
    let _ = client.flush();
}

fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
