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
///
/// # What it costs and finds
///
/// Simulated (`simulation.rs`; 20 000 runs per cell, Gaussian noise per Execution, one
/// Execution per run unless said otherwise). In percent: suspected by one look → called
/// regressed after up to three fresh Executions, by number of accepted runs.
///
/// | unchanged code | 1 | 2 | 5 | 10 | 30 |
/// |---|---|---|---|---|---|
/// | noise 2 %, tolerance 5 % | 0.0 → 0.00 | 0.0 → 0.00 | 0.3 → 0.00 | 0.5 → 0.00 | 0.7 → 0.00 |
/// | same, 3 % of runs 15 % slow | 2.5 → 0.00 | 2.6 → 0.00 | 3.1 → 0.01 | 3.4 → 0.00 | 3.5 → 0.00 |
/// | noise 2 %, 3 Executions a run | 0.0 → 0.00 | 0.0 → 0.00 | 0.0 → 0.00 | 0.0 → 0.00 | 0.0 → 0.00 |
/// | noise 5 %, tolerance 5 % | 4.1 → 0.71 | 4.4 → 0.36 | 4.0 → 0.11 | 2.2 → 0.03 | 1.3 → 0.00 |
/// | noise 2 %, tolerance 0 | 0.0 → 0.00 | 1.1 → 0.24 | 1.8 → 0.29 | 1.1 → 0.01 | 1.1 → 0.01 |
/// | same, 3 % of runs 15 % slow | 0.0 → 0.00 | 1.4 → 0.26 | 4.2 → 0.33 | 3.7 → 0.07 | 3.6 → 0.07 |
///
/// | slower code, tolerance 5 % | 1 | 2 | 5 | 10 | 30 |
/// |---|---|---|---|---|---|
/// | 10 % slower, noise 2 % | 29.0 → 18.61 | 71.7 → 64.84 | 92.2 → 89.61 | 97.5 → 96.10 | 99.5 → 98.45 |
/// | same, 3 % of runs 15 % slow | 30.6 → 19.41 | 68.3 → 62.18 | 85.0 → 81.93 | 91.1 → 88.70 | 97.5 → 96.14 |
/// | same, 3 Executions a run | 21.0 → 13.01 | 86.3 → 83.09 | 99.6 → 98.03 | 100.0 → 98.88 | 100.0 → 99.16 |
/// | 20 % slower, noise 2 % | 100.0 → 99.98 | 100.0 → 100.00 | 100.0 → 100.00 | 100.0 → 100.00 | 100.0 → 100.00 |
///
/// A slow-down that is not called regressed is almost always `Ambiguous`, not `Same`: of
/// those of 10 % at 2 % noise, 97 % are noticed with one accepted run and 99 % with five.
/// Independent noise is the good case: Executions that share a slow session confirm each
/// other, so a machine-wide slow-down is for the run-level checks to catch, not for this.
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
        verdict.settle = Some("accept this run with `mad baseline accept`".to_owned());
        return verdict;
    }
    let comparison = Comparison::new(baseline, current, policy);
    if !comparison.is_finite() {
        return without(
            Outcome::Invalid,
            format!(
                "{} against an accepted {}: too far apart to compute with",
                number(comparison.current),
                number(comparison.noise.center)
            ),
        );
    }
    comparison.verdict(baseline.len(), current.len())
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
        Policy { direction: Direction::Higher, ..Policy::default() }
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
        assert!(((low + high) / 2.0 - 100.0).abs() < 1e-9 && low > 94.0 && low < 95.0, "{low}");
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
