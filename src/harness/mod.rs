//! Catalog → libtest-mimic Trials: the test target.
//!
//! A repository with a `models.json` gets its cases by a test target without
//! libtest's harness that calls [`main`]:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     mad_harness::harness::main()
//! }
//! ```

mod args;
mod stdout;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use args::HarnessArgs;

use crate::catalog::{Catalog, Model, NoMatch};
use crate::credentials::Credentials;
use crate::engine::{Cancel, supervise};
use crate::machine::Machine;
use crate::options::Context;
use crate::plan::Planner;
use crate::progress::Progress;
use crate::record::{CaseRecord, CaseStatus, Stage};
use crate::run::{CATALOG_CASE, Session, canary_first, has_baseline, inputs};

/// Exit status for arguments and configuration that make no sense.
const USAGE: u8 = 4;
/// Exit status for tags that match nothing.
const NO_MATCH: u8 = 2;

/// The whole test target: reads the catalog below the package's root (or `MAD_ROOT`),
/// makes its cases, runs those that the arguments select, writes the results.
pub fn main() -> ExitCode {
    if let Some(code) = supervise::intercept() {
        return code;
    }
    main_from(std::env::args_os())
}

/// [`main`] with these arguments, of which the first is the program's name.
pub(crate) fn main_from(args: impl Iterator<Item = OsString>) -> ExitCode {
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .try_init();
    let args = match HarnessArgs::parse_from(args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("Error: {e:#}");
            ExitCode::from(if e.is::<NoMatch>() { NO_MATCH } else { USAGE })
        }
    }
}

fn run(mut args: HarnessArgs) -> Result<ExitCode> {
    let root = std::env::var_os("MAD_ROOT").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let (catalog, context, models) = load(&root, &args)?;
    let options = args.options.clone();
    let machine =
        Machine::described_or_here(options.machine.as_deref(), &options.run_dir.join("cache"))?;
    let credentials = Credentials::load(&root)?;
    // Trials live as long as the process, and so does what they refer to.
    let catalog: &'static Catalog = Box::leak(Box::new(catalog));
    let planner = Planner::for_process(catalog, machine, options, context, credentials);

    let models = canary_first(&catalog.config, models);
    let cases = cases(&planner, models, &args.libtest);
    if args.libtest.list {
        stdout::print_list(cases.iter().filter(|c| args.selects(c)).map(|c| c.name.as_str()));
        return Ok(ExitCode::SUCCESS);
    }
    let selected: Vec<Case> = cases.into_iter().filter(|c| args.matches(&c.name)).collect();
    let mut running = selected.iter().filter(|c| args.selects(c));
    let alone = running.next().is_some() && running.next().is_none();
    if alone {
        // As nextest has it: this thread does as well as one of a pool.
        args.libtest.test_threads = Some(1);
    }
    // Only a Run that measures has something to end when a signal comes.
    let idle = |c: &Case| c.ignored && !args.libtest.ignored && !args.libtest.include_ignored;
    let measures = selected.iter().any(|c| args.selects(c) && c.measures() && !idle(c));
    let cancel = Cancel::default();
    if measures {
        cancel.on_signals()?;
    }
    let session = Arc::new(Session::open(planner, cancel, Progress::silent())?);
    let trials = trials(&session, selected);
    let run = || libtest_mimic::run(&args.libtest, trials);
    let conclusion = if alone && !measures { run() } else { stdout::guarded(run) };
    // nextest has one process per case; it writes its own JUnit, and ours would hold
    // that one case.
    if !under_nextest() {
        session.finish()?;
    }
    Ok(conclusion.exit_code())
}

