#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use proptest::prelude::*;

use super::*;

fn body(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn requests_have_the_protocols_layout() {
    assert_eq!(hello(), body(&[8, HELLO, 4]));
    assert_eq!(alive_check(), body(&[8, ALIVE_CHECK, 0]));
    let session = new_session(b"true", None, false, None);
    assert_eq!(session[4..12], body(&[NEW_SESSION, 0])[..]);
    assert_eq!(session[12..36], body(&[0, 0, 0, 0, 0, NO_ESCAPE])[..]);
    assert_eq!(session[36..], [&body(&[0, 4])[..], b"true"].concat());
    let session = new_session(b"true", Some("A=b"), true, None);
    assert_eq!(session[12..36], body(&[0, 0, 0, 1, 0, NO_ESCAPE])[..]);
    assert_eq!(session[36..], [&body(&[0, 4])[..], b"true", &body(&[3]), b"A=b"].concat());
    let request = ForwardRequest {
        kind: LISTEN_HERE,
        listen_host: "::1",
        listen_port: 80,
        connect_host: "h",
        connect_port: 81,
    };
    let open = forward(true, &request);
    let expected =
        [&body(&[OPEN_FORWARD, 0, 1, 3])[..], b"::1", &body(&[80, 1]), b"h", &body(&[81])].concat();
    assert_eq!(open[4..], expected);
    assert_eq!(forward(false, &request)[4..8], body(&[CLOSE_FORWARD])[..]);
}

#[test]
fn replies() {
    let words = [&body(&[FAILURE, 0, 2])[..], b"no"].concat();
    for (bytes, expected) in [
        (body(&[HELLO, 4]), Some(Reply::Hello(4))),
        (body(&[HELLO, 4, 1, 2, 3]), Some(Reply::Hello(4))),
        (body(&[OK, 0]), Some(Reply::Ok)),
        (body(&[OK, 1]), None), // an answer to nothing that was asked
        (body(&[ALIVE, 0, 77]), Some(Reply::Alive(77))),
        (body(&[SESSION_OPENED, 0, 3]), Some(Reply::SessionOpened(3))),
        (body(&[EXIT_MESSAGE, 3, 255]), Some(Reply::Exit { session: 3, status: 255 })),
        (body(&[TTY_ALLOC_FAIL, 3]), Some(Reply::NoTerminal)),
        (body(&[REMOTE_PORT, 0, 8080]), Some(Reply::RemotePort(8080))),
        (words, Some(Reply::Refused("no".to_owned()))),
        (body(&[PERMISSION_DENIED, 0]), Some(Reply::Refused(String::new()))),
        (body(&[FAILURE, 0, u32::MAX]), Some(Reply::Refused(String::new()))),
        (body(&[SESSION_OPENED, 0]), None),
        (body(&[0x1234, 0]), None),
        (body(&[HELLO]), None),
        (Vec::new(), None),
    ] {
        assert_eq!(reply(&bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn packets_are_taken_whole_and_never_too_long() {
    let packet = alive_check();
    for end in 0..packet.len() {
        assert_eq!(split(&packet[..end]), Ok(None));
    }
    let two = [packet.clone(), hello()].concat();
    assert_eq!(split(&two), Ok(Some((&packet[4..], packet.len()))));
    assert_eq!(split(&body(&[u32::MAX, 0])), Err(TooLong));
    assert_eq!(split(b"HTTP/1.1 200 OK"), Err(TooLong));
    assert_eq!(split(&[0; 4]), Ok(Some((&[][..], 4))));
}

proptest! {
    #[test]
    fn nonsense_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = reply(&bytes);
        if let Ok(Some((body, length))) = split(&bytes) {
            prop_assert_eq!(body.len() + 4, length);
            prop_assert!(length <= bytes.len());
        }
    }
}
