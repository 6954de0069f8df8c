//! Is it the code, or the machine? Changes of a whole run, looked at together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::median;

/// Most metrics of a run moved the same way, by about as much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommonShift {
    /// Metrics that were compared.
    pub checks: usize,
    /// Those of them that are worse.
    pub worse: usize,
    /// Median change, positive for worse (0.05 = 5 %).
    pub shift: f64,
    /// How often as many would be worse by chance, were the machine and the code unchanged.
    pub chance: f64,
}

/// Metrics of which fewer prove nothing together.
const ENOUGH: usize = 5;
/// Share of the metrics that must have moved about as much as the median one.
const ALIKE: f64 = 0.7;
/// What "about as much" is: this part of the median change more or less.
const AS_MUCH: f64 = 0.5;
/// A shift that happens by chance less often than this is none of chance.
const CHANCE: f64 = 1e-3;

/// Whether the changes of a run, positive for worse and at most one per entry so that
/// metrics that move together count once, look like a slower machine: far more are worse
/// than chance makes, their median is worse than `tolerance`, and most are near it.
pub fn common_shift(worse_by: &[f64], tolerance: f64) -> Option<CommonShift> {
    let checks = worse_by.len();
    let worse = worse_by.iter().filter(|change| **change > 0.0).count();
    let shift = median(worse_by);
    let alike = worse_by.iter().filter(|c| (**c - shift).abs() <= AS_MUCH * shift).count();
    let chance = sign_test(worse, checks);
    let common = checks >= ENOUGH && shift > tolerance && alike as f64 >= ALIKE * checks as f64;
    // Five of five have a chance of 3 %: so few must all be far beyond the tolerance.
    let unlikely = chance < CHANCE || (worse == checks && shift > 2.0 * tolerance);
    (common && unlikely).then_some(CommonShift { checks, worse, shift, chance })
}

/// Chance of `heads` or more in `n` throws of a fair coin.
fn sign_test(heads: usize, n: usize) -> f64 {
    let mut ln_choose = 0.0;
    let mut chance = 0.0;
    for k in 0..=n {
        if k >= heads {
            chance += (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
        }
        ln_choose += ((n - k) as f64).ln() - (k as f64 + 1.0).ln();
    }
    chance.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighteen_percent_on_every_number() {
        let changes = [0.18, 0.17, 0.19, 0.18, 0.2, 0.16, 0.18, 0.15, 0.18, 0.21, 0.18, 0.19];
        let found = common_shift(&changes, 0.02).unwrap();
        assert_eq!((found.checks, found.worse, found.shift), (12, 12, 0.18));
        assert!(found.chance < 1e-3);
        assert!(common_shift(&changes[..5], 0.02).is_some());
        assert_eq!(common_shift(&changes[..4], 0.02), None);
        assert_eq!(common_shift(&[], 0.02), None);
    }

    #[test]
    fn changes_of_the_code_differ() {
        // A few entries are slower, the others are not.
        let mut few = vec![0.001; 12];
        few[..4].fill(0.18);
        assert_eq!(common_shift(&few, 0.02), None);
        // All are slower, each in its own way.
        assert_eq!(common_shift(&[0.02, 0.3, 0.05, 0.11, 0.6, 0.03, 0.9, 0.04], 0.02), None);
        // Less than anybody cares about.
        assert_eq!(common_shift(&[0.01; 40], 0.02), None);
        assert_eq!(common_shift(&[-0.2; 40], 0.02), None);
    }

    #[test]
    fn coins() {
        assert!((sign_test(0, 5) - 1.0).abs() < 1e-12);
        assert!((sign_test(5, 5) - 1.0 / 32.0).abs() < 1e-12);
        assert!((sign_test(4, 5) - 6.0 / 32.0).abs() < 1e-12);
        assert!(sign_test(300, 300) < 1e-80);
    }
}
