//! `mad sweep`.

use anyhow::{Result, bail, ensure};
use clap::Args;

use super::resume::{self, ResumeOptions};
use super::{Command, Exit, Global, print, print_json};
use crate::catalog::{Catalog, Model, split_commas};
use crate::engine::{Cancel, slurm};
use crate::options::RunOptions;
use crate::record::{RunDir, write_atomically, write_json};
use crate::run::Session;
use crate::schedule::Limits;
use crate::sweep::{
    Axis, Cell, Matrix, Shard, Sweep, SweepPlan, Synthesis, Unresolved, cells, html, markdown,
    synthesis, text,
};

/// Measure a matrix of entries, GPU counts and values in the context.
#[derive(Args, Debug)]
#[command(after_help = "\
Cells run at the same time where they cannot disturb each other: each has its GPUs for itself,
CPU entries have the CPU. Precision is no axis: it belongs to the entry.
Each cell leaves perf_<cell>.csv in the run directory, all of them perf.csv, sweep.md,
sweep.html and sweep-report.json there.

Examples:
  mad sweep --tags vllm,sglang --ngpus 1,4,8
  mad sweep --tags cpu --axis docker_env_vars.MAD_MODEL_BATCH_SIZE=8,16
  mad sweep --tags vllm --ngpus 1,8 --plan --machine 8xmi300x.json   how long it would take
  mad sweep --resume latest --retry-failed 1    go on with what was interrupted or failed
  mad sweep --tags vllm --shard 2/4             one of four runners; then: mad merge DIR…")]
pub(super) struct SweepCommand {
    /// Names, tags, `scope/tag` or `name:arg=value`
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// Vary a value in the context; repeatable, all combinations are measured
    #[arg(long, value_name = "KEY=VALUE,VALUE")]
    axis: Vec<String>,
    /// One cell after the other
    #[arg(long)]
    serial: bool,
    /// Measure N of the cells again, alone, and say whether their numbers shift
    #[arg(long, value_name = "N", default_value = "0")]
    verify_isolation: u32,
    /// Only the cells of part I of N; which these are follows from their ids alone
    #[arg(long, value_name = "I/N", env = "MAD_SHARD")]
    shard: Option<Shard>,
    #[command(flatten)]
    resume: ResumeOptions,
    #[command(flatten)]
    pub(super) options: RunOptions,
}

impl SweepCommand {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let Some(run) = self.resume.find(&self.options.run_dir)? else {
            return self.measure(global, None);
        };
        ensure!(
            self.words.is_empty() && self.options.tags.is_empty() && self.axis.is_empty(),
            "--resume goes on with the cells of {}: leave out tags and axes",
            run.id
        );
        let Command::Sweep(mut then) = resume::command_of(&run, &self.options)? else {
            bail!("the run {} is no sweep: `mad benchmark --resume {}`", run.id, run.id);
        };
        then.resume = self.resume.clone();
        then.serial |= self.serial;
        then.measure(global, Some(run))
    }

    pub(super) fn measure(&self, global: &Global, resumed: Option<RunDir>) -> Result<Exit> {
        let axes: Vec<Axis> = self.axis.iter().map(|a| Axis::parse(a)).collect::<Result<_>>()?;
        // The counts are an axis; the sweep as a whole has none.
        let options = RunOptions { ngpus: Vec::new(), ..self.options.clone() };
        let planner = match super::planner(global, &options)? {
            Ok(planner) => planner,
            Err(exit) => return Ok(exit),
        };
        let (models, unresolved) = self.resolve(planner.catalog)?;
        let matrix = Matrix { models, ngpus: self.options.ngpus.clone(), axes };
        let mut all = cells(&matrix, planner.options, planner.context)?;
        let whole = all.len();
        all.retain(|cell| self.shard.is_none_or(|shard| shard.holds(&cell.id)));
        let mut limits = Limits { serial: self.serial, ..Limits::default() };
        if matrix.models.iter().any(|model| planner.is_for_slurm(model)) {
            limits.elsewhere = slurm::at_once();
        }
        if self.options.plan {
            let plan = SweepPlan::new(&planner, &all, &unresolved, self.shard, limits);
            return print_plan(global, &plan);
        }
        let cells: &'static [Cell] = Box::leak(all.into_boxed_slice());
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let again = self.resume.retry_failed;
        let progress = super::progress(global, planner.options.live_output);
        let session = Session::open_held(planner, cancel, progress, resumed, again)?;
        if let Some(shard) = self.shard {
            session.progress().say(&format!("shard {shard}: {} of {whole} cells", cells.len()));
        }
        let stop = self.resume.failures();
        let sweep = Sweep { session: &session, cells, unresolved: &unresolved, shard: self.shard };
        let ran = sweep.run(limits, &stop, self.verify_isolation);
        session.finish()?;
        let report = synthesis(session.dir())?;
        write_forms(session.dir(), &report)?;
        ran?;
        let mut exit = super::benchmark::exit_of(&session.cases());
        if session.cancel.is_cancelled() {
            eprintln!("error: interrupted; go on with `mad sweep --resume {}`", report.run);
            exit = exit.max(Exit::RunFailed);
        } else if report.counts.not_run > 0 {
            eprintln!(
                "error: stopped after so many failures; go on with `mad sweep --resume {}`",
                report.run
            );
            exit = exit.max(Exit::RunFailed);
        }
        finish(global, &report, session.dir(), exit.max(exit_of(&report, self.shard)))
    }

    /// The entries, and the tags that match none.
    fn resolve(&self, catalog: &Catalog) -> Result<(Vec<Model>, Vec<Unresolved>)> {
        let tags = self.words.iter().chain(&self.options.tags);
        let tags: Vec<&str> = tags.flat_map(|t| split_commas(t)).collect();
        let (mut good, mut unresolved) = (Vec::new(), Vec::new());
        let mut trouble = None;
        for tag in &tags {
            match catalog.select(&[tag]) {
                Ok(_) => good.push(*tag),
                Err(e) => {
                    let reason = e.to_string();
                    unresolved.push(Unresolved { tag: (*tag).to_owned(), reason });
                    trouble = Some(e);
                }
            }
        }
        match trouble {
            // Nothing at all is an error like that of every command.
            Some(_) if good.is_empty() => Err(catalog
                .select(&tags)
                .err()
                .map_or_else(|| anyhow::anyhow!("no tag matches anything"), anyhow::Error::from)),
            _ => Ok((catalog.select(&good)?, unresolved)),
        }
    }
}

