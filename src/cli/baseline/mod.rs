//! `mad baseline`: the accepted numbers.

mod accept;
mod review;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, Global, print, print_json, whole_catalog};
use crate::baseline::{self, Baseline, Change, Level};
use crate::catalog::{Catalog, Model};
use crate::record::RunDir;
use crate::regress::{median, percent, relative_spread};
use crate::results::Table;
use crate::run::store;

/// The accepted numbers.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
Examples:
  mad baseline accept --why 'new compiler'
  mad baseline diff")]
pub(super) enum BaselineCommand {
    /// Accept what a run measured
    Accept(accept::Accept),
    /// List all baselines
    #[command(after_help = "\
Examples:
  mad baseline list
  mad --json baseline list")]
    List,
    /// Show the levels and the accepted runs of one entry
    #[command(after_help = "\
Examples:
  mad baseline show rust_gemm
  mad --json baseline show rust_gemm")]
    Show {
        /// The entry
        model: String,
    },
    /// Compare what a run measured with what is accepted
    #[command(after_help = "\
Examples:
  mad baseline diff                                the last run
  mad baseline diff --run 20261122T223027.126Z-30205")]
    Diff {
        /// Run id, run directory, or `latest`
        #[arg(long, default_value = "latest")]
        run: String,
        #[command(flatten)]
        place: RunPlace,
    },
    /// Remove the baselines of one entry
    #[command(after_help = "\
Examples:
  mad baseline rm rust_gemm
  mad baseline rm rust_gemm --machine-class cpu-intel-xeon-processor-2t")]
    Rm {
        /// The entry
        model: String,
        /// Only that of this class of machines
        #[arg(long, value_name = "CLASS")]
        machine_class: Option<String>,
    },
}

#[derive(Args, Debug)]
pub(super) struct RunPlace {
    /// Where runs are
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

impl BaselineCommand {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let catalog = match whole_catalog(global)? {
            Ok(catalog) => catalog,
            Err(exit) => return Ok(exit),
        };
        match self {
            BaselineCommand::Accept(accept) => accept.run(global, catalog),
            BaselineCommand::List => list(global, catalog),
            BaselineCommand::Show { model } => show(global, catalog, model),
            BaselineCommand::Diff { run, place } => diff(global, catalog, run, &place.run_dir),
            BaselineCommand::Rm { model, machine_class } => {
                remove(catalog, model, machine_class.as_deref())
            }
        }
    }
}

/// All baselines; broken files are named and make it fail.
fn list(global: &Global, catalog: &Catalog) -> Result<Exit> {
    let (found, problems) = store(catalog).list();
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    if global.json {
        let all: Vec<&Baseline> = found.iter().map(|(_, b)| b).collect();
        print_json(&json!({ "schema": "mad-baselines/1", "baselines": all }))?;
    } else {
        let mut table = Table::new(["MODEL", "MACHINE", "METRIC", "MEDIAN", "RUNS", "LEVEL"]);
        for (_, b) in &found {
            for key in b.metric_keys() {
                let window = b.window(key);
                table.row([
                    b.model.clone(),
                    b.machine_class.clone(),
                    key.to_owned(),
                    median(&window).to_string(),
                    window.len().to_string(),
                    b.current_level().to_string(),
                ]);
            }
        }
        match found.is_empty() {
            true => eprintln!(
                "no baselines; accept one: measure it three times, then mad baseline accept"
            ),
            false => print(&table.to_string())?,
        }
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Findings })
}

fn show(global: &Global, catalog: &Catalog, model: &str) -> Result<Exit> {
    known(catalog, model)?;
    let (found, problems) = store(catalog).list();
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    let found: Vec<_> = found.into_iter().filter(|(_, b)| b.model == model).collect();
    if found.is_empty() {
        eprintln!("error: no baseline of {model}");
    }
    if global.json {
        let all: Vec<&Baseline> = found.iter().map(|(_, b)| b).collect();
        print_json(&json!({ "schema": "mad-baselines/1", "baselines": all }))?;
    }
    for (path, b) in found.iter().filter(|_| !global.json) {
        print(&format!(
            "{} on {} ({} GPUs{}), {}\n{}\n{}",
            b.model,
            b.machine_class,
            b.n_gpus,
            if b.precision.is_empty() { String::new() } else { format!(", {}", b.precision) },
            path.display(),
            levels(b),
            runs(b)
        ))?;
    }
    let good = problems.is_empty() && !found.is_empty();
    Ok(if good { Exit::Ok } else { Exit::Findings })
}

