//! `mad report`: what results say, alone or against earlier ones.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::{Exit, Global, benchmark, load, print};
use crate::catalog::CATALOG_FILE;
use crate::diagnostic::Diagnostic;
use crate::record::{CaseRecord, CaseStatus, RunDir, write_atomically};
use crate::report::{self, Rules, Source};
use crate::results::{explain, junit_xml};
use crate::run::{CATALOG_CASE, verdicts};
use crate::tune::{self, TuningConclusion, TuningReport};

/// Summarise results, or compare them with earlier ones.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit status:
  0 ok · 1 something failed, is missing, or is suspected of being slower ·
  4 results that cannot be read · 5 a comparison with a confirmed regression;
  with --gate, that of `mad benchmark`

Examples:
  mad report                                   the latest run
  mad report perf.csv                          what madengine or `mad benchmark` wrote
  mad report latest 20261122T221904.512Z-4711  the latest run against an earlier one
  mad report perf.csv main/perf.csv --format markdown >> \"$GITHUB_STEP_SUMMARY\"
  mad report -o report.html                    one page, to be opened in a browser
  mad report latest-tuning                     what the latest `mad tune-search` found")]
pub(super) struct Report {
    /// `latest`, a run id or directory, perf.csv, perf_entry_super.json; of a search: `latest-tuning`,
    /// its id or directory, tuning.json
    #[arg(value_name = "RESULTS", default_value = "latest")]
    results: String,
    /// Earlier results to compare them with
    #[arg(value_name = "COMPARE_TO")]
    compare_to: Option<String>,
    /// How it is written [default: what the ending of FILE says, otherwise text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write it to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Add every number behind the verdicts of a run to the text
    #[arg(long)]
    explain: bool,
    /// Exit as `mad benchmark` would have after this run; for `cargo test`, whose status is 101
    /// whatever failed
    #[arg(long, conflicts_with = "compare_to")]
    gate: bool,
    /// Where runs are
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Json,
    Html,
    Junit,
}

impl Format {
    /// What the ending of a file's name says.
    fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "md" => Some(Format::Markdown),
            "json" => Some(Format::Json),
            "html" | "htm" => Some(Format::Html),
            "xml" => Some(Format::Junit),
            _ => None,
        }
    }
}

impl Report {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let output = self.output.as_deref();
        let format = match self.format.or_else(|| output.and_then(Format::of)) {
            Some(format) => format,
            None if global.json && output.is_none() => Format::Json,
            None => Format::Text,
        };
        if let Some(path) = tune::find(&self.results, &self.run_dir)? {
            return self.tuning(&path, format, global);
        }
        let source = Source::open(&self.results, &self.run_dir)?;
        let other = self.compare_to.as_ref().map(|name| Source::open(name, &self.run_dir));
        if format == Format::Junit && (other.is_some() || source.run.is_none()) {
            bail!("JUnit is about the cases of one run: name a run, and nothing to compare with");
        }
        if self.gate && source.run.is_none() {
            bail!("--gate is about the cases of a run, and a file has none");
        }
        if self.explain && (format != Format::Text || source.run.is_none()) {
            bail!("--explain adds to the text about a run: the JSON of one has all numbers anyway");
        }
        let plots = global.json || matches!(format, Format::Html | Format::Json);
        let source = if plots { source.with_history(&self.run_dir)? } else { source };
        let report = report(source, other.transpose()?, global);
        let report = if plots { report.with_change_points() } else { report };
        let beside = output.and_then(Path::parent).unwrap_or(Path::new(""));
        let written = match format {
            Format::Text => {
                let mut text = report::text(&report);
                if self.explain {
                    text += &explain(&verdicts(&RunDir::find(&self.run_dir, &self.results)?)?);
                }
                text.into_bytes()
            }
            Format::Markdown => report::markdown(&report).into_bytes(),
            Format::Json => json(&report)?.into_bytes(),
            Format::Html => report::html(&report, beside)?.into_bytes(),
            Format::Junit => junit_xml(&report.cases)?,
        };
        self.deliver(global, &written, &report.headline, || json(&report))?;
        Ok(if self.gate { gate_exit(&report) } else { exit_of(&report) })
    }
}

impl Report {
    /// Writes a report where it is wanted; on standard output stands what `--json` wants.
    fn deliver(
        &self,
        global: &Global,
        written: &[u8],
        headline: &str,
        json: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        if let Some(path) = &self.output {
            write_atomically(path, written)?;
        }
        match &self.output {
            _ if global.json => print(&json()?),
            None => print(&String::from_utf8_lossy(written)),
            Some(path) if !global.quiet => {
                print(&format!("{headline}\nwritten to {}\n", path.display()))
            }
            Some(_) => Ok(()),
        }
    }

    /// The report of a search for a better configuration.
    fn tuning(&self, path: &Path, format: Format, global: &Global) -> Result<Exit> {
        if self.compare_to.is_some() || self.gate || self.explain {
            bail!(
                "{} is a search for a better configuration: COMPARE_TO, --gate and --explain are \
                 about runs",
                path.display()
            );
        }
        let report = TuningReport::new(tune::read(path)?);
        let json = || Ok(serde_json::to_string_pretty(&report)? + "\n");
        let written = match format {
            Format::Text => tune::text(&report),
            Format::Markdown => tune::markdown(&report),
            Format::Json => json()?,
            Format::Html => tune::html(&report),
            Format::Junit => bail!("JUnit is about the cases of a run, and a search has none"),
        };
        self.deliver(global, written.as_bytes(), &report.headline, json)?;
        let decided = [TuningConclusion::Better, TuningConclusion::NothingBetter];
        Ok(if decided.contains(&report.conclusion) { Exit::Ok } else { Exit::Findings })
    }
}

/// What `mad benchmark` would have ended with.
fn gate_exit(report: &report::Report) -> Exit {
    let mut exit = benchmark::exit_of(&report.cases);
    let unreadable = |c: &CaseRecord| c.name == CATALOG_CASE && c.status == CaseStatus::Failed;
    if report.cases.iter().any(unreadable) {
        exit = Exit::Usage;
    }
    // Something was begun and never ended.
    if !report.problems.is_empty() {
        exit = exit.max(Exit::RunFailed);
    }
    if exit == Exit::Ok && !report.cases.iter().any(benchmark::did_what_was_asked) {
        eprintln!("error: nothing was measured: every entry was skipped");
        exit = Exit::Findings;
    }
    exit
}

fn exit_of(report: &report::Report) -> Exit {
    let failed = report.cases.iter().any(|c| c.status == CaseStatus::Failed);
    let mut exit = if failed || report.has_failures() { Exit::Findings } else { Exit::Ok };
    if report.has_regressions() {
        exit = exit.max(Exit::Regression);
    }
    exit
}

fn json(report: &report::Report) -> Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

fn report(mut source: Source, other: Option<Source>, global: &Global) -> report::Report {
    // Reports are also made where there is no catalog.
    let root = &global.root;
    if !root.join(CATALOG_FILE).exists() && !root.join("scripts").is_dir() {
        return report::Report::new(source, other, &Rules::default());
    }
    let catalog = load(global);
    if catalog.file_problems().any(Diagnostic::is_error) {
        source.notes.push(
            "the catalog cannot be read as a whole, what it says about metrics may be missing \
             here; `mad validate` says more"
                .to_owned(),
        );
    }
    report::Report::new(source, other, &Rules::new(catalog))
}

/// The text of a run that just ended.
pub(super) fn of_run(run: &RunDir, rules: &Rules<'_>) -> Result<String> {
    Ok(report::text(&report::Report::new(Source::run(run)?, None, rules)))
}
