//! What counts as a change of one metric.

use super::Direction;

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
    /// Fresh Executions that must all agree before a suspicion becomes a regression;
    /// 0 makes the first suspicion final.
    pub max_confirmations: u32,
    /// What the other side is called in sentences: `accepted`, or `earlier` where nobody
    /// accepted it.
    pub reference: &'static str,
}

impl Default for Policy {
    /// Direction unknown, tolerance 5 %, no floor, confidence 99 %, three confirmations,
    /// against accepted runs.
    fn default() -> Self {
        Self {
            direction: Direction::Unknown,
            tolerance: 0.05,
            floor: None,
            confidence: 0.99,
            max_confirmations: 3,
            reference: "accepted",
        }
    }
}

impl Policy {
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
        match self.floor {
            Some(floor) if !(floor.is_finite() && floor >= 0.0) => {
                Some(format!("floor is {floor}: write a change in the metric's unit, 0 or more"))
            }
            _ => None,
        }
    }
}
