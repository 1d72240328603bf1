//! `runcode login`.

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::origin::hosted::login::{Callback, CallbackServer};
use crate::origin::hosted::{Client, Token, kept_base, saved_token, token};
use crate::output::foreign::Name;
use crate::output::progress::note;
use crate::output::report::{Outcome, Report, Text};
use crate::output::stdout;
use crate::sys::clock::Deadline;

/// Log in through the browser and save the token.
///
/// Prints the address of a page where you authorize this machine, opens it in your browser, and waits for the browser to
/// return to a port on 127.0.0.1. Only you can read the saved token, and it is sent to this control plane only. With a URL,
/// later commands use that control plane too, until you log in to another one or log out of it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  runcode login                         open the browser
  runcode login https://plane.example   a control plane of your own
  runcode login --no-browser            print the address to open yourself
  runcode login --paste < token         take the token from stdin")]
pub struct Args {
    /// The control plane, which later commands use too
    #[arg(value_name = "URL", conflicts_with = "api_base")]
    url: Option<String>,
    /// Print the address and do not open a browser
    #[arg(long)]
    no_browser: bool,
    /// Read the token from stdin; a terminal does not echo it
    #[arg(long, conflicts_with = "no_browser")]
    paste: bool,
    /// The web host with the page [env: RUNCODE_WEB_BASE] [default: https://runcode.io]
    #[arg(long, value_name = "URL")]
    web_base: Option<String>,
    /// How long to wait for the browser, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,
}

impl Args {
    /// The control plane that is named.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

struct LoggedIn {
    email: Option<Name>,
    api_base: String,
}

impl Report for LoggedIn {
    fn json(&self) -> Value {
        let email = self.email.as_ref().map(Name::json);
        json!({ "logged_in": true, "email": email, "api_base": self.api_base })
    }

    fn text(&self, text: &mut Text) {
        match &self.email {
            Some(email) => text.line(format!("✓ Logged in as {email}")),
            None => text.line("✓ Logged in"),
        }
        text.line("  next: runcode list");
    }
}

/// Logs in: the token is checked against the control plane before it replaces a saved one.
pub fn run(args: Args, app: &App) -> Result<Outcome> {
    let base = app.login_base()?.clone();
    let (token, email) = if args.paste { (pasted()?, None) } else { from_browser(&args, app)? };
    Client::new(base.clone(), token.clone()).workspaces()?;
    saved_token::save(app.paths()?, &base, &token)?;
    if args.url.is_some() {
        kept_base::keep(app.paths()?, &base)?;
    }
    Ok(LoggedIn { email, api_base: base.to_string() }.into())
}

fn from_browser(args: &Args, app: &App) -> Result<(Token, Option<Name>)> {
    // A control plane that is named as a whole has its pages where its API is.
    let kept = app.kept_base()?.map(|base| base.to_string());
    let named =
        args.url.as_ref().filter(|_| !app.login_base().is_ok_and(|base| base.is_hosted())).or(kept.as_ref());
    let web = app.web_base(args.web_base.as_ref().or(named).map(String::as_str))?;
    let listener = CallbackServer::bind()?;
    listener.tell_dev(&web);
    let url = listener.authorize_url(&web);
    announce(&url, app.is_json())?;
    note(format!("waiting {} s for the browser (without a browser: `runcode login --paste`)", args.timeout));
    if !args.no_browser && open::that_detached(&url).is_err() {
        note("no browser could be opened: open the address yourself");
    }
    match listener.wait(Deadline::after(Duration::from_secs(args.timeout)), || false)? {
        Callback::Token(token, email) => Ok((token, email)),
        Callback::Code(code) => {
            Client::without_token(app.login_base()?.clone()).exchange(&code, listener.verifier())
        }
    }
}

/// The address goes where a waiting program looks for it: to stdout, or to stderr when stdout is one JSON document.
fn announce(url: &str, is_json: bool) -> Result<()> {
    if is_json {
        note(format!("Open this page to authorize this machine: {url}"));
        return Ok(());
    }
    stdout::write(format!("Open this page to authorize this machine:\n{url}\n").as_bytes())
}

fn pasted() -> Result<Token> {
    let stdin = std::io::stdin();
    let text = if stdin.is_terminal() {
        note("Paste the token, then press Enter (it is not shown):");
        read_hidden()?
    } else {
        let mut line = Zeroizing::new(String::new());
        std::io::Read::take(stdin.lock(), token::MAX_BYTES as u64 + 64)
            .read_line(&mut line)
            .map_err(|error| Error::io("read the token from stdin", error))?;
        line
    };
    Token::parse(&text).map_err(|why| {
        Error::new(Code::NoToken, format!("the token {why}")).hint("paste the whole token and nothing else")
    })
}

/// A line from the terminal without echo. The terminal is put back however this ends.
fn read_hidden() -> Result<Zeroizing<String>> {
    use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
    struct Raw;
    impl Drop for Raw {
        fn drop(&mut self) {
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }
    let failed = |error| Error::io("read from the terminal", error);
    crossterm::terminal::enable_raw_mode().map_err(failed)?;
    let _raw = Raw;
    let mut text = Zeroizing::new(String::new());
    loop {
        let key = match read().map_err(failed)? {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            _ => continue,
        };
        match key.code {
            KeyCode::Enter => return Ok(text),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Err(Error::new(Code::Interrupted, "the login was interrupted"));
            }
            KeyCode::Backspace => drop(text.pop()),
            KeyCode::Char(c) if text.len() <= token::MAX_BYTES => text.push(c),
            _ => {}
        }
    }
}
