//! The bench case: one Measurement per entry and Run, whoever asks first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::{Outcome, SKIPPED_MODEL, Session, lock, nodes, provenance, rows};
use crate::catalog::Model;
use crate::contract::{
    CsvError, Evidence, Exit, Results, conclude, conclude_skipped, read_results_csv,
};
use crate::engine::container::ContainerEngine;
use crate::engine::host::HostEngine;
use crate::engine::madengine::MadengineEngine;
use crate::engine::slurm::SlurmEngine;
use crate::engine::{Engine, Prepared, Slot, orphans};
use crate::machine::{load_average, usable_cores};
use crate::options::EngineKind;
use crate::plan::Job;
use crate::record::{self, ExecutionRecord, MEASUREMENT_SCHEMA, Measurement, ModelLock};
use crate::results::{Row, append_rows_once, check_appendable, super_records, write_rows};
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
    /// A profiler is attached: the numbers never count.
    Profile,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Purpose::WarmUp => "warm-up",
            Purpose::Measure => "execution",
            Purpose::Confirm => "suspicious, confirming execution",
            Purpose::Profile => "profiled execution",
        }
    }
}

/// Where an attempt at a Measurement is made.
pub(super) struct Place {
    pub number: u32,
    pub dir: PathBuf,
    /// What was made ready for it, or why it was not.
    pub prepared: Result<Prepared>,
}

