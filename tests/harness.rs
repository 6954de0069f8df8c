//! The test target as libtest and nextest drive it.

mod common;

use common::{Fixture, Ran, check};
use serde_json::{Value, json};

/// Counts its starts in `$DIR/starts`; reports `$VALUE`, and fails if that is `fail`.
const COUNTING: &str = "echo x >> \"$DIR/starts\"\n\
                        [ \"${VALUE:-100}\" != fail ] || exit 9\n\
                        echo \"performance: ${VALUE:-100} tok/s\"";

/// An entry that runs here and one that needs more GPUs than any host has.
fn fixture() -> Fixture {
    Fixture::empty().entry("runs", COUNTING, json!({ "tags": ["cpu", "quick"] })).entry(
        "huge",
        COUNTING,
        json!({ "n_gpus": "4000", "tags": ["gpu"] }),
    )
}

fn starts(fixture: &Fixture) -> usize {
    std::fs::read_to_string(fixture.path("starts")).unwrap_or_default().lines().count()
}

/// Accepts what the entry measures.
fn accept(fixture: &Fixture) {
    fixture.mad(&["benchmark", "runs"]).run().exits(0);
    fixture.mad(&["baseline", "accept"]).run().exits(0);
    for left in ["starts", "mad/junit.xml"] {
        std::fs::remove_file(fixture.path(left)).expect("it is there");
    }
}

/// Names that a list holds.
fn listed(ran: &Ran) -> Vec<&str> {
    let name = |line: &'_ str| line.strip_suffix(": test").map(str::len);
    ran.stdout.lines().map(|l| &l[..name(l).unwrap_or_else(|| panic!("{l:?}"))]).collect()
}

fn list(fixture: &Fixture, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["--list"].iter().chain(args).copied().collect();
    let ran = fixture.target(&args).run().exits(0);
    listed(&ran).into_iter().map(str::to_owned).collect()
}

/// Cases that ran, in the order of their ends.
fn ran(fixture: &Fixture, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["--format", "json"].iter().chain(args).copied().collect();
    let events = events(&fixture.target(&args).run().exits(0));
    let names = events.iter().filter(|e| e["type"] == "test" && e["event"] == "ok");
    names.map(|e| e["name"].as_str().expect("a name").to_owned()).collect()
}

fn events(ran: &Ran) -> Vec<Value> {
    let event = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    ran.stdout.lines().map(event).collect()
}

#[test]
fn cases_are_listed_stage_by_stage() {
    let fixture = fixture();
    let all = [
        "catalog",
        "validate::runs",
        "validate::huge",
        "bench::runs",
        "bench::huge",
        "regress::runs",
        "regress::huge",
    ];
    assert_eq!(list(&fixture, &[]), all);
    assert_eq!(list(&fixture, &["--format", "terse"]), all);
    assert_eq!(list(&fixture, &["--ignored"]), ["bench::huge", "regress::runs", "regress::huge"]);
    accept(&fixture);
    assert_eq!(list(&fixture, &["--ignored"]), ["bench::huge", "regress::huge"]);
}

#[test]
fn filters_choose_cases_by_name() {
    let fixture = fixture();
    assert_eq!(list(&fixture, &["bench"]), ["bench::runs", "bench::huge"]);
    assert_eq!(list(&fixture, &["bench::r", "date::h"]), ["validate::huge", "bench::runs"]);
    assert_eq!(list(&fixture, &["--exact", "bench::runs"]), ["bench::runs"]);
    assert_eq!(list(&fixture, &["--exact", "bench"]), [""; 0]);
    assert_eq!(list(&fixture, &["--exact", "catalog", "bench::runs"]), ["catalog", "bench::runs"]);
    assert_eq!(
        list(&fixture, &["::runs", "--skip", "regress", "--skip", "bench"]),
        ["validate::runs"]
    );
    assert_eq!(ran(&fixture, &["bench::r", "date::h", "--skip", "huge"]), ["bench::runs"]);
    assert_eq!(ran(&fixture, &["--exact", "validate::runs"]), ["validate::runs"]);
    assert_eq!(starts(&fixture), 1);
}

