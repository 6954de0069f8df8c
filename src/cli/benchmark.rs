//! `mad benchmark`.

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::json;

use super::resume::{self, ResumeOptions};
use super::{Command, Exit, Global, print, print_json, report, select};
use crate::engine::Cancel;
use crate::options::RunOptions;
use crate::record::{CaseRecord, CaseStatus, RunDir, Stage};
use crate::report::Rules;
use crate::results::explain;
use crate::run::{SKIPPED_MODEL, SUBMITTED, Session, verdicts};
use crate::schedule::Limits;

/// Run entries, judge them, write the results.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  mad benchmark                        every entry that can run here
  mad benchmark cpu --samples 5        entries with the tag `cpu`, five executions each
  mad benchmark --until decided --budget 2h   more executions where a verdict is in doubt
  mad benchmark rust_gemm:size=512     one entry, with ` --size 512` added to its args
  mad benchmark vllm --plan            what would run, and the command for elsewhere
  mad benchmark -m build_manifest.json the images that `mad build` made elsewhere")]
pub(super) struct Benchmark {
    /// Names, tags, `scope/tag` or `name:arg=value`; all entries without
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// Print every number behind the verdicts
    #[arg(long)]
    explain: bool,
    /// Submit Slurm jobs and leave; `mad attach` collects them
    #[arg(long)]
    detach: bool,
    /// Measure entries at the same time where they cannot disturb each other
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    resume: ResumeOptions,
    #[command(flatten)]
    options: RunOptions,
}

impl Benchmark {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        if let Some(run) = self.resume.find(&self.options.run_dir)? {
            let Command::Benchmark(mut then) = resume::command_of(&run, &self.options)? else {
                bail!("the run {} is none of `mad benchmark`", run.id);
            };
            then.resume = self.resume.clone();
            then.detach = self.detach;
            return then.measure(global, Some(run));
        }
        self.measure(global, None)
    }

    /// Makes it wait for what it submits.
    pub(super) fn wait(&mut self) {
        self.detach = false;
    }

    pub(super) fn options_mut(&mut self) -> &mut RunOptions {
        &mut self.options
    }

    /// Runs entries in a Run of its own, or goes on with one.
    pub(super) fn measure(&self, global: &Global, resumed: Option<RunDir>) -> Result<Exit> {
        let options = &self.options;
        ensure!(
            options.until.is_some() || options.max_samples.is_none() && options.budget.is_none(),
            "--max-samples and --budget bound what `--until decided` spends: add that, or say \
             how often each entry is executed with --samples"
        );
        let planner = match super::planner(global, options)? {
            Ok(planner) => planner,
            Err(exit) => return Ok(exit),
        };
        let catalog = planner.catalog;
        let models = select(catalog, &self.words, &options.tags)?;
        if options.plan {
            return super::plan::print_plan(global, &planner, &models);
        }
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let again = self.resume.retry_failed;
        let progress = super::progress(global, planner.options.live_output);
        let session = Session::open_held(planner, cancel, progress, resumed, again)?;
        let limits = Limits { serial: !self.parallel, ..Limits::default() };
        let stop = self.resume.failures();
        match self.detach {
            true => session.submit(&models)?,
            false => session.run(models.clone(), limits, &stop)?,
        }
        session.finish()?;
        let cases = session.cases();
        let mut exit = exit_of(&cases);
        if session.cancel.is_cancelled() {
            eprintln!("error: interrupted: {} of {} entries done", cases.len() / 2, models.len());
            exit = exit.max(Exit::RunFailed);
        } else if stop.enough() {
            eprintln!(
                "error: stopped after so many failures: {} of {} entries done; go on with \
                 `mad benchmark --resume {}`",
                cases.iter().filter(|c| c.stage == Stage::Bench).count(),
                models.len(),
                session.dir().id
            );
            exit = exit.max(Exit::RunFailed);
        } else if exit == Exit::Ok && !cases.iter().any(did_what_was_asked) {
            eprintln!("error: nothing was measured: every entry was skipped");
            exit = Exit::Findings;
        }
        if global.json {
            let run = &session.dir().id;
            let document = json!({ "schema": "mad-benchmark/1", "run": run, "exit": exit.code(), "cases": cases });
            print_json(&document)?;
        } else {
            print(&report::of_run(session.dir(), &Rules::new(catalog))?)?;
            if self.explain {
                print(&explain(&verdicts(session.dir())?))?;
            }
            let junit = options.run_dir.join("junit.xml");
            print(&format!(
                "results: {}, {}\nrecords: {}\n",
                options.output.display(),
                junit.display(),
                session.dir().path().display()
            ))?;
        }
        Ok(exit)
    }
}

/// Whether a number was measured, or the model left out or not waited for because the user said
/// so.
pub(super) fn did_what_was_asked(case: &CaseRecord) -> bool {
    let asked =
        case.status == CaseStatus::Passed || [SKIPPED_MODEL, SUBMITTED].contains(&&*case.kind);
    case.stage == Stage::Bench && asked
}

/// The exit status that the failed ones of `cases` mean.
pub(super) fn exit_of(cases: &[CaseRecord]) -> Exit {
    let failed = |c: &&CaseRecord| c.status == CaseStatus::Failed;
    let worst = cases.iter().filter(failed).map(|c| match c.kind.as_str() {
        "regression" => Exit::Regression,
        "baseline" => Exit::Usage,
        "build" => Exit::NoMatch,
        "no-baseline" => Exit::Findings,
        _ => Exit::RunFailed,
    });
    worst.max().unwrap_or_default()
}
