//! What the accepted runs of many metrics say about the noise of any one of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::gamma::digamma;

use super::Direction;
use super::comparison::worse_by;
use super::correlation::{Differences, hidden_variance};
use super::limit::{ASSUMED_WEIGHT, Noise, median, standard_deviation};
use super::special::{trigamma, trigamma_inverse};

/// Accepted values of one metric, oldest first, one per run.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The values.
    pub values: Vec<f64>,
    /// Which way is better.
    pub direction: Direction,
}

/// The noise of a machine, as the accepted runs of all metrics measured on it show it.
///
/// Spreads are relative standard deviations between runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Metrics with at least two accepted runs.
    pub series: usize,
    /// Spread of a typical metric; none where too few tell.
    pub spread: Option<f64>,
    /// Further runs that `spread` is worth in the judgement of one metric: many where the
    /// metrics are alike, few where they differ.
    pub weight: f64,
    /// Accepted runs looked at.
    pub runs: usize,
    /// Those of them that were slow beyond what noise explains.
    pub slow: usize,
    /// Correlation of consecutive runs, at most.
    pub correlation: f64,
}

/// Runs (less one per metric) that a pooled spread must rest on.
const ENOUGH: f64 = 20.0;
/// Correlation taken for granted, and that of which more is not believed.
const CORRELATIONS: (f64, f64) = (0.05, 0.6);
/// Standard errors added to the estimated correlation.
const CAUTION: f64 = 1.5;
/// Standard deviations beyond which a run is slow, not noisy.
const SLOW: f64 = 4.0;
/// Beta distribution of the share of slow runs before anything is known: 3 % on average, as
/// in published series.
const SLOW_PRIOR: (f64, f64) = (0.5, 15.5);
/// Theoretical standard deviations at which the log-variance of one metric is pulled in.
const PULL_IN: f64 = 2.5;

impl Default for Pool {
    /// Nothing is known.
    fn default() -> Self {
        Self { series: 0, spread: None, weight: 0.0, runs: 0, slow: 0, correlation: CORRELATIONS.1 }
    }
}

impl Pool {
    /// What these metrics show. Single runs, zero medians and numbers that are not finite
    /// say nothing.
    pub fn of(all: &[Series]) -> Self {
        let usable = |s: &&Series| s.values.len() > 1 && s.values.iter().all(|v| v.is_finite());
        let noises = all.iter().filter(usable).map(|s| (s, Noise::of(&s.values)));
        let noises: Vec<(&Series, Noise)> = noises.filter(|(_, n)| n.center != 0.0).collect();
        let mut pool = Self { series: noises.len(), ..Self::default() };
        let spreads: Vec<(f64, usize)> = noises
            .iter()
            .filter_map(|(_, n)| Some((n.spread? / n.center.abs(), n.values.len())))
            .collect();
        // A first idea of the noise tells which runs were slow; without them it is told again.
        pool.learn(&spreads);
        let mut differences = Differences::default();
        let mut spreads = Vec::new();
        for (series, noise) in &noises {
            let (kept, outliers) = pool.split(noise);
            let slow = |v: &&f64| worse_by(noise.center, **v, series.direction) > 0.0;
            pool.slow += outliers.iter().flatten().filter(slow).count();
            pool.runs += noise.values.len();
            if let Some(spread) = standard_deviation(&kept, noise.center) {
                differences.add(&kept, spread);
                spreads.push((spread / noise.center.abs(), kept.len()));
            }
        }
        let (least, most) = CORRELATIONS;
        pool.correlation = differences
            .correlation()
            .map_or(most, |(rho, error)| (rho + CAUTION * error).clamp(least, most));
        pool.learn(&spreads);
        pool
    }

    fn learn(&mut self, spreads: &[(f64, usize)]) {
        match moderation(spreads, self.correlation) {
            Some((spread, weight)) => (self.spread, self.weight) = (Some(spread), weight),
            None => (self.spread, self.weight) = (None, 0.0),
        }
    }

    /// The spread (relative) and its freedom that a metric is judged with: its own and the
    /// pool's, each with its weight. `further` runs are taken to vary as the present ones.
    /// None without a pool.
    pub(super) fn moderated(&self, noise: &Noise, further: usize) -> Option<(f64, f64)> {
        let pooled = self.spread?;
        let (kept, outliers) = self.split(noise);
        let own = standard_deviation(&kept, noise.center).map_or(pooled, |spread| {
            spread / noise.center.abs() * hidden_variance(kept.len(), self.correlation).sqrt()
        });
        let strange = outliers.is_none();
        let weight = if strange { self.weight.min(ASSUMED_WEIGHT) } else { self.weight };
        Some(mix(pooled, weight, own, (kept.len() + further) as f64 - 1.0))
    }

