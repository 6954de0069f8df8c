//! Jobs that no process waits for.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::dir::JobDir;
use super::program;
use crate::record::RunDir;

/// A job whose numbers nobody has collected, or what is left of one.
#[derive(Debug)]
pub struct LeftJob {
    /// Its id; nothing if it was not submitted, as far as is known.
    pub job: Option<String>,
    /// The run it belongs to.
    pub run: String,
    /// Whether a process of that run waits for it.
    pub watched: bool,
    dir: JobDir,
}

/// The jobs of all Runs below `run_dir`.
pub fn left_jobs(run_dir: &Path) -> Vec<LeftJob> {
    let mut found = Vec::new();
    for run in RunDir::all(run_dir).unwrap_or_default() {
        for model in directories(run.path()) {
            let attempts = directories(&model).into_iter();
            // One with a measurement is done, and what is left of it was kept on purpose.
            for attempt in attempts.filter(|dir| !dir.join("measurement.json").exists()) {
                for (dir, note) in JobDir::all(&attempt).unwrap_or_default() {
                    found.push(LeftJob {
                        job: note.job.or_else(|| dir.begun_as()),
                        run: run.id.clone(),
                        watched: is_locked(&model.join("lock")),
                        dir,
                    });
                }
            }
        }
    }
    found
}

impl LeftJob {
    /// Ends the job and removes its directory.
    ///
    /// # Errors
    /// When Slurm does not end it, or the directory stays.
    pub fn remove(&self) -> Result<(), String> {
        if let Some(job) = &self.job {
            program::cancel(job).map_err(|e| e.to_string())?;
        }
        self.dir.remove().map_err(|e| format!("{}: {e}", self.dir.path.display()))
    }
}

fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}
