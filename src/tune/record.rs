//! `tuning.json`: what was tried, how it was measured, and what holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::LeverKind;
use crate::compare::{EntryComparison, Stop};
use crate::profile::{Bottleneck, Diagnosis};
use crate::regress::Direction;

/// Format of [`Tuning`].
pub const TUNING_SCHEMA: &str = "mad-tuning/1";

/// One search for a better configuration of one entry. Written after every step, so that a
/// search that was killed goes on from there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tuning {
    /// [`TUNING_SCHEMA`].
    pub schema: String,
    /// Its identity, and the name of its directory.
    pub run: String,
    /// Start, RFC 3339, UTC.
    pub started: String,
    /// Seconds it took by now, over all its processes.
    pub duration_s: f64,
    /// The entry, with its arguments: `mad benchmark` takes this word.
    pub model: String,
    /// Hash of the entry: a search goes on only with the entry that it began with.
    pub entry_hash: String,
    /// Digest of the entry's script, likewise; none where it could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub script_hash: Option<String>,
    /// What the entry is built on: `vllm`, `pytorch`, …
    pub stack: String,
    /// Class of machines that it was measured on.
    pub machine_class: String,
    /// GPUs of an execution.
    pub n_gpus: u32,
    /// The entry's precision, if it says one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub precision: Option<String>,
    /// How candidates are chosen.
    pub strategy: Strategy,
    /// The metric that shall become better; none before the baseline was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metric: Option<TargetMetric>,
    /// Decides the order of the Executions.
    pub seed: u64,
    /// Share of searches among equal candidates that may recommend anything.
    pub false_alarms: f64,
    /// The flags that decide what is measured, by name; the context by its digest. A search
    /// goes on only with those that it began with.
    pub flags: BTreeMap<String, String>,
    /// What it does next.
    pub phase: Phase,
    /// Why the entry as it is could not be measured, or its metric not be used: then nothing
    /// else was done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
    /// The entry as it is, measured before anything else.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub baseline: Option<Baseline>,
    /// What holds it back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub diagnosis: Option<Diagnosed>,
    /// What was tried or is to be tried, in this order.
    pub candidates: Vec<Candidate>,
    /// The best that holds; none when nothing beats the baseline.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recommendation: Option<Recommendation>,
    /// Why it ended before everything was decided, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stop>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// How candidates are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// `mad tune-search`: each against the entry as it is, then those that hold together.
    Search,
    /// `mad tune`: one after the other, each against what was kept so far.
    Greedy,
    /// `mad tune --strategy halving`: all with few executions, the better half with more.
    Halving,
}

impl Strategy {
    /// Its word, as in the record.
    pub fn word(self) -> &'static str {
        match self {
            Strategy::Search => "search",
            Strategy::Greedy => "greedy",
            Strategy::Halving => "halving",
        }
    }
}

/// What a search does next.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Measures the entry as it is.
    Baseline,
    /// Profiles it once.
    Diagnose,
    /// Chooses candidates.
    Propose,
    /// Measures them against the entry.
    Evaluate,
    /// Measures what looks better afresh, and what holds together.
    Verify,
    /// Nothing.
    Done,
}

/// The metric that shall become better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetMetric {
    /// What tells it from the entry's others.
    pub key: String,
    /// The unit word.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
}

/// The entry as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Values of the target metric, one for each Execution.
    pub values: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Its rows.
    pub csv: PathBuf,
}

/// What was found when it was profiled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosed {
    /// The tools that were attached; none where an existing trace was read.
    pub tools: Vec<String>,
    /// What they wrote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traces: Option<PathBuf>,
    /// What that says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub diagnosis: Option<Diagnosis>,
    /// Why it says nothing, if so; then only levers that the entry or `mad.toml` names are tried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
}

/// One value of one lever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Variable, argument or configuration path.
    pub lever: String,
    /// What that is.
    pub kind: LeverKind,
    /// The file of a `config`, relative to the catalog's root.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// What it is set to; empty for an argument without a value.
    pub value: String,
    /// What it was, if anybody said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<String>,
    /// Files that go from one Execution to the next, as [`Lever::keep`](crate::catalog::Lever::keep)
    /// has them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub keep: Vec<String>,
}

/// What may be better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Names its files: `perf_tune_<id>.csv`.
    pub id: String,
    /// What is different; several only where those that hold are tried together.
    pub changes: Vec<Change>,
    /// What both sides have already: what `mad tune` kept before.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub on_top_of: Vec<Change>,
    /// Who names the lever: `entry`, `mad.toml`, or the stack of the shipped catalog.
    pub from: String,
    /// The bottleneck that it acts on, where one was found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<Bottleneck>,
    /// What speaks for it.
    pub evidence: String,
    /// What earlier searches found, if there were any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub learned: Option<Learned>,
    /// Whether it may change the answer.
    #[serde(default)]
    pub numerics: bool,
    /// Executions that do not count after the change.
    #[serde(default)]
    pub warmup: u32,
    /// Levers that it must not be tried together with.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub conflicts: Vec<String>,
    /// How far it got.
    pub status: Status,
    /// Whether it was better when it was first measured. Whether that holds, `trust` says.
    #[serde(default)]
    pub promising: bool,
    /// How it compared with what it is on top of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comparison: Option<EntryComparison>,
    /// The same again, measured afresh: what a recommendation says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verification: Option<EntryComparison>,
    /// Whether its gain can be trusted, once it was measured: only one that was found again
    /// afresh can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trust: Option<Trust>,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub csv: Option<PathBuf>,
}

/// How far a [`Candidate`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not begun, or begun and to be measured anew.
    Waiting,
    /// Measured.
    Success,
    /// It does not run, or not to its end.
    Failure,
    /// Not to be tried; `trust` says why.
    Skipped,
}

/// What earlier searches found about a change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Learned {
    /// How often it was tried for the same lever, bottleneck, stack and class of machines.
    pub tried: u32,
    /// The gain found (0.1 = 10 % better), by the middle one of these.
    pub gain: f64,
    /// Where the true gain is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<(f64, f64)>,
}

/// Whether a gain can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trust {
    /// Whether it can.
    pub trustworthy: bool,
    /// Why, or all that speaks against it.
    pub because: Vec<String>,
}

impl Trust {
    /// Of a gain that is not to be believed.
    pub(super) fn none(because: Vec<String>) -> Trust {
        Trust { trustworthy: false, because }
    }
}

impl Candidate {
    /// One that was not begun, and changes nothing yet.
    pub(super) fn new(id: String, from: &str, evidence: String) -> Candidate {
        Candidate {
            id,
            changes: Vec::new(),
            on_top_of: Vec::new(),
            from: from.to_owned(),
            target: None,
            evidence,
            learned: None,
            numerics: false,
            warmup: 0,
            conflicts: Vec::new(),
            status: Status::Waiting,
            promising: false,
            comparison: None,
            verification: None,
            trust: None,
            csv: None,
        }
    }
}

/// The best that holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// The candidates that it is made of.
    pub candidates: Vec<String>,
    /// All that is to be changed.
    pub changes: Vec<Change>,
    /// The gain over the entry as it is (0.1 = 10 % better, whichever way the metric counts),
    /// measured afresh.
    pub gain: f64,
    /// Where the true gain is.
    pub interval: (f64, f64),
}
