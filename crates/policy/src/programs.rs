//! The programs and options that run what they are given: tables for the warnings.

/// Whether an interpreter reads its program from stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// Only where its first operand or its `-f` says so: `-`.
    IfTold,
    /// Where it has no program as text and no operand, which would be a file.
    WithoutFile,
    /// Where it has no program as text; its operands are something else, such as a user or a database.
    UnlessTold,
}

/// A program that takes a program as text.
#[derive(Debug)]
pub(crate) struct Interpreter {
    /// Its names, in lower case, without a version.
    pub(crate) names: &'static [&'static str],
    /// The letters of the short options that take a program. What follows that program counts too: it may be a part of it.
    pub(crate) short: &'static str,
    /// The names of such long options, in lower case, without dashes.
    pub(crate) long: &'static [&'static str],
    /// The letters of the short options whose argument alone is a program, a module, or a file with one.
    pub(crate) short_next: &'static str,
    /// The names of such long options.
    pub(crate) long_next: &'static [&'static str],
    /// What a word begins with that holds such a program, and is no such option.
    pub(crate) long_alone: &'static [&'static str],
    /// Whether its first operand is such a program.
    pub(crate) is_first: bool,
    /// Whether its first operand is a file with a program.
    pub(crate) is_file: bool,
    /// Whether it is a shell, whose `-s` means stdin.
    pub(crate) is_shell: bool,
    /// Whether it reads a program from stdin.
    pub(crate) stdin: Stdin,
}

const PLAIN: Interpreter = Interpreter {
    names: &[],
    short: "",
    long: &[],
    short_next: "",
    long_next: &[],
    long_alone: &[],
    is_first: false,
    is_file: false,
    is_shell: false,
    stdin: Stdin::IfTold,
};

/// A language: its first operand is a file, and without one it reads stdin.
const LANGUAGE: Interpreter = Interpreter { is_file: true, stdin: Stdin::WithoutFile, ..PLAIN };

/// A client of a database: its operands are no programs, and it reads statements from stdin.
const CLIENT: Interpreter = Interpreter { stdin: Stdin::UnlessTold, ..PLAIN };

/// `su` hands its `-c` to a shell; a client of a database may run programs (`\!`).
pub(crate) const INTERPRETERS: [Interpreter; 28] = [
    Interpreter {
        names: &[
            "sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "rksh", "mksh", "yash", "fish", "csh",
            "tcsh", "elvish", "nu", "xonsh",
        ],
        short: "c",
        long: &["command", "commands"],
        short_next: "C",
        long_next: &["init-command", "rcfile", "init-file"],
        is_shell: true,
        ..LANGUAGE
    },
    Interpreter { names: &[".", "source"], is_file: true, ..PLAIN },
    Interpreter { names: &["trap"], is_first: true, ..PLAIN },
    Interpreter {
        names: &["su", "runuser", "sg", "script"],
        short: "c",
        long: &["command", "session-command"],
        ..CLIENT
    },
    Interpreter { names: &["flock"], short: "c", long: &["command"], ..PLAIN },
    Interpreter {
        names: &["pwsh", "powershell"],
        long: &[
            "c",
            "co",
            "com",
            "comm",
            "command",
            "commandwithargs",
            "cwa",
            "e",
            "ec",
            "en",
            "enc",
            "encodedcommand",
        ],
        long_next: &["f", "file"],
        is_first: true,
        ..LANGUAGE
    },
    Interpreter { names: &["cmd"], long_alone: &["/c", "/C", "/k", "/K"], ..LANGUAGE },
    Interpreter { names: &["python", "pypy", "ipython", "jython"], short: "c", short_next: "m", ..LANGUAGE },
    Interpreter { names: &["perl", "raku"], short: "eE", short_next: "mMd", ..LANGUAGE },
    Interpreter { names: &["ruby", "jruby"], short: "e", short_next: "r", ..LANGUAGE },
    Interpreter {
        names: &["node", "nodejs", "deno", "bun", "qjs"],
        short: "ep",
        long: &["eval", "print"],
        short_next: "r",
        long_next: &["require", "import", "loader", "experimental-loader"],
        ..LANGUAGE
    },
    Interpreter {
        names: &["php"],
        short: "rBRE",
        long: &["run", "process-begin", "process-code", "process-end"],
        short_next: "df",
        long_next: &["define", "file"],
        ..LANGUAGE
    },
    Interpreter { names: &["lua", "luajit"], short: "e", short_next: "l", ..LANGUAGE },
    Interpreter { names: &["tclsh", "wish", "expect"], short: "c", ..LANGUAGE },
    Interpreter {
        names: &["osascript", "groovy", "elixir", "ghc", "scala", "clojure", "R", "Rscript"],
        short: "e",
        long: &["eval"],
        ..LANGUAGE
    },
    Interpreter {
        names: &["julia", "octave", "guile", "gnuplot", "gjs"],
        short: "ceE",
        long: &["eval", "print", "command"],
        ..LANGUAGE
    },
    Interpreter { names: &["erl", "iex"], long: &["eval"], long_next: &["run", "s"], ..LANGUAGE },
    Interpreter {
        names: &["emacs", "emacsclient"],
        short: "e",
        long: &["eval", "execute"],
        short_next: "fl",
        long_next: &["funcall", "load"],
        ..PLAIN
    },
    Interpreter {
        names: &["vi", "vim", "nvim", "ex", "rvim"],
        short_next: "cS",
        long_next: &["cmd"],
        long_alone: &["+"],
        ..CLIENT
    },
    Interpreter { names: &["ed", "red"], ..CLIENT },
    Interpreter {
        names: &["gdb", "lldb"],
        short_next: "oxs",
        long_next: &["ex", "eval-command", "one-line", "command", "source"],
        ..CLIENT
    },
    Interpreter {
        names: &["awk", "gawk", "mawk", "nawk"],
        short_next: "ef",
        long_next: &["source", "file"],
        is_first: true,
        ..PLAIN
    },
    // GNU sed's `e` runs a command.
    Interpreter {
        names: &["sed", "gsed"],
        short_next: "ef",
        long_next: &["expression", "file"],
        is_first: true,
        ..PLAIN
    },
    Interpreter {
        names: &["psql"],
        short: "c",
        long: &["command"],
        short_next: "fv",
        long_next: &["file", "set", "variable"],
        ..CLIENT
    },
    Interpreter {
        names: &[
            "mysql",
            "mariadb",
            "cqlsh",
            "mongo",
            "mongosh",
            "clickhouse-client",
            "sqlcmd",
            "sqlplus",
            "cockroach",
            "redis-cli",
        ],
        short: "eqQ",
        long: &["execute", "eval", "query"],
        long_next: &["init-command", "file"],
        ..CLIENT
    },
    Interpreter { names: &["sqlite", "duckdb"], long: &["c", "cmd"], long_next: &["init"], ..CLIENT },
    Interpreter { names: &["make", "gmake"], short_next: "f", long_next: &["file", "makefile"], ..PLAIN },
    Interpreter { names: &["crontab"], is_file: true, ..PLAIN },
];

