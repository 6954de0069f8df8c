//! `mad selftest gate`, with entries that report what they are told: what it finds is not
//! a matter of how busy the machine is.

mod common;

use std::fs;

use common::{Fixture, eventually};
use serde_json::{Value, json};

/// Reports `$value`, which the body sets; `$n` counts the executions.
fn entry(body: &str, extra: Value) -> Fixture {
    let script = format!(
        "echo x >> \"$DIR/count\"; n=$(wc -l < \"$DIR/count\"); value=100\n{body}\n\
         echo \"performance: $value tok/s\""
    );
    Fixture::empty().entry("m", &script, extra)
}

const HONOURS: &str = r#"[ -z "${MAD_PLANT_SLOWDOWN:-}" ] || value=91"#;
const TEST: [&str; 4] = ["selftest", "gate", "--entry", "m"];

fn tolerance(tolerance: f64) -> Value {
    json!({ "regress": { "tolerance": tolerance } })
}

#[test]
fn a_gate_that_works() {
    let fixture = entry(HONOURS, json!({}));
    let ran = fixture.mad(&TEST).run().exits(0);
    insta::assert_snapshot!("selftest", ran.stdout);
    insta::assert_snapshot!("selftest_progress", ran.stderr);
    let spent = format!("(executions: {})", fixture.text("count").lines().count());
    let ran = ran.says(&[&spent]);
    let quiet = fixture.mad(&TEST).run().exits(0);
    assert_eq!(quiet.stdout, ran.stdout);

    let ran = fixture.mad(&[&TEST[..], &["--json", "-q"]].concat()).run().exits(0);
    let found = ran.json();
    assert_eq!(ran.stderr, "");
    assert_eq!(found["schema"], "mad-selftest/1");
    assert_eq!((&found["finding"], &found["exit"]), (&json!("works"), &json!(0)));
    assert_eq!(found["looks"][2]["exit"], 5);
    assert_eq!(found["looks"][2]["worse_by"], 0.09);
}

#[test]
fn nothing_of_the_users_is_touched_and_nothing_is_left() {
    let fixture = entry(HONOURS, json!({}));
    fs::create_dir(fixture.path("tmp")).expect("a directory");
    // What the user set is for the user's runs.
    let ran = fixture
        .mad(&TEST)
        .env("TMPDIR", fixture.path("tmp"))
        .env("MAD_TAGS", "none")
        .env("MAD_PLAN", "1")
        .env("MAD_REQUIRE_BASELINE", "1")
        .env("MAD_SAMPLES", "7")
        .env("MAD_OUTPUT", fixture.path("rows.csv"))
        .env("MAD_BASELINE_DIR", fixture.path("kept"))
        .env("MAD_PLANT_SLOWDOWN", "3")
        .under_nextest(2)
        .env("CI", "true")
        .run();
    ran.exits(0).says(&["works: red when slower by 10.0 %"]);
    assert_eq!(fs::read_dir(fixture.path("tmp")).expect("a directory").count(), 0);
    for path in ["mad", "perf.csv", "rows.csv", "kept", "perf_entry_super.json"] {
        assert!(!fixture.path(path).exists(), "{path}");
    }
    assert!(!fixture.root().join("baselines").exists());
}

#[test]
fn a_gate_that_sees_nothing() {
    let fixture = entry(HONOURS, tolerance(0.5));
    let told = ["blind: a slow-down of 10.0 %", "within the tolerance of 50.0 %"];
    fixture.mad(&TEST).run().exits(1).says(&told);
}

#[test]
fn a_gate_that_cries_wolf() {
    // Within a range that no machine would be blamed for, and beyond a tolerance that is too small.
    let body = format!("{HONOURS}\n[ $n -le 5 ] || [ $value = 91 ] || value=98.5");
    let fixture = entry(&body, tolerance(0.002));
    let told = ["false-alarm: nothing was changed: tok/s: regressed: 98.5 is 1.5 % worse"];
    fixture.mad(&TEST).run().exits(1).says(&told);
}

#[test]
fn an_entry_that_does_not_get_slower() {
    let fixture = entry("", json!({}));
    let ran = fixture.mad(&TEST).run().exits(4);
    ran.says(&["not-planted: a slow-down of 10.0 % was asked for and 0.0 % seen"]);
}

#[test]
fn a_machine_that_is_too_noisy() {
    let fixture = entry("value=$((100 + n % 3 * 9))", json!({}));
    fixture.mad(&TEST).run().exits(3).says(&["too-noisy: unchanged, the numbers differ by 1"]);
}

#[test]
fn runs_that_fail() {
    let fixture = entry("[ $n -ne 3 ] || { echo 'out of memory'; exit 7; }", json!({}));
    let told = [
        "error: a run to be accepted failed",
        "exit status 7; the log ends at line 1 with \"out of memory\"",
    ];
    fixture.mad(&TEST).run().exits(3).says(&told);
    let fixture = entry("[ $n -ne 8 ] || exit 7", json!({}));
    fixture.mad(&TEST).run().exits(3).says(&["a run (slower) failed with exit status 3"]);
}

#[test]
fn arguments_that_make_no_sense() {
    let fixture = entry(HONOURS, json!({})).entry("other", "echo performance: 1 x/s", json!({}));
    for slowdown in ["10", "0%", "-5%", "2000%", "nan%", "x"] {
        let slowdown = format!("--slowdown={slowdown}");
        fixture.mad(&["selftest", "gate", &slowdown]).run().exits(4).says(&["such as 10%"]);
    }
    fixture.mad(&["selftest", "gate", "--entry", "nothing"]).run().exits(2);
    fixture.mad(&["selftest", "gate", "--entry", "cpu"]).run().exits(4).says(&["2 entries"]);
    assert!(!fixture.path("count").exists());
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    let fixture = entry("touch \"$DIR/started\"; sleep 1000", json!({}));
    fs::create_dir(fixture.path("tmp")).expect("a directory");
    let running = fixture.mad(&TEST).env("TMPDIR", fixture.path("tmp")).start();
    eventually("the script starts", || fixture.path("started").exists());
    running.signal("TERM");
    running.wait().exits(3).says(&["error: interrupted"]);
    assert_eq!(fs::read_dir(fixture.path("tmp")).expect("a directory").count(), 0);
}
