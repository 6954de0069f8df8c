//! What searches found and teach, in the history.

use std::fs;
use std::path::PathBuf;

use mad_harness::history::{History, Lessons};
use mad_harness::profile::Bottleneck;
use serde_json::{Value, json};

use crate::common::tuned::{
    candidate, fails, holds, recommend, searches, tuning, within_noise, write,
};
use crate::common::{Fixture, Past, Ran, SCRIPT, check};

fn ask(fixture: &Fixture, args: &[&str]) -> Ran {
    fixture.mad(&[&["history", "--tuning"], args].concat()).run()
}

fn told(fixture: &Fixture, args: &[&str]) -> Value {
    ask(fixture, &[args, &["--json"]].concat()).exits(0).json()
}

fn lessons(fixture: &Fixture) -> Lessons {
    History::new(&fixture.path("mad"), None).lessons().expect("lessons")
}

fn some_searches() -> Fixture {
    let fixture = Fixture::with("m", SCRIPT);
    searches().iter().for_each(|search| write(&fixture, search));
    fixture
}

#[test]
fn searches_are_remembered() {
    let fixture = some_searches();
    let ran = ask(&fixture, &[]).exits(0);
    assert_eq!(ran.stderr, "");
    check(|| insta::assert_snapshot!("text", ran.stdout));
    let mut json = told(&fixture, &["m"]);
    json["run_dir"] = json!("[dir]");
    check(|| insta::assert_snapshot!("json", format!("{json:#}")));
    // A plain name means the entry with whatever arguments.
    assert_eq!(json["tried"].as_array().map(Vec::len), Some(10));
    assert_eq!(told(&fixture, &["m:size=2"])["tried"].as_array().map(Vec::len), Some(2));
    let one = told(&fixture, &["--machine-class", "loud-box"]);
    assert_eq!(one["learned"].as_array().map(Vec::len), Some(1));
    ask(&fixture, &["--machine-class", "nope"]).exits(2).says(&["loud-box, quiet-box"]);
    ask(&fixture, &["mm"]).exits(2).says(&["was about `mm`", "mad tune-search --tag mm"]);
}

#[test]
fn what_was_learned_can_be_asked() {
    let lessons = lessons(&some_searches());
    let ask = |lever, value, bottleneck| {
        lessons.learned(lever, value, Some(bottleneck), "pytorch", "quiet-box")
    };
    let batch = ask("BATCH", "32", Bottleneck::Launch).expect("something");
    assert_eq!((batch.tried, batch.gain), (3, 0.2));
    let (low, high) = batch.interval.expect("an interval");
    assert!((low - 0.18).abs() < 1e-12 && (high - 0.22).abs() < 1e-12, "{batch:?}");
    // What was tried and never held is known, too.
    let placebo = ask("PLACEBO", "1", Bottleneck::Launch).expect("something");
    assert_eq!((placebo.tried, placebo.gain, placebo.interval), (2, 0.0, None));
    let failed = ask("THREADS", "x", Bottleneck::Launch).expect("something");
    assert_eq!((failed.tried, failed.gain), (1, 0.0));
    for (lever, value, bottleneck) in [
        ("BATCH", "64", Bottleneck::Launch),
        ("BATCH", "32", Bottleneck::Memory),
        ("WAITS", "1", Bottleneck::Launch),
        ("BATCH", "16", Bottleneck::Launch),
        ("SKIPPED", "1", Bottleneck::Launch),
        ("TOGETHER", "1", Bottleneck::Launch),
    ] {
        assert_eq!(ask(lever, value, bottleneck), None, "{lever}={value}");
    }
    let launch = Some(Bottleneck::Launch);
    assert_eq!(lessons.learned("BATCH", "32", launch, "vllm", "quiet-box"), None);
    assert_eq!(lessons.learned("BATCH", "32", launch, "pytorch", "box"), None);
    assert_eq!(lessons.learned("BATCH", "32", None, "pytorch", "quiet-box"), None);
}

