//! `exec`: a command on the workspace, its output as text.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::mcp::workspace::answer::{self, Answer, MAX};
use crate::mcp::workspace::capture::{Capture, State};
use crate::mcp::workspace::shelf::{Entry, Place, Side};
use crate::mcp::workspace::{Context, jobs, outlasting, pages, text};
use crate::origin::OriginId;
use crate::output::foreign;
use crate::session::Sessions;
use crate::session::execution::{self, Execution};
use crate::session::policy::{self, Feed, Permit, Request};
use crate::session::profile::{self, Started};
use crate::transport::{Ended, EnvName, Limits, Secret, Stream, Streams, Variables};

/// How long a command may take unless the call says so, in seconds: less than the shorter limit that a client has by itself.
const TIMEOUT: u64 = 240;

/// How long the rest of the output may take once the command has ended, or was ended.
const REST: Duration = Duration::from_secs(60);
const REST_CUT: Duration = Duration::from_secs(1);

/// What runs.
enum What {
    Command(Execution),
    Profile(Box<Permit>),
}

/// Runs it.
pub(super) fn run(context: &Context<'_>) -> Result<Answer> {
    let arguments = context.arguments;
    let sessions = context.app.sessions()?;
    let seconds = arguments.number("timeout").unwrap_or(TIMEOUT);
    let what = what(context, &sessions, seconds)?;
    let becomes_a_job = arguments.text("background").is_some();
    if arguments.flag("background") || becomes_a_job {
        return match what {
            What::Command(execution) if becomes_a_job => {
                outlasting::run(context, &sessions, execution, seconds)
            }
            What::Command(execution) => jobs::start(context, &sessions, execution),
            What::Profile(_) => Err(jobs::is_not_for("profile")),
        };
    }
    let place = context.service.shelf.place(context.app.paths()?);
    let pipe = || std::io::pipe().map_err(|error| Error::io("make a pipe", error));
    let ((output, stdout), (errors, stderr)) = (pipe()?, pipe()?);
    let (stdin, input) = match arguments.text("stdin") {
        Some(text) => {
            let (reader, writer) = pipe()?;
            (Stream::from(reader), Some((writer, text.to_owned())))
        }
        None => (Stream::Null, None),
    };
    let streams = Streams { stdin, stdout: stdout.into(), stderr: Stream::from(stderr) };
    // Before the command: one that cannot be relayed is not run.
    let thread = |error| Error::io("start a thread", error);
    if let Some((mut writer, text)) = input {
        let write = move || drop(writer.write_all(text.as_bytes())); // a command may end without reading it
        std::thread::Builder::new().spawn(write).map_err(thread)?;
    }
    let out = Capture::start(output, Side::Out, place.clone(), context.teller()).map_err(thread)?;
    let err = Capture::start(errors, Side::Err, place.clone(), context.teller()).map_err(thread)?;
    let began = Instant::now();
    let (session, running, begun, seconds) = match &what {
        What::Command(execution) => {
            let session = context.session(&sessions)?;
            let running = execution::begin(&sessions, &session, execution, &streams)?;
            drop(streams);
            (Some(session), running, None, seconds)
        }
        What::Profile(permit) => {
            let Started { session, running, begun, held } = profile::start(&sessions, permit, streams)?;
            let limit = permit.timeout.map_or(seconds, |limit| limit.as_secs());
            (session, running, Some((begun, held)), limit)
        }
    };
    let timeout = Some(Duration::from_secs(seconds));
    let ended = running.wait(&Limits { timeout, interruptible: true });
    let is_cut = !matches!(ended, Ok(Ended::Status(_)));
    let patience = if is_cut { REST_CUT } else { REST };
    let (mut out, mut err) = (out.finish(patience), err.finish(patience));
    let mut end = End::of(ended, seconds, || execution::unknown_end(&sessions, session.as_ref()));
    if let Some((begun, held)) = begun {
        drop(held);
        // Who keeps a log of actions may object to what cannot be logged.
        if let Err(error) = begun.end(end.outcome())
            && matches!(end, End::Status(_))
        {
            end = End::Unknown(error);
        }
    }
    if context.call.cancel.is_cancelled() {
        place.remove();
        return Err(Error::interrupted());
    }
    let id = keep(context, &place, &mut out, &mut err, &end);
    Ok(end.answer(&out, &err, id, began.elapsed()))
}

