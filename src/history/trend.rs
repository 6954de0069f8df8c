//! Whether a level drifts: the slope of Theil and Sen, and the rank test of Mann and Kendall
//! for whether there is one.
//!
//! Both look at the order of pairs of values only, so that no outlier, however far, moves
//! them much. The interval is Sen's ("Estimates of the regression coefficient based on
//! Kendall's tau", 1968), with the correction for ties.

use schemars::JsonSchema;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::regress::median;

/// Values that make a trend, at least: below, the normal approximation of the test is poor.
pub const LEAST_TREND: usize = 10;

/// Values a trend is made from, at most, the newest: the work grows with their square.
pub const TREND_WINDOW: usize = 300;

/// Confidence of the interval; the test has the same.
pub const TREND_CONFIDENCE: f64 = 0.99;

/// A slope with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Slope {
    /// Median of the slopes between any two values.
    pub estimate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// How a level drifts from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Trend {
    /// Values it is made from.
    pub runs: usize,
    /// Change per run, in the metric's unit.
    pub per_run: Slope,
    /// The same as a share of the level (0.01 = 1 %); none where the level is zero.
    pub relative: Option<Slope>,
    /// Chance of an order at least as striking without any trend.
    pub p_value: f64,
    /// Whether there is one: the test says so and the interval is on one side of zero.
    pub significant: bool,
}

/// The trend of `level`, oldest value first, finite values only; none for fewer than
/// [`LEAST_TREND`] or where the differences are too large for numbers.
pub fn trend(level: &[f64]) -> Option<Trend> {
    let values = &level[level.len().saturating_sub(TREND_WINDOW)..];
    let n = values.len();
    if n < LEAST_TREND {
        return None;
    }
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    let mut rises = 0.0;
    for i in 0..n {
        for j in i + 1..n {
            let rise = values[j] - values[i];
            // Where nothing changes there is no direction, and zero has a sign as well.
            rises += if rise == 0.0 { 0.0 } else { rise.signum() };
            slopes.push(rise / (j - i) as f64);
        }
    }
    if !slopes.iter().all(|slope| slope.is_finite()) {
        return None;
    }
    slopes.sort_by(f64::total_cmp);
    let deviation = variance(values).sqrt();
    // The count of rises moves in steps: half of one is taken off.
    let z = if deviation > 0.0 { (f64::abs(rises) - 1.0).max(0.0) / deviation } else { 0.0 };
    let normal = Normal::standard();
    let p_value = 2.0 * normal.cdf(-z);
    let reach = normal.inverse_cdf(0.5 + TREND_CONFIDENCE / 2.0) * deviation;
    let middle = slopes.len() as f64;
    let at = |rank: f64| slopes[(rank.max(0.0) as usize).min(slopes.len() - 1)];
    let per_run = Slope {
        estimate: median(&slopes),
        low: at(((middle - reach) / 2.0).floor() - 1.0),
        high: at(((middle + reach) / 2.0).ceil()),
    };
    let significant = p_value < 1.0 - TREND_CONFIDENCE && (per_run.low > 0.0 || per_run.high < 0.0);
    let size = median(values).abs();
    let share = |slope: f64| slope / size;
    let relative = Slope {
        estimate: share(per_run.estimate),
        low: share(per_run.low),
        high: share(per_run.high),
    };
    let finite = [relative.estimate, relative.low, relative.high].iter().all(|x| x.is_finite());
    Some(Trend { runs: n, per_run, relative: finite.then_some(relative), p_value, significant })
}

