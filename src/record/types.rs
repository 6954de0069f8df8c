//! The records of a Run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::baseline::Key;
use crate::contract::{Exit, Sample};
use crate::engine::Prepared;
use crate::machine::Machine;

/// Format of [`Measurement`] files.
pub const MEASUREMENT_SCHEMA: &str = "mad-measurement/1";

/// `run.json`: one invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// `mad-run/1`.
    pub schema: String,
    /// Identity of the Run.
    pub id: String,
    /// Start, RFC 3339, UTC, to the millisecond: it says which Run is the latest.
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// The catalog's root.
    pub root: PathBuf,
    /// Version of this program.
    pub version: String,
    /// The host.
    pub machine: Machine,
    /// Whether two sides are compared in it: what it measured is no run of either.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub comparison: bool,
}

/// All Executions of one entry in one attempt, with where they come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// [`MEASUREMENT_SCHEMA`].
    pub schema: String,
    /// The Run it belongs to.
    pub run: String,
    /// Which attempt within the Run, from 1.
    pub attempt: u32,
    /// The entry's name.
    pub model: String,
    /// The entry with its added arguments: keys cases and baselines.
    pub id: String,
    /// Class of machines whose numbers may be compared with these.
    pub machine_class: String,
    /// GPUs used.
    pub n_gpus: u32,
    /// The entry's precision.
    pub precision: String,
    /// Engine that ran it.
    pub engine: String,
    /// Start, RFC 3339, UTC.
    pub started: String,
    /// Seconds spent on building or finding the image.
    pub build_duration_s: f64,
    /// What was built or found for it.
    #[serde(skip_serializing_if = "Prepared::is_empty", default)]
    pub prepared: Prepared,
    /// The Executions, warm-ups included, in order.
    pub executions: Vec<ExecutionRecord>,
    /// Why there is no number, if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

impl Measurement {
    /// Values of every metric, one per Execution that counts, by key, in order of
    /// first appearance.
    pub fn values(&self) -> Vec<(String, Vec<&Sample>)> {
        samples_by_key(&self.executions)
    }

    /// Median of every metric over the Executions that count, by key.
    pub fn medians(&self) -> BTreeMap<String, f64> {
        let median = |samples: &[&Sample]| {
            let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
            crate::regress::median(&values)
        };
        self.values().into_iter().map(|(key, samples)| (key, median(&samples))).collect()
    }

    /// What a reviewer of accepted numbers wants to know of their origin.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let p = &self.provenance;
        let mut facts = BTreeMap::from([
            ("entry".to_owned(), p.entry.clone()),
            ("engine".to_owned(), self.engine.clone()),
            ("measured".to_owned(), self.started.clone()),
            ("mad".to_owned(), p.version.clone()),
        ]);
        facts.extend(p.commit.clone().map(|c| ("commit".to_owned(), c)));
        if let Some(machine) = &p.machine {
            facts.insert("kernel".to_owned(), machine.kernel.clone());
            facts.insert("host".to_owned(), machine.hostname.clone());
            let driver = machine.driver.as_ref().map(|d| format!("{} {}", d.name, d.version));
            facts.extend(driver.map(|d| ("driver".to_owned(), d)));
        }
        facts
    }

    /// Where the accepted numbers of this entry on this class of machines are.
    pub fn baseline_key(&self) -> Key {
        Key {
            machine_class: self.machine_class.clone(),
            model: self.id.clone(),
            n_gpus: self.n_gpus,
            precision: self.precision.clone(),
        }
    }

    /// Whether it is one without numbers on purpose (`--skip-model-run`).
    pub fn skipped(&self) -> bool {
        self.failure.is_none() && self.counted().all(|e| e.samples.is_empty())
    }

    /// Whether it has no number because the Run was cancelled.
    pub fn was_cancelled(&self) -> bool {
        self.failure.is_some() && self.executions.last().is_some_and(|e| e.exit == Exit::Cancelled)
    }

    /// Executions that count: no warm-ups, no profiled ones.
    pub fn counted(&self) -> impl Iterator<Item = &ExecutionRecord> {
        self.executions.iter().filter(|e| e.counts())
    }

    /// Median seconds of an Execution that counts.
    pub fn test_duration_s(&self) -> f64 {
        let durations: Vec<f64> = self.counted().map(|e| e.duration_s).collect();
        if durations.is_empty() { 0.0 } else { crate::regress::median(&durations) }
    }
}

