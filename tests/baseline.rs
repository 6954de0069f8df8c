//! Accepted numbers: accepting them, judging by them, and files that are wrong.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Fixture, Ran, check, redact};
use serde_json::{Value, json};

/// Reports what the test wants: `$VALUE`, or the next line of the file `values`.
const SCRIPT: &str = "echo x >> \"$DIR/starts\"\n\
                      n=$(wc -l < \"$DIR/starts\")\n\
                      value=${VALUE:-$(sed -n \"${n}p\" \"$DIR/values\")}\n\
                      echo \"performance: $value ${UNIT:-tok/s}\"";

/// One entry with an accepted value of 100.
fn accepted() -> Fixture {
    let fixture = Fixture::with("m", SCRIPT);
    measure(&fixture, "100").exits(0);
    accept(&fixture, &[]).exits(0);
    fixture
}

fn measure(fixture: &Fixture, value: &str) -> Ran {
    fixture.mad(&["benchmark"]).env("VALUE", value).run()
}

/// Measures the values one after the other, one per execution.
fn measure_each(fixture: &Fixture, values: &[&str]) -> Ran {
    let _ = fs::remove_file(fixture.path("starts"));
    fs::write(fixture.path("values"), values.join("\n")).expect("a file");
    fixture.mad(&["benchmark"]).run()
}

fn accept(fixture: &Fixture, args: &[&str]) -> Ran {
    let args: Vec<&str> = ["baseline", "accept"].iter().chain(args).copied().collect();
    fixture.mad(&args).run()
}

/// The only baseline file.
fn file(fixture: &Fixture) -> PathBuf {
    let files = fixture.files_with("\"mad-baseline/");
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Changes a text in the only baseline file.
fn edit(fixture: &Fixture, from: &str, to: &str) {
    let path = file(fixture);
    let text = common::read(&path);
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).expect("the file");
}

#[test]
fn a_baseline_file_reads_well() {
    let fixture = Fixture::with("m", SCRIPT);
    measure(&fixture, "100").exits(0);
    let ran = accept(&fixture, &["m", "--why", "first light"]).exits(0);
    check(|| insta::assert_snapshot!("accept", ran.stdout));
    let mut text: Value = common::json_file(&file(&fixture));
    // Only hosts with GPUs have one.
    let provenance = text["accepted"][0]["provenance"].as_object_mut();
    provenance.expect("an object").remove("driver");
    let text = redact(text, &["kernel", "host", "mad", "entry"]);
    check(|| insta::assert_snapshot!("file", format!("{text:#}")));
}

#[test]
fn small_changes_are_the_same() {
    let fixture = accepted();
    let ran = measure(&fixture, "99").exits(0).says(&["same", "-1.00%"]);
    assert!(!ran.said().contains("fresh Execution"), "{}", ran.said());
    let rows = fixture.rows();
    assert_eq!(rows[0].get("relative_change"), "");
    assert_eq!(rows[1].get("relative_change"), "-0.0100");
    measure(&fixture, "130").exits(0).says(&["improved", "+30.00%"]);
}

#[test]
fn a_regression_is_confirmed_and_then_fails() {
    let fixture = accepted();
    let ran = measure_each(&fixture, &["50", "51", "52", "53"]).exits(5);
    ran.says(&["regressed", "confirmed by 3 fresh Executions"]);
    let verdict = fixture.record("m/verdict.json");
    assert_eq!(verdict["metrics"]["tok/s"]["fresh"], json!([51.0, 52.0, 53.0]));
    let confirmations = verdict["confirmations"].as_array().expect("executions");
    let logs: Vec<&str> = confirmations.iter().map(|c| c["log"].as_str().expect("a log")).collect();
    assert_eq!(logs.len(), 3);
    let run = fixture.runs().pop().expect("a run");
    assert!(logs.iter().all(|log| run.join(log).is_file()), "{logs:?}");
    assert_eq!(fixture.rows()[1].get("performance"), "50", "the measurement stays what it was");
    assert_eq!(fixture.rows().len(), 2);
    fixture.target(&["regress::"]).env("VALUE", "50").run().exits(101).says(&["regressed"]);
}

#[test]
fn a_suspicion_that_is_not_confirmed_does_not_fail() {
    let fixture = accepted();
    let ran = measure_each(&fixture, &["50", "100"]).exits(0);
    ran.says(&["ambiguous", "not confirmed", "measure again on a quiet machine"]);
    assert_eq!(fixture.text("starts").lines().count(), 2);
}

