//! `runcode completions`, and the answers that its scripts ask for.

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::app::App;
use crate::args::Cli;
use crate::error::{Error, Result};
use crate::output::report::Outcome;
use crate::session::store::Store;
use crate::sys::env::{Env, Var};
use crate::sys::paths::Paths;

/// Print a completion script for your shell.
///
/// It completes verbs, options, files of this machine, and the names of the workspaces that have a session on it.
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
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Shell::Bash => &Bash,
            Shell::Zsh => &Zsh,
            Shell::Fish => &Fish,
            Shell::Pwsh => &Powershell,
            Shell::Elvish => &Elvish,
        }
    }
}

/// The script, generated from the parser: it asks this program for each answer.
pub fn run(args: Args, _app: &App) -> Result<Outcome> {
    let mut script = Vec::new();
    args.shell
        .completer()
        .write_registration(Var::RuncodeComplete.name(), "runcode", "runcode", "runcode", &mut script)
        .map_err(|error| Error::io("write the script", error))?;
    let parser = Cli::command();
    let verbs = parser.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    let verbs = verbs.collect::<Vec<_>>().join(" ");
    script.extend(format!("# The verbs: {verbs}\n").into_bytes());
    Ok(Outcome::Raw(script))
}

/// What a completion script asks for: `runcode -- <words so far>`, with the shell's name in `RUNCODE_COMPLETE`.
/// `None` when the environment asks for no such thing.
pub fn answer(env: &Env, words: Vec<std::ffi::OsString>) -> Option<Vec<u8>> {
    let shell = env.var(Var::RuncodeComplete)?.into_string().ok()?;
    let shell = <Shell as clap::ValueEnum>::from_str(&shell, false).ok()?;
    let words = words.into_iter().skip_while(|word| word != "--").skip(1).collect::<Vec<_>>();
    let mut parser = Cli::command();
    let verbs = parser.get_subcommands().map(|verb| verb.get_name().to_owned()).collect::<Vec<_>>();
    for verb in verbs {
        parser = parser.mut_subcommand(verb, |verb| {
            verb.mut_args(|argument| match argument.get_id().as_str() {
                "workspace" => argument.add(ArgValueCandidates::new(|| names().unwrap_or_default())),
                _ => argument,
            })
        });
    }
    let mut answer = Vec::new();
    let folder = std::env::current_dir().ok(); // without it no files are offered
    shell.completer().write_complete(&mut parser, words, folder.as_deref(), &mut answer).ok()?;
    Some(answer)
}

/// The workspaces of the sessions on this machine: their titles, and which ids these are.
fn names() -> Result<Vec<CompletionCandidate>> {
    let paths = Paths::from_env(&Env::of_process())?;
    let store = Store::new(&paths);
    let sessions = store.sessions()?.into_iter();
    let candidate = |session: crate::session::Session| {
        let key = &session.meta.key;
        let help = key.workspace_id().map_or_else(|| key.words(), |id| format!("workspace #{id}"));
        CompletionCandidate::new(session.meta.title.clone()).help(Some(help.into()))
    };
    Ok(sessions.map(candidate).collect())
}
