//! What a Run says about the machine it ran on: the noise of all accepted metrics, the
//! canary, and changes that all entries share.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Session, VerdictRecord, lock};
use crate::catalog::{Config, Model};
use crate::record::{self, CaseStatus, RunDir};
use crate::regress::{
    self, CommonShift, Direction, Outcome as Is, Policy, Pool, Series, common_shift,
};
use crate::slug::slug;

/// Baselines read for the noise of a class of machines: enough for a spread that is known to
/// a few percent, few enough to be read in milliseconds.
pub(super) const PEERS: usize = 256;
/// Tag of the entry that says whether the machine is as it was.
const CANARY_TAG: &str = "canary";
/// What the kind of a case says whose numbers are no word about the code.
pub const INVALID_ENVIRONMENT: &str = "invalid-environment";

/// `canary.json`: what the canary of a Run showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Canary {
    /// The entry.
    pub id: String,
    /// Its metric.
    pub metric: String,
    /// What it came to.
    pub outcome: Is,
    /// Its change, positive for worse (0.05 = 5 %).
    pub worse_by: f64,
}

impl Canary {
    /// The metric of the canary that moved most, if it has any that can tell.
    fn of(record: &VerdictRecord) -> Option<Canary> {
        let told = record.metrics.iter().filter_map(|(key, v)| Some((key, v, v.worse_by?)));
        let (metric, verdict, worse_by) = told.max_by(|a, b| a.2.abs().total_cmp(&b.2.abs()))?;
        Some(Canary {
            id: record.id.clone(),
            metric: metric.clone(),
            outcome: verdict.outcome,
            worse_by,
        })
    }

    /// Whether the machine is known to have changed.
    fn shifted(&self) -> bool {
        matches!(self.outcome, Is::Regressed | Is::Improved)
    }

    /// What a value would have been on the machine as it was.
    pub(super) fn normalised(&self, value: f64, direction: Direction) -> f64 {
        // Work takes 1/(1 − w) times as long on a machine that is slower by w.
        match direction {
            Direction::Higher => value / (1.0 - self.worse_by),
            Direction::Lower => value * (1.0 - self.worse_by),
            Direction::Unknown => value,
        }
    }

    pub(super) fn words(&self) -> String {
        let word = if self.worse_by > 0.0 { "worse" } else { "better" };
        format!("the canary {} is {:.1} % {word}", self.id, 100.0 * self.worse_by.abs())
    }
}

/// Whether the entry is the catalog's canary.
pub fn is_canary(config: &Config, model: &Model) -> bool {
    match &config.gate.canary {
        Some(name) => model.name == *name,
        None => model.has_tag(CANARY_TAG),
    }
}

/// The same entries, the canary first: the others are judged by what it shows.
pub fn canary_first(config: &Config, mut models: Vec<Model>) -> Vec<Model> {
    models.sort_by_key(|model| !is_canary(config, model));
    models
}

impl Session<'_> {
    /// The noise of the machine class, computed once in a Run: what is in the run directory
    /// is what the Run was judged with.
    pub(super) fn pool(&self, machine_class: &str) -> Result<Pool> {
        let path = self.dir.path().join(format!("pool-{}.json", slug(machine_class)));
        if let Some(pool) = record::read_json(&path)? {
            return Ok(pool);
        }
        let baselines = self.store.of_class(machine_class, PEERS);
        let series: Vec<Series> = baselines.iter().flat_map(|b| b.series()).collect();
        let pool = Pool::of(&series);
        record::write_json(&path, &pool)?;
        Ok(pool)
    }

    /// What the canary of this Run showed, if it was judged and has shifted.
    pub(super) fn shifted_canary(&self, model: &Model) -> Result<Option<Canary>> {
        if is_canary(&self.planner.catalog.config, model) {
            return Ok(None);
        }
        let canary: Option<Canary> = record::read_json(&self.dir.path().join("canary.json"))?;
        Ok(canary.filter(Canary::shifted))
    }

    /// Writes down what the canary showed, for the entries judged after it.
    pub(super) fn note_canary(&self, record: &VerdictRecord) -> Result<()> {
        match Canary::of(record) {
            Some(canary) => record::write_json(&self.dir.path().join("canary.json"), &canary),
            None => Ok(()),
        }
    }

    /// Looks at the verdicts of the Run together. When they look like a slower machine, its
    /// regressions are no word about the code: their cases say so and still fail.
    pub(super) fn look_at_all(&self) -> Result<()> {
        let Some(shift) = suspicion(&self.dir)? else {
            return Ok(());
        };
        let words = suspicion_words(&shift);
        eprintln!("warning: {words}");
        for case in lock(&self.said.cases).iter_mut() {
            if case.status == CaseStatus::Failed && case.kind == "regression" {
                case.kind = INVALID_ENVIRONMENT.to_owned();
                case.message = format!("{words}\n{}", case.message);
                self.dir.write_case(case)?;
            }
        }
        Ok(())
    }
}

/// Whether the verdicts of a Run, looked at together, look like a slower machine.
///
/// # Errors
/// When a record is broken.
pub fn suspicion(run: &RunDir) -> Result<Option<CommonShift>> {
    let records = verdicts(run)?;
    let changes: Vec<f64> = records
        .iter()
        .map(|r| r.metrics.values().filter_map(|v| v.worse_by).collect::<Vec<f64>>())
        .filter(|changes| !changes.is_empty())
        .map(|changes| regress::median(&changes))
        .collect();
    Ok(common_shift(&changes, Policy::default().tolerance))
}

/// The verdicts of a Run, by entry.
///
/// # Errors
/// When a record is broken.
pub fn verdicts(run: &RunDir) -> Result<Vec<VerdictRecord>> {
    let mut records: Vec<VerdictRecord> = run.verdicts()?;
    records.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(records)
}

/// `18.0 % worse on 12 of 12 entries: look at the machine`.
pub fn suspicion_words(shift: &CommonShift) -> String {
    let CommonShift { checks, worse, shift, .. } = shift;
    format!(
        "the run is suspect, {:.1} % worse in the middle, {worse} of {checks} entries worse, most \
         by about as much: look at the machine before the code",
        100.0 * shift
    )
}
