//! What counts as a change of one metric.

use super::{Direction, Pool, WINDOW};

/// Checks that share the budget while other metrics tell nothing.
const FEW_CHECKS: u32 = 20;

/// What counts as a change of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Which way is better.
    pub direction: Direction,
    /// Relative change of the accepted median that nobody needs to hear of (0.05 = 5 %).
    pub tolerance: f64,
    /// Absolute change, in the metric's unit, that nobody needs to hear of.
    pub floor: Option<f64>,
    /// One-sided confidence that unchanged code stays within the limit of one look.
    pub confidence: f64,
    /// Share of whole runs of unchanged code that may end red.
    pub false_alarms: f64,
    /// Checks (metrics of all entries) of a whole run.
    pub checks: u32,
    /// Most fresh Executions that are made before a suspicion becomes a regression; 0 makes
    /// the first suspicion final.
    pub max_confirmations: u32,
    /// Whether to go on after a fresh Execution that is not suspected itself, as long as it is
    /// in doubt whether the metric is worse.
    pub until_decided: bool,
    /// What the other side is called in sentences: `accepted`, or `earlier` where nobody
    /// accepted it.
    pub reference: &'static str,
    /// What other metrics show of the machine's noise.
    pub pool: Pool,
    /// Accepted runs looked back on at most.
    pub window: usize,
}

impl Default for Policy {
    /// Direction unknown, tolerance 2 %, no floor, confidence 97 %, one red run in 100 of
    /// 300 checks, four confirmations and no further ones, nothing known of other metrics,
    /// against at most [`WINDOW`] accepted runs.
    fn default() -> Self {
        Self {
            direction: Direction::Unknown,
            tolerance: 0.02,
            floor: None,
            confidence: 0.97,
            false_alarms: 0.01,
            checks: 300,
            max_confirmations: 4,
            until_decided: false,
            pool: Pool::default(),
            window: WINDOW,
            reference: "accepted",
        }
    }
}

impl Policy {
    /// Share of false alarms that one check may have.
    pub(super) fn level(&self) -> f64 {
        self.false_alarms / f64::from(self.counted_checks())
    }

    /// Checks that share the budget. Where too few other metrics are accepted to tell the
    /// noise of the machine, there are few to share it with.
    pub(super) fn counted_checks(&self) -> u32 {
        match self.pool.spread {
            Some(_) => self.checks,
            None => self.checks.min(FEW_CHECKS),
        }
    }

    /// Fresh Executions that must have been worse before a verdict is `Regressed`.
    pub(super) fn least_confirmations(&self) -> u32 {
        self.pool.confirmations(self.level() / 2.0, 1.0 - self.confidence, self.max_confirmations)
    }

    /// The part of [`level`](Self::level) that is spent on the look after `fresh` Executions:
    /// half on the first one that may decide, because that one is the cheapest, and the rest
    /// evenly on those that may follow. A fifth is kept for what the model does not know.
    pub(super) fn share_of_look(&self, fresh: usize) -> f64 {
        let least = self.least_confirmations();
        let later = self.max_confirmations.saturating_sub(least);
        match later {
            0 => 0.8,
            _ if fresh <= least as usize => 0.4,
            _ => 0.4 / f64::from(later),
        }
    }

    /// What is wrong with the numbers of this policy, and what to write instead.
    pub(super) fn problem(&self) -> Option<String> {
        if !(self.tolerance.is_finite() && self.tolerance >= 0.0) {
            return Some(format!(
                "tolerance is {}: write a relative change such as 0.05",
                self.tolerance
            ));
        }
        if !(self.confidence > 0.5 && self.confidence < 1.0) {
            return Some(format!(
                "confidence is {}: write a number between 0.5 and 1, such as 0.99",
                self.confidence
            ));
        }
        if !(self.false_alarms > 0.0 && self.false_alarms <= 0.5) || self.checks == 0 {
            return Some(format!(
                "{} false alarms in {} checks: write a share of runs such as 0.01, and the \
                 number of checks of a run",
                self.false_alarms, self.checks
            ));
        }
        match self.floor {
            Some(floor) if !(floor.is_finite() && floor >= 0.0) => {
                Some(format!("floor is {floor}: write a change in the metric's unit, 0 or more"))
            }
            _ => None,
        }
    }
}
