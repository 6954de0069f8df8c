//! From what runs measured to accepted numbers. Only ever called because somebody said so.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::environment::PEERS;
use super::{VerdictRecord, level_step, policy, store};
use crate::baseline::{
    Acceptance, Accepted, AcceptedMetric, Baseline, BaselineError, Key, Rules, Store,
};
use crate::catalog::{Catalog, Model};
use crate::record::{self, Measurement, RunDir};
use crate::regress::{self, Outcome, Policy, Pool, Series, median};

/// One-sided confidence that noise keeps a run in its level: three standard deviations.
const LEVEL_CONFIDENCE: f64 = 0.9985;

/// Measurements of one entry under the same conditions, to be accepted together.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The runs and what they measured, oldest first; never empty.
    pub runs: Vec<(RunDir, Measurement)>,
}

impl Candidate {
    /// The newest run and what it measured.
    pub fn newest(&self) -> &(RunDir, Measurement) {
        &self.runs[self.runs.len() - 1]
    }

    /// The entry with its added arguments.
    pub fn id(&self) -> &str {
        &self.newest().1.id
    }

    /// Where its accepted numbers are.
    pub fn key(&self) -> Key {
        self.newest().1.baseline_key()
    }

    /// Medians of every metric, oldest run first.
    pub fn metrics(&self) -> BTreeMap<String, Vec<f64>> {
        let mut metrics = BTreeMap::<String, Vec<f64>>::new();
        for (key, value) in self.runs.iter().flat_map(|(_, m)| m.medians()) {
            metrics.entry(key).or_default().push(value);
        }
        metrics
    }
}

/// `rejected.json`: somebody looked at the numbers of an entry and does not want them accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Rejection {
    /// `mad-rejection/1`.
    schema: String,
    /// Who.
    by: String,
    /// When, RFC 3339, UTC.
    at: String,
}

/// Accepts what runs measured.
#[derive(Debug)]
pub struct Acceptor<'a> {
    catalog: &'a Catalog,
    store: Store,
    by: String,
    agree: usize,
    force: bool,
    new_level: bool,
    pools: RefCell<HashMap<String, Pool>>,
}

