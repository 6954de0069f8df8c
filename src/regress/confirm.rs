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
        let in_doubt = policy.until_decided && policy.max_confirmations > 0 && undecided(&verdict);
        if !verdict.needs_confirmation && !in_doubt {
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
    ///
    /// With [`until_decided`](Policy::until_decided) values that are not suspected are part of
    /// the mean like the others; it ends when the values together are within the tolerance.
    /// That costs no false alarms: `Regressed` takes as many suspected values more than others,
    /// and the levels of all looks that may be made add up to that of one check, as without.
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
        let suspected =
            |fresh: f64| assess(&self.baseline, &[fresh], &self.policy).needs_confirmation;
        let persists = self.policy.until_decided;
        let in_doubt = persists && (undecided(&verdict) || undecided(&checked));
        let worse = suspected(fresh) || in_doubt;
        let bad = self.fresh.iter().filter(|fresh| suspected(**fresh)).count();
        // A good value takes back a bad one. So slow runs, a share p of all, get there with a
        // chance of (p/(1 − p))^least, however many looks there are (the gambler's ruin); that
        // is next to the p^least of those that follow on each other.
        let enough = bad >= self.policy.least_confirmations() as usize + (asked - bad);
        let confirmed = worse && enough && comparison.decided(limit);
        if worse && !confirmed && asked < self.policy.max_confirmations as usize {
            return self.measure_again(&verdict);
        }
        if !worse && !persists {
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
            let bad = match bad == asked {
                true => "worse as well".to_owned(),
                false => format!("made, {bad} suspicious"),
            };
            format!("{} {bad}, inside {sure}", count(asked, "fresh Execution"))
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

    /// The judgement when no further Execution is made, and `why`: what is known is not enough.
    pub fn give_up(self, why: &str) -> Verdict {
        let executions = self.first.len() + self.fresh.len();
        let mut verdict = match self.fresh.is_empty() {
            true => assess(&self.baseline, &self.first, &self.policy),
            false => {
                let comparison = Comparison::new(&self.baseline, self.estimate(), &self.policy);
                compare(&comparison, self.baseline.len(), executions)
            }
        };
        verdict.needs_confirmation = false;
        verdict.outcome = Outcome::Ambiguous;
        verdict.explanation = format!("{}; {why}", verdict.explanation);
        verdict.settle = Some("more time".to_owned());
        verdict.fresh = self.fresh;
        verdict
    }

    /// Whether it is suspected and was not looked at again as often as any suspicion is, with
    /// no look so far that speaks against it.
    pub fn is_pending(&self) -> bool {
        let suspected =
            |values: &[f64]| assess(&self.baseline, values, &self.policy).needs_confirmation;
        self.fresh.len() < Policy::default().max_confirmations as usize
            && suspected(&self.first)
            && self.fresh.iter().all(|fresh| suspected(&[*fresh]))
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
        let word = if verdict.needs_confirmation { "suspected" } else { "in doubt" };
        let why = format!(
            "{word}, fresh Execution {} of up to {}: {}",
            self.fresh.len() + 1,
            self.policy.max_confirmations,
            verdict.explanation
        );
        Step::MeasureAgain { why, so_far: self }
    }
}

/// Whether further Executions may settle it: worse than the tolerance, and not for certain.
fn undecided(verdict: &Verdict) -> bool {
    let limit = verdict.evidence.as_ref().and_then(|evidence| evidence.limit);
    verdict.outcome == Outcome::Ambiguous && verdict.worse_by.is_some() && limit.is_some()
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

    /// The verdict when fresh Executions measure these values over and over.
    fn persist(first: f64, fresh: &[f64]) -> Verdict {
        // Nothing is known of other metrics: the limit is beyond the tolerance.
        let direction = Direction::Higher;
        let policy =
            Policy { direction, until_decided: true, max_confirmations: 19, ..Policy::default() };
        let mut fresh = fresh.iter().cycle();
        let mut step = Confirmation::start(&BASELINE, &[first], &policy);
        loop {
            match step {
                Step::Done(verdict) => return verdict,
                Step::MeasureAgain { so_far, .. } => step = so_far.measured(*fresh.next().unwrap()),
            }
        }
    }

    #[test]
    fn until_decided_goes_on_where_it_would_stop() {
        let told = |first, fresh: &[f64]| {
            let verdict = persist(first, fresh);
            (verdict.outcome, verdict.fresh.len())
        };
        // Settled by the first look.
        assert_eq!(told(99.0, &[]), (Outcome::Same, 0));
        // In doubt, then within the tolerance.
        assert_eq!(told(97.6, &[99.0]), (Outcome::Same, 1));
        assert_eq!(told(97.6, &[97.5, 99.9, 99.0]), (Outcome::Same, 3));
        // One slow value is not enough for either.
        assert_eq!(told(85.0, &[100.0]), (Outcome::Same, 2));
        // There every time or nearly so.
        let (outcome, spent) = told(90.0, &[90.3, 98.5, 89.8, 90.1]);
        assert_eq!(outcome, Outcome::Regressed);
        assert!(spent > 2 && spent < 19, "{spent}");
        // It may stay open, and says so.
        let verdict = persist(97.6, &[97.6]);
        assert_eq!((verdict.outcome, verdict.fresh.len()), (Outcome::Ambiguous, 19));
        assert!(verdict.explanation.contains("0 suspicious, inside"), "{verdict:?}");
    }

    #[test]
    fn giving_up_decides_nothing() {
        let policy =
            Policy { direction: Direction::Higher, until_decided: true, ..Policy::default() };
        let start = |first: f64| match Confirmation::start(&BASELINE, &[first], &policy) {
            Step::MeasureAgain { so_far, .. } => so_far,
            step => panic!("{step:?}"),
        };
        // The confirmations of a suspicion are made in any case.
        assert!(start(90.0).is_pending());
        assert!(!start(97.6).is_pending());
        for first in [90.0, 97.6] {
            let verdict = start(first).give_up("the time is spent");
            assert_eq!(verdict.outcome, Outcome::Ambiguous);
            assert!(verdict.explanation.ends_with("; the time is spent"), "{verdict:?}");
        }
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
