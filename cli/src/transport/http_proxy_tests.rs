#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]

use std::net::TcpListener;
use std::time::Duration;

use super::*;

fn gateway(host: &str) -> Endpoint {
    serde_json::from_str(&format!(r#"{{"host":"{host}","port":2222,"user":"me"}}"#)).unwrap()
}

fn shown(host: &str, variables: &[(Var, &str)]) -> Option<String> {
    Proxy::to(&gateway(host), &Env::fixed(variables.iter().copied())).unwrap().map(|proxy| proxy.shown())
}

#[test]
fn a_proxy_is_named_by_variables() {
    use Var::{AllProxy, HttpsProxy, HttpsProxyLower, NoProxy, RuncodeProxy};
    let ours = (RuncodeProxy, "socks5h://me:hunter2@proxy.example");
    assert_eq!(shown("gw.example", &[]), None);
    assert_eq!(
        shown("gw.example", &[ours, (AllProxy, "http://other:1")]).unwrap(),
        "socks5h://proxy.example:1080 (RUNCODE_PROXY)"
    );
    let usual = [(HttpsProxyLower, "http://low:2"), (HttpsProxy, "http://up:1")];
    assert_eq!(shown("gw.example", &usual).unwrap(), "http://up:1 (HTTPS_PROXY)");
    for own in ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", "a.localhost"] {
        assert_eq!(shown(own, &[ours]), None, "{own}");
    }
    for excluded in ["gw.example", ".example", "*", "other, gw.example"] {
        assert_eq!(shown("gw.example", &[ours, (NoProxy, excluded)]), None, "{excluded}");
    }
    assert_eq!(shown("10.1.2.3", &[ours, (NoProxy, "10.0.0.0/8")]), None);
    assert!(shown("notgw.example", &[ours, (NoProxy, "gw.example")]).is_some());
    // Meant for other programs.
    assert_eq!(shown("gw.example", &[(AllProxy, "https://proxy.example")]), None);
}

#[test]
fn a_wrong_proxy_of_ours_is_an_error() {
    for bad in [
        "https://proxy.example",
        "socks4://proxy.example",
        "ftp://p",
        "http://",
        "http:// p",
        "::::",
        "garbage",
        "proxy.example:3128",
    ] {
        let error = Proxy::understand(&Env::fixed([(Var::RuncodeProxy, bad)])).unwrap_err();
        assert_eq!(error.code(), Code::Usage, "{bad}");
    }
    let error = Proxy::understand(&Env::fixed([(Var::RuncodeProxy, "https://me:hunter2@p")])).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

/// The result of a `script`: a proxy that expects these bytes and answers them.
fn talk(scheme: &str, script: Vec<(&'static [u8], &'static [u8])>) -> Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}{}", listener.local_addr().unwrap());
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for (expected, answer) in script {
            let mut heard = vec![0; expected.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(expected));
            stream.write_all(answer).unwrap();
        }
    });
    let env = Env::fixed([(Var::RuncodeProxy, url)]);
    let found = Proxy::to(&gateway("gw.example"), &env).unwrap().unwrap();
    let connected = found.connect(&gateway("gw.example"), Deadline::after(Duration::from_secs(10)));
    let said = connected.map(|mut stream| {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        said
    });
    proxy.join().unwrap();
    said
}

const CONNECT: &[u8] = b"CONNECT gw.example:2222 HTTP/1.1\r\nHost: gw.example:2222\r\n\r\n";

#[test]
fn what_the_gateway_says_first_is_not_lost() {
    let said = talk("http://", vec![(CONNECT, b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nSSH-2.0-gw\r\n")]);
    assert_eq!(said.unwrap(), b"SSH-2.0-gw\r\n");
    let request = b"\x05\x01\x00\x03\x0agw.example\x08\xae";
    for bound in [&b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01SSH"[..], b"\x05\x00\x00\x03\x01a\x00\x01SSH"] {
        let said = talk("socks5h://", vec![(b"\x05\x01\x00", b"\x05\x00"), (request, bound)]);
        assert_eq!(said.unwrap(), b"SSH");
    }
}

#[test]
fn a_proxy_is_told_user_and_password() {
    let request = b"CONNECT gw.example:2222 HTTP/1.1\r\nHost: gw.example:2222\r\nProxy-Authorization: Basic bWU6cEB3\r\n\r\n";
    assert!(talk("http://me:p%40w@", vec![(request, b"HTTP/1.0 200 \r\n\r\n")]).is_ok());
    let script = vec![
        (&b"\x05\x02\x00\x02"[..], &b"\x05\x02"[..]),
        (b"\x01\x02me\x03p@w", b"\x01\x00"),
        (b"\x05\x01\x00\x03\x0agw.example\x08\xae", b"\x05\x00\x00\x01\0\0\0\0\0\0"),
    ];
    assert!(talk("socks5h://me:p%40w@", script).is_ok());
}

#[test]
fn a_refusal_says_what_to_do() {
    let refused = |scheme: &str, script| talk(scheme, script).unwrap_err().message().to_owned();
    for (answer, says) in [
        (&b"HTTP/1.1 403 \x1b[31mNo\r\n\r\n"[..], "(status 403)"),
        (b"HTTP/1.1 407 Auth\r\n\r\n", "asks for a user"),
        (b"SSH-2.0-x\r\n\r\n", "does not answer like a proxy"),
        (b"HTTP/1.1 20", "broke off"),
        (b"HTTP/1.1 99999 x\r\n\r\n", "does not answer"),
    ] {
        let said = refused("http://", vec![(CONNECT, answer)]);
        assert!(said.contains(says) && said.contains("RUNCODE_PROXY") && !said.contains('\x1b'), "{said}");
    }
    for (answer, says) in [(&b"\x05\xff"[..], "asks for a user"), (b"HT", "does not answer")] {
        assert!(refused("socks5h://", vec![(b"\x05\x01\x00", answer)]).contains(says));
    }
    let request = b"\x05\x01\x00\x03\x0agw.example\x08\xae";
    let said = refused("socks5h://", vec![(b"\x05\x01\x00", b"\x05\x00"), (request, b"\x05\x02\x00\x01")]);
    assert!(said.contains("(SOCKS reply 2)"), "{said}");
}

#[test]
fn an_endless_answer_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let env = Env::fixed([(Var::RuncodeProxy, format!("http://{}", listener.local_addr().unwrap()))]);
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let found = Proxy::to(&gateway("gw.example"), &env).unwrap().unwrap();
    let error = found.connect(&gateway("gw.example"), Deadline::after(Duration::from_secs(10))).unwrap_err();
    assert!(error.message().contains("does not answer like a proxy"), "{}", error.message());
    proxy.join().unwrap();
}
