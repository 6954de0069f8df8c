//! The run directory: what was measured, as it was measured.
//!
//! ```text
//! <run dir>/runs/<run id>/
//!     run.json                            when, where, by which command
//!     <model>/attempt-<n>/measurement.json    all Executions of one attempt
//!     <model>/attempt-<n>/execution-<n>/run.log   what the script printed
//!     <model>/attempt-<n>/execution-<n>/execution.json    what came of it
//!     <model>/verdict.json                what the gate said, confirmations included
//!     <model>/rejected.json               who does not want its numbers accepted, and why
//!     pool-<machine class>.json           the noise of all metrics that it judged with
//!     canary.json                         what the canary showed
//!     cases/<case>.json                   the outcome of each case
//!     rows/<entry>-attempt-<n>.json       what of it was appended to perf.csv
//!     run.lock                            held by the process that goes on with it
//!     sweep.json, perf_<cell>.csv, perf.csv   of a sweep: its Cells, and their rows
//! <run dir>/comparisons/<run id>/         what `mad compare` measured: no run of its own
//!     run.json, comparison.json
//!     <model>/base/…, <model>/candidate/…     as an attempt above
//! <run dir>/tunings/<run id>/             a search for a better configuration: no run either
//!     run.json, run.lock, tuning.json         written anew after every step
//!     <what>/base/…, <what>/candidate/…       as of a comparison: a candidate, or its second look
//! ```
//!
//! Every file is written once, whole (a rename makes it appear), and never changed:
//! whatever dies in between, what is there can be read.

mod atomic;
mod attempts;
mod types;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

pub use atomic::{write_atomically, write_json};
pub use attempts::{AttemptFiles, attempts};
pub(crate) use types::samples_by_key;
pub use types::{
    CaseRecord, CaseStatus, ExecutionRecord, MEASUREMENT_SCHEMA, Measurement, NodeRecord,
    Provenance, RunRecord, Stage,
};

use crate::lock::lock;
use crate::slug::slug;

/// Where the directories of comparisons are.
const COMPARISONS: &str = "comparisons";

/// Where the directories of searches for a better configuration are.
const TUNINGS: &str = "tunings";

/// One Run's directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Identity of the Run.
    pub id: String,
    path: PathBuf,
}

