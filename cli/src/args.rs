//! The command line.
//!
//! Building clap's description of every verb takes longer than a warm `exec` has. So the verb that stands first is parsed
//! with its own description alone; the whole is built only when that does not do: for help, mistakes, and global options
//! that stand before the verb.

pub mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches as _, Parser, Subcommand};
use zeroize::Zeroizing;

use crate::app::App;
use crate::commands;
use crate::error::Result;
use crate::output::report::Outcome;

/// The line of the help that a build without `dev` does not have.
const DEMO: &str = if cfg!(feature = "dev") {
    "  runcode demo                     see everything work here, without an account\n"
} else {
    ""
};

/// Safe, low-friction SSH access to your remote workspace.
#[derive(Parser)]
#[command(
    name = "runcode",
    bin_name = "runcode",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true
)]
#[command(after_help = format!("\
Start here:
{DEMO}  runcode login                    log in, once
  runcode list                     see your workspaces
  runcode connect my-ws --start    attach one, booting it if it is stopped
  runcode connect ssh:HOST         or any host that your ssh reaches; no login
  runcode exec -- make test        run a command on it"))]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Args, Clone, Default)]
pub struct Globals {
    /// Print one JSON document on stdout, also on failure
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// The control plane [env: RUNCODE_API_BASE] [default: https://app.runcode.io]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub api_base: Option<String>,
    /// Read the API token from stdin
    #[arg(long, global = true, conflicts_with = "token", help_heading = "Global options")]
    pub token_stdin: bool,
    /// The API token; other users see it in `ps`, so prefer --token-stdin or RUNCODE_TOKEN
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret, help_heading = "Global options")]
    pub token: Option<Zeroizing<String>>,
    /// The file that names servers [env: RUNCODE_SERVERS] [default: servers.toml in /etc/runcode and in
    /// ~/.config/runcode]
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = "Global options")]
    pub servers: Option<PathBuf>,
    /// The configuration folder; written into ~/.ssh/config, because an editor's environment may not name it
    #[arg(long, global = true, hide = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// The cache folder, likewise
    #[arg(long, global = true, hide = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// The verb that they apply to
    #[arg(skip)]
    pub verb: Option<&'static str>,
}

fn secret(text: &str) -> Result<Zeroizing<String>, std::convert::Infallible> {
    Ok(Zeroizing::new(text.to_owned()))
}

