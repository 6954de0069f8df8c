//! `mad benchmark`.

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use super::{Exit, Global, print, print_json, report, select};
use crate::engine::Cancel;
use crate::options::RunOptions;
use crate::record::{CaseRecord, CaseStatus, Stage};
use crate::report::Rules;
use crate::results::explain;
use crate::run::{SKIPPED_MODEL, Session, canary_first, verdicts};

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
    /// Measure entries at the same time where they cannot disturb each other
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    options: RunOptions,
}

impl Benchmark {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
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
        let session = Session::open(planner, cancel, !global.quiet)?;
        session.run(canary_first(&catalog.config, models.clone()), self.parallel)?;
        session.finish()?;
        let cases = session.cases();
        let mut exit = exit_of(&cases);
        if session.cancel.is_cancelled() {
            eprintln!("error: interrupted: {} of {} entries done", cases.len() / 2, models.len());
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

/// Whether a number was measured, or the model left out because the user said so.
pub(super) fn did_what_was_asked(case: &CaseRecord) -> bool {
    case.stage == Stage::Bench && (case.status == CaseStatus::Passed || case.kind == SKIPPED_MODEL)
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
