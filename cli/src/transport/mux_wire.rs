//! The messages of OpenSSH's multiplexing protocol (PROTOCOL.mux, version 4), as pure functions over bytes.
//!
//! A packet is a 32-bit length and that many bytes; integers are big-endian, strings carry a 32-bit length. Whatever
//! listens on the socket is not trusted: nothing here panics, allocates by a length that came in, or reads past an end.

/// The largest packet that is read. A master's own are tens of bytes, and its error messages are short.
pub const MAX_PACKET: usize = 64 * 1024;

/// The protocol's version.
const VERSION: u32 = 4;

const HELLO: u32 = 0x0000_0001;
const NEW_SESSION: u32 = 0x1000_0002;
const ALIVE_CHECK: u32 = 0x1000_0004;
const TERMINATE: u32 = 0x1000_0005;
const STOP_LISTENING: u32 = 0x1000_0009;
const OPEN_FORWARD: u32 = 0x1000_0006;
const CLOSE_FORWARD: u32 = 0x1000_0007;

const OK: u32 = 0x8000_0001;
const PERMISSION_DENIED: u32 = 0x8000_0002;
const FAILURE: u32 = 0x8000_0003;
const EXIT_MESSAGE: u32 = 0x8000_0004;
const ALIVE: u32 = 0x8000_0005;
const SESSION_OPENED: u32 = 0x8000_0006;
const REMOTE_PORT: u32 = 0x8000_0007;
const TTY_ALLOC_FAIL: u32 = 0x8000_0008;

/// No escape character: input passes untouched.
const NO_ESCAPE: u32 = 0xffff_ffff;

/// A forward for which this machine listens.
pub const LISTEN_HERE: u32 = 1;
/// A forward for which the workspace listens.
pub const LISTEN_THERE: u32 = 2;

/// The request number of the one request that a connection makes.
pub const REQUEST: u32 = 0;

/// A port forward as the protocol has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardRequest<'a> {
    /// [`LISTEN_HERE`] or [`LISTEN_THERE`].
    pub kind: u32,
    /// The address to listen on.
    pub listen_host: &'a str,
    /// The port to listen on.
    pub listen_port: u16,
    /// Where connections go, as seen from the other side.
    pub connect_host: &'a str,
    /// The port there.
    pub connect_port: u16,
}

/// What we say. Each is written as one whole packet.
pub fn hello() -> Vec<u8> {
    packet(|body| {
        u32_into(body, HELLO);
        u32_into(body, VERSION);
    })
}

/// Asks for the master's process id.
pub fn alive_check() -> Vec<u8> {
    request(ALIVE_CHECK, |_| {})
}

/// Tells the master to end, and every session over it.
pub fn terminate() -> Vec<u8> {
    request(TERMINATE, |_| {})
}

/// Tells the master to take no more requests, and to end when what runs over it has ended.
pub fn stop_listening() -> Vec<u8> {
    request(STOP_LISTENING, |_| {})
}

/// Asks for a session that runs `command`, on a terminal of the type `terminal` if there is one, and with a variable
/// (`NAME=VALUE`) in its environment; three descriptors follow. `with_agent`: the user's agent goes along where the master's own config says so
/// (`ForwardAgent`), which is for the master to decide.
pub fn new_session(
    command: &[u8],
    variable: Option<&str>,
    with_agent: bool,
    terminal: Option<&str>,
) -> Vec<u8> {
    request(NEW_SESSION, |body| {
        string_into(body, b""); // reserved
        for flag in [terminal.is_some().into(), 0, with_agent.into(), 0, NO_ESCAPE] {
            u32_into(body, flag); // terminal, X11, agent, subsystem, escape character
        }
        string_into(body, terminal.unwrap_or_default().as_bytes()); // TERM
        string_into(body, command);
        if let Some(variable) = variable {
            string_into(body, variable.as_bytes());
        }
    })
}

/// Opens a port forward, or closes it.
pub fn forward(open: bool, forward: &ForwardRequest<'_>) -> Vec<u8> {
    request(if open { OPEN_FORWARD } else { CLOSE_FORWARD }, |body| {
        u32_into(body, forward.kind);
        string_into(body, forward.listen_host.as_bytes());
        u32_into(body, forward.listen_port.into());
        string_into(body, forward.connect_host.as_bytes());
        u32_into(body, forward.connect_port.into());
    })
}

/// What the master says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It speaks this version.
    Hello(u32),
    /// Done.
    Ok,
    /// It may not, or cannot; why, in its words.
    Refused(String),
    /// The master's process id.
    Alive(u32),
    /// The session is open, under this number, and the command has been asked for.
    SessionOpened(u32),
    /// The command of this session ended with this status.
    Exit {
        /// The session.
        session: u32,
        /// The status.
        status: u32,
    },
    /// The workspace listens on this port.
    RemotePort(u32),
    /// No terminal for the session; we never ask for one.
    NoTerminal,
}

/// Reads one packet's body; `None` when it is not one that a master sends to us.
pub fn reply(body: &[u8]) -> Option<Reply> {
    let mut rest = body;
    let kind = u32_from(&mut rest)?;
    if kind == HELLO {
        return Some(Reply::Hello(u32_from(&mut rest)?)); // extensions may follow; none are known
    }
    let number = u32_from(&mut rest)?; // of the request, or of the session
    let is_ours = number == REQUEST;
    Some(match kind {
        OK if is_ours => Reply::Ok,
        PERMISSION_DENIED | FAILURE if is_ours => {
            let words = string_from(&mut rest).unwrap_or_default();
            Reply::Refused(String::from_utf8_lossy(words).into_owned())
        }
        ALIVE if is_ours => Reply::Alive(u32_from(&mut rest)?),
        SESSION_OPENED if is_ours => Reply::SessionOpened(u32_from(&mut rest)?),
        REMOTE_PORT if is_ours => Reply::RemotePort(u32_from(&mut rest)?),
        EXIT_MESSAGE => Reply::Exit { session: number, status: u32_from(&mut rest)? },
        TTY_ALLOC_FAIL => Reply::NoTerminal,
        _ => return None,
    })
}

/// Whether a session was refused because the connection has as many as the server allows (`MaxSessions`).
pub fn is_full(words: &str) -> bool {
    words == "Session open refused by peer"
}

/// The first whole packet's body at the start of `buffer`: how many bytes the packet takes, once all are there.
pub fn split(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, TooLong> {
    let mut rest = buffer;
    let Some(length) = u32_from(&mut rest) else { return Ok(None) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_PACKET {
        return Err(TooLong);
    }
    Ok(rest.get(..length).map(|body| (body, length + 4)))
}

/// A length that no master sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

fn request(kind: u32, rest: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    packet(|body| {
        u32_into(body, kind);
        u32_into(body, REQUEST);
        rest(body);
    })
}

fn packet(body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    body(&mut bytes);
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX); // commands are far shorter
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn u32_into(body: &mut Vec<u8>, number: u32) {
    body.extend_from_slice(&number.to_be_bytes());
}

fn string_into(body: &mut Vec<u8>, bytes: &[u8]) {
    u32_into(body, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(bytes);
}

fn u32_from(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

fn string_from<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32_from(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
#[path = "mux_wire_tests.rs"]
mod tests;
