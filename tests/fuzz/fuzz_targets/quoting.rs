//! Paths for ssh_config and words for shells: read back by the rules of the reader, they are what they were.
#![no_main]
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use runcode::openssh::config;
use runcode::transport::quote;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = config::quoted(Path::new(OsStr::from_bytes(bytes))) {
        assert_eq!(read_by_ssh(&text), bytes);
    }
    if !bytes.contains(&0) {
        let mut word = Vec::new();
        quote::word(&mut word, bytes);
        assert_eq!(read_by_posix(&word), bytes);
    }
});

/// One argument in double quotes, as misc.c's argv_split and then percent_expand read it (OpenSSH 8.7 and later).
fn read_by_ssh(text: &[u8]) -> Vec<u8> {
    assert!(!text.contains(&b'\n') && !text.windows(2).any(|pair| pair == b"${"));
    let inner = text.strip_prefix(b"\"").unwrap().strip_suffix(b"\"").unwrap();
    let (mut read, mut at) = (Vec::new(), 0);
    while at < inner.len() {
        match (inner[at], inner.get(at + 1)) {
            (b'\\', Some(&next @ (b'\\' | b'"' | b'\''))) => {
                read.push(next);
                at += 2;
            }
            (b'"', _) => panic!("the quotes end early"),
            (byte, _) => {
                read.push(byte);
                at += 1;
            }
        }
    }
    let (mut expanded, mut at) = (Vec::new(), 0);
    while at < read.len() {
        if read[at] == b'%' {
            assert_eq!(read.get(at + 1), Some(&b'%'), "a token is expanded");
            at += 1;
        }
        expanded.push(read[at]);
        at += 1;
    }
    expanded
}

/// One word, as POSIX shells read it (XCU 2.2).
fn read_by_posix(word: &[u8]) -> Vec<u8> {
    let (mut read, mut at, mut single) = (Vec::new(), 0, false);
    while at < word.len() {
        match word[at] {
            b'\'' => single = !single,
            b'\\' if !single => {
                at += 1;
                read.push(word[at]);
            }
            byte => {
                assert!(single, "{byte} is not quoted");
                read.push(byte);
            }
        }
        at += 1;
    }
    assert!(!single);
    read
}