/// Programs in whose operands a program may stand, wherever the value is: what they make of all of them together goes to a shell.
pub(crate) const CODE_ANYWHERE: [&str; 12] = [
    "ssh",
    "autossh",
    "mosh",
    "rsh",
    "watch",
    "parallel",
    "tmux",
    "screen",
    "socat",
    "hyperfine",
    "entr",
    "eval",
];

/// Those whose first operand is something else: sqlite3(1) takes a file before its statements.
pub(crate) const CODE_LATER: [&str; 2] = ["sqlite", "duckdb"];

/// Options whose argument is a program, whatever they are an option of: find(1), fd(1), tar(1), rsync(1), git(1), ncat(1).
pub(crate) const LONG_OPTIONS: [&str; 22] = [
    "exec",
    "execdir",
    "ok",
    "okdir",
    "exec-batch",
    "sh-exec",
    "lua-exec",
    "rsh",
    "rsync-path",
    "to-command",
    "use-compress-program",
    "checkpoint-action",
    "upload-pack",
    "receive-pack",
    "command",
    "eval",
    "execute",
    "init-command",
    "session-command",
    "eval-command",
    "shell-command",
    "proxycommand",
];

/// Programs that become another user, and run what follows their options.
pub(crate) const BECOME: [&str; 3] = ["sudo", "doas", "runuser"];

/// Programs that run their arguments as a program.
pub(crate) const RUNS_ITS_ARGUMENTS: [&str; 34] = [
    "xargs",
    "ssh",
    "env",
    "nohup",
    "timeout",
    "watch",
    "setsid",
    "nice",
    "ionice",
    "stdbuf",
    "chrt",
    "taskset",
    "unshare",
    "nsenter",
    "chroot",
    "flock",
    "time",
    "command",
    "exec",
    "busybox",
    "systemd-run",
    "strace",
    "parallel",
    "pkexec",
    "run0",
    "gosu",
    "su-exec",
    "setpriv",
    "prlimit",
    "numactl",
    "bwrap",
    "valgrind",
    "ltrace",
    "start-stop-daemon",
];

/// Programs that run the arguments of a subcommand in a container.
pub(crate) const CONTAINERS: [&str; 4] = ["docker", "podman", "kubectl", "nerdctl"];

/// The options of [`BECOME`] whose argument is the next word (sudo(8), doas(1), runuser(1)).
pub(crate) const OF_BECOME: [&str; 13] =
    ["-u", "-g", "-U", "-p", "-C", "-h", "-R", "-D", "-T", "-r", "-t", "-G", "-s"];

/// Programs that run a shell where they have fewer operands than this.
pub(crate) const SHELL_BY_DEFAULT: [(&str, usize); 5] =
    [("ssh", 2), ("rsh", 2), ("chroot", 2), ("nsenter", 1), ("unshare", 1)];

/// Programs that take arguments for others, or whole commands, from stdin.
pub(crate) const FEEDS_ARGUMENTS: [&str; 2] = ["xargs", "parallel"];

/// The same for programs whose names are usual words: they count where a command begins.
pub(crate) const FEEDS_FIRST: [&str; 2] = ["at", "batch"];

/// Options of interpreters whose argument is the next word, and no file with a program.
pub(crate) const OF_INTERPRETERS: [&str; 7] = ["-o", "+o", "-O", "-W", "-X", "--rcfile", "--init-file"];

/// Options of ssh(1) and of the others in [`SHELL_BY_DEFAULT`] whose argument is the next word.
pub(crate) const OF_DEFAULTS: [&str; 18] = [
    "-b", "-c", "-D", "-E", "-e", "-F", "-i", "-J", "-L", "-l", "-m", "-O", "-o", "-p", "-R", "-S", "-t",
    "-W",
];