/// What the Cells mean for the exit status, apart from those that failed.
pub(super) fn exit_of(report: &Synthesis, shard: Option<Shard>) -> Exit {
    let counts = &report.counts;
    if counts.unresolved > 0 {
        return Exit::NoMatch;
    }
    if counts.failed > 0 || counts.not_run > 0 {
        return Exit::RunFailed;
    }
    // A part of few Cells may be empty.
    let empty = counts.cells == 0 && shard.is_some();
    if counts.passed == 0 && !empty {
        eprintln!("error: nothing was measured: every cell was skipped");
        return Exit::Findings;
    }
    Exit::Ok
}

/// Writes the synthesis in all its forms beside the records.
pub(super) fn write_forms(run: &RunDir, report: &Synthesis) -> Result<()> {
    let path = |name: &str| run.path().join(name);
    write_json(&path("sweep-report.json"), report)?;
    write_atomically(&path("sweep.md"), markdown(report).as_bytes())?;
    write_atomically(&path("sweep.html"), html(report).as_bytes())
}

/// Prints the synthesis.
pub(super) fn finish(
    global: &Global,
    report: &Synthesis,
    run: &RunDir,
    exit: Exit,
) -> Result<Exit> {
    if global.json {
        let mut document = serde_json::to_value(report)?;
        document["exit"] = exit.code().into();
        print_json(&document)?;
    } else {
        print(&format!("{}\nresults: {}\n", text(report), run.path().display()))?;
    }
    Ok(exit)
}

fn print_plan(global: &Global, plan: &SweepPlan) -> Result<Exit> {
    let impossible = plan.cells.iter().any(|cell| cell.plan == "impossible");
    let exit = if impossible || !plan.unresolved.is_empty() { Exit::NoMatch } else { Exit::Ok };
    if global.json {
        print_json(&serde_json::to_value(plan)?)?;
        return Ok(exit);
    }
    let mut out = String::new();
    for cell in &plan.cells {
        out.push_str(&format!("{:<10} {}\n           {}\n", cell.plan, cell.id, cell.command));
        if let Some(reason) = &cell.reason {
            out.push_str(&format!("           {}\n", reason.replace('\n', "\n           ")));
        }
        if let (Some(start), Some(estimate)) = (cell.start_s, cell.estimate_s) {
            let gpus = cell.n_gpus;
            out.push_str(&format!(
                "           {gpus} GPUs, from {start:.1} s for about {estimate:.1} s\n"
            ));
        }
    }
    for tag in &plan.unresolved {
        out.push_str(&format!("unresolved {}\n           {}\n", tag.tag, tag.reason));
    }
    out.push_str(&format!(
        "\n{} cells: about {:.1} s, one after the other {:.1} s",
        plan.cells.len(),
        plan.makespan_s,
        plan.serial_s
    ));
    if plan.guessed > 0 {
        out.push_str(&format!(
            "; {} of them were never measured, their times are guesses",
            plan.guessed
        ));
    }
    out.push('\n');
    print(&out)?;
    Ok(exit)
}
