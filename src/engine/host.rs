//! The host engine: runs a script in a private copy of its directory, on this
//! machine, without a container.

use anyhow::Result;

use super::supervised::{self, Launch};
use super::{Cancel, Engine, Execution, Prepared, Slot, work};
use crate::plan::Job;

/// Runs Jobs on this host.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostEngine;

impl Engine for HostEngine {
    fn name(&self) -> &'static str {
        "host"
    }

    fn prepare(&self, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Prepared> {
        work::prepare(job, slot, cancel)
    }

    fn execute(
        &self,
        job: &Job,
        prepared: &Prepared,
        slot: &Slot,
        cancel: &Cancel,
    ) -> Result<Execution> {
        let (stale_results, warnings) = work::fill(job, prepared, slot, cancel)?;
        let mut launch = Launch::new(job.command.clone(), slot.work());
        launch.timeout_s = job.timeout_s;
        launch.env = job.environment(&slot.gpus).into_iter().collect();
        let ended = supervised::run(launch, job, slot, cancel)?;
        let mut execution = Execution::supervised(ended);
        execution.stale_results = stale_results;
        execution.trouble.splice(..0, warnings);
        let results: Vec<_> = job.results_csv.iter().map(|name| slot.work().join(name)).collect();
        execution.results = work::keep_results(job, slot, &results)?;
        execution.trouble.extend(work::keep(job, slot, execution.exit));
        execution.trouble.extend(work::remove(slot));
        Ok(execution)
    }
}
