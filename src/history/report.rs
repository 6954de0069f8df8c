//! What past runs say about a model: level, trend, change points, accepted numbers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::changepoint::{LEVEL_WINDOW, change_points};
use super::timeline::{Metric, Point, Timeline, Value};
use super::trend::{Trend, trend};
use crate::baseline::{Baseline, BaselineError, Store};
use crate::regress::median;

/// The format of [`HistoryReport`].
pub const HISTORY_SCHEMA: &str = "mad-history/1";

/// What `mad history --json` prints.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HistoryReport {
    /// `mad-history/1`.
    pub schema: String,
    /// Where the runs are.
    pub run_dir: PathBuf,
    /// The shared history that was asked, if one was: its server and database.
    pub shared: Option<String>,
    /// Runs in the index, of any model.
    pub runs: u32,
    /// One per model, metric, unit, class of machines, number of GPUs and precision.
    pub series: Vec<Series>,
    /// Models that were started on a kind of machine and never had a number there.
    pub without_numbers: Vec<WithoutNumbers>,
    /// What happened to the index.
    pub notes: Vec<String>,
    /// Records and baselines that could not be read. They are missing above.
    pub problems: Vec<String>,
}

/// What may be compared with each other.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Group {
    /// The entry with its added arguments.
    pub model: String,
    /// Class of machines.
    pub machine_class: String,
    /// GPUs used.
    pub n_gpus: u32,
    /// Precision of the computation.
    pub precision: String,
}

/// One metric's past.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Series {
    /// Whose it is.
    #[serde(flatten)]
    pub group: Group,
    /// Key of the metric: `metric`, or `row/metric`.
    pub metric: String,
    /// The unit word, as the script wrote it.
    pub unit: String,
    /// Measurements with a number.
    pub runs: usize,
    /// Measurements of the model that failed.
    pub failures: usize,
    /// Measurements of the model that had other numbers, but not this one.
    pub missing: usize,
    /// Where it is now.
    pub level: Level,
    /// How it drifts since the last change point; none for too few runs.
    pub trend: Option<Trend>,
    /// Lasting shifts, oldest first.
    pub change_points: Vec<Shift>,
    /// What was accepted as a baseline, oldest first.
    pub accepted: Vec<AcceptedRun>,
    /// The newest measurements of the model, failed ones included, oldest first.
    pub last: Vec<Entry>,
    /// Runs whose records contradict each other about time: the clock was set back, and
    /// where they are in the order is doubtful.
    pub clock_doubts: Vec<String>,
}

/// The level of a metric since its last change point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Level {
    /// Median of its newest runs, at most 30, in the metric's unit.
    pub value: f64,
    /// Runs since the last change point, or all.
    pub runs: usize,
}

/// A change point.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Shift {
    /// First run at the new level.
    pub run: String,
    /// When it started, RFC 3339, UTC.
    pub started: String,
    /// Commit of the catalog then.
    pub commit: Option<String>,
    /// Last run at the old level.
    pub previous_run: String,
    /// Commit of the catalog then.
    pub previous_commit: Option<String>,
    /// Level before, in the metric's unit.
    pub before: f64,
    /// Level after.
    pub after: f64,
    /// `(after - before) / |before|`; none where that is no number.
    pub change: Option<f64>,
    /// Distance of the levels in standard deviations of the noise.
    pub effect_size: f64,
    /// Distance of the levels in standard errors.
    pub standard_errors: f64,
    /// Runs with a number since, this one included.
    pub runs_since: usize,
}

/// One accepted run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AcceptedRun {
    /// Which level of the baseline.
    pub level: u32,
    /// When it was accepted, RFC 3339, UTC.
    pub at: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub why: String,
    /// The run.
    pub run: String,
    /// Its median, in the metric's unit.
    pub value: f64,
}

/// One measurement of a model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Entry {
    /// The run.
    pub run: String,
    /// Name of the machine.
    pub host: String,
    /// Which attempt within it.
    pub attempt: u32,
    /// Start, RFC 3339, UTC.
    pub started: String,
    /// Median over its executions; none if it failed or lacks the metric.
    pub value: Option<f64>,
    /// Executions behind the median.
    pub executions: u32,
    /// What the gate said, if it was asked.
    pub verdict: Option<String>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Engine that ran it.
    pub engine: String,
    /// Commit of the catalog.
    pub commit: Option<String>,
    /// What the container engine knows the image by.
    pub image: Option<String>,
}

/// A model that never had a number on a kind of machine.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WithoutNumbers {
    /// Whose it is.
    #[serde(flatten)]
    pub group: Group,
    /// Measurements, all failed.
    pub failures: usize,
    /// The newest of them.
    pub run: String,
    /// When it started, RFC 3339, UTC.
    pub started: String,
    /// Why it failed.
    pub failure: String,
}

