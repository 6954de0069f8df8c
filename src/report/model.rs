//! The report as data: what every form of it is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use crate::history::change_points;
use crate::record::{CaseRecord, RunRecord};
use crate::regress::{Direction, Outcome};

/// The format of [`Report`].
pub const SCHEMA: &str = "mad-report/1";

/// What results say, alone or against others.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What matters most, in one line.
    pub headline: String,
    /// The rows, counted.
    pub summary: Summary,
    /// What is reported.
    pub results: Origin,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_to: Option<Origin>,
    /// One per model, metric and setting; the worst first.
    pub rows: Vec<Row>,
    /// What could not be read or is missing: with problems, a report is not whole.
    pub problems: Vec<String>,
    /// What a reader should know: assumptions, and what is not shown.
    pub notes: Vec<String>,
    /// The Run that is reported, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRecord>,
    /// Its cases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<CaseRecord>,
}

/// Where numbers come from.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Origin {
    /// Run id, or path of a file.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Start of the Run, RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Results that were read: rows of a file, metrics of a Run.
    pub read: u64,
}

/// Kinds of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run directory.
    Run,
    /// perf.csv, perf_super.csv and the like.
    Csv,
    /// perf_entry_super.json, perf_super.json and the like.
    Json,
}

/// The rows, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// Models (with the same setting) all of whose rows have a number.
    pub passed: usize,
    /// Models with a row that has none and should.
    pub failed: usize,
    /// Models that were not run, for a reason.
    pub skipped: usize,
    /// `passed / (passed + failed)`; absent when both are zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_rate: Option<f64>,
    /// Rows by conclusion.
    pub conclusions: BTreeMap<Conclusion, usize>,
    /// Rows whose number was put beside an earlier one.
    pub compared: usize,
    /// The row that became worse by most, as an index into the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub biggest_regression: Option<usize>,
    /// The row that became better by most, as an index into the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub biggest_improvement: Option<usize>,
}

/// One metric of one model.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// The entry; `<entry>_<row>` in files of rows.
    pub model: String,
    /// The metric, or `row/metric`; empty where a model has no number.
    pub metric: String,
    /// What it was measured with.
    #[serde(skip_serializing_if = "Setting::is_unknown")]
    pub setting: Setting,
    /// How it ended.
    pub status: Status,
    /// The number, in the metric's unit; a median if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The number as it was written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The numbers behind a median, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
    /// The number it is held against: accepted, or of the other results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// `(value - baseline) / |baseline|`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// `change` with positive meaning worse; absent when the direction is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worse_by: Option<f64>,
    /// Where a new run of unchanged code would fall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
    /// What is made of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<Conclusion>,
    /// Why: of the conclusion, the failure or the skip.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub explanation: String,
    /// What would settle it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle: Option<String>,
    /// Which way is better.
    pub better: Direction,
    /// How that is known.
    pub better_from: Knowledge,
    /// What else a reader should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Logs of its Executions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<PathBuf>,
    /// What was measured before.
    #[serde(skip_serializing_if = "Series::is_empty")]
    pub history: Series,
}

/// Earlier numbers of one metric, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Series {
    /// The numbers.
    pub points: Vec<Point>,
    /// Indices of the numbers at which a new level begins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub change_points: Vec<usize>,
    /// Still earlier ones that are not here.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

impl Series {
    /// Whether there is nothing earlier.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.left_out == 0
    }

    /// Keeps the newest `n` points.
    pub fn keep(&mut self, n: usize) {
        let older = self.points.len().saturating_sub(n);
        self.points.drain(..older);
        self.left_out += older as u64;
        self.change_points.retain(|at| *at > older);
        self.change_points.iter_mut().for_each(|at| *at -= older);
    }

    /// Finds where the level changed; `now` is the number that follows the last point.
    pub(super) fn find_changes(&mut self, now: Option<f64>) {
        let values: Vec<f64> = self.points.iter().map(|p| p.value).chain(now).collect();
        let found = change_points(&values).points;
        self.change_points = found.iter().map(|p| p.index).collect();
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// One earlier number.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Point {
    /// In the metric's unit.
    pub value: f64,
    /// Where it comes from: a run id; absent in files without runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// When, RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// How a measurement ended, in the words of perf.csv.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// With a number.
    Success,
    /// Without one.
    Failure,
    /// It was not run.
    Skipped,
    /// Only the earlier results have it.
    Absent,
}

impl Status {
    /// The word in perf.csv.
    pub fn word(self) -> &'static str {
        match self {
            Status::Success => "SUCCESS",
            Status::Failure => "FAILURE",
            Status::Skipped => "SKIPPED",
            Status::Absent => "ABSENT",
        }
    }
}

