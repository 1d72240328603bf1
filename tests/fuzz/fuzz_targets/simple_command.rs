//! What is accepted as one simple command has nothing outside its quotes and here-documents that makes a shell start another program.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::hooks::simple_command::{self, Redirection};
use runcode::hooks::{gate, guard};

fuzz_target!(|text: &str| {
    for whose in [guard::Whose::Main, guard::Whose::Apart] {
        assert_eq!(guard::take_off(&guard::put_on(text, whose)), (text, whose));
    }
    let _ = simple_command::first_words(text, 2);
    let own = gate::own_command(text, &[]);
    let Some(command) = simple_command::parse(text) else {
        assert_eq!(own, None);
        return;
    };
    assert!(!command.words.is_empty());
    let mut bare = text.as_bytes().to_vec();
    let mut blank = |range: &std::ops::Range<usize>| bare[range.clone()].fill(b' ');
    for redirection in &command.redirections {
        match redirection {
            Redirection::File => {}
            Redirection::Descriptor(range) => blank(range),
            Redirection::Here { opening, body } => {
                blank(opening);
                blank(body);
            }
        }
    }
    let (mut quote, mut at) = (None, 0);
    while let Some(&byte) = bare.get(at) {
        at += 1;
        match (quote, byte) {
            (None | Some(b'"'), b'\\') => at += 1,
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            (Some(b'"'), b'$' | b'`') => panic!("it is expanded"),
            (None, b';' | b'&' | b'|' | b'(' | b')' | b'$' | b'`') => panic!("{} is bare", char::from(byte)),
            (None, b'\n') => assert!(bare[at..].iter().all(u8::is_ascii_whitespace) || bare[..at].iter().all(u8::is_ascii_whitespace)),
            _ => {}
        }
    }
    assert_eq!(quote, None);
});