impl Timeline {
    fn group(&self) -> Group {
        Group {
            model: self.key.model.clone(),
            machine_class: self.key.machine_class.clone(),
            n_gpus: self.key.n_gpus,
            precision: self.key.precision.clone(),
        }
    }

    /// The series of each metric, with at most `last` of the newest measurements.
    pub(super) fn series(&self, baseline: Option<&Baseline>, last: usize) -> Vec<Series> {
        let one = |(metric, values): (&Metric, &Vec<Value>)| {
            let accepted = baseline.map(|b| accepted(b, metric)).unwrap_or_default();
            self.one(metric, values, accepted, last)
        };
        self.values.iter().map(one).collect()
    }

    /// The model, if it never had a number.
    pub(super) fn without_numbers(&self) -> Option<WithoutNumbers> {
        let newest = self.points.last().filter(|_| self.values.is_empty())?;
        Some(WithoutNumbers {
            group: self.group(),
            failures: self.points.len(),
            run: newest.run.clone(),
            started: newest.started.clone(),
            failure: newest.failure.clone().unwrap_or_default(),
        })
    }

    fn one(
        &self,
        metric: &Metric,
        values: &[Value],
        accepted: Vec<AcceptedRun>,
        last: usize,
    ) -> Series {
        let medians: Vec<f64> = values.iter().map(|v| v.median).collect();
        let changes = change_points(&medians).points;
        let level = &medians[changes.last().map_or(0, |c| c.index)..];
        let shift = |c: &super::ChangePoint| {
            let at = |i: usize| &self.points[values[i].point];
            let (first, previous) = (at(c.index), at(c.index - 1));
            Shift {
                run: first.run.clone(),
                started: first.started.clone(),
                commit: first.commit.clone(),
                previous_run: previous.run.clone(),
                previous_commit: previous.commit.clone(),
                before: c.before,
                after: c.after,
                change: c.change,
                effect_size: c.effect_size,
                standard_errors: c.standard_errors,
                runs_since: medians.len() - c.index,
            }
        };
        let failures = self.points.iter().filter(|p| p.failure.is_some()).count();
        let doubtful = self.points.iter().filter(|p| p.clock_doubt).map(|p| p.run.clone());
        Series {
            group: self.group(),
            metric: metric.name.clone(),
            unit: metric.unit.clone(),
            runs: values.len(),
            failures,
            missing: self.points.len() - values.len() - failures,
            level: Level {
                value: median(&level[level.len().saturating_sub(LEVEL_WINDOW)..]),
                runs: level.len(),
            },
            trend: trend(level),
            change_points: changes.iter().map(shift).collect(),
            accepted,
            last: self.last(values, last),
            clock_doubts: doubtful.collect(),
        }
    }

    fn last(&self, values: &[Value], last: usize) -> Vec<Entry> {
        let from = self.points.len().saturating_sub(last);
        let entry = |(i, point): (usize, &Point)| {
            let found = values.binary_search_by_key(&i, |v| v.point).ok();
            let value = found.map(|at| &values[at]);
            Entry {
                run: point.run.clone(),
                host: point.host.clone(),
                attempt: point.attempt,
                started: point.started.clone(),
                value: value.map(|v| v.median),
                executions: value.map_or(0, |v| v.executions),
                verdict: value.and_then(|v| v.outcome.clone()),
                failure: point.failure.clone(),
                engine: point.engine.clone(),
                commit: point.commit.clone(),
                image: point.image.clone(),
            }
        };
        self.points.iter().enumerate().skip(from).map(entry).collect()
    }
}

/// What was accepted of a metric in its unit.
fn accepted(baseline: &Baseline, metric: &Metric) -> Vec<AcceptedRun> {
    let of_run = |run: &crate::baseline::Accepted| {
        let found = run.metrics.get(&metric.name).filter(|m| m.metric == metric.unit)?;
        Some(AcceptedRun {
            level: run.level,
            at: run.at.clone(),
            by: run.by.clone(),
            why: run.why.clone(),
            run: run.run.clone(),
            value: found.median,
        })
    };
    baseline.accepted.iter().filter_map(of_run).collect()
}

/// The baseline that the numbers of `timeline` are judged by. One for another number of GPUs
/// or precision is none; one that cannot be read is a problem.
pub(super) fn baseline(store: &Store, timeline: &Timeline) -> Result<Option<Baseline>, String> {
    match store.load(&timeline.key) {
        Ok(baseline) => Ok(baseline),
        Err(BaselineError::Misplaced { .. }) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}
