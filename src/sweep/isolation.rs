//! Whether Cells that ran beside others have other numbers alone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Cell;
use crate::progress::Expected;
use crate::record::{self, Measurement, Stage};
use crate::regress::{Outcome, Policy, Verdict, judge};
use crate::run::{Session, policy};
use crate::schedule::{CpuUse, Limits, Task};

/// `isolation.json`: what a sample of the Cells measured alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IsolationRecord {
    /// The Run in which they were measured alone.
    pub run: String,
    /// Verdict of each metric, by Cell: the numbers of the sweep against those alone.
    pub cells: BTreeMap<String, BTreeMap<String, Verdict>>,
}

impl IsolationRecord {
    /// The metrics that shifted by more than noise, as sentences.
    pub fn shifts(&self) -> Vec<String> {
        let shifted = |v: &Verdict| matches!(v.outcome, Outcome::Regressed | Outcome::Improved);
        let of_cell = |(cell, metrics): (&String, &BTreeMap<String, Verdict>)| {
            let metrics = metrics.iter().filter(|(_, v)| shifted(v));
            metrics
                .map(|(key, v)| {
                    format!("{cell}: {key} beside others against alone: {}", v.explanation)
                })
                .collect::<Vec<String>>()
        };
        self.cells.iter().flat_map(of_cell).collect()
    }
}

/// Measures Cells of a sweep again, alone.
#[derive(Debug)]
pub struct Isolation<'a> {
    /// The sweep.
    pub session: &'a Session<'a>,
    /// Its Cells.
    pub cells: &'a [Cell],
    /// What they need, in the same order.
    pub tasks: &'a [Task],
}

impl Isolation<'_> {
    /// Measures up to `sample` of the Cells that have a number again, in a Run of their own
    /// and with the machine for themselves, and writes down what came of it.
    ///
    /// # Errors
    /// When a Run cannot be opened or a record is broken.
    pub fn verify(&self, sample: u32) -> Result<()> {
        let dir = self.session.dir();
        let mut measured = Vec::new();
        for (at, cell) in self.cells.iter().enumerate() {
            let m = dir.measurement(&cell.id)?;
            measured.extend(m.filter(|m| m.failure.is_none() && !m.skipped()).map(|m| (at, m)));
        }
        // Spread over the sweep: neighbours are alike.
        let step = measured.len().div_ceil(sample as usize).max(1);
        let chosen: Vec<(usize, Measurement)> = measured.into_iter().step_by(step).collect();
        let planner = self.session.planner;
        let progress = self.session.progress().clone();
        let whole = progress.whole(chosen.len());
        let alone = Session::open(planner, self.session.cancel.clone(), progress)?;
        let tasks: Vec<Task> = chosen
            .iter()
            .map(|(at, _)| {
                let mut task = self.tasks[*at].clone();
                task.footprint.cpu = CpuUse::Exclusive;
                task
            })
            .collect();
        let limits = Limits { serial: true, ..Limits::default() };
        alone.scheduler(limits).run(&tasks, &|i, grant| {
            let cell = &self.cells[chosen[i].0];
            let expected = Expected { seconds: tasks[i].estimate_s, guessed: false };
            let activity = alone.progress().activity(&format!("{} alone", cell.id), Some(expected));
            let own = alone.granted(cell.planner(&planner), grant, Some(cell.id.clone()), activity);
            let case = own.case(Stage::Bench, &cell.model);
            own.tell_end(&[case]);
            ControlFlow::Continue(())
        })?;
        drop(whole);
        let mut record = IsolationRecord { run: alone.dir().id.clone(), cells: BTreeMap::new() };
        for (at, beside) in &chosen {
            let cell = &self.cells[*at];
            let Some(by_itself) = alone.dir().measurement(&cell.id)? else { continue };
            record.cells.insert(cell.id.clone(), compare(cell, beside, &by_itself, self.session));
        }
        record::write_json(&dir.path().join("isolation.json"), &record)
    }
}

fn compare(
    cell: &Cell,
    beside: &Measurement,
    alone: &Measurement,
    session: &Session<'_>,
) -> BTreeMap<String, Verdict> {
    let config = &session.planner.catalog.config;
    let alone = alone.values();
    let verdict = |(key, samples): &(String, Vec<&crate::contract::Sample>)| {
        let (_, by_itself) = alone.iter().find(|(k, _)| k == key)?;
        let policy = Policy {
            // Nobody is to be red here: it is a word to the reader.
            max_confirmations: 0,
            ..policy(config, &cell.model, key, &samples[0].metric)
        };
        let numbers = |samples: &[&crate::contract::Sample]| -> Vec<f64> {
            samples.iter().map(|s| s.value).collect()
        };
        Some((key.clone(), judge(&numbers(by_itself), &numbers(samples), &policy)))
    };
    beside.values().iter().filter_map(verdict).collect()
}
