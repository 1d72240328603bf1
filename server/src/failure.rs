//! What goes wrong: a kind for programs, a sentence for people.

use std::fmt;

/// The kinds, with their HTTP status and code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value that cannot be used.
    BadRequest,
    /// A key of another type than ssh-ed25519.
    BadKey,
    /// No token, or a wrong or revoked one.
    Unauthorized,
    /// A login or token that has ended.
    Expired,
    /// The role does not allow it.
    Forbidden,
    /// The token's scopes do not allow it.
    Scope,
    /// The role allows profiles only.
    ProfileOnly,
    /// A form that this session was not shown.
    Form,
    /// There is none, or none that one may see.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// The request is for another host.
    Misdirected,
    /// A host shows other keys than before.
    HostChanged,
    /// The name is in use.
    Taken,
    /// The last administrator cannot go.
    LastAdmin,
    /// A link or code that was used or has ended.
    Spent,
    /// Too many at once.
    RateLimited,
    /// The database does not answer.
    Database,
    /// The signing key cannot be used.
    Signer,
    /// The workspace has no host yet.
    NotEnrolled,
    /// The configuration or the command line is wrong.
    Usage,
    /// The system refused something.
    System,
}

impl Kind {
    /// The HTTP status.
    pub(crate) fn status(self) -> u16 {
        match self {
            Kind::BadRequest | Kind::BadKey | Kind::Usage => 400,
            Kind::Unauthorized | Kind::Expired => 401,
            Kind::Forbidden | Kind::Scope | Kind::ProfileOnly | Kind::Form => 403,
            Kind::NotFound => 404,
            Kind::TooLarge => 413,
            Kind::Misdirected => 421,
            Kind::HostChanged | Kind::Taken | Kind::LastAdmin => 409,
            Kind::Spent => 410,
            Kind::RateLimited => 429,
            Kind::Database | Kind::Signer | Kind::NotEnrolled => 503,
            Kind::System => 500,
        }
    }

    /// The code for programs.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Kind::BadRequest => "bad_request",
            Kind::BadKey => "bad_key",
            Kind::Unauthorized => "unauthorized",
            Kind::Expired => "expired",
            Kind::Forbidden => "forbidden",
            Kind::Scope => "scope",
            Kind::ProfileOnly => "profile_only",
            Kind::Form => "form",
            Kind::NotFound => "not_found",
            Kind::TooLarge => "too_large",
            Kind::Misdirected => "misdirected",
            Kind::HostChanged => "host_changed",
            Kind::Taken => "taken",
            Kind::LastAdmin => "last_admin",
            Kind::Spent => "spent",
            Kind::RateLimited => "rate_limited",
            Kind::Database => "database",
            Kind::Signer => "signer",
            Kind::NotEnrolled => "not_enrolled",
            Kind::Usage => "usage",
            Kind::System => "system",
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which kind.
    pub kind: Kind,
    /// What happened and what to do, for people.
    pub message: String,
}

/// A result of this crate.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// One of a kind.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into() }
    }

    /// A value that cannot be used.
    pub(crate) fn bad(message: impl Into<String>) -> Failure {
        Failure::new(Kind::BadRequest, message)
    }

    /// There is none with that name.
    pub(crate) fn missing(what: impl fmt::Display) -> Failure {
        Failure::new(Kind::NotFound, format!("There is no {what}."))
    }

    /// Whether it is what a wrong code, link or token gets.
    pub(crate) fn is_wrong_guess(&self) -> bool {
        matches!(self.kind, Kind::NotFound | Kind::Spent | Kind::Unauthorized)
    }

    /// The exit status of the program.
    pub(crate) fn exit(&self) -> u8 {
        match self.kind {
            Kind::Usage | Kind::BadRequest => 2,
            Kind::LastAdmin => 3,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
