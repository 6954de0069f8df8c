//! `--until decided`: executions go where a verdict is in doubt. The scripts print what they
//! are told.

mod common;

use common::Fixture;
use serde_json::{Value, json};

/// Reports the numbers of the file that is named after the entry, one after the other; the
/// last one from then on.
fn script(name: &str) -> String {
    format!(
        "f=\"$DIR/{name}.values\"; echo \"performance: $(head -n1 \"$f\") tok/s\"\n\
         [ \"$(wc -l < \"$f\")\" -gt 1 ] && sed -i 1d \"$f\"; true"
    )
}

fn set(fixture: &Fixture, name: &str, values: &[f64]) {
    let lines: String = values.iter().map(|v| format!("{v}\n")).collect();
    std::fs::write(fixture.path(&format!("{name}.values")), lines).expect("a file");
}

/// Two entries with six accepted runs around 100.
fn accepted() -> Fixture {
    let fixture = Fixture::empty().entry("calm", &script("calm"), json!({})).entry(
        "doubtful",
        &script("doubtful"),
        json!({}),
    );
    for value in [99.0, 99.5, 100.0, 100.0, 100.5, 101.0] {
        set(&fixture, "calm", &[value]);
        set(&fixture, "doubtful", &[value]);
        fixture.mad(&["benchmark"]).run().exits(0);
        fixture.mad(&["baseline", "accept"]).run().exits(0);
    }
    fixture
}

fn executions(measurement: &Value) -> usize {
    measurement["executions"].as_array().map_or(0, Vec::len)
}

fn confirmations(fixture: &Fixture, entry: &str) -> usize {
    let verdict = fixture.record(&format!("{entry}/verdict.json"));
    verdict["confirmations"].as_array().map_or(0, Vec::len)
}

#[test]
fn what_is_in_doubt_gets_more_and_what_is_settled_none() {
    let fixture = accepted();
    set(&fixture, "calm", &[99.0]);
    set(&fixture, "doubtful", &[97.6, 97.5, 99.9, 99.0]);
    fixture.mad(&["benchmark", "--until", "decided"]).run().exits(0).says(&["fresh Execution 3"]);
    assert_eq!(confirmations(&fixture, "calm"), 0);
    assert_eq!(confirmations(&fixture, "doubtful"), 3);
    // Without it, a doubt that is no suspicion stays one.
    set(&fixture, "doubtful", &[97.6, 97.5, 99.9, 99.0]);
    fixture.mad(&["benchmark"]).run().exits(0).says(&["ambiguous"]);
    assert_eq!(confirmations(&fixture, "doubtful"), 0);
}

#[test]
fn what_it_spends_is_bounded() {
    let fixture = accepted();
    set(&fixture, "doubtful", &[97.6]);
    let until = ["benchmark", "doubtful", "--until", "decided"];
    let ran = fixture.mad(&[&until[..], &["--max-samples", "7"]].concat()).run();
    ran.exits(0).says(&["ambiguous"]);
    assert_eq!(confirmations(&fixture, "doubtful"), 6);
    let ran = fixture.mad(&[&until[..], &["--budget", "0.000001"]].concat()).run();
    ran.exits(0).says(&["the time is spent"]);
    assert_eq!(confirmations(&fixture, "doubtful"), 0);
    // A suspicion is looked at again in any case.
    set(&fixture, "doubtful", &[60.0]);
    let ran = fixture.mad(&[&until[..], &["--budget", "0.000001", "--max-samples", "1"]].concat());
    ran.run().exits(5).says(&["confirmed by"]);
}

#[test]
fn without_a_baseline_until_the_level_is_known() {
    let fixture = Fixture::empty().entry("new", &script("new"), json!({}));
    let measure = |values: &[f64], more: &[&str]| {
        set(&fixture, "new", values);
        let until = ["benchmark", "--until", "decided"];
        fixture.mad(&[&until[..], more].concat()).run().exits(0);
        executions(&fixture.record("new/attempt-1/measurement.json"))
    };
    // Half the tolerance of 2 %.
    assert_eq!(measure(&[100.0], &[]), 3);
    assert_eq!(measure(&[99.0, 101.0, 99.0, 101.0, 99.0, 101.0, 99.0, 101.0], &[]), 7);
    assert_eq!(measure(&[80.0, 120.0, 80.0, 120.0, 80.0], &["--max-samples", "5"]), 5);
    assert_eq!(measure(&[80.0, 120.0, 80.0], &["--budget", "0.000001"]), 1);
}

#[test]
fn the_test_target_does_it_too() {
    let fixture = accepted();
    set(&fixture, "calm", &[99.0]);
    set(&fixture, "doubtful", &[97.6, 97.5, 99.9, 99.0]);
    fixture.target(&["regress::"]).env("MAD_UNTIL", "decided").run().exits(0);
    assert_eq!(confirmations(&fixture, "doubtful"), 3);
    assert_eq!(confirmations(&fixture, "calm"), 0);
}

#[test]
fn arguments_that_make_no_sense() {
    let fixture = Fixture::with("m", "echo 'performance: 1 tok/s'");
    let told = |args: &[&str], text: &str| {
        fixture.mad(&[&["benchmark"], args].concat()).run().exits(4).says(&[text]);
    };
    told(&["--budget", "2h"], "add that");
    told(&["--max-samples", "9"], "add that");
    for wrong in ["soon", "-1", "0", "2d", "1h30", "h", "1e9h"] {
        told(&["--until", "decided", &format!("--budget={wrong}")], "--budget");
    }
    fixture.mad(&["benchmark", "--until", "decided", "--budget", "1h30m"]).run().exits(0);
}
