//! Looking again before anybody is alarmed.

use super::judge::assess;
use super::text::{count, number};
use super::{Outcome, Policy, Verdict};

/// A suspicion under examination: pure bookkeeping, the caller measures.
///
/// ```
/// use mad_harness::regress::{Confirmation, Direction, Outcome, Policy, Step};
///
/// let policy = Policy { direction: Direction::Higher, ..Policy::default() };
/// let mut measure = || 88.0;
/// let mut step = Confirmation::start(&[100.0, 101.0, 99.0, 100.5], &[87.0], &policy);
/// let verdict = loop {
///     match step {
///         Step::Done(verdict) => break verdict,
///         Step::MeasureAgain { so_far, .. } => step = so_far.measured(measure()),
///     }
/// };
/// assert_eq!(verdict.outcome, Outcome::Regressed);
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
    /// Stops at the first value that is not worse than the tolerance and judges the median
    /// of everything, which then is `Ambiguous` at worst and `Same` at best. After
    /// `max_confirmations` values that are all worse, it is `Regressed` if the median of
    /// everything is still beyond both bounds.
    pub fn measured(mut self, fresh: f64) -> Step {
        self.fresh.push(fresh);
        let alone = assess(&self.baseline, &[fresh], &self.policy);
        let everything = [self.first.as_slice(), self.fresh.as_slice()].concat();
        let mut verdict = assess(&self.baseline, &everything, &self.policy);
        let worse = alone.outcome == Outcome::Ambiguous;
        let asked = self.fresh.len();
        if worse && asked < self.policy.max_confirmations as usize {
            return self.measure_again(&verdict);
        }
        let suspected = std::mem::take(&mut verdict.needs_confirmation);
        let finding = if worse && suspected {
            verdict.outcome = Outcome::Regressed;
            verdict.settle = None;
            format!("confirmed by {}", count(asked, "fresh Execution"))
        } else if worse {
            format!("{} were worse as well, not all by enough", count(asked, "fresh Execution"))
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
    use crate::regress::Direction;

    const BASELINE: [f64; 6] = [99.0, 99.5, 100.0, 100.0, 100.5, 101.0];

    fn policy() -> Policy {
        Policy { direction: Direction::Higher, ..Policy::default() }
    }

    /// Everything that was said, to the end.
    fn run(first: &[f64], fresh: &[f64]) -> (Verdict, String) {
        let mut said = String::new();
        let mut fresh = fresh.iter();
        let mut step = Confirmation::start(&BASELINE, first, &policy());
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
            run(&[99.0], &[]),
            run(&[90.0, 89.0, 91.0], &[90.0, 88.0, 90.5]),
            run(&[85.0], &[100.0]),
            run(&[85.0, 86.0, 84.0], &[100.0]),
            run(&[85.0], &[90.0, 97.0]),
            run(&[80.0], &[130.0]),
            run(&[94.0], &[94.8, 94.9, 94.8]),
            run(&[85.0], &[f64::NAN]),
        ]
        .into_iter()
        .map(|(_, said)| said)
        .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn keeps_every_attempt() {
        let (verdict, _) = run(&[85.0, 85.5], &[90.0, 97.0]);
        assert_eq!(verdict.fresh, [90.0, 97.0]);
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
