//! The change between two sides that were executed in turn, and an interval that holds
//! however often somebody looks.

use crate::regress::median;

/// Two neighbouring Executions, one of each side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// `ln(candidate / base)`.
    pub change: f64,
    /// Whether the base came first.
    pub base_first: bool,
}

impl Pair {
    /// The pair of two values; none where there is no ratio, which takes two positive
    /// numbers, or two that are equal.
    pub fn of(base: f64, candidate: f64, base_first: bool) -> Option<Pair> {
        let change = if base == candidate {
            0.0
        } else if base > 0.0 && candidate > 0.0 {
            // Not the logarithm of the ratio, which may leave the range.
            candidate.ln() - base.ln()
        } else {
            return None;
        };
        Some(Pair { change, base_first })
    }

    /// +1 where the candidate came second, −1 where it came first.
    fn order(self) -> f64 {
        if self.base_first { 1.0 } else { -1.0 }
    }
}

/// Pairs below which nothing is concluded: three blocks.
pub const FEWEST_PAIRS: usize = 6;

/// Robust standard deviations beyond which a pair counts as one at that distance.
const PULL_IN: f64 = 2.0;
/// Pairs below which outliers cannot be told from noise.
const ENOUGH_FOR_MAD: usize = 8;
/// Makes the median absolute deviation of normal noise its standard deviation, 1/Φ⁻¹(3/4).
const MAD_TO_SD: f64 = 1.4826;
/// Variance of a sum of the two pairs of a block, at most, relative to that of independent
/// ones. In ABBA the pairs are x₂ − x₁ and x₃ − x₄; when neighbours are alike by ρ and that
/// fades by ρ with every step, the pairs are by ρ(1 − ρ)/2 ≤ 1/8.
const ALIKE: f64 = 1.125;
/// Variance of the changes that are expected, in units of a pair's own: the mixture below is
/// sharpest for changes of about twice a pair's standard deviation and loses little elsewhere.
const EXPECTED: f64 = 4.0;

/// What the pairs say. Differences of logarithms throughout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The change: `ln(candidate / base)`.
    pub change: f64,
    /// Standard deviation of one pair.
    pub spread: f64,
    /// Pairs it rests on.
    pub pairs: usize,
}

impl Estimate {
    /// The change in `pairs` of whole blocks, each of which has one pair in either order.
    ///
    /// Drift at a constant rate adds to the one what it takes from the other; it is part of
    /// what is fitted. Pairs that are far off are pulled in: this is Huber's M-estimate by
    /// pseudo-values, with the standard error that goes with it (P. J. Huber, *Robust
    /// Statistics*, 1981, section 7.10), so that an occasional slow Execution counts for
    /// little. None for fewer than [`FEWEST_PAIRS`].
    pub fn of(pairs: &[Pair]) -> Option<Estimate> {
        let n = pairs.len() as f64;
        if pairs.len() < FEWEST_PAIRS {
            return None;
        }
        let drifts: Vec<f64> = pairs
            .chunks_exact(2)
            .map(|block| block.iter().map(|p| p.order() * p.change).sum::<f64>() / 2.0)
            .collect();
        let mut drift = median(&drifts);
        let mut change =
            median(&pairs.iter().map(|p| p.change - p.order() * drift).collect::<Vec<_>>());
        let residual = |p: &Pair, change: f64, drift: f64| p.change - change - p.order() * drift;
        let sizes: Vec<f64> = pairs.iter().map(|p| residual(p, change, drift).abs()).collect();
        // Two numbers were fitted; the MAD of few values is too small on average.
        let scale = MAD_TO_SD * (n / (n - 2.0)).sqrt() * n / (n - 0.8) * median(&sizes);
        let reach = if pairs.len() < ENOUGH_FOR_MAD || scale == 0.0 {
            f64::INFINITY
        } else {
            PULL_IN * scale
        };
        for _ in 0..100 {
            let pulled = |p: &Pair| residual(p, change, drift).clamp(-reach, reach);
            let by = pairs.iter().map(pulled).sum::<f64>() / n;
            let by_order = pairs.iter().map(|p| p.order() * pulled(p)).sum::<f64>() / n;
            change += by;
            drift += by_order;
            if by.abs().max(by_order.abs()) <= 1e-9 * scale {
                break;
            }
        }
        let residuals: Vec<f64> = pairs.iter().map(|p| residual(p, change, drift)).collect();
        let inside = residuals.iter().filter(|r| r.abs() <= reach).count() as f64 / n;
        let squares: f64 = residuals.iter().map(|r| r.clamp(-reach, reach).powi(2)).sum();
        let spread = (squares / (n - 2.0)).sqrt() / inside.max(0.5);
        // Rounding is no noise.
        let spread = if spread < 1e-12 { 0.0 } else { spread };
        Some(Estimate { change, spread, pairs: pairs.len() })
    }

    /// How far the true change may be from the estimate, but for a share `level` of whole
    /// comparisons, however often it is looked at.
    ///
    /// Where the Bayes factor of "there is a change", normal with the variance `g` of a
    /// pair's, against "there is none" is below 1/level. With right Haar priors for spread and
    /// drift that factor is a martingale while there is none, so that Ville's inequality
    /// bounds the chance that it ever gets there: T. L. Lai, *On confidence sequences*, 1976;
    /// H. Wang and A. Ramdas, *Anytime-valid t-tests and confidence sequences for Gaussian
    /// means with unknown variance*, 2025. It is
    /// `c^(−1/2) · ((1 + t²/ν) / (1 + t²/(cν)))^((ν+1)/2)`, c = 1 + n·g, ν = n − 2.
    pub fn half_width(&self, level: f64) -> f64 {
        half_width(self.spread, self.pairs, level)
    }

