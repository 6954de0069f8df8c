//! Which lines look like errors, and who says so.

use insta::assert_snapshot;
use serde_json::{Map, Value, json};

use super::{scan, scan_with};
use crate::contract::ErrorScan;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn resolve(entry: Value, context: Value) -> (ErrorScan, Vec<String>) {
    ErrorScan::resolve(&object(entry), &object(context))
}

#[test]
fn each_default_pattern_is_found() {
    let scan_defaults = ErrorScan::default();
    assert_eq!(scan_defaults.patterns.len(), 13);
    for pattern in &scan_defaults.patterns {
        let found = scan(format!("fine\nsome {pattern} here\n"));
        assert_eq!(found.error_count, 1, "{pattern}");
        assert_eq!(&found.errors[0].pattern, pattern);
        assert_eq!(found.errors[0].line.number, 2);
    }
    assert_eq!(scan("runtimeerror: wrong case\nfailed\n").error_count, 0);
}

#[test]
fn noise_is_no_error() {
    let lines = [
        "Failed to establish connection to the metrics exporter agent RuntimeError: x",
        "RpcError: Running out of retries to initialize the metrics agent FAILED",
        "Metrics will not be exported FAILED",
        "FutureWarning: ValueError: will be raised",
        "Opened result file: FAILED.db",
        "SQLite3 generation :: FAILED",
        "rocpd_op: FAILED",
        "rpd_tracer: FAILED",
        "E20260101 12:00:00 1 generateRocpd.cpp:12] FAILED",
        "E20260101 12:00:00 1 tool.cpp:12] FAILED",
        "W20260101 12:00:00 1 simple_timer.cpp:12] FAILED",
        "W20260101 12:00:00 1 generateRocpd.cpp:12] FAILED",
        "[rocprofv3] FAILED",
        "if grep -q 'RuntimeError:' log; then",
        "Found error pattern 'RuntimeError:' in the log",
    ];
    for line in lines {
        assert_eq!(scan(line).error_count, 0, "{line}");
        assert_eq!(scan(format!("{line}\nFAILED")).error_count, 1, "{line}");
    }
    // These forms are rocprofv3's only at the start of a line, and with its severity.
    assert_eq!(scan("x E20260101 tool.cpp FAILED").error_count, 1);
    assert_eq!(scan("W20260101 tool.cpp FAILED").error_count, 1);
    // What comes before an echo is no echo.
    assert_eq!(scan("RuntimeError: grep -q").error_count, 1);
}

#[test]
fn the_context_wins_and_benign_lines_add_up() {
    let (scan, warnings) = resolve(
        json!({
            "log_error_pattern_scan": false,
            "log_error_patterns": ["A"],
            "log_error_benign_patterns": ["x"],
        }),
        json!({
            "log_error_pattern_scan": "yes",
            "log_error_patterns": ["B", "C"],
            "log_error_benign_patterns": ["y"],
        }),
    );
    let expected = ErrorScan {
        enabled: true,
        patterns: vec!["B".to_owned(), "C".to_owned()],
        explicit: true,
        benign: vec!["x".to_owned(), "y".to_owned()],
    };
    assert_eq!((scan, warnings), (expected.clone(), Vec::new()));

    let found = scan_with(&expected, "B\nB x\nA C\nC y\nFAILED\n");
    assert_eq!((found.error_count, found.errors_fail), (2, true));
    let off = ErrorScan { enabled: false, ..expected };
    assert_eq!(scan_with(&off, "B\nC\n").error_count, 0);
}

#[test]
fn nothing_said_means_the_defaults() {
    let null = json!({
        "log_error_pattern_scan": null,
        "log_error_patterns": null,
        "log_error_benign_patterns": null,
    });
    for (entry, context) in [(json!({}), json!({})), (null.clone(), null)] {
        assert_eq!(resolve(entry, context), (ErrorScan::default(), Vec::new()));
    }
}

#[test]
fn the_switch_takes_words_and_numbers() {
    let off =
        [json!(false), json!(0), json!(0.0), json!(""), json!(" No "), json!("OFF"), json!("0")];
    let on = [json!(true), json!(1), json!("1"), json!("True"), json!("yes"), json!("on")];
    for (values, expected) in [(&off[..], false), (&on, true)] {
        for value in values {
            let (scan, warnings) = resolve(json!({ "log_error_pattern_scan": value }), json!({}));
            assert_eq!((scan.enabled, warnings.len()), (expected, 0), "{value}");
        }
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let (scan, warnings) = resolve(
        json!({
            "log_error_pattern_scan": "maybe",
            "log_error_benign_patterns": "x",
        }),
        json!({
            "log_error_patterns": [],
            "log_error_benign_patterns": ["y", ""],
        }),
    );
    assert_eq!(scan, ErrorScan::default());
    assert_snapshot!(warnings.join("\n"), @r#"
log_error_pattern_scan of the entry is "maybe", which is neither on nor off; the log is scanned
log_error_patterns of the additional context is not a list of one or more non-empty strings; the default patterns are used
log_error_benign_patterns of the entry is not a list of non-empty strings; it is ignored
log_error_benign_patterns of the additional context is not a list of non-empty strings; it is ignored
"#);
}

#[test]
fn wrong_lists_leave_the_defaults() {
    for wrong in [json!([]), json!("A"), json!([1]), json!(["A", ""]), json!({"A": 1})] {
        let (scan, warnings) = resolve(json!({ "log_error_patterns": wrong }), json!({}));
        assert_eq!((scan, warnings.len()), (ErrorScan::default(), 1));
    }
}