#[test]
fn a_failed_confirmation_fails() {
    let fixture = accepted();
    measure_each(&fixture, &["50", "broken"]).exits(3).says(&["a confirming execution failed"]);
}

#[test]
fn lower_is_better_for_times_and_by_rule() {
    let extra = json!({ "regress": {"metrics": {"tok/s": {"direction": "lower"}}} });
    let fixture = Fixture::empty().entry("m", SCRIPT, extra);
    measure(&fixture, "100").exits(0);
    accept(&fixture, &[]).exits(0);
    measure(&fixture, "50").exits(0).says(&["improved"]);
    measure(&fixture, "200").exits(5).says(&["regressed"]);
}

#[test]
fn the_tolerance_is_the_entrys_or_the_catalogs() {
    let fixture = accepted();
    fixture.write("mad.toml", "[defaults]\ntolerance = 0.6\n");
    measure(&fixture, "50").exits(0).says(&["within the tolerance of 60.0 %"]);
}

#[test]
fn a_lost_metric_fails() {
    let fixture = accepted();
    let ran = fixture.mad(&["benchmark"]).env("VALUE", "100").env("UNIT", "ms").run().exits(3);
    ran.says(&["the baseline has this metric, this run did not report it"]);
}

#[test]
fn what_failed_is_not_accepted() {
    let fixture = Fixture::with("m", "exit 1");
    fixture.mad(&["benchmark"]).run().exits(3);
    accept(&fixture, &[]).exits(1).says(&["refused: m: run ", "exit status 1"]);
    assert_eq!(fixture.files_with("\"mad-baseline/").len(), 0);
    let fixture = Fixture::with("m", SCRIPT);
    accept(&fixture, &[]).exits(4).says(&["there are no runs", "measure first"]);
    measure(&fixture, "100").exits(0);
    accept(&fixture, &["nobody"]).exits(2).says(&["no entry has the name or tag `nobody`"]);
    accept(&fixture, &["--run", "no-such-run"]).exits(4).says(&["there is no run"]);
    accept(&fixture, &["--last", "2"]).exits(4).says(&["there are 1 runs"]);
}

#[test]
fn a_run_is_accepted_once() {
    let fixture = accepted();
    let before = common::read(&file(&fixture));
    accept(&fixture, &[]).exits(1).says(&["was accepted already", "by tester"]);
    assert_eq!(common::read(&file(&fixture)), before);
}

#[test]
fn several_runs_are_accepted_together_and_a_jump_is_a_new_level() {
    let fixture = Fixture::with("m", SCRIPT);
    for value in ["100", "101", "102"] {
        measure(&fixture, value);
    }
    accept(&fixture, &["--last", "3"]).exits(0);
    fixture.mad(&["baseline", "list"]).run().exits(0).says(&["101", "3     1"]);
    measure(&fixture, "200").exits(0);
    accept(&fixture, &["--by", "somebody", "--why", "new compiler"])
        .exits(0)
        .says(&["a new level"]);
    fixture.mad(&["baseline", "list"]).run().exits(0).says(&["200", "1     2"]);
    let shown = fixture.mad(&["baseline", "show", "m"]).run().exits(0).stdout;
    check(|| insta::assert_snapshot!("show", shown));
}

#[test]
fn only_what_is_asked_for_is_accepted() {
    let fixture = Fixture::with("m", SCRIPT).entry("other", SCRIPT, json!({}));
    fixture.mad(&["benchmark", "m", "m:size=2", "other"]).env("VALUE", "1").run().exits(0);
    let ran = accept(&fixture, &["m:size=2"]).exits(0);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.said());
    ran.says(&["accepted m:size=2"]);
}

#[test]
fn lists_and_differences() {
    let fixture = accepted();
    let list = fixture.mad(&["baseline", "list"]).run().exits(0).stdout;
    // The columns are as wide as the host's name.
    let narrow = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("  ");
    let list = list.lines().map(narrow).collect::<Vec<_>>().join("\n");
    check(|| insta::assert_snapshot!("list", list));
    measure(&fixture, "80").exits(5);
    let diff = fixture.mad(&["baseline", "diff"]).run().exits(0).stdout;
    check(|| insta::assert_snapshot!("diff", diff));
    let diff = fixture.mad(&["--json", "baseline", "diff"]).run().exits(0).json();
    check(|| insta::assert_snapshot!("diff_json", format!("{diff:#}")));
    let ran = fixture.mad(&["benchmark"]).env("VALUE", "1").env("UNIT", "s").run();
    ran.exits(3);
    fixture.mad(&["baseline", "diff"]).run().exits(0).says(&["new", "gone"]);
}

