//! Looking again before anybody is alarmed.

use super::comparison::Comparison;
use super::judge::{assess, compare};
use super::text::{count, number};
use super::{Direction, Outcome, Policy, Verdict, median};

/// A suspicion under examination: pure bookkeeping, the caller measures.
///
/// ```
/// use mad_harness::regress::{Confirmation, Direction, Outcome, Policy, Step};
///
/// let policy = Policy { direction: Direction::Higher, ..Policy::default() };
/// let mut measure = || 68.0;
/// let mut step = Confirmation::start(&[100.0, 101.0, 99.0, 100.5], &[67.0], &policy);
/// let verdict = loop {
///     match step {
///         Step::Done(verdict) => break verdict,
///         Step::MeasureAgain { so_far, .. } => step = so_far.measured(measure()),
///     }
/// };
/// assert_eq!(verdict.outcome, Outcome::Regressed);
/// // Nothing is known of other metrics here: it takes more than one.
/// assert_eq!(verdict.fresh.len(), 3);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmation {
    baseline: Vec<f64>,
    first: Vec<f64>,
    fresh: Vec<f64>,
    policy: Policy,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Start one fresh Execution and pass its value to [`measured`](Confirmation::measured).
    MeasureAgain {
        /// One line, in numbers.
        why: String,
        /// What has been gathered.
        so_far: Confirmation,
    },
    /// The judgement stands.
    Done(Verdict),
}

impl Confirmation {
    /// Judges the first values as [`judge`](super::judge) does; asks for a fresh Execution
    /// when they are suspected.
    pub fn start(baseline: &[f64], first: &[f64], policy: &Policy) -> Step {
        let verdict = super::judge(baseline, first, policy);
        if !verdict.needs_confirmation {
            return Step::Done(verdict);
        }
        Self {
            baseline: baseline.to_vec(),
            first: first.to_vec(),
            fresh: Vec::new(),
            policy: policy.clone(),
        }
        .measure_again(&verdict)
    }

    /// Takes the value of a fresh Execution; NaN for one that failed, which makes the
    /// verdict `Invalid`.
    ///
    /// Stops at the first value that would not be suspected itself; the verdict then is
    /// `Ambiguous` at worst and `Same` at best. While all are, it is `Regressed` as
    /// soon as the mean is beyond what unchanged code may do at the level of one check, and
    /// `Ambiguous` if `max_confirmations` values do not get that far.
    pub fn measured(mut self, fresh: f64) -> Step {
        self.fresh.push(fresh);
        let asked = self.fresh.len();
        let (runs, executions) = (self.baseline.len(), self.first.len() + asked);
        let everything = [self.first.as_slice(), self.fresh.as_slice()].concat();
        let checked = assess(&self.baseline, &everything, &self.policy);
        if checked.outcome == Outcome::Invalid {
            return Step::Done(Verdict { fresh: self.fresh, ..checked });
        }
        let comparison = Comparison::new(&self.baseline, self.estimate(), &self.policy);
        let limit = comparison.decision_limit(self.first.len(), asked);
        let mut verdict = compare(&comparison, runs, executions);
        if let Some(evidence) = &mut verdict.evidence {
            evidence.decision_limit = limit.and_then(|limit| comparison.relative(limit));
        }
        let alone = assess(&self.baseline, &[fresh], &self.policy);
        let worse = alone.needs_confirmation;
        let enough = asked >= self.policy.least_confirmations() as usize;
        let confirmed = worse && enough && comparison.decided(limit);
        if worse && !confirmed && asked < self.policy.max_confirmations as usize {
            return self.measure_again(&verdict);
        }
        if !worse {
            // What is between a bad value and a good one is for a reader to see.
            verdict = Verdict { evidence: verdict.evidence, ..checked };
        }
        let suspected = std::mem::take(&mut verdict.needs_confirmation);
        let sure = format!(
            "the {} it takes to be sure in {}",
            limit.map_or("unknown".to_owned(), |limit| comparison.size(limit)),
            count(self.policy.counted_checks() as usize, "check"),
        );
        let finding = if confirmed {
            verdict.outcome = Outcome::Regressed;
            verdict.settle = None;
            format!("confirmed by {}, beyond {sure}", count(asked, "fresh Execution"))
        } else if worse {
            verdict.settle = Some("accept more runs, or set a larger tolerance".to_owned());
            format!("{} worse as well, inside {sure}", count(asked, "fresh Execution"))
        } else {
            // Values that disagree are no ground to claim an improvement.
            if verdict.outcome == Outcome::Improved {
                verdict.outcome = Outcome::Same;
            }
            if suspected {
                verdict.settle = Some("measure again on a quiet machine".to_owned());
            }
            format!("not confirmed, fresh Execution {asked} measured {}", number(fresh))
        };
        verdict.explanation = format!("{}; {finding}", verdict.explanation);
        verdict.fresh = self.fresh;
        Step::Done(verdict)
    }

