//! The noise of accepted runs, and how far a new run may stray from their median.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::Policy;

/// Accepted runs a judgement looks back on at most: enough for a t quantile close to the
/// normal one (2.8 against 2.3), few enough that a drifting machine is not averaged away.
pub const WINDOW: usize = 10;

/// How many runs the spread assumed from the tolerance weighs as much as.
///
/// Four is where a 10 % slow-down at 2 % noise is found after five accepted runs while a
/// metric noisier than its tolerance says still stays near the nominal false-alarm rate.
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

/// What the accepted runs say about a new one, in the metric's unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// Median of the accepted runs.
    pub(super) center: f64,
    /// Standard deviation between accepted runs; none for a single one.
    pub(super) spread: Option<f64>,
    /// Accepted runs.
    runs: usize,
}

impl Noise {
    /// Summarises the accepted runs (one finite value each, at least one).
    pub(super) fn of(runs: &[f64]) -> Self {
        let center = median(runs);
        Self { center, spread: spread(runs, center), runs: runs.len() }
    }

    /// How far from the centre a new run of unchanged code stays, one-sided, at the
    /// policy's confidence. `None` when nothing is known about the noise.
    pub(super) fn limit(&self, policy: &Policy) -> Option<f64> {
        self.limit_for(self.runs, policy)
    }

    /// The smallest number of accepted runs, up to [`WINDOW`], whose limit would be below
    /// `difference` if further runs vary as the present ones do; with that limit.
    pub(super) fn runs_to_decide(&self, difference: f64, policy: &Policy) -> Option<(usize, f64)> {
        (self.runs + 1..=WINDOW)
            .filter_map(|runs| Some((runs, self.limit_for(runs, policy)?)))
            .find(|(_, limit)| *limit < difference)
    }

    fn limit_for(&self, runs: usize, policy: &Policy) -> Option<f64> {
        let assumed = assumed_spread(policy) * self.center.abs();
        let assumed_weight = if assumed > 0.0 { ASSUMED_WEIGHT } else { 0.0 };
        // A single run says nothing about its own noise: further ones are taken to vary as
        // assumed, and without an assumption nothing can be said.
        let measured = self.spread.or((assumed > 0.0).then_some(assumed))?;
        let measured_weight = runs as f64 - 1.0;
        let weight = assumed_weight + measured_weight;
        // `hypot` because a square of a very small or very large unit leaves the range.
        let s = f64::hypot(
            assumed * (assumed_weight / weight).sqrt(),
            measured * (measured_weight / weight).sqrt(),
        );
        let median_variance = if runs <= 2 { 1.0 } else { std::f64::consts::FRAC_PI_2 };
        let limit = t_quantile(policy.confidence, weight)
            * s
            * (1.0 + median_variance / runs as f64).sqrt();
        Some(limit)
    }
}

/// The relative standard deviation between runs that a tolerance implies: noise exceeds
/// the tolerance with probability `1 - confidence`.
pub(super) fn assumed_spread(policy: &Policy) -> f64 {
    policy.tolerance / Normal::standard().inverse_cdf(policy.confidence)
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
    // Scaled by the largest deviation, so that squares stay within the range of f64; a
    // sorted sum, so that the order of the runs changes nothing, not even the last digit.
    let mut pulled: Vec<f64> = deviations.iter().map(|d| d.clamp(-reach, reach)).collect();
    pulled.sort_by(f64::total_cmp);
    let scale = pulled.iter().fold(0.0_f64, |max, d| max.max(d.abs()));
    if scale == 0.0 {
        return Some(0.0);
    }
    let n = pulled.len() as f64;
    let mean = pulled.iter().map(|d| d / scale).sum::<f64>() / n;
    let squares = pulled.iter().map(|d| (d / scale - mean).powi(2)).sum::<f64>();
    Some(scale * (squares / (n - 1.0)).sqrt())
}

/// Quantile of Student's t with `freedom` degrees of freedom (positive).
fn t_quantile(q: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regress::Direction;

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
        let assumed = assumed_spread(&Policy::default());
        assert!(close(assumed, 0.05 / 2.3263), "{assumed}");
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
        let policy = Policy { direction: Direction::Higher, ..Policy::default() };
        let limits: Vec<f64> =
            (1..=WINDOW).map(|n| Noise::of(&vec![100.0; n]).limit(&policy).unwrap()).collect();
        assert!(limits.is_sorted_by(|a, b| a > b), "{limits:?}");
        assert!(limits[0] < 12.0 && limits[5] < 5.0, "{limits:?}");
    }

    #[test]
    fn without_a_tolerance_the_interval_is_the_textbook_one() {
        let policy = Policy { tolerance: 0.0, ..Policy::default() };
        assert_eq!(Noise::of(&[100.0]).limit(&policy), None);
        let limit = Noise::of(&[99.0, 101.0]).limit(&policy).unwrap();
        assert!(close(limit, 31.8205 * 2.0_f64.sqrt() * 1.5_f64.sqrt()), "{limit}");
    }
}
