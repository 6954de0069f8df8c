//! One Run: the path from a Plan to a Verdict that both doors share, so that a
//! number seen in `cargo test` and one seen in `mad benchmark` come from the same
//! code.

mod accept;
mod build;
mod environment;
mod estimate;
mod fallback;
mod judge;
mod many;
mod measure;
mod nodes;
mod pair;
mod policy;
mod profile;
mod provenance;
mod resume;
mod rows;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use indexmap::IndexMap;
use serde_json::Value;

pub use accept::{Acceptor, Candidate, latest_run};
pub use build::{Builder, ImageOutcome, ImageState};
pub use environment::{
    Canary, INVALID_ENVIRONMENT, canary_first, is_canary, suspicion, suspicion_words, verdicts,
};
pub use estimate::Estimates;
pub use fallback::{Fallback, Reach, has_baseline};
pub use judge::VerdictRecord;
pub use many::Failures;
pub(crate) use many::SUBMITTED;
pub use pair::{Obstacle, Side};
pub use policy::{is_gated, level_step, policy};
pub use profile::{Profiled, diagnosed};

use crate::baseline::Store;
use crate::catalog::{Catalog, Model};
use crate::contract::Masker;
use crate::diagnostic::Diagnostic;
use crate::engine::{Cancel, orphans};
use crate::machine::Leases;
use crate::manifest::ManifestFile;
use crate::options::{Context, RunOptions};
use crate::plan::{Job, Plan, Planner, Skip};
use crate::progress::{Activity, Progress};
use crate::record::{self, CaseRecord, CaseStatus, RunDir, RunRecord, Stage};
use crate::results::Row;
use crate::schedule::{Grant, Limits, Scheduler};
use crate::source::worktree;
use crate::validate::Validator;

/// Name of the case that says whether the catalog's files can be read at all.
pub const CATALOG_CASE: &str = "catalog";

/// Kind of a case whose model was left out on purpose (`--skip-model-run`).
pub(crate) const SKIPPED_MODEL: &str = "skip-model-run";

/// One Run over one catalog. Shared between the threads of a process.
#[derive(Debug)]
pub struct Session<'a> {
    /// Decides what runs and what is skipped.
    pub planner: Planner<'a>,
    /// The static rules.
    pub validator: Arc<Validator<'a>>,
    /// The accepted numbers.
    pub store: Store,
    /// Ends everything.
    pub cancel: Cancel,
    dir: RunDir,
    leases: Leases,
    said: Arc<Said>,
    progress: Progress,
    /// The entry that this is about, for people who wait.
    activity: Activity,
    /// What the scheduler has leased for the entry that this is about.
    grant: Option<Grant>,
    /// What keys the records, where that is not the entry's id: a Cell of a sweep.
    cell: Option<String>,
    /// How often a Measurement that failed is made again.
    retries: u32,
    /// Whether the Run was begun by an earlier process.
    resumed: bool,
    /// Held for its lock: nobody else goes on with this Run meanwhile.
    _hold: Option<Arc<File>>,
}

/// What a Run has found out so far.
#[derive(Debug, Default)]
struct Said {
    cases: Mutex<Vec<CaseRecord>>,
    /// Rows of perf_entry_super.json, by the key of the Job.
    super_records: Mutex<IndexMap<String, Vec<Value>>>,
    /// Rows of perf.csv of each Cell, by the key of the Job.
    rows: Mutex<BTreeMap<String, BTreeMap<String, Vec<Row>>>>,
}

/// How one case ended, before it is timed and recorded.
#[derive(Clone, Debug)]
struct Outcome {
    status: CaseStatus,
    kind: &'static str,
    message: String,
    properties: Vec<(String, String)>,
}

impl Outcome {
    fn passed(message: impl Into<String>) -> Outcome {
        Outcome::new(CaseStatus::Passed, "", message)
    }

    fn failed(kind: &'static str, message: impl Into<String>) -> Outcome {
        Outcome::new(CaseStatus::Failed, kind, message)
    }

    fn ignored(kind: &'static str, message: impl Into<String>) -> Outcome {
        Outcome::new(CaseStatus::Ignored, kind, message)
    }

