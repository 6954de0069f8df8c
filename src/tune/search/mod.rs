//! A search for a better configuration of one entry: [`Phase`] by phase, with the record
//! written after every step, so that whatever ends it loses one step at most.

mod evaluate;
mod halving;
mod measure;
mod request;
mod verify;

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

pub use request::Request;

use super::trust::Judge;
use super::{
    Baseline, Change, Diagnosed, Phase, Status, TUNING_FILE, TUNING_SCHEMA, Tuning, apply, metric,
};
use crate::compare::{Stop, seed_of};
use crate::plan::Job;
use crate::profile::levers::detect;
use crate::profile::tool::{Registry, Tool};
use crate::record;
use crate::regress::{count, median};
use crate::run::{Session, Side, diagnosed};
use crate::slug::digest;

/// Executions of the entry as it is, at the least.
const BASELINE: u32 = 3;

/// Names what is measured of the entry as it is.
const BASELINE_ID: &str = "baseline";

/// Smallest gain that is looked for where nobody says otherwise: about what runs of the same
/// configuration differ by.
const MIN_EFFECT: f64 = 0.02;

/// A search under way.
#[derive(Debug)]
pub struct Search<'s, 'a> {
    session: &'s Session<'a>,
    /// The entry as it is.
    job: Job,
    request: Request,
    tuning: Tuning,
    clock: Instant,
    /// Seconds that earlier processes spent on it.
    before: f64,
    /// The longest comparison so far: what a further one may take.
    longest: Duration,
    /// Nobody else goes on with it meanwhile.
    _hold: File,
}

