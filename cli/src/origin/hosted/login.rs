//! The loopback end of the browser login: a one-shot HTTP listener that only the right callback ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::origin::hosted::{BaseUrl, Token};
use crate::output::foreign::Name;
use crate::output::progress::note;
use crate::sys::clock::Deadline;
use runcode_peer::Owner;
use runcode_wire::{CLI_LOGIN_PATH, CLI_LOGIN_STARTED_PATH, PAGES_PREFIX};

/// How long one connection may take; an idle one holds up nobody else.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(5);

/// How long `runcode dev` may take to hear of a login.
const TELL_DEADLINE: Duration = Duration::from_secs(2);

/// How many connections are served at once; more are closed. Whoever opens them all day cannot exhaust this machine.
const MAX_CONNECTIONS: usize = 64;

/// How many bytes of a request are read.
const MAX_REQUEST: usize = 16 * 1024;

/// What is said of a connection whose owner cannot be found where this system can name one.
const UNKNOWN: &str = "note: a connection was refused, since this system does not say whose it is; if it was your browser's, use \
     `runcode login --paste`";

/// The longest code that is taken, in bytes.
const MAX_CODE: usize = 512;

/// How many characters the state and the verifier have: 62^43 is about 2^256.
const STATE_CHARS: usize = 43;

/// What the browser brought.
pub enum Callback {
    /// A token, and the account if the page named it.
    Token(Token, Option<Name>),
    /// A code that the control plane exchanges for a token, for whoever has the verifier (RFC 7636).
    Code(String),
}

/// Listens on a free port of 127.0.0.1 for one callback.
pub struct CallbackServer {
    tcp: TcpListener,
    port: u16,
    state: Arc<str>,
    verifier: Zeroizing<String>,
}

impl CallbackServer {
    /// Opens the port and draws the state.
    pub fn bind() -> Result<CallbackServer> {
        let failed = |error| Error::io("listen on 127.0.0.1", error).hint("use `runcode login --paste`");
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        tcp.set_nonblocking(true).map_err(failed)?;
        let port = tcp.local_addr().map_err(failed)?.port();
        let draw =
            || rand::rng().sample_iter(Alphanumeric).take(STATE_CHARS).map(char::from).collect::<String>();
        Ok(CallbackServer { tcp, port, state: draw().into(), verifier: draw().into() })
    }

    /// The verifier, which proves that this process asked for the code.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The page that the user authorizes on.
    pub fn authorize_url(&self, web: &BaseUrl) -> String {
        let mut url = web.join(CLI_LOGIN_PATH);
        let challenge = Base64UrlUnpadded::encode_string(&Sha256::digest(self.verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("port", &self.port.to_string())
            .append_pair("state", &self.state)
            .append_pair("challenge", &challenge);
        url.into()
    }

    /// Tells the control plane of a `runcode dev` that this login is its user's own doing, so that it may answer without a
    /// click when it was told to. Any other web host is asked nothing; and when it fails, the page asks for a click.
    pub fn tell_dev(&self, web: &BaseUrl) {
        let path = web.join(CLI_LOGIN_STARTED_PATH);
        if let Some(address) = web.loopback_address().filter(|_| path.path().starts_with(PAGES_PREFIX)) {
            let _ = self.post(address, path.path());
        }
    }

    fn post(&self, address: SocketAddr, path: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, TELL_DEADLINE)?;
        stream.set_read_timeout(Some(TELL_DEADLINE))?;
        stream.set_write_timeout(Some(TELL_DEADLINE))?;
        let body = format!("{{\"port\":{},\"state\":\"{}\"}}", self.port, self.state);
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )?;
        // It is in place once there is an answer.
        stream.read(&mut [0; 64]).map(drop)
    }

    /// Waits for the right callback, until the deadline or until `interrupted` says so.
    pub fn wait(&self, deadline: Deadline, interrupted: impl Fn() -> bool) -> Result<Callback> {
        let (sender, results) = mpsc::channel();
        let mut has_told = false;
        while !deadline.is_past() {
            if interrupted() {
                return Err(Error::new(Code::Interrupted, "the login was interrupted"));
            }
            if let Ok(result) = results.try_recv() {
                return result;
            }
            let Ok((stream, _)) = self.tcp.accept() else {
                deadline.pause(Duration::from_millis(10));
                continue;
            };
            // Whoever it is not gets no answer and takes nobody's place.
            match runcode_peer::owner_of_peer(&stream) {
                owner if owner.may_be_ours() => self.serve(stream, sender.clone()),
                Owner::Other(user) if is_logged_in(user) => self.serve(stream, sender.clone()),
                Owner::Nobody | Owner::Unknown if !has_told => {
                    has_told = true;
                    note(UNKNOWN);
                }
                _ => {}
            }
        }
        Err(Error::new(Code::TimedOut, "the login timed out: the browser did not come back")
            .hint("on a remote machine, use `runcode login --paste`"))
    }