impl<'a> Acceptor<'a> {
    /// Accepts in the name of `by`, in the way the catalog says.
    pub fn new(catalog: &'a Catalog, by: String) -> Acceptor<'a> {
        let agree = catalog.config.baseline.agree;
        let (force, new_level, pools) = (false, false, RefCell::default());
        Acceptor { catalog, store: store(catalog), by, agree, force, new_level, pools }
    }

    /// With so many runs that must agree before numbers are first accepted.
    #[must_use]
    pub fn agree(self, runs: usize) -> Self {
        Self { agree: runs, ..self }
    }

    /// Whatever speaks against it; the file tells.
    #[must_use]
    pub fn force(self, force: bool) -> Self {
        Self { force, ..self }
    }

    /// As a new level, whatever the numbers say.
    #[must_use]
    pub fn new_level(self, new_level: bool) -> Self {
        Self { new_level, ..self }
    }

    /// Accepted so far.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What `runs`, oldest first, measured of the wanted entries.
    ///
    /// # Errors
    /// When a record is broken.
    pub fn candidates(
        &self,
        runs: &[RunDir],
        wanted: impl Fn(&Measurement) -> bool,
    ) -> Result<Vec<Candidate>> {
        let mut found: IndexMap<Key, Candidate> = IndexMap::new();
        for run in runs {
            for m in run.measurements()?.into_iter().filter(|m| wanted(m)) {
                let candidate = found.entry(m.baseline_key());
                let candidate = candidate.or_insert_with(|| Candidate { runs: Vec::new() });
                candidate.runs.push((run.clone(), m));
            }
        }
        Ok(found.into_values().collect())
    }

    /// Adds earlier runs of the same entry, unchanged, where a first baseline takes more than
    /// there are. `all` are the runs to look among, oldest first. Runs that failed, were
    /// profiled or rejected are passed over.
    ///
    /// # Errors
    /// When a record is broken.
    pub fn with_earlier(&self, mut candidate: Candidate, all: &[RunDir]) -> Result<Candidate> {
        if self.store.exists(&candidate.key()) {
            return Ok(candidate);
        }
        let (first, newest) = (&candidate.runs[0].0.id, candidate.newest().1.clone());
        let at = all.iter().position(|run| run.id == *first).unwrap_or(0);
        let mut earlier = Vec::new();
        for run in all[..at].iter().rev() {
            if candidate.runs.len() + earlier.len() >= self.agree {
                break;
            }
            let Some(m) = run.measurement(&newest.id)? else { continue };
            if m.baseline_key() != newest.baseline_key() {
                continue;
            }
            if m.provenance.entry != newest.provenance.entry {
                break;
            }
            if obstacle(run, &m)?.is_none() {
                earlier.push((run.clone(), m));
            }
        }
        earlier.reverse();
        candidate.runs.splice(..0, earlier);
        Ok(candidate)
    }

    /// What accepting would do. Writes nothing. A reason that would be asked for counts as given.
    ///
    /// # Errors
    /// When the runs are not to be accepted.
    pub fn preview(&self, candidate: &Candidate) -> Result<Acceptance> {
        self.with(candidate, "asked for later", |key, runs, rules| {
            self.store.preview(key, runs, rules)
        })
    }

    /// Accepts the runs, all or none.
    ///
    /// # Errors
    /// When they are not to be accepted, or the file cannot be written.
    pub fn accept(&self, candidate: &Candidate, why: &str) -> Result<(PathBuf, Acceptance)> {
        self.with(candidate, why, |key, runs, rules| self.store.accept(key, runs, rules))
    }

    /// Notes that the newest run of the candidate is not to be accepted.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn reject(&self, candidate: &Candidate) -> Result<()> {
        let (run, m) = candidate.newest();
        let (schema, by) = ("mad-rejection/1".to_owned(), self.by.clone());
        let rejection = Rejection { schema, by, at: record::now() };
        record::write_json(&rejection_file(run, &m.id), &rejection)
    }

    /// How a metric of the candidate's entry is judged where numbers are accepted.
    ///
    /// # Errors
    /// When the catalog has no such entry.
    pub fn policy_of(&self, candidate: &Candidate, key: &str, unit: &str) -> Result<Policy> {
        let m = &candidate.newest().1;
        Ok(self.policy(self.model(m)?, &m.machine_class, key, unit))
    }

    fn policy(&self, model: &Model, class: &str, key: &str, unit: &str) -> Policy {
        let config = &self.catalog.config;
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(class.to_owned()).or_insert_with(|| {
            let baselines = self.store.of_class(class, PEERS);
            Pool::of(&baselines.iter().flat_map(|b| b.series()).collect::<Vec<Series>>())
        });
        let mut policy = policy(config, model, key, unit);
        // Noise must not break a level, or the runs that are left show less of it than there is.
        // Where it is not known, a wide tolerance sees to that.
        match pool.spread {
            Some(_) => policy.confidence = LEVEL_CONFIDENCE,
            None => policy.tolerance = level_step(config, model, key, unit),
        }
        Policy { pool: pool.clone(), ..policy }
    }