impl Session<'_> {
    pub(super) fn bench(&self, model: &Model) -> Result<Outcome> {
        let jobs = match self.obstacle(model) {
            Ok(jobs) => jobs,
            Err(outcome) => {
                let row = rows::without_number(&self.planner, model, &outcome);
                let key = self.key(model);
                self.put_rows(&key, &key, &[row])?;
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
    /// A failed one is made again when the test runner itself tries the case again, or as
    /// often as the user said; every attempt is kept.
    pub(super) fn measure(&self, job: &Job, guard: &ModelLock) -> Result<Measurement> {
        loop {
            if let Some(done) = guard.newest()?
                && self.is_final(&done, guard)?
            {
                // A Run that was killed may have recorded it, and no more.
                self.append_results(job, &done)?;
                return Ok(done);
            }
            let measured = self.attempt(job, guard)?;
            if measured.failure.is_none() || self.cancel.is_cancelled() {
                return Ok(measured);
            }
        }
    }

    /// Whether a Measurement stays as it is.
    fn is_final(&self, done: &Measurement, guard: &ModelLock) -> Result<bool> {
        if done.failure.is_none() {
            return Ok(true);
        }
        let tried = guard.finished()?.iter().filter(|m| !m.was_cancelled()).count();
        let again = done.was_cancelled() && self.resumed;
        Ok(!again && runner_attempt() <= done.attempt && tried > self.retries as usize)
    }

    fn attempt(&self, job: &Job, guard: &ModelLock) -> Result<Measurement> {
        if self.cancel.is_cancelled() {
            bail!("cancelled");
        }
        check_appendable(&self.planner.options.output)?;
        let engine = self.engine(job)?;
        let started = record::now();
        let clock = Instant::now();
        let Place { number: attempt, dir, prepared } = self.place(job, engine, guard)?;
        let (prepared, mut failure) = match prepared {
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
        engine.tidy(&dir, self.planner.options.keep_alive);
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

    /// The attempt that a process of this Run left while something of it goes on, or a new one; and
    /// what was made ready for it.
    pub(super) fn place(&self, job: &Job, engine: &dyn Engine, guard: &ModelLock) -> Result<Place> {
        if let Some((number, dir)) = guard.unfinished()
            && let Some(prepared) = engine.left_in(&dir)?
        {
            return Ok(Place { number, dir, prepared: Ok(prepared) });
        }
        let (number, dir) = guard.next_attempt()?;
        let prepared = self.prepare(job, engine, dir.join("build"));
        Ok(Place { number, dir, prepared })
    }

    /// The same for Executions that confirm a Measurement, and run what was made ready for it.
    pub(super) fn place_to_confirm(
        &self,
        engine: &dyn Engine,
        guard: &ModelLock,
    ) -> Result<PathBuf> {
        match guard.unfinished() {
            Some((_, dir)) if engine.left_in(&dir)?.is_some() => Ok(dir),
            _ => Ok(guard.next_attempt()?.1),
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
        if !light {
            self.activity.prelude("making ready");
        }
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
        self.activity.step(&self.step(job, number, purpose));
        let mut slot = self.slot(dir.clone(), grant);
        slot.executions = match purpose {
            Purpose::Confirm => (number, number),
            _ => (number, number.max(job.warmup + job.samples)),
        };
        // What a profiler wrote is in it.
        slot.keep_work |= purpose == Purpose::Profile;
        let (started, load) = (record::now(), load_average());
        let held_from = record::unix_s();
        let execution = engine.execute(job, prepared, &slot, &self.cancel)?;
        let held = Some((held_from, record::unix_s()));
        let results = results_of(job, execution.results.as_deref(), execution.stale_results);
        let (log, recorded) = (&execution.log, execution.recorded.as_ref());
        let scheduler = execution.scheduler.as_deref();
        let evidence = Evidence { exit: execution.exit, log, results, recorded, scheduler };
        let mut nodes = nodes::of(job, &execution);
        let conclusion = match job.skips_model() {
            true => conclude_skipped(evidence),
            // What failed on one of them failed on all, and is told from the whole log.
            false if nodes.len() > 1 && execution.exit == Exit::Code(0) => {
                nodes::together(job, &mut nodes)
            }
            false => conclude(evidence),
        };
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
            profiled: purpose == Purpose::Profile,
            started,
            held,
            duration_s: execution.duration_s,
            exit: execution.exit,
            log: log.strip_prefix(self.dir.path()).unwrap_or(&log).to_owned(),
            gpus: slot.gpus,
            cores: slot.cores,
            load,
            nodes: nodes.into_iter().map(|node| node.record).collect(),
            samples,
            failure,
            warnings,
        };
        // Whatever happens to the rest of the attempt, this one is done.
        record::write_json(&dir.join("execution.json"), &record)?;
        Ok(record)
    }

    /// An Execution in words; of one of several images, which.
    fn step(&self, job: &Job, number: u32, purpose: Purpose) -> String {
        let planned = job.warmup + job.samples;
        let counts = matches!(purpose, Purpose::WarmUp | Purpose::Measure) && number <= planned;
        let of = if counts { format!(" of {planned}") } else { String::new() };
        let image = job.image_part().strip_prefix('@');
        let image = image.map(|image| format!("image {image}, ")).unwrap_or_default();
        format!("{image}{} {number}{of}", purpose.word())
    }

    pub(super) fn engine(&self, job: &Job) -> Result<&'static dyn Engine> {
        match job.engine {
            EngineKind::Host | EngineKind::Auto => Ok(&HostEngine),
            EngineKind::Container => Ok(&ContainerEngine),
            EngineKind::Madengine => Ok(&MadengineEngine),
            EngineKind::Slurm => Ok(&SlurmEngine),
        }
    }

    pub(super) fn slot(&self, dir: PathBuf, grant: &Grant) -> Slot {
        let options = self.planner.options;
        Slot {
            dir,
            run: self.dir.id.clone(),
            executions: (0, 0),
            cache: options.run_dir.join("cache"),
            running: orphans::directory(&options.run_dir),
            gpus: grant.gpus.clone(),
            cores: grant.cores.clone(),
            live_output: options.live_output,
            activity: self.activity.clone(),
            keep_work: options.keep_alive,
            keep_container: options.keep_alive,
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
            self.progress.waits(&job.id, holder);
            tracing::info!("{} waits for {holder}", job.id);
        };
        let granted = self.leases.acquire(&request, &cancelled, &mut waiting);
        self.progress.waits_no_more();
        let granted = granted?;
        Ok(Held::Leased(Grant::new(granted, &footprint.gpus, &cores)))
    }

    fn append_results(&self, job: &Job, measurement: &Measurement) -> Result<()> {
        let baseline = self.store.load(&measurement.baseline_key()).ok().flatten();
        let rows = rows::of_measurement(&self.planner, job, measurement, baseline.as_ref());
        let plain: Vec<Row> = rows.iter().map(|(row, _)| row.clone()).collect();
        let key = self.job_key(job);
        self.put_rows(&key, &format!("{key}-attempt-{}", measurement.attempt), &plain)?;
        let records = super_records(rows.iter().map(|(row, sample)| (row, *sample)));
        lock(&self.said.super_records).insert(key, records);
        Ok(())
    }

    /// Writes the rows of a Measurement that belongs to no Run to a file of their own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_rows(&self, job: &Job, measurement: &Measurement, path: &Path) -> Result<()> {
        let rows = rows::of_measurement(&self.planner, job, measurement, None);
        write_rows(path, rows.iter().map(|(row, _)| row))
    }

    /// Appends rows to perf.csv, once in this Run for what is called `once`, and writes those
    /// of a Cell to a file of its own.
    fn put_rows(&self, key: &str, once: &str, rows: &[Row]) -> Result<()> {
        append_rows_once(&self.planner.options.output, rows, &self.dir.rows_note(once)?)?;
        let Some(cell) = &self.cell else { return Ok(()) };
        let mut all = lock(&self.said.rows);
        let of_cell = all.entry(cell.clone()).or_default();
        of_cell.insert(key.to_owned(), rows.to_vec());
        write_rows(&self.dir.cell_csv(cell), of_cell.values().flatten())
    }

    /// The rows of a Cell so far.
    pub fn rows_of(&self, cell: &str) -> Vec<Row> {
        let all = lock(&self.said.rows);
        all.get(cell).into_iter().flat_map(BTreeMap::values).flatten().cloned().collect()
    }
}

/// The results file of an entry that has one, or of a script that wrote one unasked.
pub(super) fn results_of(
    job: &Job,
    written: Option<&Path>,
    stale: bool,
) -> Option<Result<Results, CsvError>> {
    match (written, &job.results_csv) {
        (Some(path), _) => Some(read_results_csv(path)),
        (None, Some(name)) if stale => Some(Err(CsvError::Stale { path: name.into() })),
        (None, Some(name)) => Some(Err(CsvError::Missing { path: name.into() })),
        (None, None) => None,
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
