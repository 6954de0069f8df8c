//! The report for a terminal.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::build::labels;
use super::{Conclusion, Kind, Origin, Report, Row, Status, plain};
use crate::record::{CaseRecord, CaseStatus, Stage};
use crate::results::Table;

/// The whole report: the headline, where the numbers are from, a table, then what needs
/// words. Control characters are spelled out.
pub fn text(report: &Report) -> String {
    let mut text = format!("{}\n", report.headline);
    let _ = writeln!(text, "{}", origins(report));
    if !report.rows.is_empty() {
        let _ = write!(
            text,
            "{}",
            if report.compared_to.is_some() { both(report) } else { one(report) }
        );
    }
    words(report, &mut text);
    for problem in &report.problems {
        let _ = write!(text, "\nproblem: {problem}\n");
    }
    if !report.notes.is_empty() {
        text.push('\n');
    }
    for note in report.notes.iter().cloned().chain(directions(report)) {
        let _ = writeln!(text, "note: {note}");
    }
    printable(&text)
}

/// What is reported, and against what.
pub(super) fn origins(report: &Report) -> String {
    match &report.compared_to {
        None => origin(&report.results),
        Some(other) => format!("{}, compared with {}", origin(&report.results), origin(other)),
    }
}

fn origin(origin: &Origin) -> String {
    match origin.kind {
        Kind::Run => format!("run {}", origin.name),
        Kind::Csv | Kind::Json => origin.name.clone(),
    }
}

fn one(report: &Report) -> Table {
    let mut table = Table::new(["MODEL", "STATUS", "PERFORMANCE", "METRIC", "CHANGE", "VERDICT"]);
    for (row, label) in report.rows.iter().zip(labels(&report.rows)) {
        let verdict = match row.conclusion {
            Some(Conclusion::NoBaseline) | None if row.status == Status::Success => "-",
            Some(conclusion) => conclusion.word(),
            None => "",
        };
        table.row([
            label,
            row.status.word().to_owned(),
            row.shown(),
            row.metric.clone(),
            row.shown_change(),
            verdict.to_owned(),
        ]);
    }
    table
}

fn both(report: &Report) -> Table {
    let mut table = Table::new(["MODEL", "METRIC", "BETTER", "BEFORE", "NOW", "CHANGE", "VERDICT"]);
    for (row, label) in report.rows.iter().zip(labels(&report.rows)) {
        table.row([
            label,
            row.metric.clone(),
            better(row).to_owned(),
            row.baseline.map(plain).unwrap_or_default(),
            row.shown(),
            row.shown_change(),
            verdict(row).to_owned(),
        ]);
    }
    table
}

/// Which way is better, in a word.
pub(super) fn better(row: &Row) -> &'static str {
    use crate::regress::Direction;
    match row.better {
        _ if row.metric.is_empty() => "",
        Direction::Higher => "higher",
        Direction::Lower => "lower",
        Direction::Unknown => "?",
    }
}

/// The conclusion of a comparison, or why there is none.
pub(super) fn verdict(row: &Row) -> &'static str {
    match (row.status, row.conclusion) {
        (_, Some(conclusion)) => conclusion.word(),
        (Status::Failure, None) => "failed",
        (Status::Skipped, None) => "skipped",
        (Status::Success | Status::Absent, None) => "-",
    }
}

/// The directions that a comparison assumes, in one sentence.
pub(super) fn directions(report: &Report) -> Option<String> {
    use super::Knowledge::{Catalog, Name, Nothing};
    report.compared_to.as_ref()?;
    let from = |from| report.rows.iter().any(|r| r.better_from == from && r.conclusion.is_some());
    let mut said = Vec::new();
    if from(Catalog) {
        said.push("the catalog says");
    }
    if from(Name) {
        said.push("the names of the metrics tell");
    }
    let mut text = match said.as_slice() {
        [] => String::new(),
        said => format!("{} which way is better", said.join(" and ")),
    };
    if from(Nothing) {
        let but = if text.is_empty() { "" } else { "; " };
        text.push_str(but);
        text.push_str(
            "? marks metrics of which nobody says it (regress.metrics.<metric>.direction)",
        );
    }
    (!text.is_empty()).then_some(text)
}

/// What a table has no room for.
fn words(report: &Report, text: &mut String) {
    of_cases(report, text);
    let by_cases = !report.cases.is_empty();
    for (row, label) in report.rows.iter().zip(labels(&report.rows)) {
        // What the cases of a run say is said.
        let told = by_cases && (report.compared_to.is_none() || row.conclusion.is_none());
        if told || !row.needs_words() {
            continue;
        }
        let word = row.conclusion.map(|c| format!("{}: ", c.word())).unwrap_or_default();
        let space = if row.metric.is_empty() { "" } else { " " };
        let explanation = row.explanation.replace('\n', "\n    ");
        let _ = write!(text, "\n{label}{space}{}\n    {word}{explanation}\n", row.metric);
        for further in row.settle.iter().chain(&row.notes) {
            let _ = writeln!(text, "    {}", further.replace('\n', "\n    "));
        }
    }
}

/// What the cases of a run have to say.
fn of_cases(report: &Report, text: &mut String) {
    let mut new = Vec::new();
    let benches: HashMap<&str, &CaseRecord> = report
        .cases
        .iter()
        .filter(|c| c.stage == Stage::Bench)
        .map(|c| (c.model.as_str(), c))
        .collect();
    let mut say = |case: &CaseRecord| {
        let message = case.message.replace('\n', "\n    ");
        let _ = write!(text, "\n{}\n    {message}\n", case.name);
    };
    // As in the table: regressions first, what was skipped last.
    let mut cases: Vec<&CaseRecord> = report.cases.iter().collect();
    cases.sort_by_key(|c| match c.status {
        CaseStatus::Failed if c.kind == "regression" => 0,
        CaseStatus::Failed => 1,
        CaseStatus::Passed => 2,
        CaseStatus::Ignored => 3,
    });
    for case in cases {
        let bench = benches.get(case.model.as_str());
        let repeated = match case.stage {
            Stage::Validate => case.status != CaseStatus::Failed,
            Stage::Bench => false,
            Stage::Regress => bench.is_some_and(|b| b.message == case.message),
        };
        if case.kind == "no-baseline" && case.status == CaseStatus::Ignored {
            // There are numbers, and they do not count: who expects a verdict must hear of it.
            if case.properties.iter().any(|(key, _)| key == "elsewhere") {
                say(case);
            }
            // What failed cannot be accepted.
            if bench.is_some_and(|b| b.status == CaseStatus::Passed) {
                new.push(case.model.as_str());
            }
        } else if !case.message.is_empty() && !repeated {
            say(case);
        }
    }
    if !new.is_empty() {
        let ids = shell_words::join(&new);
        let _ = write!(
            text,
            "\nno baseline yet; measure again, and accept runs that agree: mad baseline accept {ids}\n"
        );
    }
}

/// The text without characters that steer a terminal.
fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => clean.push(' '),
            c if steers(c) => clean.extend(c.escape_default()),
            c => clean.push(c),
        }
    }
    clean
}