#[test]
fn tags_choose_entries() {
    let fixture = fixture();
    let expected = ["catalog", "validate::huge", "bench::huge", "regress::huge"];
    assert_eq!(list(&fixture, &["--tags", "gpu"]), expected);
    let by_variable = fixture.target(&["--list"]).env("MAD_TAGS", "gpu").run().exits(0);
    assert_eq!(listed(&by_variable), expected);
    assert_eq!(list(&fixture, &["--tags", "gpu,quick", "-t", "cpu"]).len(), 7);
    let added = list(&fixture, &["--tags", "runs:n=1", "bench"]);
    assert_eq!(added, ["bench::runs:n=1"]);
    fixture.target(&["--tags", "nothing"]).run().exits(2).says(&["no entry has the name or tag"]);
    fixture.target(&["--timeout", "soon"]).run().exits(4).says(&["expected seconds"]);
    // What a CI system leaves blank is not set.
    let blank = ["MAD_TAGS", "MAD_TIMEOUT", "MAD_NGPUS", "MAD_ENGINE", "MAD_SAMPLES"];
    let target = fixture.target(&["--list"]);
    let target = blank.into_iter().fold(target, |target, name| target.env(name, ""));
    assert_eq!(listed(&target.run().exits(0)).len(), 7);
}

#[test]
fn what_people_see() {
    let fixture = fixture();
    // One thread, so that the order of the lines is one.
    let ran = fixture.target(&["--test-threads=1"]).run().exits(0);
    let seen = ran.stdout.lines().filter(|l| !l.starts_with("test result"));
    let seen: Vec<&str> = seen.collect();
    check(|| insta::assert_snapshot!("seen", seen.join("\n")));
    let quiet = fixture.target(&["-q"]).run().exits(0);
    quiet.says(&["4 passed; 0 failed; 3 ignored"]);
}

#[test]
fn ignored_cases_can_be_asked_for() {
    let fixture = fixture();
    let ignored = fixture.target(&["--ignored", "--test-threads=1"]).run().exits(0);
    ignored.says(&["needs 4000 GPUs, this host has", "no baseline for", "4 filtered out"]);
    assert_eq!(starts(&fixture), 0);
    let all = fixture.target(&["--include-ignored"]).run().exits(0);
    all.says(&["4 passed", "3 ignored"]);
    assert_eq!(starts(&fixture), 1);
}

#[test]
fn bench_and_regress_share_one_measurement_between_threads() {
    let fixture = fixture();
    accept(&fixture);
    for threads in ["1", "8"] {
        fixture.target(&["runs", "--test-threads", threads]).run().exits(0).says(&["3 passed"]);
    }
    fixture.target(&["runs"]).env("RUST_TEST_THREADS", "2").run().exits(0);
    assert_eq!(starts(&fixture), 3);
    // Asked alone, regress measures itself.
    fixture.target(&["regress::runs"]).run().exits(0);
    assert_eq!(starts(&fixture), 4);
}

#[test]
fn bench_and_regress_share_one_measurement_between_processes() {
    let fixture = fixture();
    accept(&fixture);
    let case = |name| fixture.target(&["--exact", name, "--nocapture"]).under_nextest(1).start();
    let cases = ["validate::runs", "regress::runs", "bench::runs"].map(case);
    for case in cases {
        case.wait().exits(0);
    }
    assert_eq!(starts(&fixture), 1);
    assert_eq!(fixture.rows().len(), 2, "one row here, one of what was accepted");
    assert!(!fixture.path("mad/junit.xml").exists(), "one case is no report");
    let report = fixture.mad(&["report", "11111111-2222-3333-4444-555555555555"]).run().exits(0);
    report.says(&["100", "same"]);
}

