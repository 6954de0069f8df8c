//! The regress case: a Measurement against the accepted numbers, confirmed by
//! measuring again before anything fails.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::environment::{Canary, INVALID_ENVIRONMENT, is_canary};
use super::fallback::{Fallback, Found, Reach, accepted_for, other_software, reach};
use super::measure::{Purpose, failure_kind, runner_attempt};
use super::policy::{Gating, gating, policy, spend};
use super::{Outcome, SKIPPED_MODEL, Session};
use crate::baseline::{Baseline, flipped};
use crate::catalog::Model;
use crate::contract::Sample;
use crate::engine::Prepared;
use crate::plan::Job;
use crate::record::{self, ExecutionRecord, Measurement, ModelLock};
use crate::regress::{self, Confirmation, Direction, Step, Verdict};

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
    /// Metrics of the baseline that cannot be judged, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
    /// How the accepted numbers are not of exactly this machine and its software.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fallback: Option<Fallback>,
    /// What differs from the accepted runs, apart from the numbers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// What the entry says about regressions of a metric, by metric.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub remarks: BTreeMap<String, String>,
    /// Metrics whose regression does not fail: not gated, or known.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub excused: BTreeSet<String>,
    /// The canary, where it has shifted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub canary: Option<Canary>,
    /// Whether the values were judged as if the canary had not shifted.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub normalised: bool,
    /// Executions that were made to confirm a suspicion.
    pub confirmations: Vec<ExecutionRecord>,
}

impl VerdictRecord {
    /// A value as it is judged.
    fn judged(&self, value: f64, direction: Direction) -> f64 {
        match &self.canary {
            Some(canary) if self.normalised => canary.normalised(value, direction),
            _ => value,
        }
    }

    /// Notes what the entry says about a regression of the metric, now that it is judged.
    fn excuse(&mut self, key: &str, gating: Gating) {
        let Some(verdict) = self.metrics.get(key) else { return };
        let regressed = verdict.outcome == regress::Outcome::Regressed;
        let good = matches!(verdict.outcome, regress::Outcome::Same | regress::Outcome::Improved);
        let (remark, excused) = match gating {
            Gating::Gated => return,
            Gating::GatedAgain(why) => (why, false),
            Gating::Ungated(why) => (format!("not gated: {why}"), true),
            Gating::Known(why) if good => {
                (format!("unexpected pass, `xfail` can go: it was {why}"), false)
            }
            Gating::Known(why) => (format!("known regression: {why}"), true),
        };
        self.remarks.insert(key.to_owned(), remark);
        if excused && regressed {
            self.excused.insert(key.to_owned());
        }
    }

    /// Keeps what is decided, and what is in doubt among the `doubts`.
    fn settle(&mut self, key: String, step: Step, doubts: &mut BTreeMap<String, Confirmation>) {
        match step {
            Step::Done(mut verdict) => {
                self.fallback.iter().for_each(|fallback| fallback.weaken(&mut verdict));
                self.metrics.insert(key, verdict);
            }
            Step::MeasureAgain { so_far, .. } => {
                doubts.insert(key, so_far);
            }
        }
    }
}

