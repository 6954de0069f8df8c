//! What an estimate means.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, Pair};
use super::order::Order;
use crate::regress::Direction;

/// What is said about the candidate, against the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is better, and by the smallest effect or more as far as is known.
    Faster,
    /// The whole interval is within the smallest effect.
    Same,
    /// It is worse, and by the smallest effect or more as far as is known.
    Slower,
    /// It differs, and nobody says which way is better.
    Changed,
    /// It cannot be told yet.
    Undecided,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Outcome::Faster => "faster",
            Outcome::Same => "same",
            Outcome::Slower => "slower",
            Outcome::Changed => "changed",
            Outcome::Undecided => "undecided",
        })
    }
}

/// What counts as a change of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criterion {
    /// Which way is better.
    pub direction: Direction,
    /// Relative change that nobody needs to hear of (0.05 = 5 %).
    pub min_effect: f64,
    /// Share of comparisons of equal code in which this metric may be called different.
    pub level: f64,
}

impl Criterion {
    /// What the estimate means by now. A change is called one when the interval excludes
    /// "none" and the estimate itself is the smallest effect or more; both sides are called
    /// the same when the whole interval is within it.
    pub fn outcome(&self, estimate: &Estimate) -> Outcome {
        let (change, half) = (estimate.change, estimate.half_width(self.level));
        let margin = self.margin();
        if change.abs() + half < margin {
            return Outcome::Same;
        }
        if change.abs() <= half || change.abs() < margin {
            return Outcome::Undecided;
        }
        match (self.direction, change > 0.0) {
            (Direction::Unknown, _) => Outcome::Changed,
            (Direction::Higher, true) | (Direction::Lower, false) => Outcome::Faster,
            (Direction::Higher, false) | (Direction::Lower, true) => Outcome::Slower,
        }
    }

    /// How much better the candidate is, as a difference of logarithms; of a metric whose
    /// direction nobody knows, how much more there is of it.
    pub(super) fn gain(&self, estimate: &Estimate) -> f64 {
        match self.direction {
            Direction::Lower => -estimate.change,
            Direction::Higher | Direction::Unknown => estimate.change,
        }
    }

    /// Whether the candidate is not better by the smallest effect, as far as is known.
    pub(super) fn excludes_gain(&self, estimate: &Estimate) -> bool {
        self.gain(estimate) + estimate.half_width(self.level) < self.margin()
    }

    /// Decides by what `measure` measures, which is told whether the candidate is wanted; gives
    /// up after `most` pairs. Also says how many there were.
    ///
    /// ```
    /// use mad_harness::compare::{Criterion, Order, Outcome};
    /// use mad_harness::regress::Direction;
    ///
    /// let criterion = Criterion { direction: Direction::Lower, min_effect: 0.01, level: 0.01 };
    /// let mut seconds = 10.0;
    /// let (outcome, pairs) = criterion.decide(Order::new(1, 0), 100, |candidate| {
    ///     seconds += 0.1; // The machine gets slower all the time.
    ///     if candidate { seconds * 1.03 } else { seconds }
    /// });
    /// assert_eq!((outcome, pairs), (Outcome::Slower, 6));
    /// ```
    pub fn decide(
        &self,
        order: Order,
        most: usize,
        mut measure: impl FnMut(bool) -> f64,
    ) -> (Outcome, usize) {
        let mut pairs = Vec::new();
        for block in order {
            for base_first in block.pairs() {
                let (first, second) = (measure(!base_first), measure(base_first));
                let (base, candidate) = if base_first { (first, second) } else { (second, first) };
                pairs.extend(Pair::of(base, candidate, base_first));
            }
            let outcome = Estimate::of(&pairs).map_or(Outcome::Undecided, |e| self.outcome(&e));
            if outcome != Outcome::Undecided || pairs.len() + 2 > most {
                return (outcome, pairs.len());
            }
        }
        (Outcome::Undecided, pairs.len())
    }

    /// Pairs that would decide it if further ones vary as these do and the estimate stays.
    pub fn pairs_to_decide(&self, estimate: &Estimate) -> Option<usize> {
        let size = estimate.change.abs();
        let margin = self.margin();
        let wanted = if size >= margin { size } else { margin - size };
        estimate.pairs_for(wanted, self.level)
    }

    /// The smallest effect as a difference of logarithms.
    fn margin(&self) -> f64 {
        self.min_effect.ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gain_to_be_expected() {
        let excluded = |direction, change, spread| {
            let criterion = Criterion { direction, min_effect: 0.02, level: 0.01 };
            criterion.excludes_gain(&Estimate { change, spread, pairs: 16 })
        };
        use Direction::{Higher, Lower};
        assert!(excluded(Higher, -0.03, 0.01) && excluded(Lower, 0.03, 0.01));
        // Worse by less than anybody needs to hear of, and for certain not better.
        assert!(excluded(Higher, -0.015, 0.01));
        assert!(!excluded(Higher, 0.03, 0.01) && !excluded(Lower, -0.03, 0.01));
        assert!(!excluded(Higher, -0.01, 0.1), "too much noise to give up");
    }

    #[test]
    fn outcomes() {
        let of = |direction, min_effect, change, spread| {
            let criterion = Criterion { direction, min_effect, level: 0.01 };
            criterion.outcome(&Estimate { change, spread, pairs: 16 })
        };
        use Direction::{Higher, Lower, Unknown};
        assert_eq!(of(Lower, 0.02, 0.03, 0.01), Outcome::Slower);
        assert_eq!(of(Higher, 0.02, 0.03, 0.01), Outcome::Faster);
        assert_eq!(of(Higher, 0.02, -0.03, 0.01), Outcome::Slower);
        assert_eq!(of(Unknown, 0.02, -0.03, 0.01), Outcome::Changed);
        assert_eq!(of(Lower, 0.02, 0.001, 0.01), Outcome::Same);
        // Different for certain, and less than anybody needs to hear of.
        assert_eq!(of(Lower, 0.05, 0.03, 0.01), Outcome::Same);
        // Different, and perhaps by more than that.
        assert_eq!(of(Lower, 0.02, 0.018, 0.01), Outcome::Undecided);
        assert_eq!(of(Lower, 0.02, 0.03, 0.05), Outcome::Undecided);
        // Nothing is too small to hear of: equal numbers are never called the same.
        assert_eq!(of(Lower, 0.0, 0.0, 0.0), Outcome::Undecided);
        assert_eq!(of(Lower, 0.0, 1e-6, 0.0), Outcome::Slower);
    }
}
