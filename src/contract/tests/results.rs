//! The CSV of `multiple_results`.

use std::fs;
use std::path::Path;

use insta::{assert_json_snapshot, assert_snapshot};
use proptest::prelude::*;

use crate::contract::{CsvError, Results, read_results_csv};

fn read(text: impl AsRef<[u8]>) -> Result<Results, CsvError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perf.csv");
    fs::write(&path, text).unwrap();
    read_results_csv(&path)
}

/// The message, with the file as `perf.csv`.
fn message(text: impl AsRef<[u8]>) -> String {
    let message = read(text).unwrap_err().to_string();
    let at = message.find("perf.csv").unwrap();
    message[at..].to_owned()
}

fn keys(text: &str) -> Vec<String> {
    read(text).unwrap().samples.iter().map(|s| s.key()).collect()
}

#[test]
fn reads_rows_in_order_with_their_further_columns() {
    let results = read(
        "\u{feff}model, temperature ,performance,metric\r\n\
         fp16, 300 ,12.50,tok/s\r\n\
         \r\n\
         \"a, \"\"b\"\"\",hot,-.5e1 ,ms\r\n",
    )
    .unwrap();
    assert_eq!(results.warnings, [""; 0]);
    assert_json_snapshot!(results.samples, @r#"
[
  {
    "metric": "tok/s",
    "row": "fp16",
    "value": 12.5,
    "text": "12.50",
    "columns": {
      "temperature": " 300 "
    }
  },
  {
    "metric": "ms",
    "row": "a, \"b\"",
    "value": -5.0,
    "text": "-.5e1",
    "columns": {
      "temperature": "hot"
    }
  }
]
"#);
}

#[test]
fn values_are_numbers_by_the_same_rules_as_pandas() {
    for (text, value) in
        [("1", 1.0), ("+1", 1.0), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("0", 0.0)]
    {
        let results = read(format!("model,performance,metric\na,{text},x\n")).unwrap();
        assert_eq!((results.samples[0].value, results.samples[0].text.as_str()), (value, text));
    }
    // Some are no value to pandas, which then marks the row but not the run; the others
    // are text, which it takes for a success.
    let wrong = [
        "", " ", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NULL", "null", "None",
        "nan", "NaN", "-nan", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "inf", "-inf",
        "Infinity", "1e400", "abc", "12 ms", "1_000", "0x1F", "True", "12%",
    ];
    for text in wrong {
        let error = read(format!("model,performance,metric\na,1,x\nb,{text},x\n")).unwrap_err();
        let CsvError::BadRows { rows, more: 0, .. } = error else {
            panic!("{text}: {error}");
        };
        assert_eq!((rows.len(), rows[0].line, rows[0].model.as_str()), (1, 3, "b"), "{text}");
    }
}

#[test]
fn the_header_is_checked() {
    assert_snapshot!(message("Model,Performance,Metric\na,1,x\n"), @r#"perf.csv: the header lacks the columns model, performance, metric; it has "Model", "Performance", "Metric"; write "model" instead of "Model"; write "performance" instead of "Performance"; write "metric" instead of "Metric""#);
    assert_snapshot!(message("model,value\na,1\n"), @r#"perf.csv: the header lacks the columns performance, metric; it has "model", "value""#);
    assert_snapshot!(message("model;performance;metric\na;1;x\n"), @r#"perf.csv: the header lacks the columns model, performance, metric; it has "model;performance;metric""#);
    assert_snapshot!(message("model,performance,metric, performance\na,1,x,2\n"), @r#"perf.csv: two columns are named "performance""#);
    assert_snapshot!(message(""), @r#"perf.csv: it has no header line"#);
    assert_snapshot!(message(" \n"), @r#"perf.csv: it has no header line"#);
}

#[test]
fn bad_rows_are_named_together() {
    assert_snapshot!(message("model,performance,metric\n\n\nllama,NA,tok/s\n"), @r#"perf.csv, line 4 (model "llama"): performance "NA" is not a finite number"#);
    assert_snapshot!(
        message("model,performance,metric\na,1,x\nb,abc,x\n,1,x\n\nc,1, \nd,,x\ne,1\nf\ng,1,x,9\n"),
        @r#"
perf.csv: 7 rows have no usable number
  line 3 (model "b"): performance "abc" is not a finite number
  line 4: model is blank
  line 6 (model "c"): metric is blank
  line 7 (model "d"): performance is blank
  line 8 (model "e"): 2 fields, but the header has 3
  line 9 (model "f"): 1 field, but the header has 3
  line 10 (model "g"): 4 fields, but the header has 3
"#
    );
    let many = format!("model,performance,metric\n{}", "a,nan,x\n".repeat(25));
    assert!(message(many).ends_with("\n  and 15 more"));
    let unclosed = message("model,performance,metric\na,1,x\n\"b,1,x\nc,1,x\n");
    assert_snapshot!(unclosed, @r#"perf.csv, line 3 (model "b,1,x c,1,x"): 1 field, but the header has 3"#);
}

#[test]
fn files_that_are_no_table_are_refused() {
    assert_snapshot!(message("model,performance,metric\n"), @r#"perf.csv has no rows"#);
    assert_snapshot!(message(b"model,performance,metric\na,1,x\nb,1,\xff\n"), @r#"perf.csv:3: not UTF-8"#);

    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        read_results_csv(&dir.path().join("perf.csv")),
        Err(CsvError::Missing { .. })
    ));
    assert!(matches!(read_results_csv(dir.path()), Err(CsvError::NotAFile { .. })));
    assert!(matches!(read_results_csv(Path::new("/dev/null")), Err(CsvError::NotAFile { .. })));
    let large = dir.path().join("large.csv");
    fs::File::create(&large).unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(matches!(read_results_csv(&large), Err(CsvError::TooLarge { .. })));
}

#[test]
fn keys_are_unique() {
    assert_eq!(
        keys("model,performance,metric\na,1,x\na,2,y\na,3,x\na,4,x\nb,5,x\n"),
        ["a/x", "a/y", "a/x #2", "a/x #3", "b/x"]
    );
    // Names that read like a numbered key, or like another row's.
    assert_eq!(
        keys("model,performance,metric\na,1,x #2\na,2,x\na,3,x\na/b,4,c\na,5,b/c\n"),
        ["a/x #2", "a/x", "a/x #3", "a/b/c", "a/b/c #2"]
    );
    let results = read("model,performance,metric\na,1,x\na,2,x\n").unwrap();
    let warning = results.warnings.join("\n");
    assert_snapshot!(&warning[warning.find("perf.csv").unwrap()..], @r#"perf.csv: rows with one model and metric ("a/x") are told apart by their order"#);
}

#[test]
fn columns_without_a_name_are_left_out() {
    let results = read(",model,performance,metric\n0,a,1,x\n1,b,2,x\n").unwrap();
    assert_eq!(results.samples.len(), 2);
    assert!(results.samples[0].columns.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(bytes);
    }

    #[test]
    fn keys_never_collide(rows in prop::collection::vec(("[ab]{1,2}(/a)?", "(a/)?[ab]( #[23])?"), 1..30)) {
        let mut csv = String::from("model,performance,metric\n");
        for (model, metric) in &rows {
            csv.push_str(&format!("{model},1,{metric}\n"));
        }
        let mut keys = keys(&csv);
        prop_assert_eq!(keys.len(), rows.len());
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), rows.len());
    }

    #[test]
    fn rows_are_whole_or_refused(text in "model,performance,metric\n([a\",\n 1.]{0,20}\n){0,6}") {
        match read(&text) {
            Ok(results) => prop_assert!(results.samples.iter().all(|s| s.value.is_finite())),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
