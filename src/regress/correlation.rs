//! Runs that resemble the one before: what that does to means and spreads.

/// Variance of the mean of `n` consecutive values relative to that of one, when neighbours
/// are correlated by `rho` and the correlation fades by that factor with every step.
pub(super) fn variance_of_mean(n: usize, rho: f64) -> f64 {
    weighted_variance_of_mean(n, 1.0, rho)
}

/// The same when every value but the first has a variance of `rest`, not 1.
pub(super) fn weighted_variance_of_mean(n: usize, rest: f64, rho: f64) -> f64 {
    // Powers of rho are summed by lag: pairs without the first value, then those with it.
    let others = n as f64 - 1.0;
    let mut sum = 1.0 + others * rest;
    let mut power = 1.0;
    for lag in 1..n {
        power *= rho;
        sum += 2.0 * power * ((others - lag as f64) * rest + rest.sqrt());
    }
    sum / (n * n) as f64
}

/// How much larger the variance of a value is than the sample variance of `n` consecutive
/// ones tells: neighbours that resemble each other hide it.
pub(super) fn hidden_variance(n: usize, rho: f64) -> f64 {
    let n_ = n as f64;
    (n_ - 1.0) / (n_ - n_ * variance_of_mean(n, rho))
}

/// Sums that tell the correlation of neighbours in several short series.
///
/// For any such series the mean squared difference of values two apart is `1 + rho` times
/// that of neighbours, whatever its mean is. Absolute differences are used, of which a slow
/// run spoils few.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Differences {
    near: f64,
    far: f64,
    near_pairs: f64,
    far_pairs: f64,
}

impl Differences {
    /// Adds a series with the standard deviation `spread`.
    pub(super) fn add(&mut self, values: &[f64], spread: f64) {
        // A series without noise, or without values two apart, tells nothing.
        if spread > 0.0 && values.len() > 2 {
            let sum = |lag: usize| -> f64 {
                values.iter().zip(&values[lag..]).map(|(a, b)| ((a - b) / spread).abs()).sum()
            };
            self.near += sum(1);
            self.far += sum(2);
            self.near_pairs += values.len() as f64 - 1.0;
            self.far_pairs += values.len() as f64 - 2.0;
        }
    }

    /// The estimate and its standard error; none without data.
    pub(super) fn correlation(&self) -> Option<(f64, f64)> {
        if self.near <= 0.0 || self.far_pairs < 1.0 {
            return None;
        }
        let ratio = (self.far / self.far_pairs) / (self.near / self.near_pairs);
        // Values at the end of the range of f64 may have no ratio.
        ratio.is_finite().then(|| (ratio * ratio - 1.0, STANDARD_ERROR / self.far_pairs.sqrt()))
    }
}

/// Standard error of the estimate times the square root of the pairs, seen in simulations.
const STANDARD_ERROR: f64 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_correlated_values() {
        assert!((variance_of_mean(4, 0.0) - 0.25).abs() < 1e-12);
        assert!((variance_of_mean(2, 0.5) - 0.75).abs() < 1e-12);
        assert!((variance_of_mean(5, 0.5) - 2.225 / 5.0).abs() < 1e-12);
        // A median of three and one fresh value, of 2.25 times its variance.
        assert!((weighted_variance_of_mean(2, 2.25, 0.0) - 3.25 / 4.0).abs() < 1e-12);
        assert!((hidden_variance(5, 0.0) - 1.0).abs() < 1e-12);
        assert!((hidden_variance(2, 0.5) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_staircase_is_correlated_and_a_saw_is_not() {
        let told = |values: &[f64]| {
            let mut sums = Differences::default();
            sums.add(values, 1.0);
            sums.correlation()
        };
        assert!(told(&[0.0, 1.0, 2.0, 3.0, 4.0]).unwrap().0 > 0.9);
        assert!(told(&[0.0, 1.0, 0.0, 1.0, 0.0]).unwrap().0 < 0.0);
        assert_eq!(told(&[0.0, 1.0]), None);
        assert_eq!(told(&[1.0; 5]), None);
    }
}
