//! Numbers of several nodes become one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conclude::{Conclusion, Failure, FailureKind};
use super::sample::Sample;
use crate::regress::{Direction, infer, inference_reason};

/// How the numbers that several nodes report for one metric become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Their sum: work per time.
    Sum,
    /// The greatest: the slowest node is the one that all wait for.
    Max,
    /// The least.
    Min,
    /// Their mean.
    Mean,
}

impl Rule {
    /// The rule that a metric's name tells: rates are added, of durations the longest counts, and
    /// anything else is averaged.
    pub fn of(metric: &str) -> Rule {
        let why = inference_reason(metric).unwrap_or_default();
        let per_gpu = metric.to_lowercase().contains("gpu");
        let is_rate = ["rate", "throughput", "bandwidth"].iter().any(|word| why.contains(word));
        match infer(metric) {
            Direction::Higher if is_rate && !per_gpu => Rule::Sum,
            Direction::Lower
                if ["duration", "latency", "time"].iter().any(|word| why.contains(word)) =>
            {
                Rule::Max
            }
            _ => Rule::Mean,
        }
    }

    fn apply(self, values: &[f64]) -> f64 {
        match self {
            Rule::Sum => values.iter().sum(),
            Rule::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Rule::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            // A count of nodes is far below what a float holds exactly.
            Rule::Mean => values.iter().sum::<f64>() / values.len() as f64,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Rule::Sum => "sum",
            Rule::Max => "greatest",
            Rule::Min => "least",
            Rule::Mean => "mean",
        }
    }
}

/// What all nodes of an Execution amount to.
///
/// A node that failed fails all. One that ended well without a number is passed over as long as
/// another has one: in many launchers only the first process reports. A number that one node
/// alone reports stays as it is written.
pub fn aggregate(nodes: &[(String, Conclusion)], rules: &BTreeMap<String, Rule>) -> Conclusion {
    let mut warnings = Vec::new();
    for (node, conclusion) in nodes {
        let said = conclusion.warnings.iter().map(|warning| format!("{node}: {warning}"));
        warnings.extend(said);
    }
    let failed = |(node, conclusion): &(String, Conclusion)| match &conclusion.outcome {
        Err(failure) => {
            let message = format!("{node}: {}", failure.message);
            Some(Failure { kind: failure.kind, message })
        }
        Ok(_) => None,
    };
    let failures: Vec<Failure> = nodes.iter().filter_map(failed).collect();
    let numbers = nodes.iter().any(|(_, c)| c.outcome.is_ok());
    let fatal = failures.iter().find(|f| f.kind != FailureKind::NoNumber || !numbers);
    if let Some(failure) = fatal {
        return Conclusion { outcome: Err(failure.clone()), warnings };
    }
    let mut by_key: Vec<(String, Vec<&Sample>)> = Vec::new();
    for sample in nodes.iter().flat_map(|(_, c)| c.outcome.iter().flatten()) {
        let key = sample.key();
        match by_key.iter_mut().find(|(k, _)| *k == key) {
            Some((_, samples)) => samples.push(sample),
            None => by_key.push((key, vec![sample])),
        }
    }
    let samples = by_key.into_iter().filter_map(|(key, of_nodes)| {
        let first = *of_nodes.first()?;
        if of_nodes.len() == 1 {
            return Some(first.clone());
        }
        let rule = rules.get(&first.metric).copied().unwrap_or_else(|| Rule::of(&first.metric));
        let values: Vec<f64> = of_nodes.iter().map(|s| s.value).collect();
        let value = rule.apply(&values);
        let (n, all, word) = (values.len(), nodes.len(), rule.word());
        warnings.push(format!("{key} is the {word} of {n} numbers from {all} nodes"));
        Some(Sample { value, text: value.to_string(), ..first.clone() })
    });
    let samples: Vec<Sample> = samples.collect();
    let infinite = samples.iter().find(|s| !s.value.is_finite());
    let outcome = match infinite {
        None => Ok(samples.clone()),
        Some(sample) => Err(Failure {
            kind: FailureKind::BadNumber,
            message: format!("the {} of all nodes together is no finite number", sample.key()),
        }),
    };
    Conclusion { outcome, warnings }
}
