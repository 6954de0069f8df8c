//! Many entries of one Run.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use super::estimate::Estimates;
use super::{Session, is_canary};
use crate::catalog::Model;
use crate::record::{CaseRecord, CaseStatus, Stage};
use crate::schedule::{Limits, Task};

impl Session<'_> {
    /// Measures and judges the entries where they cannot disturb each other; `limits` says
    /// whether that is one after the other. A canary comes before all others: they are judged
    /// by what it shows. Nothing more is started when `stop` has enough failures.
    ///
    /// # Errors
    /// When nothing can be leased.
    pub fn run(&self, models: Vec<Model>, limits: Limits, stop: &Failures) -> Result<()> {
        let config = &self.planner.catalog.config;
        let estimates = match limits.serial {
            true => Estimates::unknown(),
            false => Estimates::of_runs(&self.planner.options.run_dir),
        };
        let (first, others): (Vec<Model>, Vec<Model>) =
            models.into_iter().partition(|model| is_canary(config, model));
        for models in [first, others] {
            let task = |model| estimates.task(&self.planner, model, model.id()).0;
            let tasks: Vec<Task> = models.iter().map(task).collect();
            self.scheduler(limits).run(&tasks, &|at, grant| {
                let session = self.granted(self.planner, grant, None);
                let mut flow = ControlFlow::Continue(());
                for stage in [Stage::Bench, Stage::Regress] {
                    if !session.cancel.is_cancelled() && flow.is_continue() {
                        flow = stop.after(&session.case(stage, &models[at]));
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
