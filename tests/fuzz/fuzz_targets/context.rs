//! What a workspace says of itself: nothing without the mark counts, nothing steers a terminal, nothing grows without end.
#![no_main]
use libfuzzer_sys::fuzz_target;
use runcode::output::sanitize::{MAX_CHARS, is_steering};
use runcode::remote::context::Context;

fuzz_target!(|text: &str| {
    if !text.contains("MARK") {
        assert_eq!(Context::parse(text, "MARK"), None);
    }
    let marked = text.lines().map(|line| format!("MARK {line}\n")).collect::<String>() + "MARK end \n";
    for answer in [text, &marked] {
        let Some(context) = Context::parse(answer, "MARK") else { continue };
        let git = context.git.into_iter().flat_map(|git| [git.branch, git.remote, git.head]);
        let strings = [
            context.os,
            context.arch,
            context.kernel,
            context.distro,
            context.user,
            context.shell,
            context.container,
        ]
        .into_iter()
        .chain(git)
        .chain([Some(context.cwd)])
        .flatten()
        .chain(context.markers)
        .chain(context.tools.into_iter().flat_map(|(name, version)| [Some(name), version]).flatten());
        for shown in strings {
            assert!(shown.chars().count() <= MAX_CHARS + 16 || answer.len() > MAX_CHARS, "{shown}");
            assert!(!shown.chars().any(is_steering), "{shown:?}");
        }
    }
});
