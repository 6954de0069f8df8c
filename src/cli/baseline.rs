//! `mad baseline`: the accepted numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, Global, print, print_json, whole_catalog};
use crate::baseline::{self, Accepted, AcceptedMetric, Baseline, Change};
use crate::catalog::{Catalog, Model};
use crate::record::{self, Measurement, RunDir, RunRecord};
use crate::regress::median;
use crate::results::Table;
use crate::run::{level_step, policy, store};

/// The accepted numbers.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
Examples:
  mad baseline accept --why 'new compiler'
  mad baseline diff")]
pub(super) enum BaselineCommand {
    /// Accept what a run measured
    Accept(Accept),
    /// List all baselines
    #[command(after_help = "\
Examples:
  mad baseline list
  mad --json baseline list")]
    List,
    /// Show the baselines of one entry
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

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  mad baseline accept                       all entries of the last run
  mad baseline accept rust_gemm --last 3    one entry, its last three runs
  mad baseline accept --why 'new compiler'")]
pub(super) struct Accept {
    /// Names, tags, `scope/tag`; everything the run measured without
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// Accept this run (id, directory, `latest`); repeatable
    #[arg(long, value_name = "RUN", conflicts_with = "last")]
    run: Vec<String>,
    /// Accept each of the last N runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
    /// Who accepts
    #[arg(long, value_name = "NAME", env = "MAD_ACCEPTED_BY")]
    by: Option<String>,
    /// Why the numbers are right
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    place: RunPlace,
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

impl Accept {
    fn run(&self, global: &Global, catalog: &Catalog) -> Result<Exit> {
        let selected = super::select(catalog, &self.words, &[])?;
        // A plain name means the entry with whatever arguments it ran.
        let means = |s: &Model, m: &Measurement| {
            s.id() == m.id || s.extra_args.is_empty() && s.name == m.model
        };
        let wanted =
            |m: &Measurement| self.words.is_empty() || selected.iter().any(|s| means(s, m));
        let mut accepted = Vec::new();
        let mut refused = Vec::new();
        for run in self.runs()? {
            let record = run.read_run()?;
            let measurements = run.measurements()?;
            for measurement in measurements.iter().filter(|m| wanted(m)) {
                match self.accept(catalog, &record, measurement) {
                    Ok(line) => accepted.push(line),
                    Err(e) => refused.push(format!("{}: {e:#}", measurement.id)),
                }
            }
        }
        if global.json {
            print_json(&json!({
                "schema": "mad-accept/1", "accepted": accepted, "refused": refused,
            }))?;
        } else {
            print(&accepted.iter().map(|l| format!("{l}\n")).collect::<String>())?;
        }
        for line in &refused {
            eprintln!("refused: {line}");
        }
        if accepted.is_empty() && refused.is_empty() {
            eprintln!("error: the run measured nothing that was asked for");
        }
        Ok(if accepted.is_empty() || !refused.is_empty() { Exit::Findings } else { Exit::Ok })
    }

    /// The runs to accept, oldest first.
    fn runs(&self) -> Result<Vec<RunDir>> {
        let base = &self.place.run_dir;
        if let Some(n) = self.last {
            let mut runs = RunDir::all(base)?;
            let n = n as usize;
            ensure!(
                runs.len() >= n,
                "there are {} runs in {}, not {n}",
                runs.len(),
                base.display()
            );
            return Ok(runs.split_off(runs.len() - n));
        }
        match self.run.is_empty() {
            true => Ok(vec![RunDir::find(base, "latest")?]),
            false => self.run.iter().map(|name| RunDir::find(base, name)).collect(),
        }
    }

    fn accept(
        &self,
        catalog: &Catalog,
        run: &RunRecord,
        measurement: &Measurement,
    ) -> Result<String> {
        if let Some(failure) = &measurement.failure {
            bail!("run {} failed: {failure}", run.id);
        }
        ensure!(
            !measurement.executions.iter().any(|e| e.profiled),
            "run {} was profiled: its numbers are no measurement",
            run.id
        );
        let model = catalog.models.iter().find(|m| m.name == measurement.model);
        let model = model.with_context(|| format!("the catalog has no {}", measurement.model))?;
        let metrics: BTreeMap<String, AcceptedMetric> = measurement
            .values()
            .into_iter()
            .map(|(key, samples)| {
                let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
                let metric = samples.first().map(|s| s.metric.clone()).unwrap_or_default();
                let direction = policy(&catalog.config, model, &key, &metric).direction;
                (key, AcceptedMetric { metric, median: median(&values), values, direction })
            })
            .collect();
        ensure!(!metrics.is_empty(), "run {} has no number", run.id);
        let n = metrics.len();
        let accepted = Accepted {
            level: 0,
            run: run.id.clone(),
            at: record::now(),
            by: self.by.clone().unwrap_or_else(who),
            why: self.why.clone(),
            forced: false,
            provenance: measurement.facts(),
            metrics,
        };
        let units: BTreeMap<String, String> =
            accepted.metrics.iter().map(|(k, m)| (k.clone(), m.metric.clone())).collect();
        let tolerance = |key: &str| {
            let metric = units.get(key).map_or(key, String::as_str);
            level_step(&catalog.config, model, key, metric)
        };
        let done = store(catalog).accept(&measurement.baseline_key(), accepted, tolerance)?;
        let s = if n == 1 { "" } else { "s" };
        let level = if done.new_level { ", a new level" } else { "" };
        Ok(format!("accepted {}: {n} metric{s}{level} → {}", measurement.id, done.path.display()))
    }
}

/// Who is at the keyboard: git's answer, the system's otherwise.
fn who() -> String {
    let git = std::process::Command::new("git").args(["config", "user.name"]).output();
    let git = git.ok().and_then(|o| String::from_utf8(o.stdout).ok());
    git.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("USER").ok())
        .unwrap_or_else(|| "unknown".to_owned())
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
            true => eprintln!("no baselines; accept one: mad benchmark && mad baseline accept"),
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
            "{} on {} ({} GPUs{}), {}\n",
            b.model,
            b.machine_class,
            b.n_gpus,
            if b.precision.is_empty() { String::new() } else { format!(", {}", b.precision) },
            path.display()
        ))?;
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
        print(&table.to_string())?;
    }
    let good = problems.is_empty() && !found.is_empty();
    Ok(if good { Exit::Ok } else { Exit::Findings })
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
