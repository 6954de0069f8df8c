//! How accepted numbers come to be, age, and are replaced: who may accept what, and what is kept.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Fixture, Mad, Ran, check};
use serde_json::{Value, json};

/// Reports `$VALUE` of `$METRIC`.
const SCRIPT: &str = "echo \"performance: $VALUE ${METRIC:-tok/s}\"";

fn one() -> Fixture {
    Fixture::with("m", SCRIPT)
}

fn measure(fixture: &Fixture, value: &str) -> Ran {
    fixture.mad(&["benchmark"]).env("VALUE", value).run()
}

/// Measures each value in a run of its own.
fn measure_each(fixture: &Fixture, values: &[&str]) {
    for value in values {
        measure(fixture, value).exits(0);
    }
}

/// `mad baseline accept` as it is without any variable.
fn accepting(fixture: &Fixture, args: &[&str]) -> Mad {
    let args: Vec<&str> = ["baseline", "accept"].iter().chain(args).copied().collect();
    fixture.mad(&args).env_remove("MAD_AGREE")
}

fn accept(fixture: &Fixture, args: &[&str]) -> Ran {
    accepting(fixture, args).run()
}

/// One entry with a level of three accepted runs around 100.
fn accepted() -> Fixture {
    let fixture = one();
    measure_each(&fixture, &["99.5", "100", "100.5"]);
    accept(&fixture, &[]).exits(0);
    fixture
}

/// The only baseline file.
fn file(fixture: &Fixture) -> PathBuf {
    let files = fixture.files_with("\"mad-baseline/");
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn baseline(fixture: &Fixture) -> Value {
    common::json_file(&file(fixture))
}

/// Level and median of each accepted run.
fn levels(fixture: &Fixture) -> Vec<(u64, f64)> {
    let baseline = baseline(fixture);
    let runs = baseline["accepted"].as_array().expect("runs");
    let number = |run: &Value| {
        let metric = run["metrics"].as_object().and_then(|m| m.values().next()).expect("a metric");
        (run["level"].as_u64().expect("a level"), metric["median"].as_f64().expect("a median"))
    };
    runs.iter().map(number).collect()
}

/// Changes a text of a file.
fn edit(path: &Path, from: &str, to: &str) {
    let text = common::read(path);
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).expect("the file");
}

#[test]
fn a_first_baseline_takes_three_runs_that_agree() {
    let fixture = one();
    measure(&fixture, "100").exits(0);
    let told = accept(&fixture, &[]).exits(1).stderr;
    check(|| insta::assert_snapshot!("too_few", told));
    assert!(!fixture.root().join("baselines").exists(), "nothing is made for a refusal");
    measure(&fixture, "130").exits(0);
    measure(&fixture, "101").exits(0);
    let told = accept(&fixture, &[]).exits(1).stderr;
    check(|| insta::assert_snapshot!("disagreement", told));
    // Three that agree, whatever came before.
    measure_each(&fixture, &["102", "100.5"]);
    let ran = accept(&fixture, &[]).exits(0).says(&["1 metric of 3 runs"]);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.said());
    assert_eq!(levels(&fixture), [(1, 101.0), (1, 102.0), (1, 100.5)]);
}

#[test]
fn how_many_it_takes_is_for_the_catalog_and_the_user_to_say() {
    let fixture = one();
    measure(&fixture, "100").exits(0);
    accept(&fixture, &["--agree", "2"]).exits(1).says(&["there is 1 run, not 2"]);
    fixture.write("mad.toml", "[baseline]\nagree = 1\n");
    accept(&fixture, &[]).exits(0);
    assert_eq!(baseline(&fixture)["accepted"][0].get("forced"), None);
    for (text, word) in [("agree = 0", "`agree` must be 1"), ("window = 1", "from 2 to 100")] {
        fixture.write("mad.toml", format!("[baseline]\n{text}\n"));
        accept(&fixture, &[]).exits(4).says(&[word]);
    }
}

