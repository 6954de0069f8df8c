//! Many entries of one Run.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use super::estimate::Estimates;
use super::measure::Place;
use super::{Outcome, Session, is_canary};
use crate::catalog::Model;
use crate::engine::slurm;
use crate::plan::Job;
use crate::progress::{Expected, Whole};
use crate::record::{CaseRecord, CaseStatus, Stage};
use crate::schedule::{Grant, Limits, Task};

/// Kind of a case whose job was submitted and not waited for.
pub(crate) const SUBMITTED: &str = "submitted";

impl Session<'_> {
    /// Measures and judges the entries where they cannot disturb each other; `limits` says
    /// whether that is one after the other. What a Slurm cluster runs is in flight at once either
    /// way. A canary comes before all others: they are judged by what it shows. Nothing more is
    /// started when `stop` has enough failures.
    ///
    /// # Errors
    /// When nothing can be leased.
    pub fn run(&self, models: Vec<Model>, limits: Limits, stop: &Failures) -> Result<()> {
        let config = &self.planner.catalog.config;
        let (first, others): (Vec<Model>, Vec<Model>) =
            models.into_iter().partition(|model| is_canary(config, model));
        // All are measured before any takes time to be decided.
        let passes: &[&[Stage]] = match self.planner.options.until {
            Some(_) => &[&[Stage::Bench], &[Stage::Regress]],
            None => &[&[Stage::Bench, Stage::Regress]],
        };
        let estimates = self.estimates(limits);
        let _whole = self.begin(first.iter().chain(&others), limits, &estimates);
        let groups = [first, others];
        for (models, stages) in groups.iter().flat_map(|g| passes.iter().map(move |p| (g, p))) {
            // How long it takes to decide is not known.
            let known = stages.contains(&Stage::Bench).then_some(&estimates);
            self.each(models, limits, known, &|session, model| {
                let mut flow = ControlFlow::Continue(());
                let mut cases = Vec::new();
                if !stages.contains(&Stage::Regress) {
                    // It is done when it is judged.
                    session.activity.uncounted();
                }
                for &stage in *stages {
                    if !session.cancel.is_cancelled() && flow.is_continue() {
                        let case = session.case(stage, model);
                        flow = stop.after(&case);
                        cases.push(case);
                    }
                }
                session.tell_end(&cases);
                flow
            })?;
            if stop.enough() {
                break;
            }
        }
        Ok(())
    }

    /// What earlier Runs took, where that orders anything or somebody wants to know.
    pub(super) fn estimates(&self, limits: Limits) -> Estimates {
        match limits.serial && self.progress.is_silent() {
            true => Estimates::unknown(),
            false => Estimates::of_runs(&self.planner.options.run_dir),
        }
    }

    fn task(&self, estimates: &Estimates, model: &Model) -> (Task, Option<Expected>) {
        estimates.task(&self.planner, model, model.id())
    }

    /// Tells people what is to run.
    fn begin<'m>(
        &self,
        models: impl Iterator<Item = &'m Model>,
        limits: Limits,
        estimates: &Estimates,
    ) -> Whole {
        if self.progress.is_silent() {
            return self.progress.whole(0);
        }
        let (tasks, expected): (Vec<Task>, Vec<Option<Expected>>) =
            models.map(|model| self.task(estimates, model)).unzip();
        let whole = self.progress.whole(expected.iter().flatten().count());
        self.tell_duration(&whole, &tasks, limits, estimates);
        whole
    }

    /// Tells how long the tasks are likely to take, if anything is known about that.
    pub fn tell_duration(&self, whole: &Whole, tasks: &[Task], limits: Limits, known: &Estimates) {
        let serial_s: f64 = tasks.iter().map(|task| task.estimate_s).sum();
        if known.is_empty() || serial_s <= 0.0 {
            return;
        }
        whole.takes(serial_s, self.scheduler(limits).makespan_s(tasks) / serial_s);
    }

    /// Tells how the entry that this is about ended.
    pub fn tell_end(&self, cases: &[CaseRecord]) {
        let failed = cases.iter().find(|case| case.status == CaseStatus::Failed);
        let ignored = cases.iter().find(|case| case.status == CaseStatus::Ignored);
        let passed = |stage| {
            let mut passed = cases.iter().filter(|case| case.status == CaseStatus::Passed);
            passed.any(|case| case.stage == stage)
        };
        let how = match (failed, ignored) {
            _ if self.cancel.is_cancelled() => "interrupted".to_owned(),
            (Some(case), _) => format!("failed ({})", case.kind),
            _ if passed(Stage::Regress) => "passed".to_owned(),
            _ if passed(Stage::Bench) => "measured".to_owned(),
            (_, Some(case)) => format!("ignored ({})", case.kind),
            _ => "nothing to do".to_owned(),
        };
        self.activity.end(&how, failed.is_some() && !self.cancel.is_cancelled());
    }

    /// Submits the entries to Slurm and does not wait for them; a later process collects them.
    ///
    /// # Errors
    /// When nothing can be leased.
    pub fn submit(&self, models: &[Model]) -> Result<()> {
        let limits = Limits { serial: true, ..Limits::default() };
        let whole = self.progress.whole(models.len());
        let submitted = self.each(models, limits, None, &|session, model| {
            let case = Stage::Bench.case(&model.id());
            session.timed(case, Stage::Bench, model.id(), || {
                let jobs = match session.obstacle(model) {
                    Ok(jobs) => jobs,
                    Err(outcome) => return Ok(outcome),
                };
                let outcomes: Result<Vec<_>> =
                    jobs.iter().map(|job| Ok((job.id.clone(), session.submit_job(job)?))).collect();
                Ok(Outcome::of_images(outcomes?))
            });
            ControlFlow::Continue(())
        });
        drop(whole);
        submitted
    }

    fn submit_job(&self, job: &Job) -> Result<Outcome> {
        if job.slurm.is_none() {
            let engine = job.engine;
            return Ok(Outcome::failed("gate", format!("--detach: the {engine} engine cannot")));
        }
        let guard = self.dir().lock(&self.job_key(job), &|| self.cancel.is_cancelled())?;
        if guard.newest()?.is_some() {
            return Ok(Outcome::ignored(SUBMITTED, "is measured already"));
        }
        let engine = self.engine(job)?;
        let Place { dir, prepared, .. } = self.place(job, engine, &guard)?;
        let mut slot = self.slot(dir.join("execution-1"), &Grant::default());
        slot.executions = (1, job.warmup + job.samples);
        let id = slurm::submit_only(job, &prepared?, &slot, &self.cancel)?;
        let run = &self.dir().id;
        Ok(Outcome::ignored(SUBMITTED, format!("Slurm job {id}; mad attach {run} collects it")))
    }

    /// Does `work` for each entry. A cluster decides when its jobs begin: they do not wait for
    /// each other, nor for what this host runs.
    fn each(
        &self,
        models: &[Model],
        limits: Limits,
        estimates: Option<&Estimates>,
        work: &(dyn Fn(&Session<'_>, &Model) -> ControlFlow<()> + Sync),
    ) -> Result<()> {
        let (cluster, here): (Vec<&Model>, Vec<&Model>) =
            models.iter().partition(|model| self.planner.is_for_slurm(model));
        let run = |models: &[&Model], limits: Limits| {
            if models.is_empty() {
                return Ok(Vec::new());
            }
            let unknown = Estimates::unknown();
            let task = |model: &&Model| self.task(estimates.unwrap_or(&unknown), model);
            let (tasks, expected): (Vec<Task>, Vec<Option<Expected>>) =
                models.iter().map(task).unzip();
            self.scheduler(limits).run(&tasks, &|at, grant| {
                let known = expected[at].filter(|_| estimates.is_some());
                let activity = self.progress.activity(&tasks[at].label, known);
                if expected[at].is_none() {
                    activity.uncounted();
                }
                work(&self.granted(self.planner, grant, None, activity), models[at])
            })
        };
        let at_once = Limits { elsewhere: slurm::at_once(), serial: false };
        std::thread::scope(|scope| {
            let jobs = (!cluster.is_empty()).then(|| scope.spawn(|| run(&cluster, at_once)));
            let done = run(&here, limits);
            let submitted = jobs.map(|thread| thread.join().ok().context("a thread panicked"));
            submitted.transpose()?.transpose()?;
            done.map(drop)
        })
    }
}

/// Counts failures, and says when there are enough.
#[derive(Debug)]
pub struct Failures {
    max: Option<u32>,
    so_far: AtomicU32,
}

impl Failures {
    /// Enough at `max` failures; never without.
    pub fn up_to(max: Option<u32>) -> Failures {
        Failures { max, so_far: AtomicU32::new(0) }
    }

    /// Whether to go on after this case.
    pub fn after(&self, case: &CaseRecord) -> ControlFlow<()> {
        if case.status == CaseStatus::Failed {
            self.so_far.fetch_add(1, Ordering::Relaxed);
        }
        if self.enough() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether there are enough.
    pub fn enough(&self) -> bool {
        self.max.is_some_and(|max| self.so_far.load(Ordering::Relaxed) >= max)
    }
}