/// What is made of a change, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// Worse by more than tolerance and noise limit, and confirmed.
    Regressed,
    /// The same, but not confirmed by measuring again.
    Suspected,
    /// The metric was there before, and the model was measured.
    Gone,
    /// The numbers cannot be judged at all.
    Invalid,
    /// Cannot be told from noise, or nobody said which way is better.
    Ambiguous,
    /// Measured under other conditions.
    NotCompared,
    /// Better by more than tolerance and noise limit.
    Improved,
    /// Not there before.
    New,
    /// The model was there before and is not in these results.
    NotMeasured,
    /// Nothing has been accepted to compare with.
    NoBaseline,
    /// No change worth anybody's time.
    Same,
}

impl Conclusion {
    /// Its word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Conclusion::Regressed => "regressed",
            Conclusion::Suspected => "suspected",
            Conclusion::Gone => "gone",
            Conclusion::Invalid => "invalid",
            Conclusion::Ambiguous => "ambiguous",
            Conclusion::NotCompared => "not-compared",
            Conclusion::Improved => "improved",
            Conclusion::New => "new",
            Conclusion::NotMeasured => "not-measured",
            Conclusion::NoBaseline => "no-baseline",
            Conclusion::Same => "same",
        }
    }

    /// Whether two numbers were held against each other.
    pub fn compared(self) -> bool {
        use Conclusion::{Ambiguous, Improved, Regressed, Same, Suspected};
        matches!(self, Regressed | Suspected | Ambiguous | Improved | Same)
    }
}

impl From<Outcome> for Conclusion {
    fn from(outcome: Outcome) -> Conclusion {
        match outcome {
            Outcome::Improved => Conclusion::Improved,
            Outcome::Same => Conclusion::Same,
            Outcome::Regressed => Conclusion::Regressed,
            Outcome::Ambiguous => Conclusion::Ambiguous,
            Outcome::NoBaseline => Conclusion::NoBaseline,
            Outcome::Invalid => Conclusion::Invalid,
        }
    }
}

/// How the direction of a metric is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Knowledge {
    /// The entry says so (`regress.metrics.<metric>.direction`).
    Catalog,
    /// The metric's name suggests it.
    Name,
    /// It is not.
    Nothing,
}

impl Report {
    /// The headline's first part, and the rest.
    pub(super) fn headline_parts(&self) -> (&str, Option<&str>) {
        match self.headline.split_once(" · ") {
            Some((first, rest)) => (first, Some(rest)),
            None => (&self.headline, None),
        }
    }
}

impl Row {
    /// Whether somebody will ask why.
    pub(super) fn needs_words(&self) -> bool {
        use Conclusion::{NoBaseline, NotMeasured, Same};
        let dull = matches!(self.conclusion, Some(NoBaseline | NotMeasured | Same));
        !dull && !self.explanation.is_empty()
    }

    /// How much it needs somebody's attention: the less, the more.
    pub(super) fn rank(&self) -> u8 {
        match (self.status, self.conclusion) {
            (_, Some(Conclusion::Regressed)) => 0,
            (Status::Failure, _) => 1,
            (Status::Skipped, None) => u8::MAX,
            (_, Some(conclusion)) => 2 + conclusion as u8,
            (Status::Success | Status::Absent, None) => 2 + Conclusion::Same as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_json() {
        let json = serde_json::to_value([Conclusion::NotMeasured, Conclusion::NoBaseline]).unwrap();
        assert_eq!(json[0], Conclusion::NotMeasured.word());
        assert_eq!(json[1], Conclusion::NoBaseline.word());
        assert_eq!(serde_json::to_value(Status::Skipped).unwrap(), Status::Skipped.word());
    }

    #[test]
    fn a_series_says_what_it_left_out() {
        let point = |value| Point { value, run: None, at: None };
        let points = [1.0, 2.0, 3.0].map(point).to_vec();
        let mut series = Series { points, change_points: vec![1, 2], left_out: 4 };
        series.keep(2);
        assert_eq!((series.points[0].value, series.left_out), (2.0, 5));
        assert_eq!(series.change_points, [1]);
    }

    #[test]
    fn levels_are_found_in_history() {
        let level = |n: usize| if n < 10 { 100.0 } else { 80.0 };
        let wobble = |n: usize| level(n) + [0.3, -0.2, 0.1][n % 3];
        let points = (0..19).map(|n| Point { value: wobble(n), run: None, at: None }).collect();
        let mut series = Series { points, ..Series::default() };
        series.find_changes(Some(80.0));
        assert_eq!(series.change_points, [10]);
    }
}