/// What the arguments mean; a profile is judged before anything is connected to.
fn what(context: &Context<'_>, sessions: &Sessions<'_>, seconds: u64) -> Result<What> {
    let arguments = context.arguments;
    let (words, is_exact) = match (
        arguments.text("command"),
        arguments.words("argv"),
        arguments.text("profile"),
    ) {
        (Some(command), None, None) => (vec![command.into()], false),
        (None, Some(words), None) => (words.into_iter().map(Into::into).collect(), true),
        (None, None, Some(profile)) if !arguments.has("cwd") && !arguments.has("env") => {
            let key = match context.app.named(context.workspace().as_deref()) {
                Some(named) => context.app.resolve(&named.words).map_err(|error| named.explain(error))?.key,
                None => sessions.attached_key()?,
            };
            let request = Request {
                profile: profile.to_owned(),
                values: arguments
                    .pairs("args")
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                timeout: Some(Duration::from_secs(seconds)),
                feed: arguments.text("stdin").map_or(Feed::Nothing, |text| Feed::Text(text.to_owned())),
                approval: arguments.text("approval").map(str::to_owned),
            };
            return policy::judge(sessions, &key, request).map(|permit| What::Profile(Box::new(permit)));
        }
        _ => {
            return Err(Error::new(Code::Usage, "exec takes one of `command`, `argv` and `profile`").hint(
                "`command` is a piece of shell; `argv` is a program and its exact arguments; `profile`, with `args`, is \
                 what a server's owner allows, and has no `cwd` or `env`",
            ));
        }
    };
    if arguments.has("args") {
        return Err(Error::new(Code::Usage, "`args` are the arguments of a `profile`")
            .hint("the arguments of a program stand in `argv`"));
    }
    if arguments.has("approval") {
        return Err(Error::new(Code::Usage, "`approval` needs `profile`, which was not given")
            .hint("leave it out: a command needs no approval"));
    }
    Ok(What::Command(Execution {
        from_home: false,
        folder: arguments.text("cwd").map(str::to_owned),
        env: variables(context, sessions)?,
        no_stdin: !arguments.has("stdin"),
        timeout: Some(Duration::from_secs(seconds)),
        words,
        is_exact,
    }))
}

impl Context<'_> {
    /// What tells whoever asked for progress of the last line of a piece of output.
    fn teller(&self) -> impl Fn(&[u8]) + Send + use<> {
        const LOOKED_AT: usize = 2000;
        let progress = self.call.teller();
        move |piece: &[u8]| {
            let end = piece.get(piece.len().saturating_sub(LOOKED_AT)..).unwrap_or_default();
            let mut lines = end.rsplit(|&byte| byte == b'\n').map(text::line);
            progress(&lines.find(|line| !line.trim().is_empty()).unwrap_or_default());
        }
    }
}

/// The command's variables. On a machine that others may use too, a secret has no place in a command line.
fn variables(context: &Context<'_>, sessions: &Sessions<'_>) -> Result<Variables> {
    if !context.arguments.has("env") {
        return Ok(Variables::default());
    }
    let is_shared = !matches!(context.session(sessions)?.meta.key.origin(), OriginId::Plane(_));
    let mut variables = Variables::default();
    for (name, value) in context.arguments.pairs("env") {
        let parsed = EnvName::parse(name).map_err(|why| {
            Error::new(Code::Usage, format!("exec: the name {} in `env` {why}", foreign::word(name)))
        })?;
        if is_shared && parsed.is_secret_like() {
            variables.secret.push((parsed, Secret::new(value.to_owned())));
        } else {
            variables.plain.push((parsed, value.to_owned()));
        }
    }
    Ok(variables)
}

/// Keeps the output; the id to read it by. That it cannot be kept is no failure of the command.
pub(super) fn keep(
    context: &Context<'_>,
    place: &Place,
    out: &mut State,
    err: &mut State,
    end: &End,
) -> Option<String> {
    let is_kept = [out.settle(), err.settle()] == [true, true];
    let entry = Entry { state: end.words(), stdout_bytes: out.total, stderr_bytes: err.total };
    let is_any = out.total + err.total > 0;
    let kept = is_any && is_kept && place.finish(&context.service.shelf, &entry, out.kept + err.kept).is_ok();
    if !kept {
        place.remove();
    }
    kept.then(|| place.id().to_owned())
}

