//! The command `mad`: one file per command, and nothing in them that a user of the
//! library could want.

mod add_model;
mod agents;
mod attach;
mod baseline;
mod benchmark;
mod build;
mod clean;
mod compare;
mod completions;
mod diagnose;
mod discover;
mod history;
mod howto;
mod machine;
mod man;
mod mcp;
mod merge;
mod plan;
mod profile;
mod report;
mod resume;
mod schema;
mod selftest;
mod sweep;
mod tune;
mod validate;

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::Pid;
use serde_json::Value;

use crate::catalog::{Catalog, Model, NoMatch};
use crate::credentials::Credentials;
use crate::diagnostic::Diagnostic;
use crate::engine::supervise;
use crate::machine::Machine;
use crate::options::{Context, RunOptions};
use crate::plan::Planner;
use crate::progress::{Aside, Progress};
use crate::run::inputs;
use crate::validate::render_text;

/// How a command ended: the exit statuses, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: all is well.
    #[default]
    Ok,
    /// 1: findings, or a failure of no other kind.
    Findings,
    /// 5: a performance regression.
    Regression,
    /// 3: a run failed.
    RunFailed,
    /// 2: a build failed, or a tag matches nothing.
    NoMatch,
    /// 4: arguments or configuration that make no sense.
    Usage,
}

impl Exit {
    /// Every status, the worst last.
    pub const ALL: [Exit; 6] =
        [Exit::Ok, Exit::Findings, Exit::Regression, Exit::RunFailed, Exit::NoMatch, Exit::Usage];

    /// What it means, as the guide has it.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Findings => "findings, or a failure of no other kind",
            Exit::NoMatch => {
                "a build failed, a repository or data set could not be had, or a tag matches nothing"
            }
            Exit::RunFailed => "a run failed",
            Exit::Usage => "invalid arguments or configuration",
            Exit::Regression => "a performance regression",
        }
    }

    /// The status that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Findings => 1,
            Exit::NoMatch => 2,
            Exit::RunFailed => 3,
            Exit::Usage => 4,
            Exit::Regression => 5,
        }
    }
}

/// Turns a catalog of AI model workloads into validated, measured and judged numbers.
#[derive(Parser, Debug)]
#[command(name = "mad", version, after_help = AFTER_HELP, propagate_version = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// First argument that makes this program behave as the test target.
const TEST_TARGET: &str = "__test-target";

/// First argument, before the number of the process that starts this program, that makes it end,
/// as by SIGTERM, when that one does.
pub(crate) const WITH_PARENT: &str = "__with-parent";

const AFTER_HELP: &str = "\
Exit status:
  0 ok · 1 findings or failure · 2 build failure, or a tag that matches nothing ·
  3 a run failed · 4 invalid arguments or configuration · 5 performance regression

Examples:
  mad validate                     would every entry run and report a number?
  mad benchmark cpu                measure the entries with the tag `cpu`
  mad baseline accept              accept what the last run measured
  mad benchmark --plan --machine tests/fixtures/machines/8x-mi300x.json";

