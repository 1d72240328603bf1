//! The user who runs the plane, as the password database knows them.

use std::sync::OnceLock;

/// A user's name and login shell.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) shell: String,
}

/// The account that every command runs as.
pub(crate) fn current() -> &'static Account {
    static ACCOUNT: OnceLock<Account> = OnceLock::new();
    ACCOUNT.get_or_init(|| {
        let name = name_in_passwd()
            .or_else(|| ["LOGNAME", "USER", "USERNAME"].iter().find_map(|v| std::env::var(v).ok()))
            .unwrap_or_else(|| "user".to_owned());
        Account { name, shell: shell() }
    })
}

/// The login shell by the password database, wherever that lives (files, LDAP, Directory Services).
fn shell() -> String {
    let mut login = portable_pty::CommandBuilder::new_default_prog();
    // `$SHELL` would win: it is what the plane was started from, not what a login gets.
    login.env_remove("SHELL");
    login.get_shell()
}

#[cfg(unix)]
fn name_in_passwd() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(not(unix))]
fn name_in_passwd() -> Option<String> {
    None
}
