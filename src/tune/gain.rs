//! How much better a candidate is, whichever way its metric counts.

use super::{Candidate, TargetMetric, Tuning};
use crate::compare::{EntryComparison, MetricComparison};
use crate::regress::Direction;

/// A gain (0.1 = 10 % better), and where the true one is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// The estimate.
    pub gain: f64,
    /// Lowest and highest.
    pub interval: (f64, f64),
}

impl Gain {
    /// The gain in one metric: its change where more is better, the change without its sign
    /// where less is. None where nobody knows which way is better, or too little was measured.
    pub fn of(metric: &MetricComparison) -> Option<Gain> {
        let (change, (low, high)) = metric.change.zip(metric.interval)?;
        match metric.direction {
            Direction::Higher => Some(Gain { gain: change, interval: (low, high) }),
            Direction::Lower => Some(Gain { gain: -change, interval: (-high, -low) }),
            Direction::Unknown => None,
        }
    }
}

impl TargetMetric {
    /// What a comparison says about this metric, if it was measured in its unit.
    pub fn of<'a>(&self, comparison: &'a EntryComparison) -> Option<&'a MetricComparison> {
        comparison.metrics.iter().find(|m| m.key == self.key && m.metric == self.metric)
    }
}

impl Tuning {
    /// What may be said about the gain of `candidate`: only what was measured afresh after it
    /// was chosen, and found trustworthy.
    pub fn verified(&self, candidate: &Candidate) -> Option<Gain> {
        let trusted = candidate.trust.as_ref().is_some_and(|trust| trust.trustworthy);
        let metric = self.metric.as_ref()?.of(candidate.verification.as_ref()?)?;
        Gain::of(metric).filter(|_| trusted)
    }
}
