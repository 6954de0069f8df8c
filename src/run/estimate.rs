//! How long entries are likely to take, from the records of earlier Runs.

use std::collections::HashMap;
use std::path::Path;

use crate::catalog::Model;
use crate::plan::{Job, Planner};
use crate::progress::Expected;
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
    exact: HashMap<(String, String, u32), Took>,
    /// By Job and GPUs, on whatever machine.
    elsewhere: HashMap<(String, u32), Took>,
    median_s: f64,
}

/// What a Measurement took, in seconds.
#[derive(Clone, Copy, Debug)]
struct Took {
    build: f64,
    /// One of its Executions.
    execution: f64,
    executions: usize,
}

impl Took {
    fn all(self, executions: usize) -> f64 {
        self.build + self.execution * executions as f64
    }
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
        let all: Vec<f64> = estimates.exact.values().map(|t| t.all(t.executions)).collect();
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
        let executions = m.executions.len();
        let all = m.executions.iter().map(|e| e.duration_s).sum::<f64>();
        let execution = all / executions.max(1) as f64;
        let took = Took { build: m.build_duration_s, execution, executions };
        let key = (m.machine_class.clone(), m.id.clone(), m.n_gpus);
        self.elsewhere.entry((m.id.clone(), m.n_gpus)).or_insert(took);
        self.exact.entry(key).or_insert(took);
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    /// How long the Job is likely to take; the median of all that is known for one that
    /// never ran.
    pub fn of(&self, job: &Job) -> Expected {
        self.of_executions(job, (job.warmup + job.samples) as usize)
    }

    /// The same for so many Executions of it.
    pub fn of_executions(&self, job: &Job, executions: usize) -> Expected {
        let exact = self.exact.get(&(job.machine_class(), job.id.clone(), job.n_gpus));
        let known = exact.or_else(|| self.elsewhere.get(&(job.id.clone(), job.n_gpus)));
        match known {
            Some(took) => Expected { seconds: took.all(executions), guessed: false },
            None => Expected { seconds: self.median_s, guessed: true },
        }
    }

    /// An entry as something to schedule, and how long it is likely to take if it runs at all.
    pub fn task(
        &self,
        planner: &Planner<'_>,
        model: &Model,
        label: String,
    ) -> (Task, Option<Expected>) {
        let jobs = planner.runnable(model);
        let each: Vec<Expected> = jobs.iter().map(|job| self.of(job)).collect();
        let footprint = jobs.first().map(Job::footprint).unwrap_or_default();
        let seconds = each.iter().map(|e| e.seconds).sum();
        let expected = Expected { seconds, guessed: each.iter().any(|e| e.guessed) };
        let task = Task { label, footprint, estimate_s: seconds };
        (task, Some(expected).filter(|_| !jobs.is_empty()))
    }
}