    fn serve(&self, stream: TcpStream, results: Sender<Result<Callback>>) {
        if Arc::strong_count(&self.state) > MAX_CONNECTIONS {
            return; // each connection holds one
        }
        let (state, port) = (Arc::clone(&self.state), self.port);
        // The thread ends with its connection's deadline; the process may end before. One that cannot be made is no
        // reason to fail.
        let _ = std::thread::Builder::new().spawn(move || {
            let _ = answer(stream, &state, port, &results);
        });
    }
}

/// Whether `user` is who logged in to this machine and became the user of this process with su(1) or sudo(8): the browser still
/// runs under that number (proc(5), `loginuid`).
fn is_logged_in(user: u32) -> bool {
    std::fs::read_to_string("/proc/self/loginuid").is_ok_and(|number| number.trim() == user.to_string())
}

fn answer(
    mut stream: TcpStream,
    state: &str,
    port: u16,
    results: &Sender<Result<Callback>>,
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(CONNECTION_DEADLINE))?;
    let Some(request) = read_head(&mut stream)? else {
        return Ok(());
    };
    let (status, title, outcome) = judge(&request, state, port);
    let page = format!(
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'><title>runcode</title>\
         <body style='font:18px system-ui;margin:15vh auto;max-width:30em;padding:0 1em;color-scheme:light dark'><p>{title}</p>"
    );
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    )?;
    stream.flush()?;
    if let Some(outcome) = outcome {
        let _ = results.send(outcome);
    }
    Ok(())
}

/// The request's head, within the connection's deadline; `None` when it never came whole.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let deadline = Deadline::after(CONNECTION_DEADLINE);
    let (mut head, mut piece) = (Vec::new(), [0; 2048]);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if deadline.is_past() || head.len() > MAX_REQUEST {
            return Ok(None);
        }
        stream.set_read_timeout(Some(deadline.remaining().max(Duration::from_millis(1))))?;
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    Ok(Some(head))
}

const NOT_FOUND: (&str, &str) = ("404 Not Found", "There is nothing here.");
const REFUSED: (&str, &str) =
    ("400 Bad Request", "This is not the login that runcode is waiting for. Nothing was changed.");

type Verdict = (&'static str, &'static str, Option<Result<Callback>>);

/// Judges a request's head. Only `GET /callback` with the right state and a loopback `Host` has an outcome.
pub fn judge(head: &[u8], state: &str, port: u16) -> Verdict {
    let no = |(status, title): (&'static str, &'static str)| (status, title, None);
    let Some((path, query, host)) = parse_head(head) else {
        return no(REFUSED);
    };
    if path != "/callback" {
        return no(NOT_FOUND);
    }
    if !["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.eq_ignore_ascii_case(&format!("{name}:{port}")))
    {
        return no(REFUSED);
    }
    let mut fields: [(&str, Option<String>); 5] =
        [("state", None), ("token", None), ("email", None), ("error", None), ("code", None)];
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if let Some((_, slot)) = fields.iter_mut().find(|(field, _)| *field == name) {
            if slot.is_some() || value.chars().any(char::is_control) {
                return no(REFUSED);
            }
            *slot = Some(value.into_owned());
        }
    }
    let [(_, given), (_, token), (_, email), (_, error), (_, code)] = fields;
    if !is_equal(given.unwrap_or_default().as_bytes(), state.as_bytes()) {
        return no(REFUSED);
    }
    if error.is_some() {
        let denied = Error::new(Code::Forbidden, "the login was denied in the browser")
            .hint("run `runcode login` again");
        return ("200 OK", "The login was denied. You can close this page.", Some(Err(denied)));
    }
    const DONE: &str = "You are logged in. You can close this page and go back to the terminal.";
    match (token.as_deref().map(Token::parse), code) {
        (Some(Ok(token)), None) => {
            let email = email.filter(|email| !email.is_empty() && email.len() <= 320).map(Name::from);
            ("200 OK", DONE, Some(Ok(Callback::Token(token, email))))
        }
        (None, Some(code)) if (1..=MAX_CODE).contains(&code.len()) && code.bytes().all(is_code_byte) => {
            ("200 OK", "You can close this page and go back to the terminal.", Some(Ok(Callback::Code(code))))
        }
        _ => no(REFUSED),
    }
}

