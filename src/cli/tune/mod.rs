//! `mad tune-search` and `mad tune`.

mod patch;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};

use super::compare::{FALSE_ALARMS, MAX_SAMPLES, share};
use super::{Exit, Global, print, print_json, select};
use crate::catalog::{Model, split_commas};
use crate::compare::{FEWEST_PAIRS, Stop};
use crate::engine::Cancel;
use crate::history::{History, Lessons};
use crate::options::{Context, RunOptions};
use crate::plan::{Job, Planner};
use crate::profile::tool::{Registry, default_tool};
use crate::record::{self, RunDir};
use crate::run::Session;
use crate::tune::{self, Goal, Phase, Request, Search, Strategy, Tuning, TuningReport};
use crate::validate::Validator;

/// Candidates of `mad tune-search`, where nobody says otherwise.
const CANDIDATES: u8 = 4;

/// Find a better configuration of an entry: profile once, try one change at a time, measure
/// what looks better afresh.
#[derive(Args, Debug)]
#[command(after_help = "\
Baseline, diagnosis, candidates, comparison, verification. Nothing that you wrote is edited; what is
recommended was measured in turn with the entry as it is, twice, without a profiler. No perf.csv,
baseline or run is written: each candidate has its rows in perf_tune_<id>.csv.

Exit status:
  0 done, also when nothing is better · 1 nothing to try, or the time was not enough ·
  2 no such entry · 3 the entry as it is fails, or interrupted · 4 invalid arguments

Examples:
  mad tune-search pyt_vllm_qwen3-8b               what its stack and its entry suggest
  mad tune-search --tag rust_gemm --candidates 8 --budget 2h
  mad tune-search rust_gemm --plan --trace trace.json.gz   what would be tried, and how by hand
  mad tune-search rust_gemm --resume 20261125T220007.635Z-15717")]
pub(super) struct TuneSearch {
    #[command(flatten)]
    common: Common,
}

/// Measure, change, measure: keep what helps, drop what does not.
#[derive(Args, Debug)]
#[command(after_help = "\
greedy tries one change after the other on top of what was kept. halving measures all of them a
little and the better half more. Both end with a fresh comparison with the entry as it is; see
`mad tune-search --help` for the rules and exit statuses.

Examples:
  mad tune rust_gemm
  mad tune rust_gemm --strategy halving --candidates 8 --budget 2h")]
pub(super) struct Tune {
    /// How candidates are chosen
    #[arg(long, value_enum, default_value = "greedy")]
    strategy: TuneStrategy,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TuneStrategy {
    /// One after the other, on top of what was kept
    Greedy,
    /// All a little, the better half more
    Halving,
}

/// What both commands take.
#[derive(Args, Debug)]
struct Common {
    /// The entry: its name, or a tag that only it has
    #[arg(value_name = "MODEL", required_unless_present_any = ["tag", "tags"])]
    words: Vec<String>,
    /// The same
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    tag: Vec<String>,
    /// Candidates at most, 1 to 8 [default: 4; `mad tune` goes on until there are no more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    candidates: Option<u8>,
    /// What shall become better [default: the entry's primary metric]
    #[arg(long, value_enum)]
    target: Option<Goal>,
    /// What is attached to find out what holds the entry back; several, comma-separated
    /// [default: `tools` of the context, else by the entry's GPUs]
    #[arg(
        long = "profile-tool",
        value_name = "T",
        value_delimiter = ',',
        conflicts_with = "trace"
    )]
    tools: Vec<String>,
    /// Read this trace instead of profiling
    #[arg(long, value_name = "PATH")]
    trace: Option<PathBuf>,
    /// Try what may change the answer although no metric shows it
    #[arg(long)]
    allow_numerics: bool,
    /// Smallest gain that counts: `2%` or `0.02` [default: 2%]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_effect: Option<f64>,
    /// Order of the executions, to repeat an earlier one
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write what is recommended as a patch of the catalog's files; applying it is yours
    #[arg(long, value_name = "FILE")]
    write_patch: Option<PathBuf>,
    /// Go on with this search (its id): what is finished stays
    #[arg(long, value_name = "RUN", conflicts_with = "seed")]
    resume: Option<String>,
    #[command(flatten)]
    options: RunOptions,
}

impl TuneSearch {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        self.common.run(global, Strategy::Search)
    }
}

impl Tune {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        self.common.run(
            global,
            match self.strategy {
                TuneStrategy::Greedy => Strategy::Greedy,
                TuneStrategy::Halving => Strategy::Halving,
            },
        )
    }
}