/// The catalog and the entries that the tags select; of a catalog that was read before,
/// only the entry that `--exact` names.
fn load(root: &Path, args: &HarnessArgs) -> Result<(Catalog, Context, Vec<Model>)> {
    let options = &args.options;
    let cache = options.run_dir.join("cache");
    // A variant (`name:arg=value`) is made by a selection that may name other entries.
    let variants = options.tags.iter().any(|t| t.contains(':'));
    if let Some(name) = args.exact_entry()
        && !variants
        && options.manifest.is_none()
        && let Some(catalog) = Catalog::load_one(root, name, &cache)
    {
        let models = catalog.select_present(&options.tags);
        return Ok((catalog, Context::load(options)?, models));
    }
    let (catalog, context) = inputs(root, options)?;
    if options.manifest.is_none() {
        catalog.write_index(&cache);
    }
    let models = catalog.select(&options.tags).context("MAD_TAGS or --tags")?;
    Ok((catalog, context, models))
}

/// A case before it is a Trial.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    /// What it asks; `None` is the case about the catalog's files.
    question: Option<(Stage, Model)>,
    /// Listed as ignored.
    ignored: bool,
}

impl Case {
    /// Whether it may run something that must be ended in order.
    fn measures(&self) -> bool {
        self.question.as_ref().is_some_and(|(stage, _)| *stage != Stage::Validate)
    }
}

/// All cases in the order they run: cheap ones first, then entry by entry.
fn cases(planner: &Planner<'_>, models: Vec<Model>, libtest: &Arguments) -> Vec<Case> {
    // libtest-mimic can say why a case is ignored only if it finds out while running
    // it; nextest can skip a case only if it was listed as ignored.
    let flag = libtest.list || libtest.ignored || under_nextest();
    let store = crate::run::store(planner.catalog);
    let mut cases = vec![Case { name: CATALOG_CASE.to_owned(), question: None, ignored: false }];
    for stage in Stage::ALL {
        for model in &models {
            let ignored = flag
                && match stage {
                    Stage::Validate => false,
                    Stage::Bench => is_gated(planner, model),
                    Stage::Regress => {
                        is_gated(planner, model)
                            || !planner.options.require_baseline
                                && !has_baseline(planner, &store, model)
                    }
                };
            cases.push(Case {
                name: stage.case(&model.id()),
                question: Some((stage, model.clone())),
                ignored,
            });
        }
    }
    cases
}

fn is_gated(planner: &Planner<'_>, model: &Model) -> bool {
    // A strict run lists everything: a gate that is closed shall be seen to fail.
    if planner.lacks_gpus(model) {
        return !planner.options.require_gpu;
    }
    planner.gate(model).is_some_and(|skip| planner.demanded(&skip).is_none())
}

fn under_nextest() -> bool {
    std::env::var_os("NEXTEST").is_some()
}

/// A Trial for each case.
fn trials(session: &Arc<Session<'static>>, cases: Vec<Case>) -> Vec<Trial> {
    let trial = |case: Case| {
        let session = Arc::clone(session);
        Trial::ignorable_test(case.name, move || {
            let record = match case.question {
                Some((stage, model)) => session.case(stage, &model),
                None => session.catalog_case(),
            };
            completion(&record, case.ignored)
        })
        .with_ignored_flag(case.ignored)
    };
    cases.into_iter().map(trial).collect()
}

fn completion(case: &CaseRecord, listed_as_ignored: bool) -> Result<Completion, Failed> {
    match case.status {
        CaseStatus::Passed => Ok(Completion::Completed),
        CaseStatus::Failed => fail(case.message.clone()),
        // nextest would count it as passed, although it was asked for and did nothing.
        CaseStatus::Ignored if under_nextest() => {
            let asked = if listed_as_ignored { "asked for, but " } else { "" };
            fail(format!("{asked}{}", case.message))
        }
        CaseStatus::Ignored => Ok(Completion::ignored_with(case.message.clone())),
    }
}

/// Fails a case. nextest takes the message from a line on standard error.
fn fail(message: String) -> Result<Completion, Failed> {
    if under_nextest() {
        let first = message.lines().next().unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "Error: {first}");
    }
    Err(Failed::from(message))
}
