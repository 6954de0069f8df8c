//! What madengine recorded about an entry, read as its perf.csv rather than its log says.
//!
//! madengine ends with status 0 and records nothing where it built no image, skipped the
//! entry or could not read its results CSV; it calls a row with the text `abc` a success.
//! Each of these is a failure here, with the reason.

use std::collections::BTreeMap;
use std::path::Path;

use super::conclude::{Cause, Evidence, Failure, FailureKind, fail, from_log, telling};
use super::line::excerpt;
use super::results::{CsvError, Results, RowProblem, number_repeated, read_text};
use super::sample::Sample;
use super::{Exit, LogFindings};
use crate::results::COLUMNS;

/// What the log says when madengine's own time limit ends a run; an error pattern of
/// Jobs that madengine runs.
pub const OUT_OF_TIME: &str = "Program timed out. Requested timeout=";

/// What pandas reads as no value.
const NULLS: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// What one start of madengine left behind.
#[derive(Debug)]
pub struct Recorded {
    /// Name of the entry.
    pub model: String,
    /// The rows of its perf.csv, at least one.
    pub rows: Result<Vec<RecordedRow>, CsvError>,
    /// Why there may be none, as far as it is known.
    pub remark: Option<String>,
}

/// A row of madengine's perf.csv.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedRow {
    /// The line on which it starts.
    pub line: u64,
    /// Its `model`: the entry's name, or `<entry>_<row>`.
    pub model: String,
    /// `SUCCESS`, `FAILURE` or `SKIPPED`.
    pub status: String,
    /// The number as written.
    pub performance: String,
    /// The unit word, or on Kubernetes the text of an error.
    pub metric: String,
    /// Seconds the script ran.
    pub test_duration_s: Option<f64>,
    /// Further columns that have a value.
    pub columns: BTreeMap<String, String>,
}

/// Reads a perf.csv as madengine writes it.
///
/// # Errors
/// If the file is not there, not a CSV of that form, or has no row.
pub fn read_recorded(path: &Path) -> Result<Vec<RecordedRow>, CsvError> {
    let text = read_text(path)?;
    let io_error = |error: csv::Error| CsvError::Io { path: path.to_owned(), source: error.into() };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(io_error)?.clone();
    let at = |name: &str| header.iter().position(|n| n.trim() == name);
    let missing: Vec<&str> = ["model", "performance", "metric", "status"]
        .into_iter()
        .filter(|n| at(n).is_none())
        .collect();
    if !missing.is_empty() {
        let problem = format!("no perf.csv of madengine: it lacks {}", missing.join(", "));
        return Err(CsvError::Header { path: path.to_owned(), problem });
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(io_error)?;
        let cell = |name: &str| at(name).and_then(|i| record.get(i)).map_or("", str::trim);
        let others = header.iter().zip(&record).filter(|(name, value)| {
            !COLUMNS.contains(&name.trim()) && name.trim() != "configs" && !is_null(value)
        });
        rows.push(RecordedRow {
            line: record.position().map_or(0, csv::Position::line),
            model: cell("model").to_owned(),
            status: cell("status").to_owned(),
            performance: cell("performance").to_owned(),
            metric: cell("metric").to_owned(),
            // Seconds, which Slurm and Kubernetes write with their unit.
            test_duration_s: cell("test_duration").trim_end_matches('s').parse().ok(),
            columns: others.map(|(n, v)| (n.trim().to_owned(), v.to_owned())).collect(),
        });
    }
    match rows.is_empty() {
        true => Err(CsvError::NoRows { path: path.to_owned() }),
        false => Ok(rows),
    }
}

impl Recorded {
    /// Seconds the script ran, if madengine knows it.
    pub fn duration_s(&self) -> Option<f64> {
        let rows = self.rows.as_ref().ok()?;
        let seconds = rows.iter().filter_map(|row| row.test_duration_s);
        seconds.filter(|s| s.is_finite() && *s > 0.0).reduce(f64::max)
    }
}

