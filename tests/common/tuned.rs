//! Records of searches for a better configuration, made by hand.

use std::fs;

use mad_harness::slug::slug;
use serde_json::{Value, json};

use super::Fixture;

/// A search of the entry `m` that is over, without any candidate.
pub fn tuning(run: &str) -> Value {
    json!({
        "schema": "mad-tuning/1",
        "run": run,
        "started": "2026-03-01T02:00:00.250Z",
        "duration_s": 321.5,
        "model": "m",
        "entry_hash": "e1",
        "stack": "pytorch",
        "machine_class": "quiet-box",
        "n_gpus": 0,
        "strategy": "search",
        "metric": { "key": "tok/s", "metric": "tok/s", "direction": "higher" },
        "seed": 7,
        "false_alarms": 0.05,
        "flags": {},
        "phase": "done",
        "baseline": {
            "values": [99.0, 100.0, 101.0], "median": 100.0, "csv": "perf_tune_baseline.csv"
        },
        "diagnosis": {
            "tools": ["builtin"],
            "traces": "mad/runs/p/m/attempt-1/execution-1/profile",
            "diagnosis": diagnosis(),
        },
        "candidates": [],
    })
}

fn diagnosis() -> Value {
    let spot = |name: &str, kind: &str, share: f64| {
        json!({
            "name": name, "kind": kind, "share": share, "calls": 10, "mean_us": 4.0, "total_s": 4e-5
        })
    };
    json!({
        "schema": "mad-diagnosis/1",
        "path": "profile",
        "bottleneck": "launch",
        "because": "the GPUs are busy for 8.6 %",
        "rules": [],
        "hotspots": [
            spot("Cijk_Alik_Bljk_HHS", "gemm", 0.271),
            spot("wvSplitK_hf", "gemm", 0.206),
            spot("_fwd_kernel<a|b>", "attention", 0.083),
        ],
        "levers": [], "sources": [], "left_out": [], "problems": [], "notes": [],
    })
}

/// How a candidate compares: its gain, and half the width of the interval.
pub fn comparison(gain: f64, half: f64) -> Value {
    let outcome = if gain - half > 0.0 { "faster" } else { "undecided" };
    json!({
        "id": "m", "outcome": outcome, "machine_class": "quiet-box",
        "order": ["ABBA", "BAAB", "ABBA"], "executions": 14,
        "metrics": [{
            "key": "tok/s", "metric": "tok/s", "direction": "higher", "gated": true,
            "outcome": outcome, "base": 100.0, "candidate": 100.0 * (1.0 + gain),
            "change": gain, "interval": [gain - half, gain + half], "min_effect": 0.02, "pairs": 6,
        }],
    })
}

/// A candidate that sets the variable `lever`, not measured yet.
pub fn candidate(id: &str, lever: &str, value: &str) -> Value {
    json!({
        "id": id,
        "changes": [{ "lever": lever, "kind": "env", "value": value }],
        "from": "entry",
        "target": "launch",
        "evidence": "the GPUs are busy for 8.6 %",
        "status": "waiting",
    })
}

/// A candidate that was measured, and afresh, and holds.
pub fn holds(id: &str, lever: &str, value: &str, gain: f64) -> Value {
    let mut c = candidate(id, lever, value);
    c["status"] = json!("success");
    c["promising"] = json!(true);
    c["comparison"] = comparison(gain + 0.05, 0.02);
    c["verification"] = comparison(gain, 0.02);
    c["trust"] = json!({
        "trustworthy": true, "because": ["faster by the smallest effect or more, measured afresh"]
    });
    c["csv"] = json!(format!("perf_tune_{id}.csv"));
    c
}

/// A candidate that was measured and does not hold.
pub fn within_noise(id: &str, lever: &str, value: &str) -> Value {
    let mut c = candidate(id, lever, value);
    c["status"] = json!("success");
    c["comparison"] = comparison(0.004, 0.012);
    c["trust"] = json!({ "trustworthy": false, "because": ["within noise"] });
    c
}

/// A candidate that looked better at first, and was left at that because another was better.
pub fn left_at_that(id: &str, lever: &str, value: &str) -> Value {
    let mut c = candidate(id, lever, value);
    c["status"] = json!("success");
    c["promising"] = json!(true);
    c["comparison"] = comparison(0.1, 0.02);
    c["trust"] = json!({ "trustworthy": false, "because": ["not measured afresh"] });
    c
}

/// A candidate that does not run.
pub fn fails(id: &str, lever: &str, value: &str) -> Value {
    let mut c = candidate(id, lever, value);
    c["status"] = json!("failure");
    c["trust"] = json!({ "trustworthy": false, "because": ["candidate: exit status 7"] });
    c
}

/// Recommends what a candidate changes.
pub fn recommend(tuning: &mut Value, candidate: &Value) {
    let metric = &candidate["verification"]["metrics"][0];
    tuning["recommendation"] = json!({
        "candidates": [candidate["id"]],
        "changes": candidate["changes"],
        "gain": metric["change"],
        "interval": metric["interval"],
    });
}

/// Writes a record to where a search leaves it.
pub fn write(fixture: &Fixture, tuning: &Value) {
    let run = tuning["run"].as_str().expect("an id");
    let dir = fixture.path("mad/tunings").join(slug(run));
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("tuning.json"), format!("{tuning:#}")).expect("a record");
}

/// Four searches of `m` and its variants, with everything that teaches something or nothing.
pub fn searches() -> Vec<Value> {
    let named = |n: usize, gain: f64| {
        let mut search = tuning(&format!("search-{n}"));
        search["started"] = json!(format!("2026-03-{n:02}T02:00:00.250Z"));
        let winner = holds("c1", "BATCH", "32", gain);
        recommend(&mut search, &winner);
        search["candidates"] = json!([winner]);
        search
    };
    let add = |search: &mut Value, candidate: Value| {
        search["candidates"].as_array_mut().expect("a list").push(candidate);
    };
    let mut first = named(1, 0.1);
    add(&mut first, within_noise("c2", "PLACEBO", "1"));
    add(&mut first, fails("c3", "THREADS", "x"));
    add(&mut first, candidate("c4", "WAITS", "1"));
    let mut skipped = candidate("c5", "SKIPPED", "1");
    skipped["status"] = json!("skipped");
    add(&mut first, skipped);
    add(&mut first, left_at_that("c6", "BATCH", "16"));
    let mut second = named(2, 0.3);
    let mut together = holds("c2", "TOGETHER", "1", 0.4);
    let also = json!({ "lever": "BATCH", "kind": "env", "value": "32" });
    together["changes"].as_array_mut().expect("a list").push(also);
    recommend(&mut second, &together);
    add(&mut second, together);
    let mut variant = named(3, 0.2);
    variant["model"] = json!("m:size=2");
    let mut elsewhere = named(4, 0.9);
    elsewhere["machine_class"] = json!("loud-box");
    elsewhere["model"] = json!("other");
    elsewhere["recommendation"] = Value::Null;
    let mut searches = vec![first, second, variant, elsewhere];
    // A second placebo, so that what never holds is known as such.
    add(&mut searches[2], within_noise("c2", "PLACEBO", "1"));
    searches
}
