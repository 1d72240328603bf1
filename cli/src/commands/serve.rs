//! `runcode serve`.

use std::path::PathBuf;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::output::report::Outcome;

/// Offer programs of this machine as tools (MCP).
///
/// A client starts this, over ssh for instance, and speaks the Model Context Protocol with it on stdin and stdout. Files in
/// runspec.toml format define the programs and their arguments. Needs no login and no network.
/// Without options, it serves the Python environment that it is installed in, else the file that RUNCODE_SERVE_CONFIG names, else
/// serve.toml in ~/.config/runcode and in /etc/runcode.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode serve --check              what would be served, or every mistake
  runcode serve --config tools.toml  the tools of one file
  runcode serve --venv /opt/tools    what `runspec serve` would serve there")]
pub struct Args {
    /// A file that describes tools; may be given several times
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: Vec<PathBuf>,
    /// A Python environment with packages that have a runspec.toml; may be given several times
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    venv: Vec<PathBuf>,
    /// Print the tools, or every mistake, and exit
    #[arg(long)]
    check: bool,
}

/// Serves until the client is gone.
#[cfg(unix)]
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    use std::io::IsTerminal as _;

    use serde_json::json;

    use crate::mcp::serve::Tools;
    use crate::output::progress;
    use crate::output::report::Simple;

    if !args.check && std::io::stdin().is_terminal() {
        return Err(Error::new(Code::Usage, "serve is started by an MCP client, not from a terminal").hint(
            "see what it would serve: runcode serve --check; a client on another machine starts it over ssh",
        ));
    }
    let tools = Tools::load(&sources(&args, app)?, app.env())?;
    if args.check {
        let mut lines = tools.remarks.clone();
        lines.extend(tools.listed().iter().map(|tool| {
            let (name, what) = (tool["name"].as_str(), tool["description"].as_str());
            format!("{}  {}", name.unwrap_or_default(), what.unwrap_or_default()).trim_end().to_owned()
        }));
        let json = json!({ "tools": tools.listed(), "remarks": tools.remarks });
        return Ok(Simple { json, lines }.into());
    }
    tools.remarks.iter().for_each(|remark| progress::note(format!("runcode: {remark}")));
    crate::mcp::serve_process(tools)?;
    Ok(Outcome::Status(0))
}

/// Not supported: processes and users work differently on Windows.
#[cfg(not(unix))]
pub fn run(args: Args, _: &App) -> Result<Outcome> {
    let Args { config: _, venv: _, check: _ } = args;
    Err(Error::new(Code::Unavailable, "serve does not work on Windows")
        .hint("run it on a Unix machine, or in WSL"))
}

/// Where the tools come from.
#[cfg(unix)]
fn sources(args: &Args, app: &App) -> Result<Vec<crate::mcp::serve::Source>> {
    use crate::mcp::serve::Source;
    use crate::sys::env::Var;

    let files = args.config.iter().cloned().map(Source::File);
    let given = files.chain(args.venv.iter().cloned().map(Source::Venv)).collect::<Vec<_>>();
    if !given.is_empty() {
        return Ok(given);
    }
    if let Some(venv) = own_venv(app) {
        return Ok(vec![Source::Venv(venv)]);
    }
    if let Some(file) = app.env().var(Var::RuncodeServeConfig) {
        return Ok(vec![Source::File(file.into())]);
    }
    let own = app.paths()?.config().join("serve.toml");
    let etc = crate::sys::env::Env::test_etc().map_or_else(|| PathBuf::from("/etc"), PathBuf::from);
    let usual = [own.clone(), etc.join("runcode/serve.toml")];
    let found = usual.into_iter().filter(|file| std::fs::symlink_metadata(file).is_ok());
    let found = found.map(Source::File).collect::<Vec<_>>();
    if found.is_empty() {
        use crate::output::foreign::FileName as _;
        let what = format!("there are no tools to serve: {} does not exist", own.named());
        return Err(Error::new(Code::NotFound, what).hint("write it, or name another file with --config"));
    }
    Ok(found)
}

/// The Python environment whose `bin` this program, or the link that it was called by, is in.
#[cfg(unix)]
fn own_venv(app: &App) -> Option<PathBuf> {
    let called = std::env::args_os().next().map(PathBuf::from)?;
    let by_path = || {
        let name = called.to_str().filter(|name| !name.contains('/'))?;
        crate::sys::program::find(name, app.env().var(crate::sys::env::Var::Path).as_deref())
    };
    let called = by_path().or_else(|| std::path::absolute(&called).ok());
    let places = [called, std::env::current_exe().ok()];
    places.into_iter().flatten().find_map(|program| {
        let bin = program.parent().filter(|bin| bin.ends_with("bin"))?;
        let venv = bin.parent()?;
        venv.join("pyvenv.cfg").is_file().then(|| venv.to_owned())
    })
}
