//! Commands of ours that a routed project's agent runs on this machine: which of them the user is asked about.

use crate::app::App;
use crate::commands::hook::{programs, routed};
use crate::error::{Error, Result};
use crate::hooks::asked;
use crate::hooks::gate::{self, Answer, ToolCall};
use crate::hooks::own_verbs::{self, Effect};
use crate::session::attachment::Attachment;
use crate::session::resolve::known_here;

/// Whether this command belongs on this machine: it is harmless, or the user was asked about it.
pub(super) fn is_for_here(text: &str, app: &App) -> Result<bool> {
    let (command, word) = asked::take_off(text);
    let effect = gate::own_command(command, &programs(app)).map(|own| own_verbs::effect(&own));
    Ok(match effect {
        Some(Effect::Harmless) if !is_another_named(app)? => true,
        Some(Effect::Harmless | Effect::Asked(_)) => match word {
            Some(word) => app.attachments()?.take_asked(word, command)?,
            None => false,
        },
        _ => false,
    })
}

/// Whether a variable names a workspace other than the one that this project is routed to.
fn is_another_named(app: &App) -> Result<bool> {
    let Some(named) = app.named(None) else { return Ok(false) };
    let folder = std::env::current_dir().map_err(|error| Error::io("find the current folder", error))?;
    let routed = routed(&folder, None, app)?;
    Ok(routed.is_none_or(|routed| !names(&routed, app).contains(&named.words)))
}

/// The names that mean this workspace and no other.
pub(super) fn names(attachment: &Attachment, app: &App) -> Vec<String> {
    let leads_there = |title: &String| {
        app.sessions()
            .and_then(|sessions| known_here(title, &sessions))
            .is_ok_and(|key| key.as_ref() == Some(&attachment.key))
    };
    let title = attachment.title.as_ref().map(ToString::to_string).filter(leads_there);
    [attachment.key.words()].into_iter().chain(title).collect()
}

/// A command that the user is asked about gets a word by which the road recognizes it.
pub(super) fn with_word(answer: Answer, call: &ToolCall, session: Option<&str>, app: &App) -> Result<Answer> {
    let text = call.tool_input.get("command").and_then(serde_json::Value::as_str);
    match (answer, text) {
        (Answer::Ask(why, None), Some(text)) => {
            let mut input = call.tool_input.clone();
            let word = app.attachments()?.ask(session.unwrap_or_default(), text)?;
            input.insert("command".to_owned(), asked::put_on(text, &word).into());
            Ok(Answer::Ask(why, Some(input)))
        }
        (answer, _) => Ok(answer),
    }
}
