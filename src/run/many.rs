//! Many entries of one Run.

use std::ops::ControlFlow;

use anyhow::Result;

use super::{Session, is_canary};
use crate::catalog::Model;
use crate::record::Stage;
use crate::schedule::{Limits, Task};

impl Session<'_> {
    /// Measures and judges the entries, one after the other, or in `parallel` where they
    /// cannot disturb each other. A canary comes before all others: they are judged by what
    /// it shows.
    ///
    /// # Errors
    /// When nothing can be leased.
    pub fn run(&self, models: Vec<Model>, parallel: bool) -> Result<()> {
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
            let tasks: Vec<Task> = models.iter().map(|model| self.task(model)).collect();
            let limits = Limits { serial: !parallel, ..Limits::default() };
            self.scheduler(limits).run(&tasks, &|at, grant| {
                let session = self.granted(self.planner, grant, None);
                for &stage in *stages {
                    if !session.cancel.is_cancelled() {
                        session.case(stage, &models[at]);
                    }
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    fn task(&self, model: &Model) -> Task {
        Task { label: model.id(), footprint: self.planner.footprint(model), estimate_s: 1.0 }
    }
}
