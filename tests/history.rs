//! Past runs: what `mad history` tells of them, and an index in any state.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Fixture, Past, Ran, SCRIPT, check, noise, redact, stepped};
use serde_json::{Value, json};

fn measure(fixture: &Fixture, value: &str) -> Ran {
    fixture.mad(&["benchmark"]).env("VALUE", value).run()
}

fn history(fixture: &Fixture, args: &[&str]) -> Ran {
    let args: Vec<&str> = ["history"].iter().chain(args).copied().collect();
    fixture.mad(&args).run()
}

fn index(fixture: &Fixture) -> PathBuf {
    fixture.path("mad/history.sqlite")
}

#[test]
fn a_step_is_told_with_what_was_around_it() {
    let past = Past::of(&stepped());
    let ran = past.ask(&["m"]).exits(0);
    check(|| insta::assert_snapshot!("model", ran.stdout));
    assert_eq!(ran.stderr, "");
    let table = past.ask(&[]).exits(0);
    check(|| insta::assert_snapshot!("all", table.stdout));
    let mut report = past.json(&["m", "--last", "2"]);
    report["run_dir"] = json!("[dir]");
    check(|| insta::assert_snapshot!("json", format!("{:#}", redact(report, &["engine", "host"]))));
}

#[test]
fn a_drift_is_a_trend_and_no_change_point() {
    let values: Vec<Option<f64>> =
        (0..100).map(|n| Some((100.0 + 0.02 * n as f64) * noise(n))).collect();
    let past = Past::of(&values);
    let series = &past.json(&["m"])["series"][0];
    assert_eq!(series["change_points"], json!([]));
    let slope = series["trend"]["relative"]["estimate"].as_f64().expect("a slope");
    assert!((slope - 0.0002).abs() < 0.00005, "{slope}");
    assert_eq!(series["trend"]["significant"], true);
    past.ask(&["m"]).exits(0).says(&["%/run"]);
}

#[test]
fn real_runs_are_taken_in_as_they_come() {
    let fixture = Fixture::with("m", SCRIPT);
    history(&fixture, &[]).exits(0).says(&["no measurements", "mad benchmark"]);
    assert!(!index(&fixture).exists(), "a question made a directory");
    for value in ["100", "", "102"] {
        measure(&fixture, value);
    }
    let told = history(&fixture, &["m", "--json"]).exits(0).json();
    let last = told["series"][0]["last"].as_array().expect("entries").clone();
    let values: Vec<&Value> = last.iter().map(|e| &e["value"]).collect();
    assert_eq!(values, [&json!(100.0), &Value::Null, &json!(102.0)]);
    assert!(last[1]["failure"].as_str().is_some_and(|f| f.contains("status 7")), "{last:?}");
    fixture.mad(&["baseline", "accept", "--why", "new compiler"]).run().exits(0);
    measure(&fixture, "101").exits(0);
    let ran = history(&fixture, &["m"]).exits(0);
    check(|| insta::assert_snapshot!("accepted", ran.stdout));
    let told = history(&fixture, &["m", "--json"]).exits(0).json();
    assert_eq!(told["series"][0]["runs"], 3);
    assert_eq!(told["series"][0]["last"][3]["verdict"], "same");
    assert_eq!(told["series"][0]["accepted"][0]["by"], "tester");
    assert_eq!(told["series"][0]["accepted"][0]["why"], "new compiler");
}

#[test]
fn only_executions_that_count_do() {
    let past = Past::new();
    past.add(0, Some(100.0), |m| {
        let one = m["executions"][0].clone();
        let all =
            [("warmup", 1.0), ("profiled", 2.0), ("", 7.0), ("", 9.0)].map(|(mark, value)| {
                let mut execution = one.clone();
                execution[mark] = json!(true);
                execution["samples"][0]["value"] = json!(value);
                execution
            });
        m["executions"] = json!(all);
    });
    // Nothing but a profiled one is no measurement at all.
    past.add(1, Some(5.0), |m| m["executions"][0]["profiled"] = json!(true));
    let last = &past.json(&["m"])["series"][0]["last"];
    assert_eq!(last.as_array().expect("entries").len(), 1);
    assert_eq!((&last[0]["value"], &last[0]["executions"]), (&json!(8.0), &json!(2)));
}

