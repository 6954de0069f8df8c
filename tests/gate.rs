//! The gate as a whole: metrics that are not gated, known regressions, suspect runs, the
//! canary, and every number explained.

mod common;

use common::{Fixture, Ran, check};
use serde_json::{Value, json};

/// Reports the content of the file that is named after the entry.
fn script(name: &str) -> String {
    format!("echo \"performance: $(cat \"$DIR/{name}.value\") tok/s\"")
}

/// Entries with an accepted value of 100 each.
fn accepted(entries: &[(&str, Value)]) -> Fixture {
    let mut fixture = Fixture::empty();
    for (name, extra) in entries {
        fixture = fixture.entry(name, &script(name), extra.clone());
        set(&fixture, name, "100");
    }
    measure(&fixture).exits(0);
    fixture.mad(&["baseline", "accept"]).run().exits(0);
    fixture
}

fn set(fixture: &Fixture, name: &str, value: &str) {
    std::fs::write(fixture.path(&format!("{name}.value")), value).expect("a file");
}

fn measure(fixture: &Fixture) -> Ran {
    fixture.mad(&["benchmark"]).run()
}

fn metric(rule: Value) -> Value {
    json!({ "regress": { "metrics": { "tok/s": rule } } })
}

#[test]
fn what_is_not_gated_is_told_and_does_not_fail() {
    let rule = json!({ "gated": false, "reason": "shared machine", "until": "2999-01-01" });
    let fixture = accepted(&[("m", metric(rule))]);
    set(&fixture, "m", "40");
    let told = ["regressed", "[not gated: shared machine, until 2999-01-01]"];
    measure(&fixture).exits(0).says(&told);
    assert_eq!(fixture.record("m/verdict.json")["excused"], json!(["tok/s"]));
}

#[test]
fn after_its_day_a_metric_is_gated_again() {
    let rule = json!({ "gated": false, "reason": "shared machine", "until": "2020-01-01" });
    let fixture = accepted(&[("m", metric(rule))]);
    set(&fixture, "m", "40");
    measure(&fixture).exits(5).says(&["gated again since 2020-01-01: shared machine"]);
}

#[test]
fn a_known_regression_does_not_fail_and_its_end_is_told() {
    let rule = json!({ "xfail": { "reason": "driver 6.4", "since": "2026-01-31" } });
    let fixture = accepted(&[("m", metric(rule))]);
    set(&fixture, "m", "40");
    measure(&fixture).exits(0).says(&["[known regression: driver 6.4, since 2026-01-31]"]);
    set(&fixture, "m", "100");
    measure(&fixture).exits(0).says(&["unexpected pass, `xfail` can go: it was driver 6.4"]);
}

#[test]
fn when_everything_is_slower_by_as_much_the_machine_is_suspected() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (*name, json!({}))).collect();
    let fixture = accepted(&entries);
    for name in names {
        set(&fixture, name, "60");
    }
    let suspect = "the run is suspect, 40.0 % worse in the middle, 6 of 6 entries worse";
    measure(&fixture).exits(3).says(&[suspect]);
    let case = fixture.record("cases/regress%3A%3Aa.json");
    assert_eq!(case["kind"], "invalid-environment");
    assert!(fixture.text("mad/junit.xml").contains("invalid-environment"));
    fixture.mad(&["report"]).run().exits(1).says(&[suspect]);
    // One slow entry among others is a regression.
    for name in &names[1..] {
        set(&fixture, name, "100");
    }
    let ran = measure(&fixture).exits(5).says(&["regressed"]);
    assert!(!ran.said().contains("suspect,"), "{}", ran.said());
}

#[test]
fn a_canary_that_shifted_vetoes() {
    let canary = json!({ "tags": ["cpu", "canary"] });
    let fixture = accepted(&[("a", json!({})), ("fixed", canary)]);
    set(&fixture, "a", "60");
    set(&fixture, "fixed", "60");
    let told = [
        "the canary fixed is 40.0 % worse: look at the machine before the code",
        "the canary itself has shifted",
    ];
    measure(&fixture).exits(3).says(&told);
    set(&fixture, "fixed", "100");
    measure(&fixture).exits(5).says(&["regressed"]);
    // A fixed workload that is as it was says nothing against what is as it was.
    set(&fixture, "a", "100");
    measure(&fixture).exits(0);
}

#[test]
fn a_canary_that_shifted_normalises_where_the_catalog_says_so() {
    let fixture = accepted(&[("a", json!({})), ("b", json!({})), ("fixed", json!({}))]);
    fixture.write("mad.toml", "[gate]\ncanary = \"fixed\"\nnormalise = true\n");
    set(&fixture, "a", "60");
    set(&fixture, "b", "30");
    set(&fixture, "fixed", "60");
    let told = ["judged as if it had not shifted: the canary fixed is 40.0 % worse"];
    measure(&fixture).exits(3).says(&told);
    let outcome = |name: &str| {
        let record = fixture.record(&format!("{name}/verdict.json"));
        (
            record["metrics"]["tok/s"]["outcome"].clone(),
            record["metrics"]["tok/s"]["current"].clone(),
        )
    };
    assert_eq!(outcome("a"), (json!("same"), json!(100.0)));
    assert_eq!(outcome("b"), (json!("regressed"), json!(50.0)));
}

#[test]
fn every_number_is_explained() {
    let fixture = accepted(&[("m", json!({}))]);
    set(&fixture, "m", "40");
    let ran = fixture.mad(&["benchmark", "--explain"]).run().exits(5);
    let explained = ran.stdout.split("\n\nm tok/s:").nth(1).expect("an explanation").to_owned();
    check(|| {
        insta::assert_snapshot!("explained", explained.split("results:").next().unwrap_or(""))
    });
    fixture.mad(&["report", "--explain"]).run().exits(1).says(&["level of one check"]);
}

#[test]
fn the_budget_is_the_catalogs() {
    let fixture = accepted(&[("m", json!({}))]);
    fixture.write("mad.toml", "[gate]\nfalse_alarms = 0.05\nchecks = 1\n");
    set(&fixture, "m", "40");
    measure(&fixture).exits(5).says(&["it takes to be sure in 1 check"]);
    fixture.write("mad.toml", "[gate]\nfalse_alarms = 1.5\n");
    measure(&fixture).exits(4).says(&["`false_alarms` must be above 0"]);
}
