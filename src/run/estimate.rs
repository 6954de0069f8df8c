//! How long entries are likely to take, from the records of earlier Runs.

use std::collections::HashMap;
use std::path::Path;

use crate::catalog::Model;
use crate::plan::{Job, Planner};
use crate::record::{Measurement, RunDir};
use crate::regress::median;
use crate::schedule::Task;

/// Runs that are looked at: the latest ones say more than the first.
const RUNS: usize = 20;
/// Seconds where nothing at all is known.
const UNKNOWN_S: f64 = 60.0;

/// What earlier Runs took.
#[derive(Clone, Debug)]
pub struct Estimates {
    /// By machine class, Job and GPUs.
    exact: HashMap<(String, String, u32), f64>,
    /// By Job and GPUs, on whatever machine.
    elsewhere: HashMap<(String, u32), f64>,
    median_s: f64,
}

/// An estimate, and whether it is of this very Job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds.
    pub seconds: f64,
    /// Whether the Job was measured before.
    pub known: bool,
}

impl Estimates {
    /// Nothing is known.
    pub fn unknown() -> Estimates {
        Estimates { exact: HashMap::new(), elsewhere: HashMap::new(), median_s: UNKNOWN_S }
    }

    /// From the latest Runs below `base`. What cannot be read is passed over: an estimate
    /// is no result.
    pub fn of_runs(base: &Path) -> Estimates {
        let mut estimates = Estimates::unknown();
        let runs = RunDir::all(base).unwrap_or_default();
        for run in runs.iter().rev().take(RUNS) {
            for m in run.measurements().unwrap_or_default() {
                estimates.add(&m);
            }
        }
        let all: Vec<f64> = estimates.exact.values().copied().collect();
        if !all.is_empty() {
            estimates.median_s = median(&all);
        }
        estimates
    }

    /// The first one that is added is the latest.
    fn add(&mut self, m: &Measurement) {
        if m.failure.is_some() {
            return;
        }
        let seconds = m.build_duration_s + m.executions.iter().map(|e| e.duration_s).sum::<f64>();
        let key = (m.machine_class.clone(), m.id.clone(), m.n_gpus);
        self.elsewhere.entry((m.id.clone(), m.n_gpus)).or_insert(seconds);
        self.exact.entry(key).or_insert(seconds);
    }

    /// How long the Job is likely to take; the median of all that is known for one that
    /// never ran.
    pub fn of(&self, job: &Job) -> Estimate {
        let exact = self.exact.get(&(job.machine_class(), job.id.clone(), job.n_gpus));
        let known = exact.or_else(|| self.elsewhere.get(&(job.id.clone(), job.n_gpus)));
        match known {
            Some(&seconds) => Estimate { seconds, known: true },
            None => Estimate { seconds: self.median_s, known: false },
        }
    }

    /// An entry as something to schedule, and whether it is known how long it takes.
    pub fn task(&self, planner: &Planner<'_>, model: &Model, label: String) -> (Task, bool) {
        let jobs = planner.runnable(model);
        let each: Vec<Estimate> = jobs.iter().map(|job| self.of(job)).collect();
        let footprint = jobs.first().map(Job::footprint).unwrap_or_default();
        let estimate_s = each.iter().map(|e| e.seconds).sum();
        (Task { label, footprint, estimate_s }, each.iter().all(|e| e.known))
    }
}
