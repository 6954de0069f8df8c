//! What `mad report` says about a search, from its record.

use std::fs;

use serde_json::{Value, json};

use crate::common::tuned::{
    candidate, comparison, fails, holds, recommend, tuning, within_noise, write,
};
use crate::common::{Fixture, Ran, SCRIPT, check};

fn report(record: &Value, args: &[&str]) -> Ran {
    let fixture = Fixture::with("m", SCRIPT);
    write(&fixture, record);
    fixture.mad(&[&["report", "latest-tuning"], args].concat()).run()
}

/// A search with all that can happen to a candidate: a winner, one within noise, one that fails,
/// one that is refused, and two winners together.
fn eventful() -> Value {
    let mut record = tuning("20260301T020000.250Z-1");
    let winner = holds("c1", "BATCH", "32", 0.30);
    let mut refused = candidate("c4", "--kv-cache-dtype", "fp8");
    refused["changes"][0]["kind"] = json!("arg");
    refused["numerics"] = json!(true);
    refused["status"] = json!("skipped");
    refused["trust"] = json!({
        "trustworthy": false,
        "because": ["it may change the answer, and the entry has no accuracy metric"]
    });
    let mut together = holds("c5", "BATCH", "32", 0.42);
    together["changes"] = json!([
        { "lever": "BATCH", "kind": "env", "value": "32" },
        { "lever": "--overlap", "kind": "arg", "value": "" },
        { "lever": "model.remat", "kind": "config", "file": "configs/m.yml", "value": "full",
          "was": "minimal" },
    ]);
    recommend(&mut record, &together);
    record["recommendation"]["candidates"] = json!(["c1", "c3"]);
    record["candidates"] = json!([
        winner,
        within_noise("c2", "PLACEBO", "1"),
        fails("c3", "THREADS", "it's|<b>"),
        refused,
        together,
    ]);
    record["notes"] = json!(["two tags were given; the first is used"]);
    record
}

#[test]
fn a_search_is_told_in_every_form() {
    let record = eventful();
    let told = report(&record, &[]).exits(0);
    check(|| insta::assert_snapshot!("text", told.stdout));
    let told = report(&record, &["--format", "markdown"]).exits(0);
    check(|| insta::assert_snapshot!("markdown", told.stdout));
    let mut json = report(&record, &["--json"]).exits(0).json();
    assert_eq!(json["tuning"]["run"], record["run"]);
    json["tuning"] = json!("[the record]");
    check(|| insta::assert_snapshot!("json", format!("{json:#}")));
    let html = report(&record, &["--format", "html"]).exits(0).stdout;
    let body = html.split_once("<body>").expect("a body").1;
    check(|| insta::assert_snapshot!("html", body));
    assert!(!html.contains("http:") && !html.contains("https:"), "it needs the network");
}

#[test]
fn variables_alone_can_be_measured_by_hand() {
    let mut record = tuning("t");
    let winner = holds("c1", "NAME WITH", "it's $HOME", 0.1);
    recommend(&mut record, &winner);
    record["candidates"] = json!([winner]);
    record["model"] = json!("m:size=2 4");
    let told = report(&record, &["--json"]).exits(0).json();
    let command = told["next"][0]["command"].as_str().expect("a command").to_owned();
    let words = shell_words::split(&command).expect("words of a shell");
    assert_eq!(words[..4], ["mad", "benchmark", "m:size=2 4", "-c"]);
    let context: Value = serde_json::from_str(&words[4]).expect("JSON");
    assert_eq!(context, json!({ "docker_env_vars": { "NAME WITH": "it's $HOME" } }));
    assert_eq!(told["recommended"]["context"], context);
}