    /// The values that noise explains, and those that it does not. All are kept, and the
    /// others are none, where they are too many to be exceptions: such a metric is noisier
    /// than others.
    fn split(&self, noise: &Noise) -> (Vec<f64>, Option<Vec<f64>>) {
        let values = &noise.values;
        let Some(own) = noise.spread else { return (values.clone(), Some(Vec::new())) };
        let size = noise.center.abs();
        let freedom = values.len() as f64 - 1.0;
        let spread = match self.spread {
            Some(pooled) => mix(pooled * size, self.weight, own, freedom).0,
            None => own,
        };
        // Residuals from the centre of few values are smaller than the noise itself.
        let reach = SLOW * spread * (freedom / values.len() as f64).sqrt();
        let (kept, outliers): (Vec<f64>, Vec<f64>) =
            values.iter().partition(|v| (**v - noise.center).abs() <= reach);
        match 3 * outliers.len() > values.len() {
            true => (values.clone(), None),
            false => (kept, Some(outliers)),
        }
    }

    /// Chance that the first look and `again` fresh ones are all suspicious, and that slow
    /// runs among the fresh ones are why: noise alone makes a share `noise` of looks so.
    /// Averaged over the shares of slow runs that the accepted ones leave possible.
    fn slow_alarms(&self, again: u32, noise: f64) -> f64 {
        let a = SLOW_PRIOR.0 + self.slow as f64;
        let total = SLOW_PRIOR.0 + SLOW_PRIOR.1 + self.runs as f64;
        // (p + noise) · ((p + noise)^again − noise^again) by powers of p, the share of slow
        // runs, whose mean powers are those of a beta distribution.
        let mut sum = 0.0;
        let (mut power, mut choose) = (1.0, 1.0);
        for i in 1..=again {
            let step = f64::from(i - 1);
            power *= (a + step) / (total + step);
            choose *= f64::from(again + 1 - i) / f64::from(i);
            let next = power * (a + f64::from(i)) / (total + f64::from(i));
            sum += choose * noise.powi((again - i) as i32) * (noise * power + next);
        }
        sum
    }

    /// Fresh Executions it takes, at most `most`, so that slow runs turn a judgement red with
    /// a chance of `level` or less when noise makes a share `noise` of looks suspicious.
    pub(super) fn confirmations(&self, level: f64, noise: f64, most: u32) -> u32 {
        (1..most).find(|again| self.slow_alarms(*again, noise) <= level).unwrap_or(most)
    }
}

/// Two spreads by their weights; the freedom of the result.
pub(super) fn mix(a: f64, weight_a: f64, b: f64, weight_b: f64) -> (f64, f64) {
    let weight = weight_a + weight_b;
    // `hypot` because a square of a very small or very large unit leaves the range.
    let spread = f64::hypot(a * (weight_a / weight).sqrt(), b * (weight_b / weight).sqrt());
    (spread, weight)
}

/// Typical relative spread, and how many runs it weighs as much as.
///
/// Moderated variances: the logarithms of the metrics' variances scatter by a known amount
/// when all metrics are equally noisy; what they scatter more is how much the metrics differ.
/// (G. K. Smyth, *Linear models and empirical Bayes methods*, 2004; one variance that is far
/// off is pulled in, after B. Phipson and others, 2016.)
fn moderation(spreads: &[(f64, usize)], rho: f64) -> Option<(f64, f64)> {
    let noisy = spreads.iter().filter(|(spread, _)| *spread > 0.0);
    let logs: Vec<(f64, f64)> = noisy
        .map(|(spread, n)| {
            let half = (*n as f64 - 1.0) / 2.0;
            let log = 2.0 * spread.ln() + hidden_variance(*n, rho).ln();
            (log - digamma(half) + half.ln(), trigamma(half))
        })
        .filter(|(log, _)| log.is_finite())
        .collect();
    let freedom: f64 = spreads.iter().map(|(_, n)| *n as f64 - 1.0).sum();
    if logs.len() < 2 || freedom < ENOUGH {
        return None;
    }
    let n = logs.len() as f64;
    let center = median(&logs.iter().map(|(log, _)| *log).collect::<Vec<_>>());
    let pulled = |(log, expected): &(f64, f64)| {
        let reach = PULL_IN * expected.sqrt();
        log.clamp(center - reach, center + reach)
    };
    let mean = logs.iter().map(pulled).sum::<f64>() / n;
    let scatter = logs.iter().map(|l| (pulled(l) - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let excess = scatter - logs.iter().map(|(_, expected)| expected).sum::<f64>() / n;
    // The pool is no surer of its spread than the runs it rests on make it.
    let mut weight = freedom;
    let mut log = mean;
    if excess > 0.0 {
        let half = trigamma_inverse(excess);
        weight = weight.min(2.0 * half);
        log += digamma(half) - half.ln();
    }
    Some(((log / 2.0).exp(), weight))
}
