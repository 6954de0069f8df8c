//! What changed against the accepted numbers, without judging it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Baseline;
use crate::regress::median;

/// One difference between the accepted numbers and those of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// Not accepted so far.
    Added {
        /// Metric key.
        metric: String,
        /// Measured, in the metric's unit.
        now: f64,
    },
    /// Accepted, but not measured any more.
    Gone {
        /// Metric key.
        metric: String,
        /// Median of the accepted runs, in the metric's unit.
        accepted: f64,
    },
    /// Another number.
    Changed {
        /// Metric key.
        metric: String,
        /// Median of the accepted runs, in the metric's unit.
        accepted: f64,
        /// Measured, in the metric's unit.
        now: f64,
        /// `(now - accepted) / |accepted|`; none for an accepted zero.
        change: Option<f64>,
    },
}

/// Compares medians of a run with those of the baseline's current level, by metric key.
pub fn diff(baseline: &Baseline, metrics: &BTreeMap<String, f64>) -> Vec<Change> {
    let accepted: BTreeMap<&str, f64> = baseline
        .metric_keys()
        .into_iter()
        .map(|key| (key, median(&baseline.window(key))))
        .collect();
    let gone = accepted
        .iter()
        .filter(|(key, _)| !metrics.contains_key(**key))
        .map(|(key, &accepted)| Change::Gone { metric: (*key).to_owned(), accepted });
    let measured = metrics.iter().filter_map(|(key, &now)| {
        let metric = key.clone();
        match accepted.get(key.as_str()) {
            None => Some(Change::Added { metric, now }),
            Some(&accepted) if accepted == now => None,
            Some(&accepted) => {
                let change = (accepted != 0.0).then(|| (now - accepted) / accepted.abs());
                Some(Change::Changed { metric, accepted, now, change })
            }
        }
    });
    gone.chain(measured).collect()
}
