//! The one error type of the CLI, and the one table of its codes.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $status:literal;)+) => {
        /// What went wrong, as a stable word that programs branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The word in the `error` field of the JSON answer.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// The exit status of a command that fails with this code (`exec`, `run` and `shell` use 255 instead).
            pub const fn exit_status(self) -> u8 {
                match self { $(Code::$variant => $status,)+ }
            }

            /// What the code means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The command line is not understood.
    Usage = "usage", 2;
    /// No API token is to be had: log in first.
    NoToken = "no_token", 1;
    /// The API base is neither https nor a literal loopback address, or an answer pointed to another origin.
    InsecureBase = "insecure_base", 1;
    /// The control plane could not be reached, or did not answer in time.
    Network = "network", 1;
    /// The control plane answered with something that is not the contract's JSON.
    BadResponse = "bad_response", 1;
    /// HTTP 400: the control plane did not understand the request.
    BadRequest = "bad_request", 2;
    /// HTTP 401: the token is not valid, or no longer.
    Unauthorized = "unauthorized", 2;
    /// HTTP 403: the token's user may not do that.
    Forbidden = "forbidden", 2;
    /// There is no such workspace, file or attachment.
    NotFound = "not_found", 2;
    /// Several workspaces bear the name.
    Ambiguous = "ambiguous", 2;
    /// HTTP 409: the workspace is not in a state for that, usually not running.
    Conflict = "conflict", 2;
    /// HTTP 429: too many requests.
    RateLimited = "rate_limited", 2;
    /// HTTP 503, or not supported on this platform.
    Unavailable = "unavailable", 2;
    /// Another HTTP error status.
    HttpError = "http_error", 2;
    /// The control plane refused to start the workspace, or the program that starts a server failed.
    StartFailed = "start_failed", 2;
    /// The control plane refused to stop the workspace, or the program that stops a server failed.
    StopFailed = "stop_failed", 2;
    /// The workspace was not up, or SSH did not answer, in the time allowed.
    NotReady = "not_ready", 1;
    /// servers.toml has mistakes, or is not safe to believe.
    BadConfig = "bad_config", 2;
    /// The server's owner does not allow that.
    PolicyDenied = "policy_denied", 2;
    /// Somebody has to approve this first.
    ApprovalRequired = "approval_required", 2;
    /// The approval is none for this.
    ApprovalInvalid = "approval_invalid", 2;
    /// The approved session is over.
    SessionExpired = "session_expired", 2;
    /// The signer cannot be used, said no, or answered with an unsafe certificate.
    SignerFailed = "signer_failed", 1;
    /// The audit log cannot be written, or has lost records; nothing runs that it has to announce.
    AuditFailed = "audit_failed", 1;
    /// The connection bundle is not safe to use.
    UnsafeBundle = "unsafe_bundle", 1;
    /// There is no OpenSSH client.
    SshMissing = "ssh_missing", 1;
    /// SSH could not connect, or the connection was lost.
    Transport = "transport", 1;
    /// ssh wants an answer that only a person can give, or the connection that a person made is gone.
    LoginRequired = "login_required", 1;
    /// The user has never accepted the host's key.
    HostKeyUnknown = "host_key_unknown", 1;
    /// The host shows another key than the one that is known.
    HostKeyChanged = "host_key_changed", 1;
    /// The time that was given is over.
    TimedOut = "timed_out", 1;
    /// A signal on the workspace, or its restart, ended the command.
    Killed = "killed", 1;
    /// A file or folder, of this machine or of the workspace, could not be read or written.
    Io = "io", 1;
    /// Interrupted by a signal.
    Interrupted = "interrupted", 130;
    /// Anything else.
    Error = "error", 1;
}

