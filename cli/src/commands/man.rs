//! `runcode man`.

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_mangen::Man;
use serde_json::json;

use crate::app::App;
use crate::args::Cli;
use crate::error::{Code, Error, Result};
use crate::output::foreign;
use crate::output::foreign::FileName as _;
use crate::output::report::{Outcome, Simple};
use crate::sys::atomic_file;

/// Print a manual page, or write all of them into a folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode man | man -l -                       read it
  runcode man connect | man -l -               one command's page
  runcode man --out ~/.local/share/man/man1    install all pages")]
pub struct Args {
    /// The command whose page to print [default: the overview]
    command: Option<String>,
    /// Write every page into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

/// The pages, generated from the parser.
pub fn run(args: Args, _app: &App) -> Result<Outcome> {
    let mut parser = Cli::command();
    parser.build();
    if let Some(folder) = args.out {
        return write_all(&parser, &folder);
    }
    let command = match &args.command {
        None => &parser,
        Some(name) => parser.find_subcommand(name).ok_or_else(|| {
            Error::new(Code::Usage, format!("there is no command {}", foreign::word(name)))
                .hint("run `runcode --help` for the list")
        })?,
    };
    page(command).map(Outcome::Raw)
}

fn write_all(parser: &clap::Command, folder: &std::path::Path) -> Result<Outcome> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::io(format_args!("make the folder {}", folder.named()), error))?;
    let mut written = Vec::new();
    for command in
        std::iter::once(parser).chain(parser.get_subcommands().filter(|command| !command.is_hide_set()))
    {
        let name = name(command);
        let path = folder.join(format!("{name}.1"));
        atomic_file::write(&path, &page(command)?, 0o644)?;
        written.push(path.to_string_lossy().into_owned());
    }
    let lines = vec![format!("✓ Wrote {} pages into {}", written.len(), folder.display())];
    Ok(Simple { json: json!({ "pages": written }), lines }.into())
}

/// `runcode` or `runcode-connect`.
fn name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The heading as man-pages(7) has it, title, section, date, source, manual: an empty date that is not quoted would let
/// the source take its place.
fn with_heading(page: &str, name: &str) -> String {
    let heading = format!(
        ".TH {} 1 \"\" \"runcode {}\" \"runcode manual\"",
        name.to_uppercase(),
        env!("CARGO_PKG_VERSION")
    );
    let line = |line: &str| if line.starts_with(".TH ") { heading.clone() } else { line.to_owned() };
    page.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// The page with its synopsis as the help has it, in man-pages(7)'s marks: bold for what is typed as it stands, italic for
/// what is replaced.
fn with_synopsis(page: &str, command: &clap::Command) -> String {
    const START: &str = ".SH SYNOPSIS\n";
    let usage = command.clone().render_usage().to_string();
    let marked =
        usage.trim_start_matches("Usage:").split_whitespace().map(marked).collect::<Vec<_>>().join(" ");
    match page.split_once(START).and_then(|(before, rest)| Some((before, rest.split_once(".SH ")?.1))) {
        Some((before, after)) => format!("{before}{START}{marked}\n.SH {after}"),
        None => page.to_owned(),
    }
}

/// `[OPTIONS]`, `<CMD>...`, `[--]` or `connect`, marked.
fn marked(word: &str) -> String {
    let name = word.trim_end_matches('.');
    let dots = &word[name.len()..];
    let (open, name, close) = match (name.strip_prefix('['), name.strip_prefix('<')) {
        (Some(rest), _) => ("[", rest.trim_end_matches(']'), "]"),
        (None, Some(rest)) => ("", rest.trim_end_matches('>'), ""),
        (None, None) => ("", name, ""),
    };
    let is_replaced = name != word && name.starts_with(|c: char| c.is_ascii_uppercase());
    let font = if is_replaced { 'I' } else { 'B' };
    format!("{open}\\f{font}{}\\fR{close}{dots}", name.replace('-', "\\-"))
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).map_err(|error| Error::io("write the manual", error))?;
    let page = with_heading(&String::from_utf8_lossy(&page), &name(command));
    let page = with_synopsis(&page, command);
    // The examples are columns: shown as they are, under a name that a reader of manuals looks for.
    let page = match page.split_once(".SH EXTRA\nExamples:\n") {
        Some((before, examples)) => match examples.split_once("\n.SH ") {
            Some((examples, after)) => format!("{before}.SH EXAMPLES\n.nf\n{examples}\n.fi\n.SH {after}"),
            None => format!("{before}.SH EXAMPLES\n.nf\n{examples}.fi\n"),
        },
        None => page,
    };
    Ok(page.into_bytes())
}
