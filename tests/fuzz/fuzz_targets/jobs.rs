//! What a workspace tells of its jobs, and the pieces of a job's output.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runcode::output::sanitize::{MAX_CHARS, is_steering};
use runcode::remote::jobs::{Facts, JobId, Piece, read_pieces};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains("MARK") {
        assert_eq!(Facts::parse(&text, "MARK"), None);
    }
    let marked = text.lines().map(|line| format!("MARK {line}\n")).collect::<String>() + "MARK end\n";
    for answer in [&*text, &marked] {
        let Some(facts) = Facts::parse(answer, "MARK") else { continue };
        for job in facts.jobs {
            assert_eq!(JobId::parse(job.id.as_str()), Some(job.id));
            for shown in [Some(job.command), job.name.map(|name| name.raw().to_owned())].into_iter().flatten()
            {
                assert!(shown.chars().count() <= MAX_CHARS && !shown.chars().any(is_steering), "{shown:?}");
            }
            assert!(job.stdout.first <= job.stdout.bytes && job.stderr.first <= job.stderr.bytes);
        }
    }
    let (mut next, mut seen) = (7, 7);
    let _ = read_pieces(bytes, "MARK", &mut next, &mut |piece| {
        seen += match piece {
            Piece::Bytes(piece) => piece.len() as u64,
            Piece::Lost(count) => count,
        };
        Ok(())
    });
    assert_eq!(seen, next);
});
