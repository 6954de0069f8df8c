//! Which metric shall become better.

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::TargetMetric;
use crate::catalog::{Config, Model};
use crate::contract::Sample;
use crate::regress::Direction;
use crate::run::policy;

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// More work per time: a metric of which more is better.
    Throughput,
    /// Less time: a metric of which less is better.
    Latency,
}

impl Goal {
    fn direction(self) -> Direction {
        match self {
            Goal::Throughput => Direction::Higher,
            Goal::Latency => Direction::Lower,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Goal::Throughput => "throughput",
            Goal::Latency => "latency",
        })
    }
}

/// The metric of those that an Execution reported: the entry's primary one, else the first;
/// with a `goal`, only one that fits it.
///
/// # Errors
/// When none fits, or nobody knows which way it is better: what to write in the entry.
pub(super) fn target(
    config: &Config,
    model: &Model,
    samples: &[Sample],
    goal: Option<Goal>,
) -> Result<TargetMetric> {
    let of = |sample: &Sample| {
        let (key, metric) = (sample.key(), sample.metric.clone());
        let direction = policy(config, model, &key, &metric).direction;
        TargetMetric { key, metric, direction }
    };
    let all: Vec<TargetMetric> = samples.iter().map(of).collect();
    let primary = model.entry().regress.as_ref().and_then(|r| r.primary.as_deref());
    let is_primary = |t: &&TargetMetric| primary.is_some_and(|p| p == t.key || p == t.metric);
    let fits = |t: &&TargetMetric| goal.is_none_or(|goal| goal.direction() == t.direction);
    let chosen = all.iter().filter(fits).find(is_primary).or_else(|| all.iter().find(fits));
    let reported = || {
        let each = all.iter().map(|t| format!("{} ({})", t.key, t.direction));
        each.collect::<Vec<_>>().join(", ")
    };
    match (chosen, goal) {
        (Some(target), _) if target.direction != Direction::Unknown => Ok(target.clone()),
        (Some(target), _) => bail!(
            "nobody knows which way {} is better: say so in the entry, \
             `\"regress\": {{\"metrics\": {{\"{}\": {{\"direction\": \"higher\"}}}}}}`",
            target.key,
            target.metric
        ),
        (None, Some(goal)) => bail!(
            "{} reports no metric for --target {goal}, whose direction would be {}: it reports {}; \
             say which way one is better in the entry, `regress.metrics.<metric>.direction`",
            model.id(),
            goal.direction(),
            reported()
        ),
        (None, None) => bail!("{} reports no metric", model.id()),
    }
}
