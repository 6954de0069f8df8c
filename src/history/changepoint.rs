//! The detector: candidates, and which of them are sure. The rule is on the page of the module.

use super::segmentation::segment_starts;
use crate::regress::median;

/// Values that make a level, at least. Fewer, however far off, may be outliers.
pub const LEAST_LEVEL: usize = 5;

/// Values on either side of a change that its levels are made from, at most: a level that
/// drifts is judged by how it was next to the change.
pub const LEVEL_WINDOW: usize = 30;

/// Standard errors between the levels before and after a change, at least.
pub const LEAST_STANDARD_ERRORS: f64 = 6.0;

/// Price of a candidate, in units of the noise variance times the logarithm of the number of
/// values. Independent normal noise needs 2 (the BIC of Yao, "Estimating the number of
/// change-points via Schwarz' criterion", 1988) to 3 (the modified BIC of Zhang, Siegmund,
/// 2007); correlated noise needs more.
pub const CANDIDATE_PENALTY: f64 = 8.0;

/// Width of the running median, odd. It follows what fills more than half of it, a level, and
/// passes over what does not.
const RUNNING_WINDOW: usize = 15;

/// Standard deviations from the running median beyond which a value is pulled in.
const PULL_IN: f64 = 3.0;

/// Noise that every series is taken to have, relative to its level: the last digits of a
/// number are not a measurement.
const LEAST_NOISE: f64 = 1e-9;

/// Quantiles of absolute deviations, and those of the standard normal distribution.
const MEDIAN: (f64, f64) = (0.5, 0.6745);
const TAIL: (f64, f64) = (0.9, 1.6449);

/// A lasting shift of the level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// Index of the first value at the new level, in the series as it was given.
    pub index: usize,
    /// Median of the last values before, in the unit of the series.
    pub before: f64,
    /// Median of the first values after, in the unit of the series.
    pub after: f64,
    /// `(after - before) / |before|`; none where `before` is zero or so small that the
    /// ratio is no number.
    pub change: Option<f64>,
    /// Distance of the levels in standard deviations of the noise; positive.
    pub effect_size: f64,
    /// Distance of the levels in standard errors, at least [`LEAST_STANDARD_ERRORS`].
    pub standard_errors: f64,
}

/// What was found in a series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// In the order of the series.
    pub points: Vec<ChangePoint>,
    /// Indices of values that are not finite. They were passed over.
    pub skipped: Vec<usize>,
}

/// Finds the lasting shifts in `series`, oldest value first, by the rule of [this module](super).
///
/// Fewer than two times [`LEAST_LEVEL`] finite values have none.
pub fn change_points(series: &[f64]) -> Changes {
    let (kept, skipped): (Vec<usize>, Vec<usize>) =
        (0..series.len()).partition(|i| series[*i].is_finite());
    let values: Vec<f64> = kept.iter().map(|i| series[*i]).collect();
    if values.len() < 2 * LEAST_LEVEL {
        return Changes { points: Vec::new(), skipped };
    }
    let scaled = scaled(&values);
    let shifts = sure_shifts(&scaled, candidates(&scaled));
    let points = shifts.iter().map(|shift| shift.described(&values, &kept)).collect();
    Changes { points, skipped }
}

/// Logarithms if there is one of every value, else shares of the largest value.
fn scaled(values: &[f64]) -> Vec<f64> {
    if values.iter().all(|v| *v > 0.0) {
        return values.iter().map(|v| v.ln()).collect();
    }
    let largest = values.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    values.iter().map(|v| v / unit).collect()
}

/// Indices at which the level may have changed, ascending; too many rather than too few.
fn candidates(values: &[f64]) -> Vec<usize> {
    let window = RUNNING_WINDOW.min(values.len());
    let medians: Vec<f64> = values.windows(window).map(median).collect();
    // At the ends, where no window has the value in its middle, the nearest one counts.
    let running = |i: usize| medians[i.saturating_sub(window / 2).min(medians.len() - 1)];
    let running: Vec<f64> = (0..values.len()).map(running).collect();
    let distances: Vec<f64> = values.iter().zip(&running).map(|(v, m)| v - m).collect();
    let noise = noise(distances.iter().copied(), MEDIAN);
    let center = median(values);
    // In units of the noise, around zero.
    let tamed: Vec<f64> = distances
        .iter()
        .zip(&running)
        .map(|(d, m)| (d / noise).clamp(-PULL_IN, PULL_IN) + (m - center) / noise)
        .collect();
    segment_starts(&tamed, CANDIDATE_PENALTY * (values.len() as f64).ln())
}

/// Standard deviation of normal noise with the same quantile of absolute deviations.
fn noise(deviations: impl Iterator<Item = f64>, (quantile, normal): (f64, f64)) -> f64 {
    let mut absolute: Vec<f64> = deviations.map(f64::abs).collect();
    let rank = (quantile * (absolute.len() - 1) as f64).ceil() as usize;
    let (_, at, _) = absolute.select_nth_unstable_by(rank, f64::total_cmp);
    (*at / normal).max(LEAST_NOISE)
}

/// A candidate between the segments next to it.
#[derive(Debug, Clone, Copy)]
struct Shift {
    at: usize,
    /// First of the values the level before is made from.
    from: usize,
    /// One beyond the last value that the level after is made from.
    to: usize,
    effect_size: f64,
    standard_errors: f64,
}

