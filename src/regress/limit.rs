//! The noise of accepted runs, and how far a new run may stray from their median.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::Policy;
use super::correlation::{hidden_variance, variance_of_mean};
use super::pool::mix;

/// Accepted runs a judgement looks back on at most: enough for a median that is much surer
/// than one run, few enough that a drifting machine is not averaged away.
pub const WINDOW: usize = 10;

/// How many runs the spread assumed from the tolerance weighs as much as, where no other
/// metric tells anything: enough for a first baseline to be of use, few enough that a metric
/// noisier than its tolerance says shows it soon.
pub const ASSUMED_WEIGHT: f64 = 4.0;

/// Runs below which outliers cannot be told from noise.
const ENOUGH_FOR_MAD: usize = 5;

/// Robust standard deviations beyond which a value is pulled in.
const PULL_IN: f64 = 3.0;

/// Makes the median absolute deviation of normal noise its standard deviation, 1/Φ⁻¹(3/4).
const MAD_TO_SD: f64 = 1.4826;

/// The median; the mean of the middle two for an even count. NaN when there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mid = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[mid],
        // Halved before they are added, so that huge values do not overflow.
        _ => sorted[mid - 1] / 2.0 + sorted[mid] / 2.0,
    }
}

/// Robust standard deviation of the values, relative to their median; none for fewer than two
/// values or a median of zero.
pub fn relative_spread(values: &[f64]) -> Option<f64> {
    let noise = Noise::of(values);
    noise.spread.filter(|_| noise.center != 0.0).map(|spread| spread / noise.center.abs())
}

/// How far the mean of the values may be from the true one, relative to it: half the width of
/// the 95 % interval, `t(97.5 %, n − 1) · s / √n`. None for fewer than three values, which say
/// too little of their spread, and around zero.
pub fn relative_error(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| v / n).sum::<f64>();
    let spread = standard_deviation(values, mean).filter(|_| values.len() > 2)?;
    if spread == 0.0 {
        return Some(0.0);
    }
    let error = t_quantile(0.975, n - 1.0) * spread / n.sqrt() / mean.abs();
    error.is_finite().then_some(error)
}

/// What the accepted runs say about a new one, in the metric's unit.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    /// Median of the accepted runs.
    pub(super) center: f64,
    /// Standard deviation between accepted runs; none for a single one.
    pub(super) spread: Option<f64>,
    /// The accepted runs.
    pub(super) values: Vec<f64>,
}

impl Noise {
    /// Summarises the accepted runs (one finite value each, at least one).
    pub(super) fn of(runs: &[f64]) -> Self {
        let center = median(runs);
        Self { center, spread: spread(runs, center), values: runs.to_vec() }
    }

    /// What is known about the noise of a new run, in the metric's unit, if there were
    /// `further` accepted runs that vary as the present ones do. `None` when nothing is.
    pub(super) fn known(&self, policy: &Policy, further: usize) -> Option<Known> {
        let (pool, runs) = (&policy.pool, self.values.len() + further);
        let pooled = pool.moderated(self, further).filter(|_| self.center != 0.0);
        let (spread, freedom) = match pooled {
            Some((spread, freedom)) => (spread * self.center.abs(), freedom),
            None => self.with_assumption(runs, policy)?,
        };
        let pi = std::f64::consts::PI;
        // The variance of a median of n values of normal noise, relative to that of a mean.
        let inefficiency = pi * runs as f64 / (2.0 * runs as f64 + pi - 2.0);
        let of_median = inefficiency * variance_of_mean(runs, pool.correlation);
        Some(Known { spread, freedom, of_median })
    }

    /// Spread and freedom where no other metric tells anything.
    fn with_assumption(&self, runs: usize, policy: &Policy) -> Option<(f64, f64)> {
        let assumed = assumed_spread(policy) * self.center.abs();
        let assumed_weight = if assumed > 0.0 { ASSUMED_WEIGHT } else { 0.0 };
        let hidden = hidden_variance(runs.max(2), policy.pool.correlation).sqrt();
        // A single run says nothing about its own noise: further ones are taken to vary as
        // assumed, and without an assumption nothing can be said.
        let measured = self.spread.map(|s| s * hidden).or((assumed > 0.0).then_some(assumed))?;
        Some(mix(assumed, assumed_weight, measured, runs as f64 - 1.0))
    }
}

/// What is known about the noise of a new run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Standard deviation between runs, in the metric's unit.
    pub(super) spread: f64,
    /// How well it is known: degrees of freedom.
    pub(super) freedom: f64,
    /// Variance of the accepted median, relative to that of one run.
    of_median: f64,
}

impl Known {
    /// How far from the accepted median a value stays whose variance is `variance` times
    /// that of one run, but for a share `level` of cases, one-sided.
    pub(super) fn limit(&self, level: f64, variance: f64) -> f64 {
        t_quantile(1.0 - level, self.freedom) * self.spread * (variance + self.of_median).sqrt()
    }
}

/// The relative standard deviation between runs that a tolerance implies: noise exceeds
/// the tolerance once in a hundred runs.
pub(super) fn assumed_spread(policy: &Policy) -> f64 {
    policy.tolerance / Normal::standard().inverse_cdf(0.99)
}

