//! Reaches a gateway through a proxy: HTTP `CONNECT` (RFC 9110, 9.3.6) or SOCKS 5 (RFC 1928, RFC 1929).

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::error::{Code, Error, Result, reason};
use crate::grant::Endpoint;
use crate::output::foreign;
use crate::sys::clock::Deadline;
use crate::sys::env::{Env, Var};

/// The longest answer from a proxy to `CONNECT`, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// The variables that name a proxy for everything, in order of preference: curl's, and so most programs'.
const USUAL: [Var; 4] = [Var::AllProxy, Var::AllProxyLower, Var::HttpsProxy, Var::HttpsProxyLower];

/// A proxy on the way to a gateway.
#[derive(Debug, Clone)]
pub struct Proxy {
    scheme: Scheme,
    host: String,
    port: u16,
    found: Intercept,
    variable: Var,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    /// This machine looks up the gateway's name.
    Socks5,
    /// The proxy does.
    Socks5h,
}

impl Scheme {
    fn parse(text: &str) -> Option<Scheme> {
        match text {
            "http" => Some(Scheme::Http),
            "socks5" => Some(Scheme::Socks5),
            "socks5h" => Some(Scheme::Socks5h),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Socks5 => "socks5",
            Scheme::Socks5h => "socks5h",
        }
    }
}

