//! One entry under comparison.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::record::{EntryComparison, Failure, MetricComparison};
use super::{Block, Criterion, Estimate, Order, Outcome, Pair, Settings};
use crate::catalog::{Config, Model};
use crate::plan::Job;
use crate::progress::{Activity, Expected};
use crate::record::{ExecutionRecord, Measurement};
use crate::regress::{count, median, percent};
use crate::run::{Session, Side, is_gated, policy};

/// Two Jobs that are executed in turn, and what they reported.
pub(super) struct Subject<'a> {
    config: &'a Config,
    model: Model,
    base: Side<'a>,
    candidate: Side<'a>,
    activity: Activity,
    order: Order,
    blocks: Vec<Block>,
    spent: Duration,
    metrics: Vec<Tracked>,
    failure: Option<Failure>,
    notes: Vec<String>,
    /// Whether no further block is needed.
    done: bool,
}

/// A metric that both sides report.
struct Tracked {
    key: String,
    metric: String,
    gated: bool,
    criterion: Criterion,
    pairs: Vec<Pair>,
    values: [Vec<f64>; 2],
    /// Two values without a ratio.
    broken: Option<(f64, f64)>,
}

impl<'a> Subject<'a> {
    /// Makes both sides ready and warms them up. Their records go to `place` in the directory
    /// of the comparison.
    pub(super) fn prepare(
        sessions: [&Session<'a>; 2],
        jobs: [Job; 2],
        place: &str,
        order: Order,
        config: &'a Config,
        activity: Activity,
    ) -> Result<Self, Failure> {
        let [base_job, job] = jobs;
        let model = job.model.clone();
        let warmups = [base_job.warmup, job.warmup];
        comparable(&base_job, &job)?;
        let broken = |side: &str| {
            let side = side.to_owned();
            move |e: anyhow::Error| Failure {
                build: true,
                message: format!("the {side} cannot be made ready: {e:#}"),
            }
        };
        activity.step("making both sides ready");
        let [base, candidate] = sessions.map(|session| session.of(activity.output_only()));
        let base = Side::prepare(base, base_job, place, "base").map_err(broken("base"))?;
        let candidate =
            Side::prepare(candidate, job, place, "candidate").map_err(broken("candidate"))?;
        let mut subject = Subject {
            config,
            model,
            base,
            candidate,
            activity,
            order,
            blocks: Vec::new(),
            spent: Duration::ZERO,
            metrics: Vec::new(),
            failure: None,
            notes: Vec::new(),
            done: false,
        };
        subject.warm_up(warmups);
        subject.activity.rest(None);
        Ok(subject)
    }

    /// The warm-ups of both sides in turn, and then what one of them needs beyond that.
    fn warm_up(&mut self, [base, candidate]: [u32; 2]) {
        for number in 0..base.max(candidate) {
            if self.failure.is_some() {
                return;
            }
            if number < base.min(candidate) {
                self.pair(true, true);
                continue;
            }
            let side = if base > candidate { &mut self.base } else { &mut self.candidate };
            let done = side.warm_up();
            self.note_failure(done);
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.candidate.job().id
    }

    /// Whether nothing more is to be measured.
    pub(super) fn is_done(&self) -> bool {
        self.done || self.failure.is_some()
    }

    /// Metrics that share the false alarms.
    pub(super) fn checks(&self) -> usize {
        self.metrics.iter().filter(|m| m.gated).count()
    }

    /// What a block takes, as far as is known.
    pub(super) fn block_time(&self) -> Duration {
        self.spent / u32::try_from(self.blocks.len()).unwrap_or(u32::MAX).max(1)
    }

    /// One block of four Executions.
    pub(super) fn block(&mut self, settings: &Settings) {
        let Some(block) = self.order.next() else { return };
        self.activity.step(&format!("block {}", self.blocks.len() + 1));
        let clock = Instant::now();
        for base_first in block.pairs() {
            if self.failure.is_none() {
                self.pair(base_first, false);
                self.take(base_first, settings);
            }
        }
        if self.failure.is_none() {
            self.blocks.push(block);
        }
        self.spent += clock.elapsed();
        let expected = self.block_time().as_secs_f64();
        self.activity.rest(Some(Expected { seconds: expected, guessed: false }));
    }

    /// What the user ended has not failed.
    pub(super) fn interrupted(&mut self) {
        self.failure = None;
    }

    /// One Execution of each side.
    fn pair(&mut self, base_first: bool, warmup: bool) {
        let (base, candidate) = (&mut self.base, &mut self.candidate);
        let done = match base_first {
            true => Side::pair(base, candidate, warmup),
            false => Side::pair(candidate, base, warmup),
        };
        self.note_failure(done);
    }

    /// Why nothing more can be measured, if `done` or the last Execution of a side says so.
    fn note_failure(&mut self, done: Result<()>) {
        let failed = |side: &Side<'_>, name: &str| {
            let failure = side.executions().last()?.failure.as_ref()?;
            Some(format!("the {name} failed: {failure}"))
        };
        let message = match done {
            Err(e) => Some(format!("{e:#}")),
            Ok(()) => failed(&self.base, "base").or_else(|| failed(&self.candidate, "candidate")),
        };
        self.failure = message.map(|message| Failure { build: false, message });
    }

    /// Takes the values of the last pair.
    fn take(&mut self, base_first: bool, settings: &Settings) {
        if self.failure.is_some() {
            return;
        }
        let (Some(base), Some(candidate)) =
            (self.base.executions().last(), self.candidate.executions().last())
        else {
            return;
        };
        let taken = match self.metrics.is_empty() {
            true => track(self.config, &self.model, base, candidate, settings)
                .map(|(metrics, notes)| (self.metrics, self.notes) = (metrics, notes)),
            false => Ok(()),
        };
        let taken = taken.and_then(|()| {
            self.metrics.iter_mut().try_for_each(|m| m.take(base, candidate, base_first))
        });
        self.failure = taken.err().map(|message| Failure { build: false, message });
    }

    /// Looks at what was measured, now that `level` false alarms are left to each metric.
    pub(super) fn look(&mut self, level: f64, settings: &Settings) {
        for metric in &mut self.metrics {
            metric.criterion.level = level;
        }
        let per_side = 2 * u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        let enough = per_side >= self.candidate.job().samples;
        let gated = || self.metrics.iter().filter(|m| m.gated && m.broken.is_none());
        // One that is slower for certain is an answer; the others need not be settled.
        let decided = gated().any(|m| m.outcome() == Outcome::Slower)
            || gated().all(|m| m.outcome() != Outcome::Undecided);
        self.done = (decided && enough) || per_side + 2 > settings.max_samples;
        if self.failure.is_some() {
            self.activity.end("failed", true);
        } else if self.done {
            self.activity.end(if decided { "decided" } else { "undecided" }, false);
        }
    }

    /// How much better the metric `key` is by now (0.1 = 10 %).
    pub(super) fn gain(&self, key: &str) -> Option<f64> {
        let metric = self.metrics.iter().find(|m| m.key == key)?;
        Some(metric.criterion.gain(&metric.estimate()?).exp_m1())
    }

    /// Whether the metric `key` is not better by its smallest effect, for all that is known.
    pub(super) fn rules_out(&self, key: &str) -> bool {
        let metric = self.metrics.iter().find(|m| m.key == key);
        let excluded = metric.and_then(|m| Some(m.criterion.excludes_gain(&m.estimate()?)));
        excluded.unwrap_or_default()
    }

    /// Writes the records of both sides; what came of it, and the Measurements of both.
    pub(super) fn finish(self, settings: &Settings) -> (EntryComparison, Vec<Measurement>) {
        let base_id = self.base.job().id.clone();
        let (id, class) = (self.id().to_owned(), self.candidate.job().machine_class());
        let metrics: Vec<MetricComparison> =
            self.metrics.iter().map(|m| m.compared(settings)).collect();
        let gated = || metrics.iter().filter(|m| m.gated);
        let any = |outcome| gated().any(|m| m.outcome == outcome);
        let worst = [Outcome::Slower, Outcome::Changed, Outcome::Undecided, Outcome::Faster]
            .into_iter()
            .find(|outcome| any(*outcome));
        let mut notes = self.notes;
        if gated().next().is_none() && self.failure.is_none() && !metrics.is_empty() {
            notes.push("none of its metrics is gated".to_owned());
        }
        let mut failure = self.failure;
        let executions = self.base.executions().len() + self.candidate.executions().len();
        let mut measurements = Vec::new();
        for side in [self.base, self.candidate] {
            let message = failure.as_ref().map(|f| f.message.clone());
            match side.finish(message) {
                Ok(measurement) => {
                    for warning in &measurement.warnings {
                        if !notes.contains(warning) {
                            notes.push(warning.clone());
                        }
                    }
                    measurements.push(measurement);
                }
                Err(e) => {
                    let message = format!("{e:#}");
                    failure.get_or_insert(Failure { build: false, message });
                }
            }
        }
        let compared = EntryComparison {
            base_id: (base_id != id).then_some(base_id),
            id,
            outcome: (failure.is_none() && !metrics.is_empty())
                .then(|| worst.unwrap_or(Outcome::Same)),
            failure,
            skipped: None,
            machine_class: Some(class),
            order: self.blocks.iter().map(|b| b.letters().to_owned()).collect(),
            executions,
            metrics,
            notes,
        };
        (compared, measurements)
    }
}

/// Numbers of different GPU counts, precisions or machines are never compared.
fn comparable(base: &Job, candidate: &Job) -> Result<(), Failure> {
    let differ = |what: &str, base: &dyn std::fmt::Display, now: &dyn std::fmt::Display| Failure {
        build: false,
        message: format!("the base has {what} {base}, the candidate {now}: not to be compared"),
    };
    if base.n_gpus != candidate.n_gpus {
        return Err(differ("the number of GPUs", &base.n_gpus, &candidate.n_gpus));
    }
    let (then, now) = (base.model.precision(), candidate.model.precision());
    if then != now {
        return Err(differ("the precision", &format!("{then:?}"), &format!("{now:?}")));
    }
    let (then, now) = (base.machine_class(), candidate.machine_class());
    if then != now {
        return Err(differ("the class of machines", &then, &now));
    }
    Ok(())
}

/// The metrics that both sides report, and what to say about the others.
fn track(
    config: &Config,
    model: &Model,
    base: &ExecutionRecord,
    candidate: &ExecutionRecord,
    settings: &Settings,
) -> Result<(Vec<Tracked>, Vec<String>), String> {
    let keys = |e: &ExecutionRecord| e.samples.iter().map(|s| s.key()).collect::<Vec<_>>();
    let (then, now) = (keys(base), keys(candidate));
    let missing = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|key| !b.contains(key)).cloned().collect()
    };
    let (lost, new) = (missing(&then, &now), missing(&now, &then));
    if !lost.is_empty() {
        return Err(format!(
            "the base reports {}, which the candidate does not: it reports {}; numbers of \
             different metrics or units are not compared",
            lost.join(", "),
            now.join(", ")
        ));
    }
    let notes = match new.is_empty() {
        true => Vec::new(),
        false => vec![format!("only the candidate reports {}", new.join(", "))],
    };
    let shared = candidate.samples.iter().filter(|s| then.contains(&s.key()));
    let tracked = shared.map(|sample| {
        let (key, metric) = (sample.key(), sample.metric.clone());
        let policy = policy(config, model, &key, &metric);
        let watched = settings.watched.iter().find(|w| w.metric == key || w.metric == metric);
        let min_effect = settings.min_effect.unwrap_or(policy.tolerance);
        let min_effect = watched.map_or(min_effect, |w| w.min_effect);
        Tracked {
            gated: watched.is_some() || is_gated(model, &key, &metric),
            criterion: Criterion { direction: policy.direction, min_effect, level: f64::NAN },
            pairs: Vec::new(),
            values: Default::default(),
            broken: None,
            key,
            metric,
        }
    });
    Ok((tracked.collect(), notes))
}

