//! `runcode connect` to a host of the user's own.

use std::io::IsTerminal as _;

use super::patience::{Patience, Pauses};
use super::{Args, Connected, approved, attached, boot, certified};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::grant::Workdir;
use crate::openssh::config::PERSIST_SECONDS;
use crate::origin::{SessionKey, Target};
use crate::output::foreign;
use crate::output::progress::note;
use crate::output::report::Outcome;
use crate::session::approved::{Found, look};
use crate::session::live::{Obtained, Want, Wish};
use crate::session::mint::Order;
use crate::session::policy;
use crate::sys::location::Location;

/// Starts the machine when asked, brings the connection up, sees that commands run, attaches.
pub(super) fn connect(
    args: &Args,
    app: &App,
    target: &Target,
    folder: Location,
    patience: &Patience,
) -> Result<Outcome> {
    let usage = |why: &str, hint: &str| Error::new(Code::Usage, why).hint(hint);
    let is_for_approval = approved::is_meant(args);
    if (args.ttl.is_some() || args.idle.is_some()) && !is_for_approval {
        return Err(usage(
            "on a host of your own, --ttl and --idle are only for approved sessions",
            "leave them out, or add --request or --approval REF",
        ));
    }
    if args.interactive && !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(usage(
            "--interactive needs a terminal",
            "have the user run it in a terminal of their own",
        ));
    }
    let terms = policy::settle(&app.sessions()?, &target.key)?;
    if let Some(terms) = terms.as_ref().filter(|_| args.route) {
        let what = format!("`{}` runs only its profiles, so tools cannot be routed to it", terms.server.name);
        return Err(Error::new(Code::PolicyDenied, what).hint("leave out --route"));
    }
    if is_for_approval {
        return approved::connect(args, app, target, folder, patience, terms.as_ref());
    }
    if let Found::Standing(session) = look(&app.sessions()?, &target.key)? {
        let (session, started) = (*session, args.start && boot(app, target, patience)?);
        let connected = Connected {
            session,
            folder,
            reused: true,
            started,
            statusline_installed: false,
            terms: None,
            routing: false,
            helper: false,
        };
        return attached(app, connected);
    }
    if let Some(terms) = terms.as_ref().filter(|terms| terms.server.logs_in_per_run()) {
        return certified::connect(args, app, target, folder, patience, terms);
    }
    let workdir = args.workdir.as_deref().map(Workdir::parse_own).transpose();
    let workdir =
        workdir.map_err(|why| usage(&format!("--workdir {why}"), "give an absolute path, or ~/FOLDER"))?;
    let started = args.start && boot(app, target, patience)?;
    let wish = Wish {
        workdir,
        personal_keep: args.interactive.then_some(args.keep.unwrap_or(PERSIST_SECONDS)),
        anew: args.force || started,
    };
    let waits = args.wait || started;
    let opened = match &terms {
        // Where nothing but profiles may run, only a person's login is worth a connection.
        Some(terms) if !args.interactive => {
            terms.refuse()?;
            refuse_workdir(wish.workdir.as_ref(), &terms.server.name)?;
            let obtained = app.sessions()?.obtain(&target.key, Want::New(Order::default()));
            obtained.map_err(|failure| failure.about(&args.workspace))?
        }
        _ => open(app, &target.key, &wish, waits, patience)?,
    };
    let Obtained { session, reused } = opened;
    let (routing, statusline_installed, helper) = (args.route, false, args.sandboxes);
    attached(
        app,
        Connected { session, folder, reused, started, statusline_installed, routing, helper, terms },
    )
}

fn refuse_workdir(workdir: Option<&Workdir>, server: &str) -> Result<()> {
    match workdir {
        None => Ok(()),
        Some(_) => Err(Error::new(
            Code::Usage,
            format!("`{server}` runs only its profiles, which start in the login folder"),
        )
        .hint("leave --workdir out")),
    }
}

fn open(app: &App, key: &SessionKey, wish: &Wish, waits: bool, patience: &Patience) -> Result<Obtained> {
    let sessions = app.sessions()?;
    let mut pauses = Pauses::new();
    let goes_on = || waits && !patience.is_over() && patience.check().is_ok();
    loop {
        match sessions.open_external(key, wish, &goes_on) {
            Err(error) if waits && error.code() == Code::Transport && !patience.is_over() => {
                note(format!("waiting for SSH: {}", error.message()));
                pauses.next(patience)?;
            }
            done => return done,
        }
    }
}

/// What only a host of the user's own has.
pub(super) fn refuse_options(args: &Args) -> Result<()> {
    if approved::is_meant(args) || args.idle.is_some() {
        let what = format!(
            "--approval, --request and --idle are only for servers, and {} is a workspace",
            foreign::word(&args.workspace)
        );
        return Err(Error::new(Code::Usage, what).hint("leave them out"));
    }
    let option = match (&args.workdir, args.interactive) {
        (Some(_), _) => "--workdir",
        (None, true) => "--interactive",
        (None, false) => return Ok(()),
    };
    Err(Error::new(
        Code::Usage,
        format!("{option} is for hosts of your own, and {} is a workspace", foreign::word(&args.workspace)),
    )
    .hint("name a host with ssh:HOST"))
}

/// How long a person's connection is kept: `90s`, `30m`, `8h`; 1 minute to 24 hours.
pub(super) fn keep_seconds(text: &str) -> std::result::Result<u32, String> {
    let (number, unit) =
        text.split_at(text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).len());
    let unit = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("the unit is s, m or h".to_owned()),
    };
    let seconds = Some(number)
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|number| number.parse::<u32>().ok()?.checked_mul(unit));
    match seconds {
        Some(seconds) if (60..=86_400).contains(&seconds) => Ok(seconds),
        _ => Err("it must be between 1m and 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_bounds() {
        for (text, seconds) in [("60", 60), ("90s", 90), ("1m", 60), ("8h", 28_800), ("24h", 86_400)] {
            assert_eq!(keep_seconds(text), Ok(seconds), "{text}");
        }
        for bad in ["", "h", "59", "0m", "25h", "1d", "1.5h", "-1h", "+1h", "8 h", "99999999999h", "ｈ"] {
            assert!(keep_seconds(bad).is_err(), "{bad}");
        }
    }
}
