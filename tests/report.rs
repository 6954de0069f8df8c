//! `mad report`: what results say, of whatever origin, alone and against others.

mod common;

use std::path::Path;

use common::{Fixture, HOSTILE, Ran, check, hostile, redact};
use serde_json::{Value, json};

const BEFORE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report/madengine-before.csv");
const AFTER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report/madengine-after.csv");
const SUPER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report/madengine-super.json");

/// A run of four entries, one of each fate, against accepted numbers.
fn measured() -> Fixture {
    let csv = json!({ "multiple_results": "results.csv" });
    let rows = "model,performance,metric\\nsmall,${SMALL:-10},tok/s\\nbig,2.5e1,ms\\n";
    let script = format!(
        "if [ -n \"${{NEVER_SET:-}}\" ]; then echo > results.csv; fi\nprintf \"{rows}\" > results.csv"
    );
    let fixture = Fixture::empty()
        .entry("good", "echo \"performance: ${VALUE:-100} tok/s\"", json!({}))
        .entry("many", &script, csv);
    fixture.mad(&["benchmark"]).run().exits(0);
    fixture.mad(&["baseline", "accept"]).run().exits(0);
    let fixture = fixture.entry("bad", "echo 'cannot <load>'; exit 1", json!({})).entry(
        "huge",
        "echo 'performance: 1 x/s'",
        json!({ "n_gpus": 4000 }),
    );
    fixture.mad(&["benchmark", "--samples", "2"]).env("VALUE", "50").run().exits(3);
    fixture
}

fn report(fixture: &Fixture, args: &[&str]) -> Ran {
    let args: Vec<&str> = ["report"].iter().chain(args).copied().collect();
    fixture.mad(&args).run()
}

/// Id of a run, counted from the oldest.
fn run_id(fixture: &Fixture, number: usize) -> String {
    let name = fixture.runs()[number].file_name().expect("a name").to_owned();
    name.into_string().expect("text")
}

/// Text in which the directory of the fixtures is a word.
fn told(text: &str) -> String {
    let dir = Path::new(BEFORE).parent().expect("a directory");
    text.replace(&format!("{}/", dir.display()), "")
}

#[test]
fn a_run_in_every_form() {
    let fixture = measured();
    let text = report(&fixture, &[]).exits(1).stdout;
    check(|| insta::assert_snapshot!("run_text", text));
    let markdown = report(&fixture, &["--format", "markdown"]).exits(1).stdout;
    check(|| insta::assert_snapshot!("run_markdown", markdown));
    let mut json = report(&fixture, &["--format", "json"]).exits(1).json();
    let object = json.as_object_mut().expect("an object");
    assert_eq!(object["run"]["schema"], "mad-run/1");
    assert_eq!(object["cases"].as_array().map(Vec::len), Some(8));
    for key in ["run", "cases"] {
        object.remove(key);
    }
    let shape = redact(json, &["host", "machine_class"]);
    check(|| insta::assert_snapshot!("run_json", format!("{shape:#}")));
    assert!(report(&fixture, &["--json"]).exits(1).json()["rows"].is_array());
}

#[test]
fn the_latest_of_two_runs_that_began_within_a_second() {
    let fixture =
        Fixture::empty().entry("good", "echo \"performance: ${VALUE:-100} tok/s\"", json!({}));
    // In none of these orders do the ids sort as the runs began.
    for (id, value) in [("m", "1"), ("z", "2"), ("a", "3")] {
        let run = fixture.mad(&["benchmark"]).env("NEXTEST_RUN_ID", id).env("VALUE", value).run();
        run.exits(0);
        let text = report(&fixture, &[]).exits(0).stdout;
        assert!(text.contains(&format!("run {id}\n")), "{text}");
    }
}

#[test]
fn files_of_madengine() {
    let fixture = Fixture::empty();
    let csv = report(&fixture, &[AFTER]).exits(1).stdout;
    check(|| insta::assert_snapshot!("csv_text", told(&csv)));
    let json = report(&fixture, &[SUPER]).exits(1).stdout;
    check(|| insta::assert_snapshot!("super_text", told(&json)));
    report(&fixture, &[BEFORE]).exits(0).says(&["10 of 10 passed (100%)"]);
}

#[test]
fn two_files() {
    let fixture = Fixture::empty();
    let text = report(&fixture, &[AFTER, BEFORE]).exits(1).stdout;
    check(|| insta::assert_snapshot!("compared_text", told(&text)));
    let markdown = report(&fixture, &[AFTER, BEFORE, "--format", "markdown"]).exits(1).stdout;
    check(|| insta::assert_snapshot!("compared_markdown", told(&markdown)));
    let json = report(&fixture, &[AFTER, BEFORE, "--json"]).exits(1).json();
    let row = |model: &str, metric: &str| {
        let rows = json["rows"].as_array().expect("rows").iter();
        let mut rows = rows.filter(|r| r["model"] == model && r["metric"] == metric);
        rows.next().cloned().unwrap_or_default()
    };
    let latency = row("pyt_latency", "latency_ms");
    assert_eq!((&latency["better"], &latency["better_from"]), (&json!("lower"), &json!("name")));
    assert_eq!(row("pyt_scaled", "tokens_per_second")["conclusion"], "not-compared");
    assert_eq!(row("pyt_scaled", "tokens_per_second")["change"], Value::Null);
    assert_eq!(row("pyt_renamed", "samples/s")["conclusion"], "new");
    report(&fixture, &[BEFORE, BEFORE]).exits(0).says(&["no regression"]);
}

