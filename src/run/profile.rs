//! One profiled Execution: its number is kept apart and never counts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Session;
use super::measure::Purpose;
use crate::catalog::{Catalog, Model};
use crate::plan::Job;
use crate::profile::levers::{Catalogs, detect};
use crate::profile::tool::{Sampler, Tool, attach};
use crate::profile::{Diagnosis, diagnose};
use crate::record::{self, Measurement};
use crate::schedule::Limits;

/// A profiled Execution.
#[derive(Clone, Debug)]
pub struct Profiled {
    /// What it measured, which is no measurement.
    pub measurement: Measurement,
    /// Directory of what the tools wrote.
    pub traces: PathBuf,
}

impl Profiled {
    /// What the tools wrote says about the entry, with the levers that follow. None if none of
    /// them writes what can be diagnosed.
    ///
    /// # Errors
    /// When there is nothing that can be diagnosed.
    pub fn diagnosis(
        &self,
        tools: &[(&str, &Tool)],
        catalog: &Catalog,
        model: &Model,
    ) -> Result<Option<Diagnosis>> {
        if !tools.iter().any(|(_, tool)| tool.diagnosed) {
            return Ok(None);
        }
        diagnosed(&self.traces, catalog, model).map(Some)
    }
}

/// What the traces at `path` say about an entry, with the levers that follow.
///
/// # Errors
/// When there is nothing that can be diagnosed.
pub fn diagnosed(path: &Path, catalog: &Catalog, model: &Model) -> Result<Diagnosis> {
    let of = Catalogs { config: Some(&catalog.config), model: Some(model) };
    diagnose(path)?.with_levers(detect(catalog, model), of)
}

impl Session<'_> {
    /// Runs `model` once with `tools` attached. No row is written, and the record says that
    /// the Execution was profiled.
    ///
    /// # Errors
    /// When the entry cannot run here, or a tool cannot be attached.
    pub fn profile(&self, model: &Model, tools: &[(&str, &Tool)]) -> Result<Profiled> {
        let mut jobs = match self.obstacle(model) {
            Ok(jobs) => jobs,
            Err(outcome) => bail!("{}: {}", model.id(), outcome.message),
        };
        if let [_, second, ..] = &jobs[..] {
            bail!("{} has several images ({}, …); profile one: --use-image", model.id(), second.id);
        }
        let Some(job) = jobs.first_mut() else { bail!("{}: nothing to run", model.id()) };
        if job.madengine.is_some() {
            bail!("madengine attaches tools by itself: run it with `tools` in its context");
        }
        attach(job, tools, &self.planner.catalog.root)?;
        let _whole = self.progress.whole(1);
        let estimates = self.estimates(Limits { serial: true, ..Limits::default() });
        let expected = estimates.of_executions(job, 1);
        let activity = self.progress.activity(&job.id, Some(expected));
        let profiled = self.of(activity.clone()).profile_job(job, tools)?;
        let failed = profiled.measurement.failure.is_some();
        activity.end(if failed { "failed" } else { "profiled" }, failed);
        Ok(profiled)
    }

    fn profile_job(&self, job: &Job, tools: &[(&str, &Tool)]) -> Result<Profiled> {
        let guard = self.dir.lock(&self.job_key(job), &|| self.cancel.is_cancelled())?;
        let (attempt, dir) = guard.next_attempt()?;
        let engine = self.engine(job)?;
        let started = record::now();
        let prepared = self.prepare(job, engine, dir.join("build"))?;
        let sampler = tools.iter().any(|(_, tool)| tool.sampler);
        let sampler = sampler.then(Sampler::start).transpose().context("cannot sample")?;
        let execution = self.execute(job, engine, &prepared, &dir, 1, Purpose::Profile);
        let samples = sampler.map(Sampler::finish);
        let execution = execution?;
        let place = dir.join("execution-1");
        let traces = place.join("profile");
        std::fs::create_dir_all(&traces)
            .with_context(|| format!("cannot make {}", traces.display()))?;
        if let Some(samples) = samples {
            record::write_json(&traces.join("samples.json"), &samples)?;
        }
        let log = place.join("run.log");
        let logs = |(_, tool): &(&str, &Tool)| tool.env_vars.contains_key("NCCL_DEBUG");
        if tools.iter().any(logs) && log.is_file() {
            // NCCL logs there. A link costs nothing, however long the log is.
            std::fs::hard_link(&log, traces.join("run.log"))
                .with_context(|| format!("cannot link {}", log.display()))?;
        }
        let work = place.join("work");
        move_new(&work, &job.script_dir, &traces)
            .with_context(|| format!("cannot keep what the tools wrote in {}", work.display()))?;
        if !self.planner.options.keep_alive && work.exists() {
            std::fs::remove_dir_all(&work)
                .with_context(|| format!("cannot remove {}", work.display()))?;
        }
        let measurement = Measurement {
            attempt,
            started,
            failure: execution.failure.clone(),
            warnings: execution.warnings.clone(),
            ..self.measurement(job, engine, prepared, vec![execution])
        };
        record::write_json(&dir.join("measurement.json"), &measurement)?;
        Ok(Profiled { measurement, traces })
    }
}

/// Moves what is in `work` and not in the script's directory to `to`.
fn move_new(work: &Path, scripts: &Path, to: &Path) -> std::io::Result<()> {
    if !work.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(work)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let original = scripts.join(&name);
        if !original.exists() && (kind.is_file() || kind.is_dir()) {
            std::fs::rename(entry.path(), to.join(&name))?;
        } else if kind.is_dir() {
            let inner = to.join(&name);
            std::fs::create_dir_all(&inner)?;
            move_new(&entry.path(), &original, &inner)?;
            // Nothing new was in it.
            let _ = std::fs::remove_dir(&inner);
        }
    }
    Ok(())
}