    /// The smallest number of pairs, if further ones vary as these do, at which the interval
    /// is narrower than `wanted` to either side. None where that is out of reach.
    pub fn pairs_for(&self, wanted: f64, level: f64) -> Option<usize> {
        const MOST: usize = 1 << 20;
        let enough = |n: usize| half_width(self.spread, n, level) < wanted;
        let mut most = self.pairs;
        while !enough(most) {
            most *= 2;
            if most > MOST {
                return None;
            }
        }
        let mut range = most / 2..most;
        while range.len() > 1 {
            let middle = range.start + range.len() / 2;
            range = if enough(middle) { range.start..middle } else { middle..range.end };
        }
        Some(range.end.max(self.pairs))
    }
}

fn half_width(spread: f64, pairs: usize, level: f64) -> f64 {
    let n = pairs as f64;
    let freedom = n - 2.0;
    let c = 1.0 + n * EXPECTED;
    let k = (c / (level * level)).powf(1.0 / (freedom + 1.0));
    // So few pairs exclude nothing, whatever they say.
    if pairs < FEWEST_PAIRS || k >= c {
        return f64::INFINITY;
    }
    let t = (freedom * (k - 1.0) / (1.0 - k / c)).sqrt();
    t * spread * (ALIKE / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks ABBA of these pairs.
    fn pairs(changes: &[f64]) -> Vec<Pair> {
        let pair = |(i, change): (usize, &f64)| Pair { change: *change, base_first: i % 2 == 0 };
        changes.iter().enumerate().map(pair).collect()
    }

    #[test]
    fn a_ratio_takes_positive_numbers() {
        assert_eq!(Pair::of(2.0, 2.0, true), Some(Pair { change: 0.0, base_first: true }));
        assert_eq!(Pair::of(0.0, 0.0, true).map(|p| p.change), Some(0.0));
        assert!((Pair::of(100.0, 103.0, false).unwrap().change - 1.03_f64.ln()).abs() < 1e-12);
        assert!(Pair::of(1e-300, 1e300, true).unwrap().change.is_finite());
        assert_eq!(Pair::of(0.0, 1.0, true), None);
        assert_eq!(Pair::of(-1.0, 1.0, true), None);
        assert_eq!(Pair::of(1.0, -1.0, true), None);
    }

    #[test]
    fn steady_drift_is_not_taken_for_a_change() {
        // 0.03 of change, and 0.01 of drift for the one who comes second.
        let e = Estimate::of(&pairs(&[0.04, 0.02].repeat(4))).unwrap();
        assert!((e.change - 0.03).abs() < 1e-12, "{e:?}");
        assert_eq!(e.spread, 0.0);
    }

    #[test]
    fn one_slow_execution_counts_for_little() {
        let quiet = [0.031, 0.029, 0.030, 0.032, 0.028, 0.029, 0.031, 0.030, 0.030, 0.031];
        let mut slow = quiet;
        slow[4] += 0.15;
        let (quiet, slow) = (pairs(&quiet), pairs(&slow));
        let (quiet, slow) = (Estimate::of(&quiet).unwrap(), Estimate::of(&slow).unwrap());
        assert!((slow.change - quiet.change).abs() < 0.001, "{slow:?}");
        assert!(slow.spread < 3.0 * quiet.spread, "{slow:?}");
    }

    #[test]
    fn few_pairs_exclude_nothing() {
        assert_eq!(Estimate::of(&pairs(&[0.1; 4])), None);
        let e = Estimate::of(&pairs(&[0.1; 6])).unwrap();
        assert_eq!(e.half_width(0.01), 0.0);
        assert_eq!(e.half_width(1e-9), f64::INFINITY);
        assert_eq!(half_width(0.01, 4, 0.01), f64::INFINITY);
    }

    #[test]
    fn the_interval_is_where_the_bayes_factor_says() {
        for (pairs, level) in [(6, 0.05), (12, 0.01), (50, 0.0001)] {
            let (n, c) = (pairs as f64, 1.0 + 4.0 * pairs as f64);
            let t = half_width(1.0, pairs, level) * (n / ALIKE).sqrt();
            let x = t * t / (n - 2.0);
            let factor = ((1.0 + x) / (1.0 + x / c)).powf((n - 1.0) / 2.0) / c.sqrt();
            assert!((factor * level - 1.0).abs() < 1e-9, "{pairs} pairs: {factor}");
        }
    }

    #[test]
    fn further_pairs_are_foretold() {
        let e = Estimate { change: 0.0, spread: 0.02, pairs: 8 };
        let n = e.pairs_for(0.01, 0.01).unwrap();
        assert!(half_width(0.02, n, 0.01) < 0.01 && half_width(0.02, n - 1, 0.01) >= 0.01);
        assert_eq!(e.pairs_for(1e-9, 0.01), None);
        assert_eq!(e.pairs_for(1.0, 0.01), Some(8));
        assert_eq!(Estimate { spread: 0.0, ..e }.pairs_for(0.01, 0.01), Some(8));
    }
}
