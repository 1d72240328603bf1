#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use super::*;
use proptest::prelude::*;

const TEXT: &str = "motd\nM job abcdefghjk running - 1700000000 -\nnoiseM name abcdefghjk build\nM name abcdefghjk other\n\
    M command abcdefghjk make \u{1b}[2J all\nM file abcdefghjk out.0 7\nM file abcdefghjk err.whole 0\n\
    M job 2345678922 exited 3 1700000005 1700000009\nM file 2345678922 out.8000000 5\nM file 2345678922 out.1000 9000\n\
    M file 2345678922 err.0 0\nM file unknown222 out.0 5\nM job abcdefghjk exited 0 1 1\nM job short running - 1 -\n\
    M job aaaaaaaaaa exited 999 1 1\nM job aaaaaaaaab dancing 0 1 1\nM end\nM job aaaaaaaaac running - 1 -\n";

#[test]
fn facts_become_jobs_and_noise_none() {
    let facts = Facts::parse(TEXT, "M").unwrap();
    let ids = facts.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["2345678922", "abcdefghjk"], "the newest first");
    let [ended, running] = &facts.jobs[..] else { panic!("two jobs") };
    assert_eq!((ended.state, ended.state.code()), (State::Exited(3), Some(3)));
    assert_eq!(ended.ended_at.unwrap().as_second(), 1_700_000_009);
    assert_eq!(ended.stdout, Kept { bytes: 8_000_005, first: 1000, is_whole: false });
    assert_eq!(running.name.as_ref().map(Name::raw), Some("build"));
    assert_eq!(running.command, "make \u{fffd}[2J all");
    assert_eq!(running.stdout, Kept { bytes: 7, first: 0, is_whole: false });
    assert!(running.stderr.is_whole && !running.state.is_over());
    assert_eq!(Facts::parse(TEXT.split("M end").next().unwrap(), "M"), None, "cut");
}

#[test]
fn jobs_beyond_many_are_counted() {
    let ids = std::iter::repeat_with(JobId::new).take(MANY + 7);
    let text = ids.map(|id| format!("M job {} running - 1 -\n", id.as_str())).collect::<String>();
    let facts = Facts::parse(&(text + "M end\n"), "M").unwrap();
    assert_eq!((facts.jobs.len(), facts.more), (MANY, 7));
}

#[test]
fn refusals_are_told_apart() {
    let refusal =
        |text: &str| Facts::parse(&format!("M failed {text}\nM end\n"), "M").unwrap().refusal.unwrap();
    let id = JobId::parse("abcdefghjk").unwrap();
    for (text, expected) in [
        ("none", Refusal::None),
        ("several abcdefghjk ../../etc", Refusal::Several(vec![id])),
        ("several odd ../../etc", Refusal::None),
        ("foreign /home/\u{202e}x", Refusal::Foreign("/home/\u{fffd}x".to_owned())),
        ("cut", Refusal::Cut),
        ("not-begun", Refusal::NotBegun),
        ("not-made /x", Refusal::NotMade("/x".to_owned())),
        ("anything else", Refusal::NotMade("else".to_owned())),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn ids_are_short_and_never_the_same() {
    let ids = (0..1000).map(|_| JobId::new()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids.len(), 1000);
    assert!(ids.iter().all(|id| JobId::parse(id.as_str()).as_ref() == Some(id)));
    for text in ["", "abcdefghj", "abcdefghjkm", "abcdefghj/", "Abcdefghjk", "abcdefghj\u{e9}", ".gone-abcd"]
    {
        assert_eq!(JobId::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_answer_panics_or_counts_unmarked(text: String) {
        prop_assert_eq!(Facts::parse(&text, "0123456789abcdef"), None);
        let marked = text.lines().map(|line| format!("M {line}\n")).collect::<String>() + "M end\n";
        prop_assert!(Facts::parse(&marked, "M").is_some());
    }
}