#[test]
fn a_baseline_can_be_removed() {
    let fixture = accepted();
    fixture.mad(&["baseline", "rm", "m", "--machine-class", "other"]).run().exits(1);
    fixture.mad(&["baseline", "rm", "m"]).run().exits(0).says(&["removed "]);
    fixture.mad(&["baseline", "rm", "m"]).run().exits(1).says(&["no baseline of m"]);
    for args in [&["baseline", "show", "m"][..], &["--json", "baseline", "show", "m"]] {
        fixture.mad(args).run().exits(1).says(&["no baseline of m"]);
    }
    fixture.mad(&["baseline", "list"]).run().exits(0).says(&["no baselines; accept one"]);
    measure(&fixture, "10").exits(0).says(&["no baseline"]);
}

/// A baseline that cannot be judged by is said to be so before anything is measured.
#[track_caller]
fn is_useless(fixture: &Fixture, words: &[&str]) {
    let _ = fs::remove_file(fixture.path("starts"));
    let target = fixture.target(&["regress::m"]).env("VALUE", "100").run().exits(101);
    target.says(words);
    assert!(!fixture.path("starts").exists(), "nothing was measured");
    measure(fixture, "100").exits(4).says(words);
    accept(fixture, &[]).exits(1).says(words);
}

#[test]
fn a_corrupted_file() {
    let fixture = accepted();
    fs::write(file(&fixture), "{\"schema\": \"mad-baseline/1\",\n \"model\"").expect("the file");
    is_useless(&fixture, &["m.json:2:", "not a baseline", "restore it from version control"]);
    fixture.mad(&["baseline", "list"]).run().exits(1).says(&["not a baseline"]);
    fixture.mad(&["baseline", "show", "m"]).run().exits(1).says(&["not a baseline"]);
    // As the message advises.
    fixture.mad(&["baseline", "rm", "m"]).run().exits(0).says(&["removed "]);
    accept(&fixture, &[]).exits(0);
}

#[test]
fn a_file_of_a_newer_version() {
    let fixture = accepted();
    edit(&fixture, "mad-baseline/1", "mad-baseline/7");
    is_useless(&fixture, &["written by a newer mad-harness: schema mad-baseline/7", "upgrade"]);
}

#[test]
fn a_file_of_another_machine_in_this_ones_place() {
    let fixture = accepted();
    edit(&fixture, "\"machine_class\": \"cpu-", "\"machine_class\": \"gpu-");
    is_useless(&fixture, &["holds the numbers of m on gpu-", "never compared"]);
    fixture.mad(&["baseline", "list"]).run().exits(1).says(&["which belong into"]);
}

#[test]
fn a_file_of_another_precision_or_count_of_gpus() {
    let fixture = accepted();
    edit(&fixture, "\"precision\": \"\"", "\"precision\": \"fp8\"");
    is_useless(&fixture, &["fp8 precision", "never compared"]);
    let fixture = accepted();
    edit(&fixture, "\"n_gpus\": 0", "\"n_gpus\": 8");
    is_useless(&fixture, &["8 GPUs", "never compared"]);
}

#[test]
fn a_file_with_another_unit_for_the_metric() {
    let fixture = accepted();
    edit(&fixture, "\"metric\": \"tok/s\"", "\"metric\": \"tok/min\"");
    measure(&fixture, "100").exits(4).says(&["tok/min", "tok/s", "units"]);
}

#[test]
fn a_broken_file_does_not_hide_the_others() {
    let fixture = accepted();
    let broken = file(&fixture).with_file_name("broken.json");
    fs::write(&broken, "no JSON").expect("the file");
    let ran = fixture.mad(&["baseline", "list"]).run().exits(1);
    assert!(ran.stdout.contains("tok/s"), "{}", ran.said());
    ran.says(&["broken.json:1:", "not a baseline"]);
}