impl Common {
    fn run(&self, global: &Global, strategy: Strategy) -> Result<Exit> {
        let options = &self.options;
        ensure!(!options.skip_model_run, "--skip-model-run leaves nothing to measure");
        ensure!(options.until.is_none(), "--until is for runs: a search decides by itself");
        let most = options.max_samples.unwrap_or(MAX_SAMPLES);
        ensure!(
            most as usize >= FEWEST_PAIRS,
            "--max-samples {most}: nothing is concluded from fewer than {FEWEST_PAIRS} executions \
             of each side"
        );
        if let Some(trace) = self.trace.as_ref().filter(|trace| !trace.exists()) {
            bail!("--trace {}: there is no such file or directory", trace.display());
        }
        if let Some(path) = &self.write_patch {
            check_place("--write-patch", path)?;
        }
        check_place("--output", &options.output)?;
        let (planner, tools) = match self.planner(global)? {
            Ok(found) => found,
            Err(exit) => return Ok(exit),
        };
        let (model, notes) = self.model(&planner)?;
        let request = self.request(strategy, &planner, &model, tools, notes)?;
        if !global.quiet {
            request.notes.iter().for_each(|note| eprintln!("note: {note}"));
        }
        let job = match self.job(&planner, &model)? {
            Ok(job) => job,
            Err(exit) => return Ok(exit),
        };
        let skip = planner.gate(&model);
        if options.plan || skip.is_some() {
            let why = skip.as_ref().map(ToString::to_string);
            plan::print_plan(global, &planner, &job, &request, why.as_deref())?;
            return Ok(match skip {
                Some(skip) if !options.plan => {
                    eprintln!("error: nothing was measured: {skip}");
                    match planner.demanded(&skip) {
                        Some(_) => Exit::RunFailed,
                        None => Exit::Findings,
                    }
                }
                _ => Exit::Ok,
            });
        }
        let left = match &self.resume {
            Some(run) => Some(self.left(run)?),
            None => None,
        };
        match &left {
            Some(left) if left.phase == Phase::Done => {
                eprintln!("note: the search {} is done: nothing more is measured", left.run);
            }
            None if !global.quiet => self.hint(&model),
            _ => {}
        }
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let run = left.as_ref().map_or_else(record::run_id, |tuning| tuning.run.clone());
        let dir = RunDir::open_tuning(&options.run_dir, &run)?;
        let session = Session::of_comparison(
            dir,
            planner,
            cancel,
            super::progress(global, options.live_output),
        )?;
        let as_it_is = job.clone();
        let search = match left {
            Some(tuning) => Search::resume(&session, job, request, tuning)?,
            None => Search::begin(&session, job, request)?,
        };
        let done = search.run()?;
        if let Some(path) = &self.write_patch {
            patch::write_patch(path, &session.planner, &as_it_is, &done, global.quiet)?;
        }
        self.finish(global, &session, &done)
    }

    /// The planner of everything that is measured, and the tools that its context named: these
    /// are for the diagnosis alone.
    fn planner(&self, global: &Global) -> Result<Result<(Planner<'static>, Vec<String>), Exit>> {
        let mut tools = Vec::new();
        let planner = super::planner_with(global, &self.options, |context| {
            tools = tools_of(context)?;
            Ok(())
        })?;
        Ok(planner.map(|planner| (planner, tools)))
    }