    fn new(status: CaseStatus, kind: &'static str, message: impl Into<String>) -> Outcome {
        Outcome { status, kind, message: message.into(), properties: Vec::new() }
    }

    /// The outcome of a case that was measured once per image: as bad as the worst of them,
    /// and says of each what it is about.
    fn of_images(mut outcomes: Vec<(String, Outcome)>) -> Outcome {
        if outcomes.len() == 1 {
            return outcomes.remove(0).1;
        }
        let rank = |o: &Outcome| match (o.status, o.kind) {
            (CaseStatus::Failed, "regression") => 0,
            (CaseStatus::Failed, _) => 1,
            (CaseStatus::Passed, _) => 2,
            (CaseStatus::Ignored, _) => 3,
        };
        // Stable: images of one rank stay in the order of their Dockerfiles.
        outcomes.sort_by_key(|(_, o)| rank(o));
        let (status, kind) =
            outcomes.first().map_or((CaseStatus::Ignored, "gate"), |(_, o)| (o.status, o.kind));
        let said = outcomes.iter().filter(|(_, o)| !o.message.is_empty());
        let said: Vec<String> = said.map(|(id, o)| format!("{id}: {}", o.message)).collect();
        // Of whom the properties are is said before them.
        let of_one = |(id, o): &(String, Outcome)| {
            let who = [("id", id.as_str()), ("status", o.status.word())];
            let who = who.map(|(key, value)| (key.to_owned(), value.to_owned()));
            who.into_iter().chain(o.properties.clone())
        };
        let properties = outcomes.iter().flat_map(of_one).collect();
        Outcome::new(status, kind, said.join("\n")).with(properties)
    }

    fn with(mut self, properties: Vec<(String, String)>) -> Outcome {
        self.properties = properties;
        self
    }
}