/// Options of every command.
#[derive(clap::Args, Debug)]
struct Global {
    /// Directory of the catalog
    #[arg(long, value_name = "DIR", env = "MAD_ROOT", default_value = ".", global = true)]
    root: PathBuf,
    /// Print one JSON document on standard output and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// Say more on standard error (-vv: everything)
    #[arg(long, short, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Say only what went wrong
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List entries
    Discover(discover::Discover),
    /// Check entries without running them
    Validate(validate::Validate),
    /// Add an entry, with a Dockerfile and a script that runs
    AddModel(add_model::AddModel),
    /// Run entries, judge them, write the results
    #[command(visible_alias = "run")]
    Benchmark(benchmark::Benchmark),
    /// Collect a run whose jobs outlived it, and finish it
    Attach(attach::Attach),
    /// Measure a matrix of entries, GPU counts and values in the context
    Sweep(sweep::SweepCommand),
    /// Join the shards of a sweep into one run and report
    Merge(merge::Merge),
    /// Measure two sides in turn, and say which is faster
    Compare(compare::Compare),
    /// Build images, and write down which for `mad benchmark --manifest`
    Build(build::Build),
    /// Remove what earlier runs left behind
    Clean(clean::CleanCommand),
    /// The accepted numbers
    #[command(subcommand)]
    Baseline(baseline::BaselineCommand),
    /// Summarise results, or compare them with earlier ones
    Report(report::Report),
    /// Run an entry once with a profiler attached, and say what holds it back
    Profile(profile::Profile),
    /// Say what holds a workload back, from traces that exist
    Diagnose(diagnose::Diagnose),
    /// Find a better configuration of an entry
    TuneSearch(tune::TuneSearch),
    /// Change one thing after the other, and keep what helps
    Tune(tune::Tune),
    /// Past runs, and what changed
    History(history::History),
    /// Describe this host, in the form that --machine reads
    Machine(machine::MachineCommand),
    /// Print a JSON Schema
    Schema(schema::Schema),
    /// Does the gate go red when something is slower, and stay green when nothing is?
    #[command(subcommand, name = "selftest")]
    SelfTest(selftest::SelfTestCommand),
    /// Serve these commands to agents, as tools over standard input and output
    Mcp(mcp::Mcp),
    /// Slash commands and roles for agents
    #[command(subcommand)]
    Agents(agents::AgentsCommand),
    /// Print the guide on one page of HTML
    Howto(howto::Howto),
    /// Print what makes a shell complete `mad`
    Completions(completions::Completions),
    /// Write manual pages
    Man(man::Man),
}

/// The command line, for who describes it: without the values that variables happen to have.
pub fn command() -> clap::Command {
    fn neutral(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(neutral)
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    neutral(command)
}

/// The whole program.
pub fn main() -> ExitCode {
    if let Some(code) = supervise::intercept() {
        return code;
    }
    if completions::answered() {
        return ExitCode::SUCCESS;
    }
    // The test target without cargo: how this program's own tests reach it.
    if std::env::args_os().nth(1).is_some_and(|word| word == TEST_TARGET) {
        return crate::harness::main_from(std::env::args_os().skip(1));
    }
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == WITH_PARENT) {
        let parent = args.drain(1..args.len().min(3)).nth(1);
        if let Err(e) = end_with(parent.as_deref()) {
            eprintln!("error: {e:#}");
            return ExitCode::from(Exit::Findings.code());
        }
    }
    let cli = match crate::options::parse::<Cli>(args.into_iter()) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            let exit = if e.use_stderr() { Exit::Usage } else { Exit::Ok };
            return ExitCode::from(exit.code());
        }
    };
    start_log(&cli.global);
    let global = &cli.global;
    let result = match cli.command {
        Command::Discover(c) => c.run(global),
        Command::Validate(c) => c.run(global),
        Command::AddModel(c) => c.run(global),
        Command::Benchmark(c) => c.run(global),
        Command::Attach(c) => c.run(global),
        Command::Sweep(c) => c.run(global),
        Command::Merge(c) => c.run(global),
        Command::Compare(c) => c.run(global),
        Command::Build(c) => c.run(global),
        Command::Clean(c) => c.run(global),
        Command::Baseline(c) => c.run(global),
        Command::Report(c) => c.run(global),
        Command::Profile(c) => c.run(global),
        Command::Diagnose(c) => c.run(global),
        Command::TuneSearch(c) => c.run(global),
        Command::Tune(c) => c.run(global),
        Command::History(c) => c.run(global),
        Command::Machine(c) => c.run(global),
        Command::Schema(c) => c.run(),
        Command::SelfTest(c) => c.run(global),
        Command::Mcp(c) => c.run(global),
        Command::Agents(c) => c.run(global),
        Command::Howto(c) => c.run(global),
        Command::Completions(c) => c.run(),
        Command::Man(c) => c.run(),
    };
    let exit = result.unwrap_or_else(|e| {
        eprintln!("error: {e:#}");
        if e.is::<NoMatch>() { Exit::NoMatch } else { Exit::Usage }
    });
    ExitCode::from(exit.code())
}

