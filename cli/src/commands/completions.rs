//! `runcode completions`, and the answers that its scripts ask for.

mod line;
mod offers;

use std::ffi::OsString;
use std::path::Path;

use clap::ValueHint;
use clap::{Command, CommandFactory as _};
use clap_complete::engine::{self, ArgValueCandidates, ArgValueCompleter};

use crate::app::App;
use crate::args::Cli;
use crate::error::Result;
use crate::output::report::Outcome;
use crate::sys::env::{Env, Var};

use line::Line;
use offers::Offer;

/// Print a completion script for your shell.
///
/// It completes verbs, options, local files, your servers, the workspaces that have a session on this machine, and the
/// hosts in your ssh config.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bash        echo 'source <(runcode completions bash)' >> ~/.bashrc
  zsh         echo 'source <(runcode completions zsh)' >> ~/.zshrc
  fish        runcode completions fish > ~/.config/fish/completions/runcode.fish
  PowerShell  runcode completions powershell | Out-String | Invoke-Expression")]
pub struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell", alias = "pwsh")]
    Pwsh,
    Elvish,
}

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Shell::Bash => include_str!("completions/bash.sh"),
            Shell::Zsh => include_str!("completions/zsh.zsh"),
            Shell::Fish => include_str!("completions/fish.fish"),
            Shell::Pwsh => include_str!("completions/powershell.ps1"),
            Shell::Elvish => include_str!("completions/elvish.elv"),
        }
    }
}

/// The script: it asks this program for each answer.
pub fn run(args: Args, _app: &App) -> Result<Outcome> {
    let parser = Cli::command();
    let verbs = parser.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name);
    let verbs = verbs.collect::<Vec<_>>().join(" ");
    Ok(Outcome::Raw(format!("{}# The verbs: {verbs}\n", args.shell.script()).into_bytes()))
}

/// What a completion script asks for: `runcode -- <what is typed>`, with the shell's name in `RUNCODE_COMPLETE`.
/// `None` for anything else: a project's settings can set the variable, and no command must end as if it had succeeded.
///
/// bash gives the line up to the cursor and the part of it that it will replace, and inserts an answer as it is. The others
/// give words and quote an answer themselves (PowerShell: it comes quoted); file names they find themselves, so that no name
/// of a file passes through here.
pub fn answer(env: &Env, given: Vec<OsString>) -> Option<Vec<u8>> {
    let shell = env.var(Var::RuncodeComplete)?.into_string().ok()?;
    let shell = <Shell as clap::ValueEnum>::from_str(&shell, false).ok()?;
    let mut given = given.into_iter().skip(1);
    given.next().filter(|first| first == "--")?;
    let given = given.map(OsString::into_string).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    called(shell, given.first()?).filter(|name| Path::new(name).file_stem() == Some("runcode".as_ref()))?;
    let lines = match shell {
        Shell::Bash => for_bash(env, &given),
        _ => for_others(shell, given),
    };
    Some(lines.unwrap_or_default().into_iter().flat_map(|line| format!("{line}\n").into_bytes()).collect())
}

/// The name that the program is called by, from the first word that a script gives.
fn called(shell: Shell, first: &str) -> Option<String> {
    match shell {
        Shell::Bash => Line::of_bash(first)?.words().into_iter().next(),
        Shell::Pwsh => first.strip_prefix(':').map(str::to_owned),
        _ => Some(first.to_owned()),
    }
}

fn for_bash(env: &Env, given: &[String]) -> Option<Vec<String>> {
    let [typed, replaced] = given else { return None };
    let line = Line::of_bash(typed)?;
    let home = if line.has_tilde() { crate::sys::paths::home(env).ok() } else { None };
    let files = move |word: &str| offers::files(word, home.as_deref());
    let offers = offers(line.words(), files)?;
    let is_only = offers.len() == 1;
    Some(offers.iter().filter_map(|offer| line.finished(offer, replaced, is_only)).collect())
}

fn for_others(shell: Shell, mut words: Vec<String>) -> Option<Vec<String>> {
    if let Shell::Pwsh = shell {
        words = words.iter().map(|word| word.strip_prefix(':').map(str::to_owned)).collect::<Option<_>>()?;
    }
    let current = words.pop()?;
    words.push(match shell {
        Shell::Fish => line::word_of_fish(&current)?,
        Shell::Pwsh => line::word_of_powershell(&current)?,
        _ => current,
    });
    let offers =
        offers(words, |word| if word.starts_with('-') { vec![] } else { vec![Offer::of_the_shell()] })?;
    let told = |offer: &Offer| match shell {
        _ if offer.is_of_the_shell() => (!matches!(shell, Shell::Pwsh)).then(|| "\tfiles".to_owned()),
        Shell::Pwsh => {
            Some(format!("{}\t{}\t{}", line::quoted_for_powershell(&offer.word)?, offer.word, offer.help))
        }
        Shell::Elvish => Some(offer.word.clone()),
        _ => Some(format!("{}\t{}", offer.word, offer.help)),
    };
    Some(offers.iter().filter_map(told).collect())
}

/// What can stand where the last of `words` is being typed. `files` finds those of an argument that takes a path.
fn offers(
    words: Vec<String>,
    files: impl Fn(&str) -> Vec<Offer> + Clone + Send + Sync + 'static,
) -> Option<Vec<Offer>> {
    let mut parser = completed_below(Cli::command(), &files);
    let current = words.len().checked_sub(1)?;
    let is_empty = words.last()?.is_empty();
    let words = words.into_iter().map(OsString::from).collect();
    let found = engine::complete(&mut parser, words, current, None).ok()?;
    let mut offers = found.iter().filter_map(Offer::parse).collect::<Vec<_>>();
    // Options are for who asks for them, as long as there is something else.
    if is_empty && offers.iter().any(|offer| !offer.word.starts_with('-')) {
        offers.retain(|offer| !offer.word.starts_with('-'));
    }
    Some(offers)
}

/// The arguments of every verb below `parser`, and of what is below that.
fn completed_below(
    mut parser: Command,
    files: &(impl Fn(&str) -> Vec<Offer> + Clone + Send + Sync + 'static),
) -> Command {
    let verbs = parser.get_subcommands().map(|verb| verb.get_name().to_owned()).collect::<Vec<_>>();
    for verb in verbs {
        parser = parser.mut_subcommand(verb, |verb| {
            completed_below(verb.mut_args(|argument| completed(argument, files.clone())), files)
        });
    }
    parser
}

fn completed(argument: clap::Arg, files: impl Fn(&str) -> Vec<Offer> + Send + Sync + 'static) -> clap::Arg {
    let takes_path = matches!(
        argument.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath | ValueHint::ExecutablePath
    );
    if ["workspace", "named", "target"].contains(&argument.get_id().as_str()) {
        return argument.add(ArgValueCandidates::new(|| offers::workspaces().unwrap_or_default()));
    }
    if !takes_path {
        return argument;
    }
    argument.add(ArgValueCompleter::new(move |word: &std::ffi::OsStr| {
        let found = word.to_str().map(&files).unwrap_or_default();
        found.into_iter().map(|offer| offer.word.into()).collect::<Vec<_>>()
    }))
}