impl<'a> Session<'a> {
    /// Opens a Run: makes its directory and writes down what it is.
    ///
    /// # Errors
    /// When the run directory cannot be made.
    pub fn open(planner: Planner<'a>, cancel: Cancel, progress: Progress) -> Result<Session<'a>> {
        let dir = RunDir::open(&planner.options.run_dir, &record::run_id())?;
        Session::in_dir(dir, planner, cancel, progress)
    }

    /// Opens the Run of one side of a comparison, in the directory that both share.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn of_comparison(
        dir: RunDir,
        planner: Planner<'a>,
        cancel: Cancel,
        progress: Progress,
    ) -> Result<Session<'a>> {
        Session::in_dir(dir, planner, cancel, progress)
    }

    /// Goes on with a Run whose directory is there: what was measured is kept.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn in_dir(
        dir: RunDir,
        planner: Planner<'a>,
        cancel: Cancel,
        progress: Progress,
    ) -> Result<Session<'a>> {
        for line in orphans::reap(&orphans::directory(&planner.options.run_dir)) {
            tracing::warn!("{line}");
        }
        for left in worktree::abandoned(&planner.options.run_dir) {
            let path = left.path().display();
            match left.remove() {
                Ok(()) => tracing::warn!("removed {path}, which a killed comparison left behind"),
                Err(e) => tracing::warn!("a killed comparison left {path} behind: {e:#}"),
            }
        }
        let masker = planner.masker();
        dir.write_run(&RunRecord {
            schema: "mad-run/1".to_owned(),
            id: dir.id.clone(),
            started: record::now_ms(),
            command: std::env::args().map(|w| masker.mask_str(&w).into_owned()).collect(),
            root: planner.catalog.root.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: planner.machine.clone(),
            comparison: dir.is_comparison(),
        })?;
        Ok(Session {
            planner,
            validator: Arc::new(Validator::new(planner.catalog)),
            store: store(planner.catalog),
            cancel,
            dir,
            leases: Leases::new(Leases::default_dir()),
            said: Arc::default(),
            progress,
            activity: Activity::silent(),
            grant: None,
            cell: None,
            retries: 0,
            resumed: false,
            _hold: None,
        })
    }

    /// Opens a Run that nobody else goes on with meanwhile: a new one, or the one that is
    /// `resumed`. Measurements that failed are made again `retries` times.
    ///
    /// # Errors
    /// When the run directory cannot be made, is in use, or was begun by another version or
    /// on another machine.
    pub fn open_held(
        planner: Planner<'a>,
        cancel: Cancel,
        progress: Progress,
        resumed: Option<RunDir>,
        retries: u32,
    ) -> Result<Session<'a>> {
        let again = resumed.is_some();
        let dir = match resumed {
            Some(dir) => {
                resume::check(&dir, planner.machine)?;
                dir
            }
            None => RunDir::open(&planner.options.run_dir, &record::run_id())?,
        };
        let hold = Some(Arc::new(dir.hold()?));
        let session = Session::in_dir(dir, planner, cancel, progress)?;
        Ok(Session { retries, resumed: again, _hold: hold, ..session })
    }

    /// Whether this version, on this machine, can go on with what was begun in the directory.
    ///
    /// # Errors
    /// When it was begun by another version or on another machine.
    pub fn check_origin(&self) -> Result<()> {
        resume::check(&self.dir, self.planner.machine)
    }

    /// The same Run for one entry that the scheduler has leased its part of the machine for,
    /// planned by `planner`. `cell` keys its records instead of the entry's id.
    pub fn granted(
        &self,
        planner: Planner<'a>,
        grant: Grant,
        cell: Option<String>,
        activity: Activity,
    ) -> Session<'a> {
        Session { planner, grant: Some(grant), cell, ..self.of(activity) }
    }

    /// The same Run for what `activity` tells of.
    pub fn of(&self, activity: Activity) -> Session<'a> {
        Session {
            planner: self.planner,
            validator: Arc::clone(&self.validator),
            store: self.store.clone(),
            cancel: self.cancel.clone(),
            dir: self.dir.clone(),
            leases: self.leases.clone(),
            said: Arc::clone(&self.said),
            progress: self.progress.clone(),
            activity,
            grant: None,
            cell: None,
            retries: self.retries,
            resumed: self.resumed,
            _hold: self._hold.clone(),
        }
    }

    /// What tells people how this Run gets on.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What runs many entries of this Run where they cannot disturb each other.
    pub fn scheduler(&self, limits: Limits) -> Scheduler<'_> {
        Scheduler {
            machine: self.planner.machine,
            leases: &self.leases,
            cancel: &self.cancel,
            limits,
            owner: &self.dir.id,
            progress: &self.progress,
        }
    }

    /// What keys the records of an entry.
    fn key(&self, model: &Model) -> String {
        self.cell.clone().unwrap_or_else(|| model.id())
    }

    /// What keys the records of a Job: for a Cell, its id, and the image's part.
    fn job_key(&self, job: &Job) -> String {
        match &self.cell {
            Some(cell) => format!("{cell}{}", job.image_part()),
            None => job.id.clone(),
        }
    }

    /// The Run's directory.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Answers the question of `stage` about one entry, and records the answer.
    pub fn case(&self, stage: Stage, model: &Model) -> CaseRecord {
        let key = self.key(model);
        self.timed(stage.case(&key), stage, key, || match stage {
            Stage::Validate => Ok(self.validate(model)),
            Stage::Bench => self.bench(model),
            Stage::Regress => self.regress(model),
        })
    }

    fn timed(
        &self,
        name: String,
        stage: Stage,
        model: String,
        answer: impl FnOnce() -> Result<Outcome>,
    ) -> CaseRecord {
        let started = record::now();
        let clock = Instant::now();
        let outcome = answer().unwrap_or_else(|e| Outcome::failed("error", format!("{e:#}")));
        let case = CaseRecord {
            name,
            stage,
            model,
            status: outcome.status,
            kind: outcome.kind.to_owned(),
            message: outcome.message,
            started,
            duration_s: clock.elapsed().as_secs_f64(),
            properties: outcome.properties,
        };
        if let Err(e) = self.dir.write_case(&case) {
            tracing::error!("{e:#}");
        }
        lock(&self.said.cases).push(case.clone());
        case
    }

    /// Whether the files of the catalog can be read at all, as a case of its own.
    pub fn catalog_case(&self) -> CaseRecord {
        self.timed(CATALOG_CASE.to_owned(), Stage::Validate, CATALOG_CASE.to_owned(), || {
            let problems = self.planner.catalog.file_problems();
            let (errors, others): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
                problems.partition(|p| p.is_error());
            let text = |found: Vec<&Diagnostic>| {
                found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            };
            Ok(match errors.is_empty() {
                true => Outcome::passed(text(others)),
                false => Outcome::failed("invalid", text(errors)),
            })
        })
    }

    /// The cases so far, in the order they ended.
    pub fn cases(&self) -> Vec<CaseRecord> {
        lock(&self.said.cases).clone()
    }

    /// Looks at all verdicts together, and writes what is written at the end of a Run: JUnit, and
    /// perf_entry_super.json beside perf.csv if anything was measured.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(&self) -> Result<()> {
        self.look_at_all()?;
        let junit = self.planner.options.run_dir.join("junit.xml");
        crate::results::write_junit(&junit, &self.cases())?;
        let records = std::mem::take(&mut *lock(&self.said.super_records));
        let records: Vec<Value> = records.into_values().flatten().collect();
        if !records.is_empty() {
            let output = &self.planner.options.output;
            let path = output.with_file_name("perf_entry_super.json");
            record::write_json(&path, &records).context("the results are in perf.csv")?;
        }
        Ok(())
    }

    fn validate(&self, model: &Model) -> Outcome {
        let diagnostics = self.validator.model(model);
        let text: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        match diagnostics.iter().any(Diagnostic::is_error) {
            true => Outcome::failed("invalid", text.join("\n")),
            false => Outcome::passed(text.join("\n")),
        }
    }

    /// What stands before every measurement: an entry that is invalid fails, one
    /// that the gate holds back is skipped.
    fn obstacle(&self, model: &Model) -> Result<Vec<Job>, Outcome> {
        let diagnostics = self.validator.model(model);
        let errors: Vec<String> =
            diagnostics.iter().filter(|d| d.is_error()).map(ToString::to_string).collect();
        if !errors.is_empty() {
            let message = format!("the entry is not valid:\n{}", errors.join("\n"));
            return Err(Outcome::failed("invalid", message));
        }
        match self.planner.plan(model) {
            Plan::Run(_) if self.planner.options.plan => {
                let command = self.planner.command_for(model);
                Err(Outcome::ignored("plan", format!("planned only: {command}")))
            }
            Plan::Run(jobs) => Ok(jobs),
            Plan::Impossible(why) => Err(Outcome::failed("build", why)),
            Plan::Skip(skip) => Err(self.skipped(&skip)),
        }
    }

    fn skipped(&self, skip: &Skip) -> Outcome {
        if let Some(flag) = self.planner.demanded(skip) {
            return Outcome::failed("gate", format!("{skip} ({flag})"));
        }
        let command = ("command".to_owned(), skip.command.clone());
        Outcome::ignored("gate", skip.to_string()).with(vec![command])
    }
}

