//! The environment of a login: clean, as sshd(8) makes it, whatever the plane itself was started with.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::account;

/// The search path of a login, as sshd(8) has it.
const PATH: &str = if cfg!(target_os = "macos") {
    "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
} else {
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
};

/// Who is logged in where: what the environment of their commands says.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// The workspace's folder, which is also the home.
    pub(crate) dir: PathBuf,
    /// The client's end of the connection.
    pub(crate) client: SocketAddr,
    /// The gateway's end of the connection.
    pub(crate) gateway: SocketAddr,
}

impl Login {
    /// The variables of a command; `accepted` are those that the client asked for.
    pub(crate) fn environment(&self, accepted: &[(String, String)]) -> Vec<(OsString, OsString)> {
        let account = account::current();
        let (client, gateway) = (self.client, self.gateway);
        let mut variables: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), PATH.into()),
            ("HOME".into(), self.dir.clone().into()),
            ("USER".into(), account.name.clone().into()),
            ("LOGNAME".into(), account.name.clone().into()),
            ("SHELL".into(), account.shell.clone().into()),
            ("LANG".into(), std::env::var_os("LANG").unwrap_or_else(|| "C.UTF-8".into())),
            ("SSH_CLIENT".into(), format!("{} {} {}", client.ip(), client.port(), gateway.port()).into()),
            (
                "SSH_CONNECTION".into(),
                format!("{} {} {} {}", client.ip(), client.port(), gateway.ip(), gateway.port()).into(),
            ),
        ];
        if let Some(zone) = std::env::var_os("TZ") {
            variables.push(("TZ".into(), zone));
        }
        variables.extend(accepted.iter().map(|(name, value)| (name.into(), value.into())));
        variables
    }
}

/// Whether a client may set the variable: Debian's `AcceptEnv LANG LC_*`, and `COLORTERM`.
pub(crate) fn accepts_variable(name: &str, value: &str) -> bool {
    let known = name == "LANG" || name == "COLORTERM" || name.starts_with("LC_");
    known && !name.contains(['=', '\0']) && !value.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::accepts_variable;

    #[test]
    fn only_locale_and_colour_are_accepted() {
        assert!(accepts_variable("LC_ALL", "C"));
        assert!(accepts_variable("COLORTERM", "truecolor"));
        for name in ["LD_PRELOAD", "PATH", "LANGUAGE", "LC_X=PATH", "BASH_ENV"] {
            assert!(!accepts_variable(name, "x"), "{name}");
        }
        assert!(!accepts_variable("LANG", "a\0b"));
    }
}
