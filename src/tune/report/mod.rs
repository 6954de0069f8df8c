//! What a search says: the answer first, then what it rests on, then what to do next.

mod chart;
mod headline;
mod html;
mod markdown;
mod next;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Candidate, Change, Gain, Phase, Status, Tuning};
use crate::catalog::LeverKind;
use crate::compare::EntryComparison;

pub(crate) use headline::{interval, signed};
pub use html::html;
pub use markdown::markdown;
pub use next::context;
pub use text::text;

/// Format of [`TuningReport`].
pub const TUNING_REPORT_SCHEMA: &str = "mad-tuning-report/1";

/// A search, and what follows from its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TuningReport {
    /// [`TUNING_REPORT_SCHEMA`].
    pub schema: String,
    /// The answer in one line.
    pub headline: String,
    /// What came of it.
    pub conclusion: TuningConclusion,
    /// The candidates, in the order they were tried.
    pub rows: Vec<TuningRow>,
    /// The recommended configuration, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recommended: Option<Recommended>,
    /// What to do next, in this order.
    pub next: Vec<NextStep>,
    /// The record that all this follows from.
    pub tuning: Tuning,
}

/// What came of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TuningConclusion {
    /// Something holds, and is recommended.
    Better,
    /// What was tried is no better than the entry as it is.
    NothingBetter,
    /// There was nothing to try.
    NothingTried,
    /// It ended, or is still going on, before everything was decided.
    Unfinished,
    /// The entry as it is could not be measured.
    NoBaseline,
}

/// One candidate, as tables have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TuningRow {
    /// The candidate.
    pub candidate: String,
    /// What is different.
    pub change: String,
    /// What speaks for it.
    pub evidence: String,
    /// How far it got.
    pub status: Status,
    /// Median of what it was compared with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<f64>,
    /// Its median.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub performance: Option<f64>,
    /// How much better it is (0.1 = 10 %, whichever way the metric counts).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gain: Option<f64>,
    /// Where the true gain is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<(f64, f64)>,
    /// Whether these numbers were measured afresh after it was chosen.
    pub verified: bool,
    /// Whether the gain can be trusted; none where that was not decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trustworthy: Option<bool>,
    /// Why, or why not.
    pub because: String,
}

/// The recommended configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommended {
    /// Additional context with its variables; none where none is changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub context: Option<Value>,
    /// Words of the command line.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub args: Vec<String>,
    /// Values in files.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub config: Vec<Change>,
}

/// A thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextStep {
    /// What it does.
    pub what: String,
    /// How.
    pub command: String,
}

impl TuningReport {
    /// What the record of a search says.
    pub fn new(tuning: Tuning) -> TuningReport {
        let conclusion = headline::conclusion(&tuning);
        TuningReport {
            schema: TUNING_REPORT_SCHEMA.to_owned(),
            headline: headline::headline(&tuning, conclusion),
            conclusion,
            rows: tuning.candidates.iter().map(|c| row(&tuning, c)).collect(),
            recommended: tuning.recommendation.as_ref().map(|r| recommended(&r.changes)),
            next: next::steps(&tuning, conclusion),
            tuning,
        }
    }
}

impl Change {
    /// The change in a few words: `A=1`, `--flag 8`, `file: path = value`.
    pub fn words(&self) -> String {
        match self.kind {
            LeverKind::Env => format!("{}={}", self.lever, self.value),
            LeverKind::Arg => self.arguments().join(" "),
            LeverKind::Config => {
                let file = self.file.as_deref().unwrap_or("its configuration");
                format!("{file}: {} = {}", self.lever, self.value)
            }
        }
    }

    /// The words of a command line that make the change: `--flag 8`, `flag=8`, or `--flag`.
    fn arguments(&self) -> Vec<String> {
        let Change { lever, value, .. } = self;
        match (value.is_empty(), lever.starts_with('-')) {
            (true, _) => vec![lever.clone()],
            (false, true) => vec![lever.clone(), value.clone()],
            (false, false) => vec![format!("{lever}={value}")],
        }
    }
}

impl Candidate {
    /// Its changes in a few words, and what both sides had beside them.
    pub fn words(&self) -> String {
        let changes = words(&self.changes);
        match self.on_top_of.is_empty() {
            true => changes,
            false => format!("{changes} (on top of {})", words(&self.on_top_of)),
        }
    }
}

/// Several changes in a few words.
pub(crate) fn words(changes: &[Change]) -> String {
    changes.iter().map(Change::words).collect::<Vec<_>>().join(" + ")
}

fn recommended(changes: &[Change]) -> Recommended {
    let of = |kind| changes.iter().filter(move |change| change.kind == kind);
    Recommended {
        context: context(changes),
        args: of(LeverKind::Arg).flat_map(Change::arguments).collect(),
        config: of(LeverKind::Config).cloned().collect(),
    }
}

/// The numbers of a candidate are those measured afresh, if there are any: the first ones are
/// those of whoever looked best, and too good.
fn row(tuning: &Tuning, candidate: &Candidate) -> TuningRow {
    let metric = |comparison: &Option<EntryComparison>| {
        tuning.metric.as_ref()?.of(comparison.as_ref()?).cloned()
    };
    let verified = metric(&candidate.verification);
    let numbers = verified.clone().or_else(|| metric(&candidate.comparison));
    let gain = numbers.as_ref().and_then(Gain::of);
    let trust = candidate.trust.as_ref();
    let mut failure = [&candidate.verification, &candidate.comparison].into_iter().flatten();
    let failure = failure.find_map(|c| c.failure.as_ref().map(|f| f.message.clone()));
    let because = match trust {
        Some(trust) => trust.because.join("; "),
        None => failure.unwrap_or_else(|| undecided(tuning, candidate).to_owned()),
    };
    TuningRow {
        candidate: candidate.id.clone(),
        change: candidate.words(),
        evidence: candidate.evidence.clone(),
        status: candidate.status,
        base: numbers.as_ref().map(|m| m.base),
        performance: numbers.as_ref().map(|m| m.candidate),
        gain: gain.map(|g| g.gain),
        interval: gain.map(|g| g.interval),
        verified: verified.is_some(),
        trustworthy: trust.map(|t| t.trustworthy),
        because,
    }
}

/// Why nobody said whether a candidate can be trusted.
fn undecided(tuning: &Tuning, candidate: &Candidate) -> &'static str {
    match candidate.status {
        Status::Waiting if tuning.phase == Phase::Done => "the search ended before it",
        Status::Waiting => "not measured yet",
        Status::Success => "not judged yet",
        Status::Failure | Status::Skipped => "no reason was recorded",
    }
}

/// The word of a status, as files of rows have it.
fn status(status: Status) -> &'static str {
    match status {
        Status::Waiting => "WAITING",
        Status::Success => "SUCCESS",
        Status::Failure => "FAILURE",
        Status::Skipped => "SKIPPED",
    }
}

/// Whether a row can be trusted, and why, in one cell.
fn trust(row: &TuningRow) -> String {
    match row.trustworthy {
        Some(true) => format!("because {}", row.because),
        Some(false) => format!("not: {}", row.because),
        None => row.because.clone(),
    }
}
