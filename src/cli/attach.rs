//! `mad attach`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::{Command, Exit, Global, resume};
use crate::options::RunOptions;
use crate::record::RunDir;

/// Collect a run whose Slurm jobs outlived it, and finish it.
#[derive(Args, Debug)]
#[command(after_help = "\
For runs on a Slurm cluster: of `mad benchmark --detach`, and of a `mad` that was killed. Jobs that
go on are waited for, what they measured is recorded as if the run had never ended, and what it
had not begun is begun. Nothing is measured twice. `--resume` of the command that began the run
does the same. Call it where the run was started, with the same MAD_* variables.

Examples:
  mad attach latest        the last run
  mad attach RUN --json    one run, as `mad benchmark --json` prints it")]
pub(super) struct Attach {
    /// Id of the run, its directory, or `latest`
    #[arg(value_name = "RUN")]
    run: String,
    /// The run's context again, if it held secrets, which no record has
    #[arg(
        long,
        short = 'c',
        value_name = "JSON",
        env = "MAD_ADDITIONAL_CONTEXT",
        hide_env_values = true
    )]
    additional_context: Option<String>,
    /// Where runs are
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

impl Attach {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let dir = RunDir::find(&self.run_dir, &self.run)?;
        let now = RunOptions {
            run_dir: self.run_dir.clone(),
            additional_context: self.additional_context.clone(),
            ..RunOptions::default()
        };
        match resume::command_of(&dir, &now)? {
            Command::Benchmark(mut then) => {
                then.wait();
                then.measure(global, Some(dir))
            }
            Command::Sweep(then) => then.measure(global, Some(dir)),
            _ => bail!("run {} is none of `mad benchmark` and `mad sweep`", dir.id),
        }
    }
}