/// The catalog's word counts more than a name's, and tolerances are the entry's.
#[test]
fn the_catalog_says_which_way_is_better() {
    let regress = json!({ "regress": {
        "metrics": { "score": { "direction": "higher", "tolerance": 0.5 } }
    } });
    let fixture = Fixture::empty().entry("pyt_quality", "echo 'performance: 1 score'", regress);
    let rows = report(&fixture, &[AFTER, BEFORE, "--json"]).json()["rows"].take();
    let rows = rows.as_array().expect("rows");
    let row = rows.iter().find(|r| r["metric"] == "score").expect("a row");
    assert_eq!((&row["better_from"], &row["conclusion"]), (&json!("catalog"), &json!("same")));
}

/// One number is a suspicion; three further ones of the same run confirm it.
#[test]
fn runs_are_compared_and_suspicions_confirmed() {
    let fixture = Fixture::with("m", "echo \"performance: ${VALUE:-100} tok/s\"");
    for (samples, value) in [("1", "100"), ("1", "50"), ("4", "50"), ("4", "101")] {
        fixture.mad(&["benchmark", "--samples", samples]).env("VALUE", value).run().exits(0);
    }
    let ids: Vec<String> = (0..4).map(|n| run_id(&fixture, n)).collect();
    let compare = |now: usize, before: usize| report(&fixture, &[&ids[now], &ids[before]]);
    compare(1, 0).exits(1).says(&["suspected", "too few numbers to confirm it"]);
    compare(2, 0)
        .exits(5)
        .says(&["biggest regression: m tok/s -50.00% (100 → 50)", "confirmed by 3"]);
    compare(3, 0).exits(0).says(&["no regression"]);
    compare(0, 1).exits(0).says(&["improved"]);
    // A file of rows and a run have the same names for the same things.
    fixture.mad(&["report", &ids[3], "perf.csv", "--json"]).run().exits(0);
    report(&fixture, &[&ids[2], "perf.csv", "--format", "json"]).says(&["\"compared\": 1"]);
}

#[test]
fn a_file_with_rows_added_is_compared_by_those() {
    let fixture = Fixture::empty();
    let header = "model,performance,metric,status\n";
    let row = |value: &str| format!("m,{value},tok/s,SUCCESS\n");
    let write = |name: &str, values: &[&str]| {
        let rows: String = values.iter().map(|v| row(v)).collect();
        std::fs::write(fixture.path(name), format!("{header}{rows}")).expect("a file");
    };
    write("old.csv", &["100", "101", "99"]);
    write("new.csv", &["100", "101", "99", "60", "61", "60", "62"]);
    let ran = report(&fixture, &["new.csv", "old.csv"]).exits(5);
    ran.says(&["-39.00% (100 → 61)"]);
}

#[test]
fn history_is_that_of_earlier_runs_under_the_same_conditions() {
    let fixture = Fixture::with("m", "echo \"performance: ${VALUE:-100} ${UNIT:-tok/s}\"");
    for (value, unit) in [("1", "tok/s"), ("2", "ms"), ("3", "tok/s"), ("4", "tok/s")] {
        fixture.mad(&["benchmark"]).env("VALUE", value).env("UNIT", unit).run().exits(0);
    }
    let points = |args: &[&str]| -> Vec<f64> {
        let json = report(&fixture, args).exits(0).json();
        let points = json["rows"][0]["history"]["points"].as_array().cloned().unwrap_or_default();
        points.iter().map(|p| p["value"].as_f64().expect("a number")).collect()
    };
    assert_eq!(points(&["--json"]), [1.0, 3.0]);
    // Of an older run, what came after is no history.
    assert_eq!(points(&["--json", &run_id(&fixture, 2)]), [1.0]);
    // A clock that was set back: the newest run says that it began before the others.
    let path = fixture.runs()[3].join("run.json");
    let set_back = common::read(&path).replace("\"started\": \"2", "\"started\": \"1");
    std::fs::write(&path, set_back).expect("a record");
    assert_eq!(points(&["--json", &run_id(&fixture, 3)]), Vec::<f64>::new());
    report(&fixture, &["--json", &run_id(&fixture, 3)])
        .says(&["3 runs say they began after this one"]);
    // A record that cannot be read is said, and hides nothing else.
    std::fs::write(fixture.runs()[0].join("m/attempt-1/measurement.json"), "{").expect("a record");
    let ran = report(&fixture, &["--json", &run_id(&fixture, 2)]).exits(0);
    ran.says(&["is not a record of this version"]);
}

