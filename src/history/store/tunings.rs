//! Searches for a better configuration in the index.

use std::collections::HashSet;

use rusqlite::types::Value as Cell;

use super::tables::TUNINGS;
use super::{Index, IndexError, Known, Row, Rows};
use crate::history::report::Group;
use crate::history::tunings::{Best, Pattern, Searched, Tried, TunedBaseline};
use crate::profile::Bottleneck;
use crate::tune::{Candidate, Status, Tuning};

const COUNT: &str = "SELECT COUNT(*) FROM tunings";
const BASELINES: &str = "
SELECT model, machine_class, n_gpus, training_precision, stack, host, tuning, started,
    metric, unit, direction, median, executions
FROM model_baselines
ORDER BY model, machine_class, n_gpus, training_precision, metric, started, tuning, host";
const TRIED: &str = "
SELECT model, machine_class, n_gpus, training_precision, stack, host, tuning, started,
    candidate, bottleneck, change, lever, value, status, because, gain, low, high
FROM optimization_history
ORDER BY model, machine_class, n_gpus, training_precision, started, tuning, host, position";
const BEST: &str = "
SELECT model, machine_class, n_gpus, training_precision, stack, host, tuning, started,
    metric, unit, changes, gain, low, high
FROM best_configurations
ORDER BY model, machine_class, n_gpus, training_precision, metric, started, tuning, host";
const LEARNED: &str = "
SELECT lever, value, bottleneck, stack, machine_class, tried, held, gain, low, high
FROM learned_patterns
ORDER BY gain DESC, lever, value, bottleneck, stack, machine_class";

/// One search as it goes into the index.
#[derive(Debug)]
pub(in crate::history) struct TuningRows {
    /// Name of the machine.
    pub(in crate::history) host: String,
    /// In whole seconds, as those of runs.
    pub(in crate::history) started: String,
    pub(in crate::history) signature: String,
    pub(in crate::history) tuning: Tuning,
}

impl Index {
    /// The ids of the searches that are in, each with what it looked like then.
    pub(in crate::history) fn tuning_signatures(
        &mut self,
    ) -> Result<HashSet<(String, String)>, IndexError> {
        self.signatures_of(TUNINGS)
    }

    /// Puts searches in, all or none, in the place of what there was of them.
    pub(in crate::history) fn put_tunings(
        &mut self,
        tunings: &[TuningRows],
    ) -> Result<(), IndexError> {
        let known = |t: &TuningRows| Known { host: t.host.clone(), id: t.tuning.run.clone() };
        let known: Vec<Known> = tunings.iter().map(known).collect();
        self.database.replace(TUNINGS, &known, &rows(tunings))
    }

    /// Number of searches.
    pub(in crate::history) fn tunings(&mut self) -> Result<u32, IndexError> {
        let counts = self.database.select(COUNT, &[])?;
        counts.into_iter().next().map_or(Ok(0), |mut row| row.next())
    }

    /// The entries as they were when a search began, oldest first within each.
    pub(in crate::history) fn tuned_baselines(&mut self) -> Result<Vec<TunedBaseline>, IndexError> {
        self.all(BASELINES, |row| {
            let search = search(row)?;
            let (metric, unit, direction) = (row.next()?, row.next()?, row.next()?);
            let (median, executions) = (row.next()?, row.next()?);
            Ok(TunedBaseline { search, metric, unit, direction, median, executions })
        })
    }

    /// All candidates of all searches, oldest first within each model.
    pub(in crate::history) fn tried(&mut self) -> Result<Vec<Tried>, IndexError> {
        self.all(TRIED, |row| {
            let search = search(row)?;
            let (candidate, bottleneck, change) = (row.next()?, row.next()?, row.next()?);
            let (lever, value, status) = (row.next()?, row.next()?, row.next()?);
            let (because, gain) = (row.next()?, row.next()?);
            let interval = Option::zip(row.next()?, row.next()?);
            Ok(Tried {
                search,
                candidate,
                bottleneck,
                change,
                lever,
                value,
                status,
                because,
                gain,
                interval,
            })
        })
    }

    /// What each search recommends, oldest first within each model.
    pub(in crate::history) fn best(&mut self) -> Result<Vec<Best>, IndexError> {
        self.all(BEST, |row| {
            let search = search(row)?;
            let (metric, unit): (_, String) = (row.next()?, row.next()?);
            let changes: String = row.next()?;
            // What mad wrote it can read; of a newer one, the words are enough.
            let changes = serde_json::from_str(&changes).unwrap_or_default();
            let (gain, interval) = (row.next()?, (row.next()?, row.next()?));
            Ok(Best { search, metric, unit, changes, gain, interval })
        })
    }

