//! `mad merge`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{Exit, Global, sweep};
use crate::sweep::{merge, synthesis};

/// Join the shards of a sweep into one run and report.
#[derive(Args, Debug)]
#[command(after_help = "\
A cell that is in several is taken from the first that has a number, and told. Sweeps of two
versions of mad, or of two versions of an entry, are not mixed.

Examples:
  mad merge shard-1 shard-2 shard-3            run directories that runners uploaded
  mad merge artifacts/*/runs/*                 the same, by a pattern of the shell")]
pub(super) struct Merge {
    /// Run directories of sweeps
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Where the run that they become goes
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

impl Merge {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let (run, told) = merge(&self.dirs, &self.run_dir)?;
        for line in told {
            eprintln!("warning: {line}");
        }
        let report = synthesis(&run)?;
        sweep::write_forms(&run, &report)?;
        let exit = sweep::exit_of(&report, None);
        sweep::finish(global, &report, &run, exit)
    }
}
