//! The gate put to the test: an entry is made slower and must turn it red, then left alone
//! and must leave it green.
//!
//! Everything goes the way that a user goes, through the command itself: runs are measured,
//! accepted and judged, and what counts is the exit status. Nothing of the user's is
//! touched: runs, rows and baselines are in a directory that is removed at the end.

mod conclude;
mod private;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

pub use conclude::Finding;

use crate::catalog::Model;
use crate::engine::Cancel;
use crate::progress::Progress;
use crate::record::{Measurement, RunDir, Stage};
use crate::run::verdicts;
use private::Private;

/// Runs that are accepted before anything is judged.
const ACCEPTED: u32 = 5;
/// What is judged, in this order: runs with the slow-down (true) and without. One without
/// comes last, so that a machine that became slower by itself does not look like a slow-down.
const LOOKS: [bool; 4] = [false, false, true, false];
/// Exit status of `mad benchmark` for a regression.
const RED: i32 = 5;

/// The entry that a self-test brings along.
pub const BUILT_IN: &str = "selftest";

/// What to test.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The command `mad`.
    pub program: PathBuf,
    /// Root of the catalog and its entry; without, a piece of work that comes along.
    pub entry: Option<(&'a Path, &'a Model)>,
    /// What is planted, relative to the time that the work takes (0.1 = 10 %).
    pub slowdown: f64,
    /// Ends it.
    pub cancel: Cancel,
}

/// What was measured: the document of `mad selftest gate --json` but for the finding.
#[derive(Clone, Debug, Serialize)]
pub struct SelfTest {
    /// `mad-selftest/1`.
    pub schema: &'static str,
    /// The entry.
    pub entry: String,
    /// The metric that the numbers are of; the gate judged all the entry has.
    pub metric: String,
    /// What was planted (0.1 = 10 %).
    pub slowdown: f64,
    /// Medians of the accepted runs.
    pub accepted: Vec<f64>,
    /// Why they could not be accepted; then there is nothing to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Robust standard deviation between them, relative to their median.
    pub spread: Option<f64>,
    /// The runs that were judged.
    pub looks: Vec<Look>,
    /// Executions spent on all of it, warm-ups included.
    pub executions: usize,
}

/// A run that was judged.
#[derive(Clone, Debug, Serialize)]
pub struct Look {
    /// Whether it was made slower.
    pub planted: bool,
    /// Exit status of `mad benchmark`.
    pub exit: i32,
    /// Change against the accepted runs, positive for worse; none where it cannot be told.
    pub worse_by: Option<f64>,
    /// The median of the run, and the values that confirmed a suspicion.
    pub values: Vec<f64>,
    /// Executions, warm-ups and confirmations included.
    pub executions: usize,
    /// What the gate said.
    pub message: String,
}

impl Look {
    /// Whether the gate went red.
    pub fn red(&self) -> bool {
        self.exit == RED
    }
}

/// Runs the whole test; `progress` tells of each run.
///
/// # Errors
/// When a run fails, or cannot be accepted on a machine that is steady.
pub fn run(setup: &Setup<'_>, progress: &Progress) -> Result<SelfTest> {
    let private = Private::new(setup)?;
    let runs = ACCEPTED as usize + LOOKS.len();
    let _whole = progress.whole(runs);
    let begin = |what: &str| {
        let activity = progress.activity(&private.entry, None);
        activity.prelude(what);
        activity
    };
    let mut test = SelfTest {
        schema: "mad-selftest/1",
        entry: private.entry.clone(),
        metric: String::new(),
        slowdown: setup.slowdown,
        accepted: Vec::new(),
        refused: None,
        spread: None,
        looks: Vec::new(),
        executions: 0,
    };
    for number in 1..=ACCEPTED {
        let run = format!("run {number} of {ACCEPTED} to be accepted");
        let _activity = begin(&run);
        let said = private.measure(None)?;
        ensure!(said.exit == 0, "a run to be accepted failed\n{}", said.text);
        let measurement = measurement(&private.latest()?)?;
        if test.metric.is_empty() {
            test.metric = metric(setup, &measurement);
        }
        let value = value(&measurement, &test.metric)?;
        test.executions += measurement.executions.len();
        test.accepted.push(value);
        progress.say(&format!("{run}: {value} {}", test.metric));
    }
    let said = private.accept(ACCEPTED)?;
    if said.exit != 0 {
        // Runs of a noisy machine may disagree too much.
        ensure!(test.is_noisy(), "the runs could not be accepted\n{}", said.text);
        test.refused = Some(said.text.trim().to_owned());
        return Ok(test);
    }
    for planted in LOOKS {
        let what = if planted { "slower" } else { "unchanged" };
        let _activity = begin(&format!("run to be judged, {what}"));
        let said = private.measure(planted.then_some(setup.slowdown))?;
        ensure!(
            said.exit == 0 || said.exit == RED,
            "a run ({what}) failed with exit status {}\n{}",
            said.exit,
            said.text
        );
        let look = test.look(&private.latest()?, planted, said.exit)?;
        let verdict = if look.red() { "red" } else { "green" };
        let numbers: Vec<String> = look.values.iter().map(f64::to_string).collect();
        progress.say(&format!("{what}: {} {}: {verdict}", numbers.join(", "), test.metric));
        test.executions += look.executions;
        test.looks.push(look);
    }
    Ok(test)
}

impl SelfTest {
    fn look(&mut self, run: &RunDir, planted: bool, exit: i32) -> Result<Look> {
        let measurement = measurement(run)?;
        let verdicts = verdicts(run)?;
        let Some(record) = verdicts.first() else { bail!("run {} judged nothing", run.id) };
        let cases = run.cases()?;
        let said = cases.iter().find(|case| case.stage == Stage::Regress);
        let mut look = Look {
            planted,
            exit,
            worse_by: None,
            values: vec![value(&measurement, &self.metric)?],
            executions: measurement.executions.len() + record.confirmations.len(),
            message: said.and_then(|c| c.message.lines().next()).unwrap_or_default().to_owned(),
        };
        if let Some(verdict) = record.metrics.get(&self.metric) {
            look.worse_by = verdict.worse_by;
            look.values.extend(&verdict.fresh);
            self.spread = verdict.spread;
        }
        Ok(look)
    }
}

/// What the one entry of a run measured.
fn measurement(run: &RunDir) -> Result<Measurement> {
    let mut all = run.measurements()?;
    ensure!(all.len() == 1, "run {} measured {} entries, not one", run.id, all.len());
    Ok(all.remove(0))
}

fn value(measurement: &Measurement, metric: &str) -> Result<f64> {
    let value = measurement.medians().get(metric).copied();
    value.with_context(|| format!("run {} did not report {metric}", measurement.run))
}

/// The metric to show: the entry's primary one, or the first that it reports.
fn metric(setup: &Setup<'_>, measurement: &Measurement) -> String {
    let entry = setup.entry.and_then(|(_, model)| model.entry().regress.as_ref());
    let primary = entry.and_then(|regress| regress.primary.as_deref());
    let values = measurement.values();
    let is_primary = |key: &str, unit: &str| primary.is_some_and(|p| p == key || p == unit);
    let found = values.iter().find(|(key, samples)| is_primary(key, &samples[0].metric));
    found.or_else(|| values.first()).map(|(key, _)| key.clone()).unwrap_or_default()
}