#[test]
fn runs_that_do_not_count_are_passed_over() {
    let fixture = one();
    measure(&fixture, "100").exits(0);
    measure(&fixture, "broken").exits(3);
    measure_each(&fixture, &["101", "102"]);
    accept(&fixture, &[]).exits(0).says(&["of 3 runs"]);
    // Another entry under the name of the old one begins anew.
    let fixture = one();
    measure_each(&fixture, &["100", "101"]);
    let fixture = fixture.entry("n", SCRIPT, json!({}));
    fixture.write(
        "models.json",
        common::read(&fixture.root().join("models.json")).replacen(
            "\"args\": \"\"",
            "\"args\": \"--size 2\"",
            1,
        ),
    );
    measure(&fixture, "100").exits(0);
    accept(&fixture, &["m"]).exits(1).says(&["there is 1 run, not 3"]);
}

#[test]
fn fewer_runs_are_accepted_by_force_and_the_file_tells() {
    let fixture = one();
    measure(&fixture, "100").exits(0);
    accept(&fixture, &["--force"]).exits(4).says(&["--why"]);
    accept(&fixture, &["--force", "--why", " "]).exits(1).says(&["accept it with `--why TEXT`"]);
    accept(&fixture, &["--force", "--why", "the machine goes tomorrow"])
        .exits(0)
        .says(&[", forced", "there is 1 run, not 3"]);
    let run = &baseline(&fixture)["accepted"][0];
    assert_eq!(run["forced"], true);
    assert_eq!(run["objection"], "there is 1 run, not 3");
    assert_eq!((&run["by"], &run["why"]), (&json!("tester"), &json!("the machine goes tomorrow")));
    let shown = fixture.mad(&["baseline", "show", "m"]).run().exits(0).stdout;
    check(|| insta::assert_snapshot!("forced", shown));
}

#[test]
fn runs_join_their_level_and_another_level_takes_a_reason() {
    let fixture = accepted();
    measure(&fixture, "101").exits(0);
    accept(&fixture, &[]).exits(0).says(&["1 metric of 1 run, level 1"]);
    let before = common::read(&file(&fixture));
    measure(&fixture, "130").exits(0).says(&["improved"]);
    let told = accept(&fixture, &[]).exits(1).stderr;
    check(|| insta::assert_snapshot!("new_level_without_reason", told));
    assert_eq!(common::read(&file(&fixture)), before);
    let told = accept(&fixture, &["--why", "new compiler", "--by", "grace"]).exits(0).stdout;
    check(|| insta::assert_snapshot!("new_level", told));
    let shown = fixture.mad(&["baseline", "show", "m"]).run().exits(0).stdout;
    check(|| insta::assert_snapshot!("levels", shown));
    // The new level is what counts.
    measure(&fixture, "131").exits(0).says(&["same"]);
    accept(&fixture, &["--new-level"]).exits(1).says(&["a new level is asked for", "--why"]);
    accept(&fixture, &["--new-level", "--why", "new machine room"]).exits(0);
    let numbers: Vec<u64> = levels(&fixture).into_iter().map(|(level, _)| level).collect();
    assert_eq!(numbers, [1, 1, 1, 1, 2, 3]);
}

#[test]
fn a_regression_that_is_accepted_is_the_new_level() {
    let fixture = accepted();
    measure(&fixture, "70").exits(5);
    accept(&fixture, &["--why", "correctness comes first"]).exits(0).says(&["a new level (2)"]);
    measure(&fixture, "70").exits(0).says(&["same"]);
}

