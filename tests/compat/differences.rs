//! The whole catalog for ci/compare-madengine.sh, which runs it through the real madengine:
//! with an entry for each row of the tables, and with expected-differences.csv.

use std::path::Path;

use crate::catalog::{copy, write_rows};
use crate::table::{FIXTURES, Outcome, section, sections};

/// What is compared: the `field`s of expected-differences.csv.
const FIELDS: [&str; 4] = ["status", "rows", "metric", "value"];

/// Writes it to `dir`.
pub(crate) fn write_catalog(dir: &Path) {
    copy(Path::new(FIXTURES), dir);
    let (lines, results) = (sections("lines.toml"), sections("results.toml"));
    write_rows(dir, &lines, false);
    write_rows(dir, &results, true);
    let file = dir.join("expected-differences.csv");
    let mut writer = csv::Writer::from_path(file).expect("a file");
    writer.write_record(["entry", "field", "id", "madengine"]).expect("a header");
    let compared = section("entries.toml", "compared");
    for (name, row) in [lines, results, compared].into_iter().flatten() {
        let (theirs, ours) = (summary(&row.madengine), summary(row.expected()));
        for (field, (theirs, ours)) in FIELDS.into_iter().zip(theirs.iter().zip(&ours)) {
            if theirs != ours {
                let id = row.why.as_deref().unwrap_or_default();
                writer.write_record([&name, field, id, theirs]).expect("a row");
            }
        }
    }
    writer.flush().expect("a file");
}

/// The fields of an outcome, as compare_madengine.py has them.
fn summary(outcome: &Outcome) -> [String; 4] {
    let numbers: Vec<&str> = match outcome {
        Outcome::Word(word) if word == "nothing" => Vec::new(),
        Outcome::Word(word) => vec![word],
        Outcome::Lines(lines) => lines.iter().map(|line| after_name(line)).collect(),
    };
    let failed = |number: &&str| number.to_lowercase().starts_with("failure");
    let status = match (numbers.is_empty(), numbers.iter().any(failed)) {
        (true, _) => "no row",
        (_, true) => "FAILURE",
        _ => "SUCCESS",
    };
    // Of a row that failed, only a number beside it counts.
    let counted = || {
        numbers
            .iter()
            .map(|number| number.strip_prefix("failure").unwrap_or(number).trim())
            .filter(|number| !number.is_empty() && !failed(number))
            .map(|number| number.split_once(' ').unwrap_or((number, "")))
    };
    let metrics: Vec<&str> = counted().map(|(_, metric)| metric).collect();
    let values: Vec<String> = counted().map(|(value, _)| one_spelling(value)).collect();
    [status.to_owned(), numbers.len().to_string(), metrics.join(" "), values.join(" ")]
}

/// What stands behind the name in `<row> = <value> <metric>`.
fn after_name(line: &str) -> &str {
    line.split_once(" = ").map_or("", |(_, number)| number)
}

/// A number as pandas would have it.
fn one_spelling(value: &str) -> String {
    value.parse::<f64>().map_or_else(|_| value.to_owned(), |number| format!("{number:?}"))
}
