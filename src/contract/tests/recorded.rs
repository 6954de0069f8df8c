//! What real recordings of madengine amount to: tests/fixtures/madengine.

use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use super::conclude::told_of;
use super::scan_with;
use crate::contract::{
    CsvError, ErrorScan, Evidence, Exit, OUT_OF_TIME, Recorded, read_recorded, read_results_csv,
};

/// The entries that have a results CSV of their own.
fn has_table(case: &str) -> bool {
    case.starts_with("table")
}

/// What the recording of `case` amounts to, as text.
fn told(case: &str, remark: Option<&str>) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/madengine").join(case);
    let status = fs::read_to_string(dir.join("status")).expect("a status");
    let mut errors = ErrorScan::default();
    errors.patterns.push(OUT_OF_TIME.to_owned());
    let log = scan_with(&errors, fs::read(dir.join("run.log")).expect("a log"));
    let results = has_table(case).then(|| read_results_csv(&dir.join("results.csv")));
    let recorded = Recorded {
        model: case.replacen('_', if case == "nested_entry" { "/" } else { "_" }, 1),
        rows: read_recorded(&dir.join("perf.csv")),
        remark: remark.map(str::to_owned),
    };
    told_of(Evidence {
        exit: Exit::Code(status.trim().parse().expect("a number")),
        log: &log,
        results,
        recorded: Some(&recorded),
        scheduler: None,
    })
    .replace(&format!("{}/", dir.display()), "")
}

#[test]
fn numbers_are_those_of_the_script() {
    assert_snapshot!(told("plain", None), @"14164 samples_per_second");
    assert_snapshot!(told("scientific", None), @"1.5e+3 ms");
    assert_snapshot!(told("huggingface", None), @"4.23 samples_per_second");
    assert_snapshot!(told("nested_entry", None), @"7.5 images_per_second");
    assert_snapshot!(told("table", None), @r"
100.5 small/tokens_per_second
50.25 large/tokens_per_second
");
    assert_snapshot!(told("table_spaced", None), @"12.5 one/ms");
}

#[test]
fn rows_keep_the_names_that_the_script_gave_them() {
    assert_snapshot!(told("table_renamed", None), @r"
1.50 007/ms
2e3 1.50/ms
");
}

#[test]
fn failures_have_their_reason() {
    assert_snapshot!(told("fails", None), @r#"ExitStatus: madengine recorded FAILURE: line 12 of the log says "Exception: Subprocess 'docker exec 81c6d5a6f6db bash -c 'cd run_directory &&  bash fail.sh '' failed with exit code 3" (and 2 more lines look like errors)"#);
    assert_snapshot!(told("silent", None), @r#"NoNumber: madengine recorded FAILURE: the script printed no "performance: <value> <metric>" line"#);
    assert_snapshot!(told("nan", None), @r#"BadNumber: madengine recorded FAILURE: line 10 of the log reports nan ms, which is not a finite number: "performance: nan ms""#);
    assert_snapshot!(told("errors", None), @r#"ErrorPattern: madengine recorded FAILURE although 42 tokens_per_second was reported: line 9 of the log says "ValueError: connection lost, trying again"; it takes such a line for an error (log_error_benign_patterns, log_error_pattern_scan)"#);
    assert_snapshot!(told("time_is_up", None), @r#"Timeout: not finished in time: line 11 of the log says "Exception: Program timed out. Requested timeout=4""#);
    assert_snapshot!(told("table_blank", None), @r#"
BadNumber: madengine recorded FAILURE: results.csv: 2 rows have no usable number
  line 3 (model "lost"): performance is blank
  line 4 (model "na"): performance "NA" is not a finite number
"#);
    assert_snapshot!(told("table_none", None), @"NoNumber: madengine recorded FAILURE: the script wrote no results.csv");
}

#[test]
fn what_madengine_calls_a_success_is_none() {
    assert_snapshot!(told("table_text", None), @r#"BadNumber: results.csv, line 3 (model "bad"): performance "abc" is not a finite number; madengine recorded success all the same"#);
    assert_snapshot!(told("table_nometric", None), @r#"NoNumber: madengine ended with status 0 but recorded nothing: results.csv: the header lacks the column metric; it has "model", "performance""#);
    assert_snapshot!(told("headless", None), @r#"NoNumber: madengine ended with status 0 but recorded nothing: line 3 of the log says "Traceback: Traceback (most recent call last):""#);
    assert_snapshot!(told("headless", Some("it built no image")), @"NoNumber: madengine ended with status 0 but recorded nothing: it built no image");
    assert_snapshot!(told("skipped_arch", Some("it skipped the entry")), @"NoNumber: madengine ended with status 0 but recorded nothing: it skipped the entry");
}

/// Rows of which there is no CSV of the script, as from a cluster.
fn of_rows(text: &str, exit: i32) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("perf.csv");
    fs::write(&path, text).expect("a file");
    let log = scan_with(&ErrorScan::default(), "");
    let recorded = Recorded { model: "m".to_owned(), rows: read_recorded(&path), remark: None };
    let missing = CsvError::Missing { path: PathBuf::from("results.csv") };
    told_of(Evidence {
        exit: Exit::Code(exit),
        log: &log,
        results: Some(Err(missing)),
        recorded: Some(&recorded),
        scheduler: None,
    })
    .replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn rows_of_a_cluster_count() {
    let rows = "model,performance,metric,status,test_duration,steps\n\
                m_a,1.5,ms,SUCCESS,0.03s,7\nm_b,2,ms,SUCCESS,0.03s,\nm_b,3,ms,SUCCESS,,\n";
    assert_snapshot!(of_rows(rows, 0), @r#"
1.5 a/ms
2 b/ms
3 b/ms #2
warning: rows with one model and metric ("b/ms") are told apart by their order
"#);
}

#[test]
fn odd_rows_do_not() {
    let row = |row: &str| format!("model,performance,metric,status\n{row}\n");
    assert_snapshot!(of_rows(&row("m,0,pod was evicted,FAILURE"), 3), @"NoNumber: madengine recorded FAILURE (pod was evicted): the script wrote no results.csv");
    assert_snapshot!(of_rows(&row("m,,,SKIPPED"), 0), @"NoNumber: madengine recorded the status SKIPPED: it did not run the model");
    assert_snapshot!(of_rows(&row("m,1,ms,SUCCESS"), 1), @"ExitStatus: madengine recorded success but ended with status 1; the log is empty");
    assert_snapshot!(of_rows(&row("m,NA,ms,SUCCESS"), 0), @r#"BadNumber: madengine recorded success, but: line 2 (model "m"): performance is blank"#);
    assert_snapshot!(of_rows(&row("m,1,n/a,SUCCESS"), 0), @r#"BadNumber: madengine recorded success, but: line 2 (model "m"): metric is blank"#);
    assert_snapshot!(of_rows(&row("m,inf,ms,SUCCESS\nm,1e400,ms,SUCCESS"), 0), @r#"BadNumber: madengine recorded success, but: line 2 (model "m"): performance "inf" is not a finite number; line 3 (model "m"): performance "1e400" is not a finite number"#);
    assert_snapshot!(of_rows("model,performance\nm,1\n", 0), @"NoNumber: madengine ended with status 0 but left a file that cannot be read (perf.csv: no perf.csv of madengine: it lacks metric, status): the log is empty");
    assert_snapshot!(of_rows("", 4), @"ExitStatus: madengine ended with status 4 (invalid arguments or configuration) and left a file that cannot be read (perf.csv: no perf.csv of madengine: it lacks model, performance, metric, status): the log is empty");
}