#[test]
fn a_gated_case_that_nextest_is_told_to_run_fails() {
    let fixture = fixture();
    for name in ["bench::huge", "regress::huge", "regress::runs"] {
        let ran = fixture.target(&["--exact", name, "--ignored"]).under_nextest(1).run().exits(101);
        assert!(
            ran.stderr.lines().any(|l| l.starts_with("Error: asked for, but ")),
            "{}",
            ran.said()
        );
    }
}

#[test]
fn a_failure_has_a_line_that_nextest_shows() {
    let fixture = fixture();
    let failing = fixture.target(&["--exact", "bench::runs"]).under_nextest(1).env("VALUE", "fail");
    let ran = failing.run().exits(101);
    assert!(ran.stderr.lines().any(|l| l.starts_with("Error: exit status 9")), "{}", ran.said());
}

#[test]
fn a_retry_measures_again_what_failed_and_keeps_both() {
    let fixture = fixture();
    let attempt = |n, value| {
        fixture.target(&["--exact", "bench::runs"]).under_nextest(n).env("VALUE", value).run()
    };
    attempt(1, "fail").exits(101);
    attempt(1, "100").exits(101);
    assert_eq!(starts(&fixture), 1, "the same attempt reads what is there");
    attempt(2, "100").exits(0);
    assert_eq!(starts(&fixture), 2);
    attempt(3, "100").exits(0);
    assert_eq!(starts(&fixture), 2, "what succeeded is not measured again");
    assert!(fixture.record("runs/attempt-1/measurement.json")["failure"].is_string());
    assert_eq!(fixture.record("runs/attempt-2/measurement.json")["attempt"], 2);
}

#[test]
fn a_retry_keeps_the_first_verdict() {
    let fixture = fixture();
    accept(&fixture);
    let attempt = |n, value| {
        fixture.target(&["--exact", "regress::runs"]).under_nextest(n).env("VALUE", value).run()
    };
    attempt(1, "50").exits(101).says(&["Error: tok/s: regressed: 50 is 50.0 % worse"]);
    let measured = starts(&fixture);
    assert!(measured > 1, "a suspicion is confirmed by measuring again");
    attempt(2, "100").exits(101).says(&["regressed: 50"]);
    assert_eq!(starts(&fixture), measured);
}

#[test]
fn strict_runs() {
    let fixture = fixture();
    let strict = fixture.target(&["bench::huge"]).env("MAD_REQUIRE_GPU", "1").run().exits(101);
    strict.says(&["needs 4000 GPUs", "--require-gpu"]);
    let strict = fixture.target(&["regress::runs", "--require-baseline"]).run().exits(101);
    strict.says(&["no baseline for", "--require-baseline"]);
    let listed = fixture
        .target(&["--list", "--ignored", "--require-gpu", "--require-baseline"])
        .under_nextest(1)
        .run()
        .exits(0);
    assert_eq!(listed.stdout, "", "what shall be seen to fail is not ignored");
}

#[test]
fn json_events_are_json_and_nothing_else() {
    let fixture = fixture();
    let events = events(&fixture.target(&["--format", "json"]).env("VALUE", "fail").run());
    let last = events.last().expect("an event");
    assert_eq!(
        (&last["passed"], &last["failed"], &last["ignored"]),
        (&json!(3), &json!(1), &json!(3))
    );
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let fixture = fixture();
    let pipe = |args: &[&str]| {
        let piped = fixture.target(args).through_shell("\"$@\" | head -n 1; exit ${PIPESTATUS[0]}");
        let ran = piped.run().exits(0);
        assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.said());
        assert!(!ran.stderr.contains("panicked"), "{}", ran.said());
    };
    pipe(&["--list"]);
    pipe(&["--test-threads", "1"]);
    pipe(&["--format", "json"]);
    assert_eq!(starts(&fixture), 2, "both runs measured");
    assert!(fixture.path("mad/junit.xml").exists());
}