    /// The entry that is meant, and what to say about that.
    fn model(&self, planner: &Planner<'_>) -> Result<(Model, Vec<String>)> {
        let given = self.tag.iter().chain(&self.words).chain(&self.options.tags);
        let words: Vec<&str> = given.flat_map(|word| split_commas(word)).collect();
        let Some((first, others)) = words.split_first() else { bail!("name an entry") };
        let models = select(planner.catalog, &[(*first).to_owned()], &[])?;
        let [model] = &models[..] else {
            let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).take(3).collect();
            bail!("{first} is {} entries ({}…): name one", models.len(), names.join(", "));
        };
        let mut notes = Vec::new();
        if !others.is_empty() {
            notes.push(format!("one entry is tuned at a time: {first}, not {}", others.join(", ")));
        }
        Ok((model.clone(), notes))
    }

    fn request(
        &self,
        strategy: Strategy,
        planner: &Planner<'_>,
        model: &Model,
        context: Vec<String>,
        notes: Vec<String>,
    ) -> Result<Request> {
        let tools = match (&self.tools[..], &context[..]) {
            ([], []) => vec![default_tool(model, planner.machine).to_owned()],
            ([], _) => context,
            (tools, _) => tools.iter().map(|name| name.trim().to_owned()).collect(),
        };
        let registry = Registry::load(&planner.catalog.root)?;
        tools.iter().try_for_each(|name| registry.get(name).map(drop))?;
        let options = &self.options;
        let gate = &planner.catalog.config.gate;
        Ok(Request {
            strategy,
            candidates: self.candidates.or((strategy == Strategy::Search).then_some(CANDIDATES)),
            goal: self.target,
            tools,
            trace: self.trace.clone(),
            allow_numerics: self.allow_numerics,
            min_effect: self.min_effect,
            max_samples: options.max_samples.unwrap_or(MAX_SAMPLES),
            budget: options.budget,
            seed: self.seed,
            false_alarms: gate.false_alarms.unwrap_or(FALSE_ALARMS),
            lessons: self.lessons(),
            notes,
        })
    }

    /// What earlier searches below the same directory teach. Without, a search is no worse than
    /// the first one was.
    fn lessons(&self) -> Lessons {
        let lessons = History::new(&self.options.run_dir, None).lessons().unwrap_or_else(|e| {
            eprintln!("warning: what earlier searches found is not known: {e:#}");
            Lessons::default()
        });
        for problem in &lessons.problems {
            eprintln!("warning: {problem}");
        }
        lessons
    }

    /// What would run, whether or not it can run here; why nothing would, otherwise.
    fn job(&self, planner: &Planner<'_>, model: &Model) -> Result<Result<Job, Exit>> {
        let found = Validator::new(planner.catalog).model(model);
        let errors: Vec<String> =
            found.iter().filter(|d| d.is_error()).map(ToString::to_string).collect();
        if !errors.is_empty() {
            eprintln!("error: {} is not valid:\n{}", model.id(), errors.join("\n"));
            return Ok(Err(Exit::RunFailed));
        }
        let jobs = match planner.jobs(model) {
            Ok(jobs) => jobs,
            Err(why) => {
                eprintln!("error: {}: {why}", model.id());
                return Ok(Err(Exit::NoMatch));
            }
        };
        match &jobs[..] {
            [job] => Ok(Ok(job.clone())),
            [first, second, ..] => bail!(
                "{} has several images ({}, {}…): tune one, --use-image",
                model.id(),
                first.id,
                second.id
            ),
            [] => bail!("{}: nothing to run", model.id()),
        }
    }

    /// The search to go on with.
    fn left(&self, run: &str) -> Result<Tuning> {
        match tune::find(run, &self.options.run_dir)? {
            Some(path) => tune::read(&path),
            None => {
                let dir = tune::directory(&self.options.run_dir);
                bail!("there is no search {run:?} in {}", dir.display())
            }
        }
    }

    /// Says which search of the same entry ended early.
    fn hint(&self, model: &Model) {
        let dir = tune::directory(&self.options.run_dir);
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let all = entries.filter_map(|e| tune::read(&e.path().join(tune::TUNING_FILE)).ok());
        let open = all.filter(|t| {
            let ended = t.phase != Phase::Done && t.failure.is_none();
            // One that goes on is held.
            let free = || RunDir::open_tuning(&self.options.run_dir, &t.run)?.hold();
            ended && t.model == model.id() && free().is_ok()
        });
        if let Some(left) = open.max_by(|a, b| a.started.cmp(&b.started)) {
            eprintln!(
                "note: a search of {} ended early, on {}: `{}` goes on with it",
                left.model,
                left.started,
                left.resume_command()
            );
        }
    }

    fn finish(&self, global: &Global, session: &Session<'_>, done: &Tuning) -> Result<Exit> {
        if global.json {
            print_json(&serde_json::to_value(done)?)?;
        } else {
            print(&tune::text(&TuningReport::new(done.clone())))?;
            print(&format!("records: {}\n", session.dir().path().display()))?;
        }
        let tried = done.candidates.iter().any(|c| c.comparison.is_some());
        if let Some(failure) = &done.failure {
            eprintln!("error: {} fails as it is: {failure}", done.model);
            return Ok(Exit::RunFailed);
        }
        let resume = || format!("go on with `{}`", done.resume_command());
        Ok(match done.stopped {
            Some(Stop::Interrupted) => {
                eprintln!("error: interrupted; {}", resume());
                Exit::RunFailed
            }
            Some(Stop::Budget) => {
                eprintln!("error: the time was not enough; {} and a larger --budget", resume());
                Exit::Findings
            }
            None if !tried => {
                eprintln!(
                    "error: there was nothing to try: name levers in the entry (`tune.levers`) or \
                     in mad.toml"
                );
                Exit::Findings
            }
            None => Exit::Ok,
        })
    }
}

/// Whether a file can be at `path`: better known before hours of measuring than after.
fn check_place(flag: &str, path: &Path) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let is_there = dir.is_none_or(Path::is_dir) && !path.is_dir();
    ensure!(is_there, "{flag} {}: no file can be there", path.display());
    Ok(())
}

/// Takes the names of `tools` out of a context: what they are attached to is no measurement.
fn tools_of(context: &mut Context) -> Result<Vec<String>> {
    let Some(tools) = context.0.remove("tools") else { return Ok(Vec::new()) };
    let name = |tool: &serde_json::Value| {
        let name = tool.get("name").or(Some(tool)).and_then(|name| name.as_str());
        name.map(str::to_owned)
    };
    let names = tools.as_array().map(|all| all.iter().map(name).collect::<Option<Vec<_>>>());
    match names.flatten() {
        Some(names) => Ok(names),
        None => bail!("`tools` of the context must be an array of {{\"name\": …}}"),
    }
}