impl<'s, 'a> Search<'s, 'a> {
    /// Begins a search for `job` in the directory of `session`.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn begin(session: &'s Session<'a>, job: Job, request: Request) -> Result<Self> {
        let catalog = session.planner.catalog;
        let run = session.dir().id.clone();
        let tuning = Tuning {
            schema: TUNING_SCHEMA.to_owned(),
            seed: request.seed.unwrap_or_else(|| seed_of(&run)),
            run,
            started: record::now_ms(),
            duration_s: 0.0,
            model: job.model.id(),
            entry_hash: job.model.entry_hash(),
            script_hash: script_hash(&job),
            stack: detect(catalog, &job.model).stack.word().to_owned(),
            machine_class: job.machine_class(),
            n_gpus: job.n_gpus,
            precision: Some(job.model.precision().to_owned()).filter(|p| !p.is_empty()),
            strategy: request.strategy,
            metric: None,
            false_alarms: request.false_alarms,
            flags: request.flags(&session.planner),
            phase: Phase::Baseline,
            failure: None,
            baseline: None,
            diagnosis: None,
            candidates: Vec::new(),
            recommendation: None,
            stopped: None,
            notes: request.notes.clone(),
        };
        Search::with(session, job, request, tuning)
    }

    /// Goes on with a search that ended early: what was finished is kept, what was begun is
    /// measured anew.
    ///
    /// # Errors
    /// When the entry, the machine or a flag that matters is another one, it is done, or it
    /// goes on in another process.
    pub fn resume(
        session: &'s Session<'a>,
        job: Job,
        request: Request,
        tuning: Tuning,
    ) -> Result<Self> {
        session.check_origin()?;
        let run = &tuning.run;
        let mut differ = Vec::new();
        let mut compare = |what: &str, then: &str, now: &str| {
            if then != now {
                let word =
                    |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
                differ.push(format!("{what} was {}, is {}", word(then), word(now)));
            }
        };
        compare("the entry", &tuning.model, &job.model.id());
        compare("the hash of the entry", &tuning.entry_hash, &job.model.entry_hash());
        let script = |hash: Option<&String>| hash.cloned().unwrap_or_default();
        compare(
            "the hash of the script",
            &script(tuning.script_hash.as_ref()),
            &script(script_hash(&job).as_ref()),
        );
        compare("the class of machines", &tuning.machine_class, &job.machine_class());
        compare("the strategy", tuning.strategy.word(), request.strategy.word());
        let now = request.flags(&session.planner);
        for flag in tuning.flags.keys().chain(now.keys().filter(|f| !tuning.flags.contains_key(*f)))
        {
            let of = |flags: &std::collections::BTreeMap<String, String>| {
                flags.get(flag).cloned().unwrap_or_default()
            };
            compare(&format!("--{flag}"), &of(&tuning.flags), &of(&now));
        }
        ensure!(
            differ.is_empty(),
            "the search {run} cannot go on, because its numbers would not be comparable: {}; \
             begin another one without --resume",
            differ.join("; ")
        );
        let tuning = Tuning { stopped: None, failure: None, ..tuning };
        Search::with(session, job, request, tuning)
    }

    fn with(session: &'s Session<'a>, job: Job, request: Request, tuning: Tuning) -> Result<Self> {
        let hold = session.dir().hold()?;
        let before = tuning.duration_s;
        let (clock, longest) = (Instant::now(), Duration::ZERO);
        let search = Search { session, job, request, tuning, clock, before, longest, _hold: hold };
        search.save()?;
        Ok(search)
    }

    /// Goes through the phases that are left. What came of it stands in the record.
    ///
    /// # Errors
    /// When a record cannot be written, or the metric cannot be used.
    pub fn run(mut self) -> Result<Tuning> {
        while self.tuning.phase != Phase::Done {
            let parts = match self.tuning.phase {
                Phase::Evaluate => self.waiting().len(),
                _ => 1,
            };
            let _whole = self.session.progress().whole(parts);
            let done = match self.tuning.phase {
                Phase::Baseline => self.baseline(),
                Phase::Diagnose => self.diagnose(),
                Phase::Propose => self.propose(),
                Phase::Evaluate => self.evaluate(),
                Phase::Verify | Phase::Done => self.verify(),
            };
            // What the user ended has not failed.
            if self.session.cancel.is_cancelled() && self.tuning.phase != Phase::Done {
                self.tuning.stopped = Some(Stop::Interrupted);
                self.tuning.failure = None;
            }
            match done {
                Ok(()) => {}
                Err(_) if self.tuning.stopped.is_some() => {}
                Err(e) => {
                    self.tuning.failure = Some(format!("{e:#}"));
                    self.update()?;
                    return Err(e);
                }
            }
            self.update()?;
            if self.tuning.stopped.is_some() || self.tuning.failure.is_some() {
                break;
            }
        }
        Ok(self.tuning)
    }

    /// Executes the entry as it is, and nothing else when that fails.
    fn baseline(&mut self) -> Result<()> {
        let place = self.place(BASELINE_ID);
        let counted = self.job.samples.max(BASELINE);
        let job = Job { samples: counted, ..self.job.clone() };
        let activity = self.session.progress().activity(BASELINE_ID, None);
        let session = self.session.of(activity.clone());
        let mut side = match Side::prepare(session, job, &place, "base") {
            Ok(side) => side,
            Err(e) => {
                self.tuning.failure = Some(format!("it cannot be made ready: {e:#}"));
                return Ok(());
            }
        };
        for number in 0..self.job.warmup + counted {
            let done = if number < self.job.warmup { side.warm_up() } else { side.measure() };
            let failed = side.executions().last().and_then(|e| e.failure.clone());
            if let Some(failure) = done.err().map(|e| format!("{e:#}")).or(failed) {
                side.finish(Some(failure.clone()))?;
                self.tuning.failure = Some(failure);
                return Ok(());
            }
        }
        let measurement = side.finish(None)?;
        activity.end("measured", false);
        let csv = self.csv(BASELINE_ID);
        self.session.write_rows(&self.job, &measurement, &csv)?;
        let samples = measurement.counted().next().map(|e| &e.samples[..]).unwrap_or_default();
        let config = &self.session.planner.catalog.config;
        let target = metric::target(config, &self.job.model, samples, self.request.goal)?;
        let all = measurement.values();
        let of_target = all.iter().filter(|(key, _)| *key == target.key).flat_map(|(_, s)| s);
        let values: Vec<f64> = of_target.map(|s| s.value).collect();
        self.tuning.baseline = Some(Baseline { median: median(&values), values, csv });
        self.tuning.metric = Some(target);
        self.tuning.phase = Phase::Diagnose;
        Ok(())
    }

    /// Looks for what holds the entry back, once and with a profiler; without an answer the
    /// search goes on with what the user names.
    fn diagnose(&mut self) -> Result<()> {
        if self.must_stop(Duration::ZERO) {
            return Ok(());
        }
        let (catalog, model) = (self.session.planner.catalog, &self.job.model);
        let tools = match self.request.trace {
            Some(_) => Vec::new(),
            None => self.request.tools.clone(),
        };
        let found = match &self.request.trace {
            Some(trace) => diagnosed(trace, catalog, model).map(|d| (trace.clone(), Some(d))),
            None => {
                self.say(&format!("profiling it once with {}", tools.join(", ")));
                self.profile(&tools)
            }
        };
        let mut diagnosed = Diagnosed { tools, traces: None, diagnosis: None, failure: None };
        match found {
            Ok((traces, diagnosis)) => {
                diagnosed.traces = Some(traces);
                if diagnosis.is_none() {
                    let why = "the tools write nothing that can be diagnosed".to_owned();
                    diagnosed.failure = Some(why);
                }
                diagnosed.diagnosis = diagnosis;
            }
            Err(e) => diagnosed.failure = Some(format!("{e:#}")),
        }
        if self.session.cancel.is_cancelled() {
            return Ok(());
        }
        match (&diagnosed.failure, &diagnosed.diagnosis) {
            (Some(failure), _) => self.say(&format!(
                "there is no diagnosis ({failure}); going on with what the entry and mad.toml name"
            )),
            (None, Some(diagnosis)) => self.say(&diagnosis.headline()),
            (None, None) => {}
        }
        self.tuning.diagnosis = Some(diagnosed);
        self.tuning.phase = Phase::Propose;
        Ok(())
    }

    fn profile(
        &self,
        names: &[String],
    ) -> Result<(std::path::PathBuf, Option<crate::profile::Diagnosis>)> {
        let registry = Registry::load(&self.session.planner.catalog.root)?;
        let tools: Result<Vec<(&str, &Tool)>> =
            names.iter().map(|name| Ok((name.as_str(), registry.get(name)?))).collect();
        let tools = tools?;
        let model = &self.job.model;
        let profiled = self.session.profile(model, &tools)?;
        if let Some(failure) = profiled.measurement.failure {
            bail!("the profiled execution failed: {failure}");
        }
        let diagnosis = profiled.diagnosis(&tools, self.session.planner.catalog, model);
        let diagnosis = diagnosis.with_context(|| format!("{} wrote", names.join(", ")))?;
        Ok((profiled.traces, diagnosis))
    }

    /// Chooses what is tried.
    fn propose(&mut self) -> Result<()> {
        let found = self.tuning.diagnosis.as_ref().and_then(|d| d.diagnosis.as_ref());
        let catalog = self.session.planner.catalog;
        self.tuning.candidates = self.request.propose(catalog, &self.job, found, false)?;
        for candidate in &mut self.tuning.candidates {
            // A lever can be called anything, and these names have a meaning.
            if [BASELINE_ID, verify::TOGETHER].contains(&candidate.id.as_str()) {
                candidate.id.push_str(".lever");
            }
        }
        let waiting = self.waiting().len();
        if waiting == 0 {
            self.tuning.phase = Phase::Done;
            return Ok(());
        }
        self.say(&format!("{} to try", count(waiting, "candidate")));
        self.tuning.phase = Phase::Evaluate;
        Ok(())
    }

    /// Candidates that are to be measured, as indices.
    fn waiting(&self) -> Vec<usize> {
        let all = self.tuning.candidates.iter().enumerate();
        all.filter(|(_, c)| c.status == Status::Waiting).map(|(i, _)| i).collect()
    }

    fn judge(&self) -> Result<Judge<'_>> {
        Ok(Judge {
            target: self.tuning.metric.as_ref().context("the search has no metric")?,
            tune: self.job.model.entry().tune.as_ref(),
            machine_class: &self.tuning.machine_class,
            allow_numerics: self.request.allow_numerics,
        })
    }

    /// The entry with these changes.
    fn changed(&self, changes: &[Change]) -> Result<Job> {
        apply(&self.job, changes, &self.session.planner.catalog.root)
    }

    /// Tells on standard error what is being done.
    fn say(&self, line: &str) {
        self.session.progress().say(&format!("{}: {line}", self.tuning.model));
    }

    fn spent(&self) -> f64 {
        self.before + self.clock.elapsed().as_secs_f64()
    }

    /// Writes the record, with the time that was spent.
    fn update(&mut self) -> Result<()> {
        self.tuning.duration_s = self.spent();
        self.save()
    }

    fn save(&self) -> Result<()> {
        record::write_json(&self.session.dir().path().join(TUNING_FILE), &self.tuning)
    }
}

/// Digest of the script that a Job runs, if it can be read.
fn script_hash(job: &Job) -> Option<String> {
    let script = std::fs::read(job.script_dir.join(job.command.get(1)?)).ok()?;
    Some(digest(script, 8))
}
