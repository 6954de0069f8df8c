//! What earlier Runs measured.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;

use super::{HISTORY, Point, Reading, Series, Source};
use crate::record::{Measurement, RunDir};
use crate::regress::median;

/// Records that are read at most: history is worth a second, not a minute.
const RECORDS_MAX: usize = 20_000;

impl Source {
    /// Fills in what Runs below `run_dir` that began before this one measured, under the
    /// same conditions. Does nothing for a file, which brings its own history.
    ///
    /// # Errors
    /// When the directory of runs cannot be listed.
    pub fn with_history(mut self, run_dir: &Path) -> Result<Source> {
        let Some(this) = &self.run else { return Ok(self) };
        let mut by_model: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, reading) in self.readings.iter().enumerate() {
            if !reading.metric.is_empty() {
                by_model.entry(reading.model.clone()).or_default().push(i);
            }
        }
        let runs = RunDir::all(run_dir)?;
        // In order of their start; a run that says it began later is none of the past,
        // be it that this report is about an old run or that a clock was set back.
        let Some(at) = runs.iter().position(|run| run.id == this.id) else { return Ok(self) };
        let (earlier, later) = (&runs[..at], runs.len() - at - 1);
        if later > 0 {
            let began = if later == 1 { "run says it" } else { "runs say they" };
            self.notes
                .push(format!("{later} {began} began after this one, and no part of the history"));
        }
        let most = HISTORY.min(RECORDS_MAX / by_model.len().max(1)).max(1);
        let left_out = earlier.len().saturating_sub(most);
        if left_out > 0 {
            self.notes.push(format!("history: the last {most} of {} runs", earlier.len()));
        }
        let mut unreadable = 0;
        for run in &earlier[left_out..] {
            for (model, readings) in &by_model {
                match run.measurement(model) {
                    Ok(Some(m)) => {
                        for &i in readings {
                            let reading = &mut self.readings[i];
                            let found = point(reading, run, &m);
                            reading.history.points.extend(found);
                        }
                    }
                    Ok(None) => {}
                    Err(e) => {
                        if unreadable == 0 {
                            self.notes.push(format!("history of run {}: {e:#}", run.id));
                        }
                        unreadable += 1;
                    }
                }
            }
        }
        if unreadable > 1 {
            let more = unreadable - 1;
            self.notes.push(format!("{more} more records of earlier runs cannot be read"));
        }
        Ok(self)
    }
}

/// What an earlier Measurement says about the metric of a reading.
fn point(reading: &Reading, run: &RunDir, m: &Measurement) -> Option<Point> {
    let setting = &reading.setting;
    let same = m.machine_class == setting.machine_class
        && m.precision == setting.precision
        && m.n_gpus.to_string() == setting.n_gpus;
    if !same || m.failure.is_some() {
        return None;
    }
    let (_, samples) = m.values().into_iter().find(|(key, _)| *key == reading.metric)?;
    let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
    Some(Point { value: median(&values), run: Some(run.id.clone()), at: Some(m.started.clone()) })
}

impl Reading {
    /// What was measured before, of the same file or in earlier Runs.
    pub(super) fn past(&self) -> Series {
        if !self.history.is_empty() {
            return self.history.clone();
        }
        let points = self.earlier.iter().map(|&value| Point { value, run: None, at: None });
        let left_out = self.earlier_left_out;
        Series { points: points.collect(), left_out, ..Series::default() }
    }
}