/// One line per verb, in the order of the help: its variant, its module, its name.
macro_rules! verbs {
    ($($(#[$only:meta])? $variant:ident = $module:ident $name:literal;)+) => {
        /// The verbs. What each is for stands with its `Args`, where its help comes from.
        #[derive(Subcommand)]
        #[expect(missing_docs, reason = "a doc comment here would hide that help")]
        pub enum Command {
            $($(#[$only])? #[command(name = $name)] $variant(commands::$module::Args),)+
        }

        impl Command {
            /// Every verb.
            pub const NAMES: &'static [&'static str] = &[$($(#[$only])? $name),+];

            /// Does what the verb says.
            pub fn run(self, app: &App) -> Result<Outcome> {
                match self {
                    $($(#[$only])? Command::$variant(args) => commands::$module::run(args, app),)+
                }
            }

            /// The verb.
            pub fn name(&self) -> &'static str {
                match self {
                    $($(#[$only])? Command::$variant(_) => $name,)+
                }
            }

            fn description(verb: &str) -> Option<clap::Command> {
                match verb {
                    $($(#[$only])? $name => Some(commands::$module::Args::augment_args(clap::Command::new($name))),)+
                    _ => None,
                }
            }

            fn parsed(verb: &str, matches: &ArgMatches) -> Option<Command> {
                match verb {
                    $($(#[$only])? $name => commands::$module::Args::from_arg_matches(matches).ok().map(Command::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

verbs! {
    Login = login "login";
    Logout = logout "logout";
    List = list "list";
    Connect = connect "connect";
    Exec = exec "exec";
    Run = run "run";
    Jump = jump "jump";
    Jobs = jobs "jobs";
    Shell = shell "shell";
    Write = write "write";
    Edit = edit "edit";
    Put = put "put";
    Get = get "get";
    Context = context "context";
    Forward = forward "forward";
    Servers = servers "servers";
    Audit = audit "audit";
    Route = route "route";
    Current = current "current";
    Status = status "status";
    Disconnect = disconnect "disconnect";
    Stop = stop "stop";
    Clean = clean "clean";
    ConfigSsh = config_ssh "config-ssh";
    Proxy = proxy "proxy";
    Mcp = mcp "mcp";
    Serve = serve "serve";
    Codex = codex "codex";
    CodexEnvironment = codex_environment "codex-environment";
    Hook = hook "hook";
    Keeper = keeper "keeper";
    Spare = spare "spare";
    Helper = helper "helper";
    Statusline = statusline "statusline";
    InstallStatusline = install_statusline "install-statusline";
    InstallCodex = install_codex "install-codex";
    InstallPath = install_path "install-path";
    Doctor = doctor "doctor";
    Completions = completions "completions";
    Man = man "man";
    #[cfg(feature = "dev")]
    Dev = dev "dev";
    #[cfg(feature = "dev")]
    Demo = demo "demo";
}

impl Command {
    /// Whether the exit status is the remote command's, so that our own failures must be 255, as with ssh.
    pub fn passes_status(&self) -> bool {
        let only_shows = match self {
            Command::Exec(args) => args.profiled.only_shows() || args.is_detached(),
            Command::Run(args) => args.profiled.only_shows(),
            _ => false,
        };
        let waits = match self {
            Command::Jobs(args) => args.passes_status(),
            Command::Hook(args) => args.passes_status(),
            _ => false,
        };
        waits || Command::passes_status_as(self.name()) && !only_shows
    }

    /// `login URL` names the control plane, as `--api-base URL` does.
    pub fn name_base(&self, globals: &mut Globals) {
        if let Command::Login(args) = self
            && let Some(url) = args.url()
        {
            globals.api_base = Some(url.to_owned());
        }
    }

    /// Whether stdin is passed on to the workspace, and so must bring no secret of ours.
    pub fn passes_stdin(&self) -> bool {
        match self {
            Command::Exec(args) => !args.remote.no_stdin && !args.is_detached(),
            Command::Run(args) => !args.remote.no_stdin,
            Command::Jump(args) => args.reads_stdin(),
            Command::Write(args) => args.file.is_none(),
            Command::Edit(args) => args.reads_stdin(),
            Command::Shell(_) | Command::Proxy(_) | Command::Mcp(_) | Command::Serve(_) => true,
            Command::Codex(_) | Command::CodexEnvironment(_) => true,
            _ => false,
        }
    }

    /// As [`Command::passes_status`], for a verb that is known by its name alone.
    fn passes_status_as(name: &str) -> bool {
        matches!(name, "exec" | "run" | "jump" | "shell" | "codex")
    }
}

impl Cli {
    /// Parses the arguments of a process, the program's own name first.
    pub fn parse_process(args: &[OsString]) -> Result<Cli, clap::Error> {
        if args.get(1).is_some_and(|verb| verb == "help") {
            return Cli::try_parse_from(asked_for_help(args));
        }
        match Cli::parse_first_verb(args) {
            Some(cli) => Ok(cli),
            None => Cli::try_parse_from(args),
        }
    }

    /// The quick way: `None` when there is more to say than what the arguments mean.
    fn parse_first_verb(args: &[OsString]) -> Option<Cli> {
        let verb = args.get(1)?.to_str()?;
        if args.len() == 2 && verb == "statusline" {
            // Asked for at every step of a conversation, by a program that waits.
            let command = Command::Statusline(commands::statusline::Args::default());
            return Some(Cli { globals: Globals::default(), command });
        }
        let description = Globals::augment_args(Command::description(verb)?.disable_help_flag(true));
        let matches = description.try_get_matches_from(&args[1..]).ok()?;
        let globals = Globals::from_arg_matches(&matches).ok()?;
        Some(Cli { globals, command: Command::parsed(verb, &matches)? })
    }
}

/// `help --help` is a question about `help`, and `help exec --help` one about `exec`, which clap does not understand.
fn asked_for_help(args: &[OsString]) -> Vec<OsString> {
    let is_option = |arg: &&OsString| ["-h", "--help"].iter().any(|option| arg == option);
    let mut words = args.iter().filter(|arg| !is_option(arg)).cloned().collect::<Vec<_>>();
    if words.len() == 2 && args.len() > 2 {
        words.push("help".into());
    }
    words
}