/// Why a proxy did not connect, to complete a sentence about it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("cannot be reached: {}", reason(.0))]
    Unreachable(#[source] io::Error),
    #[error("asks for a user and a password: put them into its URL, http://USER:PASSWORD@HOST:PORT")]
    Authentication,
    #[error("refuses the connection (status {0})")]
    Status(u16),
    #[error("refuses the connection (SOCKS reply {0})")]
    Reply(u8),
    #[error("does not answer like a proxy of this kind")]
    Nonsense,
    #[error("does not answer")]
    Silent,
    #[error("broke off: {}", reason(.0))]
    Broken(#[source] io::Error),
}

impl Proxy {
    /// The proxy that the environment names for this gateway: `RUNCODE_PROXY`, else `ALL_PROXY` or `HTTPS_PROXY`; `None` for what
    /// `NO_PROXY` names, and for this machine itself.
    ///
    /// # Errors
    ///
    /// `usage` if `RUNCODE_PROXY` does not name a usable proxy. Other variables may be meant for other programs.
    pub fn to(gateway: &Endpoint, env: &Env) -> Result<Option<Proxy>> {
        let named = Proxy::named(env)?;
        if named.is_none() || is_this_machine(gateway.host.as_str()) {
            return Ok(None);
        }
        let excluded = [Var::NoProxy, Var::NoProxyLower].into_iter().find_map(|var| text(env, var));
        Ok(named.and_then(|(variable, url)| {
            read(variable, &url, &excluded.unwrap_or_default(), gateway.host.as_str())
        }))
    }

    /// The proxy to gateways that the environment names, for any gateway.
    pub fn of_environment(env: &Env) -> Result<Option<Proxy>> {
        Ok(Proxy::named(env)?.and_then(|(variable, url)| read(variable, &url, "", "gateway.example")))
    }

    /// Refuses a `RUNCODE_PROXY` that does not name a proxy.
    pub fn understand(env: &Env) -> Result<()> {
        Proxy::named(env).map(|_| ())
    }

    fn named(env: &Env) -> Result<Option<(Var, String)>> {
        let of = |var: Var| Some((var, text(env, var)?));
        if let Some((var, url)) = of(Var::RuncodeProxy) {
            // Never shown: it may hold a password.
            return match read(var, &url, "", "gateway.example").filter(|_| url.contains("://")) {
                Some(_) => Ok(Some((var, url))),
                None => Err(Error::new(Code::Usage, "RUNCODE_PROXY does not name a usable proxy")
                    .hint("it is http://HOST:PORT, socks5://HOST:PORT or socks5h://HOST:PORT, with USER:PASSWORD@ before the host if needed")),
            };
        }
        Ok(USUAL.into_iter().find_map(of))
    }

    /// Whether the user named it for runcode, and not for every program.
    pub fn is_ours(&self) -> bool {
        self.variable == Var::RuncodeProxy
    }

    /// The proxy without its password, and the variable that names it.
    pub fn shown(&self) -> String {
        let Proxy { scheme, host, port, variable, .. } = self;
        format!("{}://{}:{port} ({})", scheme.word(), foreign::name(host), variable.name())
    }

    /// Fails if nobody listens where the proxy should be.
    pub fn check(&self, patience: Duration) -> Result<()> {
        self.reach(Deadline::after(patience)).map(drop).map_err(|refusal| {
            let what = format!("the proxy {} {refusal}", self.shown());
            let hint =
                format!("start the proxy, or set {} to another one, or unset it", self.variable.name());
            Error::new(Code::Transport, what).source(refusal).hint(hint)
        })
    }

    /// A connection to the gateway, from which nothing has been read, and to which nothing has been written.
    pub(super) fn connect(&self, gateway: &Endpoint, deadline: Deadline) -> Result<TcpStream> {
        let connected = self.try_connect(gateway, deadline);
        connected.map_err(|refusal| {
            let what = format!(
                "cannot reach the gateway {}:{}: the proxy {} {refusal}",
                foreign::name(gateway.host.as_str()),
                gateway.port.number(),
                self.shown()
            );
            Error::new(Code::Transport, what).source(refusal).hint(format!(
                "set {} to a proxy that can connect there, or add the gateway to NO_PROXY",
                self.variable.name()
            ))
        })
    }

    fn reach(&self, deadline: Deadline) -> Result<TcpStream, Refusal> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let addresses =
            (host, self.port).to_socket_addrs().map_err(Refusal::Unreachable)?.collect::<Vec<_>>();
        super::dial::first(&addresses, deadline.remaining(), deadline).map_err(Refusal::Unreachable)
    }

    fn try_connect(&self, gateway: &Endpoint, deadline: Deadline) -> Result<TcpStream, Refusal> {
        let mut talk = Talk { stream: self.reach(deadline)?, deadline };
        match self.scheme {
            Scheme::Http => self.ask_http(&mut talk, gateway)?,
            Scheme::Socks5 | Scheme::Socks5h => self.ask_socks(&mut talk, gateway)?,
        }
        let stream = talk.stream;
        stream
            .set_read_timeout(None)
            .and_then(|()| stream.set_write_timeout(None))
            .map_err(Refusal::Broken)?;
        Ok(stream)
    }

    fn ask_http(&self, talk: &mut Talk, gateway: &Endpoint) -> Result<(), Refusal> {
        let (host, port) = (gateway.host.as_str(), gateway.port.number());
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
        if let Some(auth) = self.found.basic_auth() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(auth.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        talk.say(&request)?;
        match status(&talk.head()?)? {
            200..=299 => Ok(()),
            407 => Err(Refusal::Authentication),
            status => Err(Refusal::Status(status)),
        }
    }

    fn ask_socks(&self, talk: &mut Talk, gateway: &Endpoint) -> Result<(), Refusal> {
        const VERSION: u8 = 5;
        const NONE: u8 = 0;
        const PASSWORD: u8 = 2;
        const CONNECT: u8 = 1;
        let auth = self.found.raw_auth();
        talk.say(match auth {
            Some(_) => &[VERSION, 2, NONE, PASSWORD],
            None => &[VERSION, 1, NONE],
        })?;
        match (talk.hear::<2>()?, auth) {
            ([VERSION, NONE], _) => {}
            ([VERSION, PASSWORD], Some((user, password))) => {
                let mut login = vec![1];
                for part in [user, password] {
                    login.push(u8::try_from(part.len()).map_err(|_| Refusal::Authentication)?);
                    login.extend_from_slice(part.as_bytes());
                }
                talk.say(&login)?;
                if talk.hear::<2>()?[1] != 0 {
                    return Err(Refusal::Authentication);
                }
            }
            ([VERSION, 0xff], _) => return Err(Refusal::Authentication),
            _ => return Err(Refusal::Nonsense),
        }
        let mut request = vec![VERSION, CONNECT, 0];
        request.extend(self.address(gateway)?);
        request.extend(gateway.port.number().to_be_bytes());
        talk.say(&request)?;
        let [version, reply, _, kind] = talk.hear::<4>()?;
        match (version, reply) {
            (VERSION, 0) => {}
            (VERSION, reply) => return Err(Refusal::Reply(reply)),
            _ => return Err(Refusal::Nonsense),
        }
        // The address that it connects from, and its port.
        let length = match kind {
            1 => 4,
            3 => usize::from(talk.hear::<1>()?[0]),
            4 => 16,
            _ => return Err(Refusal::Nonsense),
        };
        talk.hear_exactly(length + 2).map(|_| ())
    }

    /// The gateway's address in SOCKS form.
    fn address(&self, gateway: &Endpoint) -> Result<Vec<u8>, Refusal> {
        let host = gateway.host.as_str();
        let literal = host.parse::<IpAddr>().ok();
        let address = match (literal, self.scheme) {
            (None, Scheme::Socks5) => {
                let found =
                    (host, gateway.port.number()).to_socket_addrs().map_err(Refusal::Unreachable)?.next();
                Some(found.as_ref().map(SocketAddr::ip).ok_or(Refusal::Nonsense)?)
            }
            (literal, _) => literal,
        };
        Ok(match address {
            Some(IpAddr::V4(address)) => [&[1][..], &address.octets()].concat(),
            Some(IpAddr::V6(address)) => [&[4][..], &address.octets()].concat(),
            None => {
                let length = u8::try_from(host.len()).map_err(|_| Refusal::Nonsense)?;
                [&[3, length][..], host.as_bytes()].concat()
            }
        })
    }
}

/// The exchange of bytes with a proxy, before a deadline. Reads nothing after the proxy's answer: that comes from the gateway.
struct Talk {
    stream: TcpStream,
    deadline: Deadline,
}

impl Talk {
    fn say(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let remaining = self.remaining()?;
        self.stream.set_write_timeout(Some(remaining)).map_err(Refusal::Broken)?;
        self.stream.write_all(bytes).map_err(Refusal::Broken)
    }

    fn hear<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        self.hear_exactly(N)?.try_into().map_err(|_| Refusal::Nonsense)
    }

    fn hear_exactly(&mut self, length: usize) -> Result<Vec<u8>, Refusal> {
        let mut bytes = vec![0; length];
        let mut heard = 0;
        while heard < length {
            let remaining = self.remaining()?;
            self.stream.set_read_timeout(Some(remaining)).map_err(Refusal::Broken)?;
            match self.stream.read(bytes.get_mut(heard..).unwrap_or_default()) {
                Ok(0) => return Err(Refusal::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => heard += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(Refusal::Silent);
                }
                Err(error) => return Err(Refusal::Broken(error)),
            }
        }
        Ok(bytes)
    }

    /// The head of an HTTP answer, its empty line included.
    fn head(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
            if head.len() == MAX_ANSWER {
                return Err(Refusal::Nonsense);
            }
            head.extend(self.hear::<1>()?);
        }
        Ok(head)
    }

    fn remaining(&self) -> Result<std::time::Duration, Refusal> {
        let remaining = self.deadline.remaining();
        if remaining.is_zero() { Err(Refusal::Silent) } else { Ok(remaining) }
    }
}