/// How the command ended.
pub(super) enum End {
    Status(u8),
    TimedOut { seconds: u64, is_gone: bool },
    Unknown(Error),
}

impl End {
    fn of(ended: Result<Ended>, seconds: u64, unknown: impl Fn() -> Error) -> End {
        match ended {
            Ok(Ended::Status(status)) => End::Status(status),
            Ok(Ended::TimedOut { remote_ended }) => End::TimedOut { seconds, is_gone: remote_ended },
            Ok(Ended::NoStatus) => End::Unknown(unknown()),
            Ok(Ended::Interrupted { .. }) => End::Unknown(Error::interrupted()),
            Err(error) => End::Unknown(error),
        }
    }

    /// As a status, or a failure.
    fn outcome(&self) -> Result<u8> {
        match self {
            End::Status(status) => Ok(*status),
            End::TimedOut { .. } => Err(Error::new(Code::TimedOut, format!("the command {}", self.words()))),
            End::Unknown(error) => Err(Error::new(error.code(), error.message())),
        }
    }

    fn words(&self) -> String {
        match self {
            // A shell reports this for a program that a signal ended, but any program may.
            End::Status(status) => match signal(*status) {
                Some(signal) => format!("exit {status}, 128 + {signal}"),
                None => format!("exit {status}"),
            },
            End::TimedOut { seconds, is_gone: true } => format!("timed out after {seconds} s, ended"),
            End::TimedOut { seconds, .. } => format!("timed out after {seconds} s, may still be running"),
            End::Unknown(_) => "how it ended is not known".to_owned(),
        }
    }

    pub(super) fn answer(&self, out: &State, err: &State, id: Option<String>, took: Duration) -> Answer {
        let mut text = shown(out, err, id.as_deref());
        let mut last = vec![self.words()];
        if text.is_empty() {
            last.insert(0, "no output".to_owned());
        }
        last.push(format!("{:.1} s", took.as_secs_f64()));
        last.extend(id.clone());
        if let End::Unknown(error) = self {
            text += &format!("{}\n", answer::words(error));
        }
        text += &format!("[{}]", last.join(" \u{b7} "));
        let answer = Answer::text(text).with(json!({
            "exit_code": if let End::Status(status) = self { Value::from(*status) } else { Value::Null },
            // A status above 128 may be a program's own: which signal it was is not known.
            "signal": Value::Null,
            "timed_out": matches!(self, End::TimedOut { .. }),
            "stdout_bytes": out.total,
            "stderr_bytes": err.total,
            "id": id,
            "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }));
        match self {
            End::Status(0) => answer,
            End::Unknown(error) => answer.unsuccessful().told(error),
            End::TimedOut { .. } => answer.unsuccessful().told(
                &Error::new(Code::TimedOut, format!("the command {}", self.words()))
                    .hint("it was not run again; raise `timeout`, or leave it out"),
            ),
            End::Status(_) => answer.unsuccessful(),
        }
    }
}

/// The signal for a status above 128, if it ends programs and has the same number everywhere.
fn signal(status: u8) -> Option<&'static str> {
    Some(match status.checked_sub(128)? {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        _ => return None,
    })
}

/// Both streams, each with its line end, in what a result may be long.
fn shown(out: &State, err: &State, id: Option<&str>) -> String {
    const OURS: usize = 1500; // an error, and the last line
    const ERRORS: usize = 8000;
    let whole = |mut text: String| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text
    };
    // Where both are long, most of the room is stdout's.
    let all = MAX - OURS;
    let of_out = whole(pages::shorten(out, id, all));
    let left = all.saturating_sub(of_out.chars().count());
    let of_err = whole(pages::shorten(err, id, left.max(ERRORS)));
    let used = of_err.chars().count();
    let of_out = if used > left { whole(pages::shorten(out, id, all - used.min(ERRORS))) } else { of_out };
    if of_err.is_empty() { of_out } else { format!("{of_out}[stderr]\n{of_err}") }
}