/// The catalog below `root` and the context of a Run: those of the manifest, where one is
/// given, with the user's context over its own.
///
/// # Errors
/// When the context or the manifest makes no sense.
pub fn inputs(root: &Path, options: &RunOptions) -> Result<(Catalog, Context)> {
    let context = Context::load(options)?;
    let Some(path) = &options.manifest else { return Ok((Catalog::load(root), context)) };
    ensure!(!options.images.clean, "--clean builds images anew, and --manifest builds none");
    let file = ManifestFile::read(path)?;
    let masker = Masker::new(file.secrets());
    for line in file.not_built() {
        tracing::warn!("{}: {}", path.display(), masker.mask_str(&line));
    }
    let catalog = Catalog::of_manifest(root, &file);
    let errors = catalog.file_problems().filter(|p| p.is_error()).map(ToString::to_string);
    let errors: Vec<String> = errors.collect();
    ensure!(errors.is_empty(), "{}", masker.mask_str(&errors.join("\n")));
    let restored = context.over(file.restored_context());
    Ok((catalog, restored.with_context(|| format!("{}: context", path.display()))?))
}

/// The baselines of a catalog.
pub fn store(catalog: &Catalog) -> Store {
    let dir: &Path = &catalog.config.baseline.dir;
    // `./baselines` says no more than `baselines`.
    let dir = if catalog.root == Path::new(".") { dir.to_owned() } else { catalog.root.join(dir) };
    Store::new(dir).with_window(catalog.config.baseline.window)
}

/// The data is whole even if a thread panicked while it held the lock: each change
/// is a single push.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