/// Defines why something was not done, for code that has to decide what follows: each variant carries the [`Error`] that the
/// user is told. The last one is what every other error becomes.
macro_rules! failures {
    ($(#[$doc:meta])+ $vis:vis enum $name:ident { $($(#[$variant_doc:meta])+ $variant:ident,)* .. $(#[$last_doc:meta])+ $last:ident, }) => {
        $(#[$doc])+
        #[derive(Debug)]
        $vis enum $name {
            $($(#[$variant_doc])+ $variant($crate::error::Error),)*
            $(#[$last_doc])+
            $last($crate::error::Error),
        }

        impl From<$crate::error::Error> for $name {
            fn from(error: $crate::error::Error) -> $name {
                $name::$last(error)
            }
        }

        impl From<$name> for $crate::error::Error {
            fn from(failure: $name) -> $crate::error::Error {
                match failure {
                    $($name::$variant(error) => error,)*
                    $name::$last(error) => error,
                }
            }
        }
    };
}
pub(crate) use failures;

/// A failure as the user is told of it: a code, what happened, and what to do next.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: Box<str>,
    hint: Option<Box<str>>,
    tools_hint: Option<Box<str>>,
    status: Option<u8>,
    may_have_begun: bool,
    details: Vec<(&'static str, String)>,
    issues: Box<[Issue]>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// One of the things that are wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Issue {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 is the file as a whole.
    pub line: usize,
    /// The key, such as `servers.prod.port`; empty for the file as a whole.
    pub at: String,
    /// What is wrong with it, as the rest of a sentence. No value is in it: it could be a secret.
    pub message: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": ")?;
        if !self.at.is_empty() {
            write!(f, "{} ", self.at)?;
        }
        f.write_str(&self.message)
    }
}

/// A result whose failure is an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with `message` in the user's words: no full stop, no code, no debug output.
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error {
            code,
            message: message.into().into_boxed_str(),
            hint: None,
            tools_hint: None,
            status: None,
            may_have_begun: false,
            details: Vec::new(),
            issues: Box::default(),
            source: None,
        }
    }

    /// The same failure with a line that says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into().into_boxed_str());
        self.tools_hint = None; // it went with the hint that this one replaces
        self
    }

    /// The same failure with other words for its hint where the reader has tools instead of a command line.
    #[must_use]
    pub fn for_tools(mut self, hint: impl Into<String>) -> Error {
        self.tools_hint = Some(hint.into().into_boxed_str());
        self
    }

    /// The same failure, which ends the process with `status` instead of its code's.
    #[must_use]
    pub fn ending_with(mut self, status: u8) -> Error {
        self.status = Some(status);
        self
    }

    /// The same failure, of a remote command that may have run, in part or whole.
    #[must_use]
    pub fn maybe_begun(mut self) -> Error {
        self.may_have_begun = true;
        self
    }

    /// The same failure with a field of its own in the JSON answer.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl Into<String>) -> Error {
        self.details.push((name, value.into()));
        self
    }

    /// The same failure with everything that is wrong with the files it is about.
    #[must_use]
    pub fn issues(mut self, issues: Vec<Issue>) -> Error {
        self.issues = issues.into();
        self
    }

    /// The same failure with what caused it.
    #[must_use]
    pub fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.source = Some(Box::new(source));
        self
    }

    /// A failed operation on a local file: `doing` says what was tried, such as ``write `x` ``.
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Error {
        let why = reason(&source);
        Error::new(Code::Io, format!("cannot {doing}: {why}")).source(source)
    }

    /// An interruption, by a signal or by whoever may cancel the command.
    pub fn interrupted() -> Error {
        Error::new(Code::Interrupted, "interrupted")
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The exit status that it has of its own, whatever its code's.
    pub fn own_status(&self) -> Option<u8> {
        self.status
    }

    /// Whether a remote command may have run.
    pub fn may_have_begun(&self) -> bool {
        self.may_have_begun
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What to do next, for a reader who has tools instead of a command line.
    pub fn next_step_with_tools(&self) -> Option<&str> {
        self.tools_hint.as_deref().or(self.next_step())
    }

    /// The fields of its own in the JSON answer.
    pub fn details(&self) -> &[(&'static str, String)] {
        &self.details
    }

    /// Everything that is wrong with the files it is about.
    pub fn each_issue(&self) -> &[Issue] {
        &self.issues
    }

    /// The same failure, its message put into a context: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Error {
        self.message = format!("{context}: {}", self.message).into_boxed_str();
        self
    }
}

/// The words of an I/O error, without `(os error N)`.
pub fn reason(error: &std::io::Error) -> String {
    let text = without_number(error);
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The words of an error that ends with an I/O error's, without its `(os error N)` and, on Windows, its full stop.
pub fn without_number(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<std::io::Error> for Error {
    /// For errors that already name their file (fs-err) or need no name (a closed pipe).
    fn from(source: std::io::Error) -> Error {
        Error::new(Code::Io, reason(&source)).source(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_fail() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_ne!(code.exit_status(), 0, "{}", code.as_str());
            assert!(code.meaning().ends_with('.'), "{}", code.as_str());
        }
    }

    #[test]
    fn an_io_error_is_told_without_its_number() {
        let error = Error::io("read `x`", std::io::Error::from_raw_os_error(2));
        let words =
            if cfg!(windows) { "cannot read `x`: " } else { "cannot read `x`: no such file or directory" };
        assert!(error.message().starts_with(words) && !error.message().contains("(os error"), "{error}");
        assert!(!error.message().ends_with('.'), "{error}");
    }
}
