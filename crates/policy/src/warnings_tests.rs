//! What makes a profile a shell, and what only looks like it.

use super::*;

#[test]
fn a_shell_in_disguise_is_warned_of() {
    for (words, is_warned) in [
        (&["sh", "-c", "{{a}}"][..], true),
        (&["python3", "-c", "print({{a}})"], true),
        (&["{{a}}"], true),
        (&["sudo", "{{a}}"], true),
        (&["sudo", "systemctl", "restart", "{{a}}"], false),
        (&["xargs", "{{a}}"], true),
        (&["ssh", "{{a}}"], true),
        (&["env", "-S", "x {{a}}"], true),
        (&["eval", "{{a}}"], true),
        (&["journalctl", "-u", "{{a}}"], false),
        (&["grep", "-e", "{{a}}"], false),
        (&["sh", "script", "{{a}}"], false),
        (&["bash", "-lc", "{{a}}"], true),
        (&["bash", "--norc", "-ec", "{{a}}"], true),
        (&["bash", "-c", "--", "{{a}}"], true),
        (&["perl", "-ne", "{{a}}"], true),
        (&["/usr/bin/python3.11", "-c", "{{a}}"], true),
        (&["su", "app", "-c", "{{a}}"], true),
        (&["awk", "{{a}}"], true),
        (&["awk", "-f", "prog", "{{a}}"], false),
        (&["sudo", "-n", "{{a}}"], true),
        (&["sudo", "-u", "app", "{{a}}"], true),
        (&["sudo", "-u", "app", "cat", "{{a}}"], false),
        (&["setsid", "{{a}}"], true),
        (&["docker", "exec", "c", "{{a}}"], true),
        (&["docker", "logs", "{{a}}"], false),
        (&["kubectl", "exec", "web", "--", "{{a}}"], true),
        (&[".", "{{a}}"], true),
        (&["source", "{{a}}"], true),
        (&["sh", "{{a}}"], true),
        (&["bash", "-x", "{{a}}"], true),
        (&["bash", "-s", "{{a}}"], false),
        (&["sudo", "-u", "app", "python3", "{{a}}/run"], true),
        (&["sh", "/opt/{{a}}"], false),
        (&["find", "/srv", "-exec", "{{a}}", ";"], true),
        (&["find", "/srv", "-execdir", "sudo", "{{a}}", ";"], true),
        (&["find", "/srv", "-exec", "sh", "{{a}}", ";"], true),
        (&["find", "/srv", "-name", "{{a}}", "-exec", "rm", "{}", ";"], false),
        (&["tar", "-xf", "x.tar", "--to-command={{a}}"], true),
        (&["runuser", "-u", "app", "{{a}}"], true),
        (&["runuser", "-u", "app", "--", "{{a}}"], true),
        (&["runuser", "app", "-c", "{{a}}"], true),
        (&["runuser", "-u", "app", "cat", "{{a}}"], false),
        (&["pkexec", "{{a}}"], true),
    ] {
        assert_eq!(argv(words, Rules::default()).warning().is_some(), is_warned, "{words:?}");
    }
}

