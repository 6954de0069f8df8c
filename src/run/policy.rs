//! How a metric is judged, and whether a regression of it fails.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::Session;
use crate::catalog::{Config, MetricRule, Model};
use crate::contract::Sample;
use crate::options::RunOptions;
use crate::plan::Job;
use crate::record::{ExecutionRecord, samples_by_key};
use crate::regress::{self, Policy, relative_error};

/// Relative change that starts a new level of accepted runs where nobody says another
/// tolerance: larger than the gate's, so that noise does not break a level.
const LEVEL_STEP: f64 = 0.05;

/// How the metric `key` (whose unit word is `metric`) of `model` is judged: the entry's
/// word first, then the catalog's, then what the metric's name says.
pub fn policy(config: &Config, model: &Model, key: &str, metric: &str) -> Policy {
    let rule = rule(model, key, metric);
    let standard = Policy::default();
    Policy {
        direction: rule.direction.unwrap_or_else(|| regress::infer(metric)),
        tolerance: tolerance(config, model, &rule).unwrap_or(standard.tolerance),
        floor: rule.floor,
        false_alarms: config.gate.false_alarms.unwrap_or(standard.false_alarms),
        checks: config.gate.checks.unwrap_or(standard.checks),
        window: config.baseline.window,
        ..standard
    }
}

/// Lets the judgement of a metric spend as many Executions as the options say, after `first`
/// ones. A suspicion is confirmed as often as any, whatever they say.
pub(super) fn spend(policy: &mut Policy, options: &RunOptions, first: usize) {
    if let Some(most) = options.most_executions() {
        let further = most.saturating_sub(u32::try_from(first).unwrap_or(u32::MAX));
        policy.until_decided = true;
        policy.max_confirmations = policy.max_confirmations.max(further);
    }
}

impl Session<'_> {
    /// Whether an entry is to be executed once more, for the `number`-th time: as often as is
    /// asked for, and where it is measured until it is decided and nothing is accepted, until
    /// the mean of each gated metric is known to half its tolerance ([`relative_error`]).
    pub(super) fn wants(&self, job: &Job, number: u32, executions: &[ExecutionRecord]) -> bool {
        if number <= job.warmup + job.samples {
            return true;
        }
        let Some(most) = self.planner.options.most_executions() else { return false };
        if number > job.warmup + most
            || !self.has_time()
            || !matches!(self.store.load(&job.baseline_key()), Ok(None))
        {
            return false;
        }
        let (config, model) = (&self.planner.catalog.config, &job.model);
        let known = |(key, samples): &(String, Vec<&Sample>)| {
            let metric = &samples[0].metric;
            let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
            let enough = policy(config, model, key, metric).tolerance / 2.0;
            !is_gated(model, key, metric)
                || relative_error(&values).is_some_and(|error| error <= enough)
        };
        !samples_by_key(executions).iter().all(known)
    }

    /// Whether the Run has time for what only decides.
    pub(super) fn has_time(&self) -> bool {
        let Some(budget) = self.planner.options.budget else { return true };
        // All processes of a Run have the same start.
        let started = self.dir.read_run().ok();
        let started = started.and_then(|r| OffsetDateTime::parse(&r.started, &Rfc3339).ok());
        started.is_none_or(|started| OffsetDateTime::now_utc() - started < budget)
    }
}

/// Relative change of a metric that makes an accepted run start a new level.
pub fn level_step(config: &Config, model: &Model, key: &str, metric: &str) -> f64 {
    tolerance(config, model, &rule(model, key, metric)).unwrap_or(LEVEL_STEP)
}

fn tolerance(config: &Config, model: &Model, rule: &MetricRule) -> Option<f64> {
    let entry = model.entry().regress.as_ref().and_then(|r| r.tolerance);
    rule.tolerance.or(entry).or(config.defaults.tolerance)
}

fn rule(model: &Model, key: &str, metric: &str) -> MetricRule {
    let entry = model.entry().regress.as_ref();
    let rule = entry.and_then(|r| r.metrics.get(key).or_else(|| r.metrics.get(metric)));
    rule.cloned().unwrap_or_default()
}

/// Whether a regression of the metric may fail at all.
pub fn is_gated(model: &Model, key: &str, metric: &str) -> bool {
    !matches!(gating(model, key, metric), Gating::Ungated(_))
}

/// What the entry says about a regression of the metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Gating {
    /// It fails.
    Gated,
    /// It would not have failed until this day.
    GatedAgain(String),
    /// It does not fail; why.
    Ungated(String),
    /// It is known; why.
    Known(String),
}

/// Whether a regression of the metric fails.
pub(super) fn gating(model: &Model, key: &str, metric: &str) -> Gating {
    let rule = rule(model, key, metric);
    let reason = rule.reason.unwrap_or_else(|| "no reason given".to_owned());
    match (rule.gated, rule.until, rule.xfail) {
        (Some(false), Some(until), _) if until < today() => {
            Gating::GatedAgain(format!("gated again since {until}: {reason}"))
        }
        (Some(false), Some(until), _) => Gating::Ungated(format!("{reason}, until {until}")),
        (Some(false), None, _) => Gating::Ungated(reason),
        (_, _, Some(known)) => Gating::Known(match known.since {
            Some(since) => format!("{}, since {since}", known.reason),
            None => known.reason,
        }),
        _ => Gating::Gated,
    }
}

/// The day, as dates of the catalog are written: such texts sort like the days.
fn today() -> String {
    let format = format_description!("[year]-[month]-[day]");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}