/// The numbers that madengine recorded, or why none counts.
pub(super) fn numbers(
    recorded: &Recorded,
    evidence: Evidence<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Sample>, Failure> {
    let Evidence { exit, log, results, .. } = evidence;
    let name = recorded.model.as_str();
    let rows = match &recorded.rows {
        Ok(rows) => rows,
        Err(error) => return nothing(recorded, error, exit, log, results),
    };
    if rows.iter().any(|row| row.status == "FAILURE") {
        return failed(rows, name, log, results);
    }
    if let Some(row) = rows.iter().find(|row| row.status != "SUCCESS") {
        let why = recorded.remark.as_deref().unwrap_or("it did not run the model");
        return fail(
            FailureKind::NoNumber,
            format!("madengine recorded the status {}: {why}", row.status),
        );
    }
    if let Exit::Code(code) = exit
        && code != 0
    {
        return fail(
            FailureKind::ExitStatus,
            format!("madengine recorded success but ended with status {code}; {}", Cause(log)),
        );
    }
    match results {
        // Its own text: madengine's rows went through pandas, which makes 7 of a row 007.
        Some(Ok(Results { samples, warnings: more })) => {
            if samples.len() != rows.len() {
                return fail(
                    FailureKind::BadNumber,
                    format!(
                        "the results CSV has {} rows, of which madengine recorded {}",
                        samples.len(),
                        rows.len()
                    ),
                );
            }
            warnings.extend(more);
            Ok(samples)
        }
        // Elsewhere, as in a cluster: what madengine made of it is what there is.
        None | Some(Err(CsvError::Missing { .. })) => from_rows(rows, name, warnings),
        Some(Err(error)) => fail(
            FailureKind::BadNumber,
            format!("{error}; madengine recorded success all the same"),
        ),
    }
}

/// No row at all.
fn nothing<T>(
    recorded: &Recorded,
    error: &CsvError,
    exit: Exit,
    log: &LogFindings,
    results: Option<Result<Results, CsvError>>,
) -> Result<T, Failure> {
    let what = match error {
        CsvError::Missing { .. } | CsvError::NoRows { .. } => "recorded nothing".to_owned(),
        other => format!("left a file that cannot be read ({other})"),
    };
    let why = match (&recorded.remark, results) {
        (Some(remark), _) => remark.clone(),
        (None, Some(Err(problem))) if !matches!(problem, CsvError::Missing { .. }) => {
            problem.to_string()
        }
        _ => Cause(log).to_string(),
    };
    match exit {
        Exit::Code(0) => {
            fail(FailureKind::NoNumber, format!("madengine ended with status 0 but {what}: {why}"))
        }
        _ => fail(FailureKind::ExitStatus, format!("madengine {}and {what}: {why}", status(exit))),
    }
}

/// What the exit statuses of madengine mean.
fn status(exit: Exit) -> String {
    let Exit::Code(code) = exit else { return String::new() };
    let meaning = match code {
        2 => " (build failure, or a tag that matches nothing)",
        3 => " (run failure)",
        4 => " (invalid arguments or configuration)",
        126 => " (it could not be executed)",
        127 => " (it was not found)",
        _ => "",
    };
    format!("ended with status {code}{meaning} ")
}

/// Rows that say FAILURE.
fn failed<T>(
    rows: &[RecordedRow],
    name: &str,
    log: &LogFindings,
    results: Option<Result<Results, CsvError>>,
) -> Result<T, Failure> {
    let failed: Vec<&RecordedRow> = rows.iter().filter(|row| row.status == "FAILURE").collect();
    if let Some(hit) = log.errors.iter().find(|hit| hit.line.text.contains(OUT_OF_TIME)) {
        let (number, text) = (hit.line.number, &hit.line.text);
        let message = format!("not finished in time: line {number} of the log says \"{text}\"");
        return fail(FailureKind::Timeout, message);
    }
    // Rows of a table that was read: the file itself says it better.
    if rows.len() > 1 || failed.iter().any(|row| row_name(row, name).is_some()) {
        let why = match results {
            Some(Err(error)) if !matches!(error, CsvError::Missing { .. }) => error.to_string(),
            _ => {
                let names = failed.iter().map(|r| format!("\"{}\"", excerpt(&r.model, 0)));
                format!("rows without a number: {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        return fail(FailureKind::BadNumber, format!("madengine recorded FAILURE: {why}"));
    }
    let row = failed[0];
    if !is_null(&row.performance) && row.performance != "0" && telling(log).is_some() {
        let message = format!(
            "madengine recorded FAILURE although {} {} was reported: {}; it takes such a line \
             for an error (log_error_benign_patterns, log_error_pattern_scan)",
            row.performance,
            row.metric,
            Cause(log)
        );
        return fail(FailureKind::ErrorPattern, message);
    }
    // On Kubernetes the text of the error stands where the unit should.
    let said = if is_null(&row.metric) { String::new() } else { format!(" ({})", row.metric) };
    match results {
        Some(Err(error)) if telling(log).is_none() => {
            let kind = match error {
                CsvError::Missing { .. } | CsvError::Stale { .. } | CsvError::NoRows { .. } => {
                    FailureKind::NoNumber
                }
                _ => FailureKind::BadNumber,
            };
            fail(kind, format!("madengine recorded FAILURE{said}: {error}"))
        }
        None if telling(log).is_none() && log.performance.is_none() => fail(
            FailureKind::NoNumber,
            format!(
                "madengine recorded FAILURE{said}: the script printed no \"performance: <value> \
                 <metric>\" line"
            ),
        ),
        None if telling(log).is_none()
            && let Err(Failure { kind, message }) = from_log(log, &mut Vec::new()) =>
        {
            fail(kind, format!("madengine recorded FAILURE{said}: {message}"))
        }
        _ => fail(
            FailureKind::ExitStatus,
            format!("madengine recorded FAILURE{said}: {}", Cause(log)),
        ),
    }
}

/// The numbers of rows that all say SUCCESS.
fn from_rows(
    rows: &[RecordedRow],
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Sample>, Failure> {
    let mut problems = Vec::new();
    let mut samples = Vec::new();
    for row in rows {
        let value = row.performance.parse().ok().filter(|v: &f64| v.is_finite());
        let problem = match value {
            _ if is_null(&row.performance) => "performance is blank".to_owned(),
            _ if is_null(&row.metric) => "metric is blank".to_owned(),
            None => {
                let text = excerpt(&row.performance, 0);
                format!("performance \"{text}\" is not a finite number")
            }
            Some(value) => {
                samples.push(Sample {
                    row: row_name(row, name).map(str::to_owned),
                    columns: row.columns.clone(),
                    ..Sample::from_log(&row.metric, value, &row.performance)
                });
                continue;
            }
        };
        problems.push(RowProblem { line: row.line, model: row.model.clone(), problem });
    }
    if !problems.is_empty() {
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let message = format!("madengine recorded success, but: {}", list.join("; "));
        return fail(FailureKind::BadNumber, message);
    }
    warnings.extend(number_repeated(&mut samples));
    Ok(samples)
}

/// The row's own part of its `model`.
fn row_name<'a>(row: &'a RecordedRow, name: &str) -> Option<&'a str> {
    row.model.strip_prefix(name)?.strip_prefix('_').filter(|rest| !rest.is_empty())
}

fn is_null(text: &str) -> bool {
    NULLS.contains(&text.trim())
}