impl Tracked {
    fn take(
        &mut self,
        base: &ExecutionRecord,
        candidate: &ExecutionRecord,
        base_first: bool,
    ) -> Result<(), String> {
        let value = |e: &ExecutionRecord, side: &str| {
            let sample = e.samples.iter().find(|s| s.key() == self.key);
            sample.map(|s| s.value).ok_or_else(|| {
                format!("execution {} of the {side} did not report {}", e.number, self.key)
            })
        };
        let (base, candidate) = (value(base, "base")?, value(candidate, "candidate")?);
        self.values[0].push(base);
        self.values[1].push(candidate);
        match Pair::of(base, candidate, base_first) {
            Some(pair) => self.pairs.push(pair),
            None => self.broken = self.broken.or(Some((base, candidate))),
        }
        Ok(())
    }

    /// What all pairs say; of whole blocks alone, and where all have a ratio.
    fn estimate(&self) -> Option<Estimate> {
        let whole = self.pairs.len() / 2 * 2;
        self.broken.is_none().then(|| Estimate::of(&self.pairs[..whole])).flatten()
    }

    fn outcome(&self) -> Outcome {
        self.estimate().map_or(Outcome::Undecided, |e| self.criterion.outcome(&e))
    }

    fn compared(&self, settings: &Settings) -> MetricComparison {
        let estimate = self.estimate();
        let outcome = self.outcome();
        let half = estimate.map_or(f64::INFINITY, |e| e.half_width(self.criterion.level));
        let around = |e: Estimate| ((e.change - half).exp_m1(), (e.change + half).exp_m1());
        MetricComparison {
            key: self.key.clone(),
            metric: self.metric.clone(),
            direction: self.criterion.direction,
            gated: self.gated,
            outcome,
            base: median(&self.values[0]),
            candidate: median(&self.values[1]),
            change: estimate.map(|e| e.change.exp_m1()),
            interval: estimate.filter(|_| half.is_finite()).map(around),
            min_effect: self.criterion.min_effect,
            pairs: self.pairs.len(),
            spread: estimate.map(|e| e.spread),
            settle: self.settle(outcome, estimate, settings),
        }
    }