impl Shift {
    /// The shift at `at` between the segments `start..at` and `at..end`.
    fn new(values: &[f64], start: usize, at: usize, end: usize) -> Self {
        let (from, to) = (start.max(at.saturating_sub(LEVEL_WINDOW)), end.min(at + LEVEL_WINDOW));
        let deviations = |segment: &[f64]| {
            let level = median(segment);
            segment.iter().map(|v| v - level).collect::<Vec<_>>()
        };
        let around = [deviations(&values[start..at]), deviations(&values[at..end])].concat();
        let distance = median(&values[at..to]) - median(&values[from..at]);
        let effect_size = distance.abs() / noise(around.into_iter(), TAIL);
        let behind = (at - from).min(to - at) as f64;
        Self { at, from, to, effect_size, standard_errors: effect_size * behind.sqrt() }
    }

    fn is_sure(&self) -> bool {
        self.standard_errors >= LEAST_STANDARD_ERRORS
            && (self.at - self.from).min(self.to - self.at) >= LEAST_LEVEL
    }

    /// In the unit of the series; `kept` are the indices of `values` in it.
    fn described(&self, values: &[f64], kept: &[usize]) -> ChangePoint {
        let before = median(&values[self.from..self.at]);
        let after = median(&values[self.at..self.to]);
        // Divided before subtracted, so that huge values do not overflow.
        let change = after / before.abs() - before.signum();
        ChangePoint {
            index: kept[self.at],
            before,
            after,
            change: change.is_finite().then_some(change),
            effect_size: self.effect_size,
            standard_errors: self.standard_errors,
        }
    }
}

/// Drops the least sure of the candidates, again and again, until all are sure.
fn sure_shifts(values: &[f64], candidates: Vec<usize>) -> Vec<Shift> {
    let mut bounds = candidates;
    bounds.insert(0, 0);
    bounds.push(values.len());
    let shift =
        |bounds: &[usize], i: usize| Shift::new(values, bounds[i], bounds[i + 1], bounds[i + 2]);
    let mut shifts: Vec<Shift> = (0..bounds.len() - 2).map(|i| shift(&bounds, i)).collect();
    loop {
        let unsure = (0..shifts.len()).filter(|i| !shifts[*i].is_sure());
        let weakest =
            unsure.min_by(|a, b| shifts[*a].standard_errors.total_cmp(&shifts[*b].standard_errors));
        let Some(weakest) = weakest else { return shifts };
        shifts.remove(weakest);
        bounds.remove(weakest + 1);
        for i in weakest.saturating_sub(1)..shifts.len().min(weakest + 1) {
            shifts[i] = shift(&bounds, i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values around 1 that stay within 2 %, without a period that a level could have.
    fn noise(i: usize) -> f64 {
        1.0 + ((i * i * 31 + i * 17) % 41) as f64 / 1000.0 - 0.02
    }

    /// So many values at each level.
    fn series(levels: &[(usize, f64)]) -> Vec<f64> {
        let levels = levels.iter().flat_map(|(n, level)| std::iter::repeat_n(level, *n));
        levels.enumerate().map(|(i, level)| level * noise(i)).collect()
    }

    fn indices(series: &[f64]) -> Vec<usize> {
        change_points(series).points.iter().map(|p| p.index).collect()
    }

    #[test]
    fn a_lasting_shift_is_found_with_its_levels() {
        let changes = change_points(&series(&[(40, 100.0), (40, 90.0)]));
        let [point] = changes.points[..] else { panic!("{changes:?}") };
        assert_eq!(point.index, 40);
        assert!((point.before - 100.0).abs() < 1.0 && (point.after - 90.0).abs() < 1.0);
        assert!((point.change.unwrap() + 0.1).abs() < 0.02, "{point:?}");
        assert!(point.effect_size > 4.0 && point.standard_errors > point.effect_size, "{point:?}");
    }

    #[test]
    fn each_of_several_shifts_is_found() {
        let levels = [(60, 100.0), (30, 108.0), (100, 100.0), (50, 70.0)];
        assert_eq!(indices(&series(&levels)), [60, 90, 190]);
    }

    #[test]
    fn a_large_shift_is_known_after_a_few_values() {
        assert_eq!(indices(&series(&[(40, 100.0), (6, 80.0)])), [40]);
        assert!(indices(&series(&[(40, 100.0), (2, 80.0)])).is_empty());
    }

    #[test]
    fn shifts_below_the_noise_are_passed_over() {
        assert!(indices(&series(&[(200, 100.0), (200, 100.5)])).is_empty());
    }

    #[test]
    fn a_level_is_what_is_next_to_the_change() {
        let mut drifting = series(&[(300, 100.0), (100, 130.0)]);
        drifting.iter_mut().enumerate().for_each(|(i, v)| *v *= 1.0 + i as f64 / 3000.0);
        let changes = change_points(&drifting);
        let point = changes.points.iter().find(|p| p.index == 300).unwrap();
        assert!((point.before - 109.5).abs() < 1.0, "{point:?}");
    }

    #[test]
    fn counts_without_noise_have_changes_too() {
        let changes = change_points(&[[512.0; 12], [513.0; 12]].concat());
        assert_eq!(changes.points.iter().map(|p| p.index).collect::<Vec<_>>(), [12]);
        let from_zero = change_points(&[[0.0; 12], [3.0; 12]].concat());
        assert_eq!(from_zero.points[0].change, None);
    }

    #[test]
    fn what_is_not_finite_is_named_and_passed_over() {
        let mut values = series(&[(20, 100.0), (20, 120.0)]);
        values.insert(5, f64::NAN);
        values.insert(30, f64::INFINITY);
        let changes = change_points(&values);
        assert_eq!(changes.skipped, [5, 30]);
        assert_eq!(changes.points[0].index, 21);
    }

    #[test]
    fn a_short_series_has_none() {
        let values = series(&[(5, 100.0), (4, 200.0)]);
        assert_eq!(change_points(&values), Changes::default());
        assert!(change_points(&[]).points.is_empty());
    }
}
