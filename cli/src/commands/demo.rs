//! `runcode demo`.

use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runcode_gateway::{Options, Plane, WorkspaceSpec};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Code, Error, Result, without_number};
use crate::output::report::{Outcome, Report, Text};
use crate::output::{sanitize, stdout};
use crate::sys::atomic_file;
use crate::sys::env::Var;
use crate::sys::interrupt::Interrupt;

/// See everything work on this machine, without an account.
///
/// A tour of the real commands against a control plane and an SSH gateway of its own, on loopback, in a temporary folder.
/// It needs nothing but an ssh client, takes seconds, and leaves nothing behind.
#[derive(clap::Args)]
pub struct Args {}

/// What the tour showed.
struct Toured {
    steps: Vec<Value>,
    seconds: f64,
}

impl Report for Toured {
    fn json(&self) -> Value {
        json!({ "ok": true, "seconds": self.seconds, "steps": self.steps })
    }

    /// Everything was said on the way.
    fn text(&self, _text: &mut Text) {}
}

/// Starts a plane of its own, runs the commands as a user would, and takes everything down again.
pub fn run(_args: Args, app: &App) -> Result<Outcome> {
    let started = Instant::now();
    let interrupt = Interrupt::listen()?;
    let folder = atomic_file::temporary_dir("runcode-demo-")?;
    let workspace = folder.path().join(WORKSPACE);
    for made in [&workspace, &folder.path().join(HERE)] {
        std::fs::create_dir(made).map_err(|error| Error::io("make a temporary folder", error))?;
    }
    let options = Options {
        workspaces: vec![WorkspaceSpec::new(WORKSPACE, &workspace)],
        boot_delay: Duration::from_secs(1),
        auto_authorize: true,
        ..Options::default()
    };
    let plane = Plane::start(options)
        .map_err(|error| Error::new(Code::Error, format!("cannot serve: {}", without_number(&error))))?;
    let mut guide = Guide::new(folder.path(), &plane, interrupt, app)?;
    let toured = guide.tour(app, started);
    let cleaned = guide.take_down();
    plane.stop();
    toured.and(cleaned)?;
    Ok(Toured { steps: guide.steps, seconds: started.elapsed().as_secs_f64() }.into())
}

/// The workspace, and its folder.
const WORKSPACE: &str = "demo-ws";

/// The folder that the commands are typed in.
const HERE: &str = "here";

/// Runs this very binary in an environment of its own: temporary folders, pointed at the demo's plane.
struct Guide {
    runcode: PathBuf,
    config: PathBuf,
    cache: PathBuf,
    here: PathBuf,
    /// The workspace's home folder, whose long name is shown as `~`.
    home: String,
    api_base: String,
    web_base: String,
    interrupt: Interrupt,
    /// Under `--json` the tour is told on stderr, and stdout is its report's.
    is_json: bool,
    steps: Vec<Value>,
}

impl Guide {
    fn new(folder: &Path, plane: &Plane, interrupt: Interrupt, app: &App) -> Result<Guide> {
        Ok(Guide {
            runcode: std::env::current_exe().map_err(|error| Error::io("find this program", error))?,
            config: folder.join("config"),
            cache: folder.join("cache"),
            here: folder.join(HERE),
            home: folder.join(WORKSPACE).display().to_string(),
            api_base: plane.api_base(),
            web_base: plane.web_base(),
            interrupt,
            is_json: app.is_json(),
            steps: Vec::new(),
        })
    }

    fn tour(&mut self, app: &App, started: Instant) -> Result<()> {
        self.say("A tour of runcode on this machine alone: a control plane and an SSH gateway were")?;
        self.say("just started on loopback, with one workspace, a temporary folder. Every command")?;
        self.say("below is real.")?;

        self.say("\n1. Log in. The browser hands a token to a port on 127.0.0.1; here the page says")?;
        self.say("   yes by itself.")?;
        self.log_in()?;
        self.say("\n2. See the workspaces.")?;
        self.step(&["list"], None, 0)?;
        self.say("\n3. Boot one, wait until SSH answers, attach it. A key is made; only its public")?;
        self.say("   half is sent.")?;
        self.step(&["connect", "demo-ws", "--start", "--wait"], None, 0)?;
        self.say("\n4. Run commands on it, over one connection that stays warm.")?;
        self.step(&["exec", "--", "uname", "-sm"], None, 0)?;
        self.say("\n   The exit status is the command's own.")?;
        self.step(&["exec", "--", "exit 42"], None, 42)?;
        self.say("\n   stdin and stdout are pipes, exact to the byte.")?;
        self.step(&["exec", "--", "tr a-z A-Z"], Some("hello from this side\n"), 0)?;
        self.say("\n5. Send a file, and fetch it back. Each is verified, and appears whole or not at")?;
        self.say("   all.")?;
        let notes = self.here.join("notes.txt");
        std::fs::write(notes, "three more words\n").map_err(|error| Error::io("write a file", error))?;
        self.step(&["put", "notes.txt", "docs/"], None, 0)?;
        self.step(&["get", "docs/notes.txt"], None, 0)?;
        #[cfg(unix)]
        self.forward()?;
        let last = if cfg!(unix) { 7 } else { 6 };
        self.say(&format!(
            "\n{last}. Detach. The session, its key and its connection are gone; the workspace keeps"
        ))?;
        self.say("   running.")?;
        self.step(&["disconnect"], None, 0)?;

        let seconds = started.elapsed().as_secs_f64();
        self.say(&format!("\nThat was all of it, in {seconds:.1} s. Nothing is left behind."))?;
        if app.env().var(Var::RuncodeToken).is_none() {
            self.say("Next: `runcode connect ssh:HOST` for any host that your ssh reaches,")?;
            self.say("`runcode login` for RunCode's workspaces, or `runcode dev` for folders here.")?;
        }
        Ok(())
    }

