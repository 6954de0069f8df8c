//! One baseline file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::regress::{Direction, Series, WINDOW, median};

/// The format this version reads and writes.
pub const SCHEMA: &str = "mad-baseline/1";

/// What may be compared with each other: one model on one kind of machine, in one size and
/// one precision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Kind of machine, equal for machines whose numbers may be compared.
    pub machine_class: String,
    /// Name of the catalog entry.
    pub model: String,
    /// GPUs the model was given.
    pub n_gpus: u32,
    /// Precision of the computation, as the entry writes it.
    pub precision: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine_class, model, n_gpus, precision } = self;
        let precision = if precision.is_empty() { "no" } else { precision };
        write!(f, "{model} on {machine_class}, {n_gpus} GPUs, {precision} precision")
    }
}

/// The accepted numbers of one [`Key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the catalog entry.
    pub model: String,
    /// Kind of machine.
    pub machine_class: String,
    /// GPUs the model was given.
    pub n_gpus: u32,
    /// Precision of the computation.
    pub precision: String,
    /// Accepted runs, oldest first.
    pub accepted: Vec<Accepted>,
    /// Runs that a judgement looks back on at most: the catalog's word, not the file's.
    #[serde(skip, default = "standard_window")]
    pub(super) window: usize,
}

fn standard_window() -> usize {
    WINDOW
}

/// One accepted run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Runs of one level agree with each other; counts from 1. Set by
    /// [`Store::accept`](super::Store::accept).
    pub level: u32,
    /// Run id.
    pub run: String,
    /// When it was accepted, RFC 3339, UTC.
    pub at: String,
    /// Who accepted it.
    pub by: String,
    /// Why.
    pub why: String,
    /// Accepted although something spoke against it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// What spoke against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// Where the numbers come from: commit, entry hash, engine, machine, driver.
    pub provenance: BTreeMap<String, String>,
    /// By metric key: `metric`, or `row/metric` for entries with several rows.
    pub metrics: BTreeMap<String, AcceptedMetric>,
}

/// One metric of an accepted run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptedMetric {
    /// The metric or unit word, as the script wrote it.
    pub metric: String,
    /// Median of `values`, in that unit.
    pub median: f64,
    /// One value per Execution, in that unit.
    pub values: Vec<f64>,
    /// Which way is better.
    pub direction: Direction,
}