#[test]
fn what_the_gate_called_regressed_joins_no_level() {
    let fixture = accepted();
    measure(&fixture, "100").exits(0);
    // As a gate would have it that has looked more than once.
    let path = fixture.runs().pop().expect("a run").join("m/verdict.json");
    edit(&path, "\"outcome\": \"same\"", "\"outcome\": \"regressed\"");
    accept(&fixture, &[]).exits(1).says(&["tok/s: the gate called it regressed", "--why"]);
    // A verdict against another level says nothing of this one.
    edit(&path, "\"baseline_median\": 100.0", "\"baseline_median\": 200.0");
    accept(&fixture, &[]).exits(0).says(&["level 1"]);
}

#[test]
fn the_window_is_the_catalogs() {
    let fixture = accepted();
    fixture.write("mad.toml", "[baseline]\nwindow = 2\n");
    fixture.mad(&["baseline", "list"]).run().exits(0).says(&["100.25", "2     1"]);
    measure(&fixture, "100").exits(0).says(&["(2 runs"]);
}

#[test]
fn a_metric_by_another_name_is_a_new_level() {
    let fixture = accepted();
    let renamed = || fixture.mad(&["benchmark"]).env("VALUE", "100").env("METRIC", "tokens").run();
    renamed().exits(3).says(&["tok/s", "did not report it"]);
    accept(&fixture, &[]).exits(1).says(&["tok/s is gone", "--why"]);
    accept(&fixture, &["--why", "a better name"]).exits(0);
    renamed().exits(0).says(&["tokens: same"]);
}

#[test]
fn a_direction_that_is_turned_round_is_no_improvement() {
    let fixture = accepted();
    let rule = json!({ "regress": { "metrics": { "tok/s": { "direction": "lower" } } } });
    let fixture = fixture.entry("other", SCRIPT, json!({}));
    let mut catalog: Value = common::json_file(&fixture.root().join("models.json"));
    catalog[0]["regress"] = rule["regress"].clone();
    fixture.write("models.json", format!("{catalog:#}"));
    let bench = || fixture.mad(&["benchmark", "m"]).env("VALUE", "50").run();
    bench().exits(4).says(&["higher was better when it was accepted, lower is now"]);
    accept(&fixture, &["m"]).exits(1).says(&["lower is better now", "--why"]);
    accept(&fixture, &["m", "--why", "it is a latency"]).exits(0);
    bench().exits(0).says(&["same"]);
}

#[test]
fn numbers_that_somebody_edited_are_no_numbers() {
    let fixture = accepted();
    edit(&file(&fixture), "\"median\": 100.5", "\"median\": 50.5");
    let told = measure(&fixture, "100").exits(4).stderr;
    assert!(told.is_empty() || !told.contains("panicked"), "{told}");
    accept(&fixture, &[]).exits(1).says(&[
        "/accepted/2/metrics/tok~1s/median: 50.5 is not the median of `values`, 100.5 is",
        "restore it from version control",
    ]);
}

#[test]
fn two_at_once_both_are_kept() {
    let fixture = accepted();
    measure_each(&fixture, &["100", "101"]);
    let runs: Vec<String> = fixture.runs().iter().map(|run| run.display().to_string()).collect();
    let both: Vec<_> =
        runs[3..].iter().map(|run| accepting(&fixture, &["--run", run]).start()).collect();
    both.into_iter().for_each(|running| {
        running.wait().exits(0);
    });
    assert_eq!(levels(&fixture).len(), 5);
}

#[test]
fn a_run_that_is_named_twice_counts_once() {
    let fixture = one();
    measure(&fixture, "100").exits(0);
    let args = ["--run", "latest", "--run", "latest", "--agree", "2"];
    accept(&fixture, &args).exits(1).says(&["there is 1 run, not 2"]);
}

#[test]
fn a_full_disk_takes_nothing_from_what_is_there() {
    let fixture = accepted();
    let before = common::read(&file(&fixture));
    measure(&fixture, "100").exits(0);
    // Whatever is written there finds no space.
    let temporary = file(&fixture).with_extension("json.tmp");
    std::os::unix::fs::symlink("/dev/full", &temporary).expect("a link");
    accept(&fixture, &[]).exits(1).says(&["cannot write", "No space left"]);
    assert_eq!(common::read(&file(&fixture)), before);
    // The half-written one is gone, and the next attempt succeeds.
    accept(&fixture, &[]).exits(0);
}

