//! The values of critical options and extensions (OpenSSH PROTOCOL.certkeys, "Critical options" and "Extensions").

use std::net::IpAddr;

/// The extensions that grant something by their presence; their value is empty.
const FLAGS: [&str; 6] = [
    "no-touch-required",
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
];

/// Whether a critical option, if it is a known one, has a value that sshd(8) accepts.
pub fn is_well_formed_option(name: &str, value: &str) -> bool {
    match name {
        "force-command" => !value.is_empty() && !value.contains('\0'),
        "source-address" => value.split(',').all(is_network),
        "verify-required" => value.is_empty(),
        _ => true,
    }
}

/// The same for an extension. Anybody may invent one with any value.
pub(crate) fn is_well_formed_extension(name: &str, value: &str) -> bool {
    value.is_empty() || !FLAGS.contains(&name)
}

/// Whether `text` is an address or a network in CIDR notation without bits behind its mask, as `addr_match_cidr_list` of
/// OpenSSH requires.
fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let Some(length) = length else { return true };
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let (bits, width) = match address {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), u32::BITS),
        IpAddr::V6(ip) => (ip.to_bits(), u128::BITS),
    };
    match length.parse::<u32>() {
        Ok(length) if length <= width => bits & low_bits(width - length) == 0,
        _ => false,
    }
}

/// A number whose lowest `count` bits are set.
fn low_bits(count: u32) -> u128 {
    1u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_address_accepts_only_networks() {
        let good = ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32,10.1.2.3/32", "::1/128"];
        let bad = [
            "",
            ",",
            "10.0.0.0/8,",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::1/129",
            "::1/64",
            "localhost",
            "10.0.0.0/8 ",
            "!10.0.0.0/8",
            "10.0.0.0/99999999999",
        ];
        for value in good {
            assert!(is_well_formed_option("source-address", value), "{value}");
        }
        for value in bad {
            assert!(!is_well_formed_option("source-address", value), "{value}");
        }
    }

    #[test]
    fn flags_have_no_value() {
        assert!(is_well_formed_extension("permit-pty", ""));
        assert!(!is_well_formed_extension("permit-pty", "no"));
        assert!(is_well_formed_extension("made-up@example.com", "any"));
        assert!(is_well_formed_option("verify-required", ""));
        assert!(!is_well_formed_option("verify-required", "yes"));
        assert!(is_well_formed_option("force-command", "id"));
        assert!(!is_well_formed_option("force-command", ""));
        assert!(is_well_formed_option("made-up@example.com", "any"));
    }
}
