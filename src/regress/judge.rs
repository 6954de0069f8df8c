//! One look at one metric.

use super::comparison::Comparison;
use super::text::number;
use super::{Outcome, Policy, Verdict, median};

/// Judges one metric of one run.
///
/// `baseline` holds one value (the median) per accepted run, `current` one value per
/// Execution of the run under judgement. The rule is on the [module page](super).
///
/// A suspicion comes back as `Ambiguous` with `needs_confirmation` set (or as `Regressed`
/// when the policy asks for no confirmation). Numbers that are not finite, an empty
/// `current` and a nonsensical policy are `Invalid`. Against a zero median there is no
/// relative change, so only the absolute floor can decide. Never panics.
pub fn judge(baseline: &[f64], current: &[f64], policy: &Policy) -> Verdict {
    let mut verdict = assess(baseline, current, policy);
    if verdict.needs_confirmation && policy.max_confirmations == 0 {
        verdict.needs_confirmation = false;
        verdict.outcome = Outcome::Regressed;
        verdict.settle = None;
    }
    verdict
}

/// [`judge`] before anybody decides what a suspicion is worth.
pub(super) fn assess(baseline: &[f64], current: &[f64], policy: &Policy) -> Verdict {
    let without = |outcome, explanation| {
        Verdict::without_comparison(outcome, baseline.len(), current.len(), explanation)
    };
    if let Some(problem) = invalid_input(baseline, current, policy) {
        return without(Outcome::Invalid, problem);
    }
    if baseline.is_empty() {
        let mut verdict = without(
            Outcome::NoBaseline,
            format!("measured {}, nothing accepted to compare with", number(median(current))),
        );
        verdict.current = Some(median(current));
        verdict.settle = Some("accept runs with `mad baseline accept`".to_owned());
        return verdict;
    }
    compare(&Comparison::new(baseline, median(current), policy), baseline.len(), current.len())
}

/// The verdict of a comparison, if its numbers can be computed with.
pub(super) fn compare(comparison: &Comparison<'_>, runs: usize, executions: usize) -> Verdict {
    if comparison.is_finite() {
        return comparison.verdict(runs, executions);
    }
    let explanation = format!(
        "{} against an accepted {}: too far apart to compute with",
        number(comparison.current),
        number(comparison.noise.center)
    );
    Verdict::without_comparison(Outcome::Invalid, runs, executions, explanation)
}

fn invalid_input(baseline: &[f64], current: &[f64], policy: &Policy) -> Option<String> {
    let bad = |values: &[f64]| values.iter().copied().find(|v| !v.is_finite());
    if let Some(problem) = policy.problem() {
        return Some(problem);
    }
    if let Some(value) = bad(current) {
        return Some(format!("measured {value}, which is not a number to judge"));
    }
    if let Some(value) = bad(baseline) {
        return Some(format!("an accepted value is {value}, which is not a number to judge"));
    }
    current.is_empty().then(|| "no Execution produced a value".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regress::Direction;

    fn higher() -> Policy {
        Policy { direction: Direction::Higher, tolerance: 0.05, ..Policy::default() }
    }

    const QUIET: [f64; 5] = [99.0, 99.5, 100.0, 100.5, 101.0];

    /// Outcome, suspicion and both sentences of a judgement.
    fn told(baseline: &[f64], current: &[f64], policy: &Policy) -> String {
        let v = judge(baseline, current, policy);
        let suspected = if v.needs_confirmation { " (suspected)" } else { "" };
        let settle = v.settle.unwrap_or_default();
        format!("{:?}{suspected}: {}\n  -> {settle}\n", v.outcome, v.explanation)
    }

    #[test]
    fn what_people_read() {
        let lower = Policy { direction: Direction::Lower, ..Policy::default() };
        let unknown = Policy::default();
        let strict = Policy { tolerance: 0.0, ..higher() };
        let final_ = Policy { max_confirmations: 0, ..higher() };
        let floor = Policy { floor: Some(2.0), ..lower.clone() };
        let noisy = [80.0, 95.0, 100.0, 110.0, 120.0];
        let all = [
            told(&QUIET, &[98.0, 99.0, 97.0], &higher()),
            told(&QUIET, &[88.0], &higher()),
            told(&QUIET, &[88.0], &final_),
            told(&QUIET, &[112.0], &higher()),
            told(&QUIET, &[112.0], &lower),
            told(&QUIET, &[112.0], &unknown),
            told(&QUIET, &[101.0], &unknown),
            told(&[100.0, 102.0, 98.0], &[92.0], &higher()),
            told(&noisy, &[90.0], &higher()),
            told(&noisy, &[115.0], &higher()),
            told(&[100.0], &[93.0], &higher()),
            told(&[100.0], &[80.0], &higher()),
            told(&[100.0], &[99.0], &strict),
            told(&[100.0; 4], &[99.9], &higher()),
            told(&[100.0; 4], &[99.9], &strict),
            told(&[0.0, 0.0], &[0.0], &lower),
            told(&[0.0, 0.0], &[3.0], &lower),
            told(&[0.0, 0.0], &[3.0], &higher()),
            told(&[0.0, 0.0], &[3.0], &floor),
            told(&[100.0], &[101.0], &strict),
            told(&[10.0; 3], &[11.9], &floor),
            told(&[], &[3.25], &higher()),
            told(&QUIET, &[], &higher()),
            told(&QUIET, &[f64::NAN], &higher()),
            told(&[f64::INFINITY], &[1.0], &higher()),
            told(&[1e-300], &[1e300], &higher()),
            told(&QUIET, &[90.0], &Policy { tolerance: -1.0, ..higher() }),
            told(&QUIET, &[90.0], &Policy { confidence: 99.0, ..higher() }),
            told(&QUIET, &[90.0], &Policy { floor: Some(f64::NAN), ..higher() }),
        ];
        insta::assert_snapshot!(all.concat());
    }

    #[test]
    fn numbers_of_a_verdict() {
        let v = judge(&QUIET, &[88.0, 90.0], &higher());
        assert_eq!((v.baseline_n, v.current_n), (5, 2));
        assert_eq!((v.baseline_median, v.current), (Some(100.0), Some(89.0)));
        assert_eq!((v.change, v.worse_by), (Some(-0.11), Some(0.11)));
        let (low, high) = v.interval.unwrap();
        assert!(((low + high) / 2.0 - 100.0).abs() < 1e-9 && low > 95.0 && low < 97.0, "{low}");
        assert!((v.spread.unwrap() - 0.0079).abs() < 1e-4);
    }

    #[test]
    fn written_in_kebab_case() {
        let v = judge(&[], &[1.0], &higher());
        let json = serde_json::to_string(&v).unwrap();
        assert!(json.starts_with("{\"outcome\":\"no-baseline\""), "{json}");
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), v);
    }
}