/// Lets this process get SIGTERM when its parent dies, however that dies.
fn end_with(parent: Option<&OsStr>) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .context("cannot be told of the parent's end")?;
    let now = Pid::as_raw(rustix::process::getppid()).to_string();
    // It may have died before that.
    ensure!(parent.is_some_and(|p| *p == *now), "the parent has gone");
    Ok(())
}

fn start_log(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => tracing::Level::ERROR,
        (_, 0) => tracing::Level::WARN,
        (_, 1) => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(Aside::default)
        .with_ansi(colour(&std::io::stderr()))
        .with_target(false)
        .without_time()
        .init();
}

/// Whether to colour what goes to `stream`.
fn colour(stream: &impl IsTerminal) -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && stream.is_terminal()
}

/// What tells people how a command gets on; of scripts whose output is shown as it comes (`live`),
/// in lines between that.
fn progress(global: &Global, live: bool) -> Progress {
    match (global.quiet, global.json || live) {
        (true, _) => Progress::silent(),
        (_, true) => Progress::lines(),
        _ => Progress::on_terminal(colour(&std::io::stderr())),
    }
}

/// Prints `text`; a reader that has gone away (`… | head`) is no failure.
fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    // Flushed, because what fails when the program ends fails unseen.
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn print_json(value: &Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// The catalog of a command, for the rest of the process: to free ten thousand entries
/// one by one takes longer than to select among them.
fn load(global: &Global) -> &'static Catalog {
    Box::leak(Box::new(Catalog::load(&global.root)))
}

/// The catalog of a command, which must be readable as a whole: what cannot be read
/// might be what was asked for.
fn whole_catalog(global: &Global) -> Result<Result<&'static Catalog, Exit>> {
    Ok(whole(load(global)))
}

/// `catalog`, if all of it can be read.
fn whole(catalog: &'static Catalog) -> Result<&'static Catalog, Exit> {
    let errors: Vec<Diagnostic> =
        catalog.file_problems().filter(|p| p.is_error()).cloned().collect();
    if errors.is_empty() {
        return Ok(catalog);
    }
    eprint!("{}", render_text(&errors, catalog, colour(&std::io::stderr())));
    eprintln!("error: the catalog cannot be read as a whole");
    Err(Exit::Usage)
}

/// Plans what a command runs, for the rest of the process.
fn planner(global: &Global, options: &RunOptions) -> Result<Result<Planner<'static>, Exit>> {
    planner_with(global, options, |_| Ok(()))
}

/// The same with a context that `change` has changed.
fn planner_with(
    global: &Global,
    options: &RunOptions,
    change: impl FnOnce(&mut Context) -> Result<()>,
) -> Result<Result<Planner<'static>, Exit>> {
    let (catalog, mut context) = inputs(&global.root, options)?;
    change(&mut context)?;
    let catalog = match whole(Box::leak(Box::new(catalog))) {
        Ok(catalog) => catalog,
        Err(exit) => return Ok(Err(exit)),
    };
    let cache = options.run_dir.join("cache");
    let machine = Machine::described_or_here(options.machine.as_deref(), &cache)?;
    let credentials = credentials(global)?;
    Ok(Ok(Planner::for_process(catalog, machine, options.clone(), context, credentials)))
}

/// The logins of a command; what the user should know about them is told.
fn credentials(global: &Global) -> Result<Credentials> {
    let credentials = Credentials::load(&global.root)?;
    for warning in credentials.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(credentials)
}

/// Tags given as words and as options.
fn select(catalog: &Catalog, words: &[String], options: &[String]) -> Result<Vec<Model>> {
    let tags: Vec<&String> = words.iter().chain(options).collect();
    Ok(catalog.select(&tags)?)
}