/// Variance of the count of rises minus falls, if any order were as likely, ties considered.
fn variance(values: &[f64]) -> f64 {
    let term = |n: usize| (n * (n - 1) * (2 * n + 5)) as f64;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tie| term(tie.len())).sum();
    (term(values.len()) - ties) / 18.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(i: usize) -> f64 {
        ((i * i * 31 + i * 17) % 41) as f64 / 10.0 - 2.0
    }

    #[test]
    fn a_drift_is_seen_with_its_size() {
        let values: Vec<f64> = (0..60).map(|i| 100.0 + 0.2 * i as f64 + noise(i)).collect();
        let trend = trend(&values).unwrap();
        assert!(trend.significant && trend.p_value < 1e-6, "{trend:?}");
        assert!((trend.per_run.estimate - 0.2).abs() < 0.05, "{trend:?}");
        assert!(trend.per_run.low < 0.2 && 0.2 < trend.per_run.high, "{trend:?}");
        assert!((trend.relative.unwrap().estimate - 0.0019).abs() < 0.0005, "{trend:?}");
    }

    #[test]
    fn noise_and_constants_have_none() {
        let values: Vec<f64> = (0..60).map(|i| 100.0 + noise(i)).collect();
        assert!(!trend(&values).unwrap().significant);
        let constant = trend(&[5.0; 20]).unwrap();
        assert!(!constant.significant && constant.p_value == 1.0, "{constant:?}");
        assert_eq!(trend(&[0.0; 20]).unwrap().relative, None);
        assert_eq!(trend(&[1.0; LEAST_TREND - 1]), None);
    }

    /// 47 pairs rise, 19 fall, of 12 values without ties: a variance of 638 / 3.
    #[test]
    fn the_numbers_of_a_small_series() {
        let values = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.6, 5.3, 5.8, 9.7, 9.3, 2.3];
        let trend = trend(&values).unwrap();
        assert!((trend.per_run.estimate - 0.5).abs() < 1e-12, "{trend:?}");
        assert!((trend.p_value - 0.064103577).abs() < 1e-6, "{trend:?}");
    }

    #[test]
    fn one_outlier_moves_it_little() {
        let mut values: Vec<f64> = (0..40).map(|i| 100.0 + noise(i)).collect();
        values[39] = 1e12;
        assert!(!trend(&values).unwrap().significant);
    }

    /// Share of 1000 series without a trend that are said to have one. Each value resembles
    /// the one before by so much.
    fn false_alarms(n: usize, correlation: f64) -> f64 {
        let mut random = fastrand::Rng::with_seed(7);
        let alarms = (0..1000).filter(|_| {
            let mut last = 0.0;
            let series: Vec<f64> = std::iter::repeat_with(|| {
                let normal: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
                last = correlation * last + normal;
                100.0 + last
            })
            .take(n)
            .collect();
            trend(&series).is_some_and(|t| t.significant)
        });
        alarms.count() as f64 / 1000.0
    }

    /// The figures of docs/history.md.
    #[test]
    fn false_alarms_are_as_rare_as_told() {
        for n in [10, 30, 60] {
            assert!(false_alarms(n, 0.0) <= 0.015, "{n}");
            assert!(false_alarms(n, 0.5) <= 0.15, "{n}");
        }
    }

    proptest! {
        #[test]
        fn any_numbers_are_survived(values in prop::collection::vec(
            prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL, 0..40))
        {
            if let Some(t) = trend(&values) {
                prop_assert!(t.per_run.low <= t.per_run.estimate);
                prop_assert!(t.per_run.estimate <= t.per_run.high);
                prop_assert!((0.0..=1.0).contains(&t.p_value));
            }
        }

        /// Read backwards, or with the sign turned round, the slope is the opposite one.
        #[test]
        fn direction_is_a_matter_of_sign(values in prop::collection::vec(50.0..200.0_f64, 10..40)) {
            let there = trend(&values).unwrap();
            let backwards: Vec<f64> = values.iter().rev().copied().collect();
            let negated: Vec<f64> = values.iter().map(|v| -v).collect();
            for other in [trend(&backwards).unwrap(), trend(&negated).unwrap()] {
                prop_assert!((there.per_run.estimate + other.per_run.estimate).abs() < 1e-9);
                prop_assert_eq!(there.p_value, other.p_value);
                prop_assert_eq!(there.significant, other.significant);
            }
        }

        /// What is added to every value does not matter, and the unit scales the slope.
        #[test]
        fn level_and_unit(values in prop::collection::vec(0..1000_i32, 10..40), unit in 1..64_i32) {
            let series: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            let moved: Vec<f64> = values.iter().map(|v| f64::from((v + 4096) * unit)).collect();
            let (a, b) = (trend(&series).unwrap(), trend(&moved).unwrap());
            prop_assert!((a.per_run.estimate * f64::from(unit) - b.per_run.estimate).abs() < 1e-9);
            prop_assert_eq!(a.p_value, b.p_value);
        }
    }
}
