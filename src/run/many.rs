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
        let groups = [first, others];
        for (models, stages) in groups.iter().flat_map(|g| passes.iter().map(move |p| (g, p))) {
            self.each(models, limits, &|session, model| {
                let mut flow = ControlFlow::Continue(());
                for &stage in *stages {
                    if !session.cancel.is_cancelled() && flow.is_continue() {
                        flow = stop.after(&session.case(stage, model));
                    }
                }
                flow
            })?;
            if stop.enough() {
                break;
            }
        }
        Ok(())
    }

    /// Submits the entries to Slurm and does not wait for them; a later process collects them.
    ///
    /// # Errors
    /// When nothing can be leased.
    pub fn submit(&self, models: &[Model]) -> Result<()> {
        let limits = Limits { serial: true, ..Limits::default() };
        self.each(models, limits, &|session, model| {
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
        })
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
        work: &(dyn Fn(&Session<'_>, &Model) -> ControlFlow<()> + Sync),
    ) -> Result<()> {
        let (cluster, here): (Vec<&Model>, Vec<&Model>) =
            models.iter().partition(|model| self.planner.is_for_slurm(model));
        let run = |models: &[&Model], limits: Limits| {
            if models.is_empty() {
                return Ok(Vec::new());
            }
            let estimates = match limits.serial {
                true => Estimates::unknown(),
                false => Estimates::of_runs(&self.planner.options.run_dir),
            };
            let task = |model: &&Model| estimates.task(&self.planner, model, model.id()).0;
            let tasks: Vec<Task> = models.iter().map(task).collect();
            self.scheduler(limits).run(&tasks, &|at, grant| {
                work(&self.granted(self.planner, grant, None), models[at])
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