impl Session<'_> {
    pub(super) fn regress(&self, model: &Model) -> Result<Outcome> {
        let jobs = match self.obstacle(model) {
            Ok(jobs) => jobs,
            Err(outcome) => return Ok(outcome),
        };
        let outcomes: Result<Vec<(String, Outcome)>> =
            jobs.iter().map(|job| Ok((job.id.clone(), self.regress_job(job)?))).collect();
        Ok(Outcome::of_images(outcomes?))
    }

    fn regress_job(&self, job: &Job) -> Result<Outcome> {
        // A broken baseline must fail before hours are spent on a measurement.
        let Found { baseline, mut fallback } = match accepted_for(&self.planner, &self.store, job) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(self.no_baseline(job, "")),
            Err(e) => return Ok(Outcome::failed("baseline", e.to_string())),
        };
        let guard = self.dir.lock(&self.job_key(job), &|| self.cancel.is_cancelled())?;
        let measurement = self.measure(job, &guard)?;
        if let Some(failure) = &measurement.failure {
            let message = format!("nothing to judge: {failure}");
            return Ok(Outcome::failed(failure_kind(&measurement), message));
        }
        if measurement.skipped() {
            return Ok(Outcome::ignored(SKIPPED_MODEL, "the model was not run"));
        }
        fallback = fallback.or_else(|| other_software(&baseline, &measurement));
        if let Some(fallback) = fallback.as_ref().filter(|f| f.reach > reach(&self.planner)) {
            return Ok(self.no_baseline(job, &fallback.words()));
        }
        if let Some(problem) = self.incomparable(job, &baseline, &measurement) {
            return Ok(match elsewhere(fallback.as_ref()) {
                true => self.no_baseline(job, &problem),
                false => Outcome::failed("baseline", problem),
            });
        }
        let verdict = self.verdict(job, &baseline, fallback, &measurement, &guard)?;
        if elsewhere(verdict.fallback.as_ref()) && verdict.metrics.is_empty() {
            return Ok(self.no_baseline(job, &verdict.notes.join("; ")));
        }
        let canary = is_canary(&self.planner.catalog.config, &job.model);
        if canary {
            self.note_canary(&verdict)?;
        }
        let outcome = outcome(&verdict, canary);
        Ok(outcome.with(self.verdict_properties(job, &measurement, &verdict)))
    }

    /// Why the numbers of a measurement cannot be compared with accepted ones, if so.
    fn incomparable(&self, job: &Job, accepted: &Baseline, m: &Measurement) -> Option<String> {
        let values = m.values();
        let units = values.iter().map(|(key, s)| (key.as_str(), s[0].metric.as_str()));
        if let Err(e) = self.store.refuse_other_units(accepted, units) {
            return Some(e.to_string());
        }
        let config = &self.planner.catalog.config;
        values.iter().find_map(|(key, samples)| {
            let was = accepted.direction(key);
            let is = policy(config, &job.model, key, &samples[0].metric).direction;
            flipped(was, is).then(|| {
                format!(
                    "{key}: {was} was better when it was accepted, {is} is now: a regression would \
                     look like an improvement; correct `regress.metrics.<m>.direction`, or accept \
                     anew: mad baseline accept --why TEXT"
                )
            })
        })
    }

    /// The Verdict of this Run: the one that is there, or a new one. A test runner
    /// that tries again gets the old one: trying until noise looks good is no
    /// judgement.
    fn verdict(
        &self,
        job: &Job,
        baseline: &Baseline,
        fallback: Option<Fallback>,
        measurement: &Measurement,
        guard: &ModelLock,
    ) -> Result<VerdictRecord> {
        let path = guard.verdict();
        if (runner_attempt() > 1 || self.resumed)
            && let Some(verdict) = record::read_json(&path)?
        {
            return Ok(verdict);
        }
        let verdict = self.judge(job, baseline, fallback, measurement, guard)?;
        record::write_json(&path, &verdict)?;
        Ok(verdict)
    }

    fn judge(
        &self,
        job: &Job,
        baseline: &Baseline,
        fallback: Option<Fallback>,
        measurement: &Measurement,
        guard: &ModelLock,
    ) -> Result<VerdictRecord> {
        let elsewhere = elsewhere(fallback.as_ref());
        let mut record = VerdictRecord {
            schema: "mad-verdict/1".to_owned(),
            run: self.dir.id.clone(),
            id: measurement.id.clone(),
            metrics: BTreeMap::new(),
            problems: Vec::new(),
            notes: notes(baseline, fallback.as_ref(), measurement),
            fallback,
            remarks: BTreeMap::new(),
            excused: BTreeSet::new(),
            canary: self.shifted_canary(&job.model)?,
            normalised: self.planner.catalog.config.gate.normalise,
            confirmations: Vec::new(),
        };
        record.normalised &= record.canary.is_some();
        record.notes.extend(record.canary.iter().map(Canary::words));
        let pool = self.pool(&measurement.machine_class)?;
        let values = measurement.values();
        let mut doubts = BTreeMap::new();
        for key in baseline.metric_keys() {
            let Some((_, samples)) = values.iter().find(|(k, _)| k == key) else {
                let problem = "the baseline has this metric, this run did not report it";
                let told = if elsewhere { &mut record.notes } else { &mut record.problems };
                told.push(format!("{key}: {problem}"));
                continue;
            };
            let config = &self.planner.catalog.config;
            let mut policy = policy(config, &job.model, key, &samples[0].metric);
            policy.pool = pool.clone();
            if elsewhere {
                // Nothing can be confirmed that way.
                policy.max_confirmations = 0;
            }
            spend(&mut policy, self.planner.options, samples.len());
            let judged = |s: &&Sample| record.judged(s.value, policy.direction);
            let numbers: Vec<f64> = samples.iter().map(judged).collect();
            let step = Confirmation::start(&baseline.window(key), &numbers, &policy);
            record.settle(key.to_owned(), step, &mut doubts);
        }
        if !doubts.is_empty() {
            self.confirm(job, &measurement.prepared, guard, &mut record, doubts)?;
        }
        for (key, samples) in &values {
            record.excuse(key, gating(&job.model, key, &samples[0].metric));
        }
        Ok(record)
    }

    /// Measures again until every doubt is settled. One fresh Execution serves all
    /// metrics that are still in doubt.
    fn confirm(
        &self,
        job: &Job,
        prepared: &Prepared,
        guard: &ModelLock,
        record: &mut VerdictRecord,
        mut doubts: BTreeMap<String, Confirmation>,
    ) -> Result<()> {
        let engine = self.engine(job)?;
        let dir = self.place_to_confirm(engine, guard)?;
        while !doubts.is_empty() {
            if !self.has_time() && !doubts.values().any(Confirmation::is_pending) {
                for (key, so_far) in doubts {
                    record.metrics.insert(key, so_far.give_up("the time is spent"));
                }
                break;
            }
            let number = u32::try_from(record.confirmations.len() + 1).unwrap_or(u32::MAX);
            let execution = self.execute(job, engine, prepared, &dir, number, Purpose::Confirm)?;
            if let Some(failure) = &execution.failure {
                bail!("a confirming execution failed: {failure}");
            }
            for (key, so_far) in std::mem::take(&mut doubts) {
                let fresh = execution.samples.iter().find(|s| s.key() == key);
                let fresh = fresh
                    .with_context(|| format!("a confirming execution did not report {key}"))?;
                let value = record.judged(fresh.value, so_far.direction());
                record.settle(key, so_far.measured(value), &mut doubts);
            }
            record.confirmations.push(execution);
        }
        engine.tidy(&dir, self.planner.options.keep_alive);
        Ok(())
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
        if let Some(fallback) = &verdict.fallback {
            properties.push(("fallback".into(), fallback.words()));
        }
        properties.push(("confirmations".into(), verdict.confirmations.len().to_string()));
        properties
    }
}

