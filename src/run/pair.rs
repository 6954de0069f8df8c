//! Two Jobs executed in turn, for a comparison.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Session;
use super::measure::Purpose;
use crate::catalog::Model;
use crate::engine::{Engine, Prepared};
use crate::plan::Job;
use crate::record::{self, CaseStatus, ExecutionRecord, Measurement};
use crate::schedule::{CpuUse, Grant};

/// Why an entry is not measured.
#[derive(Clone, Debug)]
pub struct Obstacle {
    /// Whether that is a failure; otherwise it cannot run here.
    pub failed: bool,
    /// Whether there is no image for it.
    pub build: bool,
    /// The reason.
    pub message: String,
}

/// One side of a comparison of an entry: a Job that is ready, and its Executions so far.
#[derive(Debug)]
pub struct Side<'a> {
    session: Session<'a>,
    job: Job,
    engine: &'static dyn Engine,
    prepared: Prepared,
    dir: PathBuf,
    started: String,
    build_duration_s: f64,
    executions: Vec<ExecutionRecord>,
}

impl std::fmt::Debug for dyn Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Session<'_> {
    /// The Jobs of an entry, if nothing stands before its measurement.
    ///
    /// # Errors
    /// What does.
    pub fn jobs(&self, model: &Model) -> Result<Vec<Job>, Obstacle> {
        self.obstacle(model).map_err(|outcome| Obstacle {
            failed: outcome.status == CaseStatus::Failed,
            build: outcome.kind == "build",
            message: outcome.message,
        })
    }
}

impl<'a> Side<'a> {
    /// Makes ready what `job` runs in. Its records go to `name` below the entry's directory.
    ///
    /// # Errors
    /// When it cannot be made ready.
    pub fn prepare(session: Session<'a>, job: Job, id: &str, name: &str) -> Result<Self> {
        let engine = session.engine(&job)?;
        let dir = session.dir.model(id).join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let started = record::now();
        let clock = Instant::now();
        let prepared = session.prepare(&job, engine, dir.join("build"))?;
        let build_duration_s = clock.elapsed().as_secs_f64();
        let executions = Vec::new();
        Ok(Side { session, job, engine, prepared, dir, started, build_duration_s, executions })
    }

    /// What it runs.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Name of its engine.
    pub fn engine(&self) -> &'static str {
        self.engine.name()
    }

    /// Its Executions so far.
    pub fn executions(&self) -> &[ExecutionRecord] {
        &self.executions
    }

    /// Writes down what it measured, and why there is not more, if so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self, failure: Option<String>) -> Result<Measurement> {
        let measurement = Measurement {
            started: self.started,
            build_duration_s: self.build_duration_s,
            failure,
            ..self.session.measurement(&self.job, self.engine, self.prepared, self.executions)
        };
        record::write_json(&self.dir.join("measurement.json"), &measurement)?;
        Ok(measurement)
    }

    /// One Execution; whether it went well.
    fn execute(&mut self, grant: &Grant, purpose: Purpose) -> Result<bool> {
        let number = u32::try_from(self.executions.len() + 1).unwrap_or(u32::MAX);
        let execution = self.session.execute_on(
            grant,
            &self.job,
            self.engine,
            &self.prepared,
            &self.dir,
            number,
            purpose,
        )?;
        let well = execution.failure.is_none();
        self.executions.push(execution);
        Ok(well)
    }

    /// One Execution of this side alone that does not count.
    ///
    /// # Errors
    /// When the script could not be started or watched, or on cancellation.
    pub fn warm_up(&mut self) -> Result<()> {
        self.alone(Purpose::WarmUp)
    }

    /// One Execution of this side alone.
    ///
    /// # Errors
    /// As for [`Side::warm_up`].
    pub fn measure(&mut self) -> Result<()> {
        self.alone(Purpose::Measure)
    }

    fn alone(&mut self, purpose: Purpose) -> Result<()> {
        let session = self.session.of(self.session.activity.clone());
        let lease = session.lease(&self.job, &self.job.footprint())?;
        self.execute(lease.grant(), purpose)?;
        drop(lease);
        Ok(())
    }

    /// One Execution of each side, `first` first, on the same GPUs and without anybody
    /// between them. The second one is not made when the first fails.
    ///
    /// # Errors
    /// When a script could not be started or watched, or on cancellation.
    pub fn pair(first: &mut Self, second: &mut Self, warmup: bool) -> Result<()> {
        let purpose = if warmup { Purpose::WarmUp } else { Purpose::Measure };
        let mut both = first.job.footprint();
        let other = second.job.footprint();
        if both.cpu != other.cpu {
            both.cpu = CpuUse::Exclusive;
        }
        both.gpus.retain(|gpu| other.gpus.contains(gpu));
        let further = other.also.into_iter().filter(|r| !both.also.contains(r));
        both.also.extend(further.collect::<Vec<_>>());
        // One of its own: the sides change while the lease is held.
        let session = first.session.of(first.session.activity.clone());
        let lease = session.lease(&first.job, &both)?;
        if first.execute(lease.grant(), purpose)? {
            second.execute(lease.grant(), purpose)?;
        }
        drop(lease);
        Ok(())
    }
}
