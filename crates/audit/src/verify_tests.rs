#![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
use proptest::prelude::*;

use crate::log_tests::{Case, entry};
use crate::{Head, Line, Log, Phase, Reason, SealKey, Sealed, verify};

/// A sealed log of some records, their lines, and its key.
fn sealed() -> (Case, Vec<String>, SealKey) {
    let case = Case::new();
    let key = case.log.seal(&entry(Phase::Event, "x"), false).unwrap();
    (0..4).for_each(|_| case.act("exec"));
    let text = std::fs::read_to_string(case.path()).unwrap();
    (case, text.lines().map(str::to_owned).collect(), key)
}

fn write(case: &Case, lines: &[String]) {
    std::fs::write(case.path(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn each_kind_of_tampering_is_named() {
    type Damage = fn(&mut Vec<String>);
    let ways: [(&str, Damage, u64, Reason); 8] = [
        ("changed", |lines| lines[3] = lines[3].replace("\"exec\"", "\"get\""), 4, Reason::HashMismatch),
        ("emptied", |lines| lines[3].clear(), 4, Reason::HashMismatch),
        ("removed", |lines| drop(lines.remove(3)), 4, Reason::SequenceGap),
        ("swapped", |lines| lines.swap(3, 4), 4, Reason::SequenceGap),
        ("inserted", |lines| lines.insert(3, lines[1].clone()), 4, Reason::SequenceGap),
        ("cut", |lines| lines.truncate(5), 6, Reason::TailCut),
        ("all cut", |lines| lines.clear(), 1, Reason::TailCut),
        ("added", |lines| lines.push(lines[8].clone()), 10, Reason::SequenceGap),
    ];
    for (name, damage, seq, reason) in ways {
        let (case, mut lines, key) = sealed();
        damage(&mut lines);
        write(&case, &lines);
        for keys in [&[][..], &[key]] {
            let found = verify(&case.path(), keys, &[]).unwrap().first_break.unwrap();
            assert_eq!((found.seq, found.reason), (seq, reason), "{name}");
        }
    }
}

/// Whoever has the account later can make a chain that fits, but no seals.
#[test]
fn a_chain_made_anew_has_no_seals() {
    let (case, lines, key) = sealed();
    let forged = Case::new();
    let old = std::fs::read(case.at("audit.state")).unwrap();
    for line in &lines {
        let record = Line::parse(line.as_bytes()).unwrap().record;
        forged.log.append(&record.event_id, &record.entry).unwrap();
    }
    for name in ["audit.jsonl", "audit.state"] {
        std::fs::copy(forged.at(name), case.at(name)).unwrap();
    }
    let judged = |keys: &[SealKey]| verify(&case.path(), keys, &[]).unwrap();
    assert_eq!(judged(&[]).first_break, None, "the chain alone says nothing of that");
    assert_eq!(judged(&[]).sealed, Sealed::Unchecked);
    assert_eq!(judged(std::slice::from_ref(&key)).first_break.unwrap().reason, Reason::SealMismatch);
    // Nor does the old state fit what was forged.
    std::fs::write(case.at("audit.state"), old).unwrap();
    assert_eq!(judged(&[]).first_break.unwrap().reason, Reason::HashMismatch);
    // Sealed anew by the present key's holder, it still is not what the key sealed.
    let new = forged.log.seal(&entry(Phase::Event, "x"), false).unwrap();
    for name in ["audit.jsonl", "audit.state"] {
        std::fs::copy(forged.at(name), case.at(name)).unwrap();
    }
    assert_eq!(judged(&[key, new]).first_break.unwrap().reason, Reason::SealMismatch);
}

#[test]
fn a_cut_that_was_continued_is_found() {
    let (case, lines, key) = sealed();
    let state = std::fs::read(case.at("audit.state")).unwrap();
    // What a program with the account can do: set the state to the cut, with the only key that it has.
    let file = std::fs::OpenOptions::new().read(true).write(true).open(case.at("audit.state")).unwrap();
    let mut present = crate::state::State::read(&file).unwrap().unwrap();
    write(&case, &lines[..5]);
    let fifth = Line::parse(lines[4].as_bytes()).unwrap();
    (present.seq, present.head, present.size) = (5, fifth.hash, case.path().metadata().unwrap().len());
    present.write(&file).unwrap();
    assert_eq!(verify(&case.path(), &[], &[]).unwrap().first_break, None);
    let judged =
        |anchors: &[Head]| verify(&case.path(), std::slice::from_ref(&key), anchors).unwrap().first_break;
    assert_eq!(judged(&[]).unwrap().reason, Reason::SealMismatch);
    case.act("exec");
    let found = judged(&[]).unwrap();
    assert_eq!((found.seq, found.reason), (6, Reason::SealMismatch));
    let ninth = Head { seq: 9, hash: Line::parse(lines[8].as_bytes()).unwrap().hash };
    let found = verify(&case.path(), &[], std::slice::from_ref(&ninth)).unwrap().first_break.unwrap();
    assert_eq!((found.seq, found.reason), (9, Reason::AnchorMismatch));
    write(&case, &lines);
    std::fs::write(case.at("audit.state"), state).unwrap();
    assert_eq!(judged(std::slice::from_ref(&ninth)), None);
    assert_eq!(judged(&[Head { seq: 3, ..ninth.clone() }]).unwrap().reason, Reason::AnchorMismatch);
    assert_eq!(
        judged(&[ninth.clone(), Head { hash: "0".repeat(64), ..ninth }]).unwrap().reason,
        Reason::AnchorMismatch
    );
}

#[test]
fn a_new_key_takes_over_from_the_old_one() {
    let (case, _, first) = sealed();
    let second = case.log.seal(&entry(Phase::Event, "x"), false).unwrap();
    case.act("exec");
    let sealed = |keys: &[SealKey]| {
        let report = verify(&case.path(), keys, &[]).unwrap();
        assert_eq!(report.first_break, None);
        report.sealed
    };
    assert_eq!(sealed(&[]), Sealed::Unchecked);
    assert_eq!(sealed(std::slice::from_ref(&first)), Sealed::Unchecked);
    assert_eq!(sealed(std::slice::from_ref(&second)), Sealed::Verified);
    assert_eq!(sealed(&[first, second]), Sealed::Verified);
    let stranger = SealKey::generate().unwrap();
    let report = verify(&case.path(), &[stranger], &[]).unwrap();
    assert_eq!(report.first_break.unwrap().reason, Reason::SealMismatch);
}

#[test]
fn an_intent_without_an_outcome_is_open() {
    let case = Case::new();
    case.act("exec");
    case.log.append(&Log::event_id().unwrap(), &entry(Phase::Intent, "put")).unwrap();
    case.act("exec");
    assert_eq!(verify(&case.path(), &[], &[]).unwrap().open_intents, [3]);
}

#[test]
fn heads_are_read_from_any_log() {
    let hash = "ab".repeat(32);
    let text = format!("Jan 1 host runcode-audit[1]: 12:{hash}\n12:x {hash} 0:{hash} +1:{hash} 1:{hash}\n");
    let found = |text: &str, user| Head::find(text, user).map(|head| head.seq).collect::<Vec<_>>();
    assert_eq!(found(&text, None), [12, 1]);
    let several = format!("uid=7 1:{hash}\nuid=8 2:{hash}\n3:{hash}\nuid=x 4:{hash}\n");
    assert_eq!(found(&several, Some(7)), [1, 3]);
    assert_eq!(found(&several, None), [1, 2, 3, 4]);
    assert_eq!(Head { seq: 12, hash }.to_string(), text.split_ascii_whitespace().nth(4).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever byte is changed, put in or taken out is found at the record that it is in, or where the next one should be.
    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3) {
        let (case, lines, _) = sealed();
        let mut bytes = std::fs::read(case.path()).unwrap();
        let at = at.index(bytes.len());
        prop_assume!(how != 0 || bytes[at] != byte);
        let before = bytes.clone();
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
        prop_assume!(bytes != before);
        std::fs::write(case.path(), &bytes).unwrap();
        let mut start = 0;
        let record = 1 + lines.iter().take_while(|line| { start += line.len() + 1; start <= at }).count() as u64;
        let is_in_seal = |line: &str, at: usize| at >= line.len() - 73;
        let line = &lines[record as usize - 1];
        let column = at + line.len() + 1 - start.max(line.len() + 1);
        let found = verify(&case.path(), &[], &[]).unwrap().first_break;
        match found {
            Some(found) => prop_assert!(found.seq == record || found.seq == record + 1, "{found:?} {record}"),
            // Without the key, a seal says nothing.
            None => prop_assert!(is_in_seal(line, column)),
        }
    }

    #[test]
    fn any_line_is_read_or_refused(line in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Line::parse(&line);
    }
}