    /// What would decide it.
    fn settle(
        &self,
        outcome: Outcome,
        estimate: Option<Estimate>,
        settings: &Settings,
    ) -> Option<String> {
        if let Some((base, candidate)) = self.broken {
            return Some(format!(
                "there is no ratio between {base} and {candidate}: only positive numbers are \
                 compared"
            ));
        }
        match (outcome, estimate) {
            (Outcome::Changed, _) => Some(format!(
                "say which way is better: `regress.metrics.{}.direction`",
                self.metric
            )),
            (Outcome::Undecided, None) => {
                Some("too few executions were made to say anything".to_owned())
            }
            (Outcome::Undecided, Some(e)) => Some(match self.criterion.pairs_to_decide(&e) {
                Some(pairs) if pairs <= 1000.max(10 * e.pairs) => format!(
                    "about {} per side would decide it, if pairs go on to vary by {}: \
                     --max-samples {}",
                    count(pairs, "execution"),
                    percent(e.spread),
                    (pairs.max(e.pairs + 1) * 5 / 4).max(settings.max_samples as usize + 2),
                ),
                _ => format!(
                    "pairs vary by {}, too much to tell: a quieter machine, longer executions or \
                     a larger --min-effect would",
                    percent(e.spread)
                ),
            }),
            _ => None,
        }
    }
}