    /// What the searches teach about single changes, the best first.
    pub(in crate::history) fn patterns(&mut self) -> Result<Vec<Pattern>, IndexError> {
        self.all(LEARNED, |row| {
            let (lever, value, bottleneck) = (row.next()?, row.next()?, row.next()?);
            let (stack, machine_class) = (row.next()?, row.next()?);
            let (tried, held): (u32, u32) = (row.next()?, row.next()?);
            let (gain, interval) = (row.next()?, (row.next()?, row.next()?));
            // The middle try is one without a gain otherwise, which has no interval.
            let interval = (2 * held > tried).then_some(interval);
            Ok(Pattern {
                lever,
                value,
                bottleneck,
                stack,
                machine_class,
                tried,
                held,
                gain,
                interval,
            })
        })
    }

    fn all<T>(
        &mut self,
        sql: &str,
        of: impl Fn(&mut Row) -> Result<T, IndexError>,
    ) -> Result<Vec<T>, IndexError> {
        self.database.select(sql, &[])?.into_iter().map(|mut row| of(&mut row)).collect()
    }
}

/// What the rows of all tables but that of patterns begin with: what was tuned, its stack, and
/// host, id and start of the search.
fn search(row: &mut Row) -> Result<Searched, IndexError> {
    let group = Group {
        model: row.next()?,
        machine_class: row.next()?,
        n_gpus: row.next()?,
        precision: row.next()?,
    };
    let (stack, host) = (row.next()?, row.next()?);
    Ok(Searched { group, stack, host, run: row.next()?, started: row.next()? })
}

/// The rows of `tunings`.
fn rows(tunings: &[TuningRows]) -> Rows {
    let (mut parents, mut baselines, mut tried, mut best) = (vec![], vec![], vec![], vec![]);
    for TuningRows { host, started, signature, tuning } in tunings {
        let of = || -> Vec<Cell> { vec![host.clone().into(), tuning.run.clone().into()] };
        let on = || -> [Cell; 5] {
            [
                tuning.model.clone().into(),
                tuning.machine_class.clone().into(),
                tuning.n_gpus.into(),
                tuning.precision.clone().unwrap_or_default().into(),
                tuning.stack.clone().into(),
            ]
        };
        let metric = tuning.metric.as_ref();
        let parent = [of(), vec![started.clone().into(), signature.clone().into()]];
        parents.push(parent.concat());
        if let Some((baseline, metric)) = tuning.baseline.as_ref().zip(metric) {
            let mut row = of();
            row.push(started.clone().into());
            row.extend(on());
            row.extend::<[Cell; 5]>([
                metric.key.clone().into(),
                metric.metric.clone().into(),
                metric.direction.to_string().into(),
                baseline.median.into(),
                u32::try_from(baseline.values.len()).unwrap_or(u32::MAX).into(),
            ]);
            baselines.push(row);
        }
        for (position, candidate) in (0_u32..).zip(&tuning.candidates) {
            let mut row = of();
            row.extend::<[Cell; 3]>([
                position.into(),
                candidate.id.clone().into(),
                started.clone().into(),
            ]);
            row.extend(on());
            row.extend(tried_cells(tuning, candidate));
            tried.push(row);
        }
        if let Some((recommendation, metric)) = tuning.recommendation.as_ref().zip(metric) {
            let mut row = of();
            row.push(started.clone().into());
            row.extend(on());
            // A list of texts: nothing in it cannot be written.
            let changes = serde_json::to_string(&recommendation.changes).unwrap_or_default();
            row.extend::<[Cell; 6]>([
                metric.key.clone().into(),
                metric.metric.clone().into(),
                changes.into(),
                recommendation.gain.into(),
                recommendation.interval.0.into(),
                recommendation.interval.1.into(),
            ]);
            best.push(row);
        }
    }
    vec![parents, baselines, tried, best]
}

/// What the search found about one candidate.
fn tried_cells(tuning: &Tuning, candidate: &Candidate) -> [Cell; 10] {
    let one = match &candidate.changes[..] {
        [one] => Some(one),
        _ => None,
    };
    let because = candidate.trust.as_ref().map(|trust| trust.because.join("; "));
    let gain = tuning.verified(candidate);
    [
        bottleneck(tuning, candidate).word().to_owned().into(),
        candidate.words().into(),
        one.map(|change| change.lever.clone()).into(),
        one.map(|change| change.value.clone()).into(),
        status(candidate.status).to_owned().into(),
        because.unwrap_or_default().into(),
        conclusive(candidate).into(),
        gain.map(|gain| gain.gain).into(),
        gain.map(|gain| gain.interval.0).into(),
        gain.map(|gain| gain.interval.1).into(),
    ]
}

/// What was found to hold the entry back, or what the candidate is to act on.
fn bottleneck(tuning: &Tuning, candidate: &Candidate) -> Bottleneck {
    let found = || tuning.diagnosis.as_ref()?.diagnosis.as_ref().map(|d| d.bottleneck);
    found().or(candidate.target).unwrap_or(Bottleneck::Unknown)
}

