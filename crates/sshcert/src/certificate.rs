use ssh_key::certificate::CertType;
use ssh_key::public::KeyData;

use crate::{Refusal, options, rsa};

/// A well-formed certificate without its comment. It promises nothing about who signed it or for whom: see
/// [`Certificate::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    parsed: ssh_key::Certificate,
    line: String,
}

/// What [`Certificate::check`] accepts.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The certified key.
    pub key: &'a KeyData,
    /// The one principal.
    pub principal: &'a str,
    /// The time of the check, in seconds since 1970.
    pub now: u64,
    /// How far the authority's clock may be from ours, in seconds.
    pub skew: u64,
    /// How long the certificate may still be valid, in seconds; `None` accepts any time.
    pub longest: Option<u64>,
    /// The critical options that the caller honours.
    pub critical_options: &'a [&'a str],
    /// The authority that must have signed it. With `None`, any may have; its signature is still verified.
    pub authority: Option<&'a KeyData>,
}

impl Certificate {
    /// Parses a line such as `ssh-ed25519-cert-v01@openssh.com AAAA…`, with or without a comment and a line break at its end.
    ///
    /// # Errors
    /// When it is more than one line, not a certificate, or has a malformed option or extension.
    pub fn parse(text: &str) -> Result<Certificate, Refusal> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.chars().any(char::is_control) {
            return Err(Refusal::NotOneLine);
        }
        let parsed = ssh_key::Certificate::from_openssh(text).map_err(|_| Refusal::NotACertificate)?;
        let certificate = Certificate::try_from(parsed)?;
        // The library skips bytes behind an option's value. ssh(1) would get another certificate than the one that was signed.
        if text.split(' ').nth(1) != certificate.line.split(' ').nth(1) {
            return Err(Refusal::NotACertificate);
        }
        Ok(certificate)
    }

    /// Refuses whatever differs from `expected`.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), Refusal> {
        let parsed = &self.parsed;
        let end = expected
            .longest
            .map_or(u64::MAX, |longest| expected.now.saturating_add(longest).saturating_add(expected.skew));
        if parsed.cert_type() != CertType::User {
            return Err(Refusal::NotForUsers);
        }
        if parsed.public_key() != expected.key {
            return Err(Refusal::OtherKey);
        }
        if parsed.valid_principals() != [expected.principal] {
            return Err(Refusal::OtherPrincipals);
        }
        if parsed.valid_after() > expected.now.saturating_add(expected.skew)
            || parsed.valid_before() <= expected.now
        {
            return Err(Refusal::NotValidNow);
        }
        if parsed.valid_before() > end {
            return Err(Refusal::TooLong);
        }
        if parsed.critical_options().keys().any(|name| !expected.critical_options.contains(&name.as_str())) {
            return Err(Refusal::UnknownOption);
        }
        if expected.authority.is_some_and(|authority| parsed.signature_key() != authority) {
            return Err(Refusal::OtherAuthority);
        }
        let is_signed = match parsed.signature_key() {
            KeyData::Rsa(key) => rsa::has_signed(key, parsed),
            _ => parsed.verify_signature().is_ok(),
        };
        if !is_signed {
            return Err(Refusal::NotSigned);
        }
        Ok(())
    }

    /// As [`Certificate::check`], and refuses critical options and extensions other than exactly these. Here `critical_options`
    /// counts, and that of `expected` does not.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_exactly(
        &self,
        expected: &Expected<'_>,
        critical_options: &[(&str, &str)],
        extensions: &[&str],
    ) -> Result<(), Refusal> {
        let names = critical_options.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        self.check(&Expected { critical_options: &names, ..*expected })?;
        let parsed = &self.parsed;
        let has = |(name, value): &(&str, &str)| {
            parsed.critical_options().iter().any(|(own, own_value)| own == name && own_value == value)
        };
        if parsed.critical_options().len() != critical_options.len() || !critical_options.iter().all(has) {
            return Err(Refusal::OtherOptions);
        }
        let permits =
            |name: &&str| parsed.extensions().iter().any(|(own, value)| own == name && value.is_empty());
        if parsed.extensions().len() != extensions.len() || !extensions.iter().all(permits) {
            return Err(Refusal::OtherExtensions);
        }
        Ok(())
    }

    /// The line without a comment.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// Whom it is for.
    pub fn principals(&self) -> &[String] {
        self.parsed.valid_principals()
    }

    /// The certified key.
    pub fn key(&self) -> &KeyData {
        self.parsed.public_key()
    }

    /// The fingerprint of the key that signed it.
    pub fn authority(&self) -> String {
        self.parsed.signature_key().fingerprint(ssh_key::HashAlg::Sha256).to_string()
    }

    /// The serial number that the authority gave it.
    pub fn serial(&self) -> u64 {
        self.parsed.serial()
    }

    /// The authority's note about whom it is for.
    pub fn key_id(&self) -> &str {
        self.parsed.key_id()
    }

    /// From when on it is valid, in seconds since 1970.
    pub fn valid_after(&self) -> u64 {
        self.parsed.valid_after()
    }

    /// When it stops being valid, in seconds since 1970.
    pub fn valid_before(&self) -> u64 {
        self.parsed.valid_before()
    }
}

/// Takes a certificate that an SSH library has decoded.
impl TryFrom<ssh_key::Certificate> for Certificate {
    type Error = Refusal;

    fn try_from(mut parsed: ssh_key::Certificate) -> Result<Certificate, Refusal> {
        let is_well_formed = parsed
            .critical_options()
            .iter()
            .all(|(name, value)| options::is_well_formed_option(name, value))
            && parsed.extensions().iter().all(|(name, value)| options::is_well_formed_extension(name, value));
        if !is_well_formed {
            return Err(Refusal::MalformedOption);
        }
        parsed.set_comment("");
        let mut line = parsed.to_openssh().map_err(|_| Refusal::NotACertificate)?;
        line.truncate(line.trim_end().len());
        Ok(Certificate { parsed, line })
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