impl RunDir {
    /// The directory of run `id` below `base`, made if need be.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open(base: &Path, id: &str) -> Result<RunDir> {
        RunDir::make(base.join("runs"), id, "cases")
    }

    /// The directory of a Run that only builds, below `base`: beside those that measure,
    /// so that the latest of these stays the latest.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open_build(base: &Path, id: &str) -> Result<RunDir> {
        RunDir::make(base.join("builds"), id, "")
    }

    /// The directory of a comparison, below `base`: beside those of runs, whose numbers are
    /// accepted, reported and kept as history.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open_comparison(base: &Path, id: &str) -> Result<RunDir> {
        RunDir::make(base.join(COMPARISONS), id, "")
    }

    /// The directory of a search for a better configuration, below `base`: a series of
    /// comparisons.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open_tuning(base: &Path, id: &str) -> Result<RunDir> {
        RunDir::make(base.join(TUNINGS), id, "")
    }

    /// Whether it is that of a comparison, or of a search, which is made of comparisons.
    pub fn is_comparison(&self) -> bool {
        let parent = self.path.parent().and_then(Path::file_name);
        parent.is_some_and(|name| name == COMPARISONS || name == TUNINGS)
    }

    fn make(runs: PathBuf, id: &str, inner: &str) -> Result<RunDir> {
        let path = runs.join(slug(id));
        fs::create_dir_all(path.join(inner)).with_context(|| {
            format!(
                "cannot make the run directory {}; choose another with --run-dir or MAD_RUN_DIR",
                path.display()
            )
        })?;
        Ok(RunDir { id: id.to_owned(), path })
    }

    /// The directory of an existing run: `latest`, an id, or a path.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn find(base: &Path, name: &str) -> Result<RunDir> {
        let path = match name {
            "latest" => {
                let newest = RunDir::all(base)?.pop();
                return newest.with_context(|| {
                    format!("there are no runs in {}: measure first", base.display())
                });
            }
            _ if Path::new(name).join("run.json").is_file() => PathBuf::from(name),
            _ => base.join("runs").join(slug(name)),
        };
        let record: RunRecord = read_json(&path.join("run.json"))?.with_context(|| {
            format!("there is no run {name:?} below {}", base.join("runs").display())
        })?;
        ensure!(
            !record.comparison,
            "{} is a comparison of two sides, not a run: `mad benchmark` makes one",
            path.display()
        );
        Ok(RunDir { id: record.id, path })
    }

    /// All runs below `base`, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(base: &Path) -> Result<Vec<RunDir>> {
        let runs = base.join("runs");
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).with_context(|| format!("cannot list {}", runs.display())),
        };
        let mut found: Vec<(String, RunDir)> = entries
            .flatten()
            .filter_map(|e| {
                // A directory without a readable run.json is none of ours.
                let record: RunRecord = read_json(&e.path().join("run.json")).ok()??;
                let run = !record.comparison;
                run.then_some((record.started, RunDir { id: record.id, path: e.path() }))
            })
            .collect();
        found.sort_by(|a, b| (&a.0, &a.1.id).cmp(&(&b.0, &b.1.id)));
        Ok(found.into_iter().map(|(_, run)| run).collect())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of one entry.
    pub fn model(&self, id: &str) -> PathBuf {
        self.path.join(slug(id))
    }

    /// Writes `run.json` unless another process of the same Run has.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write_run(&self, record: &RunRecord) -> Result<()> {
        let path = self.path.join("run.json");
        if path.exists() { Ok(()) } else { write_json(&path, record) }
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// When it is missing or broken.
    pub fn read_run(&self) -> Result<RunRecord> {
        read_json(&self.path.join("run.json"))?.context("the run has no run.json")
    }

    /// Writes the outcome of a case, over that of an earlier attempt.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write_case(&self, case: &CaseRecord) -> Result<()> {
        write_json(&self.path.join("cases").join(format!("{}.json", slug(&case.name))), case)
    }

    /// The cases of the Run, in order of their names; broken records are errors.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn cases(&self) -> Result<Vec<CaseRecord>> {
        self.read_all(&self.path.join("cases"), |path| Some(path.to_owned()))
    }

    /// What the gate said about each entry of the Run.
    ///
    /// # Errors
    /// When a record is broken.
    pub fn verdicts<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        self.read_all(&self.path, |dir| dir.is_dir().then(|| dir.join("verdict.json")))
    }

    /// The newest Measurement of each entry of the Run.
    ///
    /// # Errors
    /// When a record is broken.
    pub fn measurements(&self) -> Result<Vec<Measurement>> {
        let all: Vec<Measurement> = self.read_all(&self.path, |dir| {
            let newest = newest_attempt(dir)?;
            Some(attempt_dir(dir, newest).join("measurement.json"))
        })?;
        all.iter().try_for_each(|m| self.check_format(m))?;
        Ok(all)
    }

    /// The newest Measurement of one entry of the Run.
    ///
    /// # Errors
    /// When the record is broken.
    pub fn measurement(&self, id: &str) -> Result<Option<Measurement>> {
        let dir = self.model(id);
        let Some(newest) = newest_attempt(&dir) else { return Ok(None) };
        let found = read_json(&attempt_dir(&dir, newest).join("measurement.json"))?;
        found.iter().try_for_each(|m| self.check_format(m))?;
        Ok(found)
    }

    fn check_format(&self, m: &Measurement) -> Result<()> {
        ensure!(
            m.schema == MEASUREMENT_SCHEMA,
            "the measurement of {} in run {} has the format {}, this version reads \
             {MEASUREMENT_SCHEMA}; measure again, or use the version that wrote it",
            m.id,
            self.id,
            m.schema
        );
        Ok(())
    }

    fn read_all<T: DeserializeOwned>(
        &self,
        dir: &Path,
        file: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Result<Vec<T>> {
        let entries =
            fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
        let mut paths: Vec<PathBuf> = entries.flatten().filter_map(|e| file(&e.path())).collect();
        paths.retain(|p| p.extension().is_some_and(|e| e == "json"));
        paths.sort();
        let records: Result<Vec<Option<T>>> = paths.iter().map(|p| read_json(p)).collect();
        Ok(records?.into_iter().flatten().collect())
    }

    /// Keeps this Run for this process alone, until the result is dropped.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be made.
    pub fn hold(&self) -> Result<File> {
        let path = self.path.join("run.lock");
        let file =
            File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                bail!("the run {} is still going on, in another process", self.id)
            }
            Err(TryLockError::Error(e)) => {
                Err(e).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// The file that says what was appended to perf.csv for `what`.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn rows_note(&self, what: &str) -> Result<PathBuf> {
        let dir = self.path.join("rows");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir.join(format!("{}.json", slug(what))))
    }

    /// The file of rows of a Cell.
    pub fn cell_csv(&self, cell: &str) -> PathBuf {
        self.path.join(format!("perf_{cell}.csv"))
    }

    /// Holds the entry `id` of this Run for one thread of one process: bench and
    /// regress share a Measurement, and whichever comes first makes it. Gives up
    /// when `cancelled` says so.
    ///
    /// # Errors
    /// When the lock file cannot be made, or on cancellation.
    pub fn lock(&self, id: &str, cancelled: &dyn Fn() -> bool) -> Result<ModelLock> {
        let dir = self.model(id);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let file = lock(&dir.join("lock"), File::try_lock, cancelled, || ())?;
        Ok(ModelLock { _file: file, dir })
    }
}