    /// The mean of the first look and the fresh values, or the median of the fresh ones if
    /// that looks better: the first is here because it looked bad, and one of the others may
    /// be a slow one.
    fn estimate(&self) -> f64 {
        let n = self.fresh.len() as f64 + 1.0;
        // Divided before they are added, so that huge values do not overflow.
        let all = median(&self.first) / n + self.fresh.iter().map(|v| v / n).sum::<f64>();
        match self.policy.direction {
            Direction::Lower => all.min(median(&self.fresh)),
            _ => all.max(median(&self.fresh)),
        }
    }

    /// Which way the metric is better.
    pub fn direction(&self) -> Direction {
        self.policy.direction
    }

    /// Fresh Executions so far.
    pub fn asked(&self) -> usize {
        self.fresh.len()
    }

    fn measure_again(self, verdict: &Verdict) -> Step {
        let why = format!(
            "suspected, fresh Execution {} of up to {}: {}",
            self.fresh.len() + 1,
            self.policy.max_confirmations,
            verdict.explanation
        );
        Step::MeasureAgain { why, so_far: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regress::{Direction, Pool, Series};

    const BASELINE: [f64; 6] = [99.0, 99.5, 100.0, 100.0, 100.5, 101.0];

    /// A quiet machine, as many other metrics show it.
    fn policy() -> Policy {
        let quiet = [99.0, 100.0, 99.5, 101.0, 100.0, 100.5, 99.0, 101.0, 100.0, 99.5];
        let series = |i: usize| {
            let mut values = quiet.to_vec();
            values.rotate_left(i % 10);
            Series { values, direction: Direction::Higher }
        };
        let pool = Pool::of(&(0..150).map(series).collect::<Vec<_>>());
        Policy { direction: Direction::Higher, pool, ..Policy::default() }
    }

    fn careful() -> Policy {
        Policy { pool: Pool { slow: 40, ..policy().pool }, ..policy() }
    }

    /// Everything that was said, to the end.
    fn run(first: &[f64], fresh: &[f64], policy: &Policy) -> (Verdict, String) {
        let mut said = String::new();
        let mut fresh = fresh.iter();
        let mut step = Confirmation::start(&BASELINE, first, policy);
        loop {
            match step {
                Step::Done(verdict) => {
                    assert!(fresh.next().is_none(), "stopped early: {verdict:?}");
                    said += &format!("{:?}: {}\n", verdict.outcome, verdict.explanation);
                    if let Some(settle) = &verdict.settle {
                        said += &format!("  -> {settle}\n");
                    }
                    return (verdict, said);
                }
                Step::MeasureAgain { why, so_far } => {
                    said += &format!("{why}\n");
                    step = so_far.measured(*fresh.next().unwrap());
                }
            }
        }
    }

    #[test]
    fn what_people_read() {
        let told: Vec<String> = [
            run(&[99.0], &[], &policy()),
            run(&[90.0], &[90.0], &policy()),
            run(&[90.0, 89.0, 91.0], &[90.0], &policy()),
            run(&[90.0], &[90.0, 88.0, 90.5], &careful()),
            run(&[85.0], &[100.0], &policy()),
            run(&[85.0, 86.0, 84.0], &[100.0], &policy()),
            run(&[85.0], &[90.0, 99.0], &careful()),
            run(&[80.0], &[130.0], &policy()),
            run(&[97.8], &[97.9, 97.8, 97.7, 97.9], &policy()),
            run(&[85.0], &[f64::NAN], &policy()),
        ]
        .into_iter()
        .map(|(_, said)| said)
        .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn keeps_every_attempt() {
        let (verdict, _) = run(&[85.0, 85.5], &[90.0, 99.0], &careful());
        assert_eq!(verdict.fresh, [90.0, 99.0]);
        assert_eq!(verdict.current_n, 4);
        assert!(!verdict.needs_confirmation);
    }

    #[test]
    fn no_confirmation_asked_none_made() {
        let policy = Policy { max_confirmations: 0, ..policy() };
        match Confirmation::start(&BASELINE, &[85.0], &policy) {
            Step::Done(verdict) => assert_eq!(verdict.outcome, Outcome::Regressed),
            step => panic!("{step:?}"),
        }
    }
}
