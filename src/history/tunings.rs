//! What searches for a better configuration found, and what they teach.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::report::Group;
use crate::profile::Bottleneck;
use crate::tune::{Change, Learned};

/// Format of [`TuningHistory`].
pub const TUNING_HISTORY_SCHEMA: &str = "mad-tuning-history/1";

/// All searches, or those of one model.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TuningHistory {
    /// [`TUNING_HISTORY_SCHEMA`].
    pub schema: String,
    /// Where the records are.
    pub run_dir: PathBuf,
    /// The shared history, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// Searches in the index, of all models.
    pub searches: u32,
    /// The entries as they were when a search began, oldest first.
    pub baselines: Vec<TunedBaseline>,
    /// What the newest search that found anything recommends for each metric.
    pub best: Vec<Best>,
    /// All candidates, oldest first.
    pub tried: Vec<Tried>,
    /// What they teach about single changes, the best first.
    pub learned: Vec<Pattern>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// A search, and what it was about.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Searched {
    /// What was measured.
    #[serde(flatten)]
    pub group: Group,
    /// What the entry is built on.
    pub stack: String,
    /// Name of the machine.
    pub host: String,
    /// The search.
    pub run: String,
    /// When it began.
    pub started: String,
}

/// An entry as it was when a search began.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TunedBaseline {
    /// Where that is from.
    #[serde(flatten)]
    pub search: Searched,
    /// The metric that was to become better.
    pub metric: String,
    /// Its unit word.
    pub unit: String,
    /// Which way is better: `higher`, `lower`.
    pub direction: String,
    /// Median.
    pub median: f64,
    /// Executions behind it.
    pub executions: u32,
}

/// A configuration that a search recommends.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Best {
    /// Where that is from.
    #[serde(flatten)]
    pub search: Searched,
    /// The metric that became better.
    pub metric: String,
    /// Its unit word.
    pub unit: String,
    /// All that is to be changed.
    pub changes: Vec<Change>,
    /// The gain over the entry as it was (0.1 = 10 % better), measured afresh.
    pub gain: f64,
    /// Where the true gain is.
    pub interval: (f64, f64),
}

/// One candidate of one search.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Tried {
    /// Where that is from.
    #[serde(flatten)]
    pub search: Searched,
    /// Its id within the search.
    pub candidate: String,
    /// What it was to act on; `unknown` where nothing was found.
    pub bottleneck: String,
    /// What is different.
    pub change: String,
    /// The lever, where one thing is different.
    pub lever: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// How far it got: `waiting`, `success`, `failure`, `skipped`.
    pub status: String,
    /// Why its gain can be trusted, or not.
    pub because: String,
    /// The gain, if it was measured afresh and can be trusted.
    pub gain: Option<f64>,
    /// Where the true gain is.
    pub interval: Option<(f64, f64)>,
}

/// What all tries of one change on one kind of machine teach.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Pattern {
    /// The lever.
    pub lever: String,
    /// Its value.
    pub value: String,
    /// What it was to act on.
    pub bottleneck: String,
    /// What the entries are built on.
    pub stack: String,
    /// Class of machines.
    pub machine_class: String,
    /// How often it was measured, or failed.
    pub tried: u32,
    /// How often it had a gain that can be trusted.
    pub held: u32,
    /// The lower median of the gains, where a try without one counts as 0.
    pub gain: f64,
    /// The lower medians of the bounds of the gains; none unless most tries had one.
    pub interval: Option<(f64, f64)>,
}

/// What earlier searches teach, to be asked often.
#[derive(Clone, Debug, Default)]
pub struct Lessons {
    patterns: HashMap<[String; 5], Learned>,
    /// What the user should know about where they are from.
    pub notes: Vec<String>,
    /// What could not be read.
    pub problems: Vec<String>,
}

