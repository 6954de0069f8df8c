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

use crate::catalog::{Catalog, Model};
use crate::diagnostic::Diagnostic;
use crate::engine::{Cancel, supervise};
use crate::machine::Machine;
use crate::options::{Context, RunOptions};
use crate::plan::Planner;
use crate::record::{CaseRecord, CaseStatus, Stage};
use crate::run::Session;

/// Exit status for arguments and configuration that make no sense.
const USAGE: u8 = 4;

/// Name of the case that says whether the catalog's files can be read at all.
const CATALOG_CASE: &str = "catalog";

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
    let args = match HarnessArgs::parse_from(args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("Error: {e:#}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(mut args: HarnessArgs) -> Result<ExitCode> {
    let root = std::env::var_os("MAD_ROOT").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let context = Context::load(&args.options)?;
    // Trials live as long as the process, and so does what they refer to.
    let options: &'static RunOptions = Box::leak(Box::new(args.options.clone()));
    let context: &'static Context = Box::leak(Box::new(context));
    let catalog: &'static Catalog = Box::leak(Box::new(load(&root, &args.libtest)));
    let machine: &'static Machine = Box::leak(Box::new(machine(options)?));
    let planner = Planner { catalog, machine, options, context };
    let models = catalog.select(&options.tags).context("MAD_TAGS or --tags")?;

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
    let measures = selected.iter().any(|c| args.selects(c) && c.measures());
    let runner = Runner::new(planner, &selected, measures)?;
    let trials = selected.into_iter().map(|case| runner.trial(case)).collect();
    let run = || libtest_mimic::run(&args.libtest, trials);
    let conclusion = if alone && !measures { run() } else { stdout::guarded(run) };
    runner.finish()?;
    Ok(conclusion.exit_code())
}

/// The catalog; only the entry that `--exact` names, where that is known to do.
fn load(root: &Path, libtest: &Arguments) -> Catalog {
    let _ = libtest;
    Catalog::load(root)
}

fn machine(options: &RunOptions) -> Result<Machine> {
    Ok(match &options.machine {
        Some(file) => Machine::from_file(file)?,
        None => Machine::cached(&options.run_dir.join("cache")),
    })
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
    if planner.options.require_gpu && planner.lacks_gpus(model) {
        return false;
    }
    planner.lacks_gpus(model) || planner.gate(model).is_some()
}

fn has_baseline(planner: &Planner<'_>, store: &crate::baseline::Store, model: &Model) -> bool {
    store.exists(&planner.baseline_key(model))
}

fn under_nextest() -> bool {
    std::env::var_os("NEXTEST").is_some()
}

/// What the Trials share.
struct Runner {
    session: Option<Arc<Session<'static>>>,
    planner: Planner<'static>,
}

impl Runner {
    /// Opens the Run, if there is a case that needs one. Only one that `measures` has
    /// something to end when a signal comes.
    fn new(planner: Planner<'static>, cases: &[Case], measures: bool) -> Result<Runner> {
        let session = match cases.iter().any(|c| c.question.is_some()) {
            true => {
                let cancel = Cancel::default();
                if measures {
                    cancel.on_signals()?;
                }
                Some(Arc::new(Session::open(planner, cancel, false)?))
            }
            false => None,
        };
        Ok(Runner { session, planner })
    }

    fn trial(&self, case: Case) -> Trial {
        let session = self.session.clone();
        let catalog = self.planner.catalog;
        Trial::ignorable_test(case.name, move || match (case.question, session) {
            (Some((stage, model)), Some(session)) => {
                completion(&session.case(stage, &model), case.ignored)
            }
            _ => catalog_case(catalog),
        })
        .with_ignored_flag(case.ignored)
    }

    fn finish(&self) -> Result<()> {
        match &self.session {
            // nextest has one process per case; it writes its own JUnit, and ours
            // would hold that one case.
            Some(session) if !under_nextest() => session.finish(),
            _ => Ok(()),
        }
    }
}

/// Whether the files of the catalog can be read.
fn catalog_case(catalog: &Catalog) -> Result<Completion, Failed> {
    let errors: Vec<String> = catalog
        .file_problems()
        .filter(|p| Diagnostic::is_error(p))
        .map(ToString::to_string)
        .collect();
    if errors.is_empty() {
        return Ok(Completion::Completed);
    }
    fail(errors.join("\n"))
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
