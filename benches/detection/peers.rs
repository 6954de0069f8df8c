//! The rules of other tools, for a metric of which less is better.

use std::cell::RefCell;
use std::collections::HashMap;

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::world::Rng;

/// A rule that compares one run with those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Peer {
    /// A fixed factor over the last run.
    Previous,
    /// A fixed factor over the mean.
    Mean,
    /// Bencher's z-score at 0.977.
    ZScore,
    /// Bencher's t-test (a prediction interval) at 0.977.
    TTest,
    /// Bencher's interquartile range from the median.
    MedianIqr,
    /// rustc-perf's upper fence.
    Fence,
    /// benchstat and others: ranks of the samples within two runs, p < 0.05.
    MannWhitney,
    /// Two runs of 100 samples, beyond ±1 % with 95 % confidence.
    Criterion,
}

/// Noise from sample to sample within one run.
const WITHIN: f64 = 0.01;

impl Peer {
    pub(crate) const ALL: [Peer; 8] = [
        Peer::Previous,
        Peer::Mean,
        Peer::ZScore,
        Peer::TTest,
        Peer::MedianIqr,
        Peer::Fence,
        Peer::MannWhitney,
        Peer::Criterion,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Previous => "previous × 1.05",
            Peer::Mean => "mean + 5 %",
            Peer::ZScore => "z 0.977 (Bencher)",
            Peer::TTest => "t 0.977 (Bencher)",
            Peer::MedianIqr => "median + 1.5 IQR",
            Peer::Fence => "Q3 + 3 IQR",
            Peer::MannWhitney => "Mann-Whitney of 10 samples",
            Peer::Criterion => "criterion",
        }
    }

    pub(crate) fn is_red(self, history: &[f64], current: f64, rng: &mut Rng) -> bool {
        let n = history.len() as f64;
        let previous = history[history.len() - 1];
        let mean = history.iter().sum::<f64>() / n;
        let sd = || (history.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        match self {
            Peer::Previous => current > 1.05 * previous,
            Peer::Mean => current > 1.05 * mean,
            Peer::ZScore => current > mean + 1.995 * sd(),
            Peer::TTest => current > mean + t_0977(history.len()) * sd() * (1.0 + 1.0 / n).sqrt(),
            Peer::MedianIqr => current > quantile(history, 0.5) + 1.5 * iqr(history),
            Peer::Fence => current > quantile(history, 0.75) + 3.0 * iqr(history),
            Peer::MannWhitney => ranks_differ(previous, current, rng),
            Peer::Criterion => {
                // Means of 100 samples each, and the 95 % interval of their ratio.
                let error = WITHIN * (2.0_f64 / 100.0).sqrt();
                current / previous - 1.0 + error * rng.normal() - 1.96 * error > 0.01
            }
        }
    }
}

/// Student's t at 0.977 for `n` values.
fn t_0977(n: usize) -> f64 {
    thread_local! {
        static KNOWN: RefCell<HashMap<usize, f64>> = RefCell::default();
    }
    let compute = || {
        let t = StudentsT::new(0.0, 1.0, n as f64 - 1.0);
        t.map_or(f64::NAN, |t| t.inverse_cdf(0.977))
    };
    KNOWN.with_borrow_mut(|known| *known.entry(n).or_insert_with(compute))
}

/// Linear interpolation between order statistics.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q * (sorted.len() - 1) as f64;
    let low = at as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

fn iqr(values: &[f64]) -> f64 {
    quantile(values, 0.75) - quantile(values, 0.25)
}

/// Mann-Whitney's U of ten samples within each of two runs: at most 23 pairs the other way
/// round are significant at 0.05, two-sided.
fn ranks_differ(previous: f64, current: f64, rng: &mut Rng) -> bool {
    let mut samples =
        |run: f64| -> [f64; 10] { std::array::from_fn(|_| run * (1.0 + WITHIN * rng.normal())) };
    let (before, now) = (samples(previous), samples(current));
    let inversions = before.iter().flat_map(|b| now.iter().filter(move |n| *n < b)).count();
    inversions <= 23
}