/// The value is a part of what an interpreter runs, wherever it stands in a word.
#[test]
fn a_part_of_a_program_is_warned_of() {
    for (words, is_warned) in [
        (&["flock", "/tmp/l", "-c", "echo /logs/{{a}}"][..], true),
        (&["script", "-qc", "echo {{a}}"], true),
        (&["script", "-qcecho {{a}}", "/dev/null"], true),
        (&["python3", "-cprint({{a}})"], true),
        (&["python3", "-m", "{{a}}"], true),
        (&["python3", "-m", "json.tool", "{{a}}"], false),
        (&["node", "-p", "{{a}}"], true),
        (&["node", "--eval", "f({{a}})"], true),
        (&["node", "--eval=f({{a}})"], true),
        (&["node", "app.js", "{{a}}"], false),
        (&["ssh", "inner", "cat", "/logs/{{a}}"], true),
        (&["watch", "cat /logs/{{a}}"], true),
        (&["psql", "--command=select {{a}}"], true),
        (&["psql", "-d", "{{a}}"], false),
        (&["sqlite3", "db", "{{a}}"], true),
        (&["sqlite3", "db", "select {{a}}"], true),
        (&["sqlite3", "{{a}}"], false),
        (&["pwsh", "-NoProfile", "-Command", "ls {{a}}"], true),
        (&["pwsh", "-c", "ls {{a}}"], true),
        (&["powershell.exe", "ls {{a}}"], true),
        (&["pwsh", "-NoProfile", "-File", "/opt/x.ps1", "{{a}}"], false),
        (&["find", "/srv", "-exec", "/opt/{{a}}", ";"], true),
        (&["find", "/srv", "-exec", "sh", "-c", "cat {{a}}", ";"], true),
        (&["su", "app", "--command=cat {{a}}"], true),
        (&["su", "app", "--session-command", "cat {{a}}"], true),
        (&["anything", "--eval", "{{a}}"], true),
        (&["anything", "--exec={{a}}"], true),
        (&["rsync", "--rsh=ssh {{a}}", "x", "y"], true),
        (&["git", "fetch", "--upload-pack={{a}}"], true),
        (&["vim", "+{{a}}"], true),
        (&["perl", "-lne{{a}}"], true),
        (&["php", "-r{{a}}"], true),
        (&["sed", "-n", "{{a}}p", "/etc/hosts"], true),
        (&["sed", "s/x/y/", "{{a}}"], false),
        (&["sed", "-e", "s/x/y/", "{{a}}"], false),
        (&["awk", "{print $1}", "{{a}}"], false),
        (&["parallel", "cat {{a}}", ":::", "x"], true),
        (&["env", "bash", "-c", "cat {{a}}"], true),
        (&["sh", "-c", "\"$@\"", "x", "{{a}}"], true),
        (&["tail", "-c", "{{a}}", "/var/log/x"], false),
        (&["grep", "--regexp={{a}}", "x"], false),
        (&["journalctl", "--since={{a}}"], false),
        (&["rsync", "-r", "{{a}}", "y"], false),
    ] {
        assert_eq!(argv(words, Rules::default()).warning().is_some(), is_warned, "{words:?}");
    }
}

#[test]
fn a_program_from_stdin_is_warned_of() {
    for (words, is_warned) in [
        (&["bash"][..], true),
        (&["bash", "-s", "x"], true),
        (&["bash", "-o", "pipefail"], true),
        (&["sudo", "-u", "app", "/bin/sh"], true),
        (&["docker", "exec", "-i", "web", "sh"], true),
        (&["python3", "-"], true),
        (&["python3", "/dev/stdin"], true),
        (&["psql", "db"], true),
        (&["mysql"], true),
        (&["sqlite3", "db"], true),
        (&["su", "app"], true),
        (&["sudo", "-i"], true),
        (&["ssh", "-p", "22", "inner"], true),
        (&["ssh", "inner", "sh"], true),
        (&["chroot", "/srv"], true),
        (&["xargs", "rm"], true),
        (&["at", "now"], true),
        (&["crontab", "-"], true),
        (&["make", "-f", "-"], true),
        (&["awk", "-f", "-"], true),
        (&["cat"], false),
        (&["sh", "-c", "cat > x"], false),
        (&["sh", "script"], false),
        (&["bash", "/opt/restore", "-"], false),
        (&["python3", "-c", "print(1)"], false),
        (&["psql", "-c", "copy x from stdin"], false),
        (&["ssh", "inner", "cat"], false),
        (&["awk", "{print $1}", "-"], false),
        (&["sudo", "tee", "/etc/motd"], false),
        (&["tar", "-xf", "-"], false),
    ] {
        let warns = |stdin| argv(words, Rules { stdin, ..Rules::default() }).warning().is_some();
        assert_eq!(warns(true), is_warned, "{words:?}");
        assert!(!warns(false), "{words:?}");
    }
}
