//! What a command started ends with it: programs with a group or a session of their own, too.

use rustix::process::Signal;

use super::{everywhere, long_sleep, signal, started};
use crate::support::{CommandOutput, processes_with, until};

#[test]
fn a_commands_descendants_end_with_it() {
    everywhere(|case| {
        let shapes = [
            "timeout 500 SLEEP",
            "timeout 500 SLEEP | tee /dev/null",
            "setsid -w SLEEP",
            "setsid -w sh -c 'SLEEP & SLEEP & wait'",
            "sh -c 'timeout 500 SLEEP & exit'; SLEEP",
        ];
        let ends = |shape: &str| {
            let sleep = long_sleep();
            let line = shape.replace("SLEEP", &sleep);
            let said = case.run(&["--timeout", "1", "--", &line]).ends_with(255);
            assert!(said.stderr.contains("and it was ended"), "{line}: {}", said.stderr);
            assert_eq!(processes_with(&sleep), [""; 0], "{line}");
        };
        std::thread::scope(|scope| {
            for shape in shapes {
                scope.spawn(move || ends(shape));
            }
        });
        ends("timeout 500 sh -c 'trap \"\" TERM INT; while :; do SLEEP; done'");
        let sleep = long_sleep();
        let child = started(case, &["--", &format!("echo up; setsid -w {sleep}")]);
        signal(child.id().cast_signed(), Signal::INT);
        assert_eq!(CommandOutput::of(child.wait_with_output().unwrap()).ends_with(130).stderr, "");
        until("the session of its own is gone", || processes_with(&sleep).is_empty());
    });
}
