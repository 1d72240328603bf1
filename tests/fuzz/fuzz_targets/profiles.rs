//! Profiles: what is accepted renders to words that `sh` reads as they were meant, with every value in its place.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode_policy::{Argument, MAX_RENDERED, Profile, Rules, Words};

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let (form, pattern, value) =
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let elements = lines.collect::<Vec<_>>();
    let words = match elements.is_empty() {
        true => Words::template(form),
        false => Words::argv(elements.iter().copied()),
    };
    let Ok(words) = words else { return };
    let _ = words.shown();
    let mut argument = Argument::default();
    argument.dash = form.starts_with('-');
    let _ = argument.set_pattern(pattern);
    let names = words.arguments().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let arguments = names.iter().map(|name| (name.clone(), argument.clone())).collect();
    let Ok(profile) = Profile::new(words, Rules { arguments, ..Rules::default() }) else { return };
    let _ = profile.warning();
    let Ok(call) = profile.call(names.iter().map(|name| (name.clone(), value.to_owned()))) else { return };
    assert!(call.rendered().len() <= MAX_RENDERED && !call.one_line().contains(['\n', '\0']));
    let filled = |word: &str| {
        names.iter().fold(word.to_owned(), |word, name| word.replace(&format!("{{{{{name}}}}}"), "\u{1}")).replace('\u{1}', value)
    };
    let expected = match elements.is_empty() {
        true => form.split([' ', '\t']).filter(|word| !word.is_empty()).map(filled).collect::<Vec<_>>(),
        false => elements.iter().map(|word| filled(word)).collect(),
    };
    let read = read(call.rendered());
    assert_eq!(read, expected);
    let is_over = |at: usize| expected[..at].iter().skip(1).any(|word| word == "--");
    for (at, word) in expected.iter().enumerate().filter(|(at, _)| !is_over(*at)) {
        let written = elements.get(at).copied().or(form.split([' ', '\t']).filter(|it| !it.is_empty()).nth(at)).unwrap();
        assert!(argument.dash || !written.starts_with("{{") || !word.starts_with('-'), "{word}");
    }
});

/// The words that `sh` reads: bare ones of harmless characters, and `'…'`, with `\'` between.
fn read(text: &str) -> Vec<String> {
    let (mut words, mut word, mut chars) = (Vec::new(), String::new(), text.chars());
    while let Some(next) = chars.next() {
        match next {
            ' ' => words.push(std::mem::take(&mut word)),
            '\'' => word.extend(chars.by_ref().take_while(|c| *c != '\'')),
            '\\' => assert_eq!(chars.next().inspect(|c| word.push(*c)), Some('\'')),
            plain => {
                assert!(plain.is_ascii_alphanumeric() || "_./:=@+,%-".contains(plain), "{plain:?} stands bare");
                word.push(plain);
            }
        }
    }
    words.push(word);
    words
}