impl Baseline {
    /// A baseline without accepted runs, for a window of that many.
    pub(super) fn new(key: &Key, window: usize) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            model: key.model.clone(),
            machine_class: key.machine_class.clone(),
            n_gpus: key.n_gpus,
            precision: key.precision.clone(),
            accepted: Vec::new(),
            window,
        }
    }

    /// What its numbers may be compared with.
    pub fn key(&self) -> Key {
        Key {
            machine_class: self.machine_class.clone(),
            model: self.model.clone(),
            n_gpus: self.n_gpus,
            precision: self.precision.clone(),
        }
    }

    /// The level of the newest accepted run; 0 before the first.
    pub fn current_level(&self) -> u32 {
        self.accepted.last().map_or(0, |accepted| accepted.level)
    }

    /// The levels, oldest first: those of the file, which has the runs that its bounds left.
    pub fn levels(&self) -> Vec<Level<'_>> {
        let runs = self.accepted.chunk_by(|a, b| a.level == b.level);
        runs.map(|runs| Level { number: runs[0].level, runs }).collect()
    }

    fn current(&self) -> impl DoubleEndedIterator<Item = &Accepted> {
        let level = self.current_level();
        self.accepted.iter().filter(move |accepted| accepted.level == level)
    }

    /// The runs of the window: the last accepted ones of the current level, oldest first.
    pub fn recent(&self) -> Vec<&Accepted> {
        let mut recent: Vec<&Accepted> = self.current().rev().take(self.window).collect();
        recent.reverse();
        recent
    }

    /// Medians, oldest first, of the last accepted runs of the current level that have the
    /// metric, at most as many as the window is long: what [`judge`](crate::regress::judge)
    /// compares with.
    pub fn window(&self, metric_key: &str) -> Vec<f64> {
        let mut medians: Vec<f64> = self
            .current()
            .rev()
            .filter_map(|accepted| accepted.metrics.get(metric_key))
            .map(|metric| metric.median)
            .take(self.window)
            .collect();
        medians.reverse();
        medians
    }

    /// The [window](Baseline::window) of every metric, with the direction it was last
    /// accepted with.
    pub fn series(&self) -> Vec<Series> {
        let keys = self.metric_keys().into_iter();
        keys.map(|key| Series { values: self.window(key), direction: self.direction(key) })
            .collect()
    }

    /// Which way a metric was better when it was last accepted.
    pub fn direction(&self, metric_key: &str) -> Direction {
        let mut newest_first = self.current().rev();
        let newest = newest_first.find_map(|a| a.metrics.get(metric_key));
        newest.map_or(Direction::Unknown, |m| m.direction)
    }

    /// The unit word that a metric was last accepted with.
    pub fn unit(&self, metric_key: &str) -> Option<&str> {
        let mut newest_first = self.accepted.iter().rev();
        newest_first.find_map(|a| a.metrics.get(metric_key)).map(|m| m.metric.as_str())
    }

    /// Median of the [window](Baseline::window) of a metric that was measured in `unit`;
    /// none if it has no numbers in that unit.
    pub fn median_in(&self, metric_key: &str, unit: &str) -> Option<f64> {
        let window = self.window(metric_key);
        (self.unit(metric_key) == Some(unit) && !window.is_empty()).then(|| median(&window))
    }

    /// Keys of the metrics that the current level has numbers of.
    pub fn metric_keys(&self) -> BTreeSet<&str> {
        self.current().flat_map(|accepted| accepted.metrics.keys()).map(String::as_str).collect()
    }

    /// The first thing in the file that cannot be, as JSON pointer and problem.
    pub(super) fn inconsistency(&self) -> Option<(String, String)> {
        if self.accepted.is_empty() {
            return Some(("/accepted".to_owned(), "no run is accepted".to_owned()));
        }
        let mut runs = BTreeSet::new();
        let mut units = BTreeMap::new();
        let mut level = 1;
        for (i, accepted) in self.accepted.iter().enumerate() {
            let at = |rest: &str| format!("/accepted/{i}/{rest}");
            if !runs.insert(&accepted.run) {
                return Some((at("run"), format!("run {} is accepted twice", accepted.run)));
            }
            if accepted.level < level {
                let problem = format!("level {} where {level} or more is due", accepted.level);
                return Some((at("level"), problem));
            }
            level = accepted.level;
            if let Some((rest, problem)) = accepted.bad_number() {
                return Some((at(&rest), problem));
            }
            for (key, metric) in &accepted.metrics {
                let unit = *units.entry(key).or_insert(&metric.metric);
                if *unit != metric.metric {
                    let problem = format!("`{}` after `{unit}`, one is mistaken", metric.metric);
                    return Some((at(&field(key, "metric")), problem));
                }
            }
        }
        None
    }
}

/// Accepted runs that agree with each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// Its runs, oldest first; the first one says who started it and why. Never empty.
    pub runs: &'a [Accepted],
}

impl Level<'_> {
    /// The medians of its runs, oldest first, by metric key.
    pub fn metrics(&self) -> BTreeMap<&str, Vec<f64>> {
        let mut metrics = BTreeMap::<&str, Vec<f64>>::new();
        for (key, metric) in self.runs.iter().flat_map(|run| &run.metrics) {
            metrics.entry(key).or_default().push(metric.median);
        }
        metrics
    }
}

impl Accepted {
    /// The first metric without a usable number, as JSON pointer (without its leading
    /// slash) and problem.
    pub(super) fn bad_number(&self) -> Option<(String, String)> {
        if self.metrics.is_empty() {
            return Some(("metrics".to_owned(), "there is no metric".to_owned()));
        }
        self.metrics.iter().find_map(|(key, metric)| {
            if metric.values.is_empty() {
                return Some((field(key, "values"), "there is no value".to_owned()));
            }
            if let Some(bad) = metric.values.iter().find(|value| !value.is_finite()) {
                return Some((field(key, "values"), format!("{bad} is not a finite number")));
            }
            let (written, values) = (metric.median, median(&metric.values));
            // Written so that NaN is no median of anything.
            let other = written.partial_cmp(&values) != Some(std::cmp::Ordering::Equal);
            other.then(|| {
                let problem = format!("{written} is not the median of `values`, {values} is");
                (field(key, "median"), problem)
            })
        })
    }
}

/// JSON pointer, without its leading slash, of a metric's field in an accepted run.
fn field(key: &str, field: &str) -> String {
    let key = key.replace('~', "~0").replace('/', "~1");
    format!("metrics/{key}/{field}")
}
