use std::fmt;

/// Why a certificate is refused. Its text continues a sentence that begins with `the certificate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It holds a line break or another control character.
    NotOneLine,
    /// The bytes are not a certificate.
    NotACertificate,
    /// A known option or extension has a value that it cannot have.
    MalformedOption,
    /// It is a host certificate.
    NotForUsers,
    /// It certifies another key.
    OtherKey,
    /// Its principals are not exactly the expected one.
    OtherPrincipals,
    /// It is not valid yet, or no longer.
    NotValidNow,
    /// It stays valid for longer than the caller accepts.
    TooLong,
    /// It has a critical option that the caller does not accept.
    UnknownOption,
    /// Its critical options are not exactly those that were asked for.
    OtherOptions,
    /// Its extensions are not exactly those that were asked for.
    OtherExtensions,
    /// The signature does not match the authority's key in the certificate.
    NotSigned,
    /// Another authority signed it.
    OtherAuthority,
}

impl Refusal {
    /// The text, `is not a certificate` for example.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::NotOneLine => "is not one line",
            Refusal::NotACertificate => "is not a certificate",
            Refusal::MalformedOption => "has a malformed option or extension",
            Refusal::NotForUsers => "is not a user certificate",
            Refusal::OtherKey => "is for another key",
            Refusal::OtherPrincipals => "is not for exactly this user",
            Refusal::NotValidNow => "is not valid now",
            Refusal::TooLong => "is valid for longer than was requested",
            Refusal::UnknownOption => "has a critical option that is not known here",
            Refusal::OtherOptions => "does not force exactly what was asked for",
            Refusal::OtherExtensions => "permits something that was not asked for",
            Refusal::NotSigned => "is not signed by the key that it names",
            Refusal::OtherAuthority => "is signed by another authority",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Refusal {}
