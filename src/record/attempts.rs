//! Where the records of a run directory are, for those who read many of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One attempt that has a Measurement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptFiles {
    /// The directory of the entry.
    pub entry: PathBuf,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// `measurement.json`, which is there.
    pub measurement: PathBuf,
    /// `verdict.json` of the entry, which may be missing.
    pub verdict: PathBuf,
}

/// The attempts below the run directory `run` that have a Measurement, by entry and number.
///
/// # Errors
/// When a directory cannot be read.
pub fn attempts(run: &Path) -> io::Result<Vec<AttemptFiles>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        for attempt in fs::read_dir(entry.path())? {
            let attempt = attempt?;
            let name = attempt.file_name();
            let number = name.to_str().and_then(|n| n.strip_prefix("attempt-")?.parse().ok());
            let measurement = attempt.path().join("measurement.json");
            if let Some(attempt) = number
                && measurement.is_file()
            {
                let verdict = entry.path().join("verdict.json");
                found.push(AttemptFiles { entry: entry.path(), attempt, measurement, verdict });
            }
        }
    }
    found.sort();
    Ok(found)
}
