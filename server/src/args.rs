//! The command line. Its doc comments are its help.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A control plane that a team runs itself.
///
/// It signs short SSH certificates for people and the machines that they already have. `serve` with nothing else is enough to
/// begin; the other verbs work on its state, on the same machine.
#[derive(Parser)]
#[command(name = "runcode-server", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// The configuration [default: /etc/runcode/server.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Serve until it is told to end
    Serve,
    /// Check the configuration, the database and the keys; change nothing
    Check,
    /// Bring the database to this version
    Migrate,
    /// Print a one-time link: for a new administrator, or for somebody who is known
    AdminLink {
        /// Whom it signs in [default: a new administrator]
        #[arg(long = "for", value_name = "EMAIL")]
        email: Option<String>,
    },
    /// People: who may log in
    #[command(subcommand)]
    Person(Person),
    /// Teams: people who are granted something together
    #[command(subcommand)]
    Team(Team),
    /// Workspaces: an account on a host, under a title
    #[command(subcommand)]
    Workspace(Workspace),
    /// Hosts: machines whose sshd lets our certificates in
    #[command(subcommand)]
    Host(Host),
    /// Grants: who may do what on a workspace
    #[command(subcommand)]
    Grant(Grant),
    /// Tokens: how a program says whose it is
    #[command(subcommand)]
    Token(Token),
    /// Sessions: certificates that are still valid
    #[command(subcommand)]
    Session(Session),
    /// The certificate authority
    #[command(subcommand)]
    Ca(Ca),
    /// The audit
    #[command(subcommand)]
    Audit(Audit),
}

/// `person`
#[derive(Subcommand)]
pub(crate) enum Person {
    /// Add a person and print their invitation, which is good once, for 24 hours
    Add {
        /// Their e-mail address
        email: String,
        /// Their name
        #[arg(long)]
        name: String,
        /// `admin`, `auditor` or `member`
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// List people
    List,
    /// Change a person's role, disable or enable them, or print a link by which they sign in
    Change {
        /// Their e-mail address
        email: String,
        /// Print a link that is good once, for 24 hours
        #[arg(long)]
        link: bool,
        /// Take away every token and session
        #[arg(long, conflicts_with_all = ["enable", "link"])]
        disable: bool,
        /// Undo --disable; tokens and sessions do not come back
        #[arg(long)]
        enable: bool,
        /// `admin`, `auditor` or `member`
        #[arg(long)]
        role: Option<String>,
    },
}

/// `team`
#[derive(Subcommand)]
pub(crate) enum Team {
    /// Add a team
    Add {
        /// Its name
        team: String,
    },
    /// List teams and their people
    List,
    /// Add people to a team, or take people out
    Change {
        /// Its name
        team: String,
        /// Whom to add; may be repeated
        #[arg(long, value_name = "EMAIL")]
        add: Vec<String>,
        /// Whom to take out; may be repeated
        #[arg(long, value_name = "EMAIL")]
        remove: Vec<String>,
    },
    /// Remove a team and what it was granted
    Remove {
        /// Its name
        team: String,
    },
}

/// `workspace`
#[derive(Subcommand)]
pub(crate) enum Workspace {
    /// List workspaces
    List,
    /// Change how long a session lasts at most
    Change {
        /// Its title
        title: String,
        /// Such as 10m
        #[arg(long, value_name = "DURATION")]
        max_ttl: String,
    },
    /// Remove a workspace
    Remove {
        /// Its title
        title: String,
    },
}

/// `host`
#[derive(Subcommand)]
pub(crate) enum Host {
    /// Add a workspace on a machine, and print the line that enrols the machine
    Add {
        /// The workspace's title
        title: String,
        /// The account on the machine that sessions are in
        #[arg(long)]
        account: String,
        /// The project folder there
        #[arg(long, value_name = "FOLDER")]
        workdir: Option<String>,
        /// Who owns the workspace: an e-mail address, or team:NAME
        #[arg(long, value_name = "WHO")]
        owner: Option<String>,
        /// How clients reach the machine [default: where it enrols from, and its sshd's port]
        #[arg(long, value_name = "HOST[:PORT]")]
        address: Option<String>,
    },
    /// Print another line for a machine that is not enrolled yet
    Code {
        /// The workspace's title
        title: String,
    },
    /// List hosts
    List,
    /// Accept the host keys that a machine shows now
    Accept {
        /// The workspace's title
        title: String,
    },
    /// Forget a machine; its workspace stays
    Remove {
        /// The workspace's title
        title: String,
    },
}

/// `grant`
#[derive(Subcommand)]
pub(crate) enum Grant {
    /// Grant a role on a workspace
    Add {
        /// The workspace's title
        workspace: String,
        /// An e-mail address, or team:NAME
        who: String,
        /// `owner`, `use`, `run` or `see`
        role: String,
    },
    /// List grants
    List {
        /// Of this workspace alone
        workspace: Option<String>,
    },
    /// Take a grant back, and revoke the sessions that it allowed
    Remove {
        /// The workspace's title
        workspace: String,
        /// An e-mail address, or team:NAME
        who: String,
    },
}

/// `token`
#[derive(Subcommand)]
pub(crate) enum Token {
    /// Make a token for somebody and print it, once
    Add {
        /// Their e-mail address
        email: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// `see`, `power`, `session`, `session:ID`, with commas between them
        #[arg(long, default_value = "see,power,session")]
        scopes: String,
        /// Such as 30d [default: token.max_age of the configuration]
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// List somebody's tokens
    List {
        /// Their e-mail address
        email: String,
    },
    /// Remove a token
    Remove {
        /// Its id
        id: String,
    },
}

/// `session`
#[derive(Subcommand)]
pub(crate) enum Session {
    /// List sessions whose certificates are still valid
    List,
    /// Revoke a session
    Revoke {
        /// Its number
        id: String,
    },
}

/// `ca`
#[derive(Subcommand)]
pub(crate) enum Ca {
    /// Print the public key that hosts trust
    Show,
}

/// `audit`
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check that no row was changed, taken out or added
    Verify {
        /// The hash of a block that was kept elsewhere, as `audit verify --json` prints it
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Print rows as JSON lines
    Export {
        /// Since when, as 2026-01-31T00:00:00Z [default: the beginning]
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}