#[test]
fn results_that_are_none() {
    let fixture = Fixture::empty();
    let write = |name: &str, text: &str| std::fs::write(fixture.path(name), text).expect("a file");
    write("other.csv", "a,b\n1,2\n");
    write("empty.csv", "");
    write("half.json", "[{\"model\": \"a\"");
    write("header.csv", "model,performance,metric,status\n");
    write("short.csv", "model,performance,metric,status\na,1,x,SUCCESS\nb,2\n");
    for (name, status, says) in [
        ("other.csv", 4, "other.csv: its header lacks model, performance, metric"),
        ("empty.csv", 4, "empty.csv: it is empty"),
        ("half.json", 4, "half.json: EOF while parsing"),
        ("catalog", 4, "catalog is a directory without run.json"),
        ("nothing", 4, "nothing is neither a file nor a run"),
        ("latest", 4, "name results"),
        ("header.csv", 1, "header.csv: it has no rows"),
        ("short.csv", 1, "short.csv: line 3 (\"b\") has 2 cells, the header 4: not read"),
    ] {
        report(&fixture, &[name]).exits(status).says(&[says]);
    }
    report(&fixture, &["short.csv", "--format", "junit"]).exits(4).says(&["name a run"]);
    report(&fixture, &["short.csv", "header.csv"]).exits(1).says(&["nothing could be compared"]);
}

/// What was begun and never recorded is no part of a success.
#[test]
fn an_entry_that_was_killed_is_missed() {
    let fixture = Fixture::with("m", "echo 'performance: 1 x/s'");
    fixture.mad(&["benchmark"]).run().exits(0);
    std::fs::create_dir_all(fixture.runs()[0].join("other/attempt-1")).expect("a directory");
    report(&fixture, &[]).exits(1).says(&["other was begun and not recorded", "not everything"]);
}

#[test]
fn the_ending_of_the_file_says_the_format() {
    let fixture = measured();
    for (name, begins) in [
        ("out/report.html", "<!DOCTYPE html>"),
        ("report.md", "<!-- mad-report -->"),
        ("report.json", "{\n  \"schema\": \"mad-report/1\""),
        ("report.xml", "<?xml"),
        ("report.txt", "biggest regression"),
    ] {
        let path = fixture.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        report(&fixture, &["-o", name]).exits(1).says(&["biggest regression", "written to"]);
        assert!(common::read(&path).starts_with(begins), "{name}");
    }
    // The page leads to the logs, from where it is.
    let page = fixture.text("out/report.html");
    assert!(page.contains("\"./../mad/runs/"), "{page}");
    report(&fixture, &["-o", "no/such/dir.html"]).exits(4).says(&["cannot write no/such/dir.html"]);
    let both = report(&fixture, &["--json", "-o", "both.md"]).exits(1).json();
    assert_eq!(both["schema"], "mad-report/1");
    assert!(fixture.text("both.md").starts_with("<!-- mad-report -->"));
}

#[test]
fn a_report_that_cannot_be_written_is_no_success() {
    let fixture = Fixture::empty();
    let full = fixture.mad(&["report", BEFORE]).through_shell("\"$@\" > /dev/full").run();
    full.exits(4).says(&["No space left"]);
}

#[test]
fn hostile_names_are_text() {
    let fixture = Fixture::empty();
    hostile(&fixture);
    let text = report(&fixture, &["hostile.csv"]).exits(1).stdout;
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    assert!(text.contains("\\u{1b}[31mred"), "{text}");
    assert!(text.contains("=cmd|' /C calc'!A0"), "{text}");
    let markdown = report(&fixture, &["hostile.csv", "--format", "markdown"]).exits(1).stdout;
    check(|| insta::assert_snapshot!("hostile_markdown", markdown));
    let page = report(&fixture, &["hostile.csv", "--format", "html"]).exits(1).stdout;
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<img"));
    let json = report(&fixture, &["hostile.csv", "--json"]).exits(1).json();
    let models: Vec<&str> =
        json["rows"].as_array().expect("rows").iter().filter_map(|r| r["model"].as_str()).collect();
    assert!(HOSTILE.iter().all(|name| models.contains(name)), "{models:?}");
}

/// A comment on GitHub has a limit, and what does not fit is counted.
#[test]
fn markdown_fits_into_a_comment() {
    let fixture = Fixture::empty();
    let rows = |factor: f64| -> String {
        let row = |i: usize| {
            let value = 100.0 * if i.is_multiple_of(3) { factor } else { 1.0 };
            format!("a_model_with_a_name_of_some_length_{i},{value},tokens_per_second,SUCCESS\n")
        };
        "model,performance,metric,status\n".to_owned() + &(0..5_000).map(row).collect::<String>()
    };
    std::fs::write(fixture.path("old.csv"), rows(1.0)).expect("a file");
    std::fs::write(fixture.path("new.csv"), rows(0.5)).expect("a file");
    for args in [&["new.csv", "old.csv"][..], &["new.csv"]] {
        let args: Vec<&str> = args.iter().chain(&["--format", "markdown"]).copied().collect();
        let markdown = report(&fixture, &args).stdout;
        assert!(markdown.len() < 65_000, "{}", markdown.len());
        assert!(markdown.contains("more rows do not fit here"), "{markdown}");
    }
}
