//! Do runs agree with each other? Asked before numbers are accepted.

use super::comparison::Comparison;
use super::limit::t_quantile;
use super::text::{count, number, percent};
use super::{Policy, median};

/// How runs of one metric disagree, in one sentence that names the run furthest from the median
/// of all; none if they agree.
///
/// They agree when each is as near to the median as the policy's tolerance or floor, or as the
/// noise of this machine explains as other metrics show it. The spread of these runs themselves is
/// what is in question, and says nothing. `names` are those of the runs, `checks` the number of
/// metrics that are looked at together: all of them agree in 99 of 100 cases when noise is all
/// there is.
pub fn disagreement(
    names: &[&str],
    values: &[f64],
    policy: &Policy,
    checks: usize,
) -> Option<String> {
    let center = median(values);
    let distance = |value: f64| (value - center).abs();
    let (name, value) = names
        .iter()
        .zip(values)
        .map(|(name, value)| (*name, *value))
        .max_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))?;
    let tolerated = policy.tolerance * center.abs();
    // Half on either side.
    let level = 0.01 / (2 * checks.max(1) * values.len()) as f64;
    let noise = policy
        .pool
        .spread
        .map(|spread| t_quantile(1.0 - level, policy.pool.weight) * spread * center.abs());
    let allowed = tolerated.max(policy.floor.unwrap_or(0.0)).max(noise.unwrap_or(0.0));
    // Written so that what is not a number does not agree.
    if distance(value) <= allowed {
        return None;
    }
    let size = |difference: f64| match center != 0.0 {
        true => percent(difference / center.abs()),
        false => number(difference),
    };
    let noise = match noise {
        Some(noise) => format!(", and the noise of this machine explains {}", size(noise)),
        None => String::new(),
    };
    Some(format!(
        "{} in run {name} is {} away from the median {} of {}; {} is tolerated{noise}",
        number(value),
        size(distance(value)),
        number(center),
        count(values.len(), "run"),
        size(tolerated.max(policy.floor.unwrap_or(0.0))),
    ))
}

/// How a run differs from accepted ones, in one sentence; none if it is one of them.
///
/// It differs when it is further away, better or worse, than the tolerance (or the floor) and
/// than noise explains at the policy's confidence, as at a first look of the gate. Where several metrics are looked
/// at together, `checks` of them share that confidence.
pub fn stands_out(baseline: &[f64], value: f64, policy: &Policy, checks: usize) -> Option<String> {
    if baseline.is_empty() {
        return None;
    }
    let confidence = 1.0 - (1.0 - policy.confidence) / checks.max(1) as f64;
    let policy = Policy { confidence, ..policy.clone() };
    let comparison = Comparison::new(baseline, value, &policy);
    if !comparison.is_finite() {
        let center = number(median(baseline));
        return Some(format!("{} is too far from {center} to compute with", number(value)));
    }
    comparison.stands_out().then(|| comparison.verdict(baseline.len(), 1).explanation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::regress::{Direction, Pool};

    fn policy(spread: Option<f64>) -> Policy {
        let pool = Pool { spread, weight: 100.0, ..Pool::default() };
        Policy { direction: Direction::Higher, tolerance: 0.05, pool, ..Policy::default() }
    }

    #[test]
    fn what_people_read() {
        let names = ["r1", "r2", "r3"];
        let told = |values: &[f64], spread| {
            disagreement(&names, values, &policy(spread), 1).unwrap_or("agree".to_owned())
        };
        let floor = Policy { floor: Some(2.0), ..policy(None) };
        let all = [
            told(&[100.0, 101.0, 104.0], None),
            told(&[100.0, 101.0, 120.0], None),
            told(&[100.0, 101.0, 120.0], Some(0.01)),
            told(&[100.0, 101.0, 110.0], Some(0.03)),
            told(&[0.0, 0.0, 0.0], None),
            told(&[0.0, 0.0, 1.5], None),
            disagreement(&names, &[0.0, 0.0, 1.5], &floor, 1).unwrap_or("agree".to_owned()),
            told(&[100.0, f64::NAN, 100.0], None),
            stands_out(&[100.0, 101.0, 99.0], 110.0, &policy(Some(0.01)), 1).unwrap_or_default(),
            stands_out(&[100.0, 101.0, 99.0], 90.0, &policy(Some(0.01)), 1).unwrap_or_default(),
            stands_out(&[1e-300], 1e300, &policy(None), 1).unwrap_or_default(),
            stands_out(&[0.0], 1.0, &policy(None), 1).unwrap_or_default(),
        ];
        insta::assert_snapshot!(all.join("\n"));
    }

    proptest! {
        #[test]
        fn runs_within_the_tolerance_agree_and_belong_together(
            center in 1e-3..1e6_f64, shares in prop::collection::vec(-0.02..0.02_f64, 1..8),
        ) {
            let values: Vec<f64> = shares.iter().map(|s| center * (1.0 + s)).collect();
            let names = vec!["r"; values.len()];
            prop_assert_eq!(disagreement(&names, &values, &policy(None), 1), None);
            prop_assert_eq!(stands_out(&values, values[0], &policy(None), 1), None);
        }

        #[test]
        fn what_agrees_still_does_with_more_tolerance_or_noise(
            values in prop::collection::vec(50.0..150.0_f64, 1..6), tolerance in 0.0..0.5_f64,
        ) {
            let names = vec!["r"; values.len()];
            let tight = Policy { tolerance, ..policy(None) };
            let agree = |policy: &Policy| disagreement(&names, &values, policy, 1).is_none();
            if agree(&tight) {
                let wide = Policy { tolerance: tolerance + 0.1, ..tight.clone() };
                let noisy = Policy { pool: policy(Some(0.02)).pool, ..tight };
                prop_assert!(agree(&wide) && agree(&noisy));
            }
        }
    }
}