/// One entry of one Run, held by this thread; released on drop.
#[derive(Debug)]
pub struct ModelLock {
    _file: File,
    dir: PathBuf,
}

impl ModelLock {
    /// The newest attempt and its Measurement, if there is one.
    ///
    /// # Errors
    /// When the record is broken.
    pub fn newest(&self) -> Result<Option<Measurement>> {
        match newest_attempt(&self.dir) {
            Some(n) => read_json(&attempt_dir(&self.dir, n).join("measurement.json")),
            None => Ok(None),
        }
    }

    /// All Measurements, whether or not they have numbers.
    ///
    /// # Errors
    /// When a record is broken.
    pub fn finished(&self) -> Result<Vec<Measurement>> {
        let attempts = fs::read_dir(&self.dir)?.flatten();
        let files = attempts.map(|e| e.path().join("measurement.json"));
        files
            .filter(|file| file.is_file())
            .filter_map(|file| read_json(&file).transpose())
            .collect()
    }

    /// The latest attempt without a Measurement, which a process left, and its number. There is
    /// none if a later one has a Measurement.
    pub fn unfinished(&self) -> Option<(u32, PathBuf)> {
        let mut n = newest_attempt(&self.dir).unwrap_or(0) + 1;
        while attempt_dir(&self.dir, n + 1).exists() {
            n += 1;
        }
        let dir = attempt_dir(&self.dir, n);
        dir.exists().then_some((n, dir))
    }

    /// A fresh directory for the next attempt, and its number, from 1. One that a
    /// killed process left unfinished is kept and passed over.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn next_attempt(&self) -> Result<(u32, PathBuf)> {
        let mut n = newest_attempt(&self.dir).unwrap_or(0) + 1;
        while attempt_dir(&self.dir, n).exists() {
            n += 1;
        }
        let dir = attempt_dir(&self.dir, n);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok((n, dir))
    }

    /// Where the Verdict of the entry goes.
    pub fn verdict(&self) -> PathBuf {
        self.dir.join("verdict.json")
    }
}

fn attempt_dir(model: &Path, n: u32) -> PathBuf {
    model.join(format!("attempt-{n}"))
}

/// The highest attempt that has a Measurement.
fn newest_attempt(model: &Path) -> Option<u32> {
    fs::read_dir(model)
        .ok()?
        .flatten()
        .filter(|e| e.path().join("measurement.json").is_file())
        .filter_map(|e| e.file_name().to_str()?.strip_prefix("attempt-")?.parse().ok())
        .max()
}

/// Reads a record; `None` if there is no such file.
///
/// # Errors
/// When it cannot be read, or is no record of the wanted kind.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    let record = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not a record of this version", path.display()))?;
    Ok(Some(record))
}

/// The id of this process's Run: nextest's, which all its processes share, or a new
/// one, made of the time and the process id.
pub fn run_id() -> String {
    if let Ok(id) = std::env::var("NEXTEST_RUN_ID") {
        return id;
    }
    let stamp = OffsetDateTime::now_utc()
        .format(format_description!(
            "[year][month][day]T[hour][minute][second].[subsecond digits:3]Z"
        ))
        .unwrap_or_default();
    format!("{stamp}-{}", std::process::id())
}

/// The time now, seconds of the Unix epoch.
pub fn unix_s() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// The time now to the millisecond, RFC 3339, UTC, always with as many digits: sorted as text
/// these are in the order in which they were taken. Two Runs can begin within a second.
pub fn now_ms() -> String {
    OffsetDateTime::now_utc()
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .unwrap_or_default()
}

/// The time now, RFC 3339, UTC.
pub fn now() -> String {
    OffsetDateTime::now_utc()
        .replace_nanosecond(0)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(&Rfc3339)
        .unwrap_or_default()
}