/// Values of every metric, one per Execution that counts, by key, in order of first appearance.
pub(crate) fn samples_by_key(executions: &[ExecutionRecord]) -> Vec<(String, Vec<&Sample>)> {
    let mut by_key: Vec<(String, Vec<&Sample>)> = Vec::new();
    for sample in executions.iter().filter(|e| e.counts()).flat_map(|e| &e.samples) {
        let key = sample.key();
        match by_key.iter_mut().find(|(k, _)| *k == key) {
            Some((_, samples)) => samples.push(sample),
            None => by_key.push((key, vec![sample])),
        }
    }
    by_key
}

/// One start of a script and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionRecord {
    /// Number within the attempt, from 1.
    pub number: u32,
    /// Whether it only warmed up.
    #[serde(default)]
    pub warmup: bool,
    /// Whether a profiler was attached: its numbers never count.
    #[serde(default)]
    pub profiled: bool,
    /// Start, RFC 3339, UTC.
    pub started: String,
    /// When it had its GPUs, from and to: seconds of the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<(f64, f64)>,
    /// Seconds it ran.
    pub duration_s: f64,
    /// How it ended.
    pub exit: Exit,
    /// Its log, relative to the run directory.
    pub log: PathBuf,
    /// GPUs it had.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub gpus: Vec<usize>,
    /// Cores of its own that it had, as the kernel numbers them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cores: Vec<u32>,
    /// Load average of the host (1 minute) when it started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub load: Option<f64>,
    /// The nodes of a cluster that it ran on, and what each of several measured.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub nodes: Vec<NodeRecord>,
    /// What it measured.
    pub samples: Vec<Sample>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

/// What came of an Execution on one node of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRecord {
    /// The node's name.
    pub name: String,
    /// How the script ended there.
    pub exit: Exit,
    /// Seconds it ran there.
    pub duration_s: f64,
    /// What this one of several nodes measured; nothing if it reported nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub samples: Vec<Sample>,
}

impl ExecutionRecord {
    /// Whether its numbers are part of the Measurement.
    pub fn counts(&self) -> bool {
        !self.warmup && !self.profiled
    }
}

/// Where numbers come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Commit of the catalog, `-dirty` behind it where the tree was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commit: Option<String>,
    /// Hash of the resolved entry.
    pub entry: String,
    /// Version of this program.
    pub version: String,
    /// The command in the container or work directory.
    pub command: Vec<String>,
    /// Variables that change numbers, as they were.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The host.
    pub machine: Option<Machine>,
}

/// One of the three questions asked of an entry.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Would it run and report a number?
    Validate,
    /// What does it measure here, today?
    Bench,
    /// Is it slower than what we accepted?
    Regress,
}

impl Stage {
    /// All stages, in the order of a Run.
    pub const ALL: [Stage; 3] = [Stage::Validate, Stage::Bench, Stage::Regress];

    /// The stage's word in case names.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Validate => "validate",
            Stage::Bench => "bench",
            Stage::Regress => "regress",
        }
    }

    /// Name of the case of this stage for the entry `id`.
    pub fn case(self, id: &str) -> String {
        format!("{}::{id}", self.name())
    }
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaseStatus {
    /// The answer is good.
    Passed,
    /// It is not.
    Failed,
    /// There is none, for a reason.
    Ignored,
}

impl CaseStatus {
    /// The word for it in tables and in perf.csv.
    pub fn word(self) -> &'static str {
        match self {
            CaseStatus::Passed => "SUCCESS",
            CaseStatus::Failed => "FAILURE",
            CaseStatus::Ignored => "SKIPPED",
        }
    }
}

/// The outcome of one case: what JUnit, tables and reports are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseRecord {
    /// `<stage>::<entry>`.
    pub name: String,
    /// The stage.
    pub stage: Stage,
    /// The entry.
    pub model: String,
    /// How it ended.
    pub status: CaseStatus,
    /// A word for the kind of failure or skip: `regression`, `execution`, `invalid`,
    /// `gate`, `no-baseline`….
    pub kind: String,
    /// Why it failed or was ignored; what is worth knowing otherwise.
    pub message: String,
    /// Start, RFC 3339, UTC.
    pub started: String,
    /// Seconds it took.
    pub duration_s: f64,
    /// Metric, value, baseline, change, machine, engine, log…, in order.
    pub properties: Vec<(String, String)>,
}
