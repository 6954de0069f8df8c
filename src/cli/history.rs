//! `mad history`: past runs, and what changed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{Exit, Global, colour, load, print, print_json};
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::history::{Answer, History as Runs, HistoryReport, Missing, Query, SharedHistory};
use crate::history::{TuningAnswer, detail, overview, tunings};
use crate::run::store;
use crate::validate::render_text;

/// Past runs and what changed: level, trend, change points, who accepted what.
#[derive(Args, Debug)]
#[command(after_help = "\
Numbers of different units, classes of machines, GPU counts or precisions are never put
together. Runs that are new are taken into the index first; it can always be made anew.

Examples:
  mad history                     all models, a line each
  mad history rust_gemm           one model: level, trend, change points
  mad history rust_gemm --last 100 --machine-class cpu-amd-epyc-9654-384t
  mad history --json              the same for programs
  mad history --tuning            what searches for a better configuration found and teach
  mad history --rebuild           make the index anew from the records
  mad history --history postgres://db.example.com/mad
                                  what all machines of a team measured, these runs included")]
pub(super) struct History {
    /// The entry, or one variant of it (`name:arg=value`); all models without
    model: Option<String>,
    /// Only this class of machines
    #[arg(long, value_name = "CLASS")]
    machine_class: Option<String>,
    /// What `mad tune-search` and `mad tune` tried, what holds, and what that teaches
    #[arg(long)]
    tuning: bool,
    /// Measurements to show one by one, the newest
    #[arg(long, value_name = "N", default_value = "40",
          value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
    /// Make the index anew from the records
    #[arg(long)]
    rebuild: bool,
    /// Where the index is [default: history.sqlite in the run directory]
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    database: Option<PathBuf>,
    /// The shared history of a team, a PostgreSQL database [env: MAD_HISTORY] [default: `url`
    /// of `[history]` in mad.toml]
    #[arg(long, value_name = "URL")]
    history: Option<String>,
    /// Where runs are
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

impl History {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let catalog = load(global);
        let query = Query {
            model: self.model.clone(),
            machine_class: self.machine_class.clone(),
            last: self.last as usize,
            rebuild: self.rebuild,
        };
        let runs = match self.shared(catalog) {
            Some(url) => Runs::shared(&self.run_dir, SharedHistory::parse(&url)?),
            None => Runs::new(&self.run_dir, self.database.as_deref()),
        };
        if self.tuning {
            return tuning(&runs, &query, global);
        }
        let broken: Vec<Diagnostic> =
            catalog.file_problems().filter(|p| p.is_error()).cloned().collect();
        // The past needs no entries, but mad.toml says where baselines are.
        if !broken.is_empty() {
            eprint!("{}", render_text(&broken, catalog, colour(&std::io::stderr())));
        }
        let Answer { report, missing } = runs.ask(&store(catalog), &query)?;
        let exit = missing.as_ref().map_or(Exit::Ok, |missing| {
            eprintln!("error: {}", self.explain(missing, &report, catalog));
            Exit::NoMatch
        });
        for note in &report.notes {
            eprintln!("warning: {note}");
        }
        for problem in &report.problems {
            eprintln!("error: {problem}");
        }
        if global.json {
            print_json(&serde_json::to_value(&report)?)?;
        } else if exit == Exit::Ok {
            self.show(&report)?;
        }
        let sound = report.problems.is_empty() && broken.is_empty();
        Ok(if sound { exit } else { exit.max(Exit::Findings) })
    }

    /// The URL of the shared history, if that is to be asked. Its environment form is read here
    /// because a file that is named comes before it, and because help must not show it.
    fn shared(&self, catalog: &Catalog) -> Option<String> {
        if self.database.is_some() {
            return None;
        }
        let named = self.history.clone().or_else(|| std::env::var("MAD_HISTORY").ok());
        named.filter(|url| !url.is_empty()).or_else(|| catalog.config.history.url.clone())
    }

    fn show(&self, report: &HistoryReport) -> Result<()> {
        if report.series.is_empty() && report.without_numbers.is_empty() {
            eprintln!("no measurements {}: mad benchmark", place(report));
        }
        print(&if self.model.is_some() { detail(report) } else { overview(report) })
    }

    /// Says what is there instead of what was asked for.
    fn explain(&self, missing: &Missing, report: &HistoryReport, catalog: &Catalog) -> String {
        let place = place(report);
        let model = self.model.as_deref().unwrap_or("any model");
        match missing {
            Missing::MachineClass(known) => {
                let class = self.machine_class.as_deref().unwrap_or_default();
                let known = known.join(", ");
                format!("no run {place} measured {model} on {class}; there are: {known}")
            }
            Missing::Model(_) if catalog.models.iter().any(|m| m.name == model) => {
                let word = shell_words::quote(model);
                format!("no run {place} has measured {model} yet: mad benchmark {word}")
            }
            Missing::Model(known) => {
                let entries = catalog.models.iter().map(|m| m.name.as_str());
                let near = did_you_mean(model, known.iter().map(String::as_str).chain(entries));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`mad history` lists what there is".to_owned(),
                };
                format!("no run {place} has measured `{model}`, and no entry is called so; {hint}")
            }
        }
    }
}

/// What searches for a better configuration found. They need no baselines, so nothing of the
/// catalog but where a shared history is.
fn tuning(runs: &Runs, query: &Query, global: &Global) -> Result<Exit> {
    let TuningAnswer { report, missing } = runs.tunings(query)?;
    let place = place_of(report.shared.as_deref(), &report.run_dir);
    for note in &report.notes {
        eprintln!("warning: {note}");
    }
    for problem in &report.problems {
        eprintln!("error: {problem}");
    }
    let model = query.model.as_deref().unwrap_or("any model");
    let exit = match &missing {
        None => Exit::Ok,
        Some(Missing::Model(known)) => {
            let hint = match did_you_mean(model, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("mad tune-search --tag {}", shell_words::quote(model)),
            };
            eprintln!("error: no search {place} was about `{model}`; {hint}");
            Exit::NoMatch
        }
        Some(Missing::MachineClass(known)) => {
            let class = query.machine_class.as_deref().unwrap_or_default();
            let known = known.join(", ");
            eprintln!("error: no search {place} tuned {model} on {class}; there are: {known}");
            Exit::NoMatch
        }
    };
    if global.json {
        print_json(&serde_json::to_value(&report)?)?;
    } else if exit == Exit::Ok {
        if report.is_empty() {
            eprintln!("no searches {place}: mad tune-search");
        }
        print(&tunings(&report))?;
    }
    Ok(if report.problems.is_empty() { exit } else { exit.max(Exit::Findings) })
}

/// Where runs were looked for.
fn place(report: &HistoryReport) -> String {
    place_of(report.shared.as_deref(), &report.run_dir)
}

fn place_of(shared: Option<&str>, run_dir: &Path) -> String {
    match shared {
        Some(shared) => format!("in {shared}"),
        None => format!("below {}", run_dir.display()),
    }
}