    fn with<T>(
        &self,
        candidate: &Candidate,
        why: &str,
        act: impl FnOnce(&Key, &[Accepted], &Rules<'_>) -> Result<T, BaselineError>,
    ) -> Result<T> {
        for (run, m) in &candidate.runs {
            if let Some(obstacle) = obstacle(run, m)? {
                bail!(obstacle);
            }
        }
        let newest = &candidate.newest().1;
        let model = self.model(newest)?;
        let policy = |key: &str, unit: &str| self.policy(model, &newest.machine_class, key, unit);
        let mut regressed = HashMap::new();
        for (run, m) in &candidate.runs {
            regressed.insert(run.id.as_str(), regressions(run, m)?);
        }
        let first = &candidate.runs[0].0.id;
        let new_level = |baseline: &Baseline, run: &Accepted| {
            if self.new_level && run.run == *first {
                return Some("a new level is asked for".to_owned());
            }
            // A verdict against this very level: who accepts it wants no red run tomorrow.
            let against =
                |median: &f64, key: &str| *median == regress::median(&baseline.window(key));
            let mut found = regressed.get(run.run.as_str())?.iter();
            let (key, _) = found.find(|(key, median)| against(median, key))?;
            Some(format!("{key}: the gate called it regressed"))
        };
        let Acceptor { agree, force, .. } = *self;
        let rules = Rules { agree, force, new_level: &new_level, policy: &policy };
        let accepted = |(_, m): &(RunDir, Measurement)| self.accepted(model, m, why);
        let runs: Vec<Accepted> = candidate.runs.iter().map(accepted).collect();
        Ok(act(&candidate.key(), &runs, &rules)?)
    }

    fn model(&self, m: &Measurement) -> Result<&'a Model> {
        let model = self.catalog.models.iter().find(|model| model.name == m.model);
        model.with_context(|| format!("the catalog has no {}", m.model))
    }

    fn accepted(&self, model: &Model, m: &Measurement, why: &str) -> Accepted {
        let metrics = m.values().into_iter().map(|(key, samples)| {
            let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
            let metric = samples.first().map(|s| s.metric.clone()).unwrap_or_default();
            let direction = policy(&self.catalog.config, model, &key, &metric).direction;
            (key, AcceptedMetric { metric, median: median(&values), values, direction })
        });
        Accepted {
            level: 0,
            run: m.run.clone(),
            at: record::now(),
            by: self.by.clone(),
            why: why.to_owned(),
            forced: false,
            objection: None,
            provenance: m.facts(),
            metrics: metrics.collect(),
        }
    }
}

/// The run that was begun last.
///
/// # Errors
/// When there is none, or a clock makes it doubtful which one that is.
pub fn latest_run(base: &Path) -> Result<RunDir> {
    let latest = RunDir::find(base, "latest")?;
    let (started, now) = (latest.read_run()?.started, record::now());
    ensure!(
        started <= now,
        "run {} says it began at {started}, and it is {now}: a clock was set back, so nobody can \
         tell which run is the latest; name it with `--run`",
        latest.id
    );
    Ok(latest)
}

/// The metrics that the gate called regressed in a run, with the medians they were judged by.
fn regressions(run: &RunDir, m: &Measurement) -> Result<Vec<(String, f64)>> {
    let verdict: Option<VerdictRecord> = record::read_json(&run.model(&m.id).join("verdict.json"))?;
    let metrics = verdict.into_iter().flat_map(|record| record.metrics);
    let regressed = metrics.filter(|(_, v)| v.outcome == Outcome::Regressed);
    Ok(regressed.filter_map(|(key, v)| Some((key, v.baseline_median?))).collect())
}

/// Why what an entry of a run measured can never be accepted, if so.
fn obstacle(run: &RunDir, m: &Measurement) -> Result<Option<String>> {
    let id = &run.id;
    Ok(if let Some(failure) = &m.failure {
        Some(format!("run {id} failed: {failure}"))
    } else if m.executions.iter().any(|e| e.profiled) {
        Some(format!("run {id} was profiled: its numbers are no measurement"))
    } else if m.values().is_empty() {
        Some(format!("run {id} has no number"))
    } else {
        let file = rejection_file(run, &m.id);
        let rejected: Option<Rejection> = record::read_json(&file)?;
        rejected.map(|r| {
            let path = file.display();
            format!("run {id} was rejected at {} by {}; remove {path} to allow it", r.at, r.by)
        })
    })
}

fn rejection_file(run: &RunDir, id: &str) -> PathBuf {
    run.model(id).join("rejected.json")
}