fn is_code_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Path, query and `Host` of a GET request with exactly one of each.
fn parse_head(head: &[u8]) -> Option<(&str, &str, &str)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method != "GET" || !version.starts_with("HTTP/1.") || words.next().is_some() {
        return None;
    }
    let mut hosts = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let host = hosts.next()?;
    hosts.next().is_none().then_some((path, query, host))
}

/// Compares without telling by its time how much is equal.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    fn get(target: &str, host: &str) -> Verdict {
        judge(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), "s3cret", 4000)
    }

    #[test]
    fn the_right_callback_ends_the_login() {
        let (status, _, outcome) =
            get("/callback?state=s3cret&token=abc&email=a%40b.example", "127.0.0.1:4000");
        let Callback::Token(token, email) = outcome.unwrap().ok().unwrap() else { panic!("no token") };
        assert_eq!(
            (status, token.expose(), email.as_ref().map(Name::raw)),
            ("200 OK", "abc", Some("a@b.example"))
        );
        let code = get("/callback?state=s3cret&code=a-b_c", "127.0.0.1:4000").2.unwrap().ok().unwrap();
        assert!(matches!(code, Callback::Code(code) if code == "a-b_c"));
        for odd in ["code=a%20b", "code=", "code=a&token=b", "code=a&code=b"] {
            assert!(get(&format!("/callback?state=s3cret&{odd}"), "127.0.0.1:4000").2.is_none(), "{odd}");
        }
        let denied = get("/callback?state=s3cret&error=access_denied", "localhost:4000").2.unwrap();
        assert_eq!(denied.err().unwrap().code(), Code::Forbidden);
    }

    /// Whose a connection was cannot be found any more once its other end is closed, whatever it asks for.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_callback_that_nobody_sent_is_refused() {
        use std::net::Shutdown;
        let server = CallbackServer::bind().unwrap();
        let ask = |token: &str| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
            let (state, port) = (&server.state, server.port);
            write!(
                stream,
                "GET /callback?state={state}&token={token} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
            )
            .unwrap();
            stream
        };
        drop(ask("closed"));
        let reset = ask("reset");
        rustix::net::sockopt::set_socket_linger(&reset, Some(Duration::ZERO)).unwrap();
        drop(reset);
        let half_closed = ask("theirs");
        half_closed.shutdown(Shutdown::Write).unwrap();
        let callback = server.wait(Deadline::after(CONNECTION_DEADLINE), || false).ok().unwrap();
        assert!(matches!(callback, Callback::Token(token, _) if token.expose() == "theirs"));
    }

    #[test]
    fn any_other_request_changes_nothing() {
        let host = "127.0.0.1:4000";
        for (target, host, status) in [
            ("/", host, "404"),
            ("/favicon.ico", host, "404"),
            ("/callback/", host, "404"),
            ("/callback", host, "400"),
            ("/callback?state=wrong&token=abc", host, "400"),
            ("/callback?token=abc", host, "400"),
            ("/callback?state=s3cret", host, "400"),
            ("/callback?state=s3cret&state=s3cret&token=a", host, "400"),
            ("/callback?state=s3cret&token=a&token=b", host, "400"),
            ("/callback?state=s3cret&token=a%0ab", host, "400"),
            ("/callback?state=s3cret&token=a%00", host, "400"),
            ("/callback?state=s3cret&token=a&email=%1b[2J", host, "400"),
            ("/callback?state=s3cret&token=abc", "evil.example", "400"),
            ("/callback?state=s3cret&token=abc", "127.0.0.1:4001", "400"),
            ("/callback?state=s3cret&token=abc", "127.0.0.1", "400"),
        ] {
            let (got, _, outcome) = get(target, host);
            assert!(got.starts_with(status) && outcome.is_none(), "{target} {host}: {got}");
        }
        let long = format!("/callback?state=s3cret&token={}", "x".repeat(5000));
        assert!(get(&long, host).2.is_none());
        for head in [
            "POST /callback?state=s3cret&token=a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n",
            "GET /callback?state=s3cret&token=a HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
            "\u{0}",
            "GET /callback?state=s3cret&token=a HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nHost: x\r\n\r\n",
        ] {
            assert!(judge(head.as_bytes(), "s3cret", 4000).2.is_none(), "{head:?}");
        }
    }
}
