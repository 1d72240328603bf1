#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use super::*;

const OWN: &str = "debug1: Local version string SSH-2.0-x\r\n";
const KEY: &str = "debug1: Server host key: ssh-ed25519 SHA256:own\r\n";
const SENT: &str = "debug1: SSH2_MSG_NEWKEYS sent\r\n";

/// `LogVerbose` of the user's puts what a server says into a log of any level.
#[test]
fn lines_from_ssh_sources_prove_nothing() {
    let log = "debug1: packet.c:1860 in ssh_packet_read_poll_seqnr(): Remote: x\r\nHost key verification failed.\r\n";
    let told = Told::by(log);
    assert!(told.is_unclear() && !told.is_host_key_unknown() && !told.is_host_key_changed());
}

#[test]
fn a_user_id_without_a_name_is_told() {
    let error = without_user("No user exists for uid 54321\r\n").unwrap();
    assert!(error.message().contains("user id 54321 ") && error.next_step().is_some());
    for other in ["", "No user exists for uid x", "me@h: No user exists for uid 1"] {
        assert!(without_user(other).is_none(), "{other}");
    }
}

#[test]
fn people_get_the_words_meant_for_them() {
    let log = "OpenSSH_9.2p1\ndebug1: x\r\nssh: connect to host a port 1: Connection refused\r\n\n";
    assert_eq!(telling(log), "ssh says: \"ssh: connect to host a port 1: Connection refused\"");
    assert_eq!(telling("debug1: x\n\n"), "ssh ended without a message");
    let let_in = "Authenticated to h ([::1]:22) using \"none\".\nReceived disconnect from h: run evil\n";
    assert_eq!(telling(let_in), "ssh ended without a message");
    let banner = format!("{OWN}{SENT}socket: Operation not permitted\nConnection closed by h port 1\r\n");
    assert!(telling(&banner).starts_with("ssh, or the host through it, says: \""));
    let id = format!("{OWN}{CERTIFICATE}x SHA256:own, serial 0 ID \"\nsocket: Operation not permitted\r\n");
    assert!(telling(&id).starts_with("ssh, or the host through it, says: \""));
}

/// A line that the server can have written never counts as ssh's, before or after verification.
#[test]
fn nothing_counts_after_the_servers_words() {
    const FORGED: [&str; 7] = [
        "debug1: Server host key: ssh-ed25519 SHA256:forged",
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
        "Host key verification failed.",
        "No ED25519 host key is known for h and you have requested strict checking.",
        "socket: Operation not permitted",
        "debug1: SSH2_MSG_NEWKEYS sent\r\nme@h: Permission denied (password).",
        "Received disconnect from h port 1:2: Too many authentication failures",
    ];
    for opening in [
        "debug1: Server host certificate: x SHA256:own, serial 0 ID \"a",
        "debug1: Remote: bye",
        "debug1: a line of another version: bye",
        "Received disconnect from h port 1:2: bye",
        "Unable to negotiate with h port 1: no matching cipher found. Their offer: bye",
        "GSSAPI Error: ",
    ] {
        for forged in FORGED {
            let log = format!("{OWN}{opening}\n{forged}\r\nConnection closed by h port 1\r\n");
            let told = Told::by(&log);
            assert!(!told.is_host_key_changed() && !told.is_host_key_unknown(), "{log}");
            assert!(told.denied().is_none() && !told.is_over_many_keys() && !told.is_forbidden(), "{log}");
            assert!(!told.fingerprint().is_some_and(|shown| shown.ends_with("forged")), "{log}");
            assert_eq!(told.is_unclear(), opening.starts_with("debug1: "), "{log}");
        }
    }
    for forged in FORGED.iter().filter(|forged| !forged.contains("denied") && !forged.contains("Too many")) {
        let log = format!("{OWN}{KEY}{SENT}{forged}\r\nme@h: Permission denied (publickey).");
        let told = Told::by(&log);
        assert!(!told.is_host_key_changed() && !told.is_host_key_unknown() && !told.is_forbidden());
        assert_eq!((told.denied(), told.fingerprint()), (Some("publickey"), Some("SHA256:own")), "{log}");
    }
}

/// Words of the server's inside one of ssh's lines do not change what that line means.
#[test]
fn words_inside_a_line_are_not_its_form() {
    for words in ["REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed.", "timed out"] {
        for line in [
            format!("debug1: Remote protocol version 2.0, remote software version {words}"),
            format!("debug1: compat_banner: no match: {words}"),
            format!("debug1: match: {words} pat x compat 0x0"),
            format!("debug1: kex_exchange_identification: banner line 0: {words}"),
            format!("Bad remote protocol version identification: '{words}'"),
        ] {
            let log = format!("{OWN}{line}\r\nConnection closed by h port 1\r\n");
            let told = Told::by(&log);
            assert!(!told.is_host_key_changed() && !told.is_host_key_unknown(), "{line}");
            assert!(!told.has_timed_out() && !told.is_unclear(), "{line}");
        }
        let proxy = format!("debug1: Executing proxy command: exec echo \"{words}\"");
        let told = Told::by(&proxy);
        assert!(!told.is_host_key_changed() && !told.is_host_key_unknown() && !told.has_timed_out());
    }
}

#[test]
fn the_lines_of_a_common_login_are_known() {
    let log = include_str!("told_login.txt");
    let told = Told::by(log);
    assert!(!told.is_unclear() && told.denied() == Some("publickey"), "{told:?}");
    assert!(told.fingerprint().is_some_and(|shown| shown.starts_with("SHA256:")));
}
