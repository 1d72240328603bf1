//! `runcode demo`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runcode_plane::{Options, Plane, WorkspaceSpec};

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::output::report::Outcome;
use crate::output::sanitize;
use crate::sys::atomic_file;
use crate::sys::env::Var;
use crate::sys::interrupt::Interrupt;

/// See everything work on this machine, without an account.
///
/// A tour of the real commands against a control plane and an SSH gateway of its own, on loopback, in a temporary folder.
/// It needs nothing but an ssh client, takes seconds, and leaves nothing behind.
#[derive(clap::Args)]
pub struct Args {}

/// Starts a plane of its own, runs the commands as a user would, and takes everything down again.
pub fn run(_args: Args, app: &App) -> Result<Outcome> {
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    let folder = atomic_file::temporary_dir("runcode-demo-")?;
    let workspace = folder.path().join("demo-box");
    std::fs::create_dir(&workspace).map_err(|error| Error::io("make a temporary folder", error))?;
    let options = Options {
        workspaces: vec![WorkspaceSpec::new("demo-box", &workspace)],
        boot_delay: Duration::from_secs(1),
        auto_authorize: true,
        ..Options::default()
    };
    let plane =
        Plane::start(options).map_err(|error| Error::new(Code::Error, format!("cannot serve: {error}")))?;
    let guide = Guide::new(folder.path(), &plane, interrupt)?;
    let toured = guide.tour(app, started);
    let cleaned = guide.take_down();
    plane.stop();
    toured.and(cleaned)?;
    Ok(Outcome::Status(0))
}

/// Runs this very binary in an environment of its own: temporary folders, pointed at the demo's plane.
struct Guide {
    runcode: PathBuf,
    config: PathBuf,
    cache: PathBuf,
    api_base: String,
    web_base: String,
    interrupt: Interrupt,
}

impl Guide {
    fn new(folder: &Path, plane: &Plane, interrupt: Interrupt) -> Result<Guide> {
        Ok(Guide {
            runcode: std::env::current_exe().map_err(|error| Error::io("find this program", error))?,
            config: folder.join("config"),
            cache: folder.join("cache"),
            api_base: plane.api_base(),
            web_base: plane.web_base(),
            interrupt,
        })
    }

    fn tour(&self, app: &App, started: Instant) -> Result<()> {
        say("This is runcode on a machine of its own: a control plane and an SSH gateway were just")?;
        say("started on loopback, with one workspace, a temporary folder. Every command below is real.")?;

        say(
            "\n1. Log in. The browser hands a token to a port on 127.0.0.1; here the page says yes by itself.",
        )?;
        self.log_in()?;
        say("\n2. See the workspaces.")?;
        self.step(&["list"], None, 0)?;
        say(
            "\n3. Boot one, wait until SSH answers, attach it. A key is made; only its public half is sent.",
        )?;
        self.step(&["connect", "demo-box", "--start", "--wait"], None, 0)?;
        say("\n4. Run commands on it, over one connection that stays warm.")?;
        self.step(&["exec", "--", "uname", "-sm"], None, 0)?;
        say("\n   The exit status is the command's own.")?;
        self.step(&["exec", "--", "exit 42"], None, 42)?;
        say("\n   stdin and stdout are pipes, exact to the byte.")?;
        self.step(&["exec", "--", "tr a-z A-Z"], Some("hello from this side\n"), 0)?;
        say("\n5. Detach. The session, its key and its connection are gone; the workspace keeps running.")?;
        self.step(&["disconnect"], None, 0)?;

        say(&format!(
            "\nThat was all of it, in {:.1} s. Nothing is left behind.",
            started.elapsed().as_secs_f64()
        ))?;
        if app.env().var(Var::RuncodeToken).is_none() {
            say(
                "Next: `runcode login` for your own workspaces, or `runcode dev` to serve folders of this machine.",
            )?;
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.runcode);
        command
            .args(arguments)
            .env(Var::XdgConfigHome.name(), &self.config)
            .env(Var::XdgCacheHome.name(), &self.cache)
            .env(Var::AppData.name(), &self.config)
            .env(Var::LocalAppData.name(), &self.cache)
            .env(Var::RuncodeApiBase.name(), &self.api_base)
            .env(Var::RuncodeWebBase.name(), &self.web_base)
            .env_remove(Var::RuncodeToken.name())
            .stdin(Stdio::null());
        command
    }

    /// Shows a command as it would be typed, runs it, and checks its status.
    fn step(&self, arguments: &[&str], input: Option<&str>, expected: i32) -> Result<()> {
        let shown = arguments.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" ");
        let pipe = input.map(|input| format!("echo '{}' | ", input.trim_end())).unwrap_or_default();
        say(&format!("   $ {pipe}runcode {shown}"))?;
        let mut command = self.command(arguments);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let failed = |error| Error::io("run this program", error);
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).map_err(failed)?;
        }
        let mut output = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut output).map_err(failed)?;
        }
        for line in output.lines() {
            say(&format!("     {}", sanitize::line(line)))?;
        }
        let status = child.wait().map_err(failed)?.code();
        if expected != 0 && status == Some(expected) {
            say(&format!("   $ echo $?\n     {expected}"))?;
        }
        self.go_on()?;
        if status == Some(expected) { Ok(()) } else { Err(went_wrong(&format!("runcode {shown}"))) }
    }

    /// Logs in as a person does, with this process in the browser's place.
    fn log_in(&self) -> Result<()> {
        let failed = |error| Error::io("run this program", error);
        say("   $ runcode login")?;
        let mut child =
            self.command(&["login", "--no-browser"]).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let stdout = child.stdout.take().ok_or_else(|| went_wrong("runcode login"))?;
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(failed)?;
            if line.starts_with(&self.web_base) {
                let address = line.split("state=").next().unwrap_or_default();
                say(&format!("     {}state=…", sanitize::line(address)))?;
                visit(&line)?;
            } else {
                say(&format!("     {}", sanitize::line(&line)))?;
            }
        }
        let status = child.wait().map_err(failed)?;
        self.go_on()?;
        if status.success() { Ok(()) } else { Err(went_wrong("runcode login")) }
    }

    /// An error once the tour was interrupted: everything is taken down then, as at its end.
    fn go_on(&self) -> Result<()> {
        match self.interrupt.signal() {
            Some(_) => Err(Error::new(Code::Interrupted, "the demo was interrupted; nothing is left behind")),
            None => Ok(()),
        }
    }

    /// Ends what the tour may have left, also when it stopped half way.
    fn take_down(&self) -> Result<()> {
        let cleaned = self.command(&["clean", "--all"]).stdout(Stdio::null()).status();
        cleaned.map(|_| ()).map_err(|error| Error::io("run this program", error))
    }
}

/// What a browser does with the authorize address: it follows the redirect to the waiting listener.
fn visit(address: &str) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let browser = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
    let visited = browser.and_then(|browser| browser.get(address).send());
    visited.map(|_| ()).map_err(|error| went_wrong("the login page").source(error))
}

fn went_wrong(what: &str) -> Error {
    Error::new(Code::Error, format!("the demo stopped: `{what}` did not do what it should"))
        .hint("run `runcode doctor` to see what is missing on this machine")
}

/// A word as a person would type it.
fn shown(word: &str) -> String {
    if word.contains(' ') { format!("'{word}'") } else { word.to_owned() }
}

fn say(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Error::io("write to stdout", error))
}
