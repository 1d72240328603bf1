//! Names and values that people and hosts send, as types.

use std::net::{IpAddr, Ipv6Addr};

use ssh_key::{Algorithm, PublicKey};

use crate::failure::{Failure, Kind, Result};

/// An e-mail address: lower case, and nothing in it that a log or a key id could be misread by.
pub(crate) fn email(text: &str) -> Result<String> {
    let lower = text.trim().to_ascii_lowercase();
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let is_good = lower.len() <= 254
        && lower.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.is_empty()
                && local.bytes().all(is_local)
                && domain.bytes().all(is_domain)
        });
    if is_good { Ok(lower) } else { Err(Failure::bad("That is not an e-mail address.")) }
}

/// A name for people: one line, at most 100 characters.
pub(crate) fn name(text: &str) -> Result<String> {
    let text = text.trim();
    let is_good = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if is_good {
        Ok(text.to_owned())
    } else {
        Err(Failure::bad("A name is one line of 1 to 100 characters."))
    }
}

/// A workspace's title or a team's name, in the grammar of SSH users: it may stand in any command line.
pub(crate) fn title(text: &str) -> Result<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_good =
        (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) && !text.starts_with(['.', '-']);
    if is_good {
        return Ok(text.to_owned());
    }
    Err(Failure::bad(
        "A title is 1 to 64 letters, digits, `.`, `_` and `-`, and starts with a letter, a digit or `_`.",
    ))
}

/// A login name on a host: as useradd(8) has it, so that it is one file name and one word in any shell.
pub(crate) fn account(text: &str) -> Result<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_good = (1..=32).contains(&text.len())
        && text.bytes().all(is_allowed)
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if is_good {
        return Ok(text.to_owned());
    }
    Err(Failure::bad(
        "An account is 1 to 32 letters, digits, `.`, `_` and `-`, and starts with a letter or `_`.",
    ))
}

/// A plain absolute path, as clients accept it.
pub(crate) fn workdir(text: &str) -> Result<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/@+,:=~-".contains(&byte);
    let is_good = text.starts_with('/')
        && text.len() <= 4096
        && text.bytes().all(is_allowed)
        && !text.split('/').any(|part| part == "..");
    if is_good {
        Ok(text.to_owned())
    } else {
        Err(Failure::bad("A working folder is a plain absolute path."))
    }
}

/// A host name or an address, as clients accept it.
pub(crate) fn host(text: &str) -> Result<String> {
    let wrong = || Failure::bad("That is not a host name or an address.");
    if text.contains(':') {
        let address = text.parse::<Ipv6Addr>().map_err(|_| wrong())?;
        return Ok(address.to_string());
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if text.len() > 253 || !text.split('.').all(is_label) || is_number && text.parse::<IpAddr>().is_err() {
        return Err(wrong());
    }
    Ok(text.to_ascii_lowercase())
}

/// `HOST` or `HOST:PORT`; an IPv6 address with a port stands in brackets.
pub(crate) fn host_and_port(text: &str) -> Result<(String, Option<u16>)> {
    let port = |text: &str| {
        let number = text.parse::<u16>().ok().filter(|port| *port > 0);
        number.ok_or_else(|| Failure::bad("A port is a number from 1 to 65535."))
    };
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let given = rest.strip_prefix(':').map(port).transpose()?;
        if given.is_none() && !rest.is_empty() {
            return Err(Failure::bad("That is not a host name or an address."));
        }
        return Ok((host(address)?, given));
    }
    match text.split_once(':') {
        Some((name, number)) if !number.contains(':') => Ok((host(name)?, Some(port(number)?))),
        _ => Ok((host(text)?, None)),
    }
}

/// The agent that asked, as it may stand in a key id that a host logs: anything odd becomes `?`.
pub(crate) fn client(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._@+/-".contains(c) { c } else { '?' };
    let client: String = text.chars().take(64).map(plain).collect();
    if client.is_empty() { "unknown".to_owned() } else { client }
}

/// The one type of key that sessions use.
pub(crate) fn session_key(text: &str) -> Result<PublicKey> {
    let wrong = || Failure::new(Kind::BadKey, "`public_key` is not one ssh-ed25519 public key.");
    let text = text.trim();
    if text.len() > 1024 || text.chars().any(char::is_control) {
        return Err(wrong());
    }
    let key = PublicKey::from_openssh(text).map_err(|_| wrong())?;
    if key.algorithm() == Algorithm::Ed25519 { Ok(key) } else { Err(wrong()) }
}

/// A host's public keys, as it reported them: one a line. What ssh does not know is left out; sorted, without comments.
pub(crate) fn host_keys(text: &str) -> Result<Vec<String>> {
    if text.len() > 16 * 1024 {
        return Err(Failure::bad("`host_keys` is too long."));
    }
    let parse = |line: &str| {
        let mut key = PublicKey::from_openssh(line.trim()).ok()?;
        key.set_comment("");
        Some(key.to_openssh().ok()?.trim_end().to_owned())
    };
    let mut keys: Vec<String> = text.lines().filter_map(parse).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() || keys.len() > 16 {
        return Err(Failure::bad("`host_keys` has no key that can be pinned."));
    }
    Ok(keys)
}

/// One line of printable ASCII, at most 200 characters of it: for what hosts say of themselves.
pub(crate) fn remark(text: &str) -> String {
    text.chars().take(200).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    #[test]
    fn an_email_is_lower_case_and_plain() {
        assert_eq!(email(" Ann@Example.com "), Ok("ann@example.com".to_owned()));
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b c",
            "a@b@c",
            "a\n@b",
            "ä@b",
            "a@b\"",
            &format!("{}@b", "a".repeat(300)),
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn titles_and_accounts_are_single_words() {
        let long = "a".repeat(65);
        for bad in ["", ".", "..", "-x", "a/b", "a b", "a\n", "ä", "$(id)", "../x", &long] {
            assert!(title(bad).is_err() && account(bad).is_err(), "{bad:?}");
        }
        assert!(title("web.1_x-2").is_ok() && account("dev").is_ok() && account("1dev").is_err());
    }

    #[test]
    fn addresses_are_those_that_clients_accept() {
        assert_eq!(host_and_port("Web.Example:2222"), Ok(("web.example".to_owned(), Some(2222))));
        assert_eq!(host_and_port("[::1]:22"), Ok(("::1".to_owned(), Some(22))));
        assert_eq!(host_and_port("2001:0db8::1"), Ok(("2001:db8::1".to_owned(), None)));
        for bad in ["", "-x", "a..b", "2130706433", "0x7f.1", "a:0", "a:x", "a b", "[::1]x", "a\n", "%h"] {
            assert!(host_and_port(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_client_name_cannot_forge_a_log() {
        assert_eq!(client("x (serial 1)\nAccepted ä"), "x??serial?1??Accepted??");
        assert_eq!(client(&"x".repeat(100)).len(), 64);
        assert_eq!(client(""), "unknown");
    }

    #[test]
    fn only_one_ed25519_key_is_a_session_key() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9E1Pmhk3eJEJe4dKKo5mu0hEKY7nrnXlUmQ2cAcP7";
        assert!(session_key(key).is_ok());
        for bad in
            ["", "x", &format!("{key}\n{key}"), "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==", &"x".repeat(2000)]
        {
            assert_eq!(session_key(bad).unwrap_err().kind, Kind::BadKey, "{bad:?}");
        }
        assert_eq!(host_keys(&format!("{key} root@x\nnoise\n{key}\n")), Ok(vec![key.to_owned()]));
        assert!(host_keys("noise").is_err());
    }
}