/// The status of an HTTP answer.
fn status(head: &[u8]) -> Result<u16, Refusal> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Refusal::Nonsense)?;
    let mut words = line.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = words.next().filter(|word| word.len() == 3).and_then(|word| word.parse().ok());
    status.filter(|_| is_http).ok_or(Refusal::Nonsense)
}

fn read(variable: Var, url: &str, excluded: &str, host: &str) -> Option<Proxy> {
    let to = Uri::builder().scheme("https").authority(bracketed(host)).path_and_query("/").build().ok()?;
    let found = Matcher::builder().all(url).no(excluded).build().intercept(&to)?;
    let scheme = Scheme::parse(found.uri().scheme_str()?)?;
    let port = match (found.uri().port_u16(), scheme) {
        (Some(port), _) => port,
        (None, Scheme::Http) => 80,
        (None, Scheme::Socks5 | Scheme::Socks5h) => 1080,
    };
    let host = found.uri().host().filter(|host| !host.is_empty())?.to_owned();
    Some(Proxy { scheme, host, port, found, variable })
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Whether this name or address always means this machine, whatever a resolver says (RFC 6761, 6.3).
fn is_this_machine(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    is_address || name == "localhost" || name.ends_with(".localhost")
}

fn text(env: &Env, var: Var) -> Option<String> {
    env.var(var)?.into_string().ok()
}

#[cfg(test)]
#[path = "http_proxy_tests.rs"]
mod tests;
