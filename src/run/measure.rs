//! The bench case: one Measurement per entry and Run, whoever asks first.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::{Outcome, SKIPPED_MODEL, Session, lock, provenance, rows};
use crate::catalog::Model;
use crate::contract::{CsvError, Evidence, conclude, conclude_skipped, read_results_csv};
use crate::engine::container::ContainerEngine;
use crate::engine::host::HostEngine;
use crate::engine::madengine::MadengineEngine;
use crate::engine::{Engine, Prepared, Slot, orphans};
use crate::machine::{load_average, usable_cores};
use crate::options::EngineKind;
use crate::plan::Job;
use crate::record::{self, ExecutionRecord, MEASUREMENT_SCHEMA, Measurement, ModelLock};
use crate::results::{append_rows, check_appendable, super_records};
use crate::schedule::{CpuUse, Footprint, Grant};

/// What the scheduler has leased for this entry, or what was leased for an Execution of it.
pub(super) enum Held<'a> {
    Ours(&'a Grant),
    Leased(Grant),
}

impl Held<'_> {
    pub(super) fn grant(&self) -> &Grant {
        match self {
            Held::Ours(grant) => grant,
            Held::Leased(grant) => grant,
        }
    }
}

/// What an Execution is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    WarmUp,
    Measure,
    /// A suspicion is looked at again.
    Confirm,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Purpose::WarmUp => "warm-up",
            Purpose::Measure => "execution",
            Purpose::Confirm => "suspicious, confirming execution",
        }
    }
}

