//! Going on with a Run that ended early.

use anyhow::{Result, ensure};

use crate::machine::Machine;
use crate::record::RunDir;

/// Whether this version, on this machine, can go on with the Run.
pub(super) fn check(dir: &RunDir, machine: &Machine) -> Result<()> {
    let run = dir.read_run()?;
    ensure!(
        run.version == env!("CARGO_PKG_VERSION"),
        "the run {} was begun by version {}, this is {}: go on with that version, or measure anew",
        run.id,
        run.version,
        env!("CARGO_PKG_VERSION")
    );
    let breaking = run.machine.differences(machine).into_iter().filter(|d| d.breaking);
    let differences: Vec<String> =
        breaking.map(|d| format!("{} {} there, {} here", d.what, d.ours, d.theirs)).collect();
    ensure!(
        differences.is_empty(),
        "the run {} was begun on another machine: {}",
        run.id,
        differences.join("; ")
    );
    Ok(())
}
