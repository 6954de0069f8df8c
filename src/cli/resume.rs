//! `--resume RUN` and what goes with it.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::{Cli, Command};
use crate::options::RunOptions;
use crate::record::RunDir;
use crate::run::Failures;

/// What happens to what failed, and to a run that ended early.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Failures and interruptions")]
pub(super) struct ResumeOptions {
    /// Go on with this run (an id, a directory, `latest`): what is measured stays, the rest is
    /// measured with the flags of then
    #[arg(long, value_name = "RUN")]
    pub(super) resume: Option<String>,
    /// Measure what failed up to N times more
    #[arg(long, value_name = "N", default_value = "0")]
    pub(super) retry_failed: u32,
    /// Start nothing more after N failures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_failures: Option<u32>,
    /// Start nothing more after the first failure
    #[arg(long, conflicts_with = "max_failures")]
    pub(super) fail_fast: bool,
}

impl ResumeOptions {
    /// The run to go on with.
    pub(super) fn find(&self, base: &Path) -> Result<Option<RunDir>> {
        self.resume.as_ref().map(|name| RunDir::find(base, name)).transpose()
    }

    /// When there are enough failures.
    pub(super) fn failures(&self) -> Failures {
        Failures::up_to(if self.fail_fast { Some(1) } else { self.max_failures })
    }
}

/// The command that began the run, with what its records must not hold (a context with
/// secrets) from `now`.
pub(super) fn command_of(run: &RunDir, now: &RunOptions) -> Result<Command> {
    let words = run.read_run()?.command;
    let line = shell_words::join(&words);
    let cli = crate::options::parse::<Cli>(words.into_iter().map(OsString::from))
        .with_context(|| format!("the run {} was begun by `{line}`", run.id))?;
    let mut command = cli.command;
    let options = match &mut command {
        Command::Benchmark(c) => c.options_mut(),
        Command::Sweep(c) => &mut c.options,
        _ => bail!("the run {} was begun by `{line}`, which cannot be resumed", run.id),
    };
    options.run_dir.clone_from(&now.run_dir);
    if now.additional_context.is_some() {
        options.additional_context.clone_from(&now.additional_context);
    } else if options.additional_context.as_ref().is_some_and(|c| c.contains("***")) {
        bail!(
            "the context of the run {} held secrets, which no record has: give it again with \
             --additional-context",
            run.id
        );
    }
    Ok(command)
}
