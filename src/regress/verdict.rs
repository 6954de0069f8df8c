//! The answer, in numbers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pool;

/// What a judgement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Better by more than the tolerance and the limit.
    Improved,
    /// No change worth anybody's time.
    Same,
    /// Worse by more than the tolerance and the limit, and confirmed.
    Regressed,
    /// Cannot be told; [`Verdict::settle`] says what would.
    Ambiguous,
    /// Nothing has been accepted yet.
    NoBaseline,
    /// The numbers, or the policy, cannot be judged at all.
    Invalid,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Improved => "improved",
            Self::Same => "same",
            Self::Regressed => "regressed",
            Self::Ambiguous => "ambiguous",
            Self::NoBaseline => "no-baseline",
            Self::Invalid => "invalid",
        })
    }
}

/// One metric's judgement. Values are in the metric's unit, changes are relative
/// (0.05 = 5 %).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// What it came to.
    pub outcome: Outcome,
    /// Accepted runs looked at.
    pub baseline_n: usize,
    /// Median of the accepted runs.
    pub baseline_median: Option<f64>,
    /// Robust standard deviation between accepted runs, relative to their median; none
    /// for fewer than two runs or a zero median.
    pub spread: Option<f64>,
    /// Median of this run's Executions, fresh ones included. Where all fresh ones were worse
    /// as well: the mean of the first look and of them, or their median if it looks better.
    pub current: Option<f64>,
    /// Executions behind `current`.
    pub current_n: usize,
    /// Values of the fresh Executions that were asked for, in order.
    pub fresh: Vec<f64>,
    /// `(current - baseline) / |baseline|`; none for a zero baseline.
    pub change: Option<f64>,
    /// `change` with positive meaning worse; none when the direction is unknown.
    pub worse_by: Option<f64>,
    /// Where a new run of unchanged code falls; each end one-sided at the policy's
    /// confidence.
    pub interval: Option<(f64, f64)>,
    /// Suspected: measure again before anybody is alarmed (see
    /// [`Confirmation`](super::Confirmation)). The outcome is `Ambiguous` until then.
    pub needs_confirmation: bool,
    /// One line, in numbers.
    pub explanation: String,
    /// What would settle it, where something would.
    pub settle: Option<String>,
    /// The numbers behind the judgement; none in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What a judgement rests on, apart from the values themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Relative change that nobody needs to hear of.
    pub tolerance: f64,
    /// Absolute change, in the metric's unit, that nobody needs to hear of.
    pub floor: Option<f64>,
    /// The relative standard deviation between runs that was reckoned with: the metric's own
    /// moderated by that of others, or by what the tolerance implies.
    pub spread: Option<f64>,
    /// Degrees of freedom of `spread`.
    pub freedom: Option<f64>,
    /// Relative change that unchanged code may show at one look.
    pub limit: Option<f64>,
    /// Relative change of the mean of all looks that unchanged code may show; none if the
    /// first look was enough.
    pub decision_limit: Option<f64>,
    /// Share of false alarms that one check may have.
    pub level: f64,
    /// What other metrics showed of the machine's noise.
    pub pool: Pool,
    /// Fresh Executions that must have been worse before a verdict is `regressed`.
    pub confirmations: u32,
    /// Most fresh Executions.
    pub most_confirmations: u32,
}

impl Verdict {
    /// A verdict without a comparison.
    pub(super) fn without_comparison(
        outcome: Outcome,
        runs: usize,
        executions: usize,
        explanation: String,
    ) -> Self {
        Self {
            outcome,
            baseline_n: runs,
            baseline_median: None,
            spread: None,
            current: None,
            current_n: executions,
            fresh: Vec::new(),
            change: None,
            worse_by: None,
            interval: None,
            needs_confirmation: false,
            explanation,
            settle: None,
            evidence: None,
        }
    }
}