/// A line per level and metric, the newest level first: who started it, when and why.
fn levels(b: &Baseline) -> Table {
    let mut table =
        Table::new(["LEVEL", "SINCE", "BY", "METRIC", "MEDIAN", "SPREAD", "RUNS", "COMMIT", "WHY"]);
    for Level { number, runs } in b.levels().iter().rev() {
        let first = &runs[0];
        let commit = first.provenance.get("commit").map_or("-", String::as_str);
        for (key, medians) in (Level { number: *number, runs }).metrics() {
            table.row([
                number.to_string(),
                first.at.clone(),
                first.by.clone(),
                key.to_owned(),
                median(&medians).to_string(),
                relative_spread(&medians).map_or("-".to_owned(), percent),
                medians.len().to_string(),
                // What makes a commit hard to mistake, and that the tree was dirty.
                match commit.split_once("-dirty") {
                    Some((hash, _)) => format!("{hash:.10}-dirty"),
                    None => format!("{commit:.10}"),
                },
                reason(&first.why, first.objection.as_deref()),
            ]);
        }
    }
    table
}

/// A line per accepted run and metric, oldest first.
fn runs(b: &Baseline) -> Table {
    let mut table = Table::new(["LEVEL", "ACCEPTED", "BY", "METRIC", "MEDIAN", "WHY", "RUN"]);
    for a in &b.accepted {
        for (key, m) in &a.metrics {
            table.row([
                a.level.to_string(),
                a.at.clone(),
                a.by.clone(),
                key.clone(),
                m.median.to_string(),
                a.why.clone(),
                a.run.clone(),
            ]);
        }
    }
    table
}

fn reason(why: &str, objection: Option<&str>) -> String {
    match objection {
        Some(objection) => format!("{why} (forced: {objection})"),
        None => why.to_owned(),
    }
}

fn known(catalog: &Catalog, model: &str) -> Result<Vec<Model>> {
    Ok(catalog.select(&[model])?)
}

fn diff(global: &Global, catalog: &Catalog, run: &str, base: &std::path::Path) -> Result<Exit> {
    let run = RunDir::find(base, run)?;
    let store = store(catalog);
    let mut table = Table::new(["MODEL", "METRIC", "ACCEPTED", "THIS RUN", "CHANGE"]);
    let mut changes = Vec::new();
    for m in run.measurements()? {
        let medians = m.medians();
        let new = |(metric, now)| Change::Added { metric, now };
        let found = match store.load(&m.baseline_key())? {
            Some(accepted) => baseline::diff(&accepted, &medians),
            None => medians.into_iter().map(new).collect(),
        };
        for change in found {
            let number = |v: f64| v.to_string();
            let cells = match &change {
                Change::Added { metric, now } => (metric, "-".into(), number(*now), "new".into()),
                Change::Gone { metric, accepted } => {
                    (metric, number(*accepted), "-".into(), "gone".into())
                }
                Change::Changed { metric, accepted, now, change } => {
                    let change = change.map_or("?".into(), |c| format!("{:+.2}%", c * 100.0));
                    (metric, number(*accepted), number(*now), change)
                }
            };
            table.row([m.id.clone(), cells.0.clone(), cells.1, cells.2, cells.3]);
            changes.push(json!({ "model": m.id, "change": change }));
        }
    }
    if global.json {
        print_json(&json!({ "schema": "mad-baseline-diff/1", "run": run.id, "changes": changes }))?;
    } else {
        print(&table.to_string())?;
    }
    Ok(Exit::Ok)
}

fn remove(catalog: &Catalog, model: &str, class: Option<&str>) -> Result<Exit> {
    let removed = store(catalog).remove_model(model, class)?;
    for path in &removed {
        print(&format!("removed {}\n", path.display()))?;
    }
    if removed.is_empty() {
        eprintln!("error: no baseline of {model}; `mad baseline list` lists them");
    }
    Ok(if removed.is_empty() { Exit::Findings } else { Exit::Ok })
}