/// The first lines of the text of a search.
fn headline(record: &Value, status: i32) -> String {
    report(record, &[]).exits(status).stdout.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_headline_says_what_came_of_it() {
    let mut lines = Vec::new();
    let mut tell = |what: &str, record: &Value, status| {
        lines.push(format!("{what}: {}", headline(record, status)));
    };
    let mut record = tuning("t");
    tell("no levers", &record, 1);
    record["candidates"] = json!([within_noise("c1", "PLACEBO", "1"), fails("c2", "A", "x")]);
    tell("nothing beats", &record, 0);

    // One that looked better at first and was never measured afresh has no place in it.
    let mut first_look = within_noise("c1", "BATCH", "32");
    first_look["comparison"] = comparison(0.9, 0.1);
    record["candidates"] = json!([first_look]);
    record["recommendation"] = json!({
        "candidates": ["c1"], "changes": first_look["changes"], "gain": 0.9, "interval": [0.8, 1.0]
    });
    tell("not verified", &record, 0);

    let mut record = tuning("t");
    record["candidates"] = json!([holds("c1", "BATCH", "32", 0.3), candidate("c2", "A", "1")]);
    record["phase"] = json!("evaluate");
    record["stopped"] = json!("interrupted");
    tell("interrupted", &record, 1);
    record["stopped"] = json!("budget");
    tell("out of time", &record, 1);
    record["stopped"] = Value::Null;
    tell("killed", &record, 1);
    let winner = record["candidates"][0].clone();
    recommend(&mut record, &winner);
    record["phase"] = json!("done");
    record["stopped"] = json!("budget");
    tell("a winner when the time is spent", &record, 0);

    let mut record = tuning("t");
    for key in ["baseline", "metric", "diagnosis"] {
        record[key] = Value::Null;
    }
    record["phase"] = json!("baseline");
    tell("just begun", &record, 1);
    record["failure"] = json!("m failed: exit status 7");
    tell("failed baseline", &record, 1);
    check(|| insta::assert_snapshot!("headlines", lines.join("\n")));
    let told = report(&record, &[]).exits(1);
    check(|| insta::assert_snapshot!("failed_baseline", told.stdout));
}

#[test]
fn less_may_be_better() {
    let mut record = tuning("t");
    let mut winner = holds("c1", "BATCH", "32", -0.2);
    record["metric"] = json!({ "key": "ms", "metric": "ms", "direction": "lower" });
    for comparison in ["comparison", "verification"] {
        let metric = &mut winner[comparison]["metrics"][0];
        metric["key"] = json!("ms");
        metric["metric"] = json!("ms");
        metric["direction"] = json!("lower");
    }
    record["candidates"] = json!([winner]);
    let row = report(&record, &["--json"]).json()["rows"][0].clone();
    let close = |value: &Value, to: f64| (value.as_f64().expect("a number") - to).abs() < 1e-12;
    assert!(close(&row["gain"], 0.2), "{row}");
    assert!(close(&row["interval"][0], 0.18) && close(&row["interval"][1], 0.22), "{row}");
}

#[test]
fn a_search_that_went_on_says_so() {
    let mut record = tuning("t");
    record["diagnosis"] =
        json!({ "tools": ["rocprofv3_compute"], "failure": "it is not installed" });
    record["strategy"] = json!("halving");
    record["phase"] = json!("verify");
    record["candidates"] = json!([{
        "id": "c1",
        "changes": [{ "lever": "B", "kind": "env", "value": "2" }],
        "on_top_of": [{ "lever": "A", "kind": "env", "value": "1" }],
        "from": "mad.toml", "evidence": "tried 3 times here", "status": "success",
        "comparison": comparison(0.2, 0.05),
    }]);
    record["notes"] = json!(["went on after a kill: 1 candidate is kept"]);
    let told = report(&record, &[]).exits(1);
    check(|| insta::assert_snapshot!("resumed", told.stdout));
}

#[test]
fn searches_are_named_in_several_ways() {
    let fixture = Fixture::with("m", SCRIPT);
    let ask = |args: &[&str]| fixture.mad(&[&["report"], args].concat()).run();
    ask(&["latest-tuning"]).exits(4).says(&["there are no searches", "mad tune-search"]);
    let mut newer = tuning("b/2");
    newer["started"] = json!("2026-03-02T02:00:00Z");
    newer["model"] = json!("newer");
    write(&fixture, &newer);
    write(&fixture, &tuning("a"));
    ask(&["latest-tuning"]).exits(1).says(&["newer: nothing was tried"]);
    for name in ["a", "mad/tunings/a", "mad/tunings/a/tuning.json"] {
        ask(&[name]).exits(1).says(&["m: nothing was tried"]);
    }
    ask(&["b/2"]).exits(1).says(&["newer: nothing was tried"]);
    ask(&["a", "b/2"]).exits(4).says(&["about runs"]);
    ask(&["a", "--gate"]).exits(4).says(&["about runs"]);
    ask(&["a", "--format", "junit"]).exits(4).says(&["a search has none"]);
    ask(&["a", "-o", "t.html"]).exits(1).says(&["written to t.html"]);
    assert!(fixture.text("t.html").contains("<h1>m: nothing was tried</h1>"));
}

#[test]
fn what_is_no_record_is_refused() {
    let fixture = Fixture::with("m", SCRIPT);
    let ask = |text: &str| {
        fs::create_dir_all(fixture.path("t")).expect("a directory");
        fs::write(fixture.path("t/tuning.json"), text).expect("a file");
        fixture.mad(&["report", "t"]).run().exits(4)
    };
    let mut other = tuning("t");
    other["schema"] = json!("mad-tuning/2");
    ask(&other.to_string()).says(&["mad-tuning/2", "this version reads mad-tuning/1"]);
    other["schema"] = json!("mad-tuning/1");
    other["phase"] = json!("dreaming");
    ask(&other.to_string()).says(&["t/tuning.json is not a record of this version"]);
    let whole = tuning("t").to_string();
    ask(&whole[..whole.len() / 2]).says(&["t/tuning.json is not a record of this version"]);
    for text in ["", "[]", "\u{0}\u{1}"] {
        ask(text).says(&["t/tuning.json"]);
    }
}

/// What a search says to do next can be done.
#[test]
fn the_next_commands_work() {
    let levers = json!([{ "name": "BATCH", "kind": "env", "values": ["32"] }]);
    let extra = json!({
        "regress": { "metrics": { "tok/s": { "direction": "higher" } } },
        "tune": { "levers": levers },
    });
    let body = "echo \"performance: $((1000 + 30 * ${BATCH:-4})) tok/s\"";
    let fixture = Fixture::empty().entry("m", body, extra);
    fixture.mad(&["tune-search", "m"]).run().exits(0);
    let told = fixture.mad(&["report", "latest-tuning", "--json"]).run().exits(0).json();
    assert_eq!(told["conclusion"], "better", "{told:#}");
    let steps = told["next"].as_array().expect("steps").clone();
    let mut done = Vec::new();
    for step in &steps {
        let command = step["command"].as_str().expect("a command");
        let words = shell_words::split(command).expect("words of a shell");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["git", "apply", patch] => {
                let patch = fixture.path(patch);
                let mut git = std::process::Command::new("git");
                let git = git.arg("apply").arg(patch).current_dir(fixture.root());
                assert!(git.status().expect("git").success(), "{command}");
            }
            ["mad", ref args @ ..] => {
                fixture.mad(args).run().exits(0);
            }
            _ => panic!("{command}"),
        }
        done.push(step["what"].as_str().expect("words"));
    }
    assert_eq!(done[..3], ["measure it by hand", "write it as a patch", "apply that"]);
    assert_eq!(fixture.rows().last().expect("a row").get("performance"), "1960");
}
