//! The regress case: a Measurement against the accepted numbers, confirmed by
//! measuring again before anything fails.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::measure::runner_attempt;
use super::{Outcome, Session};
use crate::baseline::Baseline;
use crate::catalog::Model;
use crate::contract::Sample;
use crate::plan::Job;
use crate::record::{self, ExecutionRecord, Measurement, ModelLock};
use crate::regress::{self, Confirmation, Policy, Step, Verdict};

/// `verdict.json`: what the gate said about one entry of one Run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictRecord {
    /// `mad-verdict/1`.
    pub schema: String,
    /// The Run.
    pub run: String,
    /// The entry.
    pub id: String,
    /// A Verdict per metric of the baseline.
    pub metrics: BTreeMap<String, Verdict>,
    /// Metrics of the baseline that this Run did not report.
    pub lost: Vec<String>,
    /// Executions that were made to confirm a suspicion.
    pub confirmations: Vec<ExecutionRecord>,
}

impl Session<'_> {
    pub(super) fn regress(&self, model: &Model) -> Result<Outcome> {
        let job = match self.obstacle(model) {
            Ok(job) => job,
            Err(outcome) => return Ok(outcome),
        };
        // A broken baseline must fail before hours are spent on a measurement.
        let baseline = match self.store.load(&job.baseline_key()) {
            Ok(Some(baseline)) => baseline,
            Ok(None) => return Ok(self.no_baseline(&job)),
            Err(e) => return Ok(Outcome::failed("baseline", e.to_string())),
        };
        let guard = self.dir.lock(&model.id(), &|| self.cancel.is_cancelled())?;
        let measurement = self.measure(&job, &guard)?;
        if let Some(failure) = &measurement.failure {
            return Ok(Outcome::failed("execution", format!("nothing to judge: {failure}")));
        }
        let values = measurement.values();
        let units = values.iter().map(|(key, s)| (key.as_str(), s[0].metric.as_str()));
        if let Err(e) = self.store.refuse_other_units(&baseline, units) {
            return Ok(Outcome::failed("baseline", e.to_string()));
        }
        let verdict = self.verdict(&job, &baseline, &measurement, &guard)?;
        Ok(outcome(&verdict).with(self.verdict_properties(&job, &measurement, &verdict)))
    }

    fn no_baseline(&self, job: &Job) -> Outcome {
        let key = job.baseline_key();
        let id = shell_words::quote(&job.model.id()).into_owned();
        let message = format!(
            "no baseline for {}; measure and accept one: \
             mad benchmark {id} && mad baseline accept {id}",
            key.machine_class
        );
        match self.planner.options.require_baseline {
            true => Outcome::failed("no-baseline", format!("{message} (--require-baseline)")),
            false => Outcome::ignored("no-baseline", message),
        }
    }

    /// The Verdict of this Run: the one that is there, or a new one. A test runner
    /// that tries again gets the old one: trying until noise looks good is no
    /// judgement.
    fn verdict(
        &self,
        job: &Job,
        baseline: &Baseline,
        measurement: &Measurement,
        guard: &ModelLock,
    ) -> Result<VerdictRecord> {
        let path = guard.verdict();
        if runner_attempt() > 1
            && let Some(verdict) = record::read_json(&path)?
        {
            return Ok(verdict);
        }
        let verdict = self.judge(job, baseline, measurement, guard)?;
        record::write_json(&path, &verdict)?;
        Ok(verdict)
    }

    fn judge(
        &self,
        job: &Job,
        baseline: &Baseline,
        measurement: &Measurement,
        guard: &ModelLock,
    ) -> Result<VerdictRecord> {
        let values = measurement.values();
        let mut lost = Vec::new();
        let mut metrics = BTreeMap::new();
        let mut open: BTreeMap<String, Confirmation> = BTreeMap::new();
        for key in baseline.metric_keys().into_iter().map(str::to_owned) {
            let Some((_, samples)) = values.iter().find(|(k, _)| *k == key) else {
                lost.push(key);
                continue;
            };
            let numbers: Vec<f64> = samples.iter().map(|s| s.value).collect();
            let policy = self.policy(job, &key, samples[0]);
            match Confirmation::start(&baseline.window(&key), &numbers, &policy) {
                Step::Done(verdict) => {
                    metrics.insert(key, verdict);
                }
                Step::MeasureAgain { so_far, .. } => {
                    open.insert(key, so_far);
                }
            }
        }
        // One fresh Execution serves every metric that is still in doubt.
        let mut confirmations: Vec<ExecutionRecord> = Vec::new();
        if !open.is_empty() {
            let (_, dir) = guard.next_attempt()?;
            let engine = self.engine(job)?;
            while !open.is_empty() {
                let number = u32::try_from(confirmations.len() + 1).unwrap_or(u32::MAX);
                let execution = self.execute(job, engine, &dir, number, false)?;
                if let Some(failure) = &execution.failure {
                    anyhow::bail!("a confirming execution failed: {failure}");
                }
                for (key, so_far) in std::mem::take(&mut open) {
                    let fresh = execution.samples.iter().find(|s| s.key() == key);
                    let fresh = fresh
                        .with_context(|| format!("a confirming execution did not report {key}"))?;
                    match so_far.measured(fresh.value) {
                        Step::MeasureAgain { so_far, .. } => {
                            open.insert(key, so_far);
                        }
                        Step::Done(verdict) => {
                            metrics.insert(key, verdict);
                        }
                    }
                }
                confirmations.push(execution);
            }
        }
        Ok(VerdictRecord {
            schema: "mad-verdict/1".to_owned(),
            run: self.dir.id.clone(),
            id: measurement.id.clone(),
            metrics,
            lost,
            confirmations,
        })
    }

    /// How one metric is judged: the entry's word first, then the catalog's, then
    /// what the metric's name says.
    fn policy(&self, job: &Job, key: &str, sample: &Sample) -> Policy {
        policy(&self.planner.catalog.config, &job.model, key, &sample.metric)
    }

    /// What a case of the entry says in JUnit and in records.
    pub(super) fn properties(&self, job: &Job, m: &Measurement) -> Vec<(String, String)> {
        let mut properties = Vec::new();
        let mut add = |key: &str, value: String| properties.push((key.to_owned(), value));
        let baseline = self.store.load(&m.baseline_key()).ok().flatten();
        for (key, samples) in m.values() {
            let numbers: Vec<f64> = samples.iter().map(|s| s.value).collect();
            let value = regress::median(&numbers);
            add("metric", key.clone());
            add("value", value.to_string());
            let accepted = baseline.as_ref().and_then(|b| b.median_in(&key, &samples[0].metric));
            if let Some(accepted) = accepted {
                add("baseline", accepted.to_string());
                if accepted != 0.0 {
                    add("change", format!("{:+.2}%", (value / accepted - 1.0) * 100.0));
                }
            }
        }
        add("executions", m.counted().count().to_string());
        add("machine", m.machine_class.clone());
        add("engine", m.engine.clone());
        add("n_gpus", job.n_gpus.to_string());
        add("run", m.run.clone());
        for e in &m.executions {
            add("log", self.dir.path().join(&e.log).display().to_string());
        }
        properties
    }

    fn verdict_properties(
        &self,
        job: &Job,
        measurement: &Measurement,
        verdict: &VerdictRecord,
    ) -> Vec<(String, String)> {
        let mut properties = self.properties(job, measurement);
        for (key, v) in &verdict.metrics {
            properties.push((format!("verdict.{key}"), v.outcome.to_string()));
        }
        properties.push(("confirmations".into(), verdict.confirmations.len().to_string()));
        properties
    }
}