/// Standard deviation of the values after outliers are pulled in; see the module page.
fn spread(values: &[f64], center: f64) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let deviations: Vec<f64> = values.iter().map(|v| v - center).collect();
    let reach = if values.len() < ENOUGH_FOR_MAD {
        f64::INFINITY
    } else {
        let absolute: Vec<f64> = deviations.iter().map(|d| d.abs()).collect();
        let n = values.len() as f64;
        // The MAD of few values is too small on average; n/(n - 0.8) makes up for it.
        PULL_IN * MAD_TO_SD * n / (n - 0.8) * median(&absolute)
    };
    let pulled: Vec<f64> = deviations.iter().map(|d| d.clamp(-reach, reach)).collect();
    standard_deviation(&pulled, 0.0)
}

/// The standard deviation of values around `center`; none for less than two.
pub(super) fn standard_deviation(values: &[f64], center: f64) -> Option<f64> {
    // Scaled by the largest deviation, so that squares stay within the range of f64; a
    // sorted sum, so that the order of the runs changes nothing, not even the last digit.
    let mut deviations: Vec<f64> = values.iter().map(|v| v - center).collect();
    deviations.sort_by(f64::total_cmp);
    let scale = deviations.iter().fold(0.0_f64, |max, d| max.max(d.abs()));
    if values.len() < 2 {
        return None;
    }
    if scale == 0.0 {
        return Some(0.0);
    }
    let n = deviations.len() as f64;
    let mean = deviations.iter().map(|d| d / scale).sum::<f64>() / n;
    let squares = deviations.iter().map(|d| (d / scale - mean).powi(2)).sum::<f64>();
    Some(scale * (squares / (n - 1.0)).sqrt())
}

/// Quantile of Student's t with `freedom` degrees of freedom (positive).
pub(super) fn t_quantile(q: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regress::Pool;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3
    }

    #[test]
    fn quantiles_match_printed_tables() {
        for (q, freedom, expected) in
            [(0.99, 1.0, 31.821), (0.99, 4.0, 3.747), (0.95, 9.0, 1.833), (0.999, 30.0, 3.385)]
        {
            let got = t_quantile(q, freedom);
            assert!(close(got, expected), "t({q}, {freedom}) = {got}");
        }
        let assumed = assumed_spread(&Policy { tolerance: 0.05, ..Policy::default() });
        assert!(close(assumed, 0.05 / 2.3263), "{assumed}");
    }

    #[test]
    fn the_error_of_a_mean() {
        assert_eq!(relative_error(&[100.0, 101.0]), None);
        assert_eq!(relative_error(&[7.0; 3]), Some(0.0));
        assert_eq!(relative_error(&[-1.0, 0.0, 1.0]), None);
        let error = relative_error(&[99.0, 100.0, 101.0]).unwrap();
        assert!(close(error, 4.3027 / 3.0_f64.sqrt() / 100.0), "{error}");
    }

    /// The limit of one look.
    fn limit(runs: &[f64], policy: &Policy) -> Option<f64> {
        Some(Noise::of(runs).known(policy, 0)?.limit(1.0 - policy.confidence, 1.0))
    }

    #[test]
    fn spread_of_few_runs_is_the_standard_deviation() {
        assert_eq!(spread(&[5.0], 5.0), None);
        assert!(close(spread(&[99.0, 101.0], 100.0).unwrap(), 2.0_f64.sqrt()));
        assert_eq!(spread(&[7.0; 6], 7.0), Some(0.0));
    }

    #[test]
    fn one_slow_run_in_ten_does_not_destroy_the_spread() {
        let quiet = [98.0, 99.0, 99.5, 100.0, 100.0, 100.5, 101.0, 102.0, 103.0];
        let mut with_slow = quiet.to_vec();
        with_slow.push(70.0);
        let (quiet, slow) = (Noise::of(&quiet), Noise::of(&with_slow));
        assert!(slow.spread.unwrap() < 2.0 * quiet.spread.unwrap());
    }

    #[test]
    fn the_limit_falls_as_quiet_runs_accumulate() {
        let policy = Policy { tolerance: 0.05, ..Policy::default() };
        let limits: Vec<f64> =
            (1..=WINDOW).map(|n| limit(&vec![100.0; n], &policy).unwrap()).collect();
        assert!(limits.is_sorted_by(|a, b| a > b), "{limits:?}");
        assert!(limits[0] < 9.0 && limits[5] < 4.0, "{limits:?}");
    }

    #[test]
    fn without_a_tolerance_the_interval_is_the_textbook_one() {
        let pool = Pool { correlation: 0.0, ..Pool::default() };
        let policy = Policy { tolerance: 0.0, confidence: 0.99, pool, ..Policy::default() };
        assert_eq!(limit(&[100.0], &policy), None);
        let limit = limit(&[99.0, 101.0], &policy).unwrap();
        let of_median = 2.0 * std::f64::consts::PI / (2.0 + std::f64::consts::PI) / 2.0;
        assert!(close(limit, 31.8205 * 2.0_f64.sqrt() * (1.0 + of_median).sqrt()), "{limit}");
    }

    #[test]
    fn a_pool_makes_a_young_baseline_sharp() {
        let alone = Policy { tolerance: 0.05, ..Policy::default() };
        let pool = Pool { spread: Some(0.01), weight: 100.0, correlation: 0.1, ..Pool::default() };
        let pooled = Policy { pool, ..alone.clone() };
        let young = [99.5, 100.5];
        assert!(limit(&young, &pooled).unwrap() < 0.5 * limit(&young, &alone).unwrap());
        assert!(limit(&[100.0], &pooled).unwrap() < 3.0);
    }
}