impl Lessons {
    pub(super) fn new(
        patterns: Vec<Pattern>,
        notes: Vec<String>,
        problems: Vec<String>,
    ) -> Lessons {
        let learned = |p: Pattern| {
            let learned = Learned { tried: p.tried, gain: p.gain, interval: p.interval };
            ([p.lever, p.value, p.bottleneck, p.stack, p.machine_class], learned)
        };
        Lessons { patterns: patterns.into_iter().map(learned).collect(), notes, problems }
    }

    /// What was found about setting `lever` to `value` against `bottleneck` (none: not known), for
    /// entries built on `stack` on machines of this class; none if that was never tried.
    pub fn learned(
        &self,
        lever: &str,
        value: &str,
        bottleneck: Option<Bottleneck>,
        stack: &str,
        machine_class: &str,
    ) -> Option<Learned> {
        let bottleneck = bottleneck.unwrap_or(Bottleneck::Unknown).word();
        let key = [lever, value, bottleneck, stack, machine_class].map(str::to_owned);
        self.patterns.get(&key).copied()
    }
}

impl TuningHistory {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.baselines.is_empty() && self.tried.is_empty()
    }

    /// Leaves what is about `model`: an entry with arguments, or one with whatever arguments.
    /// Of what was learned, that is what was tried with it.
    pub(super) fn of(&mut self, model: &str) {
        let is = |group: &Group| {
            group.model == model
                || group.model.strip_prefix(model).is_some_and(|rest| rest.starts_with(':'))
        };
        self.baselines.retain(|row| is(&row.search.group));
        self.best.retain(|row| is(&row.search.group));
        self.tried.retain(|row| is(&row.search.group));
        let tried: HashSet<[&str; 5]> = self.tried.iter().filter_map(Tried::key).collect();
        self.learned.retain(|pattern| tried.contains(&pattern.key()));
    }

    /// Classes of machines that there is anything of, in order.
    pub(super) fn machine_classes(&self) -> Vec<String> {
        self.distinct(|group| &group.machine_class)
    }

    /// Leaves what is about machines of this class.
    pub(super) fn on(&mut self, class: &str) {
        self.baselines.retain(|row| row.search.group.machine_class == class);
        self.best.retain(|row| row.search.group.machine_class == class);
        self.tried.retain(|row| row.search.group.machine_class == class);
        self.learned.retain(|pattern| pattern.machine_class == class);
    }

    /// Models that there is anything about, in order.
    pub(super) fn models(&self) -> Vec<String> {
        self.distinct(|group| &group.model)
    }

    fn distinct(&self, of: impl Fn(&Group) -> &String) -> Vec<String> {
        let baselines = self.baselines.iter().map(|row| &row.search.group);
        let groups = baselines.chain(self.tried.iter().map(|row| &row.search.group));
        groups.map(of).cloned().collect::<BTreeSet<String>>().into_iter().collect()
    }
}

impl Pattern {
    /// What it is about.
    fn key(&self) -> [&str; 5] {
        [&self.lever, &self.value, &self.bottleneck, &self.stack, &self.machine_class]
    }
}

impl Tried {
    /// The pattern that it belongs to, if it is about one change.
    fn key(&self) -> Option<[&str; 5]> {
        let (lever, value) = (self.lever.as_ref()?, self.value.as_ref()?);
        let search = &self.search;
        Some([lever, value, &self.bottleneck, &search.stack, &search.group.machine_class])
    }
}

/// Of what was recommended, in order of time within each model, the newest of each metric.
pub(super) fn newest(all: &[Best]) -> Vec<Best> {
    let same = |a: &Best, b: &Best| a.search.group == b.search.group && a.metric == b.metric;
    all.chunk_by(same).filter_map(|chunk| chunk.last().cloned()).collect()
}

/// Of the baselines of searches, in order of time within each model, the newest of each metric,
/// and how many there are.
pub(super) fn newest_baselines(all: &[TunedBaseline]) -> Vec<(&TunedBaseline, usize)> {
    let same = |a: &TunedBaseline, b: &TunedBaseline| {
        a.search.group == b.search.group && a.metric == b.metric
    };
    all.chunk_by(same).filter_map(|chunk| Some((chunk.last()?, chunk.len()))).collect()
}