#[test]
fn a_directory_that_cannot_be_written() {
    let fixture = accepted();
    measure(&fixture, "100").exits(0);
    let root = fixture.root();
    fs::rename(root.join("baselines"), root.join("kept")).expect("a directory");
    fs::write(root.join("baselines"), "not a directory").expect("a file");
    let told = accept(&fixture, &[]).exits(1).stderr;
    assert!(told.contains("refused: m: cannot"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn a_clock_that_was_set_back_is_told() {
    let fixture = accepted();
    edit(&file(&fixture), "\"at\": \"20", "\"at\": \"29");
    measure(&fixture, "100").exits(0);
    accept(&fixture, &[]).exits(0).says(&["a clock was set back", "in which they were accepted"]);
    assert_eq!(levels(&fixture).last(), Some(&(1, 100.0)));
    measure(&fixture, "101").exits(0);
    let run = fixture.runs().pop().expect("a run").join("run.json");
    edit(&run, "\"started\": \"20", "\"started\": \"29");
    let id = common::json_file(&run)["id"].as_str().expect("an id").to_owned();
    accept(&fixture, &[]).exits(4).says(&["a clock was set back", "name it with `--run`"]);
    accept(&fixture, &["--run", &id]).exits(0);
}

#[test]
fn nothing_is_accepted_unless_somebody_says_so() {
    let fixture = one();
    measure_each(&fixture, &["100", "100", "100"]);
    for ci in [&[("CI", "true")][..], &[("GITHUB_ACTIONS", "true"), ("GITHUB_ACTOR", "ada")]] {
        let with = |mad: Mad| ci.iter().fold(mad, |mad, (name, value)| mad.env(name, value));
        for args in [
            &["benchmark"][..],
            &["benchmark", "--require-baseline"],
            &["report"],
            &["history"],
            &["baseline", "list"],
            &["baseline", "diff"],
            &["validate"],
        ] {
            with(fixture.mad(args)).env("VALUE", "100").run();
        }
        with(fixture.target(&[])).env("VALUE", "100").run();
        with(fixture.target(&["--include-ignored"]).under_nextest(1)).env("VALUE", "100").run();
    }
    assert!(!fixture.root().join("baselines").exists());
    // Said in a job, it is the job's actor who says it.
    let in_ci = |args: &[&str]| {
        accepting(&fixture, args)
            .env_remove("MAD_ACCEPTED_BY")
            .env("CI", "true")
            .env("GITHUB_ACTOR", "ada")
            .run()
    };
    in_ci(&["--interactive"]).exits(4).says(&["nobody answers", "without --interactive"]);
    assert!(!fixture.root().join("baselines").exists());
    in_ci(&[]).exits(0);
    assert_eq!(baseline(&fixture)["accepted"][0]["by"], "ada (CI)");
}

#[test]
fn who_accepts_is_asked_of_git_and_of_the_system() {
    let fixture = one();
    let by = || {
        measure(&fixture, "100");
        accepting(&fixture, &["--agree", "1"])
            .env_remove("MAD_ACCEPTED_BY")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("USER", "alan")
            .run()
            .exits(0);
        let baseline = baseline(&fixture);
        let runs = baseline["accepted"].as_array().expect("runs");
        runs.last().expect("a run")["by"].as_str().expect("a name").to_owned()
    };
    assert_eq!(by(), "alan");
    let git = |args: &[&str]| {
        let ran = Command::new("git").arg("-C").arg(fixture.root()).args(args).output();
        assert!(ran.expect("git").status.success());
    };
    git(&["init", "--quiet"]);
    git(&["config", "user.name", "Ada L."]);
    assert_eq!(by(), "Ada L.");
}
