//! One run of a tool's program, to its end.

use std::collections::VecDeque;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::mcp::Call;
use crate::mcp::serve::escalation::{PRELUDE, frame};
use crate::mcp::serve::lifeline::Lifeline;
use crate::mcp::serve::tool::Tool;
use crate::mcp::serve::values::Words;
use crate::sys::new_session;

/// How much is read at once, and so sent in one message.
const PIECE: usize = 48 << 10;

/// How long a program has after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// How long what a program started may hold its output open once it has ended.
const LINGER: Duration = Duration::from_millis(500);

/// What is kept of a stream: its first and its last bytes.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) head: Vec<u8>,
    pub(super) tail: VecDeque<u8>,
    pub(super) total: u64,
}

impl Kept {
    fn add(&mut self, bytes: &[u8], max: usize) {
        self.total += bytes.len() as u64;
        let (head, rest) = bytes.split_at((max / 2).saturating_sub(self.head.len()).min(bytes.len()));
        self.head.extend_from_slice(head);
        let room = max - max / 2;
        self.tail.extend(rest.get(rest.len().saturating_sub(room)..).unwrap_or_default());
        self.tail.drain(..self.tail.len().saturating_sub(room));
    }
}

/// How a run ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// None for one that could not be ended, or that goes on without its client.
    pub(super) status: Option<ExitStatus>,
    pub(super) is_timed_out: bool,
    pub(super) may_still_run: bool,
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
}

enum Event {
    Bytes { is_stderr: bool, bytes: Vec<u8> },
    End,
}

/// Runs the tool. What it writes goes to the client as it comes, where `is_live`; else it is kept.
pub(super) fn run(
    tool: &Tool,
    words: &Words,
    call: &Call,
    is_live: bool,
    lifeline: &Lifeline,
) -> io::Result<Ended> {
    let (mut command, input) = command(tool, words)?;
    new_session::lead(&mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let _held = (!tool.finishes).then(|| lifeline.hold(Pid::from_child(&child)));
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // On a thread of its own: a program may never read it.
        let _ = std::thread::Builder::new().spawn(move || stdin.write_all(&input));
    }
    let (sender, events) = mpsc::sync_channel(8);
    let mut drains = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        drains.extend(stdout.as_fd().try_clone_to_owned().ok().filter(|_| tool.finishes));
        collect(stdout, false, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        drains.extend(stderr.as_fd().try_clone_to_owned().ok().filter(|_| tool.finishes));
        collect(stderr, true, sender.clone());
    }
    let ended = Run { tool, call, is_live, child, events, drains, ended: Ended::default() }.follow();
    drop(sender);
    ended
}