#[test]
fn a_search_that_goes_on_is_read_again() {
    let fixture = Fixture::with("m", SCRIPT);
    let mut search = tuning("t");
    search["phase"] = json!("evaluate");
    search["candidates"] = json!([candidate("c1", "BATCH", "32")]);
    write(&fixture, &search);
    assert_eq!(told(&fixture, &[])["learned"], json!([]));
    let winner = holds("c1", "BATCH", "32", 0.3);
    recommend(&mut search, &winner);
    search["candidates"] = json!([winner]);
    write(&fixture, &search);
    for _ in 0..2 {
        let told = told(&fixture, &[]);
        assert_eq!(told["searches"], 1);
        assert_eq!(told["learned"][0]["tried"], 1);
        assert_eq!(told["best"].as_array().map(Vec::len), Some(1));
    }
    // The index outlives the records; made anew, it has what they have.
    fs::remove_dir_all(fixture.path("mad/tunings")).expect("the records go");
    assert_eq!(told(&fixture, &[])["searches"], 1);
    assert_eq!(told(&fixture, &["--rebuild"])["searches"], 0);
    ask(&fixture, &[]).exits(0).says(&["no searches below", "mad tune-search"]);
}

#[test]
fn what_was_not_measured_afresh_teaches_no_gain() {
    let fixture = Fixture::with("m", SCRIPT);
    let mut search = tuning("t");
    let mut first_look = holds("c1", "A", "1", 0.9);
    first_look["verification"] = Value::Null;
    let mut untrusted = holds("c2", "B", "1", 0.9);
    untrusted["trust"]["trustworthy"] = json!(false);
    let mut another_unit = holds("c3", "C", "1", 0.9);
    another_unit["verification"]["metrics"][0]["metric"] = json!("ms");
    search["candidates"] = json!([first_look, untrusted, another_unit]);
    write(&fixture, &search);
    let told = told(&fixture, &[]);
    // The first is open: it looked better, and nobody looked again.
    let learned: Vec<Value> = told["learned"].as_array().expect("patterns").clone();
    let told: Vec<[&Value; 4]> =
        learned.iter().map(|p| ["lever", "tried", "held", "gain"].map(|key| &p[key])).collect();
    let none = [json!("B"), json!("C")].map(|lever| [lever, json!(1), json!(0), json!(0.0)]);
    assert_eq!(told, none.each_ref().map(|row| row.each_ref()));
}

#[test]
fn records_that_cannot_be_read_are_named_and_the_rest_is_told() {
    let fixture = some_searches();
    let spoil = |name: &str, text: &str| -> PathBuf {
        let dir = fixture.path("mad/tunings").join(name);
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("tuning.json"), text).expect("a file");
        dir
    };
    let mut other = tuning("other");
    other["schema"] = json!("mad-tuning/9");
    spoil("other", &other.to_string());
    let whole = tuning("torn").to_string();
    spoil("torn", &whole[..whole.len() / 2]);
    spoil("copy", &tuning("original").to_string());
    let mut timeless = tuning("timeless");
    timeless["started"] = json!("yesterday");
    spoil("timeless", &timeless.to_string());
    spoil("binary", "\u{0}\u{1}");
    fs::create_dir(fixture.path("mad/tunings/not-begun")).expect("a directory");
    // They are no small matter, and are tried again each time.
    for _ in 0..2 {
        let told = ask(&fixture, &["--json"])
            .exits(1)
            .says(&["mad-tuning/9", "mad/tunings/torn/tuning.json", "a copy under another name"])
            .says(&["\"yesterday\", which is no time", "mad/tunings/binary/tuning.json"])
            .json();
        assert_eq!(told["problems"].as_array().map(Vec::len), Some(5), "{told:#}");
        assert_eq!(told["searches"], 4);
    }
    // Runs are told as ever, and the problem is, too.
    fixture.mad(&["history"]).run().exits(1).says(&["mad-tuning/9"]);
}

#[test]
fn runs_and_searches_are_in_one_index() {
    let past = Past::of(&[Some(1.0), Some(2.0)]);
    let mut search = tuning("t");
    search["candidates"] = json!([within_noise("c1", "A", "1"), fails("c2", "A", "2")]);
    write(&past.fixture, &search);
    assert_eq!(past.json(&["m"])["series"][0]["runs"], 2);
    assert_eq!(told(&past.fixture, &["m"])["searches"], 1);
    // The name of the machine is that of the record beside it.
    let dir = past.fixture.path("mad/tunings/t");
    fs::write(dir.join("run.json"), past.run.to_string()).expect("a record");
    let host = past.run["machine"]["hostname"].clone();
    assert_eq!(told(&past.fixture, &["--rebuild"])["tried"][0]["host"], host);
    assert_eq!(past.json(&["m"])["series"][0]["runs"], 2);
}
