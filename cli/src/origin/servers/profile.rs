//! `[profiles.NAME]`: read into the types that check a caller's values.

use std::time::Duration;

use runcode_policy::{Argument, Kind, MAX_ARGUMENTS, Profile, Rules, Words, is_argument_name};

use crate::origin::servers::reader::Section;
use crate::output::sanitize::is_steering;

/// Reads a profile; whatever is wrong is noted.
pub(super) fn read_profile(mut section: Section<'_>) -> Option<Profile> {
    let description = section.parsed("description", |text| {
        let is_shown = text.chars().count() <= 256 && !text.chars().any(is_steering);
        is_shown
            .then(|| text.to_owned())
            .ok_or("is longer than 256 characters, or has one that does not show itself")
    });
    let words = words(&mut section);
    let mut rules = Rules {
        description,
        requires_approval: section.flag("requires_approval") == Some(true),
        stdin: section.flag("stdin") == Some(true),
        timeout: section.number("timeout_seconds", 1..=86400).map(Duration::from_secs),
        ..Rules::default()
    };
    for (name, argument) in section.named("args", MAX_ARGUMENTS, is_argument) {
        rules.arguments.insert(name, read_argument(argument));
    }
    let profile = words.and_then(|words| {
        let profile = Profile::new(words, rules);
        profile
            .map_err(|mistake| match mistake.argument {
                Some(name) => {
                    section.note("args", format_args!("has the argument `{name}`, which {}", mistake.why));
                }
                None => section.complain(mistake.why),
            })
            .ok()
    });
    section.finish();
    profile
}

/// The command, which is written in one of two forms.
fn words(section: &mut Section<'_>) -> Option<Words> {
    if section.has("template") == section.has("argv") {
        section.note("template", "or argv has to be there, and not both");
    }
    let template = section.parsed("template", Words::template);
    let argv = section.texts("argv").and_then(|elements| {
        let words = Words::argv(elements.into_iter().map(|element| element.value));
        words.map_err(|why| section.note("argv", why)).ok()
    });
    template.or(argv)
}

fn read_argument(mut section: Section<'_>) -> Argument {
    let mut argument = Argument::default();
    let kind = section.parsed("type", |word| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or("is not \"text\", \"word\", \"path\", \"int\" or \"time\"")
    });
    argument.kind = kind.unwrap_or_default();
    if let Some(choices) = section.texts("choices") {
        if !(1..=1000).contains(&choices.len()) {
            section.note("choices", "does not have 1 to 1000 values");
        }
        argument.choices = choices.into_iter().map(|choice| choice.value.to_owned()).collect();
    }
    section.parsed("pattern", |pattern| argument.set_pattern(pattern));
    if let Some(max) = section.number("max", 1..=65536) {
        argument.max = usize::try_from(max).unwrap_or(argument.max);
    }
    argument.default = section.text("default").map(|text| text.value.to_owned());
    argument.secret = section.flag("secret") == Some(true);
    argument.dash = section.flag("dash") == Some(true);
    section.finish();
    argument
}

fn is_argument(name: &str) -> Result<(), &'static str> {
    is_argument_name(name)
        .then_some(())
        .ok_or("is not 1 to 64 of a-z, 0-9, `_` and `-`, beginning with a letter")
}