impl Session<'_> {
    pub(super) fn bench(&self, model: &Model) -> Result<Outcome> {
        let jobs = match self.obstacle(model) {
            Ok(jobs) => jobs,
            Err(outcome) => {
                let row = rows::without_number(&self.planner, model, &outcome);
                append_rows(&self.planner.options.output, &[row])?;
                return Ok(outcome);
            }
        };
        let outcomes: Result<Vec<(String, Outcome)>> =
            jobs.iter().map(|job| Ok((job.id.clone(), self.bench_job(job)?))).collect();
        Ok(Outcome::of_images(outcomes?))
    }

    fn bench_job(&self, job: &Job) -> Result<Outcome> {
        let guard = self.dir.lock(&self.job_key(job), &|| self.cancel.is_cancelled())?;
        let measurement = self.measure(job, &guard)?;
        drop(guard);
        let properties = self.properties(job, &measurement);
        Ok(match &measurement.failure {
            Some(failure) => {
                let said = std::iter::once(failure).chain(&measurement.warnings);
                let said: Vec<&str> = said.map(String::as_str).collect();
                Outcome::failed(failure_kind(&measurement), said.join("\n")).with(properties)
            }
            None if measurement.skipped() => {
                Outcome::ignored(SKIPPED_MODEL, "the model was not run").with(properties)
            }
            None => Outcome::passed(measurement.warnings.join("\n")).with(properties),
        })
    }

    /// The Measurement of this Run: the one that is there, or a new one.
    ///
    /// A failed one is made again when the test runner itself tries the case again;
    /// every attempt is kept.
    pub(super) fn measure(&self, job: &Job, guard: &ModelLock) -> Result<Measurement> {
        if let Some(done) = guard.newest()?
            && (done.failure.is_none() || runner_attempt() <= done.attempt)
        {
            return Ok(done);
        }
        if self.cancel.is_cancelled() {
            bail!("cancelled");
        }
        check_appendable(&self.planner.options.output)?;
        let (attempt, dir) = guard.next_attempt()?;
        let engine = self.engine(job)?;
        let started = record::now();
        let clock = Instant::now();
        let (prepared, mut failure) = match self.prepare(job, engine, dir.join("build")) {
            Ok(prepared) => (prepared, None),
            Err(e) => (Prepared::default(), Some(format!("{e:#}"))),
        };
        let build_duration_s = clock.elapsed().as_secs_f64();
        let mut executions = Vec::new();
        for number in 1.. {
            if failure.is_some() || !self.wants(job, number, &executions) {
                break;
            }
            let purpose = if number <= job.warmup { Purpose::WarmUp } else { Purpose::Measure };
            let execution = self.execute(job, engine, &prepared, &dir, number, purpose)?;
            failure.clone_from(&execution.failure);
            executions.push(execution);
        }
        let measurement = Measurement {
            attempt,
            started,
            build_duration_s,
            failure,
            ..self.measurement(job, engine, prepared, executions)
        };
        record::write_json(&dir.join("measurement.json"), &measurement)?;
        self.append_results(job, &measurement)?;
        Ok(measurement)
    }

    /// The Measurement that these Executions are, begun now and without trouble.
    pub(super) fn measurement(
        &self,
        job: &Job,
        engine: &dyn Engine,
        prepared: Prepared,
        executions: Vec<ExecutionRecord>,
    ) -> Measurement {
        let mut warnings = [job.warnings.as_slice(), &prepared.warnings].concat();
        for warning in executions.iter().flat_map(|e| &e.warnings) {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        Measurement {
            schema: MEASUREMENT_SCHEMA.to_owned(),
            run: self.dir.id.clone(),
            attempt: 1,
            model: job.model.name.clone(),
            id: job.id.clone(),
            machine_class: job.machine_class(),
            n_gpus: job.n_gpus,
            precision: job.model.precision().to_owned(),
            engine: engine.name().to_owned(),
            started: record::now(),
            build_duration_s: 0.0,
            prepared,
            executions,
            failure: None,
            warnings,
            provenance: provenance::provenance(job, &self.planner.catalog.root),
        }
    }

    /// Makes ready what the Job runs in. A build takes CPU time that a measurement beside it
    /// would miss.
    pub(super) fn prepare(&self, job: &Job, engine: &dyn Engine, dir: PathBuf) -> Result<Prepared> {
        let light = job.container.is_none()
            && job.madengine.is_none()
            && job.repository.is_none()
            && job.data.is_empty();
        let cpu = if light { CpuUse::None } else { CpuUse::Shared };
        let lease = self.lease(job, &Footprint { cpu, ..Footprint::default() })?;
        let prepared = engine.prepare(job, &self.slot(dir, &Grant::default()), &self.cancel);
        drop(lease);
        prepared
    }

    /// One Execution under its leases. Its record is part of the Measurement.
    pub(super) fn execute(
        &self,
        job: &Job,
        engine: &dyn Engine,
        prepared: &Prepared,
        attempt: &Path,
        number: u32,
        purpose: Purpose,
    ) -> Result<ExecutionRecord> {
        let lease = self.lease(job, &job.footprint())?;
        self.execute_on(lease.grant(), job, engine, prepared, attempt, number, purpose)
    }

    /// One Execution on what is leased for it.
    #[expect(clippy::too_many_arguments, reason = "what one Execution is made of")]
    pub(super) fn execute_on(
        &self,
        grant: &Grant,
        job: &Job,
        engine: &dyn Engine,
        prepared: &Prepared,
        attempt: &Path,
        number: u32,
        purpose: Purpose,
    ) -> Result<ExecutionRecord> {
        let dir = attempt.join(format!("execution-{number}"));
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        if self.progress {
            eprintln!("{}: {} {number}", self.job_key(job), purpose.word());
        }
        let slot = self.slot(dir.clone(), grant);
        let (started, load) = (record::now(), load_average());
        let execution = engine.execute(job, prepared, &slot, &self.cancel)?;
        let results = job.results_csv.as_ref().map(|name| match &execution.results {
            Some(path) => read_results_csv(path),
            None if execution.stale_results => Err(CsvError::Stale { path: name.into() }),
            None => Err(CsvError::Missing { path: name.into() }),
        });
        let (log, recorded) = (&execution.log, execution.recorded.as_ref());
        let evidence = Evidence { exit: execution.exit, log, results, recorded };
        let skipped = job.skips_model();
        let conclusion = if skipped { conclude_skipped(evidence) } else { conclude(evidence) };
        let log = slot.log();
        let mut warnings = conclusion.warnings;
        warnings.extend(execution.trouble);
        let (samples, failure) = match conclusion.outcome {
            Ok(samples) => (samples, None),
            Err(failure) => {
                (Vec::new(), Some(format!("{}\nlog: {}", failure.message, log.display())))
            }
        };
        let record = ExecutionRecord {
            number,
            warmup: purpose == Purpose::WarmUp,
            profiled: false,
            started,
            duration_s: execution.duration_s,
            exit: execution.exit,
            log: log.strip_prefix(self.dir.path()).unwrap_or(&log).to_owned(),
            gpus: slot.gpus,
            cores: slot.cores,
            load,
            samples,
            failure,
            warnings,
        };
        // Whatever happens to the rest of the attempt, this one is done.
        record::write_json(&dir.join("execution.json"), &record)?;
        Ok(record)
    }

    pub(super) fn engine(&self, job: &Job) -> Result<&'static dyn Engine> {
        match job.engine {
            EngineKind::Host | EngineKind::Auto => Ok(&HostEngine),
            EngineKind::Container => Ok(&ContainerEngine),
            EngineKind::Madengine => Ok(&MadengineEngine),
            other => bail!("this version has no {other} engine"),
        }
    }

    fn slot(&self, dir: PathBuf, grant: &Grant) -> Slot {
        let options = self.planner.options;
        Slot {
            dir,
            run: self.dir.id.clone(),
            cache: options.run_dir.join("cache"),
            running: orphans::directory(&options.run_dir),
            gpus: grant.gpus.clone(),
            cores: grant.cores.clone(),
            live_output: options.live_output,
            keep_work: options.keep_alive,
        }
    }

    /// Waits for what `footprint` says, unless the scheduler has leased it already.
    pub(super) fn lease(&self, job: &Job, footprint: &Footprint) -> Result<Held<'_>> {
        if let Some(grant) = &self.grant {
            return Ok(Held::Ours(grant));
        }
        if footprint.is_free() {
            return Ok(Held::Leased(Grant::default()));
        }
        let cores = usable_cores();
        let owner = format!("{} {}", self.dir.id, job.id);
        let request = footprint.request(&job.machine, &footprint.gpus, &cores, owner);
        let cancelled = || self.cancel.is_cancelled();
        let mut waiting = |holder: &str| {
            tracing::info!("{} waits for {holder}", job.id);
        };
        let granted = self.leases.acquire(&request, &cancelled, &mut waiting)?;
        Ok(Held::Leased(Grant::new(granted, &footprint.gpus, &cores)))
    }

    fn append_results(&self, job: &Job, measurement: &Measurement) -> Result<()> {
        let baseline = self.store.load(&measurement.baseline_key()).ok().flatten();
        let rows = rows::of_measurement(&self.planner, job, measurement, baseline.as_ref());
        let plain: Vec<_> = rows.iter().map(|(row, _)| row.clone()).collect();
        append_rows(&self.planner.options.output, &plain)?;
        let records = super_records(rows.iter().map(|(row, sample)| (row, *sample)));
        lock(&self.said.super_records).extend(records);
        Ok(())
    }
}

/// The word for what went wrong: without an Execution, it was the image.
pub(super) fn failure_kind(measurement: &Measurement) -> &'static str {
    if measurement.executions.is_empty() { "build" } else { "execution" }
}

/// Which attempt of the test runner this is, from 1.
pub(super) fn runner_attempt() -> u32 {
    std::env::var("NEXTEST_ATTEMPT").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}