/// Whether it is known if the candidate's change is better by itself: what looked better and was
/// not measured afresh, or on top of others, says neither that it helps nor that it does not.
fn conclusive(candidate: &Candidate) -> bool {
    let afresh = candidate.verification.is_some() && candidate.on_top_of.is_empty();
    match candidate.status {
        Status::Failure => true,
        Status::Success => afresh || !candidate.promising,
        Status::Waiting | Status::Skipped => false,
    }
}

/// The word of a status in records.
fn status(status: Status) -> &'static str {
    match status {
        Status::Waiting => "waiting",
        Status::Success => "success",
        Status::Failure => "failure",
        Status::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The gain of one try with its interval; none for one that does not hold.
    type Try = Option<(f64, f64, f64)>;

    fn tries() -> impl Strategy<Value = Vec<Try>> {
        let held = (1e-3..2.0_f64, 0.0..1.0_f64, 0.0..5.0_f64)
            .prop_map(|(gain, below, above)| (gain, gain * below, gain + above));
        prop::collection::vec(prop::option::of(held), 1..12)
    }

    /// A search that tried one change.
    fn search(n: usize, held: Try) -> TuningRows {
        let comparison = |(gain, low, high): (f64, f64, f64)| {
            json!({
                "id": "m", "order": [], "executions": 6,
                "metrics": [{
                    "key": "x", "metric": "x", "direction": "higher", "gated": true,
                    "outcome": "faster", "base": 1.0, "candidate": 1.0, "change": gain,
                    "interval": [low, high], "min_effect": 0.0, "pairs": 6,
                }],
            })
        };
        let tuning: Value = json!({
            "schema": "mad-tuning/1", "run": format!("t{n}"), "started": "", "duration_s": 1.0,
            "model": "m", "entry_hash": "", "stack": "generic", "machine_class": "box",
            "n_gpus": 0, "strategy": "search", "seed": 1, "false_alarms": 0.05, "flags": {},
            "metric": { "key": "x", "metric": "x", "direction": "higher" },
            "phase": "done",
            "candidates": [{
                "id": "c", "changes": [{ "lever": "L", "kind": "env", "value": "1" }],
                "from": "entry", "evidence": "",
                "status": if held.is_some() { "success" } else { "failure" },
                "verification": held.map(comparison),
                "trust": { "trustworthy": held.is_some(), "because": [] },
            }],
        });
        TuningRows {
            host: "h".to_owned(),
            started: String::new(),
            signature: String::new(),
            tuning: serde_json::from_value(tuning).unwrap(),
        }
    }

    fn pooled(tries: &[Try]) -> Pattern {
        let mut index = Index::in_memory().unwrap();
        let rows: Vec<TuningRows> = tries.iter().enumerate().map(|(n, t)| search(n, *t)).collect();
        index.put_tunings(&rows).unwrap();
        // However often it is put in.
        index.put_tunings(&rows).unwrap();
        let mut patterns = index.patterns().unwrap();
        assert_eq!(patterns.len(), 1);
        patterns.remove(0)
    }

    fn lower_median(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        values[(values.len() - 1) / 2]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn gains_are_pooled_by_their_lower_median(tries in tries()) {
            let pooled = pooled(&tries);
            let held = tries.iter().flatten().count();
            prop_assert_eq!(pooled.tried as usize, tries.len());
            prop_assert_eq!(pooled.held as usize, held);
            let of = |which: fn(&(f64, f64, f64)) -> f64| {
                lower_median(tries.iter().map(|t| t.as_ref().map_or(0.0, which)).collect())
            };
            let (gain, low, high) = (of(|t| t.0), of(|t| t.1), of(|t| t.2));
            prop_assert_eq!(pooled.gain, gain);
            prop_assert_eq!(pooled.interval, (2 * held > tries.len()).then_some((low, high)));
            // What helped in half of the tries or fewer has learned nothing.
            prop_assert_eq!(pooled.gain > 0.0, 2 * held > tries.len());
            if let Some((low, high)) = pooled.interval {
                prop_assert!(low <= pooled.gain && pooled.gain <= high);
            }
        }

        /// One wild try among many moves the gain no further than to the next one.
        #[test]
        fn one_wild_try_moves_little(tries in prop::collection::vec(0.1..0.2_f64, 3..9), wild in 1.0..1e9_f64) {
            let quiet = |gain: &f64| Some((*gain, gain / 2.0, gain * 2.0));
            let mut all: Vec<Try> = tries.iter().map(quiet).collect();
            all.push(Some((wild, wild, wild)));
            let gain = pooled(&all).gain;
            prop_assert!((0.1..0.2).contains(&gain), "{}", gain);
        }
    }
}