/// The command line, and what its stdin is to have.
fn command(tool: &Tool, words: &Words) -> io::Result<(Command, Option<Vec<u8>>)> {
    let file = tool.file.display().to_string();
    let mut variables = [("RUNSPEC_AGENT", "1"), ("RUNSPEC_LABEL", "mcp"), ("RUNSPEC_CONFIG", &file)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    variables.extend(words.variables.iter().cloned());
    variables.extend(tool.env.iter().cloned());
    let mut argv = [tool.program.as_slice(), &words.words].concat();
    let mut input = None;
    if let Some(escalation) = &tool.escalation {
        let names = tool.args.iter().flat_map(|arg| &arg.env).collect::<Vec<_>>();
        let needs_frame = tool.becomes_with_env || !tool.env.is_empty() || !names.is_empty();
        if needs_frame && escalation.takes_frame() {
            let ours = names.into_iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
            let all = ours.chain(variables.iter().cloned()).collect::<Vec<_>>();
            input = Some(frame(all.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
            let prelude = ["sh", "-c", PRELUDE, "sh"].map(str::to_owned);
            argv = prelude.into_iter().chain(argv).collect();
        }
        argv = escalation.wrap(&argv);
    }
    let Some((program, arguments)) = argv.split_first() else {
        return Err(io::Error::other("it has no program"));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(variables);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    if let Some(cwd) = &tool.cwd {
        command.current_dir(cwd);
    }
    Ok((command, input))
}

/// Reads a stream to its end, also when nobody wants the rest.
fn collect(mut stream: impl Read + Send + 'static, is_stderr: bool, sender: SyncSender<Event>) {
    let reading = move || {
        let mut piece = vec![0; PIECE];
        loop {
            match stream.read(&mut piece) {
                Ok(count @ 1..) => {
                    let bytes = piece.get(..count).unwrap_or_default().to_vec();
                    let _ = sender.send(Event::Bytes { is_stderr, bytes });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let _ = sender.send(Event::End);
    };
    let _ = std::thread::Builder::new().spawn(reading); // without a thread nothing is kept
}

struct Run<'a> {
    tool: &'a Tool,
    call: &'a Call,
    is_live: bool,
    child: Child,
    events: Receiver<Event>,
    /// The streams of a tool that goes on without its client.
    drains: Vec<OwnedFd>,
    ended: Ended,
}

impl Run<'_> {
    fn follow(mut self) -> io::Result<Ended> {
        let timeout = self.tool.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let (mut open, mut pause) = (2, Duration::from_millis(1));
        let mut until = None::<Instant>;
        loop {
            match self.events.recv_timeout(pause) {
                Ok(Event::Bytes { is_stderr, bytes }) => self.take(is_stderr, &bytes),
                Ok(Event::End) => open -= 1,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
            }
            if self.ended.status.is_none() {
                self.ended.status = self.child.try_wait()?;
            }
            let now = Instant::now();
            if self.ended.status.is_some() {
                let last = *until.get_or_insert(now + LINGER);
                if open == 0 || now >= last {
                    return Ok(self.ended);
                }
            }
            let is_cancelled = self.call.cancel.is_cancelled();
            if is_cancelled && self.call.is_abandoned() && self.tool.finishes {
                self.let_go();
                return Ok(self.ended);
            }
            let is_late = timeout.is_some_and(|timeout| now >= timeout);
            if self.ended.status.is_none() && (is_cancelled || is_late) {
                self.ended.is_timed_out = is_late && !is_cancelled;
                return self.end(open);
            }
        }
    }

    fn take(&mut self, is_stderr: bool, bytes: &[u8]) {
        let (kept, name) = match is_stderr {
            true => (&mut self.ended.stderr, "stderr"),
            false => (&mut self.ended.stdout, "stdout"),
        };
        if self.is_live {
            kept.total += bytes.len() as u64;
            self.call.output(name, bytes);
        } else {
            kept.add(bytes, self.tool.max_output);
            if is_stderr {
                let _ = io::stderr().lock().write_all(bytes);
            }
        }
        let lines = bytes.split(|&byte| byte == b'\n' || byte == b'\r');
        if let Some(line) = lines.rev().find(|line| !line.trim_ascii().is_empty()) {
            let start = line.get(..line.len().min(1024)).unwrap_or_default();
            self.call.teller()(&String::from_utf8_lossy(start));
        }
    }

    /// SIGTERM to the group, and after a while SIGKILL.
    fn end(mut self, mut open: i32) -> io::Result<Ended> {
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        let mut kill = Some(deadline);
        loop {
            match self.events.recv_timeout(Duration::from_millis(5)) {
                Ok(Event::Bytes { is_stderr, bytes }) => self.take(is_stderr, &bytes),
                Ok(Event::End) => open -= 1,
                Err(_) => {}
            }
            if self.ended.status.is_none() {
                self.ended.status = self.child.try_wait()?;
            }
            let is_gone = self.ended.status.is_some() && test_kill_process_group(group).is_err();
            let now = Instant::now();
            if is_gone && (open == 0 || kill.is_none() || now >= deadline) {
                return Ok(self.ended);
            }
            if kill.is_some_and(|at| now >= at) {
                kill = None;
                let _ = kill_process_group(group, Signal::KILL);
                // What another user's program does about it cannot be seen from here.
                self.ended.may_still_run = self.tool.escalation.is_some();
            }
            if now >= deadline + LINGER / 2 {
                self.ended.may_still_run |= self.ended.status.is_none();
                return Ok(self.ended);
            }
        }
    }

    /// Has it go on without us: what it still writes is read, and dropped, by others.
    fn let_go(&mut self) {
        for stream in self.drains.drain(..) {
            let mut cat = Command::new("cat");
            cat.stdin(stream).stdout(Stdio::null()).stderr(Stdio::null());
            new_session::lead(&mut cat);
            let _ = cat.spawn();
        }
    }
}
