//! What came of a run, in the words of the tables.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::Fixture;
use crate::table::{Outcome, Row, Table};

/// The cells of a row of perf.csv by column.
pub(crate) type Cells = BTreeMap<String, String>;

/// The rows of perf.csv, whatever is in their cells.
pub(crate) fn cells(fixture: &Fixture) -> Vec<Cells> {
    let mut reader = csv::Reader::from_path(fixture.path("perf.csv")).expect("perf.csv");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

/// Runs these entries and fails the test unless of each comes what its row says.
#[track_caller]
pub(crate) fn check(fixture: &Fixture, benchmark: &Value, expected: &Table) {
    let cells = cells(fixture);
    let records = crate::common::json_file(&fixture.path("perf_entry_super.json"));
    let stray = cells.iter().filter(|c| owner(&c["model"], expected).is_none());
    let mut wrong: Vec<String> = stray.map(|c| format!("of which entry is {c:?}?")).collect();
    for (name, row) in expected {
        let mine: Vec<&Cells> =
            cells.iter().filter(|c| owner(&c["model"], expected) == Some(name)).collect();
        let message = message(benchmark, name);
        wrong.extend(problems(name, row, &mine, &message));
        for (key, value) in &row.multi_results {
            let model = &mine.first().expect("a row")["model"];
            let record =
                records.as_array().expect("records").iter().find(|r| r["model"] == **model);
            let found = record.map(|r| r["multi_results"][key].clone());
            if found.as_ref() != Some(value) {
                wrong.push(format!("{name}: multi_results.{key} is {found:?}, not {value}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}

fn problems(name: &str, row: &Row, mine: &[&Cells], message: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let found = outcome(name, mine);
    if found != *row.expected() {
        wrong.push(format!("{name}: {found:?}, not {:?}; {message}", row.expected()));
    }
    for word in row.says.iter().filter(|word| !message.contains(*word)) {
        wrong.push(format!("{name}: {word:?} is missing in {message:?}"));
    }
    for (column, value) in &row.columns {
        if mine.iter().any(|cells| cells[column] != *value) {
            wrong.push(format!("{name}: {column} is not {value:?} in {mine:?}"));
        }
    }
    wrong
}

/// What the rows of one entry say.
fn outcome(entry: &str, rows: &[&Cells]) -> Outcome {
    let number = |row: &Cells| format!("{} {}", row["performance"], row["metric"]);
    match rows {
        [] => Outcome::Word("nothing".to_owned()),
        [row] if row["model"] == entry => {
            let word = match row["status"].as_str() {
                "SUCCESS" => number(row),
                status => format!("{} {}", status.to_lowercase(), number(row)),
            };
            Outcome::Word(word.trim().to_owned())
        }
        rows => {
            let line = |row: &&Cells| {
                let name = row["model"].strip_prefix(entry).expect("a row of the entry");
                let name = name.strip_prefix('_').unwrap_or(name);
                let failed = row["status"] != "SUCCESS";
                let value = if failed { "FAILURE" } else { &row["performance"] };
                format!("{name} = {value} {}", row["metric"]).trim().to_owned()
            };
            Outcome::Lines(rows.iter().map(line).collect())
        }
    }
}

/// The entry that a row belongs to: `<entry>` or `<entry>_<row>`.
fn owner<'t>(model: &str, table: &'t Table) -> Option<&'t String> {
    let is = |name: &&String| {
        model.strip_prefix(name.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('_'))
    };
    table.keys().filter(is).max_by_key(|name| name.len())
}

/// What the case of an entry says.
fn message(benchmark: &Value, name: &str) -> String {
    let cases = benchmark["cases"].as_array().expect("cases");
    let case = cases.iter().find(|case| case["name"] == format!("bench::{name}"));
    let case = case.unwrap_or_else(|| panic!("no case of {name}"));
    case["message"].as_str().expect("a message").to_owned()
}
