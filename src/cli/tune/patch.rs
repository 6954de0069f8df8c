//! The recommendation of a search as a patch.

use std::path::Path;

use anyhow::Result;

use crate::plan::{Job, Planner};
use crate::record;
use crate::tune::{self, Tuning};

/// Writes what is recommended as a patch, and says what is not in it.
pub(super) fn write_patch(
    path: &Path,
    planner: &Planner<'_>,
    job: &Job,
    done: &Tuning,
    quiet: bool,
) -> Result<()> {
    let Some(best) = &done.recommendation else {
        eprintln!("note: nothing is recommended: {} is not written", path.display());
        return Ok(());
    };
    let patch = tune::patch(planner, job, &best.changes)?;
    for remark in &patch.remarks {
        eprintln!("note: {remark}");
    }
    if patch.diff.is_empty() {
        eprintln!("note: there is nothing to patch: {} is not written", path.display());
        return Ok(());
    }
    record::write_atomically(path, patch.diff.as_bytes())?;
    if !quiet {
        eprintln!("note: {} has the patch: `git apply` makes the change", path.display());
    }
    Ok(())
}
