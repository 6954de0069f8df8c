//! `mad selftest`.

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, Global, print, print_json, select, whole_catalog};
use crate::engine::Cancel;
use crate::selftest::{self, Finding, SelfTest, Setup};

/// Whether what is here to find something does find it.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
Examples:
  mad selftest gate
  mad selftest gate --entry rust_gemm --slowdown 30%")]
pub(super) enum SelfTestCommand {
    /// Plant a slow-down and expect the gate to go red; change nothing and expect green
    Gate(Gate),
}

#[derive(Args, Debug)]
#[command(after_help = "\
Five runs are measured and accepted, then four are judged, one of them made slower. Runs, rows and
baselines are in a directory of their own that is removed at the end.

Exit status:
  0 the gate works · 1 it does not: blind, or a false alarm · 3 it cannot be told: the machine is
  too noisy, or a run failed · 4 the entry cannot be made slower

Examples:
  mad selftest gate                                   on a piece of work that comes along
  mad selftest gate --entry rust_gemm --slowdown 30%")]
pub(super) struct Gate {
    /// Entry to test with, whose script honours MAD_PLANT_SLOWDOWN
    #[arg(long, value_name = "MODEL")]
    entry: Option<String>,
    /// How much slower it is made
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = share)]
    slowdown: f64,
}

impl SelfTestCommand {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        match self {
            SelfTestCommand::Gate(gate) => gate.run(global),
        }
    }
}

impl Gate {
    fn run(&self, global: &Global) -> Result<Exit> {
        let mut model = None;
        if let Some(name) = &self.entry {
            let catalog = match whole_catalog(global)? {
                Ok(catalog) => catalog,
                Err(exit) => return Ok(exit),
            };
            let mut selected = select(catalog, std::slice::from_ref(name), &[])?;
            ensure!(
                selected.len() == 1,
                "--entry {name} means {} entries, not one",
                selected.len()
            );
            model = selected.pop();
        }
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let setup = Setup {
            program: std::env::current_exe().context("cannot find this program")?,
            entry: model.as_ref().map(|model| (global.root.as_path(), model)),
            slowdown: self.slowdown,
            cancel,
        };
        let test = match selftest::run(&setup, &super::progress(global, false)) {
            Ok(test) => test,
            Err(e) => {
                eprintln!("error: {e:#}");
                return Ok(Exit::RunFailed);
            }
        };
        let (finding, why) = test.conclude();
        let exit = match finding {
            Finding::Works => Exit::Ok,
            Finding::Blind | Finding::FalseAlarm => Exit::Findings,
            Finding::TooNoisy => Exit::RunFailed,
            Finding::NotPlanted => Exit::Usage,
        };
        if global.json {
            let mut document = json!(test);
            document["unsteadiness"] = json!(test.unsteadiness());
            document["finding"] = json!(finding);
            document["why"] = json!(why);
            document["exit"] = json!(exit.code());
            print_json(&document)?;
        } else {
            print(&report(&test, finding, &why))?;
        }
        Ok(exit)
    }
}

fn report(test: &SelfTest, finding: Finding, why: &str) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut text = format!(
        "{}: {} runs measured, {} {}{}\n",
        test.entry,
        test.accepted.len(),
        crate::regress::median(&test.accepted),
        test.metric,
        test.spread.map_or_else(String::new, |s| format!(", spread {}", percent(s))),
    );
    for look in &test.looks {
        let what = match look.planted {
            true => format!("{} slower", percent(test.slowdown)),
            false => "unchanged".to_owned(),
        };
        let seen = match look.worse_by {
            Some(worse) if worse < 0.0 => format!("{} better", percent(-worse)),
            Some(worse) => format!("{} worse", percent(worse)),
            None => "not comparable".to_owned(),
        };
        let colour = if look.red() { "red" } else { "green" };
        text += &format!("{what}: {seen}, {colour} (executions: {})\n", look.executions);
    }
    text + &format!("{finding}: {why} (executions: {})\n", test.executions)
}

/// `10%` as 0.1.
fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
    // Scripts take a slow-down up to ten times.
    number.map(|percent| percent / 100.0).filter(|share| *share > 0.0 && *share <= 10.0).ok_or_else(
        || "expected a percentage from 0% (not included) to 1000%, such as 10%".to_owned(),
    )
}