/// How the metric `key` (whose unit word is `metric`) of `model` is judged.
pub fn policy(config: &crate::catalog::Config, model: &Model, key: &str, metric: &str) -> Policy {
    let entry = model.entry().regress.clone().unwrap_or_default();
    let rule = entry.metrics.get(key).or_else(|| entry.metrics.get(metric)).cloned();
    let rule = rule.unwrap_or_default();
    let tolerance = rule.tolerance.or(entry.tolerance).or(config.defaults.tolerance);
    let standard = Policy::default();
    Policy {
        direction: rule.direction.unwrap_or_else(|| regress::infer(metric)),
        tolerance: tolerance.unwrap_or(standard.tolerance),
        floor: rule.floor,
        ..standard
    }
}

/// The case's outcome: the worst Verdict of its metrics, all of them explained.
fn outcome(verdict: &VerdictRecord) -> Outcome {
    use regress::Outcome as V;
    let lines: Vec<String> = verdict
        .metrics
        .iter()
        .map(|(key, v)| match &v.settle {
            Some(settle) => format!("{key}: {}: {} ({settle})", v.outcome, v.explanation),
            None => format!("{key}: {}: {}", v.outcome, v.explanation),
        })
        .chain(verdict.lost.iter().map(|key| {
            format!("{key}: lost: the baseline has this metric, this run did not report it")
        }))
        .collect();
    let worst_first = |outcome: V| verdict.metrics.values().any(|v| v.outcome == outcome);
    // The reason for a red case stands first, whatever its metric is called.
    let message = |outcome: &str| {
        let (mut first, rest): (Vec<String>, Vec<String>) =
            lines.iter().cloned().partition(|l| l.contains(&format!(": {outcome}: ")));
        first.extend(rest);
        first.join("\n")
    };
    if worst_first(V::Regressed) {
        Outcome::failed("regression", message("regressed"))
    } else if !verdict.lost.is_empty() {
        Outcome::failed("lost-metric", message("lost"))
    } else if worst_first(V::Invalid) {
        Outcome::failed("baseline", message("invalid"))
    } else if verdict.metrics.is_empty() {
        Outcome::failed("baseline", "the baseline holds no metric")
    } else {
        Outcome::passed(lines.join("\n"))
    }
}
