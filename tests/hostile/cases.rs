//! The table of the numbered cases: none is without a test, and every test that it names is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// A row of `cases.json`.
#[derive(Deserialize)]
struct Case {
    /// The case in a few words.
    case: String,
    /// `file::name` of each test that proves it.
    tests: Vec<String>,
}

/// The number of the last case that must be there; later numbers may have gaps.
const LAST: u32 = 43;

#[test]
fn every_hostile_case_names_real_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read(root.join("tests/hostile/cases.json")).unwrap();
    let table: BTreeMap<u32, Case> = serde_json::from_slice(&table).unwrap();
    let missing = (1..=LAST).filter(|number| !table.contains_key(number)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "{missing:?}");
    let compiled = compiled();
    let mut wrong = Vec::new();
    for (number, case) in &table {
        assert!(!case.case.is_empty());
        if case.tests.is_empty() {
            wrong.push(format!("{number}: no test"));
        }
        for test in &case.tests {
            let (file, name) = test.rsplit_once("::").unwrap_or((test, ""));
            let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            let is_there = match file.rsplit_once('.') {
                Some((_, "py")) => source.contains(&format!("def {name}(")),
                Some((stem, "rs")) if file.starts_with("tests/") => {
                    let module = stem.trim_start_matches("tests/").replace('/', "::");
                    compiled.contains(&format!("{module}::{name}: test"))
                }
                Some((_, "rs")) => is_test(&source, name),
                _ => false,
            };
            if !is_there {
                wrong.push(format!("{number}: {test}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// SECURITY.md names a test for each defence: all of them exist, as a test, a case of the launchers' or a fuzz target.
#[test]
fn security_md_names_real_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut sources = String::new();
    let mut folders =
        ["cli/src", "crates", "plane", "gateway", "server", "tests"].map(|folder| root.join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let is_source = path.extension().is_some_and(|extension| extension == "rs" || extension == "py");
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if is_source {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let is_name = |word: &&str| {
        word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
    };
    let names =
        text.split('`').skip(1).step_by(2).filter(is_name).filter(|name| name.matches('_').count() > 2);
    let names = names.collect::<Vec<_>>();
    assert!(names.len() > 20, "{names:?}");
    let is_there =
        |name: &str| sources.contains(&format!("fn {name}(")) || sources.contains(&format!("def {name}("));
    let missing = names.into_iter().filter(|name| !is_there(name)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "{missing:?}");
    let fuzzed = text
        .split("fuzz `")
        .skip(1)
        .flat_map(|rest| rest.split('|').next().unwrap_or_default().split('`').step_by(2));
    for target in fuzzed.filter(|target| is_name(target) && !target.is_empty()) {
        assert!(root.join(format!("tests/fuzz/fuzz_targets/{target}.rs")).exists(), "{target}");
    }
}

/// The tests in this very binary, as it lists them.
fn compiled() -> String {
    let output =
        Command::new(std::env::current_exe().unwrap()).args(["--list", "--format=terse"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Whether `source` has a test function of this name: an attribute `#[test]` right above it, other attributes aside.
fn is_test(source: &str, name: &str) -> bool {
    let lines = source.lines().map(str::trim).collect::<Vec<_>>();
    let start = format!("fn {name}(");
    lines.iter().enumerate().any(|(number, line)| {
        line.starts_with(&start)
            && lines[..number]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("#["))
                .any(|line| *line == "#[test]")
    })
}