/// Whether the accepted numbers are those of another product.
fn elsewhere(fallback: Option<&Fallback>) -> bool {
    fallback.is_some_and(|fallback| fallback.reach == Reach::Product)
}

/// What differs from the accepted runs, apart from the numbers: a reader of a red case looks
/// there first.
fn notes(
    baseline: &Baseline,
    fallback: Option<&Fallback>,
    measurement: &Measurement,
) -> Vec<String> {
    let mut notes: Vec<String> = fallback.iter().map(|fallback| fallback.words()).collect();
    let then = baseline.accepted.last().and_then(|accepted| accepted.provenance.get("entry"));
    let now = &measurement.provenance.entry;
    if let Some(then) = then.filter(|then| *then != now) {
        notes.push(format!("the entry (hash) changed since it was accepted: {then} → {now}"));
    }
    notes
}

/// The case's outcome: the worst Verdict of its metrics, with all of them explained,
/// the reason for a red case first. A canary that regressed says nothing about the code.
fn outcome(record: &VerdictRecord, is_canary: bool) -> Outcome {
    use regress::Outcome as Is;
    let mut verdicts: Vec<(&String, &Verdict)> = record.metrics.iter().collect();
    let rank = |(key, v): &(&String, &Verdict)| match v.outcome {
        Is::Regressed if record.excused.contains(*key) => 2,
        Is::Regressed => 0,
        Is::Invalid => 1,
        Is::Ambiguous => 2,
        _ => 3,
    };
    verdicts.sort_by_key(rank);
    let lines = verdicts.iter().map(|(key, v)| {
        let remark = record.remarks.get(*key).map_or(String::new(), |r| format!(" [{r}]"));
        match &v.settle {
            Some(settle) => format!("{key}: {}: {} ({settle}){remark}", v.outcome, v.explanation),
            None => format!("{key}: {}: {}{remark}", v.outcome, v.explanation),
        }
    });
    let notes = record.notes.iter().map(|note| format!("note: {note}"));
    let worst = verdicts.first().map(rank);
    let regressed = worst == Some(0);
    let (verdict_lines, problems) = (lines, record.problems.iter().cloned());
    let mut text: Vec<String> = match regressed {
        true => verdict_lines.chain(problems).chain(notes).collect(),
        false => problems.chain(verdict_lines).chain(notes).collect(),
    };
    let veto = match &record.canary {
        _ if is_canary => Some("the canary itself has shifted: look at the machine".to_owned()),
        Some(canary) if record.normalised => {
            text.push(format!("note: judged as if it had not shifted: {}", canary.words()));
            None
        }
        Some(canary) if canary.worse_by > 0.0 => {
            Some(format!("{}: look at the machine before the code", canary.words()))
        }
        _ => None,
    };
    if let Some(veto) = veto.filter(|_| regressed) {
        text.insert(0, veto);
        return Outcome::failed(INVALID_ENVIRONMENT, text.join("\n"));
    }
    let text = text.join("\n");
    if regressed {
        Outcome::failed("regression", text)
    } else if !record.problems.is_empty() {
        Outcome::failed("lost-metric", text)
    } else if worst.is_none_or(|rank| rank == 1) {
        let text = if text.is_empty() { "the baseline holds no metric".to_owned() } else { text };
        Outcome::failed("baseline", text)
    } else {
        Outcome::passed(text)
    }
}
