//! The recipe for Jenkins: its shell steps, each a program with a first line of its own.

use std::fs;

use regex::Regex;

use crate::workplace::{Step, Variables, Workplace, ci};

/// Shell steps in the order of the file: validation, gate, report, baselines.
fn steps() -> Vec<String> {
    let text = fs::read_to_string(ci("jenkins/Jenkinsfile")).expect("a recipe");
    let quoted = Regex::new("(?s)'''(.*?)'''").expect("an expression");
    let steps: Vec<String> = quoted.captures_iter(&text).map(|c| c[1].to_owned()).collect();
    for step in &steps {
        assert!(step.starts_with("#!/usr/bin/env bash\n"), "sh -xe has no pipefail:\n{step}");
        assert!(step.contains("set -euo pipefail"), "{step}");
        assert!(!step.contains('\\'), "Groovy would take the backslash:\n{step}");
    }
    // Every `sh` is one of them: nothing is run that is not tested.
    let calls = Regex::new(r"\bsh\b(?: returnStatus: true, script:)? '''").expect("an expression");
    assert_eq!(calls.find_iter(&text).count(), steps.len());
    steps
}

fn run(place: &Workplace, step: usize, more: &[(&str, &str)]) -> Step {
    let given =
        [("MAD_SOURCE", "https://git.example.com/mad-harness.git"), ("MAD_VERSION", "v0.1.0")];
    let all: Variables =
        given.iter().chain(more).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    // The first line says bash, and the rest its options.
    place.run(&["bash"], &steps()[step], &all)
}

#[track_caller]
fn ends(step: Step, status: i32) {
    assert_eq!(step.status, status, "{}", step.said);
}

#[test]
fn every_step_ends_with_the_status_of_mad() {
    assert_eq!(steps().len(), 4);
    let place = Workplace::new();
    let (validation, gate, report) = (0, 1, 2);
    ends(run(&place, validation, &[("MAD_CATALOG_PYTHON", "0")]), 0);
    let strict = |value| [("VALUE", value), ("MAD_REQUIRE_BASELINE", "1")];
    ends(run(&place, gate, &strict("100")), 1);
    place.accept();
    for (value, status) in [("100", 0), ("fail", 3), ("50", 5)] {
        ends(run(&place, gate, &strict(value)), status);
        ends(run(&place, report, &[]), 0);
    }
    place.has_results("regressed");
    place.fixture.write("models.json", "[");
    ends(run(&place, gate, &strict("100")), 4);
    ends(run(&place, report, &[]), 0);
    assert_eq!(place.file("mad-report.html"), "", "an earlier run is no answer");
    ends(run(&place, validation, &[]), 1);
}

#[test]
fn baselines_come_as_a_patch() {
    let place = Workplace::new();
    let more =
        [("RUNS", "3"), ("WHY", "a \"new\" driver; $(touch pwned)"), ("MAD_ACCEPTED_BY", "ada")];
    ends(run(&place, 3, &more), 0);
    let patch = place.file("baselines.patch");
    assert!(
        patch.contains("+++ b/baselines/") && patch.contains("a \\\"new\\\" driver"),
        "{patch}"
    );
    assert!(!place.fixture.root().join("pwned").exists(), "a text was run");
}

/// What the exit statuses are said to mean is what they mean.
#[test]
fn every_status_has_its_meaning() {
    let text = fs::read_to_string(ci("jenkins/Jenkinsfile")).expect("a recipe");
    for (status, word) in
        [(1, "no verdict"), (2, "nothing"), (3, "a run failed"), (5, "regression")]
    {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{status}: '")));
        assert!(line.is_some_and(|line| line.contains(word)), "{status}: {line:?}");
    }
}
