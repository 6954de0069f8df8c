//! `comparison.json`: what was compared, how, and what came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::regress::Direction;

/// Format of [`Comparison`].
pub const COMPARISON_SCHEMA: &str = "mad-comparison/1";

/// One comparison of two sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA`].
    pub schema: String,
    /// Its identity, and the name of its directory.
    pub run: String,
    /// Start, RFC 3339, UTC.
    pub started: String,
    /// Seconds it took.
    pub duration_s: f64,
    /// What the candidate is measured against.
    pub base: Origin,
    /// What is measured.
    pub candidate: Origin,
    /// Decides the order of the Executions.
    pub seed: u64,
    /// Share of comparisons of equal sides in which any metric may be called different,
    /// however often they were looked at.
    pub false_alarms: f64,
    /// Metrics that share this.
    pub checks: usize,
    /// Most Executions of an entry on each side.
    pub max_samples: u32,
    /// Seconds after which no further block begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub budget_s: Option<f64>,
    /// Why it ended before everything was decided, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stop>,
    /// The entries, in the catalog's order.
    pub entries: Vec<EntryComparison>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// What one side is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// In words.
    pub what: String,
    /// The commit it is at, if it is in a repository.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commit: Option<String>,
    /// Whether it holds what is in no commit.
    #[serde(default)]
    pub dirty: bool,
}

/// Why no further block was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// The time is spent.
    Budget,
    /// Ctrl-C, or another signal.
    Interrupted,
}

/// One entry, measured once per image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryComparison {
    /// The entry.
    pub id: String,
    /// The entry of the base, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_id: Option<String>,
    /// The worst of its metrics that are gated; none where nothing was compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<Outcome>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// Why it was not measured, if that is no failure.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub skipped: Option<String>,
    /// Class of machines that it was measured on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub machine_class: Option<String>,
    /// The order of the Executions that count, in blocks: `ABBA`, where A is the base.
    pub order: Vec<String>,
    /// Executions that were made, of both sides, warm-ups included.
    pub executions: usize,
    /// The metrics, in the order they were reported.
    pub metrics: Vec<MetricComparison>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// What went wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Whether there was no image.
    pub build: bool,
    /// Which side, what, and where to look.
    pub message: String,
}

/// One metric of one entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricComparison {
    /// What tells it from the entry's others.
    pub key: String,
    /// The unit word.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
    /// Whether it counts for the entry.
    pub gated: bool,
    /// What is said about it.
    pub outcome: Outcome,
    /// Median of the base.
    pub base: f64,
    /// Median of the candidate.
    pub candidate: f64,
    /// The paired change of the candidate (−0.03 = 3 % less), if enough was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<f64>,
    /// Where the true change is; the intervals of all metrics hold together but for the
    /// share `false_alarms` of comparisons.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<(f64, f64)>,
    /// Relative change that nobody needs to hear of.
    pub min_effect: f64,
    /// Pairs of Executions it rests on.
    pub pairs: usize,
    /// Relative standard deviation of one pair.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spread: Option<f64>,
    /// What would decide it, or why nothing would.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settle: Option<String>,
}

impl Comparison {
    /// Entries of which this is said.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.entries.iter().filter(|e| e.outcome == Some(outcome)).count()
    }
}

impl EntryComparison {
    /// One that failed before anything was measured.
    pub(super) fn failed(failure: Failure) -> EntryComparison {
        EntryComparison { failure: Some(failure), ..EntryComparison::default() }
    }
}