#[test]
fn what_is_not_comparable_stays_apart() {
    let past = Past::new();
    past.add(0, Some(1.0), |_| ());
    past.add(1, Some(2.0), |m| m["machine_class"] = json!("other-box"));
    past.add(2, Some(3.0), |m| m["executions"][0]["samples"][0]["metric"] = json!("ms"));
    past.add(3, Some(4.0), |m| m["n_gpus"] = json!(8));
    past.add(4, Some(5.0), |m| m["precision"] = json!("fp16"));
    past.add(5, None, |m| m["machine_class"] = json!("broken-box"));
    past.add(6, Some(6.0), |m| m["id"] = json!("m:size=2"));
    let ran = past.ask(&["m"]).exits(0);
    check(|| insta::assert_snapshot!("apart", ran.stdout));
    let table = past.ask(&[]).exits(0);
    check(|| insta::assert_snapshot!("apart_all", table.stdout));
    let one = past.json(&["m", "--machine-class", "other-box"]);
    assert_eq!(one["series"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["series"][0]["level"]["value"], 2.0);
    assert_eq!(past.json(&["m:size=2"])["series"].as_array().map(Vec::len), Some(1));
    past.ask(&["m", "--machine-class", "nope"]).exits(2).says(&["other-box", "quiet-box"]);
}

#[test]
fn unknown_models_are_refused_with_a_hint() {
    let fixture = Fixture::with("alpha", SCRIPT).entry("beta", SCRIPT, json!({}));
    fixture.mad(&["benchmark", "alpha"]).env("VALUE", "1").run().exits(0);
    history(&fixture, &["alpa"]).exits(2).says(&["did you mean `alpha`?"]);
    history(&fixture, &["beta"]).exits(2).says(&["mad benchmark beta"]);
    history(&fixture, &["alpha", "--last", "0"]).exits(4);
}

#[test]
fn ingestion_is_incremental_and_can_be_repeated() {
    let past = Past::of(&stepped());
    let first = past.json(&["m"]);
    assert_eq!(past.json(&["m"]), first);
    assert_eq!(past.json(&["m", "--rebuild"]), first);
    // A run that went on: an entry, then its verdict.
    past.add(59, Some(50.0), |m| {
        m["id"] = json!("n");
        m["model"] = json!("n");
    });
    assert_eq!(past.json(&["n"])["series"][0]["last"][0]["verdict"], Value::Null);
    assert_eq!(past.json(&["m"])["series"], first["series"]);
    let verdict = json!({ "schema": "mad-verdict/1", "run": "night-0059", "id": "n",
        "metrics": { "tok/s": { "outcome": "regressed", "baseline_n": 1, "current_n": 1,
            "fresh": [], "needs_confirmation": false, "explanation": "" } },
        "confirmations": [] });
    fs::write(past.dir(59).join("n/verdict.json"), verdict.to_string()).expect("a record");
    assert_eq!(past.json(&["n"])["series"][0]["last"][0]["verdict"], "regressed");
    // What the index knows outlives the records, until it is made anew.
    fs::remove_dir_all(past.dir(0)).expect("a run goes");
    assert_eq!(past.json(&["m"])["series"], first["series"]);
    assert_eq!(past.json(&["m", "--rebuild"])["series"][0]["runs"], 56);
}

#[test]
fn two_at_a_time_agree() {
    let past = Past::of(&stepped());
    let both = [0, 1].map(|_| past.fixture.mad(&["history", "m", "--json"]).start());
    let [a, b] = both.map(|running| running.wait().exits(0).json());
    assert_eq!(a, b);
    assert_eq!(a["series"][0]["runs"], 57);
}

#[test]
fn records_that_are_wrong_are_named_and_the_rest_is_told() {
    let past = Past::of(&[Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(5.0), Some(6.0)]);
    let record = |n| past.dir(n).join("m/attempt-1/measurement.json");
    fs::write(record(0), "{ \"schema\": ").expect("a record");
    let text = common::read(&record(1));
    fs::write(record(1), text.replace("mad-measurement/1", "mad-measurement/2")).expect("a record");
    let text = common::read(&record(2));
    fs::write(record(2), text.replace("2026-01-03T03", "yesterday")).expect("a record");
    copy(&past.dir(3), &past.fixture.path("mad/runs/copied"));
    copy(&past.dir(3).join("m"), &past.dir(3).join("copied"));
    fs::create_dir(past.fixture.path("mad/runs/stray")).expect("a directory");
    for _ in 0..2 {
        let ran = past.ask(&["m", "--json"]).exits(1);
        let told = ran.json();
        assert_eq!(told["series"][0]["runs"], 3);
        assert_eq!(told["problems"].as_array().map(Vec::len), Some(5), "{told:#}");
        ran.says(&[
            "night-0000/m/attempt-1/measurement.json is not a record of this version",
            "night-0001/m/attempt-1/measurement.json has the format mad-measurement/2",
            "yesterday",
            "copied/run.json is the record of run night-0003",
            "copied/attempt-1/measurement.json is attempt 1 of m",
        ]);
    }
    fs::write(record(0), common::read(&record(5))).expect("a record");
    past.ask(&["m", "--json"]).exits(1).says(&["\"runs\": 4"]);
}

#[test]
fn a_clock_that_went_back_is_told() {
    let past = Past::of(&[Some(1.0), Some(2.0)]);
    past.add(2, Some(3.0), |m| m["executions"][0]["started"] = json!("2025-01-01T00:00:00Z"));
    past.ask(&["m"]).exits(0).says(&["went back during night-0002"]);
}

#[test]
fn a_damaged_index_is_moved_aside_and_made_anew() {
    let past = Past::of(&stepped());
    let told = past.json(&["m"])["series"].clone();
    let path = index(&past.fixture);
    let whole = fs::read(&path).expect("the index");
    let mut scrambled = whole.clone();
    scrambled[4096..].fill(0xa5);
    let damages = [
        whole[..whole.len() / 2].to_owned(),
        scrambled,
        b"not a database, but long \
        enough to look like one: "
            .repeat(30),
    ];
    for (i, damaged) in damages.iter().enumerate() {
        fs::write(&path, damaged).expect("the index");
        let aside = format!("history.sqlite.broken-{}", i + 1);
        let ran = past.ask(&["m", "--json"]).exits(0).says(&["is damaged", &aside]);
        assert_eq!(ran.json()["series"], told);
        assert_eq!(&fs::read(path.with_file_name(aside)).expect("the old one"), damaged);
        assert_eq!(past.ask(&["m"]).exits(0).stderr, "", "it is sound again");
    }
    // Nothing at all is a new index.
    fs::write(&path, "").expect("the index");
    assert_eq!(past.json(&["m"])["series"], told);
}

#[test]
fn an_index_that_cannot_be_written_is_done_without() {
    let past = Past::of(&stepped());
    // Nobody, not even root, makes a file where there is a directory.
    let journal = past.fixture.path("mad/history.sqlite-journal");
    fs::create_dir(&journal).expect("a directory");
    let ran = past.ask(&["m", "--json"]).exits(0).says(&["cannot be written", "the records alone"]);
    assert_eq!(ran.json()["series"][0]["runs"], 57);
    past.ask(&["--rebuild"]).exits(4).says(&["cannot rebuild"]);
    fs::remove_dir(&journal).expect("the directory goes");
    let _ = fs::remove_file(index(&past.fixture));
    fs::create_dir(index(&past.fixture)).expect("a directory");
    past.ask(&["m"]).exits(0).says(&["cannot be written", "the records alone"]);
    past.ask(&["m", "--database", "other.sqlite"]).exits(0);
    assert!(past.fixture.path("other.sqlite").is_file());
}

#[test]
fn a_locked_index_is_waited_for_and_then_done_without() {
    let past = Past::of(&[Some(1.0)]);
    past.json(&["m"]);
    let held = rusqlite::Connection::open(index(&past.fixture)).expect("the index");
    held.execute_batch("BEGIN EXCLUSIVE").expect("the lock");
    let ran = past.ask(&["m", "--json"]).exits(0).says(&["held by another process"]);
    assert_eq!(ran.json()["series"][0]["runs"], 1);
    let waiting = past.fixture.mad(&["history", "m"]).start();
    held.execute_batch("COMMIT").expect("the lock is given back");
    assert_eq!(waiting.wait().exits(0).stderr, "");
}

#[test]
fn an_index_of_others_is_left_alone() {
    let past = Past::of(&[Some(1.0)]);
    past.json(&["m"]);
    let path = index(&past.fixture);
    let change = |sql: &str| {
        let connection = rusqlite::Connection::open(&path).expect("the index");
        connection.execute_batch(sql).expect("a change");
        drop(connection);
        fs::read(&path).expect("the index")
    };
    let newer = change("PRAGMA user_version = 99");
    for args in [&["m"][..], &["--rebuild"]] {
        past.ask(args).exits(4).says(&["newer version of mad", "--rebuild --database FILE"]);
    }
    assert_eq!(fs::read(&path).expect("the index"), newer);
    past.ask(&["m", "--rebuild", "--database", "mine.sqlite"]).exits(0);
    let foreign = change("PRAGMA application_id = 1");
    past.ask(&["--rebuild"]).exits(4).says(&["not one of mad's"]);
    assert_eq!(fs::read(&path).expect("the index"), foreign);
}

#[test]
fn an_index_of_an_older_version_is_made_anew() {
    let past = Past::of(&[Some(1.0)]);
    let connection = rusqlite::Connection::open(index(&past.fixture)).expect("the index");
    let older = "CREATE TABLE runs (id TEXT NOT NULL PRIMARY KEY);
        INSERT INTO runs VALUES ('night-0000');
        PRAGMA application_id = 0x6d616468; PRAGMA user_version = 1;";
    connection.execute_batch(older).expect("an index");
    drop(connection);
    assert_eq!(past.json(&["m"])["series"][0]["runs"], 1);
}

#[test]
fn a_shared_history_has_a_url() {
    let past = Past::of(&[Some(1.0)]);
    let refused = |args: &[&str], says: &str| {
        let ran = past.ask(args).exits(4).says(&[says]);
        assert!(!ran.said().contains("s3cret"), "{}", ran.said());
    };
    refused(&["--history", "mysql://me:s3cret@db/mad"], "--database FILE");
    refused(&["--history", "s3cret"], "postgres://");
    refused(&["--history", "postgres://db/mad?passwort=s3cret"], "means nothing; there are");
    refused(&["--history", "postgres://db/mad", "--database", "a.sqlite"], "cannot be used with");
    if !cfg!(feature = "postgres") {
        let url = "postgres://me:s3cret@db/mad";
        refused(&["--history", url], "--features postgres");
        past.fixture.mad(&["history"]).env("MAD_HISTORY", url).run().exits(4);
        // A file that is named is meant.
        let named = ["history", "m", "--database", "a.sqlite"];
        past.fixture.mad(&named).env("MAD_HISTORY", url).run().exits(0);
        past.fixture.mad(&["history"]).env("MAD_HISTORY", "").run().exits(0);
        past.fixture.write("mad.toml", "[history]\nurl = \"postgres://db/mad\"\n");
        past.ask(&[]).exits(4).says(&["--features postgres"]);
    }
    // Nobody reads a password in a file that is checked in, nor where mistakes in it are shown.
    past.fixture.write("mad.toml", "[history]\nurl = \"postgres://me:s3cret@db/mad\"\n");
    let ran = past.fixture.mad(&["validate"]).run().exits(1).says(&["MAD003", "PGPASSWORD"]);
    assert!(!ran.said().contains("s3cret"), "{}", ran.said());
    let help = past.fixture.mad(&["history", "--help"]).env("MAD_HISTORY", "s3cret").run();
    assert!(!help.exits(0).said().contains("s3cret"));
}

#[test]
fn the_past_needs_no_catalog() {
    let past = Past::of(&[Some(1.0)]);
    fs::write(past.fixture.root().join("models.json"), "[").expect("a broken catalog");
    past.ask(&["m"]).exits(1).says(&["models.json", "1 tok/s"]);
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).stdin(Stdio::null()).status();
    assert!(copied.expect("cp").success());
}
