//! The tripwire: a bundle whose `ssh_config` text would make ssh run something comes from a plane that is not well.
//!
//! Nothing of that text is ever used. Finding such a directive in it means that the rest cannot be trusted either.

/// The directives that make ssh run or load a program, read more configuration, or go through another host.
const COMMANDS: [&str; 13] = [
    "include",
    "knownhostscommand",
    "localcommand",
    "permitlocalcommand",
    "pkcs11provider",
    "proxycommand",
    "proxyjump",
    "proxyusefdpass",
    "remotecommand",
    "securitykeyprovider",
    "smartcarddevice",
    "sshaskpass",
    "xauthlocation",
];

/// The first command-executing directive in an ssh_config text, however it is spelt, quoted, indented or ended.
pub fn find(text: &str) -> Option<&'static str> {
    let ends_line = |c: char| c.is_control() && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}');
    text.split(ends_line).find_map(|line| {
        let line = line.to_ascii_lowercase();
        let line = line.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '#');
        let (keyword, rest) =
            line.split_at(line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len()));
        if keyword == "match" && rest.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "exec") {
            return Some("match exec");
        }
        COMMANDS.into_iter().find(|command| *command == keyword)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_trips_it() {
        for text in [
            "ProxyCommand nc %h %p",
            "Host x\n  proxycommand=evil",
            "\t\"ProxyCommand\" evil",
            "PROXYCOMMAND\tevil",
            "a b\rInclude /tmp/x",
            "Match exec \"id\"",
            "match host x !exec=id",
            "Match  \"exec\" id",
            "PKCS11Provider /tmp/x.so",
            "SecurityKeyProvider /tmp/x.so",
            "KnownHostsCommand /bin/x",
            "LocalCommand id",
            "PermitLocalCommand yes",
            "ProxyJump evil",
            "ProxyUseFdpass yes",
            "\u{feff}Include x",
            "Host x\u{b}ProxyCommand evil",
            "= ProxyCommand evil",
            "Host a\u{0}ProxyCommand x",
            "RemoteCommand x",
        ] {
            assert!(find(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn a_harmless_text_does_not() {
        for text in [
            "",
            "Host royal\n  HostName ssh.ws.runcode.io\n  Port 2222\n  User royal\n",
            "# Include this file in yours\n",
            "Match host x\n",
        ] {
            assert_eq!(find(text), None, "{text:?}");
        }
    }
}