    /// Forwards a port where something listens, and visits it as a browser does.
    #[cfg(unix)]
    fn forward(&mut self) -> Result<()> {
        use std::io::Read as _;
        const GREETING: &str = "hello from the workspace";
        let failed = |error| Error::io("listen on a port", error);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        // It ends with this process: the demo is the last thing that it does.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let length = GREETING.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = (&stream).read(&mut [0; 1024]);
                let _ = (&stream).write_all((answer + GREETING).as_bytes());
            }
        });
        self.say("\n6. Reach a port of the workspace: a server that was just started there.")?;
        let lines = self.step(&["forward", &port.to_string(), "--local", "0"], None, 0)?;
        let address = lines.iter().flat_map(|line| line.split(' ')).find(|word| word.starts_with("http://"));
        let address = address.ok_or_else(|| went_wrong("runcode forward"))?;
        self.say(&format!("   $ curl {address}"))?;
        let body =
            visit(address, "the forward")?.text().map_err(|error| went_wrong("the forward").source(error))?;
        self.say(&format!("     {}", sanitize::line(&body)))
    }

    /// Tells a line, at once.
    fn say(&self, line: &str) -> Result<()> {
        let line = format!("{line}\n");
        if !self.is_json {
            return stdout::write(line.as_bytes());
        }
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
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
            .env_remove(Var::RuncodeWorkspace.name())
            .current_dir(&self.here)
            .stdin(Stdio::null());
        command
    }

    /// Shows a command as it would be typed, runs it, and checks its status; the lines that it printed.
    fn step(&mut self, arguments: &[&str], input: Option<&str>, expected: i32) -> Result<Vec<String>> {
        let shown = arguments.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" ");
        let pipe = input.map(|input| format!("echo '{}' | ", input.trim_end())).unwrap_or_default();
        let shown = format!("{pipe}runcode {shown}");
        self.say(&format!("   $ {shown}"))?;
        let mut command = self.command(arguments);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let (mut child, output) = Started::with_output(command)?;
        if let (Some(mut stdin), Some(input)) = (child.0.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).map_err(not_run)?;
        }
        let mut lines = Vec::new();
        for line in output.lines() {
            let line = line.map_err(not_run)?;
            let brief = line.replace(&self.home, "~");
            self.say(&format!("     {}", sanitize::line(&brief)))?;
            lines.push(line);
        }
        self.done(shown, child, expected)?;
        Ok(lines)
    }

    /// Logs in as a person does, with this process in the browser's place.
    fn log_in(&mut self) -> Result<()> {
        self.say("   $ runcode login")?;
        let (child, output) = Started::with_output(self.command(&["login", "--no-browser"]))?;
        for line in output.lines() {
            let line = line.map_err(not_run)?;
            if line.starts_with(&self.web_base) {
                let address = line.split("state=").next().unwrap_or_default();
                self.say(&format!("     {}state=…", sanitize::line(address)))?;
                visit(&line, "the login page")?;
            } else {
                self.say(&format!("     {}", sanitize::line(&line)))?;
            }
        }
        self.done("runcode login".to_owned(), child, 0)
    }

    /// Waits for a command, and checks that it ended as it should.
    fn done(&mut self, shown: String, mut child: Started, expected: i32) -> Result<()> {
        let status = child.0.wait().map_err(not_run)?.code();
        if expected != 0 && status == Some(expected) {
            self.say(&format!("   $ echo $?\n     {expected}"))?;
        }
        self.go_on()?;
        if status != Some(expected) {
            return Err(went_wrong(&shown));
        }
        self.steps.push(json!({ "command": shown, "status": expected }));
        Ok(())
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
        cleaned.map(|_| ()).map_err(not_run)
    }
}

/// A command of the tour; it does not outlive a tour that is cut short.
struct Started(Child);

impl Started {
    /// Starts it; what it says on stdout and on stderr, in the order in which it says it.
    fn with_output(mut command: Command) -> Result<(Started, BufReader<PipeReader>)> {
        let (reader, writer) = std::io::pipe().map_err(not_run)?;
        command.stdout(writer.try_clone().map_err(not_run)?).stderr(writer);
        Ok((Started(command.spawn().map_err(not_run)?), BufReader::new(reader)))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn not_run(error: std::io::Error) -> Error {
    Error::io("run this program", error)
}

/// What a browser does with an address; from the authorize page it follows the redirect to the waiting listener.
fn visit(address: &str, what: &str) -> Result<reqwest::blocking::Response> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let browser = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
    let visited = browser.and_then(|browser| browser.get(address).send());
    visited.map_err(|error| went_wrong(what).source(error))
}

fn went_wrong(what: &str) -> Error {
    Error::new(Code::Error, format!("the demo stopped: `{what}` did not do what it should"))
        .hint("run `runcode doctor` to see what is missing on this machine")
}

/// A word as a person would type it.
fn shown(word: &str) -> String {
    if word.contains(' ') { format!("'{word}'") } else { word.to_owned() }
}
